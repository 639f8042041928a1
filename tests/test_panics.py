"""A panic in a task of the library ends what waits for that task, within a second, and nothing else."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
from laws import nothing_left

from fluvio_cffi import FluvioError, InternalError, Offset
from fluvio_cffi._ffi import ffi, lib

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
    async def open(cls, world: Any) -> Pair:
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


async def test_of_an_operation(world: Any) -> None:
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


async def test_of_a_producer(world: Any) -> None:
    """Every receipt and every wait fails; the consumer and the other client go on."""
    pair, other = await Pair.open(world), await Pair.open(world)
    panic("PRODUCER")
    with within(1), pytest.raises(InternalError) as failure:
        while True:
            # Several at once: what finds nothing in flight is sent without the task that panics.
            receipts = [await pair.producer.enqueue(b"x" * 100) for _ in range(3)]
            for receipt in receipts:
                await receipt.wait(5)
    assert failure.value.outcome in ("not_written", "unknown")
    calls = [
        lambda: pair.producer.send(b"y"),
        lambda: pair.producer.enqueue(b"y"),
        lambda: pair.producer.send_all([b"y"] * 10),
    ]
    for call in calls:
        with within(1), pytest.raises(FluvioError):
            await call()
    # A new producer of the same client takes its place.
    async with pair.client.producer(pair.topic) as replacement:
        await replacement.send(b"again", timeout=5)
    while (await pair.consumer.receive(timeout=5)).value != b"again":
        pass
    await other.works()
    await other.close()
    await pair.close()


async def test_of_a_producer_with_much_in_flight(world: Any) -> None:
    """Each record has an outcome within a second, also those that wait for room."""
    pair = await Pair.open(world)
    async with pair.client.consumer(pair.topic, start=Offset.beginning()):
        producer = await pair.client.producer(pair.topic, buffer_size=50_000, max_request_size=50_000)
        panic("PRODUCER")
        with within(1), pytest.raises(FluvioError):
            await producer.send_all([b"z" * 200] * 100_000)
        with within(1), contextlib.suppress(FluvioError):
            await producer.close()
        assert producer.closed
    await pair.close()


async def test_of_a_consumer(world: Any) -> None:
    """It hits the consumer that takes a turn first; the others go on."""
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
    pairs.remove(hit)
    for read in (hit.consumer.receive, hit.consumer.__anext__, hit.consumer.batches().__anext__):
        with within(1), pytest.raises((FluvioError, StopAsyncIteration)):
            await read()
    await hit.consumer.close()
    hit.consumer = await hit.client.consumer(hit.topic)
    for pair in (hit, *pairs):
        await pair.works()
        await pair.close()


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_of_a_consumer_that_is_waited_for(world: Any) -> None:
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


async def test_of_the_view(world: Any) -> None:
    """What waits for the cluster's view fails at once, for ever; what needs none goes on, and so do other clients."""
    pair = await Pair.open(world)
    known = await world.topic(pair.client)
    panic("VIEW")
    with within(2):
        # Something for the watches to hear.
        world.cluster.control(f"add-partitions {pair.topic} 1")
        while pair.client.state != "closed":
            await world.sleep(0.002)
    for _ in range(2):
        with within(1), pytest.raises(InternalError):
            await world.topic(pair.client)
        # What is known stays known.
        async with pair.client.producer(known) as producer:
            await producer.send(b"works", timeout=5)
    await pair.producer.send(b"works", partition=0, timeout=5)
    assert (await pair.consumer.receive(timeout=5)).value == b"works"
    await pair.client.admin.topics.list()
    other = await Pair.open(world)
    assert other.client.state == "connected"
    for both in (pair, other):
        with within(2):
            await both.close()


@pytest.mark.parametrize("task", ["OPERATION", "PRODUCER", "CONSUMER", "VIEW"])
def test_that_nothing_is_left(world: Any, task: str) -> None:
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
