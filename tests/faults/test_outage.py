"""The cluster is away for a while: every call that may be repeated waits for it, the others say what became of them.

The calls are found in the classes, so that a new one has to be put into one of the tables here.
"""

from __future__ import annotations

import inspect
import itertools
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from campaign import aside, together
from conftest import World
from insides import control, spu_port
from laws import LONG, has_long_form
from proxy import Proxy, between

import fluvio_cffi
from fluvio_cffi import (
    AsyncAdmin,
    AsyncConsumer,
    AsyncEvents,
    AsyncFluvio,
    AsyncProducer,
    AsyncReceipt,
    AsyncWatch,
    ClosedError,
    ConfigError,
    CustomSpuSpec,
    FluvioConnectionError,
    FluvioError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    ProducerRecord,
    RemoteCluster,
)

pytestmark = pytest.mark.timeout(120)

WASM = b"\0asm\1\0\0\0"
START = Offset.beginning()
AWAY = 1.0
# How late a call may be on a busy machine.
GRACE = 5.0
SHORT = 0.3

Call = Callable[["Scene"], Awaitable[Any]]


class Scene:
    """A cluster with one of everything, and a client of it."""

    def __init__(self, world: World, cluster: LocalCluster, client: Any) -> None:
        self.world = world
        self.cluster = cluster
        self.client = client
        self.admin = client.admin
        # When connecting gives up.
        self.timeout = 30.0
        self._numbers = itertools.count()

    async def furnish(self) -> None:
        admin, client = self.admin, self.client
        await admin.topics.create("t", partitions=2)
        for name in ("quiet", "idle"):
            await admin.topics.create(name)
        await admin.mirrors.create("there", RemoteCluster())
        await admin.table_formats.create("there")
        await admin.smartmodules.create("there", wasm=WASM)
        await admin.spu_groups.create("there")
        await admin.custom_spus.create("there", spu(77))
        self.producer = await client.producer("t")
        for partition in (0, 1):
            await self.producer.send_all([ProducerRecord(b"%d" % number, partition=partition) for number in range(10)])
        self.consumer = await client.consumer("t", consumer_id="w")
        await self.consumer.commit({0: 0})
        self.reader = await client.consumer("quiet", start=START)
        for group in ("crew", "set back", "dissolved"):
            async with client.consumer("t", group=group, stop_at_end=True) as member:
                async for batch in member.batches():
                    await member.commit(batch)
        for consumer in ("kept", "gone"):
            await admin.consumer_offsets.reset(**self.key(consumer), to=3)

    def name(self) -> str:
        """Of something new."""
        return f"new-{next(self._numbers)}"

    def key(self, consumer: str) -> dict[str, Any]:
        return {"consumer_id": consumer, "topic": "t", "partition": 0}


def spu(number: int) -> CustomSpuSpec:
    return CustomSpuSpec(number, public_endpoint="a:1", private_endpoint="b:2")


async def first(watch: Any) -> None:
    change = await watch.receive()
    assert change.kind == "snapshot" and change.items
    await watch.close()


async def opens(opening: Any) -> None:
    await (await opening).close()


async def receives(scene: Scene) -> None:
    async with scene.client.producer("quiet") as producer:
        await producer.send(b"late")
    assert (await scene.reader.receive(timeout=30)).value == b"late"


async def waits(scene: Scene) -> None:
    assert (await (await scene.producer.enqueue(b"x")).wait()).topic == "t"


async def flushes(scene: Scene) -> None:
    receipt = await scene.producer.enqueue(b"x")
    await scene.producer.flush()
    assert receipt.done()


async def commits(scene: Scene) -> None:
    await scene.consumer.commit({0: 2, 1: 1})
    assert await scene.consumer.committed() == {0: 2, 1: 1}


async def resets(scene: Scene) -> None:
    assert (await scene.admin.consumer_offsets.reset(**scene.key("reset"), to=3)).offset == 2


