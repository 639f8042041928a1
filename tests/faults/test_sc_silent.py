"""The connections to the SC die without a word, as where a router forgets them: the client hears what it missed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import World
from proxy import Mode, Proxy

from fluvio_cffi import FluvioTimeoutError, LocalCluster, Offset
from fluvio_cffi._connect.options import ConnectOptions
from fluvio_cffi._consume.options import ConsumerOptions

pytestmark = [pytest.mark.timeout(60), pytest.mark.backends("asyncio", "trio", "sync")]
REQUEST = 1.0
PROBE = 0.2
# How late something may be on a busy machine; far below the 10 s that the probes of a client are apart.
GRACE = 3.0


@pytest.fixture
def own() -> Iterator[LocalCluster]:
    with LocalCluster(spus=2) as cluster:
        yield cluster


@pytest.fixture
def sc(own: LocalCluster) -> Iterator[Proxy]:
    with Proxy(own.endpoint) as proxy:
        yield proxy


def probing(monkeypatch: pytest.MonkeyPatch, options: Any) -> None:
    """These ask after 0.2 s, instead of 10 s, whether their peer is there."""
    native = options.native

    def sooner(self: Any) -> Any:
        made, alive = native(self)
        made.probe_ms = int(PROBE * 1000)
        return made, alive

    monkeypatch.setattr(options, "native", sooner)


@pytest.mark.parametrize("mode", ["silent", "half-open", "dropped"])
async def test_idle(world: World, sc: Proxy, own: LocalCluster, monkeypatch: pytest.MonkeyPatch, mode: Mode) -> None:
    """State and events say so within the probe's interval and the time of a request; a watch tells what it missed."""
    probing(monkeypatch, ConnectOptions)
    async with world.connect(sc.endpoint, request_timeout=REQUEST) as client:
        topic = await world.topic(client)
        events = client.events()
        assert (await events.receive(timeout=5)).kind == "connected"
        async with client.admin.partitions.watch() as changes:
            assert (await changes.receive(timeout=5)).kind == "snapshot"
            sc.become(mode)
            own.faults.move(topic, 0, 5002)
            lost = await events.receive(timeout=PROBE + REQUEST + GRACE)
            assert (lost.kind, client.state) == ("reconnecting", "reconnecting") or mode == "dropped"
            assert "did not answer within 1 s" in lost.reason
            if mode != "dropped":
                sc.become("forward")
            assert (await events.receive(timeout=10)).kind == "connected"
            moved = await events.receive(timeout=5)
            assert (moved.kind, moved.topic, moved.leader) == ("leader_changed", topic, 5002)
            leaders: set[int] = set()
            while leaders != {5002}:
                change = await changes.receive(timeout=10)
                leaders = {part.spec.leader for part in change.items if part.topic == topic}
            # Where what was under way still came through, it is that; otherwise a fresh state.
            assert change.kind == "snapshot" or mode != "dropped"
        assert client.state == "connected"


async def test_probes_are_answered(world: World, sc: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle client stays connected, over the same connection."""
    probing(monkeypatch, ConnectOptions)
    async with world.connect(sc.endpoint, request_timeout=REQUEST) as client:
        events = client.events()
        assert (await events.receive(timeout=5)).kind == "connected"
        with pytest.raises(FluvioTimeoutError):
            await events.receive(timeout=5 * PROBE)
        assert (client.state, client.metrics().reconnects, sc.connections) == ("connected", 0, 1)


async def test_a_leader_moves_while_producing(world: World, sc: Proxy, own: LocalCluster) -> None:
    """The old leader says that it is none: the SC is asked at once, not at the next probe."""
    async with world.connect(sc.endpoint, request_timeout=REQUEST) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"0")
            sc.become("dropped")
            own.faults.move(topic, 0, 5002)
            begun = time.monotonic()
            assert (await producer.send(b"1", timeout=10)).offset == 1
            assert time.monotonic() - begun < REQUEST + GRACE
        metrics = client.metrics()
        assert metrics.errors["FluvioTimeoutError"] >= 1
        assert metrics.duplicates_possible == 0


async def test_a_leader_moves_while_consuming(
    world: World, sc: Proxy, own: LocalCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    probing(monkeypatch, ConsumerOptions)
    async with world.connect(sc.endpoint, request_timeout=REQUEST) as client, world.connect(own.endpoint) as other:
        topic = await world.topic(other)
        async with (
            other.producer(topic) as producer,
            client.consumer(topic, start=Offset.beginning()) as consumer,
        ):
            await producer.send(b"0")
            assert (await consumer.receive(timeout=5)).value == b"0"
            sc.become("dropped")
            own.faults.move(topic, 0, 5002)
            begun = time.monotonic()
            await producer.send(b"1")
            assert (await consumer.receive(timeout=10)).value == b"1"
            assert time.monotonic() - begun < PROBE + REQUEST + GRACE


@pytest.mark.parametrize("mode", ["silent", "half-open"])
async def test_nothing_is_lost_until_it_is_back(world: World, sc: Proxy, own: LocalCluster, mode: Mode) -> None:
    """The leader has died, and the SC cannot be asked for the new one until later."""
    async with world.connect(sc.endpoint, request_timeout=REQUEST) as client:
        topic = await world.topic(client)
        events = client.events()
        assert (await events.receive(timeout=5)).kind == "connected"
        async with (
            client.producer(topic) as producer,
            client.consumer(topic, start=Offset.beginning()) as consumer,
        ):
            await producer.send(b"0")
            assert (await consumer.receive(timeout=5)).value == b"0"
            sc.become(mode)
            own.faults.move(topic, 0, 5002)
            own.kill_spu(5001)
            receipt = await producer.enqueue(b"1")
            assert (await events.receive(timeout=REQUEST + GRACE)).kind == "reconnecting"
            assert not receipt.done()
            sc.become("forward")
            assert (await receipt.wait(timeout=10)).offset == 1
            assert (await consumer.receive(timeout=10)).value == b"1"


async def test_a_call_over_a_kept_connection(world: World, sc: Proxy) -> None:
    """It is done over another one."""
    async with world.connect(sc.endpoint, request_timeout=REQUEST) as client:
        topic = await world.topic(client)
        assert await client.admin.topics.list()
        sc.become("dropped")
        begun = time.monotonic()
        assert topic in {found.name for found in await client.admin.topics.list()}
        assert time.monotonic() - begun < REQUEST + GRACE


async def test_opening_what_was_made_meanwhile(world: World, sc: Proxy, own: LocalCluster) -> None:
    """The view does not know the topic: that is reason enough to ask."""
    async with world.connect(sc.endpoint, request_timeout=REQUEST) as client, world.connect(own.endpoint) as other:
        assert await client.admin.spus.list()
        sc.become("dropped")
        topic = await world.topic(other)
        begun = time.monotonic()
        async with client.producer(topic) as producer:
            assert (await producer.send(b"0")).offset == 0
        assert time.monotonic() - begun < REQUEST + GRACE
