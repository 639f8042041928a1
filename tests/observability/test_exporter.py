"""``flv exporter``: lag and health of a cluster, as a real process tells them; and the dashboard that shows them."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cli_support import Run, started
from prometheus_client import CollectorRegistry
from scraped import exposed, parsed, strictly

from fluvio_cffi import Fluvio, FluvioConnectionError, LocalCluster, Offset, prometheus
from fluvio_cffi._cli.exported import ClusterCollector

pytestmark = pytest.mark.timeout(60)

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "fluvio.json"


@contextmanager
def exporting(endpoint: str, *options: str) -> Iterator[tuple[str, Any]]:
    """The program, and where it says that it is."""
    process = started(
        *("-c", endpoint, "exporter", "--host", "127.0.0.1", "--port", "0", *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        yield process.stderr.readline().strip(), process
    finally:
        process.kill()
        process.communicate()


Scraped = dict[str, dict[tuple[str, ...], float]]


def values_of(text: str) -> Scraped:
    """By metric, the values by those of its labels."""
    found: Scraped = {}
    for family in parsed(text):
        for sample in family.samples:
            values = found.setdefault(sample.name, {})
            assert tuple(sample.labels.values()) not in values
            values[tuple(sample.labels.values())] = sample.value
    return found


def scrape(url: str) -> Scraped:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return values_of(answer.read().decode())


def filled(cluster: LocalCluster) -> None:
    """A topic with two partitions, a consumer that has processed one record of three, and a group that has of none."""
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("orders", partitions=2)
        with client.producer("orders") as producer:
            for partition, count in ((0, 3), (1, 2)):
                for _ in range(count):
                    producer.send(b"x", partition=partition)
        with client.consumer("orders", partitions=0, start=Offset.beginning(), consumer_id="billing") as consumer:
            consumer.commit(consumer.receive())
        with client.consumer("orders", group="shipping", start=Offset.beginning()) as member:
            consumed = [member.receive() for _ in range(5)]
            member.commit(next(record for record in consumed if (record.partition, record.offset) == (0, 1)))


def test_a_process(tmp_path: Path) -> None:
    with LocalCluster() as cluster:
        filled(cluster)
        with exporting(cluster.endpoint) as (url, process):
            found = scrape(url)
            lag = {key[1:]: value for key, value in found["fluvio_consumer_lag"].items() if key[0] == "billing"}
            assert lag[("0", "orders")] == 2 or lag[("orders", "0")] == 2
            assert found["fluvio_up"] == {(): 1.0}
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=20)
            assert (process.returncode, out, err) == (0, "", "")
        with exporting(cluster.endpoint) as (url, process):
            scrape(url)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=20)
            assert (process.returncode, out, err) == (130, "", "")


def collected(collector: ClusterCollector) -> dict[str, dict[str, float]]:
    """By metric, the values by labels as text."""
    registry = CollectorRegistry()
    registry.register(collector)
    found: dict[str, dict[str, float]] = {}
    for family in parsed(exposed(registry)):
        assert family.documentation
        for sample in family.samples:
            key = " ".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            assert key not in found.setdefault(sample.name, {})
            found[sample.name][key] = sample.value
    return found


def test_the_numbers() -> None:
    with LocalCluster(spus=2) as cluster:
        filled(cluster)
        with Fluvio.connect(cluster.endpoint) as client:
            collector = ClusterCollector(lambda: Fluvio.connect(cluster.endpoint), 5.0)
            while (found := collected(collector))["fluvio_partition_log_end"].get("partition=0 topic=orders") != 3:
                pass
            assert found["fluvio_consumer_lag"]["consumer_id=billing partition=0 topic=orders"] == 2
            assert found["fluvio_consumer_offset"]["consumer_id=billing partition=0 topic=orders"] == 0
            assert found["fluvio_group_lag"]["group=shipping partition=0 topic=orders"] == 1
            assert found["fluvio_group_offset"]["group=shipping partition=0 topic=orders"] == 1
            # What a group keeps under its name is no consumer's.
            assert not [labels for labels in found["fluvio_consumer_offset"] if "shipping" in labels]
            assert found["fluvio_group_members"]["group=shipping topic=orders"] == 0
            assert found["fluvio_group_partition_owned"]["group=shipping partition=1 topic=orders"] == 0
            assert found["fluvio_spus"] == {"": 2}
            assert found["fluvio_spu_online"] == {"spu=5001": 1, "spu=5002": 1}
            assert found["fluvio_partitions_offline"] == {"": 0}
            assert found["fluvio_partition_size_bytes"]["partition=0 topic=orders"] > 0
            everything = {topic.name for system in (True, False) for topic in client.admin.topics.list(system=system)}
            assert found["fluvio_topics"][""] == len(everything)
            registry = CollectorRegistry()
            registry.register(collector)
            assert strictly(registry)
            assert found["fluvio_exporter_info"] == {f"version={__import__('fluvio_cffi').__version__}": 1}
            assert set(found["fluvio_exporter_answered"].values()) == {1}
            # What is not there any more cannot say how far consumers are; the rest is told all the same.
            short = ClusterCollector(lambda: Fluvio.connect(cluster.endpoint), 0.5)
            cluster.kill_spu(5001)
            while (found := collected(short))["fluvio_spu_online"]["spu=5001"]:
                pass
            assert found["fluvio_up"] == {"": 1}
            assert found["fluvio_partitions_offline"][""] >= 1
            assert 1 in found["fluvio_partition_offline"].values()
            assert found["fluvio_exporter_answered"]["question=cluster"] == 1
            collector.close()
            short.close()


def test_a_cluster_that_comes_and_goes(tmp_path: Path) -> None:
    cluster = LocalCluster(data_dir=tmp_path)
    with cluster:
        endpoint = cluster.endpoint
    collector = ClusterCollector(lambda: Fluvio.connect(endpoint, timeout=2, wait=False), 0.5)
    found = collected(collector)
    assert found["fluvio_up"] == {"": 0}
    assert found["fluvio_exporter_errors_total"] == {"error=FluvioConnectionError": 1}
    assert "fluvio_spus" not in found
    port = int(endpoint.rpartition(":")[2])
    with LocalCluster(data_dir=tmp_path, port=port):
        assert collected(collector)["fluvio_up"] == {"": 1}
    while (found := collected(collector))["fluvio_up"] == {"": 1}:
        pass
    assert found["fluvio_up"] == {"": 0}
    assert found["fluvio_exporter_scrapes_total"][""] >= 3
    with LocalCluster(data_dir=tmp_path, port=port):
        while collected(collector)["fluvio_up"] != {"": 1}:
            pass
    collector.close()
    # Whoever scrapes it late gets no error either.
    assert collected(collector)["fluvio_exporter_scrapes_total"][""] > 3


def test_a_process_without_a_cluster() -> None:
    with exporting("127.0.0.1:1", "--timeout", "1s") as (url, process):
        found = scrape(url)
        assert found["fluvio_up"] == {(): 0.0}
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        assert process.returncode == 130


def test_a_port_that_is_taken(run: Run) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("exporter", "--host", "127.0.0.1", "--port", str(taken.getsockname()[1]))
    assert ran.status == 1
    assert "in use" in ran.err


def test_the_dashboard_shows_what_is_exported(cluster: LocalCluster) -> None:
    """Each metric, and each label, that it names is exported; and each panel has a title and a place of its own."""
    if not DASHBOARD.exists():
        pytest.skip("these are the files of a checkout, not of the wheel")
    dashboard = json.loads(DASHBOARD.read_text())
    registry = CollectorRegistry()
    with Fluvio.connect(cluster.endpoint) as client:
        prometheus.register(client, registry=registry, labels={"service": "s"})
        client.ping()
        exported = {sample.name for family in registry.collect() for sample in family.samples}
        exported |= {f"{family.name}_total" for family in registry.collect() if family.type == "counter"}

    def away() -> Fluvio:
        raise FluvioConnectionError("away")

    for family in ClusterCollector(away, 1.0).describe():
        exported.add(f"{family.name}_total" if family.type == "counter" else family.name)
    targets = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(targets) >= 15
    named = {name for target in targets for name in re.findall(r"\bfluvio_\w+", target)}
    assert named - exported == set()
    # What matters most is there.
    assert {"fluvio_up", "fluvio_consumer_lag", "fluvio_group_lag", "fluvio_client_errors_total"} <= named
    places: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        assert panel["title"]
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & places
        assert place["x"] + place["w"] <= 24
        places |= cells
