"""Records as Arrow data: what everybody who reads such makes of them, and how long it lasts."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from arrow_support import READERS, by_pyarrow, by_pyarrow_array, ordered_rows, read_rows
from conftest import World
from laws import native_counts
from smartmodule_support import contains, module
from typing_extensions import assert_type

from fluvio_cffi import (
    ArrowBatch,
    ArrowConsumer,
    AsyncArrowConsumer,
    AsyncFluvio,
    ClosedError,
    ConfigError,
    Fluvio,
    Offset,
    Opening,
    PartitionNotFoundError,
    ProducerRecord,
    RecordBatch,
    UsageError,
)
from fluvio_cffi.codecs import Text

pyarrow: Any = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.timeout(60)
START = Offset.beginning()
AWKWARD = [
    b"plain",
    (b"", b"empty key"),
    (b"key", b""),
    b"",
    (b"\x00\xff", bytes(range(256))),
    ProducerRecord(b"old", timestamp=1),
    (b"k" * 1000, b"v" * 70_000),
]


async def arrow_batches(client: Any, topic: str, **how: Any) -> list[ArrowBatch]:
    limits = {name: how.pop(name) for name in ("max_records", "max_wait") if name in how}
    async with client.consumer(topic, start=START, stop_at_end=True, format="arrow", **how) as consumer:
        return [batch async for batch in consumer.batches(**limits)]


# -- equal to what is read without


@pytest.mark.parametrize("reader", READERS)
async def test_everybody_reads_the_same(world: World, reader: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        async with client.producer(topic) as producer:
            await producer.send_all(AWKWARD)
            await producer.send_all(ProducerRecord(b"%d" % i, key=b"k" if i % 3 else None) for i in range(5_000))
        expected = ordered_rows(await read_rows(client, topic))
        batches = await arrow_batches(client, topic)
        read = READERS[reader]
        assert ordered_rows([row for batch in batches for row in read(batch)]) == expected
        assert sum(batch.num_rows for batch in batches) == len(expected) == 5_007
        # What was made of each record is the same in any batch.
        async with client.consumer(topic, start=START, stop_at_end=True) as consumer:
            records = [row async for batch in consumer.batches() for row in read(batch)]
        assert ordered_rows(records) == expected


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("limit", [1, 7, 1_000, 65_536])
@pytest.mark.backends("asyncio", "sync")
async def test_batches_of_any_size(world: World, codec: str, limit: int) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic, compression=codec) as producer:
            await producer.send_all((b"%d" % (i % 5), b"v" * (i % 90)) for i in range(1_500))
        expected = ordered_rows(await read_rows(client, topic))
        batches = await arrow_batches(client, topic, max_records=limit)
        assert all(0 < batch.num_rows == len(batch) <= limit for batch in batches)
        assert ordered_rows([row for batch in batches for row in by_pyarrow(batch)]) == expected
        assert ordered_rows([row for batch in batches for row in by_pyarrow_array(batch)]) == expected
        assert sum(batch.nbytes for batch in batches) == sum(
            len(key or b"") + len(value) for *_, key, value in expected
        )


async def test_one_record_and_none(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        assert await arrow_batches(client, topic) == []
        async with client.consumer(topic, format="arrow") as consumer:
            schema = pyarrow.schema(consumer)
            assert schema.empty_table().num_rows == 0
        async with client.producer(topic) as producer:
            await producer.send(b"one")
        [batch] = await arrow_batches(client, topic)
        assert pyarrow.table(batch).schema.equals(schema, check_metadata=True)
        assert schema.metadata == {b"topic": topic.encode()}
        assert [str(field.type) for field in schema] == ["int32", "int64", "timestamp[ms, tz=UTC]", "binary", "binary"]
        assert [field.nullable for field in schema] == [False, False, True, True, False]
        assert by_pyarrow(batch) == await read_rows(client, topic)
        assert repr(batch) == f"<ArrowBatch of 1 from '{topic}' (0: 0..0), 3 bytes>"


@pytest.mark.backends("asyncio", "sync")
async def test_offsets_with_holes_and_such_that_records_share(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all(f'["{i}", "{"x" if i % 7 == 0 else "y"}", "z"]' for i in range(3_000))
        for chain in (contains("x"), module("split")):
            expected = await read_rows(client, topic, smartmodules=chain)
            batches = await arrow_batches(client, topic, smartmodules=chain, max_records=100)
            assert [row for batch in batches for row in by_pyarrow(batch)] == expected
            async with client.consumer(topic, start=START, stop_at_end=True, smartmodules=chain) as consumer:
                plain = [batch async for batch in consumer.batches(max_records=100)]
            assert [batch.last_offsets for batch in batches] == [batch.last_offsets for batch in plain]


# -- how long it lasts


async def test_what_was_handed_out_lasts(world: World) -> None:
    before = native_counts()["arrows"]
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all(AWKWARD)
        expected = await read_rows(client, topic)
        [batch] = await arrow_batches(client, topic)
        early = pyarrow.table(batch)
    again = [by_pyarrow(batch) for _ in range(3)]
    found: list[Any] = []

    def elsewhere(batch: ArrowBatch) -> None:
        found.append(by_pyarrow(batch))
        capsules = [batch.__arrow_c_stream__(), batch.__arrow_c_array__(), batch.__arrow_c_schema__()]
        del capsules

    thread = threading.Thread(target=elsewhere, args=[batch])
    thread.start()
    thread.join()
    del thread
    later = pyarrow.table(batch).column("value")
    del batch
    assert [*again, *found] == [expected] * 4
    assert early.column("value").to_pylist() == later.to_pylist() == [value for *_, value in expected]
    # A column may live longer than the table.
    assert native_counts()["arrows"] == before


async def test_nothing_is_left_of_what_nobody_reads(world: World) -> None:
    before = native_counts()["arrows"]
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all(AWKWARD)
        [batch] = await arrow_batches(client, topic)
        stream = batch.__arrow_c_stream__()
        assert "arrow_array_stream" in repr(stream)
        reader = pyarrow.RecordBatchReader.from_stream(batch)
        del stream, batch
        assert reader.schema.names == ["partition", "offset", "timestamp", "key", "value"]
        del reader
        assert native_counts()["arrows"] == before


# -- a consumer as any other


async def test_seek_pause_and_position(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic) as producer:
            await producer.send_all(ProducerRecord(b"%d" % i, partition=i % 2) for i in range(200))
        async with client.consumer(topic, start=START, format="arrow") as consumer:
            consumer.pause(1)
            batches = consumer.batches(max_records=10, max_wait=0)
            first = await batches.__anext__()
            assert (first.last_offsets, first.num_rows) == ({0: 9}, 10)
            assert consumer.position() == {0: 10, 1: 0}
            assert consumer.assignment == (0, 1)
            await consumer.seek(0, 90)
            assert (await batches.__anext__()).last_offsets == {0: 99}
            consumer.pause(0)
            consumer.resume(1)
            assert (await batches.__anext__()).last_offsets == {1: 9}
            assert consumer.lag() == {0: 0, 1: 90}
            with pytest.raises(PartitionNotFoundError, match="partition 2"):
                await consumer.seek(2, 0)
            consumer.stop()
            assert [batch async for batch in batches] == []
        with pytest.raises(ClosedError):
            consumer.batches()


async def test_commits(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all(b"%d" % i for i in range(100))
        how = {"consumer_id": topic, "format": "arrow", "stop_at_end": True}
        async with client.consumer(topic, **how) as consumer:
            batches = consumer.batches(max_records=30)
            first, _second = await batches.__anext__(), await batches.__anext__()
            await consumer.commit(first)
            assert await consumer.committed() == {0: 29}
            await consumer.commit()
            assert await consumer.committed() == {0: 59}
            await consumer.commit({0: 9})
        async with client.consumer(topic, **how, commit="auto") as consumer:
            read = [batch.last_offsets async for batch in consumer.batches(max_records=30)]
            assert read == [{0: 39}, {0: 69}, {0: 99}]
        async with client.consumer(topic, **how) as consumer:
            assert await consumer.committed() == {0: 99}
            with pytest.raises(ConfigError, match=f"what is of topic '{topic}2'"):
                await client.admin.topics.create(f"{topic}2")
                async with client.producer(f"{topic}2") as producer:
                    await producer.send(b"")
                await consumer.commit((await arrow_batches(client, f"{topic}2"))[0])


@pytest.mark.backends("asyncio", "sync")
async def test_in_a_group(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic) as producer:
            await producer.send_all(ProducerRecord(b"%d" % i, partition=i % 2) for i in range(100))
        async with client.consumer(topic, group=topic, format="arrow", start=START) as consumer:
            read: dict[int, int] = {}
            batches = consumer.batches(max_wait=0)
            while read != {0: 49, 1: 49}:
                batch = await batches.__anext__()
                assert batch.epochs.keys() == batch.last_offsets.keys()
                await consumer.commit(batch)
                read |= batch.last_offsets
            assert await consumer.committed() == read


# -- what it is not for


@pytest.mark.backends("asyncio", "sync")
async def test_what_is_refused(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        with pytest.raises(ConfigError, match="format is 'parquet': it must be 'records' or 'arrow'"):
            client.consumer(topic, format="parquet")
            await client.consumer(topic, format="parquet")
        with pytest.raises(UsageError, match="topic is a list: open a consumer for each topic"):
            await client.consumer([topic, topic], format="arrow")
        with pytest.raises(UsageError, match="knows no codecs: leave key and value out"):
            await client.consumer(topic, format="arrow", value=Text())
        async with client.producer(topic) as producer:
            await producer.send(b"one")
        [batch] = await arrow_batches(client, topic)
        with pytest.raises(TypeError, match=r"cannot pickle 'ArrowBatch' object: make a table of it"):
            batch.__reduce__()
        async with client.consumer(topic, start=START, stop_at_end=True, value=Text()) as consumer:
            decoded = [batch async for batch in consumer.batches()]
        with pytest.raises(UsageError, match="codecs have decoded these records"):
            pyarrow.table(decoded[0])


def test_types() -> None:
    def asynchronous(client: AsyncFluvio) -> None:
        assert_type(client.consumer("t", format="arrow"), Opening[AsyncArrowConsumer])

    def synchronous(client: Fluvio) -> None:
        assert_type(client.consumer("t", format="arrow"), ArrowConsumer)
        for batch in client.consumer("t", format="arrow").batches():
            assert_type(batch, ArrowBatch)
        for records in client.consumer("t").batches():
            assert_type(records, RecordBatch[bytes, bytes])

    del asynchronous, synchronous
