"""Waiting on asyncio, and on uvloop: futures, and a reader for the hub's descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import types
import weakref
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING, Final, cast

from fluvio_cffi._backends.base import AsyncHost, Waiter, leaves
from fluvio_cffi._errors import UsageError
from fluvio_cffi._native.process import process
from fluvio_cffi._native.queue import Hub
from fluvio_cffi._native.tickets import SendFuture

if TYPE_CHECKING:
    from fluvio_cffi._metadata import RecordMetadata

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


# Not Python code.
_call: Final = cast("Callable[[Callable[[], object]], object]", partial.__call__)


class LoneFuture(asyncio.Future["RecordMetadata"]):
    """What a task awaits that most likely waits alone: the drain that finds its result lets the task go on at once. A
    future would have the loop turn once more first.

    The task registers itself with the future's own code, which is not Python's: a signal handler's exception in between
    would leave a task that nothing wakes any more.
    """

    __slots__ = ("host",)

    host: AsyncioHost

    def set_result(self, result: RecordMetadata, /) -> None:
        host = self.host
        if host.draining and host.resumed is None:
            host.resumed = self, result
        else:
            super().set_result(result)

    def resume(self, result: RecordMetadata) -> None:
        """Sets the result, unless it is set; the task goes on before this returns. In a callback of the loop."""
        if self.done():
            return
        callbacks = self._callbacks
        # None, if there are none.
        if not callbacks or len(callbacks) > 1 or self.get_loop().get_debug():
            # A debugging loop is to see the task's steps as such.
            super().set_result(result)
            return
        callback, context = callbacks[0]
        # A signal handler may cancel it yet.
        with contextlib.suppress(asyncio.InvalidStateError):
            _in_one_step(
                partial(self.remove_done_callback, callback),
                partial(super().set_result, result),
                partial(context.run, callback, self),  # pyright: ignore[reportArgumentType]
            )


def _in_one_step(*calls: Callable[[], object]) -> None:
    """Calls what :class:`partial` made, in order; no signal handler runs between two of them."""
    deque(map(_call, calls), maxlen=0)


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
        # A loop that has nothing to say about its futures need not be asked for them.
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

    def lone_future(self) -> SendFuture:
        self.check()
        future = LoneFuture(loop=self.loop)
        future.host = self
        return future

    def send_future(self) -> SendFuture:
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
        try:
            self.turned()
            self.draining = True
            self._pump()
            self.draining = False
            resumed = self.resumed
            if resumed is not None:
                future, result = resumed
                # The last thing to be done here: what the task does next is its own.
                future.resume(result)
                self.resumed = None
        except BaseException:
            # A signal handler's, or the task's: what is left is done in the loop's next turn.
            self.draining = False
            self.loop.call_soon(self._readable)
            raise

    def _attach(self) -> None:
        self.loop.add_reader(self.hub.descriptor, self._readable)

    def _detach(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self.hub.descriptor)
        self._last_words()
