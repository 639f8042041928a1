"""Waiting until the library has something to take."""

from __future__ import annotations

from collections.abc import Callable

from fluvio_cffi._ffi import CData
from fluvio_cffi._waiting import AsyncHost


async def until_ready(host: AsyncHost, function: Callable[..., int], handle: CData, seconds: float | None) -> bool:
    """Waits until there is something to take, which may be an error, or the end: true; at most `seconds`: false.

    :param function: the library's operation that waits for it.
    :raises ClosedError: the object was closed meanwhile, or the library was shut down at the end of the program.
    """
    operation = host.hub.start(function, handle, timeout=seconds, phase="read", waiter=host.waiter())
    await host.finish(operation)
    if operation.timed_out:
        operation.dispose()
        return False
    operation.check()
    return True
