"""A topic is ready when the leaders of its partitions say so, whatever the SC has heard: it hears late, or never."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from campaign import together
from conftest import World, read_all
from insides import control
from proxy import Proxy

from fluvio_cffi import (
    AlreadyExistsError,
    Fluvio,
    FluvioTimeoutError,
    InvalidTopicError,
    LocalCluster,
    ProducerRecord,
    TopicNotFoundError,
)

SPU = 5001
# A report that is as late as this is one that does not come.
NEVER = 3000.0
# An SPU hears so late of what the SC has ordered.
LATE = 0.2

pytestmark = [pytest.mark.timeout(60), pytest.mark.backends("asyncio", "sync")]


@pytest.fixture
def quiet() -> Iterator[LocalCluster]:
    """Its SC hears of no partition."""
    with LocalCluster(spus=2) as cluster:
        for spu in (SPU, SPU + 1):
            cluster.faults.delay_reports(spu, NEVER)
        yield cluster


@pytest.fixture
def own() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


async def online(client: Any, topic: str) -> list[bool]:
    """Which partitions the SC says are online."""
    return [each.status.resolution == "online" for each in await client.admin.partitions.list(topic=topic)]


async def use(client: Any, topic: str, partitions: int) -> None:
    """Writes to each partition, and reads it all."""
    values = [b"%d" % number for number in range(partitions)]
    async with client.producer(topic) as producer:
        sent = await producer.send_all(ProducerRecord(value, partition=at) for at, value in enumerate(values))
        assert [each.offset for each in sent] == [0] * partitions
    assert sorted(await read_all(client, topic)) == values


async def test_no_report_is_waited_for(world: World, quiet: LocalCluster) -> None:
    async with world.connect(quiet.endpoint) as client:
        topics = client.admin.topics
        created = await topics.create("t", partitions=3, retention="1h", compression="gzip")
        assert (created.spec.partitions, created.spec.retention, created.status.resolution) == (3, 3600, "provisioned")
        assert created == await topics.get("t")
        assert await online(client, "t") == [False] * 3
        await use(client, "t", 3)
        grown = await topics.add_partitions("t", 2)
        assert grown.spec.partitions == 5
        async with client.producer("t") as producer:
            for partition in (3, 4):
                assert (await producer.send(b"new", partition=partition)).offset == 0
        assert await online(client, "t") == [False] * 5
        assert (await topics.create("t", exist_ok=True)).spec.partitions == 5
        assert (await topics.create("bare", partitions=2, wait_ready=False)).spec.partitions == 2


async def test_keyless_records_go_to_what_the_sc_calls_offline(world: World, own: LocalCluster) -> None:
    async with world.connect(own.endpoint) as client:
        await client.admin.topics.create("t")
        own.faults.delay_reports(SPU, NEVER)
        await client.admin.topics.add_partitions("t", 3)
        assert await online(client, "t") == [True, False, False, False]
        async with client.producer("t") as producer:
            begun = time.monotonic()
            used: set[int] = set()
            while used != {0, 1, 2, 3}:
                used.add((await producer.send(b"x")).partition)
                assert time.monotonic() - begun < 10
        async with client.consumer("t", consumer_id="c", stop_at_end=True) as consumer:
            read = {record.partition async for record in consumer}
            await consumer.commit()
        assert read == used
        assert await online(client, "t") == [True, False, False, False]


async def test_a_lost_report(world: World, own: LocalCluster) -> None:
    """The first one to create after a deletion has its report lost, as on a real cluster."""
    own.faults.lose_reports(SPU)
    own.faults.delay_reports(SPU, NEVER)
    async with world.connect(own.endpoint) as client:
        topics = client.admin.topics
        await topics.create("old")
        await use(client, "old", 1)
        await topics.delete("old")
        await topics.create("new")
        # One report is made, about both.
        own.faults.delay_reports(SPU, 0.1)
        await world.sleep(0.5)
        assert await online(client, "new") == [False]
        await use(client, "new", 1)
        begun = time.monotonic()
        while not all(await online(client, "new")):  # what is written to is reported
            assert time.monotonic() - begun < 10
            await world.sleep(0.05)


@pytest.mark.backends("sync")
async def test_fifty_creates_after_deletes(world: World, own: LocalCluster) -> None:
    """How long they take is printed: with the losses and delays of a real cluster, and without."""
    for name in ("as it is", "as a real one"):
        took = []
        async with world.connect(own.endpoint) as client:
            for number in range(50):
                topic = "same" if number % 2 else f"t{number}"
                begun = time.perf_counter()
                await client.admin.topics.create(topic)
                took.append((time.perf_counter() - begun) * 1000)
                await use(client, topic, 1)
                await client.admin.topics.delete(topic)
        print(f"create after delete, {name}: p50 {statistics.median(took):.1f} ms, slowest {max(took):.1f} ms")
        own.faults.lose_reports(SPU)


async def test_a_leader_that_does_not_serve_it_yet_is_asked_again(world: World, own: LocalCluster) -> None:
    own.faults.delay_partitions(SPU, LATE)
    async with world.connect(own.endpoint) as client:
        begun = time.monotonic()
        await client.admin.topics.create("t", partitions=2)
        assert time.monotonic() - begun >= LATE
        await use(client, "t", 2)
        begun = time.monotonic()
        await client.admin.topics.add_partitions("t", 1)
        assert time.monotonic() - begun >= LATE
        async with client.producer("t") as producer:
            assert (await producer.send(b"new", partition=2)).offset == 0


@pytest.mark.parametrize("whose", ["own", "another's"])
@pytest.mark.parametrize("written", [True, False])
async def test_a_name_that_was_deleted_just_now(world: World, own: LocalCluster, whose: str, written: bool) -> None:
    """The leader serves the old partition for a while. What was written to that would be lost."""
    own.faults.delay_partitions(SPU, LATE)
    async with world.connect(own.endpoint) as client, world.connect(own.endpoint) as other:
        topics = client.admin.topics
        await topics.create("same")
        if written:
            await use(client, "same", 1)
        await (client if whose == "own" else other).admin.topics.delete("same")
        await topics.create("same")
        await use(client, "same", 1)
        await world.sleep(2 * LATE)
        assert await read_all(client, "same") == [b"0"]


async def test_a_name_that_is_deleted_behind_its_back(world: World, own: LocalCluster) -> None:
    """The client that creates it anew has not heard yet that it is gone, and the SC's word comes late."""
    own.faults.delay_partitions(SPU, LATE)
    with Proxy(own.endpoint) as sc, Fluvio.connect(own.endpoint) as other:
        async with world.connect(sc.endpoint) as client:
            await client.admin.topics.create("same")
            sc.before(b"same", lambda: other.admin.topics.delete("same"))
            await client.admin.topics.create("same")
            await use(client, "same", 1)
            await world.sleep(2 * LATE)
            assert await read_all(client, "same") == [b"0"]


