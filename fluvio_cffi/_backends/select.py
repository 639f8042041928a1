"""Which backend a caller waits on."""

from __future__ import annotations

import select
import sys
from contextlib import suppress

from fluvio_cffi._errors import UsageError

from .base import AsyncBackend
from .threads import SyncBackend


def running_backend() -> AsyncBackend:
    """The backend of the event loop that is running, made when it is first asked for.

    :raises UsageError: if none is.
    """
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_task():
        from .trio import backend as trio_backend
        from .trio_insides import best_backend as best_trio_host

        return trio_backend(best_trio_host())
    # Where nobody has imported asyncio, none of its loops is running; and the import takes its time.
    if "asyncio" in sys.modules:
        from asyncio import get_running_loop

        from .asyncio import backend as asyncio_backend
        from .asyncio_insides import best_backend as best_asyncio_host

        with suppress(RuntimeError):
            get_running_loop()
            return asyncio_backend(best_asyncio_host())
    raise UsageError("no event loop is running: this must be awaited under asyncio or trio")


def new_backend() -> SyncBackend:
    """A backend for one client.

    :raises UsageError: threads are not what they were, in a way that is not known here.
    """
    if not hasattr(select, "poll"):
        raise UsageError(
            "select.poll is missing: eventlet removes it, and cannot be used with this package. Use threads, gevent "
            "(monkey.patch_all()), or AsyncFluvio with asyncio or trio"
        )
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not any(map(monkey.is_module_patched, ("select", "threading"))):
        return SyncBackend()
    if not monkey.is_object_patched("select", "poll"):
        raise UsageError(
            "gevent has patched threading but not select: a greenlet that waits would hold up all others. Call "
            "monkey.patch_all() without select=False, before the client connects"
        )
    from .gevent import GreenletBackend

    return GreenletBackend()
