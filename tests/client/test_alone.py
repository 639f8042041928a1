"""Records that are sent one after another, each alone: callers' threads write them, and read the replies, too."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
import time
import types
from contextvars import ContextVar, copy_context
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from conftest import World, read_all
from endings import hearing
from insides import control, spu_port

from fluvio_cffi import ClosedError, Fluvio, FluvioTimeoutError, LocalCluster, Offset, RecordMetadata

pytestmark = pytest.mark.timeout(60)


async def warm(producer: Any) -> None:
    """From now on callers read the replies."""
    for _ in range(20):
        await producer.send(b"warm")


def library_switches() -> int:
    """How often threads of the library have gone to sleep."""
    count = 0
    for task in Path("/proc/self/task").iterdir():
        if (task / "comm").read_text().startswith("fluvio-cffi"):
            lines = (task / "status").read_text().splitlines()
            count += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="is done on Linux only, and seen in /proc")
async def test_the_librarys_threads_sleep_meanwhile(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await warm(producer)
            before = library_switches()
            for _ in range(500):
                await producer.send(b"x")
            assert library_switches() - before < 100
        assert len(await read_all(client, topic)) == 520


@pytest.mark.parametrize("delivery", ["at_least_once", "at_most_once"])
async def test_a_connection_that_was_closed_meanwhile(world: World, delivery: str) -> None:
    """It is noticed before the next record goes, not by its loss."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, delivery=delivery) as producer:
            for round in range(5):
                await warm(producer)
                with hearing(spu_port(world.cluster)) as heard:
                    world.cluster.faults.reset_sockets(5001)
                    heard()
                await producer.send(b"%d" % round)
        values = await read_all(client, topic)
        assert [value for value in values if value != b"warm"] == [b"%d" % round for round in range(5)]
        assert values.count(b"warm") == 100


async def test_a_server_that_does_not_answer(world: World) -> None:
    async with world.connect(request_timeout=0.5) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await warm(producer)
            stalled = world.cluster.faults.stall(5001)
            try:
                with pytest.raises(FluvioTimeoutError) as late:
                    await producer.send(b"late", timeout=0.2)
                assert late.value.outcome == "pending"
                await world.sleep(0.6)
            finally:
                stalled.undo()
            await producer.flush(10)
            await warm(producer)
        assert b"late" in await read_all(client, topic)


async def test_a_refusal_is_told_or_tried_again(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await warm(producer)
            # Not the leader any more: it says so once, and takes the record the next time.
            world.cluster.faults.fail_next(5001, "produce", 6)
            meta = await producer.send(b"again")
            await warm(producer)
        values = await read_all(client, topic)
        assert values[meta.offset] == b"again"
        assert values.count(b"again") == 1


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_records_that_come_while_one_is_under_way(world: World) -> None:
    """Several tasks, now one and now more of them at a time: all arrives, in each task's order."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:

            async def work(task: int) -> None:
                for number in range(200):
                    await producer.send(b"%d %d" % (task, number))
                    if number % 20 == task:
                        await world.sleep(0.002)

            async with anyio.create_task_group() as tasks:
                for task in range(3):
                    tasks.start_soon(work, task)
        values = [tuple(map(int, value.split())) for value in await read_all(client, topic)]
        for task in range(3):
            assert [number for who, number in values if who == task] == list(range(200))


async def test_many_producers_one_after_another(world: World) -> None:
    """More than a loop watches connections for."""
    async with world.connect() as client:
        topics = [await world.topic(client) for _ in range(20)]
        producers = [await client.producer(topic) for topic in topics]
        for _ in range(10):
            for producer in producers:
                await producer.send(b"x")
        for producer in producers:
            await producer.close()
        for topic in topics:
            assert len(await read_all(client, topic)) == 10


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_a_loop_that_is_busy_for_longer_than_a_record_may_take(world: World) -> None:
    """The reply was there in time, so the record counts as delivered."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, delivery_timeout=0.5) as producer:
            await warm(producer)
            sent: list[int] = []

            async def send() -> None:
                sent.append((await producer.send(b"x")).offset)

            # Late enough for the loop to see that the record is under way.
            slow = world.cluster.faults.delay(5001, 0.2)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send)
                while producer.pending.records == 0:
                    await world.sleep(0)
                time.sleep(0.8)
            slow.undo()
            assert sent == [20]
        assert len(await read_all(client, topic)) == 21


async def test_a_reply_that_nobody_has_looked_for_when_it_is_due(world: World) -> None:
    """It was there in time, so the record is not sent again."""
    async with world.connect(request_timeout=1.5) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for _ in range(2):
                await warm(producer)
                slow = world.cluster.faults.delay(5001, 0.2)
                try:
                    with contextlib.suppress(FluvioTimeoutError):
                        await producer.send(b"late", timeout=0.01)
                    # Whoever waits, loop or thread, is busy elsewhere from before the reply until after its time.
                    time.sleep(1.6)
                finally:
                    slow.undo()
            await producer.flush()
        assert (client.metrics().reconnects, client.metrics().duplicates_possible) == (0, 0)
        assert len(await read_all(client, topic)) == 2 * 21


