"""Tasks whose records are acknowledged together: the drain lets all of them go on, each as itself."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from types import FrameType
from typing import Any

import pytest
from conftest import World, read_all
from places import Stepper, interrupt

from fluvio_cffi import RecordMetadata
from fluvio_cffi._backends.asyncio_insides import QuickAsyncioBackend

pytestmark = [pytest.mark.timeout(60), pytest.mark.backends("asyncio", "uvloop")]
TASKS = 200


def metadata(count: int) -> list[RecordMetadata]:
    return [RecordMetadata("t", 0, offset, 0) for offset in range(count)]


class Sends:
    """What a producer's tasks wait for, without a producer."""

    def __init__(self, count: int) -> None:
        self.backend = QuickAsyncioBackend(asyncio.get_running_loop())
        self.futures: list[Any] = [self.backend.send_future() for _ in range(count)]

    def acknowledge(self) -> None:
        """A drain finds the batch."""
        self.backend.draining = True
        self.backend.deliver(self.futures, metadata(len(self.futures)))

    def readable(self) -> None:
        """The loop finds the descriptor readable."""
        self.backend._readable()  # noqa: SLF001

    async def go_on(self) -> None:
        """They go on in the loop's next turn; then the caller does."""
        asyncio.get_running_loop().call_soon(self.readable)
        await asyncio.sleep(0)

    async def begin(self, task: Callable[[int], Coroutine[Any, Any, None]]) -> list[asyncio.Task[None]]:
        """Starts a task for each record, all of which wait when this returns."""
        tasks = [asyncio.create_task(task(number)) for number in range(len(self.futures))]
        await asyncio.sleep(0)
        return tasks


@pytest.mark.parametrize("debug", [False, True])
async def test_each_goes_on_as_itself(world: World, debug: bool) -> None:
    """In its context and as the current task, while others have their turns; what it raises is its own."""
    loop = asyncio.get_running_loop()
    loop.set_debug(debug)
    complaints: list[object] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    name: ContextVar[int] = ContextVar("name")
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def work(number: int) -> None:
        name.set(number)
        me = asyncio.current_task()
        last = -1
        for _ in range(20):
            offset = (await producer.send(b"%d" % number)).offset
            assert asyncio.current_task() is me
            assert name.get() == number
            assert last < offset
            last = offset
        if number % 7 == 0:
            raise LookupError(number)

    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            other = asyncio.create_task(others())
            ends = await asyncio.gather(*map(work, range(TASKS)), return_exceptions=True)
            other.cancel()
        assert [str(end) for end in ends] == [str(n) if n % 7 == 0 else "None" for n in range(TASKS)]
        values = await read_all(client, topic)
        assert all(values.count(b"%d" % number) == 20 for number in range(TASKS))
    assert turns > 20
    assert complaints == []


async def test_one_that_cancels_the_others(world: World) -> None:
    """They have their results, and are cancelled before they see them: as if the loop had turned in between."""
    sends = Sends(10)
    seen: list[int] = []

    async def task(number: int) -> None:
        await sends.futures[number]
        seen.append(number)
        if number == 2:
            for other in (1, 5, 7):
                tasks[other].cancel()
        await asyncio.sleep(0)

    tasks = await sends.begin(task)
    sends.acknowledge()
    await sends.go_on()
    assert seen == [0, 1, 2, 3, 4, 6, 8, 9]
    await asyncio.wait(tasks)
    assert [number for number, each in enumerate(tasks) if each.cancelled()] == [1, 5, 7]


async def test_what_nobody_or_several_await(world: World) -> None:
    """Futures like any other: done, cancelled, awaited by nobody, by two."""
    sends = Sends(5)
    done, cancelled, bare, shared, usual = sends.futures
    seen: list[str] = []
    done.set_result(metadata(1)[0])
    cancelled.cancel()
    for who in ("first", "second"):
        shared.add_done_callback(lambda _, who=who: seen.append(who), context=copy_context())
    usual.add_done_callback(lambda _: seen.append("at once"), context=copy_context())
    sends.acknowledge()
    await sends.go_on()
    assert seen == ["at once"]
    await asyncio.sleep(0)
    assert seen == ["at once", "first", "second"]
    assert [each.result() for each in (bare, shared, usual)] == metadata(5)[2:]
    assert cancelled.cancelled()