async def sends_a_table(it: Scene) -> None:
    if sys.implementation.name != "cpython":
        return
    import pyarrow

    await it.producer.send_arrow(pyarrow.table({"value": [b"x"] * 1000}))


REPEATED: dict[str, tuple[Call, ...]] = {
    "AsyncFluvio.connect": (
        lambda it: opens(it.world.connect(it.cluster.endpoint, timeout=it.timeout)),
        lambda it: opens(it.world.connect(it.cluster.endpoint, timeout=it.timeout, wait=True)),
    ),
    "AsyncFluvio.producer": (lambda it: opens(it.client.producer("idle")),),
    "AsyncFluvio.consumer": (
        lambda it: opens(it.client.consumer("t", start=START)),
        lambda it: opens(it.client.consumer("t", consumer_id="other")),
    ),
    "AsyncFluvio.offsets": (lambda it: it.client.offsets("t"),),
    "AsyncFluvio.ping": (lambda it: it.client.ping(),),
    "AsyncConsumer.commit": (commits,),
    "AsyncConsumer.committed": (lambda it: it.consumer.committed(),),
    "AsyncConsumer.seek": (lambda it: it.consumer.seek(1, 0),),
    "AsyncTopics.list": (lambda it: it.admin.topics.list(), lambda it: it.admin.topics.list(system=True)),
    "AsyncTopics.get": (lambda it: it.admin.topics.get("t"),),
    "AsyncTopics.watch": (lambda it: first(it.admin.topics.watch()),),
    "AsyncTopics.create": (
        lambda it: it.admin.topics.create(it.name(), exist_ok=True),
        lambda it: it.admin.topics.create("t", exist_ok=True),
        lambda it: it.admin.topics.create(it.name(), dry_run=True),
    ),
    "AsyncTopics.delete": (lambda it: it.admin.topics.delete("none", missing_ok=True),),
    "AsyncPartitions.list": (lambda it: it.admin.partitions.list(topic="t"),),
    "AsyncPartitions.get": (lambda it: it.admin.partitions.get("t", 1),),
    "AsyncPartitions.watch": (lambda it: first(it.admin.partitions.watch()),),
    "AsyncSpus.list": (lambda it: it.admin.spus.list(),),
    "AsyncSpus.get": (lambda it: it.admin.spus.get(5001),),
    "AsyncSpus.watch": (lambda it: first(it.admin.spus.watch()),),
    "AsyncCustomSpus.list": (lambda it: it.admin.custom_spus.list(),),
    "AsyncCustomSpus.get": (lambda it: it.admin.custom_spus.get("there"),),
    "AsyncCustomSpus.create": (
        lambda it: it.admin.custom_spus.create("new", spu(78), exist_ok=True),
        lambda it: it.admin.custom_spus.create("dry", spu(79), dry_run=True),
    ),
    "AsyncCustomSpus.delete": (lambda it: it.admin.custom_spus.delete("none", missing_ok=True),),
    "AsyncSpuGroups.list": (lambda it: it.admin.spu_groups.list(),),
    "AsyncSpuGroups.get": (lambda it: it.admin.spu_groups.get("there"),),
    "AsyncSpuGroups.watch": (lambda it: first(it.admin.spu_groups.watch()),),
    "AsyncSpuGroups.create": (
        lambda it: it.admin.spu_groups.create(it.name(), exist_ok=True),
        lambda it: it.admin.spu_groups.create(it.name(), dry_run=True),
    ),
    "AsyncSpuGroups.delete": (lambda it: it.admin.spu_groups.delete("none", missing_ok=True),),
    "AsyncSmartModules.list": (lambda it: it.admin.smartmodules.list(),),
    "AsyncSmartModules.get": (lambda it: it.admin.smartmodules.get("there", wasm=True),),
    "AsyncSmartModules.watch": (lambda it: first(it.admin.smartmodules.watch()),),
    "AsyncSmartModules.create": (
        lambda it: it.admin.smartmodules.create(it.name(), wasm=WASM, exist_ok=True),
        lambda it: it.admin.smartmodules.create("there", wasm=WASM, overwrite=True),
        lambda it: it.admin.smartmodules.create(it.name(), wasm=WASM, dry_run=True),
    ),
    "AsyncSmartModules.delete": (lambda it: it.admin.smartmodules.delete("none", missing_ok=True),),
    "AsyncTableFormats.list": (lambda it: it.admin.table_formats.list(),),
    "AsyncTableFormats.get": (lambda it: it.admin.table_formats.get("there"),),
    "AsyncTableFormats.watch": (lambda it: first(it.admin.table_formats.watch()),),
    "AsyncTableFormats.create": (
        lambda it: it.admin.table_formats.create(it.name(), exist_ok=True),
        lambda it: it.admin.table_formats.create(it.name(), dry_run=True),
    ),
    "AsyncTableFormats.delete": (lambda it: it.admin.table_formats.delete("none", missing_ok=True),),
    "AsyncMirrors.list": (lambda it: it.admin.mirrors.list(),),
    "AsyncMirrors.get": (lambda it: it.admin.mirrors.get("there"),),
    "AsyncMirrors.create": (
        lambda it: it.admin.mirrors.create(it.name(), RemoteCluster(), exist_ok=True),
        lambda it: it.admin.mirrors.create(it.name(), RemoteCluster(), dry_run=True),
    ),
    "AsyncMirrors.delete": (lambda it: it.admin.mirrors.delete("none", missing_ok=True),),
    "AsyncConsumerOffsets.list": (lambda it: it.admin.consumer_offsets.list(),),
    "AsyncConsumerOffsets.get": (lambda it: it.admin.consumer_offsets.get(**it.key("kept")),),
    "AsyncConsumerOffsets.delete": (
        lambda it: it.admin.consumer_offsets.delete(**it.key("none"), missing_ok=True),
        lambda it: it.admin.consumer_offsets.delete(**it.key("gone")),
    ),
    "AsyncConsumerOffsets.reset": (resets,),
    "AsyncGroups.list": (lambda it: it.admin.groups.list(),),
    "AsyncGroups.get": (lambda it: it.admin.groups.get("crew", "t"),),
    "AsyncGroups.watch": (lambda it: first(it.admin.groups.watch("crew", "t")),),
    "AsyncGroups.reset": (lambda it: it.admin.groups.reset("set back", "t", 3),),
    "AsyncGroups.delete": (
        lambda it: it.admin.groups.delete("none", "t", missing_ok=True),
        lambda it: it.admin.groups.delete("dissolved", "t", missing_ok=True),
    ),
    "AsyncClusterAdmin.status": (lambda it: it.admin.cluster.status(),),
    "AsyncClusterAdmin.watch": (lambda it: first(it.admin.cluster.watch()),),
}
"""What may be repeated, as often as it takes."""

