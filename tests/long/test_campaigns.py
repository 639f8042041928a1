"""Fault campaigns: while records are produced and consumed the cluster is killed, reset, stopped and changed.

Nothing that was acknowledged is lost, the consumer delivers each record of the log once and in order, and what the log
repeats or reorders is what the documentation says.

The short list is one fault of each kind; the long campaigns run with FLUVIO_CFFI_LONG=1.
"""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from campaign import Campaign, command, kill, reset, stop
from conftest import World
from insides import control
from laws import long_only

from fluvio_cffi import (
    DeliveryError,
    LocalCluster,
    Offset,
    OffsetEvictedError,
    StorageError,
    TopicNotFoundError,
)

pytestmark = pytest.mark.timeout(60)

Fault = Callable[[Campaign, LocalCluster], Awaitable[None]]

FAULTS: dict[str, Fault] = {
    "kill": kill,
    "reset": reset,
    "stop": stop,
    "sockets": command("reset-sockets 5001"),
    "cut": command("drop-after 5001 30 3", "reset-sockets 5001"),
    "refuse": command("refuse 5001 on", "reset-sockets 5001", "refuse 5001 off"),
    "not leader": command("kill-spu 5001", "start-spu 5001 not-leader-for 0.3"),
    "sc": command("sc reset"),
    "slow": command("delay 5001 20", "delay 5001 0"),
}
# How often everything from the first unacknowledged batch may go again.
CYCLE = 4


@contextlib.asynccontextmanager
async def campaign(
    world: World, *, partitions: int = 1, spus: int = 1, **options: Any
) -> AsyncIterator[tuple[Campaign, LocalCluster]]:
    with LocalCluster(spus=spus) as cluster:
        async with world.connect(cluster.endpoint, request_timeout=2) as client:
            topic = await world.topic(client, partitions=partitions)
            yield Campaign(world, client, topic, partitions, **options), cluster


async def suffers(world: World, fault: Fault, cycles: int, **options: Any) -> Campaign:
    async with campaign(world, **options) as (running, cluster):

        async def suffer(running: Campaign) -> None:
            await running.more()
            for _ in range(cycles):
                await fault(running, cluster)
                await running.more()

        await running.run(suffer)
        running.check_nothing_failed()
        return running


# -- the short list


@pytest.mark.backends("asyncio")
@pytest.mark.parametrize("fault", FAULTS)
async def test_one_fault(world: World, fault: str) -> None:
    running = await suffers(world, FAULTS[fault], 1)
    running.check_order(CYCLE)


@pytest.mark.backends("trio", "sync")
@pytest.mark.parametrize("fault", ["kill", "reset", "stop"])
async def test_one_fault_elsewhere(world: World, fault: str) -> None:
    running = await suffers(world, FAULTS[fault], 1)
    running.check_order(CYCLE)


@pytest.mark.backends("asyncio", "sync")
async def test_one_of_two_spus(world: World) -> None:
    """The partitions of the other go on."""
    running = await suffers(world, reset, 2, partitions=4, spus=2)
    running.check_order(2 * CYCLE)


@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("in_flight", [1, 8])
async def test_a_leader_moves(world: World, in_flight: int) -> None:
    """There and back again: what was sent to the old leader comes before what goes to the new one."""
    there, back = command("move TOPIC 0 5002"), command("move TOPIC 0 5001")

    async with campaign(world, spus=2, max_in_flight=in_flight) as (running, cluster):

        async def suffer(running: Campaign) -> None:
            for _ in range(5):
                for move in (there, back):
                    await running.more()
                    await move(running, cluster)
            await running.more()

        await running.run(suffer)
        running.check_nothing_failed()
        running.check_order(10 * CYCLE)


