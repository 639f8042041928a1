"""Waiting in greenlets of gevent, in one thread or several, each with a hub of its own."""

from __future__ import annotations

import contextlib
from importlib import import_module
from typing import Any, Final

from fluvio_cffi._backends.threads import SyncBackend, SyncWaiter

# Not types: gevent has none of its own.
_gevent: Final[Any] = import_module("gevent.hub")
_original: Final[Any] = import_module("gevent.monkey").get_original
_READ: Final = 1


class GreenletWaiter(SyncWaiter):
    """A greenlet that lets its hub run.

    It is called through a watcher of its hub's loop, as other threads may do, too. Locks of gevent are no way: those of
    several hubs get in each other's way, and the process crashes.
    """

    __slots__ = ("_bell", "_called", "_descriptor")

    def __init__(self, descriptor: int) -> None:
        super().__init__(_gevent.getcurrent())
        self._descriptor = descriptor
        self._bell: Any = None
        self._called = False

    def call(self) -> None:
        self._called = True
        bell = self._bell
        if bell is not None:
            # It may be closed by now.
            with contextlib.suppress(Exception):
                bell.send()

    def get_ready(self) -> None:
        self._called = False

    def sleep(self, seconds: float) -> None:
        self._switch(seconds, [])

    def poll(self, seconds: float) -> bool:
        self._called = self.woken
        readable = _gevent.get_hub().loop.io(self._descriptor, _READ)
        return self._switch(seconds, [readable]) is readable

    def _switch(self, seconds: float, watchers: list[Any]) -> object:
        """What ended the sleep."""
        hub = _gevent.get_hub()
        switch = _gevent.Waiter(hub)
        bell = hub.loop.async_()
        watchers = [bell, hub.loop.timer(max(seconds, 0.0)), *watchers]
        try:
            for watcher in watchers:
                watcher.start(switch.switch, watcher)
            self._bell = bell
            # Whoever calls it says so first, and looks for the bell then.
            return None if self._called else switch.get()
        finally:
            self._bell = None
            for watcher in watchers:
                watcher.stop()
                watcher.close()


class GreenletBackend(SyncBackend):
    """Where the greenlets that use one client wait."""

    def waiter(self) -> GreenletWaiter:
        return GreenletWaiter(self.completions.descriptor)

    def _longest(self, waiter: SyncWaiter) -> float:
        # Its loop hears of signals.
        return 3600.0

    def _readable(self) -> bool:
        return self._is_readable(_original("select", "poll")())