RECORDS: dict[str, tuple[Call, ...]] = {
    "AsyncProducer.send": (lambda it: it.producer.send(b"x"),),
    "AsyncProducer.send_all": (lambda it: it.producer.send_all([b"x"] * 1000),),
    "AsyncProducer.send_arrow": (sends_a_table,),
    "AsyncProducer.flush": (flushes,),
    "AsyncReceipt.wait": (waits,),
    "AsyncConsumer.receive": (receives,),
}
"""The data path: what waits has time-outs and outcomes of its own, which test_proxy.py and test_restart.py see to."""

ONCE: dict[str, tuple[Call, ...]] = {
    "AsyncTopics.create": (lambda it: it.admin.topics.create("once"),),
    "AsyncTopics.add_partitions": (lambda it: it.admin.topics.add_partitions("idle", 1),),
    "AsyncTopics.add_mirror": (lambda it: it.admin.topics.add_mirror("idle", "there"),),
    "AsyncTopics.delete": (lambda it: it.admin.topics.delete("t"),),
    "AsyncCustomSpus.create": (lambda it: it.admin.custom_spus.create("once", spu(80)),),
    "AsyncCustomSpus.delete": (lambda it: it.admin.custom_spus.delete("there"),),
    "AsyncSpuGroups.create": (lambda it: it.admin.spu_groups.create("once"),),
    "AsyncSpuGroups.delete": (lambda it: it.admin.spu_groups.delete("there"),),
    "AsyncSmartModules.create": (lambda it: it.admin.smartmodules.create("once", wasm=WASM),),
    "AsyncSmartModules.delete": (lambda it: it.admin.smartmodules.delete("there"),),
    "AsyncTableFormats.create": (lambda it: it.admin.table_formats.create("once"),),
    "AsyncTableFormats.delete": (lambda it: it.admin.table_formats.delete("there"),),
    "AsyncMirrors.create": (lambda it: it.admin.mirrors.create("once", RemoteCluster()),),
    "AsyncMirrors.delete": (lambda it: it.admin.mirrors.delete("there"),),
}
"""What changes something each time that it is done."""

