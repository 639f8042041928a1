"""Columns, batches, and the buffer between the library and the reader."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluvio_cffi import Record, RecordBatch
from fluvio_cffi._consume.batch import Buffer, holding_back, positions, without
from fluvio_cffi._consume.columns import Columns


def columns(partition: int, first: int, count: int, *, keys: bool = False, gap: int = 0) -> Columns:
    offsets = range(first, first + count) if not gap else [first + gap * index for index in range(count)]
    return Columns(
        "t",
        partition,
        offsets,
        [index or None for index in range(count)] if keys else 5,
        [b"k%d" % index if index % 2 else None for index in range(count)] if keys else None,
        [b"v%d" % offset for offset in offsets],
        offsets[-1] + 1,
        sum(len(b"v%d" % offset) for offset in offsets),
    )


def test_a_batch_is_a_sequence() -> None:
    batch = RecordBatch([columns(0, 10, 3, keys=True), columns(1, 5, 2)])
    records = list(batch)
    assert len(batch) == len(records) == 5
    assert records[1] == Record("t", 0, 11, 1, b"k1", b"v11")
    assert records[4] == Record("t", 1, 6, 5, None, b"v6")
    assert [batch[index] for index in range(-5, 5)] == records * 2
    assert batch[1:4] == records[1:4]
    assert list(reversed(batch)) == records[::-1]
    assert records[2] in batch
    assert batch.value_list() == [record.value for record in records]
    assert batch.key_list() == [record.key for record in records]
    assert batch.offset_list() == [record.offset for record in records]
    assert batch.timestamp_list() == [record.timestamp for record in records]
    assert batch.tuples() == [
        (record.partition, record.offset, record.timestamp, record.key, record.value) for record in records
    ]
    assert batch.last_offsets == {0: 12, 1: 6}
    assert batch.nbytes == 13
    assert batch.topic == "t"
    assert pickle.loads(pickle.dumps(batch)) == batch
    assert batch != RecordBatch([columns(0, 10, 3, keys=True)])
    assert "0: 10..12" in repr(batch)
    for index in (5, -6):
        with pytest.raises(IndexError):
            batch[index]


def test_a_group_at_offset_0_that_is_not_complete_has_no_last_offset() -> None:
    group = Columns("t", 0, [0, 0, 0], None, None, [b"a", b"b", b"c"], 1, 3, [0, 0, 0])
    assert RecordBatch([group.slice(0, 2), columns(1, 5, 2)]).last_offsets == {1: 6}
    assert RecordBatch([group]).last_offsets == {0: 0}


def test_what_is_handed_out_is_the_readers() -> None:
    batch = RecordBatch([columns(0, 0, 3)])
    batch.value_list().clear()
    assert len(list(batch)) == 3


class Chunk:
    """What the library lends."""

    def __init__(self, seeks: int) -> None:
        self.count = 1
        self.seeks = seeks


def push(buffer: Buffer, part: Columns, seeks: int = 0, first: bool = False) -> None:
    chunk = Chunk(seeks)
    buffer.push(part, chunk, first)
    assert chunk.count == 0


def read(buffer: Buffer, stride: int) -> Iterator[Record]:
    begun = buffer.read(buffer.state, stride)
    if begun is None:
        return iter(())
    buffer.state = begun[0]
    return begun[1]


def cut_off(buffer: Buffer, limit: int) -> RecordBatch:
    cut = buffer.cut(limit)
    assert cut is not None and cut.before is buffer.state
    buffer.state = cut.after
    batch: RecordBatch = cut.batch
    return batch


class Push(NamedTuple):
    partition: int
    records: int
    keys: bool
    first: bool


class Read(NamedTuple):
    """Records one by one, no more than `most`."""

    stride: int
    most: int


class Cut(NamedTuple):
    limit: int


class Hold(NamedTuple):
    paused: frozenset[int]


Move = Push | Read | Cut | Hold
PARTITIONS = st.integers(0, 1)
MOVES: st.SearchStrategy[Move] = st.one_of(
    st.builds(Push, PARTITIONS, st.integers(1, 5), st.booleans(), st.booleans()),
    st.builds(Read, st.integers(1, 4), st.integers(1, 10)),
    st.builds(Cut, st.integers(1, 7)),
    st.builds(Hold, st.frozensets(PARTITIONS)),
)


@given(st.lists(MOVES, max_size=40))
def test_a_buffer_hands_out_all_in_order_however_it_is_read(moves: list[Move]) -> None:
    """Also while partitions are held back and let go."""
    buffer = Buffer()
    pushed = {0: 0, 1: 0}
    got = {0: 0, 1: 0}
    paused: frozenset[int] = frozenset()

    def is_next(record: Record) -> None:
        assert record.partition not in paused
        assert (record.offset, record.value) == (got[record.partition], b"v%d" % record.offset)
        got[record.partition] += 1

    for move in [*moves, Hold(frozenset()), Cut(1_000)]:
        waiting = sum(pushed[partition] - got[partition] for partition in {0, 1} - paused)
        if isinstance(move, Push):
            push(
                buffer, columns(move.partition, pushed[move.partition], move.records, keys=move.keys), first=move.first
            )
            pushed[move.partition] += move.records
        elif isinstance(move, Read):
            for record in islice(read(buffer, move.stride), move.most):
                is_next(record)
                assert buffer.in_hand() == (record.partition, record.offset)
        elif isinstance(move, Hold):
            paused = move.paused
            buffer.state = holding_back(buffer.state, paused)
        elif waiting:
            batch = cut_off(buffer, move.limit)
            assert 0 < len(batch) <= move.limit
            for record in batch:
                is_next(record)
            assert buffer.in_hand() is None
        else:
            assert buffer.cut(move.limit) is None
        assert buffer.count == sum(pushed[partition] - got[partition] for partition in {0, 1} - paused)
        assert positions(buffer.state) == {partition: got[partition] for partition in got if pushed[partition]}
        assert buffer.handed_out() == {partition: got[partition] - 1 for partition in got if got[partition]}
    assert got == pushed, "a last cut takes all that was let go"


def test_a_seek_drops_what_was_read_ahead() -> None:
    buffer = Buffer()
    push(buffer, columns(0, 0, 5))
    push(buffer, columns(1, 0, 5))
    records = read(buffer, 3)
    assert [next(records).offset, next(records).offset] == [0, 1]
    buffer.state = without(buffer.state, 0, 1)
    assert positions(buffer.state) == {1: 0}
    # What another thread had taken before it sought comes too late; what was taken after that is wanted.
    push(buffer, columns(0, 5, 5), seeks=0)
    assert positions(buffer.state) == {1: 0}
    push(buffer, columns(0, 3, 2), seeks=1)
    assert positions(buffer.state) == {0: 3, 1: 0}
    # It was sought again, and nobody has said so here yet.
    push(buffer, columns(0, 1, 2), seeks=2)
    assert positions(buffer.state) == {0: 1, 1: 0}
    assert cut_off(buffer, 10).tuples() == [(1, n, 5, None, b"v%d" % n) for n in range(5)] + [
        (0, n, 5, None, b"v%d" % n) for n in (1, 2)
    ]
    # An older one is no news.
    assert without(buffer.state, 0, 1) is buffer.state


def test_offsets_with_holes() -> None:
    buffer = Buffer()
    push(buffer, columns(0, 0, 4, gap=10))
    assert positions(buffer.state) == {0: 0}
    batch = cut_off(buffer, 2)
    assert batch.offset_list() == [0, 10]
    assert positions(buffer.state) == {0: 20}
    assert [record.offset for record in read(buffer, 9)] == [20, 30]
    assert positions(buffer.state) == {0: 31}
