"""The same on asyncio, uvloop and trio: running, sleeping, doing several things at the same time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


def run(host: str, function: Callable[[], Awaitable[T]]) -> T:
    """Runs a coroutine function to its end."""
    if host == "trio":
        import trio

        result: T = trio.run(function)
        return result

    async def main() -> T:
        return await function()

    if host == "uvloop":
        import uvloop

        loop: Any = uvloop.new_event_loop()
        try:
            looped: T = loop.run_until_complete(main())
            return looped
        finally:
            loop.close()
    return asyncio.run(main())


def in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


async def sleep(seconds: float) -> None:
    if in_trio():
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def together(*functions: Callable[[], Awaitable[None]]) -> None:
    """Runs them at the same time, to the end of all."""
    if in_trio():
        import trio

        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)
    else:
        await asyncio.gather(*(function() for function in functions))
