"""Waiting for the cluster program, in threads and in tasks of asyncio and trio."""

from __future__ import annotations

import select
import sys
from collections.abc import Generator

# What a start or a stop waits for: this descriptor to become readable (or to end) within that many seconds. It is sent
# whether it did. The steps are the same for threads, asyncio and trio; only who waits differs.
Steps = Generator[tuple[int, float], bool, None]


def run(steps: Steps) -> None:
    """Take the steps of a start or a stop in this thread."""
    try:
        descriptor, seconds = next(steps)
        while True:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            try:
                ready = bool(poll.poll(seconds * 1000))
            except BaseException as error:
                descriptor, seconds = steps.throw(error)
            else:
                descriptor, seconds = steps.send(ready)
    except StopIteration:
        return


async def run_async(steps: Steps) -> None:
    """Take the steps of a start or a stop in this task."""
    readable = _readable_trio if in_trio() else _readable_asyncio
    try:
        descriptor, seconds = next(steps)
        while True:
            try:
                ready = await readable(descriptor, seconds)
            except BaseException as error:
                descriptor, seconds = steps.throw(error)
            else:
                descriptor, seconds = steps.send(ready)
    except StopIteration:
        return


def in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


async def _readable_trio(descriptor: int, seconds: float) -> bool:
    import trio

    with trio.move_on_after(seconds):
        await trio.lowlevel.wait_readable(descriptor)
        return True
    return False


async def _readable_asyncio(descriptor: int, seconds: float) -> bool:
    import asyncio

    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[bool] = loop.create_future()

    def wake(ready: bool) -> None:
        if not waiter.done():
            waiter.set_result(ready)

    loop.add_reader(descriptor, wake, True)
    timer = loop.call_later(seconds, wake, False)
    try:
        return await waiter
    finally:
        timer.cancel()
        loop.remove_reader(descriptor)


async def pause(seconds: float) -> None:
    """Let the other tasks of an event loop run for a while."""
    if in_trio():
        import trio

        await trio.sleep(seconds)
    else:
        import asyncio

        await asyncio.sleep(seconds)
