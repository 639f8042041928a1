"""What a client tells of what happens to it."""

from __future__ import annotations

import asyncio
import pickle
import threading

import pytest
from conftest import World

from fluvio_cffi import (
    AsyncFluvio,
    ClientEvent,
    ClosedError,
    Events,
    Fluvio,
    FluvioTimeoutError,
    LocalCluster,
    UsageError,
)

pytestmark = pytest.mark.timeout(60)


async def test_from_open_to_close(world: World) -> None:
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            events = client.events()
            assert await events.receive(timeout=5) == ClientEvent("connected", 1)
            topic = await world.topic(client)
            with pytest.raises(FluvioTimeoutError) as late:
                await events.receive(timeout=0)
            assert late.value.phase == "read"
            cluster.faults.move(topic, 0, 5002)
            moved = await events.receive(timeout=5)
            assert moved == ClientEvent("leader_changed", 2, topic=topic, partition=0, leader=5002)
            cluster.faults.reset_controller()
            lost = await events.receive(timeout=5)
            assert (lost.kind, lost.number) == ("reconnecting", 3)
            assert lost.reason
            assert (await events.receive(timeout=5)).kind == "connected"
            assert client.state == "connected"
            # Who listens later hears the state, not what was.
            assert [(await client.events().receive()).kind] == ["connected"]
        assert [event.kind async for event in events] == ["closed"]
        assert [event.kind async for event in events] == []
        with pytest.raises(ClosedError):
            await events.receive()
        with pytest.raises(ClosedError):
            client.events()


async def test_what_moved_while_the_controller_was_away(world: World) -> None:
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            events = client.events()
            silent = cluster.faults.stall_controller()
            cluster.faults.move(topic, 0, 5002)
            cluster.faults.reset_controller()
            silent.undo()
            seen = [await events.receive(timeout=10)]
            while seen[-1].kind != "leader_changed":
                seen.append(await events.receive(timeout=10))
            assert [event.kind for event in seen] == ["connected", "reconnecting", "connected", "leader_changed"]
            assert (seen[-1].topic, seen[-1].leader) == (topic, 5002)


async def test_the_latest_are_kept(world: World) -> None:
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            events = client.events()
            other = client.events()
            for number in range(300):
                leader = 5002 - number % 2
                cluster.faults.move(topic, 0, leader)
                while (event := await other.receive(timeout=5)).kind != "leader_changed":
                    pass
                assert event.leader == leader
        kept = [event async for event in events]
        assert len(kept) == 256
        # The first state and the moves, of which the oldest are gone, then the close.
        assert [event.number for event in kept] == list(range(302 - 255, 303))
        assert kept[-1].kind == "closed"


@pytest.mark.backends("asyncio")
async def test_a_cancelled_wait_loses_nothing(world: World) -> None:
    with LocalCluster() as cluster:
        async with AsyncFluvio.connect(cluster.endpoint) as client:
            events = client.events()
            assert (await events.receive()).kind == "connected"
            for _ in range(20):
                waiting = asyncio.ensure_future(events.receive())
                await asyncio.sleep(0)
                with pytest.raises(UsageError, match="one reads at a time"):
                    await events.receive()
                waiting.cancel()
                cluster.faults.reset_controller()
                with pytest.raises(asyncio.CancelledError):
                    await waiting
                assert (await events.receive(timeout=5)).kind == "reconnecting"
                assert (await events.receive(timeout=5)).kind == "connected"


@pytest.mark.backends("asyncio", "uvloop")
async def test_a_reader_hears_the_close(world: World) -> None:
    async with world.connect() as client:
        events = client.events()

        async def listen() -> list[str]:
            return [event.kind async for event in events]

        listening = asyncio.ensure_future(listen())
        await asyncio.sleep(0.05)
        await client.close()
    assert (await asyncio.wait_for(listening, 5))[-1] == "closed"


@pytest.mark.backends("sync")
async def test_a_thread_hears_the_close(world: World, cluster: LocalCluster) -> None:
    client = Fluvio.connect(cluster.endpoint)
    events = client.events()
    assert isinstance(events, Events)
    heard: list[str] = []
    thread = threading.Thread(target=lambda: heard.extend(event.kind for event in events))
    thread.start()
    await world.sleep(0.05)
    client.close()
    thread.join(5)
    assert heard == ["connected", "closed"]
    with pytest.raises(TypeError):
        pickle.dumps(events)
    event = ClientEvent("reconnecting", 3, reason="why")
    assert pickle.loads(pickle.dumps(event)) == event
