"""Several topics in one consumer."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import (
    AsyncTopicsConsumer,
    ClosedError,
    ConfigError,
    FluvioTimeoutError,
    Offset,
    OffsetOutOfRangeError,
    PartitionNotFoundError,
    ProducerRecord,
    Record,
    TopicNotFoundError,
    TopicsConsumer,
    UsageError,
)

pytestmark = pytest.mark.timeout(60)


async def filled(world: World, client: Any, *counts: int, partitions: int = 1) -> list[str]:
    """Topics with so many records in each partition; the value of each is its offset."""
    topics = []
    for count in counts:
        topic = await world.topic(client, partitions=partitions)
        async with client.producer(topic) as producer:
            for partition in range(partitions):
                await producer.send_all([ProducerRecord(b"%d" % n, partition=partition) for n in range(count)])
        topics.append(topic)
    return topics


def in_order(records: list[Record], topics: list[str], counts: list[int], partitions: int = 1) -> None:
    """Each record came once, in the order of its partition."""
    for topic, count in zip(topics, counts, strict=True):
        for partition in range(partitions):
            of = [each for each in records if (each.topic, each.partition) == (topic, partition)]
            assert [each.offset for each in of] == [*range(count)]
            assert [int(each.value) for each in of] == [*range(count)]
    assert len(records) == sum(counts) * partitions


@pytest.mark.parametrize("how", ["records", "receive", "batches", "mixed"])
async def test_all_of_all_in_the_order_of_each_partition(world: World, how: str) -> None:
    counts = [3000, 1, 1700, 0]
    async with world.connect() as client:
        topics = await filled(world, client, *counts, partitions=2)
        async with client.consumer(topics, start=Offset.beginning(), stop_at_end=True) as consumer:
            records: list[Record] = []
            if how == "records":
                records = [record async for record in consumer]
            elif how == "receive":
                with pytest.raises(ClosedError, match="read to the ends"):
                    while True:
                        records.append(await consumer.receive(timeout=10))
            elif how == "batches":
                async for batch in consumer.batches(max_records=700):
                    assert {record.topic for record in batch} == {batch.topic}
                    records += batch
            else:
                turn = 0
                while len(records) < sum(counts) * 2:
                    turn += 1
                    if turn % 3 == 0:
                        async for record in consumer:
                            records.append(record)
                            if len(records) % 100 == 99:
                                break
                    elif turn % 3 == 1:
                        records.append(await consumer.receive())
                    else:
                        async for batch in consumer.batches(max_records=33):
                            records += batch
                            break
            in_order(records, topics, counts, 2)
            assert consumer.position() == {
                topic: {0: count, 1: count} for topic, count in zip(topics, counts, strict=True)
            }
            assert consumer.lag() == {topic: {0: 0, 1: 0} for topic in topics}


async def test_what_it_is(world: World) -> None:
    async with world.connect() as client:
        topics = await filled(world, client, 2, 3)
        consumer = await client.consumer(tuple(topics), start=Offset.beginning())
        assert consumer.topics == tuple(topics)
        assert consumer.assignment == {topics[0]: (0,), topics[1]: (0,)}
        assert repr(consumer).endswith(f"TopicsConsumer of {topics[0]!r} at {{0: 0}}, {topics[1]!r} at {{0: 0}}>")
        await consumer.close()
        await consumer.close()
        assert consumer.closed
        assert repr(consumer).endswith(f"{topics[1]!r}, closed>")
        with pytest.raises(ClosedError):
            await consumer.receive()
        kind = type(consumer.target if world.is_sync else consumer)
        assert kind is (TopicsConsumer if world.is_sync else AsyncTopicsConsumer)


async def test_one_topic_in_a_list_is_told_by_topic_too(world: World) -> None:
    async with world.connect() as client:
        topics = await filled(world, client, 5)
        async with client.consumer(topics, start=Offset.at(2), stop_at_end=True) as consumer:
            assert [record.offset async for record in consumer] == [2, 3, 4]
            assert consumer.position() == {topics[0]: {0: 5}}


async def test_partitions_and_starts_by_topic(world: World) -> None:
    async with world.connect() as client:
        first, second = await filled(world, client, 10, 10, partitions=3)
        partitions, start = {first: [0, 2]}, {first: {2: Offset.at(8)}, second: Offset.from_end(1)}
        async with client.consumer([first, second], partitions=partitions, start=start) as consumer:
            assert consumer.assignment == {first: (0, 2), second: (0, 1, 2)}
            assert consumer.position() == {first: {0: 10, 2: 8}, second: {0: 9, 1: 9, 2: 9}}
            got = sorted([tuple(await consumer.receive())[:3] for _ in range(5)])
            assert got == sorted([(first, 2, 8), (first, 2, 9), *[(second, each, 9) for each in range(3)]])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"topic": []}, "topic has 0 topics: it must have 1 to 1000"),
        ({"topic": ["a", "b", "a"]}, "topic has 'a' twice"),
        ({"topic": ["a", 7]}, "a topic must be a str, not 7"),
        ({"topic": ["a", ""]}, "a topic is empty"),
        ({"topic": ["a", "b"], "partitions": [0]}, "partitions must be a dict by topic"),
        ({"topic": ["a", "b"], "partitions": {"c": [0]}}, "partitions names the topic 'c'"),
        ({"topic": ["a", "b"], "start": {0: Offset.end()}}, "start names the topic 0"),
        ({"topic": ["a", "b"], "start": {"a": 7}}, "start must be an Offset"),
        ({"topic": ["a"], "start": 7}, "start must be a dict by topic"),
        ({"topic": "a", "start": {"a": Offset.end()}}, "a partition in start must be an int"),
    ],
)
async def test_wrong_arguments(world: World, arguments: dict[str, Any], words: str) -> None:
    async with world.connect() as client:
        with pytest.raises(ConfigError, match=words):
            await client.consumer(**arguments)


async def test_a_topic_that_does_not_exist(world: World) -> None:
    async with world.connect() as client:
        topics = await filled(world, client, 1)
        with pytest.raises(TopicNotFoundError) as unknown:
            await client.consumer([*topics, "no-such-topic"])
        assert unknown.value.topic == "no-such-topic"
        with pytest.raises(PartitionNotFoundError) as wrong:
            await client.consumer([*topics], partitions={topics[0]: 5})
        assert (wrong.value.topic, wrong.value.partition) == (topics[0], 5)


@pytest.mark.parametrize("batches", [False, True])
async def test_a_topic_that_is_deleted_is_named_and_the_others_go_on_without_it(world: World, batches: bool) -> None:
    async with world.connect() as client:
        gone, stays = await filled(world, client, 3, 3)
        async with client.consumer([gone, stays], start=Offset.beginning()) as consumer:

            async def offset() -> int:
                if not batches:
                    return int((await consumer.receive(timeout=30)).offset)
                async for batch in consumer.batches(max_records=1):
                    return int(batch[0].offset)
                raise AssertionError

            for _ in range(6):
                await offset()
            await client.admin.topics.delete(gone)
            for expected in (3, 4):
                with pytest.raises(TopicNotFoundError) as error:
                    await offset()
                assert error.value.topic == gone
                async with client.producer(stays) as producer:
                    await producer.send(b"3")
                assert await offset() == expected
                # Whoever asks for it is told again.
                consumer.resume(gone)
            consumer.pause(gone)
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0.05)


async def test_an_error_is_not_taken_for_the_end(world: World) -> None:
    """The topic whose error was raised comes last, when the others have ended, and each time."""
    async with world.connect() as client:
        gone, stays = await filled(world, client, 3, 3)
        async with client.consumer([gone, stays], start=Offset.end()) as consumer:
            await client.admin.topics.delete(gone)
            with pytest.raises(TopicNotFoundError):
                await consumer.receive(timeout=30)
            consumer.resume()
            with pytest.raises(TopicNotFoundError):
                await consumer.receive(timeout=30)
            await consumer.seek(stays, 0, 0)
            assert [(await consumer.receive(timeout=10)).offset for _ in range(3)] == [0, 1, 2]
            await client.admin.topics.delete(stays)
            for _ in range(3):
                with pytest.raises(TopicNotFoundError):
                    await consumer.receive(timeout=30)


async def test_waiting(world: World) -> None:
    async with world.connect() as client:
        topics = await filled(world, client, 1, 1, 1)
        async with client.consumer(topics) as consumer:
            with pytest.raises(FluvioTimeoutError, match=r"no record of .* came in time") as late:
                await consumer.receive(timeout=0.05)
            assert late.value.phase == "read"
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0)
            for topic in topics * 3:
                async with client.producer(topic) as producer:
                    await producer.send(b"now")
                record = await consumer.receive(timeout=10)
                assert (record.topic, record.value) == (topic, b"now")


async def test_a_second_reader(world: World) -> None:
    if world.is_sync:
        return
    import anyio

    async with world.connect() as client:
        topics = await filled(world, client, 0, 0)
        async with client.consumer(topics) as consumer, anyio.create_task_group() as group:
            group.start_soon(consumer.receive)
            await anyio.sleep(0.05)
            with pytest.raises(UsageError, match="one reads at a time"):
                await consumer.receive(timeout=1)
            group.cancel_scope.cancel()


async def test_commits_by_topic(world: World) -> None:
    async with world.connect() as client:
        first, second = await filled(world, client, 10, 10)
        async with client.consumer([first, second], consumer_id="several") as consumer:
            assert await consumer.committed() == {first: {}, second: {}}
            seen = {first: 0, second: 0}
            for _ in range(12):
                record = await consumer.receive(timeout=10)
                seen[record.topic] = record.offset
            await consumer.commit(record)
            assert (await consumer.committed())[record.topic] == {0: record.offset}
            await consumer.commit()
            assert await consumer.committed() == {topic: {0: offset} for topic, offset in seen.items()}
            await consumer.commit({first: {0: 4}, second: {0: 1}})
            assert await consumer.committed() == {first: {0: 4}, second: {0: 1}}
            async for batch in consumer.batches():
                await consumer.commit(batch)
                assert (await consumer.committed())[batch.topic] == batch.last_offsets
                break
            await consumer.commit({first: {0: 4}, second: {0: 1}})
            with pytest.raises(OffsetOutOfRangeError, match="must be below 10"):
                await consumer.commit({second: {0: 10}})
            with pytest.raises(ConfigError, match="this consumer reads"):
                await consumer.commit({"other": {0: 1}})
            with pytest.raises(ConfigError, match="this consumer reads"):
                await consumer.commit(Record("other", 0, 0, None, None, b""))
            with pytest.raises(ConfigError, match=r"what must be a Record"):
                await consumer.commit([1])
        async with client.consumer([first, second], consumer_id="several", stop_at_end=True) as consumer:
            offsets = [(record.topic, record.offset) async for record in consumer]
            assert sorted(offsets) == sorted(
                [(first, offset) for offset in range(5, 10)] + [(second, offset) for offset in range(2, 10)]
            )
        async with client.consumer([first, second]) as consumer:
            with pytest.raises(UsageError, match="without a consumer_id"):
                await consumer.commit()


@pytest.mark.parametrize("batches", [False, True])
async def test_automatic_commits(world: World, batches: bool) -> None:
    """What was processed is committed, and the record in hand is not."""
    options: dict[str, Any] = {"consumer_id": "by-itself", "commit": "auto", "auto_commit_interval": 60}
    async with world.connect() as client:
        topics = await filled(world, client, 50, 50)
        read: dict[str, int] = {}
        async with client.consumer(topics, **options) as consumer:
            if batches:
                async for batch in consumer.batches(max_records=10):
                    if read.keys() == {*topics}:
                        break
                    read[batch.topic] = batch[-1].offset
            else:
                async for record in consumer:
                    if len(read) == 2 and min(read.values()) > 5:
                        break
                    read[record.topic] = record.offset
        async with client.consumer(topics, consumer_id="by-itself") as consumer:
            stored = await consumer.committed()
        assert {topic: offsets[0] for topic, offsets in stored.items()} == read


async def test_seeks_and_pauses(world: World) -> None:
    async with world.connect() as client:
        first, second = await filled(world, client, 1000, 1000)
        async with client.consumer([first, second], start=Offset.beginning(), stop_at_end=True) as consumer:
            consumer.pause(first)
            assert {(await consumer.receive(timeout=10)).topic for _ in range(1000)} == {second}
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0.1)
            consumer.resume(first, 0)
            assert [(await consumer.receive(timeout=10)).offset for _ in range(1000)] == [*range(1000)]
            with pytest.raises(ClosedError, match="read to the ends"):
                await consumer.receive(timeout=10)
            await consumer.seek(second, 0, 990)
            assert [(record.topic, record.offset) async for record in consumer] == [
                (second, offset) for offset in range(990, 1000)
            ]
            consumer.pause()
            await consumer.seek(first, 0, Offset.from_end(1))
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0.1)
            consumer.resume()
            assert [(record.topic, record.offset) async for record in consumer] == [(first, 999)]
            with pytest.raises(ConfigError, match="this consumer reads"):
                await consumer.seek("other", 0, 0)
            with pytest.raises(PartitionNotFoundError):
                consumer.pause(first, 7)


async def test_a_seek_wakes_a_reader_that_waits_for_other_topics(world: World) -> None:
    if not world.is_sync:
        import anyio

        async with world.connect() as client:
            ended, waits = await filled(world, client, 5, 5)
            async with client.consumer([ended, waits], start=Offset.beginning(), stop_at_end=True) as consumer:
                for _ in range(5):
                    consumer.pause(waits)
                    await consumer.receive(timeout=10)
                async with anyio.create_task_group() as group:

                    async def seek() -> None:
                        await anyio.sleep(0.1)
                        await consumer.seek(ended, 0, 4)

                    group.start_soon(seek)
                    assert (await consumer.receive(timeout=10)).offset == 4
        return
    async with world.connect() as client:
        ended, waits = await filled(world, client, 5, 5)
        async with client.consumer([ended, waits], start=Offset.beginning(), stop_at_end=True) as consumer:
            consumer.pause(waits)
            for _ in range(5):
                await consumer.receive(timeout=10)
            timer = threading.Timer(0.1, consumer.target.seek, (ended, 0, 4))
            timer.start()
            assert (await consumer.receive(timeout=10)).offset == 4
            timer.join()


async def test_stop_ends_all(world: World) -> None:
    async with world.connect() as client:
        topics = await filled(world, client, 100, 100)
        async with client.consumer(topics, start=Offset.beginning()) as consumer:
            seen = 0
            async for _ in consumer:
                seen += 1
                if seen == 30:
                    consumer.stop()
            assert seen == 30
            with pytest.raises(ClosedError, match="stopped"):
                await consumer.receive()


@pytest.mark.parametrize("batches", [False, True])
async def test_none_starves(world: World, batches: bool) -> None:
    """A record of a quiet topic comes within 2,000 records of busy ones, however much these have ready."""
    async with world.connect() as client:
        busy, other, quiet = await filled(world, client, 40_000, 40_000, 0)
        opened = client.consumer([busy, other, quiet], start=Offset.beginning())
        async with opened as consumer, client.producer(quiet) as producer:
            since, late, sent, seen = 0, [], 0, 0
            waiting = False

            async def sees(record: Record) -> None:
                nonlocal since, waiting, sent, seen
                seen += 1
                if record.topic == quiet:
                    late.append(since)
                    waiting = False
                elif waiting:
                    since += 1
                if not waiting and seen % 4000 == 1:
                    await producer.send(b"quick")
                    # It is on its way to the consumer for a moment.
                    await world.sleep(0.05)
                    sent, since, waiting = sent + 1, 0, True

            if batches:
                async for batch in consumer.batches(max_records=500):
                    for record in batch:
                        await sees(record)
                    if seen >= 80_000:
                        break
            else:
                async for record in consumer:
                    await sees(record)
                    if seen >= 80_000:
                        break
        assert len(late) >= 10
        assert max(late) <= 2_000, late


async def test_partitions_that_are_added(world: World) -> None:
    async with world.connect() as client:
        first, second = await filled(world, client, 1, 1)
        async with client.consumer([first, second], start=Offset.beginning()) as consumer:
            for _ in range(2):
                await consumer.receive(timeout=10)
            await client.admin.topics.add_partitions(second, 1)
            async with client.producer(second) as producer:
                await producer.send(b"new", partition=1)
            record = await consumer.receive(timeout=20)
            assert (record.topic, record.partition, record.value) == (second, 1, b"new")


async def test_closing_the_client_ends_it(world: World) -> None:
    async with world.connect() as client:
        topics = await filled(world, client, 1, 1)
        consumer = await client.consumer(topics)
        await client.close()
        assert consumer.closed
        with pytest.raises(ClosedError):
            await consumer.receive()
        await consumer.close()


async def test_a_cancelled_read_loses_nothing(world: World) -> None:
    if world.is_sync:
        return
    import anyio

    counts = [800, 900]
    async with world.connect() as client:
        topics = await filled(world, client, *counts)
        async with client.consumer(topics, start=Offset.beginning(), stop_at_end=True) as consumer:
            records: list[Record] = []
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                with anyio.move_on_after(0.0002 * (1 + len(records) % 7)):
                    async for record in consumer:
                        records.append(record)
                        if len(records) % 5 == 0:
                            await anyio.sleep(0)
                    break
            in_order(records, topics, counts)


async def test_forgotten_it_warns(world: World) -> None:
    import gc

    async with world.connect() as client:
        topics = await filled(world, client, 1, 1)
        consumer = await client.consumer(topics)
        with pytest.warns(ResourceWarning, match="unclosed <.*TopicsConsumer of"):
            del consumer
            gc.collect()
