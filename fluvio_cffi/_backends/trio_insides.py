"""Waiting on trio, faster, by its insides: what a task yields to sleep, and how far a checkpoint goes.

They are looked at before they are used first. Where they are not as they are known here, :func:`best_backend` says so,
and all goes the documented way.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import trio
from outcome import Value
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled, reschedule, wait_task_rescheduled

from fluvio_cffi._backends.trio import TrioBackend, TrioSendFuture, abort_send
from fluvio_cffi._lifetime import logger

if TYPE_CHECKING:
    from fluvio_cffi._errors import FluvioError
    from fluvio_cffi._metadata import RecordMetadata


def sleep_message() -> object:
    """What ``wait_task_rescheduled(abort_send)`` yields to trio, which is the same each time: to make it anew took half
    the time of a sleep. ``None``, if it is not the same."""
    try:
        with closing(wait_task_rescheduled(abort_send)) as sleep, closing(wait_task_rescheduled(abort_send)) as again:
            message: object = sleep.send(None)
            same = message == again.send(None) and vars(message) == {"abort_func": abort_send}
            # The run answers with an outcome.
            return message if same and _end_of(sleep, Value(message)) is message else None
    except Exception:
        return None


def _end_of(coroutine: Any, answer: object) -> object:
    try:
        coroutine.send(answer)
    except StopIteration as end:
        return end.value
    return None


SLEEP: Final = sleep_message()
# Used again and again, and so never unwrapped.
WOKEN: Final = Value(None)


class QuickSendFuture(TrioSendFuture):
    """A future that makes no message of its own to sleep."""

    __slots__ = ()

    def set_result(self, outcome: RecordMetadata | FluvioError, /) -> None:
        self._outcome = outcome
        task = self._task
        if task.custom_sleep_data is self:
            reschedule(task, WOKEN)

    set_exception = set_result

    def __await__(self) -> Generator[Any, Any, RecordMetadata]:
        if self._outcome is None:
            task = self._task
            self._slept = True
            try:
                task.custom_sleep_data = self
                woken = yield SLEEP
            except BaseException:
                # KeyboardInterrupt may come before the task sleeps: it must not be rescheduled then.
                task.custom_sleep_data = None
                raise
            if woken is not WOKEN:
                woken.unwrap()
        else:
            yield from cancel_shielded_checkpoint().__await__()
        return self._received()


class QuickTrioBackend(TrioBackend):
    """A backend whose tasks sleep, and look for their cancellation, in less time."""

    future = QuickSendFuture

    def cancelled(self) -> bool:
        # Cheaper than to ask for the deadline, which looks at all scopes around the task: this way out is only begun.
        point = checkpoint_if_cancelled()
        try:
            point.send(None)
        except StopIteration:
            return False
        point.close()
        return True


def _notices_cancellation() -> bool:
    """Whether a task is told of its cancellation by the way out."""
    backend: QuickTrioBackend = object.__new__(QuickTrioBackend)
    seen: list[bool] = []
    with trio.CancelScope(shield=True) as scope:
        seen.append(backend.cancelled())
        scope.cancel()
        seen.append(backend.cancelled())
    return seen == [False, True]


@cache
def best_backend() -> type[TrioBackend]:
    """The quick kind of backends, if the insides are as they are known here; else the plain one. In a task."""
    try:
        known = SLEEP is not None and _notices_cancellation()
    except Exception:
        known = False
    if not known:
        logger.info("trio is not the one that is known here: what is sent takes a little longer")
    return QuickTrioBackend if known else TrioBackend