async def test_what_the_sc_refuses(world: World, quiet: LocalCluster) -> None:
    async with world.connect(quiet.endpoint) as client, world.connect(quiet.endpoint) as other:
        topics = client.admin.topics
        await other.admin.topics.create("there", partitions=2)
        with pytest.raises(AlreadyExistsError):
            await topics.create("there", partitions=2)
        assert (await topics.create("there", exist_ok=True)).spec.partitions == 2
        with pytest.raises(AlreadyExistsError):
            await topics.create("there", dry_run=True)
        with pytest.raises(InvalidTopicError):
            await topics.create("wide", replication=3)
        with pytest.raises(TopicNotFoundError):
            await topics.add_partitions("nowhere", 1)


@pytest.mark.backends("sync")
async def test_of_two_that_create_it_one_does(world: World, quiet: LocalCluster) -> None:
    """Also where they ask for the same: the other one is told that it exists."""
    for number in range(20):
        start = threading.Barrier(2)
        ended: list[str] = []

        def create(start: threading.Barrier, ended: list[str], number: int = number) -> None:
            with Fluvio.connect(quiet.endpoint) as client:
                start.wait()
                try:
                    client.admin.topics.create(f"t{number}")
                    ended.append("created")
                except AlreadyExistsError:
                    ended.append("exists")

        threads = [threading.Thread(target=create, args=(start, ended)) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ended) == ["created", "exists"], number


