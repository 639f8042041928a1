"""What needs no cluster, or one of its own."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from witness import needs_witness

from fluvio_cffi import HomeMirror, LocalCluster
from fluvio_cffi.compat import (
    CompressionType,
    Fluvio,
    FluvioAdmin,
    FluvioConfig,
    FluviorError,
    Offset,
    PartitionMap,
    TopicMode,
    TopicSpec,
    cloud,
    utils,
)

SIZES = [
    "0",
    "10",
    "1.5K",
    "1 kb",
    "1KiB",
    "3 gib",
    "1B",
    "2bytes",
    "1PB",
    "1yb",
    "5 m",
    " 7 ",
    "1 kilobyte",
    "1Mebibyte",
]
NO_SIZES = ["", "abc", "1x", "1e3", "-1", "1,5K", "0x10", "1k2"]
TIMES = ["5", "1h", "1.5h", "1 day", "2 weeks", "3y", "10ms", "7us", "1ns", "1sec", "5 min", "1 HOUR"]
NO_TIMES = ["", "abc", "1x", "-5", "1h30m", "3mon", "1e3"]


def test_sizes_and_times() -> None:
    assert [utils.parse_byte_size(each) for each in ("1K", "1KiB", "1.5 MB")] == [1000, 1024, 1_500_000]
    spec = TopicSpec.create().with_retention_time("2 days").with_segment_size("10M").with_max_partition_size("1Gb")
    assert (spec.retention_time, spec.segment_size, spec.max_partition_size) == (172_800, 10_000_000, 1_000_000_000)


@needs_witness
def test_sizes_and_times_are_read_as_by_humanfriendly() -> None:
    humanfriendly: Any = import_module("humanfriendly")
    for text in SIZES:
        assert utils.parse_byte_size(text) == humanfriendly.parse_size(text, binary="ib" in text.lower()), text
    for text in TIMES:
        assert TopicSpec.create().with_retention_time(text).retention_time == humanfriendly.parse_timespan(text), text
    for text in NO_SIZES:
        with pytest.raises(humanfriendly.InvalidSize, match="Failed to parse size"):
            utils.parse_byte_size(text)
    for text in NO_TIMES:
        with pytest.raises(humanfriendly.InvalidTimespan, match="Failed to parse timespan"):
            TopicSpec.create().with_retention_time(text)


def test_without_humanfriendly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "humanfriendly", raising=False)
    with pytest.raises(Exception, match="Failed to parse size!") as raised:
        utils.parse_byte_size("x")
    assert type(raised.value).__name__ == "InvalidSize"


def test_specifications_of_topics() -> None:
    spec = TopicSpec.new(3, 2, False)
    assert (spec.mode, spec.partitions, spec.replications, spec.ignore_rack) == (TopicMode.COMPUTED, 3, 2, False)
    built = spec.with_compression(CompressionType.GZIP).with_retention_time("1h").as_system_topic().build()
    assert (built.partitions, built.replication, built.ignore_rack) == (3, 2, False)
    assert (built.compression, built.retention, built.system) == ("gzip", 3600, True)
    assigned = TopicSpec.create().with_assignment([PartitionMap.new(0, [5001, 5002])]).build().assignment
    assert assigned is not None
    assert (assigned[0].partition, assigned[0].replicas) == (0, (5001, 5002))
    assert TopicSpec.create().as_mirror_topic().build().mirror == HomeMirror([])
    with pytest.raises(ValueError, match="Partitions must be a positive integer, not -1") as raised:
        TopicSpec.create().with_partitions(-1)
    assert type(raised.value) is ValueError
    with pytest.raises(FluviorError, match="partitions is 0"):
        TopicSpec.create().with_partitions(0).build()


def test_offsets_are_values() -> None:
    assert Offset.absolute(3) == Offset.absolute(3) != Offset.from_beginning(3)
    assert [repr(each) for each in (Offset.absolute(3), Offset.end())] == ["Offset.absolute(3)", "Offset.end()"]
    assert len({Offset.beginning(), Offset.beginning()}) == 1


def test_the_cloud_is_refused() -> None:
    with pytest.raises(FluviorError, match="does not log in to https://infinyon\\.cloud: run `fluvio cloud login`"):
        cloud.login()
    with pytest.raises(FluviorError, match="does not log in"):
        cloud.login(email="a@example.com", password="secret")


def test_tls(tmp_path: Path) -> None:
    with LocalCluster(tls="mutual") as cluster:
        files = cluster.data_dir / "tls"
        ca, cert, key = (files / name for name in ("ca.crt", "client.crt", "client.key"))
        config = FluvioConfig.new("127.0.0.1:1")
        config.set_endpoint(cluster.endpoint)
        config.set_client_id("old")
        config.set_use_spu_local_address(False)
        config.set_tls_file_paths("fluvio.local", str(key), str(cert), str(ca))
        FluvioAdmin.connect_with_config(config).create_topic("secret")
        config.set_inline_tls("fluvio.local", key.read_text(), cert.read_text(), ca.read_text())
        config.unset_client_id()
        output = Fluvio.connect_with_config(config).topic_producer("secret").send_string("text")
        assert output.wait() is not None
        with pytest.raises(FluviorError, match="set_inline_tls: key is no PEM text"):
            config.set_inline_tls("fluvio.local", str(key), str(cert), str(ca))
        for change in (config.disable_tls, config.set_anonymous_tls):
            change()
            with pytest.raises(FluviorError):
                Fluvio.connect_with_config(config)


def test_an_address_that_is_none_is_refused_when_it_is_used() -> None:
    config = FluvioConfig.new("nonsense")
    with pytest.raises(FluviorError, match="endpoint is 'nonsense'"):
        Fluvio.connect_with_config(config)
