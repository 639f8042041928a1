"""Waiting on trio: tasks are rescheduled by one system task that waits for the completion queue's descriptor. Only
what is documented is used here; `trio_insides` is faster."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from functools import partial
from math import inf
from threading import get_ident
from typing import TYPE_CHECKING, Any, ClassVar

import trio
from trio.lowlevel import (
    Abort,
    RaiseCancelT,
    RunVar,
    Task,
    TrioToken,
    cancel_shielded_checkpoint,
    checkpoint,
    current_task,
    current_trio_token,
    reschedule,
    spawn_system_task,
    wait_readable,
    wait_task_rescheduled,
)

from fluvio_cffi._backends.base import AsyncBackend, Waiter, leaves
from fluvio_cffi._errors import FluvioError, UsageError
from fluvio_cffi._lifetime import logger
from fluvio_cffi._native.process import process
from fluvio_cffi._native.queue import CompletionQueue

if TYPE_CHECKING:
    from fluvio_cffi._metadata import RecordMetadata

_current: RunVar[TrioBackend] = RunVar("fluvio_cffi.backend")


def backend(kind: type[TrioBackend]) -> TrioBackend:
    """The backend of the trio run that the calling task belongs to; one of this kind, if there is none yet."""
    try:
        found = _current.get()
    except LookupError:
        found = None
    if found is None or found.forked:
        found = kind(current_trio_token())
        _current.set(found)
    return found


class TrioWaiter(Waiter):
    """A task that sleeps until it is rescheduled."""

    __slots__ = ("task", "woken")

    def __init__(self) -> None:
        self.task: Task | None = None
        self.woken = False

    def wake(self) -> None:
        self.woken = True
        task, self.task = self.task, None
        if task is not None:
            reschedule(task)

    def abort(self, _: RaiseCancelT) -> Abort:
        """The task was cancelled."""
        self.task = None
        return Abort.SUCCEEDED


def abort_send(_: RaiseCancelT) -> Abort:
    """A task that awaits a future was cancelled: trio clears ``custom_sleep_data``, which the future notices."""
    _current.get().cancellations += 1
    return Abort.SUCCEEDED


class TrioSendFuture:
    """A task that sleeps until it is rescheduled.

    Whether it does, trio tells: it keeps what a task sleeps for, and forgets it when the task is rescheduled, also if
    that is to be cancelled.
    """

    __slots__ = ("_outcome", "_slept", "_task")

    def __init__(self, task: Task) -> None:
        self._task = task
        self._slept = False
        self._outcome: RecordMetadata | FluvioError | None = None

    def done(self) -> bool:
        return self._outcome is not None or (self._slept and self._task.custom_sleep_data is not self)

    def set_result(self, outcome: RecordMetadata | FluvioError, /) -> None:
        self._outcome = outcome
        task = self._task
        if task.custom_sleep_data is self:
            reschedule(task)

    set_exception = set_result

    def __await__(self) -> Generator[Any, Any, RecordMetadata]:
        if self._outcome is None:
            task = self._task
            self._slept = True
            try:
                task.custom_sleep_data = self
                yield from wait_task_rescheduled(abort_send).__await__()
            except BaseException:
                # KeyboardInterrupt may come before the task sleeps: it must not be rescheduled then.
                task.custom_sleep_data = None
                raise
        else:
            yield from cancel_shielded_checkpoint().__await__()
        return self._received()

    def _received(self) -> RecordMetadata:
        """The result; raises the error."""
        outcome = self._outcome
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                # Its traceback refers to this frame.
                del outcome
                self._outcome = None
        assert outcome is not None
        return outcome


class TrioBackend(AsyncBackend):
    """Where the tasks of one trio run wait.

    The system task that drains ends with the backend's last client, or with the run.
    """

    future: ClassVar[type[TrioSendFuture]] = TrioSendFuture
    tells_late = True

    def __init__(self, token: TrioToken) -> None:
        super().__init__(CompletionQueue())
        self._token = token
        # The run's thread, as long as the run is known to go on.
        self._thread: int | None = None
        self._scope: trio.CancelScope | None = None

    def check(self) -> None:
        self.check_fork()
        try:
            token = current_trio_token()
        except RuntimeError:
            token = None
        if token is not self._token:
            raise UsageError(
                "this client belongs to another trio run: connect one in each run"
                if token is not None
                else "this client belongs to a trio run: use it there, inside a running task; from other threads "
                "with trio.from_thread.run()"
            )

    def send_future(self) -> TrioSendFuture:
        # Where the run's thread is in a task, the task is one of the run.
        if self._thread != get_ident() or self.generation != process.generation:
            self.check()
        try:
            return self.future(current_task())
        except RuntimeError:
            raise UsageError("this client must be used inside a task of its trio run") from None

    def waiter(self) -> TrioWaiter:
        return TrioWaiter()

    async def wait(self, waiter: Waiter, timeout: float | None) -> bool:
        assert isinstance(waiter, TrioWaiter)
        if timeout is None:
            return await self._sleep(waiter)
        with trio.move_on_after(timeout):
            return await self._sleep(waiter)
        return waiter.woken

    async def _sleep(self, waiter: TrioWaiter) -> bool:
        if waiter.woken:
            await cancel_shielded_checkpoint()
            return True
        waiter.task = current_task()
        await wait_task_rescheduled(waiter.abort)
        return True

    def runs_elsewhere(self) -> bool:
        return self._thread is not None and self._thread != get_ident()

    def cancelled(self) -> bool:
        return trio.current_effective_deadline() == -inf

    def due(self, calls: int = 1) -> bool:
        # A cancelled task is always due: `rest` raises.
        return super().due(calls) or self.cancelled()

    async def rest(self) -> None:
        await checkpoint()
        self.turned()

    def _expect_turn(self) -> None:
        # To hear of it costs more than to yield once too often.
        pass

    def soon(self, callback: Callable[[], None]) -> None:
        self._token.run_sync_soon(callback)

    def threadsafe(self, callback: Callable[[], None]) -> None:
        # OSError: a signal handler's exception has broken the run, and its descriptors are closed.
        with contextlib.suppress(trio.RunFinishedError, OSError):
            self._token.run_sync_soon(callback)

    def call_later(self, callback: Callable[[], None]) -> None:
        super().call_later(partial(_call, callback))

    def is_cancellation(self, error: BaseException) -> bool:
        return any(isinstance(leaf, (trio.Cancelled, GeneratorExit, KeyboardInterrupt)) for leaf in leaves(error))

    async def _drain(self, scope: trio.CancelScope) -> None:
        try:
            with scope:
                self._thread = get_ident()
                while True:
                    await wait_readable(self.completions.descriptor)
                    self.turned()
                    self._pump()
        finally:
            self._thread = None

    def _attach(self) -> None:
        self._scope = trio.CancelScope()
        spawn_system_task(self._drain, self._scope, name="fluvio_cffi")

    def _detach(self) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            # Outside the run there is nothing left to cancel.
            with contextlib.suppress(RuntimeError):
                scope.cancel()
        self._last_words()


def _call(callback: Callable[[], None]) -> None:
    """Calls what must not raise. Nothing may leave a system task: trio would call that an error of its own."""
    try:
        callback()
    except BaseException:
        logger.exception("a callback has ended with what nothing on trio can hand on")
