"""Waiting on asyncio, and on uvloop: futures, and a reader for the completion queue's descriptor. Only what is
documented is used here; `asyncio_insides` is faster."""

from __future__ import annotations

import asyncio
import contextlib
import types
import weakref
from collections.abc import Callable, Generator
from functools import partial
from threading import get_ident
from typing import TYPE_CHECKING

from fluvio_cffi._backends.base import AsyncBackend, Waiter, leaves
from fluvio_cffi._errors import UsageError
from fluvio_cffi._native.process import process
from fluvio_cffi._native.queue import CompletionQueue
from fluvio_cffi._native.tickets import SendFuture

if TYPE_CHECKING:
    from fluvio_cffi._metadata import RecordMetadata

_backends: weakref.WeakValueDictionary[int, AsyncioBackend] = weakref.WeakValueDictionary()


def backend(kind: type[AsyncioBackend]) -> AsyncioBackend:
    """The backend of the running loop; one of this kind, if there is none yet."""
    loop = asyncio.get_running_loop()
    found = _backends.get(id(loop))
    if found is None or found.loop is not loop or found.forked:
        found = _backends[id(loop)] = kind(loop)
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


class AsyncioBackend(AsyncBackend):
    """Where the tasks of one asyncio loop wait.

    The loop holds the backend while its reader is registered, so the descriptor is not closed before. A loop that is
    closed with clients open has given up the reader: they can only be garbage-collected.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(CompletionQueue())
        self.loop = loop
        # How often it was asked to drain though the descriptor says nothing; and how often when it last began.
        self._asked = 0
        self._begun = 0
        # A loop that has nothing to say about its futures need not be asked for them.
        usual = getattr(type(loop), "create_future", None) is asyncio.BaseEventLoop.create_future
        self._future: Callable[[], asyncio.Future[RecordMetadata]] = (
            partial(asyncio.Future, loop=loop) if usual else loop.create_future
        )

    def check(self) -> None:
        if self.generation != process.generation:
            self.check_fork()
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self.loop:
            raise self.elsewhere(running)

    def waiter(self) -> AsyncioWaiter:
        return AsyncioWaiter(self.loop.create_future())

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

    @staticmethod
    def elsewhere(running: asyncio.AbstractEventLoop | None) -> UsageError:
        """The error for a call in another loop than the backend's, or in none."""
        return UsageError(
            "this client belongs to another event loop: connect one in each loop"
            if running is not None
            else "this client belongs to an event loop: use it there, inside a running task; from other threads "
            "with asyncio.run_coroutine_threadsafe()"
        )

    def _readable(self) -> None:
        try:
            self._begun = self._asked
            self.turned()
            self._pump()
        except BaseException:
            # A signal handler's.
            self._come_again()
            raise

    def _come_again(self) -> None:
        """What is left is done in the loop's next turn, though the descriptor says nothing of it."""
        asked = self._asked = self._asked + 1
        self.loop.call_soon(self._readable)
        # That is over where a signal handler raises before its first instruction.
        self.loop.call_soon(self._make_up, asked)

    def _make_up(self, asked: int) -> None:
        if self._begun < asked:
            self._readable()

    def _attach(self) -> None:
        self.loop.add_reader(self.completions.descriptor, self._readable)

    def _detach(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self.completions.descriptor)
        self._last_words()
