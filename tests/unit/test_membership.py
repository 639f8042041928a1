"""What a consumer says of its group, and what of it is refused before anything is sent."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

from fluvio_cffi import AsyncFluvio, ConfigError, ConfigTypeError, Fluvio, RecordBatch
from fluvio_cffi._consume.batch import Buffer, gone
from fluvio_cffi._consume.columns import Columns, OwnedPartition
from fluvio_cffi._consume.group import leave, now, sixteens

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"group": ""}, "group is empty: it must have at least one character"),
    ({"group": "ü" * 101}, "group has 202 bytes: it must have 1 to 200"),
    ({"group": "a\nb"}, r"group is 'a\\nb': it must have no control characters"),
    ({"group": "a\x85"}, r"group is 'a\\x85': it must have no control characters"),
    ({"group": 1}, "group must be a str, not 1"),
    ({"group": "g", "consumer_id": "c"}, "consumer_id and group are both given: .*leave consumer_id out"),
    ({"group": "g", "partitions": 0}, "partitions and group are both given: .*leave partitions out"),
    ({"group": "g", "resume": False}, "resume is False: with a group it must be True"),
    ({"group": "g", "instance": ""}, "instance is empty"),
    ({"group": "g", "instance": "i" * 201}, "instance has 201 bytes"),
    ({"group": "g", "session_timeout": 0.5}, "session_timeout is 0.5: it must be from 1 s to 1 h"),
    ({"group": "g", "session_timeout": "61m"}, "session_timeout is '61m': it must be from 1 s to 1 h"),
    ({"group": "g", "rebalance_timeout": 0}, "rebalance_timeout is 0: it must be from 1 ms to 1 day"),
    ({"group": "g", "processing_timeout": "2d"}, "processing_timeout is '2d': it must be from 1 ms to 1 day"),
    ({"group": "g", "on_revoked": 5}, "on_revoked must be a function that takes the partitions, not 5"),
    ({"instance": "i"}, "instance is for the members of a group: it needs a group"),
    ({"on_assigned": print}, "on_assigned is for the members of a group"),
    ({"on_revoked": print}, "on_revoked is for the members of a group"),
    ({"on_lost": print}, "on_lost is for the members of a group"),
    ({"commit": "auto"}, "commit is 'auto': it needs a consumer_id, or a group"),
]


def test_a_group_shares_one_topic() -> None:
    clients: list[Any] = [object.__new__(AsyncFluvio), object.__new__(Fluvio)]
    for client in clients:
        with pytest.raises(ConfigError, match="topic is a list, and group is given: a group shares one topic"):
            client.consumer(["orders", "refunds"], group="g")


@pytest.mark.parametrize("cls", [AsyncFluvio, Fluvio])
@pytest.mark.parametrize(("keywords", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_refused(cls: Any, keywords: dict[str, Any], words: str) -> None:
    # Nothing is looked at but the arguments: there is no cluster.
    client = object.__new__(cls)
    with pytest.raises(ConfigError, match=words):
        client.consumer("orders", **keywords)


def test_threads_await_nothing() -> None:
    async def later(partitions: tuple[int, ...]) -> None: ...

    client = object.__new__(Fluvio)
    with pytest.raises(ConfigTypeError, match="on_lost must be a plain function"):
        client.consumer("orders", group="g", on_lost=later)


# -- what was handed out says under which epoch


def owned(partition: int, epoch: int, *offsets: int) -> Columns:
    return Columns(
        "t", OwnedPartition(partition, epoch), list(offsets), None, None, [b"v"] * len(offsets), offsets[-1] + 1, None
    )


def test_records_know_their_epoch() -> None:
    batch = RecordBatch([owned(0, 5, 1, 2), owned(3, 9, 7)])
    assert batch.epochs == {0: 5, 3: 9}
    assert [type(partition) for partition in batch.last_offsets] == [int, int]
    twin = pickle.loads(pickle.dumps(batch))
    assert twin == batch
    assert twin.epochs == batch.epochs
    record = pickle.loads(pickle.dumps(batch[0]))
    assert record == batch[0]
    assert (record.partition, record.partition.epoch) == (0, 5)
    assert repr(record).startswith("Record(topic='t', partition=0,")
    assert RecordBatch([Columns("t", 0, [1], None, None, [b"v"], 2, None)]).epochs == {}


# -- what has gone is dropped


class Lent:
    """What the library has handed over."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seeks = 0


def filled(*parts: Columns) -> Buffer:
    buffer = Buffer()
    for part in parts:
        buffer.push(part, Lent(len(part)))
    return buffer


def test_what_has_gone_is_dropped_and_forgotten() -> None:
    buffer = filled(owned(0, 5, 1, 2, 3), owned(1, 6, 10))
    begun = buffer.read(buffer.state, 1)
    assert begun is not None
    buffer.state, records = begun
    assert [record.offset for record in records] == [1]
    assert buffer.handed_out() == {0: 1}
    buffer.state = gone(buffer.state, {0})
    assert buffer.count == 1
    assert buffer.handed_out() == {}
    assert buffer.in_hand() is None
    cut = buffer.cut(10)
    assert cut is not None
    assert cut.batch.offset_list() == [10]


def test_what_is_barred_is_kept() -> None:
    buffer = filled(owned(0, 5, 1, 2), owned(1, 6, 10))
    barred = frozenset({0})
    cut = buffer.cut(10, barred=barred)
    assert cut is not None
    assert cut.batch.offset_list() == [10]
    begun = buffer.read(buffer.state, 1)
    assert begun is not None
    buffer.state, records = begun
    assert next(records).offset == 1
    again = buffer.read(buffer.state, 9, barred)
    assert again is not None
    assert [record.offset for record in again[1]] == [10]
    buffer.state = again[0]
    assert buffer.read(buffer.state, 9, barred) is None
    begun = buffer.read(buffer.state, 9)
    assert begun is not None
    assert [record.offset for record in begun[1]] == [2]


def about_to_leave(count: int, lease: int, unchanged: Any) -> tuple[Any, Any]:
    """The offsets of records that leave one by one, and the buffer that they leave."""
    buffer = filled(owned(0, 5, *range(50)))
    begun = buffer.read(buffer.state, count, leave=lambda gate: leave(gate, [lease], sixteens(unchanged)))
    assert begun is not None
    buffer.state, records = begun
    return (record.offset for record in records), buffer


def test_records_leave_under_a_lease() -> None:
    offsets, buffer = about_to_leave(20, now() + 10**12, memoryview(b"\1" * 512))
    assert list(offsets) == list(range(20))
    assert buffer.count == 30
    offsets, buffer = about_to_leave(20, now() - 1, memoryview(b"\1" * 512))
    assert list(offsets) == []
    assert buffer.count == 50


def test_none_leaves_after_a_change() -> None:
    unchanged = bytearray(b"\1" * 512)
    offsets, buffer = about_to_leave(20, now() + 10**12, memoryview(unchanged))
    assert [next(offsets), next(offsets)] == [0, 1]
    unchanged[:] = bytes(512)
    assert list(offsets) == []
    # None was taken in vain.
    assert buffer.count == 48


def test_the_clock_is_looked_at_for_every_sixteenth() -> None:
    """The library may be late with its word: say, the whole process was stopped."""
    offsets, buffer = about_to_leave(40, now() + 300_000_000, memoryview(b"\1" * 512))
    assert [next(offsets), next(offsets)] == [0, 1]
    time.sleep(0.4)
    assert list(offsets) == list(range(2, 16))
    assert buffer.count == 50 - 16
