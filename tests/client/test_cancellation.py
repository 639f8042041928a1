"""Cancelling loses nothing, repeats nothing, and leaves every object usable."""

from __future__ import annotations

import random
import time
from typing import Any

import anyio
import pytest
from conftest import World, read_all
from laws import nothing_left

from fluvio_cffi import ClosedError, LocalCluster, Offset

pytestmark = pytest.mark.backends("asyncio", "uvloop", "trio")


@pytest.mark.parametrize("delay", [0, 0.0005, 0.005])
async def test_each_call(world: World, delay: float) -> None:
    """Each public coroutine is cancelled, and everything works afterwards."""
    async with world.connect() as client:
        topic = await world.topic(client)

        async def connect() -> None:
            async with world.connect() as other:
                await other.admin.topics.list()

        async def open_producer() -> None:
            async with client.producer(topic) as other:
                await other.send(b"other")

        async def open_consumer() -> None:
            async with client.consumer(topic, start=Offset.beginning()) as other:
                await other.receive()

        async with client.producer(topic) as producer, client.consumer(topic) as consumer:
            receipt = await producer.enqueue(b"first")
            calls: list[Any] = [
                connect,
                open_producer,
                open_consumer,
                client.admin.topics.list,
                lambda: client.admin.topics.get(topic),
                lambda: client.admin.topics.create(topic, exist_ok=True),
                lambda: client.admin.topics.delete("nothing", missing_ok=True),
                lambda: producer.send(b"send"),
                lambda: producer.enqueue(b"enqueue"),
                lambda: producer.send_all([b"all"] * 3000),
                producer.flush,
                receipt.wait,
                consumer.receive,
                consumer.__anext__,
                consumer.batches().__anext__,
            ]
            for call in calls * 3:
                with anyio.move_on_after(delay):
                    await call()
            assert (await receipt).offset < 10
            await producer.send(b"last")
            await producer.flush()
            assert producer.pending == (0, 0)
            last = None
            while last != b"last":
                last = (await consumer.receive(timeout=10)).value
        assert (await read_all(client, topic)).count(b"first") == 1


