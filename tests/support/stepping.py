"""Cancels a coroutine at its k-th suspension.

A coroutine is driven by hand: everything that it yields to its event loop passes through here, and so does everything
that the loop sends back. Nothing is slept through and nothing is left to chance: the cancellation comes exactly

- *before*: with the cancellation pending when the coroutine takes its first step (k = -1),
- *during*: while it is suspended for the k-th time,
- *after*: when what it waited for at its k-th suspension has happened, but before it runs again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Literal

import anyio

Moment = Literal["before", "during", "after"]
By = Literal["task", "scope"]


@dataclass
class Outcome:
    """How the call ended: whether it returned, what, and how often it was suspended."""

    suspensions: int = 0
    returned: bool = False
    value: Any = None


class _Stepped:
    def __init__(self, call: Awaitable[Any], at: int, moment: Moment, cancel: Callable[[], object]) -> None:
        self.call = call
        self.at = at
        self.moment = moment
        self.cancel = cancel
        self.count = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        if self.moment == "before":
            self.cancel()
        steps = self.call.__await__()
        try:
            yielded = next(steps)
            while True:
                if self.count == self.at:
                    self._arm(yielded)
                self.count += 1
                try:
                    sent = yield yielded
                except BaseException as error:
                    yielded = steps.throw(error)
                else:
                    yielded = steps.send(sent)
        except StopIteration as end:
            return end.value

    def _arm(self, yielded: Any) -> None:
        if self.moment == "during":
            self.cancel()
        elif self.moment == "after":
            if isinstance(yielded, asyncio.Future):
                # Before the callback that resumes the task, which its loop adds later.
                yielded.add_done_callback(lambda _: self.cancel())
            elif yielded is None:
                self.cancel()
            else:
                _when_rescheduled(self.cancel)


def _when_rescheduled(cancel: Callable[[], object]) -> None:
    import trio

    me = trio.lowlevel.current_task()

    class Rescheduled(trio.abc.Instrument):
        def task_scheduled(self, task: trio.lowlevel.Task) -> None:
            if task is me:
                trio.lowlevel.remove_instrument(self)
                cancel()

    trio.lowlevel.add_instrument(Rescheduled())


async def cancelled_at(make: Callable[[], Awaitable[Any]], at: int, moment: Moment, by: By) -> Outcome:
    """Makes the call, and cancels it at its suspension `at`, if it gets that far.

    :param by: ``"task"``: ``asyncio.Task.cancel``, once; ``"scope"``: a cancel scope of anyio, which cancels whatever
        the call waits for from then on.
    """
    outcome = Outcome()

    async def run(cancel: Callable[[], object]) -> None:
        stepped = _Stepped(make(), at, moment, cancel)
        try:
            outcome.value = await stepped
            outcome.returned = True
        finally:
            outcome.suspensions = stepped.count

    if by == "task":

        async def body() -> None:
            task = asyncio.current_task()
            assert task is not None
            await run(task.cancel)

        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.ensure_future(body())
    else:
        with anyio.CancelScope() as scope:
            await run(scope.cancel)
    return outcome