LOCAL = {
    "AsyncProducer.enqueue": "it waits for room only",
    "AsyncEvents.receive": "it tells of outages",
    "AsyncWatch.receive": "it opens the watch, or goes on",
}
"""What needs no cluster."""


def public() -> set[str]:
    """The methods that wait, and those that open something which does, but for the ends of things."""
    kinds = [
        inspect.signature(member.fget).return_annotation
        for name, member in vars(AsyncAdmin).items()
        if isinstance(member, property) and member.fget is not None
    ]
    classes = [AsyncFluvio, AsyncProducer, AsyncReceipt, AsyncConsumer, AsyncEvents, AsyncWatch]
    classes += [getattr(fluvio_cffi, kind) for kind in kinds]
    found = set()
    for cls in classes:
        for name, member in inspect.getmembers(cls, callable):
            waits = inspect.iscoroutinefunction(member) or name in ("connect", "producer", "consumer", "watch")
            if not name.startswith("_") and name not in ("close", "aclose") and waits:
                found.add(f"{cls.__name__}.{name}")
    return found


def test_every_call_is_in_a_table() -> None:
    assert public() == REPEATED.keys() | RECORDS.keys() | ONCE.keys() | LOCAL.keys()


@pytest.fixture
def own() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


async def test_what_may_be_repeated_waits(world: World, own: LocalCluster) -> None:
    """Each is made while everything is away, and none fails, nor ends long after the restart."""
    async with world.connect(own.endpoint) as client:
        scene = Scene(world, own, client)
        await scene.furnish()
        ended: dict[str, float] = {}
        back: list[float] = []

        def made(name: str, call: Call) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                try:
                    await call(scene)
                except FluvioError as error:
                    raise AssertionError(f"{name}: {error!r}") from error
                ended[name] = time.monotonic()

            return run

        async def restart() -> None:
            await world.sleep(AWAY)
            back.append(time.monotonic())
            await aside(world, own.start)
            back.append(time.monotonic())

        tables = {**REPEATED, **RECORDS}.items()
        calls = [made(f"{name} {at}", call) for name, all in tables for at, call in enumerate(all)]
        await aside(world, own.kill)
        await together(world, restart, *calls)
        assert len(ended) == len(calls)
        early = {name for name, at in ended.items() if at < back[0]}
        assert early == {"AsyncFluvio.producer 0"}, "the topic is known, and nothing is sent"
        assert max(ended.values()) < back[1] + GRACE


