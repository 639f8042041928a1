"""Where logs begin and end, as the SPUs say."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import World
from insides import control

from fluvio_cffi import (
    ClosedError,
    ConfigError,
    Fluvio,
    FluvioTimeoutError,
    HomeMirror,
    LocalCluster,
    Offset,
    PartitionNotFoundError,
    ProducerRecord,
    TopicNotFoundError,
)

pytestmark = pytest.mark.timeout(60)


async def test_beginnings_and_ends(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        assert await client.offsets(topic) == {0: (0, 0), 1: (0, 0), 2: (0, 0)}
        async with client.producer(topic) as producer:
            for count in range(1, 6):
                await producer.send(b"x", partition=1)
                # At once, not when the SC has heard of it.
                assert await client.offsets(topic) == {0: (0, 0), 1: (0, count), 2: (0, 0)}
        world.cluster.faults.evict(topic, 1, 3)
        assert await client.offsets(topic, 1) == {1: (3, 5)}
        assert await client.offsets(topic, [2, 1, 1]) == {1: (3, 5), 2: (0, 0)}
        assert await client.offsets(topic, iter([0])) == {0: (0, 0)}
        assert await client.offsets("consumer-offset") == {0: (0, 0)}
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            assert len([record async for record in consumer]) == 2
            assert consumer.position() == {0: 0, 1: 5, 2: 0}


async def test_what_does_not_exist(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        with pytest.raises(TopicNotFoundError) as unknown:
            await client.offsets("no-such-topic")
        assert unknown.value.topic == "no-such-topic"
        with pytest.raises(PartitionNotFoundError, match="it has 2") as wrong:
            await client.offsets(topic, [0, 2])
        assert (wrong.value.topic, wrong.value.partition) == (topic, 2)
        for partitions in ([], "0", [-1], ["0"], [True], 1 << 31):
            with pytest.raises(ConfigError, match="partition"):
                await client.offsets(topic, partitions)
        for name in ("", None, 7):
            with pytest.raises(ConfigError, match="topic"):
                await client.offsets(name)
        with pytest.raises(FluvioTimeoutError) as late:
            await client.offsets(topic, timeout=0)
        assert late.value.phase == "admin"
        await client.admin.topics.delete(topic)
        with pytest.raises(TopicNotFoundError):
            await client.offsets(topic)
    with pytest.raises(ClosedError):
        await client.offsets(topic)


async def test_changes_of_leader_are_waited_out(world: World) -> None:
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, partitions=2)
            async with client.producer(topic) as producer:
                await producer.send_all([ProducerRecord(b"x", partition=n % 2) for n in range(10)])
            cluster.faults.move(topic, 0, 5002)
            assert await client.offsets(topic) == {0: (0, 5), 1: (0, 5)}
            cluster.kill_spu(5002)
            begun = time.monotonic()
            with pytest.raises(FluvioTimeoutError, match="the last attempt: ") as late:
                await client.offsets(topic, timeout=0.5)
            assert 0.4 < time.monotonic() - begun < 3
            assert late.value.retriable and late.value.phase == "admin"
            # As the real one does, it says for a while that it leads nothing.
            control(cluster, "start-spu 5002 not-leader-for 0.3")
            assert await client.offsets(topic, timeout=20) == {0: (0, 5), 1: (0, 5)}
            # One of several partitions that nobody leads does not keep the others from being asked for.
            cluster.kill_spu(5001)
            assert await client.offsets(topic, [0], timeout=20) == {0: (0, 5)}


async def test_replicas(world: World) -> None:
    """The end is that of what is committed."""
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, replication=2)
            async with client.producer(topic) as producer:
                await producer.send(b"committed")
                assert await client.offsets(topic) == {0: (0, 1)}
                cluster.kill_spu(5002)
                await producer.send(b"not replicated")
                assert await client.offsets(topic) == {0: (0, 1)}
                cluster.start_spu(5002)
            assert await client.offsets(topic) == {0: (0, 2)}


@pytest.mark.backends("asyncio", "trio")
async def test_cancelled_it_leaves_nothing(world: World) -> None:
    import anyio

    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            cluster.kill_spu(5001)
            with anyio.move_on_after(0.2) as scope:
                await client.offsets(topic, timeout=None)
            assert scope.cancelled_caught
            cluster.start_spu(5001)
            assert await client.offsets(topic) == {0: (0, 0)}


def test_of_many_partitions_and_threads(cluster: LocalCluster) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Fluvio.connect(cluster.endpoint) as client, ThreadPoolExecutor(4) as pool:
        client.admin.topics.create("many", partitions=200, exist_ok=True)
        every = dict.fromkeys(range(200), (0, 0))
        assert all(found == every for found in pool.map(lambda _: client.offsets("many"), range(20)))


@pytest.mark.parametrize("call", ["offsets", "producer", "consumer"])
def test_a_topic_that_is_deleted_while_its_partitions_are_waited_for(cluster: LocalCluster, call: str) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        calls: dict[str, Callable[[], object]] = {
            "offsets": lambda: client.offsets("bare"),
            "producer": lambda: client.producer("bare").__enter__(),
            "consumer": lambda: client.consumer("bare").__enter__(),
        }
        # A mirror's home has no partitions before its first remote cluster.
        client.admin.topics.create("bare", mirror=HomeMirror([]))
        with ThreadPoolExecutor(1) as pool:
            call_of_another = pool.submit(calls[call])
            # Whenever the topic goes, that call ends alike; mostly it waits by now.
            time.sleep(0.1)
            client.admin.topics.delete("bare")
            with pytest.raises(TopicNotFoundError) as gone:
                call_of_another.result(20)
            assert gone.value.topic == "bare"
