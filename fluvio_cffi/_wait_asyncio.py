"""Waiting on asyncio, and on uvloop: futures, and a reader for the hub's descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import types
import weakref
from asyncio import _get_running_loop
from collections.abc import Callable, Generator
from contextvars import Context
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Any

from ._errors import UsageError
from ._ffi import process
from ._hub import Hub
from ._waiting import AsyncHost, Slot, Waiter, leaves

if TYPE_CHECKING:
    from ._types import RecordMetadata

_hosts: weakref.WeakValueDictionary[int, AsyncioHost] = weakref.WeakValueDictionary()


def host() -> AsyncioHost:
    """The host of the running loop."""
    loop = asyncio.get_running_loop()
    found = _hosts.get(id(loop))
    if found is None or found.loop is not loop or found.forked:
        found = _hosts[id(loop)] = AsyncioHost(loop)
    return found


@types.coroutine
def _turn() -> Generator[None, None, None]:
    yield


class AsyncioWaiter(Waiter):
    """A future."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[bool]) -> None:
        self.future = future

    def wake(self) -> None:
        if not self.future.done():
            self.future.set_result(True)

    def expire(self) -> None:
        """The time is over."""
        if not self.future.done():
            self.future.set_result(False)


class LoneFuture(asyncio.Future["RecordMetadata"]):
    """What a task awaits that most likely waits alone: the drain that finds its result lets the task go on at once.

    A future would have the loop turn once more first. Of the callbacks, the first one, which is the task's, is kept
    here; whatever else happens to the future, it is handed to the usual one.
    """

    __slots__ = ("_context", "_host", "_resume")

    _host: AsyncioHost
    _resume: Callable[[LoneFuture], object] | None
    _context: Context | None

    def add_done_callback(self, fn: Callable[[LoneFuture], object], /, *, context: Context | None = None) -> None:
        if self._resume is None and context is not None and not self.done():
            self._context = context
            self._resume = fn
        else:
            super().add_done_callback(fn, context=context)

    def remove_done_callback(self, fn: Callable[[LoneFuture], object], /) -> int:
        self._be_usual()
        return super().remove_done_callback(fn)

    def cancel(self, msg: Any | None = None) -> bool:
        self._be_usual()
        return super().cancel(msg)

    def set_exception(self, exception: type | BaseException, /) -> None:
        self._be_usual()
        super().set_exception(exception)

    def set_result(self, result: RecordMetadata, /) -> None:
        host = self._host
        if host.draining and self._resume is not None and host.resumed is None:
            host.resumed = self, result
        else:
            self._be_usual()
            super().set_result(result)

    def resume(self, result: RecordMetadata) -> None:
        """Sets the result; the task goes on before this returns. In a callback of the loop."""
        if self.done():
            return
        if self.get_loop().get_debug():
            # It is to see the task's steps as such.
            self._be_usual()
        resume, self._resume = self._resume, None
        super().set_result(result)
        if resume is not None:
            assert self._context is not None
            self._context.run(resume, self)

    def _be_usual(self) -> None:
        resume, self._resume = self._resume, None
        if resume is not None:
            super().add_done_callback(resume, context=self._context)


class AsyncioHost(AsyncHost):
    """Where the tasks of one asyncio loop wait.

    The loop holds the host while its reader is registered, so the descriptor is not closed before. A loop that is
    closed with clients open has given up the reader: they can only be garbage-collected.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(Hub())
        self.loop = loop
        # Whether the reader's callback drains, and what it found for a task that waits alone.
        self.draining = False
        self.resumed: tuple[LoneFuture, RecordMetadata] | None = None
        # A future is what a slot must be. Where the loop has nothing to say about its futures, it need not be asked.
        usual = getattr(type(loop), "create_future", None) is asyncio.BaseEventLoop.create_future
        self._future: Callable[[], asyncio.Future[RecordMetadata]] = (
            partial(asyncio.Future, loop=loop) if usual else loop.create_future
        )

    def check(self) -> None:
        if self.generation != process.generation:
            self.check_fork()
        running = _get_running_loop()
        if running is not self.loop:
            raise UsageError(
                "this client belongs to another event loop: connect one in each loop"
                if running is not None
                else "this client belongs to an event loop: use it there, inside a running task; from other threads "
                "with asyncio.run_coroutine_threadsafe()"
            )

    def waiter(self) -> AsyncioWaiter:
        return AsyncioWaiter(self.loop.create_future())

    def lone_slot(self) -> Slot:
        self.check()
        slot = LoneFuture(loop=self.loop)
        slot._host = self
        slot._resume = None
        return slot

    def slot(self) -> Slot:
        self.check()
        return self._future()

    async def wait(self, waiter: Waiter, timeout: float | None) -> bool:
        assert isinstance(waiter, AsyncioWaiter)
        if timeout is None:
            return await waiter.future
        timer = self.loop.call_later(timeout, waiter.expire)
        try:
            return await waiter.future
        finally:
            timer.cancel()

    async def rest(self) -> None:
        await _turn()
        self.turned()

    def soon(self, callback: Callable[[], None]) -> None:
        self.loop.call_soon(callback)

    def threadsafe(self, callback: Callable[[], None]) -> None:
        # RuntimeError: the loop is closed.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(callback)

    def is_cancellation(self, error: BaseException) -> bool:
        return any(
            isinstance(leaf, (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt)) for leaf in leaves(error)
        )

    def runs_elsewhere(self) -> bool:
        return self.thread != get_ident() and self.loop.is_running()

    def _readable(self) -> None:
        self.turned()
        self.draining = True
        try:
            self._pump()
        finally:
            self.draining = False
            if self.resumed is not None:
                slot, result = self.resumed
                self.resumed = None
                # The last thing to be done here: what the task does next is its own.
                slot.resume(result)

    def _attach(self) -> None:
        self.loop.add_reader(self.hub.descriptor, self._readable)

    def _detach(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self.hub.descriptor)
        self._last_words()
