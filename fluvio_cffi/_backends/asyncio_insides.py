"""Waiting on asyncio, faster, by its insides: what a future knows of its callbacks, and the running loop without an
exception where there is none.

They are looked at before they are used first. Where they are not as they are known here, :func:`best_backend` says so,
and all goes the documented way.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from functools import cache, partial
from typing import TYPE_CHECKING, Final, cast

from fluvio_cffi._backends.asyncio import AsyncioBackend
from fluvio_cffi._lifetime import logger
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.process import process
from fluvio_cffi._native.tickets import SendFuture

if TYPE_CHECKING:
    from asyncio import _get_running_loop
else:
    _get_running_loop = getattr(asyncio, "_get_running_loop", None)

# Not Python code.
_call: Final = cast("Callable[[Callable[[], object]], object]", partial.__call__)


class LoneFuture(asyncio.Future["RecordMetadata"]):
    """What a task awaits that most likely waits alone: the drain that finds its result lets the task go on at once. A
    future would have the loop turn once more first.

    The task registers itself with the future's own code, which is not Python's: a signal handler's exception in between
    would leave a task that nothing wakes any more.
    """

    __slots__ = ("backend",)

    backend: QuickAsyncioBackend

    def set_result(self, result: RecordMetadata, /) -> None:
        backend = self.backend
        if backend.draining and backend.resumed is None:
            backend.resumed = self, result
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

    def is_known(self) -> bool:
        """Whether a new future, and its callbacks, are as :meth:`resume` takes them to be. It is used up by that."""
        called: list[object] = []

        def note(future: object) -> None:
            called.append(future)

        if self._callbacks:
            return False
        here = copy_context()
        self.add_done_callback(note, context=here)
        ((callback, context),) = self._callbacks
        result = RecordMetadata("", 0, 0, 0)
        _in_one_step(
            partial(self.remove_done_callback, callback),
            partial(super().set_result, result),
            partial(context.run, callback, self),  # pyright: ignore[reportArgumentType]
        )
        return callback is note and context is here and called == [self] and self.result() is result


def _in_one_step(*calls: Callable[[], object]) -> None:
    """Calls what :class:`partial` made, in order; no signal handler runs between two of them."""
    deque(map(_call, calls), maxlen=0)


class QuickAsyncioBackend(AsyncioBackend):
    """A backend that lets a task that waits alone go on at once.

    :ivar draining: whether the reader's callback drains.
    :ivar resumed: what it found for a task that waits alone.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.draining = False
        self.resumed: tuple[LoneFuture, RecordMetadata] | None = None

    def check(self) -> None:
        if self.generation != process.generation:
            self.check_fork()
        running = _get_running_loop()
        if running is not self.loop:
            raise self.elsewhere(running)

    def lone_future(self) -> SendFuture:
        self.check()
        future = LoneFuture(loop=self.loop)
        future.backend = self
        return future

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


@cache
def best_backend() -> type[AsyncioBackend]:
    """The quick kind of backends, if the insides are as they are known here; else the plain one. In a running loop."""
    try:
        loop = asyncio.get_running_loop()
        known = _get_running_loop() is loop and LoneFuture(loop=loop).is_known()
    except Exception:
        known = False
    if not known:
        logger.info("asyncio is not the one that is known here: a record that is sent alone takes a little longer")
    return QuickAsyncioBackend if known else AsyncioBackend
