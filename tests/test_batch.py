"""Columns, batches, and the buffer between the library and the reader."""

from __future__ import annotations

import pickle
import random

import pytest

from fluvio_cffi import Record, RecordBatch
from fluvio_cffi._batch import Buffer, Columns


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


def test_what_is_handed_out_is_the_readers() -> None:
    batch = RecordBatch([columns(0, 0, 3)])
    batch.value_list().clear()
    assert len(list(batch)) == 3


def cut_off(buffer: Buffer, limit: int) -> RecordBatch:
    cut = buffer.cut(limit)
    buffer.parts, buffer.positions, buffer.source, buffer.count = cut.after
    return cut.batch


def test_a_buffer_hands_out_all_in_order_however_it_is_read() -> None:
    for seed in range(300):
        dice = random.Random(seed)
        buffer = Buffer()
        pushed = {0: 0, 1: 0}
        read: dict[int, list[int]] = {0: [], 1: []}
        in_buffer = 0
        for _ in range(30):
            move = dice.randrange(4)
            if move == 0:
                partition, count = dice.randrange(2), dice.randrange(1, 6)
                buffer.push(columns(partition, pushed[partition], count, keys=bool(dice.randrange(2))))
                pushed[partition] += count
                in_buffer += count
            elif move == 1:
                for record in buffer.records(dice.randrange(1, 5)):
                    read[record.partition].append(record.offset)
                    in_buffer -= 1
                    if dice.randrange(3) == 0:
                        break
            elif move == 2:
                buffer.settle()
                if buffer.count:
                    limit = dice.randrange(1, 8)
                    batch = cut_off(buffer, limit)
                    assert 0 < len(batch) <= limit
                    for record in batch:
                        assert record.value == b"v%d" % record.offset
                        read[record.partition].append(record.offset)
                    in_buffer -= len(batch)
            else:
                buffer.settle()
                assert buffer.count == in_buffer
                position = buffer.position()
                for partition, offsets in read.items():
                    if offsets:
                        assert position[partition] == offsets[-1] + 1
        for partition, offsets in read.items():
            assert offsets == list(range(len(offsets)))
            assert partition in (0, 1)


def test_offsets_with_holes() -> None:
    buffer = Buffer()
    buffer.push(columns(0, 0, 4, gap=10))
    assert buffer.position() == {0: 0}
    batch = cut_off(buffer, 2)
    assert batch.offset_list() == [0, 10]
    assert buffer.position() == {0: 20}
    assert [record.offset for record in buffer.records(9)] == [20, 30]
    assert buffer.position() == {0: 31}
