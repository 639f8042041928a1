"""Members of groups while their cluster fails, and while their programs do nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import FluvioTimeoutError, LocalCluster, ProducerRecord

SESSION = 2.0
GROUP = "steady"
PATIENCE = 20.0
LOG = "consumer-group"

pytestmark = pytest.mark.timeout(60)


@contextlib.asynccontextmanager
async def two_members(
    world: World, **keywords: Any
) -> AsyncIterator[tuple[LocalCluster, Any, str, list[Any], list[Any]]]:
    """A cluster of its own, on which two members share two partitions, and what they were told that they have lost."""
    lost: list[Any] = []
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client, world.connect(cluster.endpoint) as other:
            topic = await world.topic(client, partitions=2)
            options = {"group": GROUP, "session_timeout": SESSION, "on_lost": lost.append, **keywords}
            async with client.consumer(topic, **options) as one, other.consumer(topic, **options) as two:
                members = [one, two]
                deadline = time.monotonic() + PATIENCE
                while sorted(one.assignment + two.assignment) != [0, 1] or len(one.assignment) != 1:
                    assert time.monotonic() < deadline
                    await read(members)
                yield cluster, client, topic, members, lost


async def read(members: list[Any], seconds: float = 0.05) -> list[tuple[int, int]]:
    """What all of them can read now."""
    records = []
    for member in members:
        with contextlib.suppress(FluvioTimeoutError):
            while True:
                record = await member.receive(timeout=seconds)
                records.append((record.partition, record.offset))
    return records


async def send(client: Any, topic: str, number: int) -> None:
    async with client.producer(topic) as producer:
        await producer.send_all([ProducerRecord(b"%d" % number, partition=partition) for partition in range(2)])


async def read_until(expected: set[tuple[int, int]], members: list[Any]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    deadline = time.monotonic() + PATIENCE
    while not expected <= set(found):
        assert time.monotonic() < deadline, found
        found += await read(members)
    return found


async def test_nobody_is_put_out_for_a_cluster_that_is_away(world: World) -> None:
    """Longer than a session: reads wait, and go on with the same partitions."""
    async with two_members(world) as (cluster, client, topic, members, lost):
        events = client.events()
        before = [member.assignment for member in members]
        with cluster.faults.stall(5001):
            await world.sleep(SESSION * 1.5)
            assert await read(members) == []
        await send(client, topic, 0)
        await read_until({(0, 0), (1, 0)}, members)
        assert lost == []
        assert [member.assignment for member in members] == before
        kinds: list[str] = []
        while kinds[-1:] != ["resumed"]:
            kinds.append((await events.receive(timeout=PATIENCE)).kind)
        assert "suspended" in kinds
        assert "lost" not in kinds


async def test_an_spu_restarts(world: World) -> None:
    async with two_members(world) as (cluster, client, topic, members, lost):
        await send(client, topic, 0)
        await read_until({(0, 0), (1, 0)}, members)
        cluster.kill_spu(5001)
        cluster.start_spu(5001)
        for member in members:
            await member.commit(timeout=PATIENCE)
        await send(client, topic, 1)
        assert sorted(await read_until({(0, 1), (1, 1)}, members)) == [(0, 1), (1, 1)]
        assert lost == []


async def test_the_controller_is_away(world: World) -> None:
    async with two_members(world) as (cluster, client, topic, members, lost):
        producer = await client.producer(topic)
        with cluster.faults.kill_controller():
            await world.sleep(SESSION * 1.2)
            for partition in range(2):
                await producer.send(b"x", partition=partition)
            await read_until({(0, 0), (1, 0)}, members)
            for member in members:
                await member.commit(timeout=PATIENCE)
        await producer.close()
        assert lost == []


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_a_loop_that_stands_still_is_no_silence(world: World) -> None:
    async with two_members(world) as (_, client, topic, members, lost):
        await send(client, topic, 0)
        await read_until({(0, 0), (1, 0)}, members)
        time.sleep(SESSION * 1.5)
        for member in members:
            await member.commit()
        await send(client, topic, 1)
        assert sorted(await read_until({(0, 1), (1, 1)}, members)) == [(0, 1), (1, 1)]
        assert lost == []


async def test_a_log_that_is_lost(world: World) -> None:
    """What was committed is in the cluster's own store as well."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, partitions=2)
            for number in range(3):
                await send(client, topic, number)
            async with client.consumer(topic, group=GROUP) as consumer:
                await read_until({(0, 2), (1, 2)}, [consumer])
                await consumer.commit({0: 1, 1: 1})
            await client.admin.topics.delete(LOG, force=True)
            async with client.consumer(topic, group=GROUP) as consumer:
                assert sorted(await read_until({(0, 2), (1, 2)}, [consumer])) == [(0, 2), (1, 2)]
