"""Seek, pause and resume, stored offsets."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import World

from fluvio_cffi import (
    ConfigError,
    FluvioTimeoutError,
    Offset,
    OffsetOutOfRangeError,
    PartitionNotFoundError,
    UsageError,
)

START = Offset.beginning()


async def filled(world: World, client: Any, count: int = 3000, partitions: int = 1) -> str:
    topic: str = await world.topic(client, partitions=partitions)
    async with client.producer(topic) as producer:
        await producer.send_all([b"%d" % number for number in range(count)])
    return topic


async def test_seek(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client)
        async with client.consumer(topic, start=START) as consumer:
            assert (await consumer.receive()).offset == 0
            for target, expected in ((2500, 2500), (Offset.at(7), 7), (Offset.from_end(10), 2990), (START, 0)):
                await consumer.seek(0, target)
                assert consumer.position() == {0: expected}
                assert consumer.lag() == {0: 3000 - expected}
                assert (await consumer.receive()).offset == expected
                assert consumer.position() == {0: expected + 1}
            with pytest.raises(PartitionNotFoundError):
                await consumer.seek(1, 0)
            with pytest.raises(ConfigError, match="must be from 0"):
                await consumer.seek(0, -1)


async def test_a_seek_passes_an_error(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        async with client.consumer(topic, start=START) as consumer:
            await consumer.seek(0, 1000)
            for _ in range(2):
                with pytest.raises(OffsetOutOfRangeError) as caught:
                    await consumer.receive()
                assert (caught.value.topic, caught.value.partition, caught.value.offset) == (topic, 0, 1000)
            await consumer.seek(0, 99)
            assert (await consumer.receive()).value == b"99"


async def test_a_consumer_that_ended_goes_on_after_a_seek(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        async with client.consumer(topic, start=START, stop_at_end=True) as consumer:
            assert len([record async for record in consumer]) == 100
            await consumer.seek(0, 90)
            assert [record.offset async for record in consumer] == list(range(90, 100))


async def test_pause_and_resume(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 20_000, partitions=2)
        async with client.consumer(topic, start=START, stop_at_end=True, prefetch=50_000) as consumer:
            seen: dict[int, list[int]] = {0: [], 1: []}
            first = await consumer.receive()
            seen[first.partition].append(first.offset)
            other = 1 - first.partition
            consumer.pause(first.partition)
            while len(seen[other]) < 5000:
                record = await consumer.receive(timeout=10)
                assert record.partition == other
                seen[other].append(record.offset)
            consumer.resume(first.partition)
            async for record in consumer:
                seen[record.partition].append(record.offset)
            assert sum(map(len, seen.values())) == 20_000
            for offsets in seen.values():
                assert offsets == list(range(len(offsets)))
            with pytest.raises(PartitionNotFoundError):
                consumer.pause(2)


async def test_manual_commits(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client)
        async with client.consumer(topic, consumer_id="billing") as consumer:
            assert await consumer.committed() == {}
            record = await consumer.receive()
            assert record.offset == 0, "nothing is lost before the first commit"
            await consumer.commit(record)
            assert await consumer.committed() == {0: 0}
            async for batch in consumer.batches(max_records=100):
                await consumer.commit(batch)
                assert await consumer.committed() == {0: 100}
                break
            await consumer.receive()
            await consumer.commit()
            assert await consumer.committed() == {0: 101}
            await consumer.commit({0: 41})
            with pytest.raises(ConfigError, match="the offset to commit of partition 0 is -1"):
                await consumer.commit({0: -1})
            with pytest.raises(PartitionNotFoundError):
                await consumer.commit({5: 1})
        async with client.consumer(topic, consumer_id="billing") as consumer:
            assert (await consumer.receive()).offset == 42
        for start, own in ((None, 0), (Offset.from_beginning(3), 3), (Offset.at(7), 7), (Offset.from_end(1), 2999)):
            async with client.consumer(topic, consumer_id="billing", start=start) as consumer:
                assert (await consumer.receive()).offset == 42, "what is stored wins"
            async with client.consumer(topic, consumer_id="billing", start=start, resume=False) as consumer:
                assert (await consumer.receive()).offset == own
            async with client.consumer(topic, consumer_id="another", start=start) as consumer:
                assert (await consumer.receive()).offset == own, "nothing is stored"
        async with client.consumer(topic, start=START) as consumer:
            with pytest.raises(UsageError, match="consumer_id"):
                await consumer.commit()
        for wrong, words in (
            ({"commit": "auto"}, "commit is 'auto': it needs a consumer_id"),
            ({"consumer_id": ""}, "consumer_id is empty"),
            ({"consumer_id": "x", "commit": "now"}, "commit is 'now': it must be"),
        ):
            with pytest.raises(ConfigError, match=words):
                await client.consumer(topic, **wrong)


@pytest.mark.parametrize("by", ["record", "batch"])
async def test_automatic_commits_count_what_was_processed(world: World, by: str) -> None:
    async with world.connect() as client:
        topic = await filled(world, client)
        keywords = {"consumer_id": "auto", "commit": "auto", "auto_commit_interval": 3600}
        async with client.consumer(topic, **keywords) as consumer:
            if by == "record":
                async for record in consumer:
                    if record.offset == 10:
                        break
            else:
                batches = consumer.batches(max_records=11)
                async for _ in batches:
                    break
                async for _ in batches:
                    break
        # The record, or the batch, in hand does not count.
        expected = 9 if by == "record" else 10
        async with client.consumer(topic, consumer_id="auto") as consumer:
            assert await consumer.committed() == {0: expected}


@pytest.mark.parametrize("then", ["the end", "nothing in time", "back to it"])
async def test_a_read_that_brings_nothing_gives_the_last_record_back(world: World, then: str) -> None:
    """The next read has begun, so the record before it is processed, whatever comes of the read."""
    async with world.connect() as client:
        topic = await filled(world, client, 3)
        keywords: Any = {"consumer_id": "last", "commit": "auto", "auto_commit_interval": 3600}
        async with client.consumer(topic, stop_at_end=then == "the end", **keywords) as consumer:
            if then == "the end":
                assert [record.offset async for record in consumer] == [0, 1, 2]
            else:
                assert [(await consumer.receive()).offset for _ in range(3)] == [0, 1, 2]
                with pytest.raises(FluvioTimeoutError):
                    await consumer.receive(timeout=0.01)
            if then == "back to it":
                await consumer.seek(0, 1)
                assert [(await consumer.receive()).offset for _ in range(2)] == [1, 2]
        async with client.consumer(topic, consumer_id="last") as consumer:
            assert await consumer.committed() == {0: 1 if then == "back to it" else 2}


async def test_automatic_commits_while_reading(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        keywords = {"consumer_id": "timer", "commit": "auto", "auto_commit_interval": 0.01}
        async with client.consumer(topic, **keywords) as consumer:
            for _ in range(50):
                await consumer.receive()
            for _ in range(500):
                if (await consumer.committed()).get(0, 0) > 0:
                    break
                await world.sleep(0.01)
            assert 0 < (await consumer.committed())[0] <= 48


async def test_a_commit_of_all_is_of_what_was_handed_out(world: World) -> None:
    """Also across a pause; and not of what was only read ahead, nor of what a start or a seek has passed over."""
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        async with client.consumer(topic, consumer_id="all", start=Offset.at(50)) as consumer:
            await consumer.commit()
            assert await consumer.committed() == {}
            assert (await consumer.receive(timeout=5)).offset == 50
            consumer.pause(0)
            await consumer.commit()
            assert await consumer.committed() == {0: 50}
            assert consumer.position() == {0: 51}
            consumer.resume(0)
            await consumer.seek(0, 90)
            await consumer.commit()
            assert await consumer.committed() == {0: 50}
            assert (await consumer.receive(timeout=5)).offset == 90
            await consumer.commit()
            assert await consumer.committed() == {0: 90}
