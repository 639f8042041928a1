"""Every public coroutine is cancelled before, during and after each of its awaits, and the object works afterwards."""

from __future__ import annotations

import gc
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from conftest import World
from laws import LONG, has_long_form, left, nothing_left, settled, state
from stepping import By, Moment, Outcome, cancelled_at

from fluvio_cffi import AsyncFluvio, ClosedError, LocalCluster, Offset

# Calls are suspended a few times; what is suspended once per chunk of its input is not followed to its end.
MOST = 60
PLACES = [("asyncio", "task"), ("asyncio", "scope"), ("uvloop", "task"), ("trio", "scope")]

Make = Callable[[], Awaitable[Any]]
Case = AsyncGenerator[Make, Outcome]


class Stage:
    """What a case works with: a client, and a topic of its own that is read by one consumer."""

    def __init__(self, world: World, client: AsyncFluvio, topic: str, producer: Any, consumer: Any) -> None:
        self.world = world
        self.client = client
        self.topic = topic
        self.producer = producer
        self.consumer = consumer
        # Values, and how often each may be in the log.
        self.allowed: dict[bytes, tuple[int, ...]] = {}
        self.expected: list[bytes] = []
        self.got: list[bytes] = []
        self._number = 0

    def value(self, size: int = 0) -> bytes:
        """A new value."""
        self._number += 1
        return (b"%08d" % self._number).ljust(size, b".")

    async def enqueue(self, count: int) -> None:
        """Records that the consumer will read."""
        for _ in range(count):
            value = self.value()
            self.allowed[value] = (1,)
            self.expected.append(value)
            await self.producer.enqueue(value)

    async def read_the_rest(self) -> None:
        """Everything that was written comes, once and in order, whatever was cancelled."""
        while len(self.got) < len(self.expected):
            self.got.append((await self.consumer.receive(timeout=5)).value)
        assert self.got == self.expected

    async def log(self) -> list[bytes]:
        async with self.client.consumer(self.topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            return [record.value async for record in consumer]


async def connect(stage: Stage) -> Case:
    outcome = yield lambda: stage.world.connect()
    if outcome.returned:
        await outcome.value.close()


async def connect_block(stage: Stage) -> Case:
    async def block() -> None:
        async with stage.world.connect() as other:
            assert await other.admin.topics.list()

    yield block


async def client_close(stage: Stage) -> Case:
    client = await stage.world.connect()
    producer = await client.producer(stage.topic)
    values = [stage.value() for _ in range(3)]
    receipts = [await producer.enqueue(value) for value in values]
    consumer = await client.consumer(stage.topic)
    stage.allowed.update(dict.fromkeys(values, (1,)))
    yield client.close
    assert client.closed and producer.closed and consumer.closed
    await client.close()
    assert [(await receipt.wait(2)).topic for receipt in receipts] == [stage.topic] * 3
    with pytest.raises(ClosedError):
        await client.admin.topics.list()


async def open_producer(stage: Stage) -> Case:
    outcome = yield lambda: stage.client.producer(stage.topic)
    if outcome.returned:
        await outcome.value.close()


async def producer_block(stage: Stage) -> Case:
    value = stage.value()
    entered = False

    async def block() -> None:
        nonlocal entered
        async with stage.client.producer(stage.topic) as producer:
            await producer.enqueue(value)
            entered = True

    yield block
    stage.allowed[value] = (1,) if entered else (0,)


async def open_consumer(stage: Stage) -> Case:
    outcome = yield lambda: stage.client.consumer(stage.topic)
    if outcome.returned:
        await outcome.value.close()


async def consumer_block(stage: Stage) -> Case:
    await stage.enqueue(1)

    async def block() -> bytes:
        async with stage.client.consumer(stage.topic, start=Offset.beginning()) as consumer:
            return bytes((await consumer.receive()).value)

    outcome = yield block
    await stage.read_the_rest()
    if outcome.returned:
        assert outcome.value == stage.expected[0]


async def send(stage: Stage) -> Case:
    value = stage.value()
    outcome = yield lambda: stage.producer.send(value)
    stage.allowed[value] = (1,) if outcome.returned else (0, 1)


async def send_with_everything(stage: Stage) -> Case:
    value = stage.value()
    outcome = yield lambda: stage.producer.send(value, key="k", partition=0, timestamp=1, timeout=5)
    stage.allowed[value] = (1,) if outcome.returned else (0, 1)


async def enqueue(stage: Stage) -> Case:
    value = stage.value()
    outcome = yield lambda: stage.producer.enqueue(value, timeout=5)
    stage.allowed[value] = (1,) if outcome.returned else (0,)


async def full(stage: Stage) -> Any:
    """A producer whose buffer is full."""
    producer = await stage.client.producer(stage.topic, buffer_size=3000, max_request_size=3000)
    while producer.pending.bytes < 2000:
        value = stage.value(1000)
        stage.allowed[value] = (1,)
        await producer.enqueue(value)
    return producer


async def enqueue_when_full(stage: Stage) -> Case:
    producer = await full(stage)
    value = stage.value(1500)
    outcome = yield lambda: producer.enqueue(value)
    stage.allowed[value] = (1,) if outcome.returned else (0,)
    # Its room was given back.
    await producer.flush(5)
    whole = stage.value(2500)
    stage.allowed[whole] = (1,)
    await producer.send(whole, timeout=5)
    await producer.close()


async def send_when_full(stage: Stage) -> Case:
    producer = await full(stage)
    value = stage.value(1500)
    outcome = yield lambda: producer.send(value)
    stage.allowed[value] = (1,) if outcome.returned else (0, 1)
    await producer.flush(5)
    assert producer.pending == (0, 0)
    await producer.close()


async def receipt_wait(stage: Stage) -> Case:
    value = stage.value()
    stage.allowed[value] = (1,)
    receipt = await stage.producer.enqueue(value)
    outcome = yield receipt.wait
    metadata = await receipt.wait(5)
    assert not outcome.returned or outcome.value == metadata


async def receipt_await(stage: Stage) -> Case:
    value = stage.value()
    stage.allowed[value] = (1,)
    receipt = await stage.producer.enqueue(value)

    async def wait() -> Any:
        return await receipt

    yield wait
    assert (await receipt).offset >= 0


def check_prefix(stage: Stage, values: list[bytes], taken: int, log: list[bytes], returned: bool) -> None:
    """Of the input a prefix was sent, once and in order, and at most one chunk of it was lost."""
    mine = set(values)
    found = [value for value in log if value in mine]
    assert found == values[: len(found)]
    assert taken - len(found) <= 1000
    if returned:
        assert found == values
    stage.allowed.update(dict.fromkeys(found, (1,)))


async def send_all(stage: Stage) -> Case:
    values = [stage.value() for _ in range(3000)]
    taken = 0

    def source() -> Any:
        nonlocal taken
        for value in values:
            taken += 1
            yield value

    outcome = yield lambda: stage.producer.send_all(source())
    await stage.producer.flush(5)
    check_prefix(stage, values, taken, await stage.log(), outcome.returned)


async def send_all_of_a_list(stage: Stage) -> Case:
    values = [stage.value() for _ in range(3000)]
    outcome = yield lambda: stage.producer.send_all(values)
    await stage.producer.flush(5)
    check_prefix(stage, values, 0, await stage.log(), outcome.returned)


async def send_arrow(stage: Stage) -> Case:
    import pyarrow

    values = [stage.value() for _ in range(6000)]
    table = pyarrow.table({"value": values})
    outcome = yield lambda: stage.producer.send_arrow(table)
    await stage.producer.flush(5)
    check_prefix(stage, values, 0, await stage.log(), outcome.returned)


async def send_arrow_into_a_small_buffer(stage: Stage) -> Case:
    import pyarrow

    values = [stage.value(200) for _ in range(100)]
    producer = await stage.client.producer(stage.topic, buffer_size=3000, max_request_size=3000)
    table = pyarrow.table({"value": values})
    outcome = yield lambda: producer.send_arrow(table)
    await producer.flush(5)
    check_prefix(stage, values, 0, await stage.log(), outcome.returned)
    assert producer.pending == (0, 0)
    await producer.close()


async def arrow_batches(stage: Stage) -> Case:
    import pyarrow

    values = [stage.value() for _ in range(30)]
    await stage.producer.send_all(values)
    stage.allowed.update(dict.fromkeys(values, (1,)))
    start = (await stage.client.offsets(stage.topic))[0][1] - len(values)
    consumer = await stage.client.consumer(stage.topic, start=Offset.at(start), stop_at_end=True, format="arrow")
    outcome = yield consumer.batches(max_records=4, max_wait=0.002).__anext__
    got = pyarrow.table(outcome.value)["value"].to_pylist() if outcome.returned else []
    async for batch in consumer.batches(max_records=11):
        got += pyarrow.table(batch)["value"].to_pylist()
    assert got == values
    await consumer.close()


async def send_all_asynchronously(stage: Stage) -> Case:
    values = [stage.value() for _ in range(50)]
    taken = 0

    class Source:
        # No generator: of one that is left in the middle trio complains.
        def __aiter__(self) -> AsyncIterator[bytes]:
            return self

        async def __anext__(self) -> bytes:
            nonlocal taken
            if taken % 5 == 0:
                await anyio.lowlevel.checkpoint()
            if taken == len(values):
                raise StopAsyncIteration
            taken += 1
            return values[taken - 1]

    outcome = yield lambda: stage.producer.send_all(Source())
    await stage.producer.flush(5)
    check_prefix(stage, values, taken, await stage.log(), outcome.returned)


async def send_all_into_a_small_buffer(stage: Stage) -> Case:
    values = [stage.value(200) for _ in range(100)]
    producer = await stage.client.producer(stage.topic, buffer_size=3000, max_request_size=3000)
    outcome = yield lambda: producer.send_all(values)
    await producer.flush(5)
    check_prefix(stage, values, 0, await stage.log(), outcome.returned)
    whole = stage.value(2500)
    stage.allowed[whole] = (1,)
    await producer.send(whole, timeout=5)
    assert producer.pending == (0, 0)
    await producer.close()


async def flush(stage: Stage) -> Case:
    values = [stage.value() for _ in range(20)]
    stage.allowed.update(dict.fromkeys(values, (1,)))
    receipts = [await stage.producer.enqueue(value) for value in values]
    outcome = yield stage.producer.flush
    if outcome.returned:
        assert all(receipt.done() for receipt in receipts)
    await stage.producer.flush(5)
    assert all(receipt.done() for receipt in receipts)


async def flush_when_full(stage: Stage) -> Case:
    producer = await full(stage)
    yield producer.flush
    await producer.close(timeout=5)


async def producer_close(stage: Stage) -> Case:
    producer = await stage.client.producer(stage.topic)
    values = [stage.value() for _ in range(20)]
    stage.allowed.update(dict.fromkeys(values, (1,)))
    receipts = [await producer.enqueue(value) for value in values]
    yield producer.close
    assert producer.closed
    await producer.close()
    for receipt in receipts:
        await receipt.wait(2)


async def receive(stage: Stage) -> Case:
    await stage.enqueue(1)
    outcome = yield stage.consumer.receive
    if outcome.returned:
        stage.got.append(outcome.value.value)
    await stage.read_the_rest()


async def receive_with_a_limit(stage: Stage) -> Case:
    await stage.enqueue(1)
    outcome = yield lambda: stage.consumer.receive(timeout=5)
    if outcome.returned:
        stage.got.append(outcome.value.value)
    await stage.read_the_rest()


async def async_for(stage: Stage) -> Case:
    await stage.enqueue(200)
    stop = len(stage.expected)

    async def loop() -> None:
        async for record in stage.consumer:
            stage.got.append(record.value)
            if len(stage.got) == stop:
                break

    yield loop
    await stage.read_the_rest()


async def batches(stage: Stage) -> Case:
    await stage.enqueue(3)

    outcome = yield stage.consumer.batches(max_records=4, max_wait=0.002).__anext__
    if outcome.returned:
        stage.got.extend(outcome.value.value_list())
    await stage.read_the_rest()


async def batches_in_a_loop(stage: Stage) -> Case:
    await stage.enqueue(100)
    stop = len(stage.expected)

    async def loop() -> None:
        async for batch in stage.consumer.batches(max_records=7, max_wait=0):
            stage.got.extend(batch.value_list())
            await anyio.lowlevel.checkpoint()
            if len(stage.got) == stop:
                break

    yield loop
    await stage.read_the_rest()


async def consumer_close(stage: Stage) -> Case:
    consumer = await stage.client.consumer(stage.topic)
    yield consumer.close
    assert consumer.closed
    await consumer.close()
    with pytest.raises(ClosedError):
        await consumer.receive()


async def topics_create(stage: Stage) -> Case:
    name = f"{stage.topic}-{stage.value().decode()}"
    outcome = yield lambda: stage.client.admin.topics.create(name)
    assert (await stage.client.admin.topics.create(name, exist_ok=True)).name == name
    assert not outcome.returned or outcome.value.name == name
    await stage.client.admin.topics.delete(name)


async def topics_get(stage: Stage) -> Case:
    yield lambda: stage.client.admin.topics.get(stage.topic)


async def topics_list(stage: Stage) -> Case:
    yield stage.client.admin.topics.list


async def topics_delete(stage: Stage) -> Case:
    name = f"{stage.topic}-{stage.value().decode()}"
    await stage.client.admin.topics.create(name)
    yield lambda: stage.client.admin.topics.delete(name)
    await stage.client.admin.topics.delete(name, missing_ok=True)
    assert await stage.client.admin.topics.list(name_contains=name) == []


async def add_partitions(stage: Stage) -> Case:
    topics, name = stage.client.admin.topics, f"grown-{time.time_ns()}"
    await topics.create(name)
    outcome = yield lambda: topics.add_partitions(name, 1)
    assert (await topics.get(name)).spec.partitions in ((2,) if outcome.returned else (1, 2))
    await topics.delete(name)


async def smartmodules_create(stage: Stage) -> Case:
    modules, name = stage.client.admin.smartmodules, f"module-{time.time_ns()}"
    outcome = yield lambda: modules.create(name, wasm=b"\0asm")
    if outcome.returned:
        assert await modules.get(name) == outcome.value
    await modules.delete(name, missing_ok=True)


async def cluster_status(stage: Stage) -> Case:
    outcome = yield stage.client.admin.cluster.status
    if outcome.returned:
        assert outcome.value.spus_online == 1


async def consumer_offsets_reset(stage: Stage) -> Case:
    offsets = stage.client.admin.consumer_offsets
    key: dict[str, Any] = {"consumer_id": f"reset-{time.time_ns()}", "topic": stage.topic, "partition": 0}
    outcome = yield lambda: offsets.reset(**key, to=0)
    found = await offsets.list(consumer_id=key["consumer_id"])
    assert [item.offset for item in found] in ([[-1]] if outcome.returned else [[], [-1]])
    await offsets.delete(**key, missing_ok=True)


async def watch_block(stage: Stage) -> Case:
    async def block() -> None:
        async with stage.client.admin.topics.watch() as changes:
            assert (await changes.receive()).kind == "snapshot"

    yield block


async def watch_in_a_loop(stage: Stage) -> Case:
    async def loop() -> None:
        async for change in stage.client.admin.spus.watch():
            assert change.kind == "snapshot"
            break

    yield loop


async def watch_receive(stage: Stage) -> Case:
    name = f"seen-{time.time_ns()}"
    async with stage.client.admin.topics.watch() as changes:
        told = [await changes.receive(timeout=5)]
        await stage.client.admin.topics.create(name)
        await stage.client.admin.topics.delete(name)
        outcome = yield changes.receive
        if outcome.returned:
            told.append(outcome.value)
        while told[-1].kind != "deleted" or name not in [item.name for item in told[-1].items]:
            told.append(await changes.receive(timeout=5))
    assert [change.kind for change in told].count("snapshot") == 1
    assert any(item.name == name for change in told if change.kind == "updated" for item in change.items)


async def watch_close(stage: Stage) -> Case:
    watch = stage.client.admin.topics.watch()
    await watch.receive(timeout=5)
    yield watch.close
    assert watch.closed
    await watch.close()
    with pytest.raises(ClosedError):
        await watch.receive()


CASES: list[Callable[[Stage], Case]] = [
    connect,
    connect_block,
    client_close,
    open_producer,
    producer_block,
    open_consumer,
    consumer_block,
    send,
    send_with_everything,
    enqueue,
    enqueue_when_full,
    send_when_full,
    receipt_wait,
    receipt_await,
    send_all,
    send_all_of_a_list,
    send_all_asynchronously,
    send_all_into_a_small_buffer,
    *([send_arrow, send_arrow_into_a_small_buffer, arrow_batches] if sys.implementation.name == "cpython" else []),
    flush,
    flush_when_full,
    producer_close,
    receive,
    receive_with_a_limit,
    async_for,
    batches,
    batches_in_a_loop,
    consumer_close,
    topics_create,
    topics_get,
    topics_list,
    topics_delete,
    add_partitions,
    smartmodules_create,
    cluster_status,
    consumer_offsets_reset,
    watch_block,
    watch_in_a_loop,
    watch_receive,
    watch_close,
]


async def once(stage: Stage, case: Callable[[Stage], Case], at: int, moment: Moment, by: By) -> Outcome:
    steps = case(stage)
    make = await steps.asend(None)  # type: ignore[arg-type]
    outcome = await cancelled_at(make, at, moment, by)
    with anyio.fail_after(10):
        with pytest.raises(StopAsyncIteration):
            await steps.asend(outcome)
        # The client and its objects work.
        await stage.producer.flush(5)
        assert stage.producer.pending == (0, 0)
    return outcome


async def idle(client: Any) -> None:
    """Every operation that was started has completed, and every ticket."""
    completions = client._session.backend.completions
    with anyio.fail_after(5):
        while completions._operations or completions.tickets or completions.due:
            await anyio.sleep(0.005)


async def step_through(world: World, case: Callable[[Stage], Case], by: By) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
            stage = Stage(world, client, topic, producer, consumer)
            await once(stage, case, -1, "before", by)
            moments: tuple[Moment, ...] = ("during", "after")
            for moment in moments:
                for at in range(MOST):
                    if (await once(stage, case, at, moment, by)).suspensions <= at:
                        break
            found = Counter(await stage.log())
            wrong = {value: found[value] for value, allowed in stage.allowed.items() if found[value] not in allowed}
            assert wrong == {}
            await idle(client)


@pytest.fixture
def connected(cluster: LocalCluster) -> None:
    """The official client's crates have their threads."""
    World("asyncio", cluster).run(connect_and_close, cluster)


async def connect_and_close(cluster: LocalCluster) -> None:
    async with AsyncFluvio.connect(cluster.endpoint):
        pass


@pytest.mark.timeout(60)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
@pytest.mark.parametrize(("where", "by"), PLACES)
def test_each_await(where: str, by: By, case: Callable[[Stage], Case], cluster: LocalCluster, connected: None) -> None:
    world = World(where, cluster)
    with nothing_left():
        world.run(step_through, world, case, by)


@pytest.mark.parametrize("where", ["asyncio", "uvloop", "sync"])
def test_closing_needs_no_garbage_collector(where: str, cluster: LocalCluster, connected: None) -> None:
    """What was closed is gone by itself, with the last threads of the library."""
    world = World(where, cluster)

    async def work() -> None:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
                await producer.send(b"x")
                await (await producer.enqueue(b"y"))
                await producer.send_all([b"z"] * 10)
                await consumer.receive()
                await consumer.batches().__anext__()

    gc.collect()
    before = settled()
    gc.disable()
    try:
        world.run(work)
        deadline = time.monotonic() + 5
        while left(before, state()) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left(before, state())
    finally:
        gc.enable()


@has_long_form
@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(10 if LONG else 1))
@pytest.mark.parametrize("where", ["asyncio", "uvloop", "trio"])
def test_2000_at_random_moments(where: str, seed: int, cluster: LocalCluster, connected: None) -> None:
    """Sends and reads at once, both cancelled at random moments: nothing is lost, repeated or left."""
    world = World(where, cluster)
    with nothing_left():
        world.run(at_random, world, random.Random(seed))