async def test_a_cancelled_block_is_left_at_once(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        receipts: list[Any] = []
        begun = 0.0
        with anyio.CancelScope() as scope:
            async with client.producer(topic, linger=0.3) as producer, client.consumer(topic):
                for number in range(100):
                    receipts.append(await producer.enqueue(b"%d" % number))
                scope.cancel()
                begun = time.monotonic()
                await anyio.sleep(5)
        assert time.monotonic() - begun < 0.1
        with pytest.raises(ClosedError):
            await producer.send(b"")
        # The library goes on, and the receipts say so.
        assert [(await receipt.wait(5)).offset for receipt in receipts] == list(range(100))
        assert await read_all(client, topic) == [b"%d" % number for number in range(100)]


async def test_a_cancelled_client_is_left_at_once(world: World) -> None:
    receipts: list[Any] = []
    begun = 0.0
    with anyio.CancelScope() as scope:
        async with world.connect() as client:
            topic = await world.topic(client)
            producer = await client.producer(topic)
            receipts.extend([await producer.enqueue(b"x") for _ in range(10)])
            begun = time.monotonic()
            scope.cancel()
            await anyio.sleep(5)
    assert time.monotonic() - begun < 0.1
    assert client.closed
    assert [(await receipt.wait(5)).offset for receipt in receipts] == list(range(10))


async def test_who_waits_for_room_and_leaves_gives_up_the_place(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        accepted: list[bytes] = []
        refused: list[bytes] = []
        async with client.producer(topic, buffer_size=5_000, max_request_size=5_000) as producer:

            async def one(number: int) -> None:
                value = b"%05d" % number + b"x" * random.randrange(2000)
                entered = False
                with anyio.move_on_after(random.choice((0, 0.001, 0.005, 10))):
                    await producer.enqueue(value)
                    entered = True
                (accepted if entered else refused).append(value)

            async with anyio.create_task_group() as tasks:
                for number in range(500):
                    tasks.start_soon(one, number)
            await producer.flush()
            assert producer.pending == (0, 0)
        assert refused
        assert sorted(await read_all(client, topic)) == sorted(accepted)


async def test_random_cancellations(world: World) -> None:
    """2,000 sends and reads that are cancelled at random moments."""
    dice = random.Random(7)
    async with world.connect() as client:
        topic = await world.topic(client)
        accepted: set[bytes] = set()
        not_accepted: set[bytes] = set()
        async with client.producer(topic) as producer:

            async def send(number: int) -> None:
                value = b"%05d" % number
                receipt = None
                with anyio.move_on_after(dice.random() * 0.003):
                    receipt = await producer.enqueue(value)
                    await receipt
                (not_accepted if receipt is None else accepted).add(value)

            for begin in range(0, 2000, 100):
                async with anyio.create_task_group() as tasks:
                    for number in range(begin, begin + 100):
                        tasks.start_soon(send, number)
        got: list[bytes] = []
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            cancelled = 0
            batches = consumer.batches(max_records=50, max_wait=0.001)
            while True:
                found: list[bytes] = []
                end = False
                with anyio.move_on_after(dice.random() * 0.001) as scope:
                    try:
                        if dice.randrange(2):
                            found = [(await consumer.receive()).value]
                        else:
                            found = (await batches.__anext__()).value_list()
                    except (ClosedError, StopAsyncIteration):
                        end = True
                cancelled += scope.cancelled_caught
                got += found
                if end:
                    break
        assert len(set(got)) == len(got)
        assert set(got) == accepted
        assert not set(got) & not_accepted


async def test_reads_that_wait_and_are_cancelled_lose_nothing(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer, client.consumer(topic) as consumer:
            got: list[int] = []

            async def produce() -> None:
                for number in range(300):
                    await producer.send(b"%d" % number)
                    await world.sleep(random.random() * 0.002)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(produce)
                while len(got) < 300:
                    with anyio.move_on_after(random.random() * 0.004):
                        got.append(int((await consumer.receive()).value))
            assert got == list(range(300))


async def test_room_is_fair(world: World) -> None:
    """Of 100 tasks that wait for room all the time the luckiest sends at most twice as much as the unluckiest."""
    async with world.connect() as client:
        topic = await world.topic(client)
        counts = [0] * 100
        idle = set(range(100))
        async with client.producer(topic, buffer_size=10_000, max_request_size=10_000) as producer:

            async def work(task: int) -> None:
                while sum(counts) < 5000:
                    await producer.enqueue(b"x" * random.choice((10, 100, 1000)))
                    # Until the last task has begun there is room for those that have, and nobody to share it with.
                    idle.discard(task)
                    if not idle:
                        counts[task] += 1

            async with anyio.create_task_group() as tasks:
                for task in range(100):
                    tasks.start_soon(work, task)
        assert max(counts) <= 2 * min(counts)


def test_nothing_is_left(backend: str, cluster: LocalCluster) -> None:
    """Of work of every kind, some of it cancelled, nothing stays behind."""
    world = World(backend, cluster)

    async def work() -> None:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
                await producer.send_all([b"x"] * 2000)
                receipts = [await producer.enqueue(b"y") for _ in range(100)]
                for _ in range(50):
                    await consumer.receive()
                await receipts[-1]
                for delay in (0, 0.0005, 0.002):
                    with anyio.move_on_after(delay):
                        async with world.connect() as other, other.consumer(topic) as waiting:
                            await waiting.receive()
                    with anyio.move_on_after(delay):
                        await producer.send(b"z")
                    with anyio.move_on_after(delay):
                        await client.admin.topics.list()

    world.run(work)
    with nothing_left():
        for _ in range(5):
            world.run(work)