@pytest.mark.parametrize("gone", ["kill", "sc stall on"])
async def test_the_end_of_the_time_says_what_was_waited_for(world: World, own: LocalCluster, gone: str) -> None:
    async with world.connect(own.endpoint) as other:
        furnished = Scene(world, own, other)
        await furnished.furnish()
    async with world.connect(own.endpoint, admin_timeout=SHORT) as client:
        scene = Scene(world, own, client)
        scene.timeout = SHORT
        scene.consumer = await client.consumer("t", consumer_id="w", start=START)
        addresses = [own.endpoint, f"127.0.0.1:{spu_port(own)}"]
        await aside(world, own.kill if gone == "kill" else lambda: control(own, gone))
        # Those that need the SC only for what is not known.
        data = {
            "AsyncFluvio.consumer",
            "AsyncFluvio.offsets",
            "AsyncConsumer.commit",
            "AsyncConsumer.committed",
            "AsyncConsumer.seek",
        }
        data |= {name for name in REPEATED if "ConsumerOffsets" in name or "Groups" in name}

        def ends(name: str, call: Call) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                begun = time.monotonic()
                with pytest.raises(FluvioTimeoutError) as raised:
                    await call(scene)
                error = raised.value
                assert time.monotonic() - begun < SHORT + GRACE, name
                assert error.retriable and error.outcome in (None, "not_written"), (name, error)
                if gone == "kill":
                    assert "the last attempt: " in str(error) and "refused" in str(error), (name, error)
                    assert isinstance(error.__cause__, ConnectionRefusedError), (name, error)
                assert any(address in str(error) for address in addresses), (name, error)

            return run

        late = [name for name in REPEATED if name != "AsyncFluvio.producer" and (gone == "kill" or name not in data)]
        await together(world, *(ends(name, call) for name in late for call in REPEATED[name]))
        await scene.consumer.close()


async def test_what_is_done_once_says_that_it_was_not_sent(world: World, own: LocalCluster) -> None:
    async with world.connect(own.endpoint, admin_timeout=SHORT) as client:
        scene = Scene(world, own, client)
        await aside(world, own.kill)

        def ends(name: str, call: Call) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                with pytest.raises(FluvioTimeoutError, match="refused") as raised:
                    await call(scene)
                error = raised.value
                assert (error.outcome, error.retriable, error.phase) == ("not_written", True, "admin"), (name, error)

            return run

        await together(world, *(ends(name, call) for name, calls in ONCE.items() for call in calls))


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_what_is_done_once_says_that_nobody_knows(world: World, own: LocalCluster) -> None:
    """The SC takes what it is asked, and goes before it answers."""
    keys = {"create": b"\x03\xe9\x00", "delete": b"\x03\xea\x00", "add": b"\x03\xee\x00"}

    def asked() -> None:
        control(own, "sc stall on")
        timers.append(threading.Timer(0.05, gone))
        timers[-1].start()

    timers: list[threading.Timer] = []

    def gone() -> None:
        own.faults.reset_controller()
        control(own, "sc stall off")

    async with world.connect(own.endpoint) as other:
        furnished = Scene(world, own, other)
        await furnished.furnish()
    with Proxy(own.endpoint) as sc:
        async with world.connect(sc.endpoint) as client:
            scene = Scene(world, own, client)
            for name, calls in ONCE.items():
                verb = name.partition(".")[2].partition("_")[0]
                for call in calls:
                    sc.before(keys[verb], asked)
                    with pytest.raises(FluvioConnectionError, match="may have been done") as raised:
                        await call(scene)
                    assert (raised.value.outcome, raised.value.retriable) == ("unknown", False), (name, raised.value)
                    timers.pop().join()


# -- connecting


async def test_connecting_waits_for_a_cluster_that_starts(world: World, own: LocalCluster) -> None:
    own.kill()
    fresh = LocalCluster()
    with fresh:
        endpoint = fresh.endpoint
    connected = []

    async def connects() -> None:
        async with world.connect(endpoint, wait=True, timeout=20) as client:
            connected.append(client.state)

    async def starts() -> None:
        await world.sleep(0.5)
        assert not connected
        await aside(world, fresh.start)

    try:
        await together(world, connects, starts)
        assert connected == ["connected"]
    finally:
        fresh.stop()
    for wrong in ("yes", 2, 0.5):
        with pytest.raises(ConfigError, match="wait"):
            await world.connect(endpoint, wait=wrong)


