"""Tables that are sent: of any maker and any type that can be bytes; what is refused, and when."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import anyio
import pytest
from arrow_support import ordered_rows, read_rows
from conftest import World
from laws import native_counts

import fluvio_cffi
from fluvio_cffi import (
    ClosedError,
    ConfigError,
    ConfigTypeError,
    DeliveryError,
    FluvioTimeoutError,
    Partitioner,
    RecordTooLargeError,
    UsageError,
)
from fluvio_cffi.codecs import Text

duckdb: Any = pytest.importorskip("duckdb")
polars: Any = pytest.importorskip("polars")
pa: Any = pytest.importorskip("pyarrow")
nanoarrow: Any = pytest.importorskip("nanoarrow")
arro3: Any = pytest.importorskip("arro3.core")

pytestmark = pytest.mark.timeout(60)
VALUES = [b"a", b"", b"twelve bytes", b"thirteen byte", b"x" * 5_000]
KEYS = [None, b"", b"k", None, b"a key that is longer than a view"]


class Wrapped:
    """Arrow data of which only one array can be had."""

    def __init__(self, batch: Any) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: object = None) -> Any:
        return self._batch.__arrow_c_array__(requested_schema)


def column(values: list[Any], kind: Any) -> Any:
    if isinstance(kind, pa.DictionaryType):
        return pa.array(values, kind.value_type).dictionary_encode()
    return pa.array(values, kind)


# -- what is taken

KINDS = [
    pa.binary(),
    pa.large_binary(),
    pa.binary_view(),
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int32(), pa.binary()),
    pa.dictionary(pa.int32(), pa.large_string()),
]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("piece", [slice(None), slice(1, 4)], ids=["whole", "slice"])
async def test_types(world: World, kind: Any, piece: slice) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        table = pa.table({"body": column(VALUES, kind), "name": column(KEYS, kind)})[piece]
        async with client.producer(topic) as producer:
            result = await producer.send_arrow(table, value="body", key="name")
            assert [meta.offset for meta in result] == [*range(len(VALUES[piece]))]
            await producer.send_arrow(table, value="body")
        rows = await read_rows(client, topic)
        expected = [*zip(KEYS[piece], VALUES[piece], strict=True)]
        assert [(key, value) for *_, key, value in rows] == expected + [(None, value) for _, value in expected]


@pytest.mark.backends("asyncio", "sync")
async def test_a_fixed_size(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        table = pa.table({"value": pa.array([b"abc", b"def", b"ghi"], pa.binary(3))})
        async with client.producer(topic) as producer:
            for each in (table, table[1:], table[:0]):
                assert len(await producer.send_arrow(each)) == each.num_rows
        assert [value for *_, value in await read_rows(client, topic)] == [b"abc", b"def", b"ghi", b"def", b"ghi"]


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint16(), pa.int32(), pa.uint64()], ids=str)
@pytest.mark.backends("asyncio", "sync")
async def test_partitions_and_times(world: World, kind: Any) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        noon = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
        numbers = {"value": [b"0", b"1", b"2", b"3"], "p": pa.array([2, 0, 2, None], kind)}
        stamps = {
            unit: pa.array([noon, noon, None, noon], pa.timestamp(unit, "Europe/Zurich"))
            for unit in ("s", "ms", "us", "ns")
        }
        millis = round(noon.timestamp() * 1000)
        table = pa.table(numbers | stamps | {"plain": [millis, millis, None, millis]})
        async with client.producer(topic) as producer:
            for name in ("s", "ms", "us", "ns", "plain"):
                result = await producer.send_arrow(table, partition="p", timestamp=name)
                assert [meta.partition for meta in result][:3] == [2, 0, 2]
                times = [meta.timestamp for meta in result]
                assert times[:2] == [millis, millis] == [times[3]] * 2 and times[2] > millis - 10**12


@pytest.mark.backends("asyncio", "sync")
async def test_makers(world: World) -> None:
    rows = {"value": ["a", "b", "c"], "n": [1, 2, 3]}
    table, frame = pa.table(rows), polars.DataFrame(rows)
    with duckdb.connect() as connection:
        makers = [
            table,
            table.to_batches()[0],
            pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
            Wrapped(table.to_batches()[0]),
            frame,
            connection.sql("FROM frame"),
            nanoarrow.ArrayStream(table),
            arro3.Table(table),
        ]
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                for maker in makers:
                    assert len(await producer.send_arrow(maker)) == 3, maker
            assert [value for *_, value in await read_rows(client, topic)] == [b"a", b"b", b"c"] * len(makers)


async def test_a_topic_is_copied(world: World) -> None:
    async with world.connect() as client:
        source, target = await world.topic(client, partitions=2), await world.topic(client, partitions=2)
        async with client.producer(source) as producer:
            await producer.send_all((b"k%d" % (i % 9), b"v" * (i % 70)) for i in range(10_000))
        how = {"start": fluvio_cffi.Offset.beginning(), "stop_at_end": True}
        async with (
            client.producer(target) as producer,
            client.consumer(source, format="arrow", **how) as consumer,
        ):
            columns = {"key": "key", "partition": "partition", "timestamp": "timestamp"}
            async for batch in consumer.batches(max_records=1_700):
                await producer.send_arrow(batch, **columns)
        assert ordered_rows(await read_rows(client, target)) == ordered_rows(await read_rows(client, source))


async def test_a_frame_of_a_million_rows(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        count = 1_000_000 if world.is_sync else 100_000
        frame = polars.select(value=polars.int_range(count).cast(polars.String))
        async with client.producer(topic, buffer_size="2MiB") as producer:
            result = await producer.send_arrow(frame)
        assert (len(result), result.count, result.errors) == (count, count, {})
        ends = await client.offsets(topic)
        assert sum(end for _, end in ends.values()) == count


# -- partitioners


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_partitioners(world: World) -> None:
    def choose(key: bytes | None, value: bytes, partitions: int) -> int:
        return (len(key or b"") + len(value)) % partitions

    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        values = [b"v" * (i % 11) for i in range(1_000)]
        keys = [None if i % 2 else b"k" * (i % 7) for i in range(1_000)]
        table = pa.table({"value": values, "key": keys, "p": [1 if i % 5 == 0 else None for i in range(1_000)]})
        async with client.producer(topic, partitioner=choose) as producer:
            result = await producer.send_arrow(table, key="key")
            expected = [choose(key, value, 3) for key, value in zip(keys, values, strict=True)]
            assert [meta.partition for meta in result] == expected
            result = await producer.send_arrow(table, key="key", partition="p")
            assert [meta.partition for meta in result] == [
                1 if i % 5 == 0 else chosen for i, chosen in enumerate(expected)
            ]
        async with client.producer(topic, partitioner=Partitioner.fixed(2)) as producer:
            assert {meta.partition for meta in await producer.send_arrow(table)} == {2}


# -- what is not


@pytest.mark.parametrize(
    "table, how, words",
    [
        ({"n": [1]}, {}, 'value is "value": it must be the name of a column; data has the columns "n"'),
        ({"value": [1]}, {}, 'value is the column "value" of type int64: it must be binary or utf8, also large, views'),
        ({"value": [1.5]}, {}, "of type float64"),
        ({"value": [True]}, {}, "of type bool"),
        ({"value": [[b"a"]]}, {}, "of type list"),
        ({"value": [None]}, {}, "of type null"),
        ({"value": [datetime(2026, 1, 1)]}, {}, "of type timestamp without a time zone"),
        ({"value": pa.array([1]).dictionary_encode()}, {}, "of type dictionary of int64"),
        ({"value": [b"a"], "k": [1]}, {"key": "k"}, 'key is the column "k" of type int64'),
        (
            {"value": [b"a"], "p": ["1"]},
            {"partition": "p"},
            'partition is the column "p" of type utf8: it must be an int',
        ),
        (
            {"value": [b"a"], "t": [datetime(2026, 1, 1)]},
            {"timestamp": "t"},
            'timestamp is the column "t" of type timestamp without a time zone: it must be a timestamp with',
        ),
        ({"value": [b"a", None]}, {}, 'the column "value" has no value in row 1: each record must have one'),
        (
            {"value": [b"a"], "p": [-1]},
            {"partition": "p"},
            "the partition in row 0 is -1: it must be from 0 to 2147483647",
        ),
        ({"value": [b"a"], "t": [-5]}, {"timestamp": "t"}, "the timestamp in row 0 is -5: it must be from 0 to"),
        ({"value": [b"a"]}, {"value": ""}, "value is empty"),
        ({"value": [b"a"]}, {"key": ""}, "key is empty"),
    ],
)
@pytest.mark.backends("asyncio", "sync")
async def test_what_is_refused(world: World, table: Any, how: Any, words: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            with pytest.raises(ConfigError) as caught:
                await producer.send_arrow(pa.table(table), **how)
            assert words in str(caught.value)
            # It keeps what was going on when it was raised.
            del caught
        assert await read_rows(client, topic) == []
        gc.collect()
        assert native_counts()["arrow_readers"] == 0


@pytest.mark.backends("asyncio", "sync")
async def test_what_is_no_arrow_data(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for data in ([b"a"], b"a", None, {"value": [b"a"]}):
                with pytest.raises(ConfigTypeError, match="data must be Arrow data, with a method __arrow_c_stream__"):
                    await producer.send_arrow(data)
            with pytest.raises(ConfigError, match="data is an array of type binary: it must be a table with columns"):
                await producer.send_arrow(pa.array([b"a"]))
            spent = pa.RecordBatchReader.from_batches(pa.schema([]), [])
            spent.__arrow_c_stream__()
            with pytest.raises(ConfigError, match="data has no columns"):
                await producer.send_arrow(spent)
        with pytest.raises(ClosedError):
            await producer.send_arrow(pa.table({"value": [b"a"]}))
        async with client.producer(topic, value=Text()) as producer:
            with pytest.raises(
                UsageError, match="send_arrow sends the bytes of its columns: open the producer without"
            ):
                await producer.send_arrow(pa.table({"value": [b"a"]}))
        assert await read_rows(client, topic) == []


def batches(*values: Any, fails: bool = False) -> Any:
    """A reader of batches that are made as they are asked for."""
    schema = pa.schema({"value": pa.binary()})

    def made() -> Iterator[Any]:
        for each in values:
            yield pa.record_batch({"value": pa.array(each, pa.binary())}, schema)
        if fails:
            raise ValueError("the source has run dry")

    return pa.RecordBatchReader.from_batches(schema, made())


@pytest.mark.backends("asyncio", "sync")
async def test_a_batch_with_a_null_is_not_sent_at_all(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            with pytest.raises(ConfigError, match="has no value in row 7: each record must have one"):
                await producer.send_arrow(batches([b"a"] * 5, [b"b", b"c", None, b"d"], [b"e"]))
            await producer.flush()
        assert [value for *_, value in await read_rows(client, topic)] == [b"a"] * 5


@pytest.mark.backends("asyncio", "sync")
async def test_a_source_that_fails(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            with pytest.raises(ConfigError, match=r"data cannot be read to its end: .*the source has run dry"):
                await producer.send_arrow(batches([b"a"] * 5, fails=True))
            await producer.flush()
        assert [value for *_, value in await read_rows(client, topic)] == [b"a"] * 5


async def test_a_record_that_is_too_large(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            with pytest.raises(DeliveryError, match="record 3: ") as caught:
                await producer.send_arrow(pa.table({"value": [b"a", b"b", b"c", b"x" * 2_000_000, b"d"]}))
            result = caught.value.result
            assert result is not None and (len(result), result.count) == (4, 3)
            assert isinstance(result.errors[3], RecordTooLargeError)
        assert [value for *_, value in await read_rows(client, topic)] == [b"a", b"b", b"c"]


# -- back-pressure


async def test_it_reads_no_further_than_there_is_room(world: World) -> None:
    asked = itertools.count()
    schema = pa.schema({"value": pa.binary()})

    def made() -> Iterator[Any]:
        for _ in range(100):
            next(asked)
            yield pa.record_batch({"value": pa.array([b"x" * 10_000] * 10)}, schema)

    async with world.connect() as client:
        topic = await world.topic(client)
        how = {"buffer_size": "300KiB", "max_request_size": "100KiB", "delivery_timeout": 60}
        async with client.producer(topic, **how) as producer:
            with world.cluster.faults.stall(5001):
                with pytest.raises(FluvioTimeoutError) as caught:
                    await producer.send_arrow(pa.RecordBatchReader.from_batches(schema, made()), timeout=0.5)
                assert (caught.value.phase, caught.value.outcome) == ("enqueue", "pending")
                assert 2 <= next(asked) <= 5
                del caught
            await producer.flush()
        sent = await read_rows(client, topic)
        assert 20 <= len(sent) <= 40 and {value for *_, value in sent} == {b"x" * 10_000}
        gc.collect()
        assert native_counts()["arrow_readers"] == 0


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_cancelled_it_sends_what_was_accepted(world: World) -> None:
    table = pa.table({"value": [b"x" * 10_000] * 100})
    async with world.connect() as client:
        topic = await world.topic(client)
        how = {"buffer_size": "300KiB", "max_request_size": "100KiB", "delivery_timeout": 60}
        async with client.producer(topic, **how) as producer:
            with world.cluster.faults.stall(5001):
                with anyio.move_on_after(0.3) as scope:
                    await producer.send_arrow(table)
                assert scope.cancelled_caught
                accepted = producer.pending.records
            await producer.flush()
            assert len(await producer.send_arrow(table[:1])) == 1
        assert len(await read_rows(client, topic)) == accepted + 1 < 50
