# Made by tools/async_to_sync.py from fluvio_cffi/_async/readiness.py: change that, and run it.
"""Waiting until the library has something to take."""

from __future__ import annotations

from collections.abc import Callable

from fluvio_cffi._ffi import CData
from fluvio_cffi._wait_threads import SyncHost


def until_ready(host: SyncHost, function: Callable[..., int], handle: CData, seconds: float | None) -> bool:
    """Waits until there is something to take, which may be an error, or the end: true; at most `seconds`: false.

    :param function: the library's operation that waits for it.
    :raises ClosedError: the object was closed meanwhile, or the library was shut down at the end of the program.
    """
    operation = host.hub.start(function, handle, timeout=seconds, phase="read", waiter=host.waiter())
    host.finish(operation)
    if operation.timed_out:
        operation.dispose()
        return False
    operation.check()
    return True
