"""Waiting until the library has something to take."""

from __future__ import annotations

from collections.abc import Callable

from fluvio_cffi._backends.base import AsyncBackend
from fluvio_cffi._native.loader import CData
from fluvio_cffi._native.queue import Operation


def begin_to_wait(
    backend: AsyncBackend, function: Callable[..., int], handle: CData, seconds: float | None
) -> Operation:
    """Begins to wait until there is something to take; for :func:`until_ready`.

    :param function: the library's operation that waits for it.
    :param seconds: at most this long.
    """
    return backend.completions.start(function, handle, timeout=seconds, phase="read", waiter=backend.waiter())


async def until_ready(backend: AsyncBackend, operation: Operation) -> bool:
    """Waits until there is something to take, which may be an error, or the end, or the operation was cancelled: true;
    false if the time is over first.

    :raises ClosedError: the object was closed meanwhile, or the library was shut down at the end of the program.
    """
    await backend.finish(operation)
    if operation.timed_out or operation.cancelled:
        operation.dispose()
        return not operation.timed_out
    operation.check()
    return True