@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("in_flight", [1, 8])
async def test_a_retriable_error_in_mid_window(world: World, in_flight: int) -> None:
    """Later requests may come first, but only as many as were in flight; with one in flight none."""
    async with campaign(world, max_in_flight=in_flight) as (running, cluster):
        fail = command("fail-next 5001 produce 6")
        # Long enough for the requests behind one to be under way before the answer to it comes.
        await running.aside(control, cluster, f"delay 5001 {2 if in_flight > 1 else 0}")
        fails = 0

        async def suffer(running: Campaign) -> None:
            nonlocal fails
            # If none of the five found any behind it, which is rare, it is for the next one.
            while fails < 5 or (in_flight > 1 and not running.client.metrics().reordered):
                assert fails < 50, "nothing was ever reordered"
                await running.more()
                await fail(running, cluster)
                fails += 1
            await running.more()

        await running.run(suffer)
        running.check_nothing_failed()
        log = running.seen[0]
        assert sorted(log) == list(range(running.sent)), "each once: the server had written nothing"
        metrics = running.client.metrics()
        assert (metrics.errors, metrics.duplicates_possible) == ({"NotLeaderError": fails}, 0)
        late = [after for before, after in itertools.pairwise(log) if after < before]
        if in_flight == 1:
            assert (late, metrics.reordered) == ([], 0)
        else:
            assert 0 < len(late) <= fails
            assert metrics.reordered > 0
        assert all(abs(number - offset) <= running.most_repeated for offset, number in enumerate(log))


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_a_topic_is_deleted(world: World) -> None:
    """Both sides hear of it at once."""
    async with campaign(world) as (running, _):
        client, topic = running.client, running.topic
        producer = await client.producer(topic)
        consumer = await client.consumer(topic, start=Offset.beginning())
        await producer.send(b"x")
        assert (await consumer.receive(timeout=5)).value == b"x"
        await client.admin.topics.delete(topic)
        begun = time.monotonic()
        with pytest.raises(TopicNotFoundError):
            while True:
                await producer.send(b"y")
        with pytest.raises(TopicNotFoundError):
            while True:
                await consumer.receive(timeout=5)
        assert time.monotonic() - begun < 1.5
        with contextlib.suppress(DeliveryError):
            await producer.close()
        await consumer.close()


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_partitions_are_added(world: World) -> None:
    """Producer and consumer that are open take them up."""
    async with campaign(world) as (running, cluster):
        client, topic = running.client, running.topic
        async with (
            client.producer(topic) as producer,
            client.consumer(topic, start=Offset.beginning()) as consumer,
        ):
            await producer.send(b"0")
            assert (await consumer.receive(timeout=5)).value == b"0"
            await running.aside(control, cluster, f"add-partitions {topic} 2")
            begun = time.monotonic()
            used: set[int] = set()
            sent = 0
            while used != {0, 1, 2}:
                used.add((await producer.send(b"x")).partition)
                sent += 1
                await world.sleep(0.001)
            got = [await consumer.receive(timeout=5) for _ in range(sent)]
            assert {record.partition for record in got} == used
            assert time.monotonic() - begun < 2
            assert consumer.assignment == (0, 1, 2)


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_offsets_are_evicted(world: World) -> None:
    """A reader that is behind hears which offset is the next; one that skips goes on there."""
    async with campaign(world) as (running, cluster):
        client, topic = running.client, running.topic
        async with client.producer(topic) as producer:
            await producer.send_all([b"%06d" % number + b"x" * 1000 for number in range(10_000)])
        consumers = [
            await client.consumer(topic, start=Offset.beginning(), prefetch=100_000, on_evicted=what)
            for what in ("raise", "skip")
        ]
        for consumer in consumers:
            assert (await consumer.receive(timeout=5)).offset == 0
        await running.aside(control, cluster, f"evict {topic} 0 9000")
        strict, lenient = consumers
        read = 1
        with pytest.raises(OffsetEvictedError) as evicted:
            while True:
                assert (await strict.receive(timeout=5)).offset == read
                read += 1
        assert (evicted.value.offset, evicted.value.next_available) == (read, 9000)
        assert strict.position() == {0: read}
        with pytest.raises(OffsetEvictedError):
            await strict.receive(timeout=5)
        await strict.seek(0, 9000)
        assert (await strict.receive(timeout=5)).offset == 9000
        before = 0
        offset = 0
        while offset < 9999:
            before, offset = offset, (await lenient.receive(timeout=5)).offset
            assert offset == before + 1 or offset == 9000
        for consumer in consumers:
            await consumer.close()


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_the_disk_is_full(world: World) -> None:
    """Records fail at once, with the reason, until the SPU is started again with room."""
    async with campaign(world) as (running, cluster):
        async with running.client.producer(running.topic) as producer:
            await producer.send(b"0")
            await running.aside(control, cluster, "disk-full 5001 on")
            begun = time.monotonic()
            for code in (72, 73, 73):
                with pytest.raises(StorageError) as full:
                    await producer.send(b"1")
                assert (full.value.code, full.value.outcome) == (code, "not_written")
            with pytest.raises(DeliveryError) as failed:
                await producer.send_all([b"2"] * 100)
            assert failed.value.count == 100
            assert time.monotonic() - begun < 1
            await running.aside(control, cluster, "disk-full 5001 off")
            await reset(running, cluster)
            assert (await producer.send(b"3")).offset == 1
            # At once: what the client knows of the end of the connection may come later.
            for offset in range(2, 12):
                await running.aside(control, cluster, "disk-full 5001 on")
                for _ in range(2):
                    with pytest.raises(StorageError, match=r"storage is full|short-circuited"):
                        await producer.send(b"1")
                await running.aside(control, cluster, "disk-full 5001 off")
                await reset(running, cluster)
                assert (await producer.send(b"3")).offset == offset
        assert [batch async for batch in values(running)] == [b"0"] + [b"3"] * 11


async def values(running: Campaign) -> AsyncIterator[bytes]:
    async with running.client.consumer(running.topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        async for record in consumer:
            yield record.value


# -- the long campaigns


@long_only
@pytest.mark.timeout(1200)
@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("fault", ["kill", "reset", "stop"])
async def test_a_long_campaign(world: World, fault: str) -> None:
    cycles = 50 if world.backend == "asyncio" else 5
    running = await suffers(world, FAULTS[fault], cycles)
    running.check_order(cycles * CYCLE)
    print(f"{cycles} of {fault} on {world.backend}: {running.sent} records, {running.read} in the log")