async def at_random(world: World, dice: random.Random) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        accepted: set[bytes] = set()
        refused: set[bytes] = set()
        perhaps: set[bytes] = set()
        got: list[bytes] = []
        sent_all = False

        async def send_some(producer: Any, first: int) -> None:
            for number in range(first, first + 100):
                value = (b"%06d" % number).ljust(dice.choice((6, 100, 900)), b".")
                where = refused
                with anyio.move_on_after(dice.choice((0, dice.random() * 0.002, dice.random() * 0.02))):
                    kind = dice.randrange(3)
                    if kind == 0:
                        where = perhaps
                        await producer.send(value)
                        where = accepted
                    else:
                        receipt = await producer.enqueue(value)
                        where = accepted
                        if kind == 1:
                            await receipt
                where.add(value)

        async def read(consumer: Any) -> None:
            calls = 0
            batches = consumer.batches(max_records=20, max_wait=0.001)
            while calls < 1000 or not sent_all:
                calls += 1
                with anyio.move_on_after(dice.choice((0, dice.random() * 0.002, dice.random() * 0.01))):
                    kind = dice.randrange(3)
                    if kind == 0:
                        got.append((await consumer.receive()).value)
                    elif kind == 1:
                        got.append((await consumer.__anext__()).value)
                    else:
                        got.extend((await batches.__anext__()).value_list())

        consumer = await client.consumer(topic, start=Offset.beginning())
        async with client.producer(topic, buffer_size=8000, max_request_size=8000) as producer:
            async with anyio.create_task_group() as readers:
                readers.start_soon(read, consumer)
                async with anyio.create_task_group() as senders:
                    for first in range(0, 1000, 100):
                        senders.start_soon(send_some, producer, first)
                sent_all = True
            await producer.flush(5)
            assert producer.pending == (0, 0)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as again:
            log = [record.value async for record in again]
        while len(got) < len(log):
            got.append((await consumer.receive(timeout=5)).value)
        await consumer.close()
        assert got == log
        assert len(set(log)) == len(log)
        assert accepted <= set(log) <= accepted | perhaps
        assert len(accepted | refused | perhaps) == 1000
        assert refused
        await idle(client)