async def test_a_reply_that_is_lost(world: World, quiet: LocalCluster) -> None:
    """The SC has created it, and nobody hears its answer."""
    quiet.faults.delay_partitions(SPU, LATE)
    with Proxy(quiet.endpoint) as sc:
        async with world.connect(sc.endpoint) as client:
            topics = client.admin.topics

            async def create() -> None:
                assert (await topics.create("lost")).name == "lost"
                await use(client, "lost", 1)

            async def lose() -> None:
                async with world.connect(quiet.endpoint) as other:
                    while not await other.admin.topics.list(name_contains="lost"):
                        await world.sleep(0.005)
                sc.end("reset")

            if world.is_sync:
                loser = threading.Thread(target=lambda: world.run(lose))
                loser.start()
                await create()
                loser.join()
            else:
                await together(world, create, lose)


async def test_the_sc_restarts_meanwhile(world: World, quiet: LocalCluster) -> None:
    for spu in (SPU, SPU + 1):
        quiet.faults.delay_partitions(spu, 1.0)
    async with world.connect(quiet.endpoint) as client:

        def restart() -> None:
            with Fluvio.connect(quiet.endpoint) as other:
                while not other.admin.topics.list(name_contains="survives"):
                    time.sleep(0.005)
                while "survives" not in {each.topic for each in other.admin.partitions.list()}:
                    time.sleep(0.005)
            with quiet.faults.kill_controller():
                time.sleep(0.1)

        thread = threading.Thread(target=restart)
        thread.start()
        try:
            assert (await client.admin.topics.create("survives", partitions=2, exist_ok=True)).spec.partitions == 2
        finally:
            thread.join()
        await use(client, "survives", 2)


async def test_an_spu_that_cannot_be_reached_from_here(world: World, own: LocalCluster) -> None:
    """The SC's word counts where nobody else's is to be had; without it the error says what exists, and who is mute."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        control(own, f"advertise {SPU} 127.0.0.1 {closed.getsockname()[1]}")
        async with world.connect(own.endpoint) as client:
            assert (await client.admin.topics.create("t", partitions=2)).name == "t"
            assert (await client.admin.topics.add_partitions("t", 1)).spec.partitions == 3
            with own.faults.delay_reports(SPU, NEVER):
                said = '"mute" was created and exists, but is not ready yet; the last attempt: SPU 5001: connection to '
                with pytest.raises(FluvioTimeoutError, match=said) as raised:
                    await client.admin.topics.create("mute", timeout=0.5)
            assert (raised.value.phase, raised.value.outcome) == ("admin", "pending")


async def test_an_spu_that_is_silent(world: World, own: LocalCluster) -> None:
    async with world.connect(own.endpoint) as client:
        with own.faults.stall(SPU), own.faults.delay_reports(SPU, NEVER):
            for timeout in (0.3, 1.5):
                name = f"t{timeout * 10:.0f}"
                begun = time.monotonic()
                with pytest.raises(FluvioTimeoutError, match=f'"{name}" was created and exists, but is not ready'):
                    await client.admin.topics.create(name, timeout=timeout)
                assert timeout <= time.monotonic() - begun < timeout + 5
        await client.admin.topics.create("t", timeout=30)
        for name in ("t3", "t15", "t"):
            await use(client, name, 1)


async def test_one_that_is_deleted_while_it_is_created(world: World, own: LocalCluster) -> None:
    own.faults.delay_partitions(SPU, 5.0)

    def delete() -> None:
        with Fluvio.connect(own.endpoint) as other:
            while not other.admin.topics.list(name_contains="brief"):
                time.sleep(0.005)
            time.sleep(0.1)
            other.admin.topics.delete("brief")

    async with world.connect(own.endpoint) as client:
        thread = threading.Thread(target=delete)
        thread.start()
        begun = time.monotonic()
        try:
            with pytest.raises(TopicNotFoundError):
                await client.admin.topics.create("brief")
        finally:
            thread.join()
        assert time.monotonic() - begun < 5
