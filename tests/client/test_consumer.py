"""Consumers."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import pytest
from conftest import World
from laws import stop

from fluvio_cffi import (
    ClosedError,
    ConfigError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    PartitionNotFoundError,
    ProducerRecord,
    TopicNotFoundError,
    UsageError,
)
from fluvio_cffi._consume.options import ConsumerOptions


async def filled(world: World, client: Any, count: int, partitions: int = 1) -> str:
    topic: str = await world.topic(client, partitions=partitions)
    async with client.producer(topic) as producer:
        await producer.send_all(
            [ProducerRecord(b"%d" % (number // partitions), partition=number % partitions) for number in range(count)]
        )
    return topic


async def test_iterate(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 3000)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            assert consumer.topic == topic
            assert consumer.assignment == (0,)
            expected = 0
            async for record in consumer:
                assert (record.topic, record.partition, record.offset) == (topic, 0, expected)
                assert record.value == b"%d" % expected
                assert record.key is None
                assert abs(record.timestamp - time.time() * 1000) < 60_000
                expected += 1
                assert consumer.position() == {0: expected}
            assert expected == 3000
            with pytest.raises(ClosedError, match="end"):
                await consumer.receive()


async def test_break_and_go_on(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 3000)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            got = []
            for stop in (1, 7, 1000, 1001, 1500):
                async for record in consumer:
                    got.append(record.offset)
                    if len(got) == stop:
                        break
            got.append((await consumer.receive()).offset)
            batches = consumer.batches(max_records=300)
            async for batch in batches:
                assert len(batch) <= 300
                got.extend(batch.offset_list())
                if len(got) > 2000:
                    break
            async for record in consumer:
                got.append(record.offset)
                if len(got) > 2500:
                    break
            async for batch in batches:
                got.extend(record.offset for record in batch)
            assert got == list(range(3000))
            assert consumer.position() == {0: 3000}


@pytest.mark.parametrize(
    "start, first",
    [
        (Offset.beginning(), 0),
        (Offset.from_beginning(10), 10),
        (Offset.at(42), 42),
        (Offset.from_end(5), 95),
        (Offset.from_end(1000), 0),
        ({0: Offset.at(50)}, 50),
    ],
    ids=repr,
)
async def test_starts(world: World, start: Any, first: int) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        async with client.consumer(topic, start=start, stop_at_end=True) as consumer:
            assert [record.offset async for record in consumer] == list(range(first, 100))


async def test_the_default_start_is_the_end(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        async with client.consumer(topic) as consumer:
            with pytest.raises(FluvioTimeoutError) as raised:
                await consumer.receive(timeout=0.1)
            assert raised.value.phase == "read"
            async with client.producer(topic) as producer:
                await producer.send(b"new")
            record = await consumer.receive(timeout=5)
            assert (record.offset, record.value) == (100, b"new")
            begun = time.monotonic()
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0)
            assert time.monotonic() - begun < 0.1
        async with client.consumer(topic, stop_at_end=True) as consumer:
            assert [record async for record in consumer] == []


async def test_partitions(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 300, partitions=3)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            assert consumer.assignment == (0, 1, 2)
            found: dict[int, list[int]] = {0: [], 1: [], 2: []}
            async for record in consumer:
                found[record.partition].append(record.offset)
                assert record.value == b"%d" % record.offset
            assert found == {partition: list(range(100)) for partition in range(3)}
            assert consumer.position() == {0: 100, 1: 100, 2: 100}
        starts = {0: Offset.at(90), 1: Offset.from_end(5)}
        async with client.consumer(topic, partitions=[0, 1], start=starts, stop_at_end=True) as consumer:
            assert consumer.assignment == (0, 1)
            assert consumer.position() == {0: 90, 1: 95}
            got = sorted([(record.partition, record.offset) async for record in consumer])
            assert got == [(0, offset) for offset in range(90, 100)] + [(1, offset) for offset in range(95, 100)]
        with pytest.raises(PartitionNotFoundError):
            await client.consumer(topic, partitions=[7])


async def test_batches(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 5000)
        for limit in (1, 7, 1000, 100_000):
            async with client.consumer(topic, start=Offset.from_end(2000), stop_at_end=True) as consumer:
                sizes = []
                offsets: list[int] = []
                async for batch in consumer.batches(max_records=limit):
                    sizes.append(len(batch))
                    offsets.extend(batch.offset_list())
                    assert consumer.position() == {0: batch.last_offsets[0] + 1}
                assert offsets == list(range(3000, 5000))
                assert max(sizes) <= limit


async def test_a_batch_waits_for_more_but_not_for_ever(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 10)
        async with client.consumer(topic, start=Offset.beginning()) as consumer:
            begun = time.monotonic()
            batch = await consumer.batches(max_wait=0.2).__anext__()
            assert len(batch) == 10
            assert 0.15 < time.monotonic() - begun < 2
            begun = time.monotonic()
            async with client.producer(topic) as producer:
                await producer.send(b"x")
            batch = await consumer.batches().__anext__()
            assert batch.offset_list() == [10]
            assert time.monotonic() - begun < 0.5


@pytest.mark.parametrize("form", ["records", "arrow", "group", "several"])
async def test_a_batch_that_waits_for_more_sleeps(world: World, form: str) -> None:
    options = {"arrow": {"format": "arrow"}, "group": {"group": "sleeping"}}.get(form, {})
    async with world.connect() as client:
        topic = await filled(world, client, 1)
        read = [topic] if form == "several" else topic
        async with client.consumer(read, start=Offset.beginning(), **options) as consumer:
            batches = consumer.batches(max_records=2, max_wait=0.4)
            begun = time.thread_time()
            assert len(await batches.__anext__()) == 1
            assert time.thread_time() - begun < 0.04


@pytest.mark.timeout(20)
@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_a_batch_that_waits_for_more_lets_others_run(world: World) -> None:
    import anyio

    async with world.connect() as client:
        topic = await filled(world, client, 2)
        async with (
            client.producer(topic) as producer,
            client.consumer(topic, start=Offset.beginning()) as consumer,
            anyio.create_task_group() as tasks,
        ):
            # From now on it has one that it can hand out.
            assert (await consumer.receive()).offset == 0
            tasks.start_soon(producer.send, b"the third")
            batch = await consumer.batches(max_records=2, max_wait=None).__anext__()
            assert batch.offset_list() == [1, 2]


async def test_stop(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 3000)
        async with client.consumer(topic, start=Offset.beginning()) as consumer:
            got = 0
            async for _ in consumer:
                got += 1
                if got == 10:
                    consumer.stop()
            assert got == 10
            with pytest.raises(ClosedError, match="stopped"):
                await consumer.receive()
            assert [batch async for batch in consumer.batches()] == []
            assert consumer.position() == {0: 10}


@pytest.mark.backends("asyncio", "trio")
async def test_stopping_and_closing_end_a_read_that_waits(world: World) -> None:
    import anyio

    async with world.connect() as client:
        topic = await filled(world, client, 0)
        for end in ("stop", "close"):
            consumer = await client.consumer(topic)
            ended: list[Any] = []

            async def read(consumer: Any = consumer, ended: list[Any] = ended) -> None:
                async for record in consumer:
                    ended.append(record)
                ended.append("end")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await world.sleep(0.05)
                if end == "stop":
                    consumer.stop()
                else:
                    await consumer.close()
            assert ended == ["end"]
            await consumer.close()


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_a_second_reader(world: World) -> None:
    import anyio

    async with world.connect() as client:
        topic = await filled(world, client, 0)
        async with client.consumer(topic) as consumer:
            got = []

            async def read() -> None:
                got.append((await consumer.receive()).value)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(read)
                await world.sleep(0.05)
                with pytest.raises(UsageError, match="one reads at a time"):
                    await consumer.receive()
                with pytest.raises(UsageError, match="one reads at a time"):
                    await consumer.batches().__anext__()
                async with client.producer(topic) as producer:
                    await producer.send(b"for the first")
            assert got == [b"for the first"]


async def test_closed(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 10)
        consumer = await client.consumer(topic, start=Offset.beginning())
        await consumer.receive()
        await consumer.close()
        await consumer.close()
        with pytest.raises(ClosedError):
            await consumer.receive()
        with pytest.raises(ClosedError):
            async for _ in consumer:
                pass
        with pytest.raises(ClosedError):
            consumer.batches()
        assert consumer.position() == {0: 1}


async def test_bad_arguments(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 0)
        bad: list[tuple[str, dict[str, Any]]] = [
            ("partition", {"partitions": [-1]}),
            ("partition", {"partitions": []}),
            ("partition", {"partitions": "0"}),
            ("start", {"start": 5}),
            ("start", {"start": {0: 5}}),
            ("start", {"start": {1: Offset.end()}, "partitions": [0]}),
            ("isolation", {"isolation": "no"}),
            ("max_bytes", {"max_bytes": 0}),
            ("max_bytes is 1073741825: it must be from 1 to 1073741824", {"max_bytes": (1 << 30) + 1}),
            ("prefetch", {"prefetch": "lots"}),
        ]
        for name, keywords in bad:
            with pytest.raises(ConfigError, match=name):
                await client.consumer(topic, **keywords)
        with pytest.raises(TopicNotFoundError):
            await client.consumer("there-is-no-such-topic")
        async with client.consumer(topic) as consumer:
            for keywords in ({"max_records": 0}, {"max_wait": -1}):
                with pytest.raises(ConfigError, match=next(iter(keywords))):
                    consumer.batches(**keywords)


async def test_isolation(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic, isolation="read_committed") as producer:
            result = await producer.send_all([b"%d" % number for number in range(1000)])
            assert result.count == 1000
        for isolation in ("read_uncommitted", "read_committed"):
            async with client.consumer(
                topic, start=Offset.beginning(), stop_at_end=True, isolation=isolation
            ) as consumer:
                assert sorted([int(record.value) async for record in consumer]) == list(range(1000))


async def test_a_new_partition_is_read_from_its_first_offset(world: World) -> None:
    """What is written before the consumer notices is read as well; who chose partitions stays with them."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            all_of_them = await client.consumer(topic)
            chosen = await client.consumer(topic, partitions=[0])
            await client.admin.topics.add_partitions(topic, 1)
            async with client.producer(topic) as producer:
                for number in range(100):
                    await producer.send(b"%d" % number, partition=1)
                await producer.send(b"last", partition=0)
            got = [await all_of_them.receive(timeout=10) for _ in range(101)]
            assert [int(record.value) for record in got if record.partition == 1] == list(range(100))
            assert all_of_them.assignment == (0, 1)
            assert (await chosen.receive(timeout=10)).value == b"last"
            with pytest.raises(FluvioTimeoutError):
                await chosen.receive(timeout=0.1)
            assert chosen.assignment == (0,)
            await all_of_them.close()
            await chosen.close()


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_a_stopped_peer_is_noticed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the probe's interval and the time that a request may take, also without anything to read."""
    native = ConsumerOptions.native

    def probing(options: ConsumerOptions) -> Any:
        made, alive = native(options)
        made.probe_ms = 200
        return made, alive

    monkeypatch.setattr(ConsumerOptions, "native", probing)
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint, request_timeout=1) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer, client.consumer(topic) as consumer:
                await producer.send(b"before")
                await consumer.receive(timeout=5)
                stop(cluster.pid)
                begun = time.monotonic()
                while "FluvioConnectionError" not in client.metrics().errors:
                    await world.sleep(0.01)
                    assert time.monotonic() - begun < 1.2 + 0.5
                os.kill(cluster.pid, signal.SIGCONT)
                await producer.send(b"after")
                assert (await consumer.receive(timeout=10)).value == b"after"
            assert client.metrics().reconnects >= 1
