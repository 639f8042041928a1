"""A panic in a task of the library ends what waits for that task, within a second, and nothing else; the task begins
anew."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from conftest import World
from insides import control
from laws import nothing_left

from fluvio_cffi import DeliveryError, FluvioError, FluvioTimeoutError, InternalError, LocalCluster, Offset, SendResult
from fluvio_cffi._native.loader import ffi, lib

pytestmark = pytest.mark.timeout(30)


def panic(task: str) -> None:
    """The next task of this kind that takes a turn panics."""
    assert lib.flv_debug_panic(getattr(lib, f"FLV_TASK_{task}"), ffi.NULL) == 0


@contextlib.contextmanager
def within(seconds: float) -> Any:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < seconds


class Pair:
    """A client with one producer and one consumer."""

    def __init__(self, client: Any, topic: str, producer: Any, consumer: Any) -> None:
        self.client = client
        self.topic = topic
        self.producer = producer
        self.consumer = consumer

    @classmethod
    async def open(cls, world: World) -> Pair:
        client = await world.connect()
        topic = await world.topic(client)
        pair = cls(client, topic, await client.producer(topic), await client.consumer(topic, start=Offset.beginning()))
        await pair.works()
        return pair

    async def works(self) -> None:
        await self.producer.send(b"works", timeout=5)
        assert (await self.consumer.receive(timeout=5)).value == b"works"
        assert (await self.client.admin.topics.get(self.topic, timeout=5)).name == self.topic

    async def close(self) -> None:
        for thing in (self.producer, self.consumer, self.client):
            with contextlib.suppress(FluvioError):
                await thing.close(timeout=5)


async def test_of_an_operation(world: World) -> None:
    pair, other = await Pair.open(world), await Pair.open(world)
    calls = [
        pair.client.admin.topics.list,
        lambda: world.connect(),
        lambda: pair.client.producer(pair.topic),
        lambda: pair.client.consumer(pair.topic),
    ]
    for call in calls:
        panic("OPERATION")
        with within(1), pytest.raises(InternalError):
            await call()
    for both in (pair, other):
        await both.works()
        await both.close()


async def test_of_a_producer(world: World) -> None:
    """It hits the producer whose sender takes a turn first: every receipt and every wait fails. The consumer and the
    other client go on, and so does that producer."""
    pairs = [await Pair.open(world), await Pair.open(world)]
    hit = None
    with within(10):
        while hit is None:
            # A sender that has nothing in flight when it is hit begins anew without a word.
            panic("PRODUCER")
            for pair in pairs:
                try:
                    # Several at once: what finds nothing in flight is sent without the task that panics.
                    receipts = [await pair.producer.enqueue(b"x" * 100) for _ in range(3)]
                    for receipt in receipts:
                        await receipt.wait(5)
                except InternalError as error:
                    assert error.outcome in ("not_written", "unknown")
                    hit = pair
                    break
    pair = hit
    with contextlib.suppress(FluvioError):
        await pair.producer.flush(timeout=5)
    assert len(await pair.producer.send_all([b"y"] * 10, timeout=5)) == 10
    await (await pair.producer.enqueue(b"y")).wait(5)
    await pair.producer.send(b"again", timeout=5)
    while (await pair.consumer.receive(timeout=5)).value != b"again":
        pass
    assert pair.client.metrics().errors["InternalError"] >= 1
    for both in pairs:
        await both.producer.send(b"works", timeout=5)
        while (await both.consumer.receive(timeout=5)).value != b"works":
            pass
        await both.close()


async def test_of_a_producer_with_much_in_flight(world: World) -> None:
    """Each record has an outcome, also those that wait for room."""
    pair = await Pair.open(world)
    # It would hit whose turn comes first.
    await pair.producer.close()
    async with pair.client.consumer(pair.topic, start=Offset.beginning()):
        producer = await pair.client.producer(pair.topic, buffer_size=50_000, max_request_size=50_000)
        failure = None
        with within(10):
            while failure is None:
                # A sender that has nothing in flight when it is hit begins anew without a word.
                panic("PRODUCER")
                try:
                    await producer.send_all([b"z" * 200] * 20_000)
                except DeliveryError as error:
                    failure = error
        result = failure.result
        assert isinstance(result, SendResult) and len(result) == 20_000
        assert all(isinstance(error, InternalError) for error in failure.errors)
        assert 0 < failure.count < 20_000
        with within(1):
            await producer.close()
    await pair.close()


async def test_of_a_consumer(world: World) -> None:
    """It hits the consumer that takes a turn first; the others go on, and so does that one when it is told where."""
    pairs = [await Pair.open(world), await Pair.open(world)]
    panic("CONSUMER")
    hit = None
    with within(1):
        while hit is None:
            for pair in pairs:
                try:
                    await pair.producer.send(b"works")
                    while (await pair.consumer.receive(timeout=5)).value != b"works":
                        pass
                except InternalError:
                    hit = pair
    for read in (hit.consumer.receive, hit.consumer.__anext__, hit.consumer.batches().__anext__):
        with within(1), pytest.raises(InternalError):
            await read()
    await hit.consumer.seek(0, hit.consumer.position()[0])
    while (await hit.consumer.receive(timeout=5)).value != b"works":
        pass
    with pytest.raises(FluvioTimeoutError):
        await hit.consumer.receive(timeout=0.1)
    for pair in pairs:
        await pair.works()
        await pair.close()


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_of_a_consumer_that_is_waited_for(world: World) -> None:
    """A read that waits already fails too."""
    import anyio

    pair = await Pair.open(world)
    failed: list[float] = []

    async def read() -> None:
        with pytest.raises(InternalError):
            while True:
                await pair.consumer.receive(timeout=5)
        failed.append(time.monotonic())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        panic("CONSUMER")
        begun = time.monotonic()
        while not failed:
            await pair.producer.send(b"works")
            await anyio.sleep(0.001)
    assert failed[0] - begun < 1
    await pair.close()


async def test_of_the_view(world: World) -> None:
    """The view is made anew, and whoever listens is told why."""
    pair = await Pair.open(world)
    events = pair.client.events()
    assert (await events.receive(timeout=5)).kind == "connected"
    panic("VIEW")
    # Something for the watches to hear.
    control(world.cluster, f"add-partitions {pair.topic} 1")
    with within(2):
        lost = await events.receive(timeout=5)
        assert (lost.kind, "a bug in the library" in lost.reason) == ("reconnecting", True)
        assert (await events.receive(timeout=5)).kind == "connected"
    assert pair.client.state == "connected"
    await world.topic(pair.client)
    await pair.works()
    with within(2):
        await pair.close()


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_of_the_view_that_is_waited_for(world: World) -> None:
    """What waits for the cluster's view fails with the panic."""
    import anyio

    with LocalCluster() as cluster:
        world = World(world.backend, cluster)
        pair = await Pair.open(world)
        cluster.kill_spu(5001)
        failed: list[float] = []

        async def wait() -> None:
            with pytest.raises(InternalError):
                # The new one stays offline.
                await pair.client.admin.topics.add_partitions(pair.topic, 1, wait_ready=True, timeout=20)
            failed.append(time.monotonic())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            while (await pair.client.admin.topics.get(pair.topic, timeout=5)).spec.partitions < 2:
                await anyio.sleep(0.01)
            await anyio.sleep(0.1)
            panic("VIEW")
            begun = time.monotonic()
            control(cluster, f"add-partitions {pair.topic} 1")
        assert failed[0] - begun < 1
        cluster.start_spu(5001)
        await pair.works()
        await pair.close()


@pytest.mark.parametrize("task", ["OPERATION", "PRODUCER", "CONSUMER", "VIEW"])
def test_that_nothing_is_left(world: World, task: str) -> None:
    async def work() -> None:
        pair = await Pair.open(world)
        panic(task)
        with contextlib.suppress(FluvioError):
            await pair.client.admin.topics.list(timeout=5)
            await world.topic(pair.client)
            await pair.producer.send(b"works", timeout=5)
            await pair.consumer.receive(timeout=5)
        await pair.close()

    with nothing_left():
        world.run(work)