async def test_a_record_whose_sender_has_left(world: World) -> None:
    """Its reply is read all the same, and soon."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await warm(producer)
            stalled = world.cluster.faults.stall(5001)
            try:
                with pytest.raises(FluvioTimeoutError):
                    await producer.send(b"left", timeout=0.05)
            finally:
                stalled.undo()
            begun = time.monotonic()
            while producer.pending.records:
                await world.sleep(0.01)
            assert time.monotonic() - begun < 5


async def test_records_that_nobody_waits_for(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for round in range(10):
                await warm(producer)
                await producer.enqueue(b"x")
                # No turn of the loop comes meanwhile.
                deadline = time.monotonic() + 5
                while client.metrics().records_produced < 21 * (round + 1):
                    assert time.monotonic() < deadline, "nobody reads the reply"
                    time.sleep(0.001)
            assert client.metrics().records_produced == 210
        assert await read_all(client, topic) == ([b"warm"] * 20 + [b"x"]) * 10


def test_who_waits_need_not_be_who_sent(cluster: LocalCluster) -> None:
    """One thread accepts a record and looks no more; another one flushes, a third one waits for room."""
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("alone-threads")
        with client.producer("alone-threads", buffer_size=3000, max_request_size=3000) as producer:
            for _ in range(20):
                producer.send(b"warm")
            for _ in range(20):
                producer.enqueue(b"x" * 2500)
                done = threading.Thread(target=producer.flush, kwargs={"timeout": 5})
                done.start()
                done.join(10)
                assert not done.is_alive()
                assert producer.pending == (0, 0)
                producer.enqueue(b"y" * 2500)
                done = threading.Thread(target=producer.enqueue, args=(b"z" * 2500,), kwargs={"timeout": 5})
                done.start()
                done.join(10)
                assert not done.is_alive()
                producer.flush(5)
        with client.consumer("alone-threads", start=Offset.beginning(), stop_at_end=True) as consumer:
            assert len(list(consumer)) == 80


@pytest.mark.backends("asyncio", "uvloop")
@pytest.mark.parametrize("debug", [False, True])
async def test_the_task_goes_on_as_itself(world: World, debug: bool) -> None:
    """In its context and as the current task, while the others have their turns; what it raises is its own."""
    loop = asyncio.get_running_loop()
    loop.set_debug(debug)
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    name: ContextVar[str] = ContextVar("name")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def work(who: str) -> None:
        name.set(who)
        me = asyncio.current_task()
        for _ in range(100):
            meta = await producer.send(b"x")
            assert asyncio.current_task() is me
            assert name.get() == who
        raise LookupError(meta.offset)

    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await warm(producer)
            other = asyncio.create_task(others())
            for round in (1, 2):
                with pytest.raises(LookupError, match=str(19 + 100 * round)):
                    await asyncio.create_task(work(f"round {round}"))
            other.cancel()
            assert turns > 200
            await asyncio.wait_for(producer.send(b"x"), 5)
    assert complaints == []


@pytest.mark.backends("asyncio", "uvloop")
async def test_a_task_registers_itself_without_python_code(world: World) -> None:
    """A signal handler's exception in that code would leave a task that nothing wakes, nor cancels, any more."""
    async with world.connect() as client, client.producer(await world.topic(client)) as producer:
        future = type(producer._backend.send_future())
        for name in (
            "add_done_callback",
            "remove_done_callback",
            "cancel",
            "result",
            "__await__",
            "__iter__",
            "get_loop",
        ):
            assert not isinstance(getattr(future, name), types.FunctionType), name


@pytest.mark.backends("asyncio", "uvloop")
async def test_callbacks_of_what_a_task_awaits(world: World) -> None:
    """It is a future like any other, whoever waits for it: they are called in their order."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await warm(producer)
            backend = producer._backend
            seen: list[str] = []
            one = backend.send_future()
            one.add_done_callback(lambda _: seen.append("first"), context=copy_context())
            one.add_done_callback(lambda _: seen.append("second"))
            one.set_result(RecordMetadata(topic, 0, 0, 0))
            assert seen == []
            await asyncio.sleep(0)
            assert seen == ["first", "second"]
            two = backend.send_future()

            def never(_: object) -> None:
                seen.append("never")

            two.add_done_callback(never, context=copy_context())
            assert two.remove_done_callback(never) == 1
            two.set_exception(ClosedError("gone"))
            with pytest.raises(ClosedError):
                await two
            three = backend.send_future()
            three.add_done_callback(lambda _: seen.append("cancelled"), context=copy_context())
            assert three.cancel()
            assert not three.cancel()
            await asyncio.sleep(0)
            assert seen[2:] == ["cancelled"]


@pytest.mark.backends("trio")
async def test_what_is_cancelled_before_the_loop_turns_is_not_sent(world: World) -> None:
    import trio

    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await warm(producer)
            room = producer._intake.refresh_room()
            control(world.cluster, "stall 5001 on")
            receipts = [await producer.enqueue(b"before") for _ in range(10)]
            for key in (None, b"key"):
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:
                        for number in range(700):
                            nursery.start_soon(partial(producer.send, b"no %d" % number, key=key))
                        scope.cancel()
                assert scope.cancelled_caught
                assert producer.pending.records == 10
            # Some of those that are accepted together.
            async with trio.open_nursery() as nursery:

                async def leave() -> None:
                    with trio.CancelScope() as scope:
                        scope.cancel()
                        await producer.send(b"no")

                async def stay() -> None:
                    await producer.send(b"yes")

                for _ in range(20):
                    nursery.start_soon(leave)
                    nursery.start_soon(stay)
                control(world.cluster, "stall 5001 off")
            for receipt in receipts:
                await receipt
            assert producer.pending.records == 0
            assert producer._intake.refresh_room() == room
        values = await read_all(client, topic)
        assert [value for value in values if value != b"warm"] == [b"before"] * 10 + [b"yes"] * 20
