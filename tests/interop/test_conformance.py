"""What a Fluvio cluster does, as users of the client see it: checks that hold for every cluster.

They run against an embedded cluster, or against another one:
``pytest tests/interop/test_conformance.py --fluvio-endpoint HOST:PORT``. The numbers are those of the checks of the
protocol in `rust-ffi/cluster/tests/conformance.rs`, which take the address from ``FLUVIO_CFFI_ENDPOINT``.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from fluvio_cffi import (
    ConfigError,
    FluvioTimeoutError,
    Offset,
    OffsetOutOfRangeError,
    ProducerRecord,
    RecordTooLargeError,
    TopicNotFoundError,
)

START = Offset.beginning()

pytestmark = pytest.mark.backends("asyncio", "trio", "sync")


async def test_13_records_are_as_they_were_sent(target: Any) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        sent = [(b"value", b"key"), (b"value", b""), (b"value", None), (b"", b"key"), (b"\x00\xff", b"\x00")]
        begun = time.time() * 1000
        async with client.producer(topic) as producer:
            receipts = [await producer.send(value, key=key) for value, key in sent]
        assert [receipt.offset for receipt in receipts] == list(range(len(sent)))
        async with client.consumer(topic, start=START, stop_at_end=True) as consumer:
            records = [record async for record in consumer]
        assert [(record.value, record.key) for record in records] == sent
        assert all(begun - 1000 <= record.timestamp <= time.time() * 1000 + 1000 for record in records)
        await client.admin.topics.delete(topic)


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_14_every_codec_comes_back(target: Any, codec: str) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        values = [b"%06d" % number * 20 for number in range(2000)]
        async with client.producer(topic, compression=codec, batch_size="100KiB") as producer:
            await producer.send_all(values)
        async with client.consumer(topic, start=START, stop_at_end=True) as consumer:
            assert [record.value async for record in consumer] == values
        await client.admin.topics.delete(topic)


async def test_14_a_topic_has_its_own_codec(target: Any) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, compression="gzip")
        with pytest.raises(ConfigError, match="gzip"):
            await client.producer(topic, compression="lz4")
        async with client.producer(topic) as producer:
            assert (await producer.send(b"x" * 1000)).offset == 0
        await client.admin.topics.delete(topic)


async def test_15_a_record_that_is_too_large_is_not_sent(target: Any) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic, max_request_size=100_000) as producer:
            with pytest.raises(RecordTooLargeError) as refused:
                await producer.send(b"x" * 100_001)
            assert refused.value.outcome == "not_written"
            assert (await producer.send(b"fits")).offset == 0
        await client.admin.topics.delete(topic)


async def test_17_a_missing_topic_is_known_at_once(target: Any) -> None:
    async with target.connect() as client:
        begun = time.monotonic()
        with pytest.raises(TopicNotFoundError):
            await client.consumer("no-such-topic")
        with pytest.raises(TopicNotFoundError):
            await client.producer("no-such-topic")
        assert time.monotonic() - begun < 5


async def test_18_starts(target: Any) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all([b"%d" % number for number in range(100)])
        starts = {START: 0, Offset.from_beginning(10): 10, Offset.at(42): 42, Offset.from_end(5): 95}
        for start, first in starts.items():
            async with client.consumer(topic, start=start, stop_at_end=True) as consumer:
                assert [record.offset async for record in consumer] == list(range(first, 100))
        for start in (Offset.end(), Offset.at(100)):
            async with client.consumer(topic, start=start) as consumer:
                with pytest.raises(FluvioTimeoutError):
                    await consumer.receive(timeout=0.2)
        async with client.consumer(topic, start=Offset.at(101)) as consumer:
            with pytest.raises(OffsetOutOfRangeError):
                await consumer.receive(timeout=10)
        await client.admin.topics.delete(topic)


@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("codec", ["none", "gzip"])
async def test_19_a_backlog_arrives_whole(target: Any, codec: str) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        values = [b"%08d" % number + bytes(range(250)) * 8 for number in range(10_000)]
        async with client.producer(topic, compression=codec, batch_size="300KiB") as producer:
            await producer.send_all(values)
        async with client.consumer(topic, start=START, stop_at_end=True) as consumer:
            expected = 0
            async for record in consumer:
                assert (record.offset, record.value) == (expected, values[expected])
                expected += 1
        assert expected == len(values)
        await client.admin.topics.delete(topic)


async def test_21_the_end_is_the_end(target: Any) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=3)
        async with client.consumer(topic, start=START, stop_at_end=True) as consumer:
            assert [record async for record in consumer] == []
        records = [ProducerRecord(b"%d" % number, partition=number % 2) for number in range(1000)]
        async with client.producer(topic) as producer:
            await producer.send_all(records)
        async with client.consumer(topic, start=START, stop_at_end=True) as consumer:
            found = [(record.partition, record.offset, record.value) async for record in consumer]
        assert sorted(found) == sorted((number % 2, number // 2, b"%d" % number) for number in range(1000))
        await client.admin.topics.delete(topic)


async def test_22_stored_offsets(target: Any) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        consumer_id = f"{topic}-reader"

        async def fill() -> None:
            async with client.producer(topic) as producer:
                await producer.send_all([b"%d" % number for number in range(10)])

        await fill()
        async with client.consumer(topic, consumer_id=consumer_id, start=START) as consumer:
            for _ in range(3):
                record = await consumer.receive(timeout=10)
            await consumer.commit(record)
        async with client.consumer(topic, consumer_id=consumer_id, start=START) as consumer:
            assert await consumer.committed() == {0: 2}
            assert (await consumer.receive(timeout=10)).offset == 3
        await client.admin.topics.delete(topic)
        await client.admin.topics.create(topic)
        await fill()
        async with client.consumer(topic, consumer_id=consumer_id, start=START) as consumer:
            assert await consumer.committed() == {}
            assert (await consumer.receive(timeout=10)).offset == 0
        await client.admin.topics.delete(topic)


async def test_23_a_topic_goes_under_a_reader(target: Any) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"last")
        async with client.consumer(topic, start=START) as consumer:
            assert (await consumer.receive(timeout=10)).value == b"last"
            await client.admin.topics.delete(topic)
            with pytest.raises(TopicNotFoundError):
                await consumer.receive(timeout=20)
