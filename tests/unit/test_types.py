"""Values: how they are made, compared, shown and pickled; sizes and durations."""

from __future__ import annotations

import copy
import math
import pickle
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fluvio_cffi
from fluvio_cffi import (
    ConfigError,
    Offset,
    PartitionAssignment,
    ProducerRecord,
    Record,
    RecordMetadata,
    Topic,
    TopicSpec,
    TopicStatus,
)
from fluvio_cffi._values.quantities import parse_duration, parse_size, parse_timeout

VALUES: list[Any] = [
    Offset.beginning(),
    Offset.end(),
    Offset.at(7),
    Offset.from_beginning(3),
    Offset.from_end(3),
    RecordMetadata("t", 1, 2, 3),
    Record("t", 0, 1, None, None, b"v"),
    Record("t", 0, 1, 5, b"k", b"v"),
    ProducerRecord(b"v", key="k", partition=1, timestamp=5),
    TopicSpec(3, retention="7d", segment_size="1MiB"),
    TopicSpec(assignment=[PartitionAssignment(0, (5001,))]),
    Topic("t", TopicSpec(), TopicStatus("provisioned", "", {0: (5001,)})),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_compare_pickle_and_show(value: Any) -> None:
    for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert twin == value
        assert hash(twin) == hash(value)
        assert repr(twin) == repr(value)
    assert sum(value == other for other in VALUES) == 1
    assert value != object()


@pytest.mark.parametrize(
    "text, size",
    [
        (0, 0),
        (1, 1),
        ("1", 1),
        ("10 B", 10),
        ("16KiB", 16384),
        ("10MiB", 10 << 20),
        ("1GB", 10**9),
        ("1.5k", 1536),
        ("2T", 2 << 40),
    ],
)
def test_sizes(text: Any, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1 XB", "-1", -1, 1.5, None, True, "1e9", "\u0661"])
def test_bad_sizes(text: Any) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        parse_size(text, "batch_size")


@pytest.mark.parametrize(
    "text, seconds",
    [
        (0, 0),
        (1.5, 1.5),
        ("500ms", 0.5),
        ("30s", 30),
        ("1.5m", 90),
        ("12h", 43200),
        ("7d", 604800),
        ("1w", 604800),
        ("3", 3),
    ],
)
def test_durations(text: Any, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "d", "7 days", -1, math.nan, math.inf, None, True, b"7d"])
def test_bad_durations(text: Any) -> None:
    with pytest.raises(ConfigError, match="retention"):
        parse_duration(text, "retention")


@given(st.integers(0, 1 << 62))
def test_a_size_is_itself(size: int) -> None:
    assert parse_size(size) == size
    assert parse_size(str(size // 1024) + "KiB") == pytest.approx(size // 1024 * 1024, rel=1e-9)


def test_timeouts() -> None:
    assert parse_timeout(..., 5.0) == 5.0
    assert parse_timeout(None, 5.0) is None
    assert parse_timeout(0, 5.0) == 0
    assert parse_timeout(math.inf, 5.0) is None
    for bad in (-1, math.nan, "5", True):
        with pytest.raises(ConfigError, match="timeout"):
            parse_timeout(bad, 5.0)  # type: ignore[arg-type]


def test_offsets() -> None:
    assert repr(Offset.beginning()) == "Offset.beginning()"
    assert repr(Offset.from_end(3)) == "Offset.from_end(3)"
    assert Offset.from_end(0) == Offset.end()
    for bad in (-1, 1 << 63, 1.0, "1", True):
        with pytest.raises(ConfigError, match="an offset"):
            Offset.at(bad)  # type: ignore[arg-type]


def test_records() -> None:
    record = Record("t", 0, 1, 5, b"k", b'{"a": 1}')
    assert record.json() == {"a": 1}
    assert record.text == '{"a": 1}'
    topic, partition, offset, timestamp, key, value = record
    assert (topic, partition, offset, timestamp, key, value) == ("t", 0, 1, 5, b"k", b'{"a": 1}')
    assert Record("t", 0, 1, 5, None, b"")
    long = repr(Record("t", 0, 1, 5, b"k" * 100, b"v" * 1000))
    assert len(long) < 300
    assert "(1000 bytes)" in long
    assert "secret" not in repr(ProducerRecord(b"x" * 64 + b"secret"))
    with pytest.raises(AttributeError):
        record.other = 1  # type: ignore[attr-defined]


def test_frozen() -> None:
    cases: list[tuple[Any, str]] = [
        (Offset.end(), "value"),
        (ProducerRecord(b""), "key"),
        (TopicSpec(), "partitions"),
        (RecordMetadata("t", 0, 0, 0), "offset"),
        (TopicStatus("init"), "reason"),
    ]
    for value, name in cases:
        with pytest.raises(AttributeError):
            setattr(value, name, 1)


def test_topic_spec() -> None:
    spec = TopicSpec(3, retention="7d", max_partition_size="10GiB")
    assert spec.retention == 604800
    assert spec.max_partition_size == 10 << 30
    bad: list[dict[str, Any]] = [
        {"partitions": 0},
        {"partitions": True},
        {"replication": "2"},
        {"compression": "zip"},
        {"retention": 0.5},
        {"segment_size": -1},
    ]
    for keywords in bad:
        with pytest.raises(ConfigError, match=next(iter(keywords))):
            TopicSpec(**keywords)


def test_no_public_signature_says_any() -> None:
    for name in fluvio_cffi.__all__:
        cls = getattr(fluvio_cffi, name)
        if not isinstance(cls, type):
            continue
        for each, member in vars(cls).items():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if each.startswith("_") and not each.startswith("__"):
                continue
            for parameter, annotation in getattr(function, "__annotations__", {}).items():
                assert not re.search(r"\bAny\b", str(annotation)), f"{name}.{each}: {parameter}"