async def test_many_take_turns_with_the_rest_of_the_loop(world: World) -> None:
    sends = Sends(300)
    order: list[object] = []

    async def task(number: int) -> None:
        await sends.futures[number]
        order.append(number)
        deadline = asyncio.get_running_loop().time() + 0.00005
        while asyncio.get_running_loop().time() < deadline:
            pass

    tasks = await sends.begin(task)
    sends.acknowledge()
    asyncio.get_running_loop().call_soon(sends.readable)
    asyncio.get_running_loop().call_soon(order.append, "others")
    await asyncio.wait(tasks)
    assert 0 < order.index("others") < 250
    assert [number for number in order if number != "others"] == list(range(300))


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_one_that_ends_the_loop(kind: type[BaseException]) -> None:
    """What it raises leaves the loop; the others go on when that runs again."""
    seen: list[int] = []
    tasks: list[asyncio.Task[None]] = []

    async def begin() -> None:
        async def task(number: int) -> None:
            await sends.futures[number]
            seen.append(number)
            if number == 3:
                raise kind

        sends = Sends(10)
        tasks.extend(await sends.begin(task))
        sends.acknowledge()
        await sends.go_on()

    async def rest() -> None:
        await asyncio.wait([each for number, each in enumerate(tasks) if number != 3])

    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(kind):
            loop.run_until_complete(begin())
        loop.run_until_complete(rest())
        with pytest.raises(kind):
            tasks[3].result()
    finally:
        loop.close()
    assert seen == list(range(10))


def test_an_interrupt_as_the_rest_begins() -> None:
    """A signal handler raises before the first instruction of the drain that is to let the rest go on: they do."""
    seen: list[int] = []
    tasks: list[asyncio.Task[None]] = []
    drains = 0

    def trace(frame: FrameType, event: str, _: object) -> None:
        nonlocal drains
        if event == "call" and frame.f_code is QuickAsyncioBackend._readable.__code__:  # noqa: SLF001
            drains += 1
            if drains == 2:
                raise KeyboardInterrupt

    async def begin() -> None:
        loop = asyncio.get_running_loop()

        async def task(number: int) -> None:
            await sends.futures[number]
            seen.append(number)
            # Longer than they go on together.
            deadline = loop.time() + 0.0001
            while loop.time() < deadline:
                pass

        sends = Sends(100)
        tasks.extend(await sends.begin(task))
        sends.acknowledge()
        loop.call_soon(sends.readable)
        await asyncio.wait(tasks)

    async def rest() -> None:
        await asyncio.wait(tasks)

    loop = asyncio.new_event_loop()
    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(begin())
        assert len(seen) < 100
        loop.run_until_complete(asyncio.wait_for(rest(), 5))
    finally:
        sys.settrace(None)
        loop.close()
    assert seen == list(range(100))


@pytest.mark.parametrize("count", [1, 5])
async def test_an_interrupt_anywhere(world: World, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a signal handler raises, each task goes on, once."""

    async def resume(at: int) -> bool:
        sends = Sends(count)
        seen: list[int] = []

        async def task(number: int) -> None:
            await sends.futures[number]
            seen.append(number)

        tasks = await sends.begin(task)
        stepper = Stepper(at, interrupt)

        def readable() -> None:
            with contextlib.suppress(KeyboardInterrupt), stepper:
                sends.readable()
            # The descriptor is readable until it is drained.
            if left:
                asyncio.get_running_loop().call_soon(readable)

        def drain() -> None:
            # What was not done to its end is done again.
            if left:
                sends.acknowledge()
                left.clear()

        left = [sends]
        monkeypatch.setattr(sends.backend.completions, "drain", drain)
        asyncio.get_running_loop().call_soon(readable)
        await asyncio.wait(tasks, timeout=5)
        assert seen == list(range(count)), stepper.where
        for each in tasks:
            await each
        return stepper.hit

    at = 0
    while await resume(at):
        at += 1
    assert at > 10