async def test_connecting_to_one_that_has_answered(world: World, own: LocalCluster) -> None:
    """It is waited for, unless somebody does not want to."""
    await opens(world.connect(own.endpoint))
    own.kill()
    begun = time.monotonic()
    with pytest.raises(FluvioConnectionError):
        await world.connect(own.endpoint, wait=False)
    assert time.monotonic() - begun < GRACE
    with pytest.raises(FluvioTimeoutError, match="refused") as raised:
        await world.connect(own.endpoint, timeout=SHORT)
    assert (raised.value.phase, raised.value.retriable) == ("connect", True)


# -- commits


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_a_commit_that_has_waited_goes_back_behind_nobody(world: World, own: LocalCluster) -> None:
    """A worker is cut off; another one goes on meanwhile."""
    async with world.connect(own.endpoint) as other:
        topic = await world.topic(other)
        async with other.producer(topic) as producer:
            await producer.send_all([b"x"] * 100)
        successor = await other.consumer(topic, consumer_id="w")
        # On the connection that it has from now on, it is not cut off.
        await successor.commit({0: 1})
        with between(own) as proxies:
            async with world.connect(proxies[0].endpoint) as client:
                worker = await client.consumer(topic, consumer_id="w")
                batch = await worker.batches(max_records=10).__anext__()
                await worker.commit(batch)
                for proxy in proxies:
                    proxy.become("refuse")

                async def late() -> None:
                    await worker.commit(await worker.receive())

                async def overtaken() -> None:
                    # For longer than what is stored is believed.
                    await world.sleep(1.5)
                    await successor.commit({0: 90})
                    for proxy in proxies:
                        proxy.become("forward")

                await together(world, late, overtaken)
                assert await worker.committed() == {0: 90}
        await successor.close()


# -- ends of waiting


@pytest.mark.backends("asyncio", "trio")
async def test_cancelled_while_it_waits(world: World, own: LocalCluster) -> None:
    """It ends at once; and what was cancelled harms no later call."""
    import anyio

    async with world.connect(own.endpoint) as client:
        scene = Scene(world, own, client)
        await scene.furnish()
        own.kill()
        calls: tuple[Call, ...] = (
            lambda it: it.consumer.commit({0: 7}),
            lambda it: it.consumer.committed(),
            lambda it: it.admin.topics.list(),
            lambda it: it.admin.topics.create("t", exist_ok=True),
            lambda it: first(it.admin.topics.watch()),
            lambda it: opens(it.world.connect(own.endpoint, timeout=None)),
        )
        for call in calls:
            begun = time.monotonic()
            with anyio.move_on_after(0.2) as scope:
                await call(scene)
            assert scope.cancelled_caught
            assert time.monotonic() - begun < GRACE
        own.start()
        await scene.consumer.commit({0: 5})
        assert (await scene.consumer.committed())[0] == 5
        for call in calls[1:]:
            await call(scene)


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_closed_while_it_waits(world: World, own: LocalCluster) -> None:
    async with world.connect(own.endpoint) as client:
        scene = Scene(world, own, client)
        await scene.furnish()
        own.kill()

        async def ends(call: Callable[[], Awaitable[Any]]) -> None:
            with pytest.raises(ClosedError):
                await call()

        async def close(what: Any) -> None:
            await world.sleep(0.3)
            begun = time.monotonic()
            await what.close(timeout=1)
            assert time.monotonic() - begun < 1 + GRACE

        of_consumer = [lambda: scene.consumer.commit({0: 1}), scene.consumer.committed]
        await together(world, *(lambda call=call: ends(call) for call in of_consumer), lambda: close(scene.consumer))
        of_client = [
            scene.admin.topics.list,
            lambda: scene.admin.mirrors.delete("there", missing_ok=True),
            lambda: first(scene.admin.topics.watch()),
            lambda: opens(client.consumer("t", start=START)),
        ]
        await together(world, *(lambda call=call: ends(call) for call in of_client), lambda: close(client))


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_a_read_opens_a_watch_within_its_own_time(world: World, own: LocalCluster) -> None:
    async with world.connect(own.endpoint) as client:
        watch = client.admin.topics.watch()
        own.kill()
        for seconds in (0, SHORT):
            begun = time.monotonic()
            with pytest.raises(FluvioTimeoutError) as raised:
                await watch.receive(timeout=seconds)
            assert raised.value.phase == "read"
            assert time.monotonic() - begun < seconds + GRACE
        own.start()
        assert (await watch.receive(timeout=30)).kind == "snapshot"


