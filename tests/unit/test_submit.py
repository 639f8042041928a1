"""How records are put into the form in which the library takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluvio_cffi import ConfigError, ConfigTypeError, ProducerRecord, Record
from fluvio_cffi._produce.chunks import WEIGHED, ChunkSizer, check_source, chunks
from fluvio_cffi._produce.encode import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    NO_PARTITION,
    NO_TIMESTAMP,
    OVERHEAD,
    BadElement,
    Block,
    as_bytes,
    encode,
)


def contents(block: Block) -> list[tuple[bytes | None, bytes]]:
    """Keys and values, read back as the library does."""
    place = 0
    found = []
    for index, length in enumerate(block.value_lengths):
        key = None
        if block.key_lengths is not None and block.key_lengths[index] >= 0:
            key = bytes(block.data[place : place + block.key_lengths[index]])
            place += len(key)
        found.append((key, bytes(block.data[place : place + length])))
        place += length
    assert place == len(block.data)
    return found


raw = st.binary(max_size=20)
key = st.one_of(st.none(), raw, st.text(max_size=5))
value = st.one_of(raw, raw.map(bytearray), raw.map(lambda data: memoryview(data)), st.text(max_size=10))
element = st.one_of(
    value,
    st.tuples(key, value),
    st.builds(lambda v, k: ProducerRecord(v, key=k), value, key),
    st.builds(lambda k, v: Record("t", 0, 0, 5, k, v), st.one_of(st.none(), raw), raw),
)


def expected(item: Any) -> tuple[bytes | None, bytes]:
    if isinstance(item, (ProducerRecord, Record)):
        item = (item.key, item.value)
    name, content = item if isinstance(item, tuple) else (None, item)
    return (None if name is None else as_bytes(name, "key")), as_bytes(content, "value")


@given(st.one_of(st.lists(element, min_size=1), st.lists(raw, min_size=1), st.lists(st.tuples(raw, raw), min_size=1)))
def test_what_is_encoded_is_what_was_given(items: list[Any]) -> None:
    block = encode(items, 0)
    assert contents(block) == [expected(item) for item in items]
    assert block.cost == sum(len(k or b"") + len(v) + OVERHEAD for k, v in map(expected, items))
    # In any pieces.
    total = block.cost
    while block.start < block.count:
        assert block.next_cost() <= block.cost
        total -= block.next_cost()
        block.advance(1)
    assert block.cost == total == 0


def test_partition_and_timestamp() -> None:
    block = encode([b"a", ProducerRecord(b"b", partition=3, timestamp=7), Record("t", 9, 9, 9, None, b"c")], 0)
    assert block.partitions is not None and list(block.partitions) == [NO_PARTITION, 3, NO_PARTITION]
    assert block.timestamps is not None and list(block.timestamps) == [NO_TIMESTAMP, 7, NO_TIMESTAMP]


def test_what_can_change_is_copied() -> None:
    data = bytearray(b"abc")
    block = encode([data], 0)
    data[:] = b"xyz"
    assert contents(block) == [(None, b"abc")]
    assert as_bytes(memoryview(b"abcdef")[::2], "value") == b"ace"

    class Odd(bytes):
        def __len__(self) -> int:
            return 1

    assert contents(encode([Odd(b"abc")], 0)) == [(None, b"abc")]


@pytest.mark.parametrize(
    "bad, said",
    [
        (5, "bytes"),
        (None, "bytes"),
        ((1, 2, 3), "tuple"),
        ((b"k", None), "value"),
        ((5, b"v"), "key"),
        (ProducerRecord(b"v", partition=-1), "partition"),
        (ProducerRecord(b"v", timestamp="now"), "timestamp"),  # type: ignore[arg-type]
        ("\ud800", "UTF-8"),
    ],
)
def test_a_bad_element_is_named_and_those_before_it_are_kept(bad: Any, said: str) -> None:
    with pytest.raises(BadElement) as raised:
        encode([b"a", "b", bad, b"c"], 100)
    error = raised.value.error
    assert isinstance(error, ConfigError)
    assert "record 102" in str(error)
    assert said in str(error)
    assert raised.value.block is not None
    assert contents(raised.value.block) == [(None, b"a"), (None, b"b")]


def test_what_is_no_sequence_of_records() -> None:
    async def arriving() -> AsyncIterator[bytes]:
        yield b"x"

    for bad in ("text", b"bytes", bytearray(b"x"), memoryview(b"x"), ProducerRecord(b"x"), {b"key": b"value"}, 7, None):
        for asynchronous in (True, False):
            with pytest.raises(ConfigTypeError, match="records must be an iterable of records"):
                check_source(bad, asynchronous=asynchronous)
    check_source(arriving(), asynchronous=True)
    with pytest.raises(ConfigTypeError, match="AsyncFluvio"):
        check_source(arriving(), asynchronous=False)


def test_chunks_are_lazy_and_complete() -> None:
    taken = []

    def source() -> Any:
        for number in range(5000):
            taken.append(number)
            yield b"%d" % number

    found = 0
    for chunk in chunks(source(), ChunkSizer()):
        assert len(chunk) <= CHUNK_RECORDS
        found += len(chunk)
        assert len(taken) == found
    assert found == 5000
    for size, found_sizes in ((0, []), (1, [1]), (16, [16]), (17, [16, 1]), (2500, [16, *[CHUNK_RECORDS] * 4, 484])):
        assert [len(chunk) for chunk in chunks([b"x"] * size, ChunkSizer())] == found_sizes


def test_what_came_before_a_failing_input_is_kept() -> None:
    def source() -> Any:
        yield from (b"a", b"b", b"c")
        raise ZeroDivisionError

    found: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        for chunk in chunks(source(), ChunkSizer()):
            found.extend(chunk)
    assert found == [b"a", b"b", b"c"]


def test_large_records_go_in_small_chunks() -> None:
    sizer = ChunkSizer()
    sizes = []
    for chunk in chunks([b"x" * 100_000] * 100, sizer):
        sizer.weigh(encode(chunk, 0))
        sizes.append(len(chunk))
    assert sum(sizes) == 100
    assert max(sizes[1:]) == CHUNK_BYTES // 100_000


@pytest.mark.parametrize(
    "large",
    [b"x" * 900_000, "x" * 900_000, (b"k", b"x" * 900_000), ProducerRecord(b"x" * 900_000)],
    ids=["bytes", "str", "pair", "record"],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_values_that_suddenly_are_large_go_in_small_blocks(large: Any, lazy: bool) -> None:
    """So many are read ahead, and so many encoded, as there may be, though all before them were small."""
    small = (b"", b"") if isinstance(large, tuple) else b""
    items = [small] * 3000 + [large] * 300
    taken = 0

    def source() -> Any:
        nonlocal taken
        for item in items:
            taken += 1
            yield item

    sizer = ChunkSizer()
    sent = 0
    for chunk in chunks(source() if lazy else items, sizer):
        if lazy:
            assert taken - sent <= (WEIGHED if sent > 3000 else CHUNK_RECORDS)
            assert sum(item == large for item in chunk) <= WEIGHED
        while chunk:
            block = encode(chunk, sent)
            sizer.weigh(block)
            assert len(block.data) <= CHUNK_BYTES or block.count == 1
            sent += block.count
            chunk = chunk[block.count :]
    assert sent == len(items)
