"""Members of groups while their cluster fails, and while their programs do nothing."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import CommitFencedError, FluvioTimeoutError, LocalCluster, Offset, ProducerRecord

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


@contextlib.asynccontextmanager
async def holding(world: World) -> AsyncIterator[tuple[LocalCluster, Any]]:
    """A member that has many records in memory, and reads them fast."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send_all(b"%d" % number for number in range(20_000))
            async with client.consumer(topic, group=GROUP, session_timeout=1.0) as consumer:
                yield cluster, consumer


@pytest.mark.backends("asyncio", "sync")
@pytest.mark.parametrize("place", [3003, 3010])
async def test_what_is_held_waits_for_the_lease(world: World, place: int) -> None:
    """In the middle of a loop over records that were read long ago."""
    async with holding(world) as (cluster, consumer):
        ended: list[float] = []

        def end() -> None:
            ended.append(time.monotonic())
            fault.undo()

        offsets = []
        async for record in consumer:
            offsets.append(record.offset)
            if len(offsets) == place:
                fault = cluster.faults.stall(5001)
                later = threading.Timer(1.8, end)
                later.start()
                time.sleep(1.2)
                assert not ended
            if len(offsets) == place + 1:
                assert ended, "handed out without a lease"
                break
        later.join()
        assert offsets == list(range(place + 1))


@pytest.mark.backends("asyncio", "sync")
async def test_each_call_for_what_is_held_looks_at_the_lease(world: World) -> None:
    async with holding(world) as (cluster, consumer):
        batches = consumer.batches(max_records=10)
        for number in range(100):
            assert (await consumer.receive(timeout=PATIENCE)).offset == number
        with cluster.faults.stall(5001):
            time.sleep(1.2)
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0.2)
        assert (await batches.__anext__()).offset_list() == list(range(100, 110))


@pytest.mark.backends("asyncio", "sync")
async def test_work_in_hand_holds_a_move_up_for_so_long(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client, world.connect(cluster.endpoint) as other:
            topic = await world.topic(client, partitions=2)
            await send(client, topic, 0)
            lost: list[Any] = []
            options = {"group": GROUP, "session_timeout": SESSION}
            async with client.consumer(topic, rebalance_timeout=1.0, on_lost=lost.append, **options) as busy:
                taken = [await busy.receive(timeout=PATIENCE) for _ in range(2)]
                began = time.monotonic()
                async with other.consumer(topic, **options) as quick:
                    (again,) = await read_until_some([quick])
                    assert time.monotonic() - began > 0.9, "it has not come back, and has time until then"
                    gone = again[0]
                    with pytest.raises(CommitFencedError) as caught:
                        await busy.commit({0: 0, 1: 0})
                    assert caught.value.fenced == {gone: 0}
                    assert lost == []
                    await read([busy])
                    assert lost == [(gone,)]
                    with pytest.raises(CommitFencedError):
                        await busy.commit(next(record for record in taken if record.partition == gone))
                    assert busy.assignment == (1 - gone,)
                    assert quick.assignment == (gone,)


async def read_until_some(members: list[Any]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    deadline = time.monotonic() + PATIENCE
    while not found:
        assert time.monotonic() < deadline
        found += await read(members)
    return found


@pytest.mark.backends("asyncio", "sync")
async def test_a_log_that_tells_of_another_past(world: World) -> None:
    """A member that has seen something else than a snapshot says begins anew, from that snapshot."""
    lost: list[Any] = []
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, partitions=2)
            for number in range(4):
                await send(client, topic, number)
            async with client.consumer(topic, group=GROUP, on_lost=lost.append) as consumer:
                await read_until({(0, 3), (1, 3)}, [consumer])
                await consumer.commit()
                member, key = consumer.member_id, f"{GROUP}/{topic}".encode()
                async with client.consumer(LOG, start=Offset.beginning(), stop_at_end=True) as log:
                    records = [record async for record in log if record.key == key]
                partition, last = records[-1].partition, records[-1].offset
                state = {
                    "generation": last,
                    "v": 1,
                    "members": [],
                    "partitions": [[None, -1, False, 1], [None, -1, False, 2]],
                }
                snapshot = {"type": "snapshot", "as_of": last, "chain": "00000000000004d2", "state": state}
                async with client.producer(LOG) as producer:
                    await producer.send(json.dumps(snapshot).encode(), key=key, partition=partition)
                again = await read_until({(0, 2), (0, 3), (1, 3)}, [consumer])
                assert sorted(again) == [(0, 2), (0, 3), (1, 3)]
                assert [sorted(partitions) for partitions in lost] == [[0, 1]]
                assert consumer.member_id != member