# -- a worker


RESTARTS = 20 if LONG else 3
BACKLOG = 400_000 if LONG else 20_000


def seconds_away(number: int) -> float:
    """From one to five in the long run."""
    return 1.0 + number % 5 if LONG else 0.3 + 0.4 * number


@has_long_form
@pytest.mark.timeout(900 if LONG else 120)
@pytest.mark.backends("asyncio", "trio", "sync")
async def test_a_worker_with_a_backlog_lives_through_restarts(world: World, own: LocalCluster) -> None:
    """Reads, works, produces, commits; nothing is raised, nothing is lost."""
    async with world.connect(own.endpoint) as client, world.connect(own.endpoint) as other:
        for topic in ("in", "out"):
            await other.admin.topics.create(topic)
        async with other.producer("in") as feeder:
            await feeder.send_all(b"%d" % number for number in range(BACKLOG))
        calm: list[float] = []
        read: list[int] = []
        committed = [0]

        async def work() -> None:
            async with (
                client.consumer("in", consumer_id="etl", stop_at_end=True) as consumer,
                client.producer("out") as producer,
            ):
                async for batch in consumer.batches(max_records=100, max_wait=0):
                    read.extend(batch.offset_list())
                    await producer.send_all(b"%s done" % value for value in batch.value_list())
                    await consumer.commit(batch)
                    committed[0] += 1
                    if not calm:
                        await world.sleep(0.02)

        async def restarts() -> None:
            try:
                for number in range(RESTARTS):
                    before, deadline = committed[0], time.monotonic() + 30
                    while committed[0] < before + 20:
                        assert time.monotonic() < deadline, "no more is committed"
                        await world.sleep(0.01)
                    # Now and then an SPU alone, which first does not know that it leads.
                    if number % 3 == 2:
                        await aside(world, own.kill_spu, 5001)
                        await world.sleep(seconds_away(number))
                        await aside(world, control, own, f"start-spu 5001 not-leader-for {1 if not LONG else 3}")
                    else:
                        await aside(world, own.kill)
                        await world.sleep(seconds_away(number))
                        await aside(world, own.start)
            finally:
                calm.append(time.monotonic())

        await together(world, work, restarts)
        assert read == list(range(BACKLOG)), "each record once, in order"
        async with other.consumer("in", consumer_id="etl", stop_at_end=True) as consumer:
            assert await consumer.committed() == {0: BACKLOG - 1}
            assert [record async for record in consumer] == []
        written: list[int] = []
        async with other.consumer("out", start=START, stop_at_end=True) as consumer:
            async for batch in consumer.batches():
                written.extend(int(value.split()[0]) for value in batch.value_list())
        assert list(dict.fromkeys(written)) == list(range(BACKLOG))
        metrics = client.metrics()
        assert len(written) - BACKLOG <= metrics.duplicates_possible
        if LONG:
            print(
                f"{world.backend}: {RESTARTS} restarts, {committed[0]} commits, {BACKLOG} records, "
                f"{len(written) - BACKLOG} twice, errors met {dict(metrics.errors)}, reconnects {metrics.reconnects}"
            )
