"""Waiting on asyncio, faster, by its insides: what a future knows of its callbacks, and the running loop without an
exception, or a call of the kernel, where there is none.

They are looked at before they are used first. Where they are not as they are known here, :func:`best_backend` says so,
and all goes the documented way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextvars import Context, copy_context
from functools import cache, partial
from itertools import chain, compress, islice
from operator import attrgetter, itemgetter, length_hint
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, cast

from fluvio_cffi._backends.asyncio import AsyncioBackend
from fluvio_cffi._lifetime import logger
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.process import process
from fluvio_cffi._native.tickets import SendFuture

if TYPE_CHECKING:
    from asyncio import _get_running_loop

    _current_tasks: Container[asyncio.AbstractEventLoop]
else:
    _get_running_loop = getattr(asyncio, "_get_running_loop", None)
    # The loops in which a task has its turn now. Before Python 3.12 to ask for the running loop calls the kernel.
    _current_tasks = getattr(asyncio.tasks, "_current_tasks", {})

Future = asyncio.Future

# Tasks that go on together before the clock is looked at, and for how long they do before others have their turn.
_SLICE: Final = 32
_SECONDS: Final = 0.0005

# None of these is Python code.
_callbacks_of: Final = attrgetter("_callbacks")
_first: Final = itemgetter(0)
_second: Final = itemgetter(1)
_source_of: Final = attrgetter("_source_traceback")
_call: Final = cast("Callable[[partial[Any]], object]", partial.__call__)
_run: Final = cast("Callable[[Context, object, object], object]", Context.run)
_remove: Final = cast("Callable[[object, object], int]", asyncio.Future.remove_done_callback)  # pyright: ignore[reportUnknownMemberType]
_set_result: Final = cast("Callable[[object, object], None]", asyncio.Future.set_result)  # pyright: ignore[reportUnknownMemberType]


def _all(calls: Iterable[object]) -> None:
    """Makes calls that an iterator makes as it goes on; no signal handler runs between two of them, but in them."""
    deque(calls, maxlen=0)


class Resumption:
    """Lets the tasks go on that await futures, which have their results: each at once, where a future would have the
    loop turn once more first.

    What waits for a future registers itself with the future's own code, which is not Python's: a signal handler's
    exception in between would leave a task that nothing wakes any more. So no Python code stands between the end of
    that registration and the call in its place, or the note of it. Whoever comes next goes on where an exception has
    ended it.

    :ivar ready: the futures whose tasks it lets go on, once it has begun. Those that are done, that nobody awaits, or
        that several do, are none of them.
    """

    __slots__ = ("_calls", "_left", "_preparations", "ready")

    def __init__(self, futures: Sequence[asyncio.Future[Any]], results: Sequence[RecordMetadata]) -> None:
        # Each list is filled when the iterators before it have come to their end, and read by those after it.
        lists: list[Any] = []
        single: list[bool] = []
        awaited: list[asyncio.Future[Any]] = []
        outcomes: list[RecordMetadata] = []
        callbacks: list[tuple[Any, Context]] = []
        # Not so where a finalizer has cancelled the task meanwhile, which may run wherever memory is asked for.
        removed: list[int] = []
        ready: list[asyncio.Future[Any]] = []
        self._preparations: Iterator[object] = chain(
            map(lists.extend, [map(_callbacks_of, futures)]),
            map(single.extend, [map((1).__eq__, map(length_hint, lists))]),
            map(awaited.extend, [compress(futures, single)]),
            map(outcomes.extend, [compress(results, single)]),
            map(callbacks.extend, [chain.from_iterable(compress(lists, single))]),
            map(removed.extend, [map(_remove, awaited, map(_first, callbacks))]),
            map(_set_result, compress(awaited, removed), compress(outcomes, removed)),
            map(ready.extend, [compress(awaited, removed)]),
        )
        going = compress(callbacks, removed), compress(callbacks, removed)
        self.ready = ready
        self._left = iter(ready)
        self._calls: Iterator[object] = map(_run, map(_second, going[0]), map(_first, going[1]), self._left)

    def go_on(self) -> bool:
        """Lets some of the tasks go on, before this returns; whether those were all. In a callback of the loop."""
        _all(self._preparations)
        begun = monotonic()
        while True:
            _all(islice(self._calls, _SLICE))
            if not length_hint(self._left):
                return True
            if monotonic() - begun > _SECONDS:
                return False


def _go_on_alone(future: asyncio.Future[Any], result: RecordMetadata) -> None:
    """Does the same for a task that waits alone, in less time."""
    callbacks = _callbacks_of(future)
    # None, if there are none.
    if not callbacks or len(callbacks) > 1:
        if not future.done():
            future.set_result(result)
        return
    callback, context = callbacks[0]
    calls: tuple[partial[Any], ...] = (
        partial(future.remove_done_callback, callback),
        partial(future.set_result, result),
        partial(context.run, callback, future),
    )
    try:
        _all(map(_call, calls))
    except asyncio.InvalidStateError:
        # A signal handler has cancelled it meanwhile. (`suppress` would be three calls more for each record.)
        return


class QuickAsyncioBackend(AsyncioBackend):
    """A backend that lets tasks whose records are acknowledged go on at once.

    :ivar draining: whether the reader's callback drains.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.draining = False
        # What the drain has found for tasks: futures that are to have these results.
        self._settled: deque[tuple[Sequence[Any], Sequence[RecordMetadata]]] = deque()
        self._resumption: Resumption | None = None
        self._known = type(self._future()) is Future

    def check(self) -> None:
        # Where the loop's thread is in a task of it, the loop runs.
        if self.thread != get_ident() or self.loop not in _current_tasks or self.generation != process.generation:
            self._check()

    def _check(self) -> None:
        if self.generation != process.generation:
            self.check_fork()
        running = _get_running_loop()
        if running is not self.loop:
            raise self.elsewhere(running)

    def send_future(self) -> SendFuture:
        if self.thread != get_ident() or self.loop not in _current_tasks or self.generation != process.generation:
            self._check()
        return self._future()

    def deliver(self, futures: Sequence[SendFuture], results: Sequence[RecordMetadata]) -> None:
        # A debugging loop, whose futures know where they were made, is to see the tasks' steps as such.
        if self.draining and self._known and _source_of(futures[0]) is None:
            self._settled.append((futures, results))
        else:
            super().deliver(futures, results)

    def _readable(self) -> None:
        try:
            completions = self.completions
            self._begun = self._asked
            self._ready = 0
            self.draining = True
            completions.drain()
            if completions.due:
                completions.run_due()
            self.draining = False
            # The last thing to be done here: what the tasks do next is their own.
            if self._settled:
                self._resume()
        except BaseException:
            # A signal handler's, or a task's.
            self.draining = False
            self._come_again()
            raise

    def _resume(self) -> None:
        settled = self._settled
        while settled:
            futures, results = settled[0]
            if len(futures) == 1:
                _go_on_alone(futures[0], results[0])
            else:
                resumption = self._resumption
                if resumption is None:
                    resumption = self._resumption = Resumption(futures, results)
                if not resumption.go_on():
                    self._come_again()
                    return
                if len(resumption.ready) < len(futures):
                    super().deliver(futures, results)
                self._resumption = None
            # Where an exception comes before this, it is done again: the futures are done by then.
            settled.popleft()


def _is_known(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether new futures, and their callbacks, are as :class:`Resumption` takes them to be."""
    futures: list[asyncio.Future[Any]] = [Future(loop=loop), Future(loop=loop)]
    results = [RecordMetadata("", 0, offset, 0) for offset in range(len(futures))]
    called: list[object] = []

    def note(future: object) -> None:
        called.append(future)

    if any(map(_callbacks_of, futures)):
        return False
    here = copy_context()
    for future in futures:
        future.add_done_callback(note, context=here)
    ((callback, context),) = _callbacks_of(futures[0])
    _all(map(_source_of, futures))
    gone_on = Resumption(futures, results).go_on()
    said = [future.result() for future in futures]
    return callback is note and context is here and gone_on and called == futures and said == results


@cache
def best_backend() -> type[AsyncioBackend]:
    """The quick kind of backends, if the insides are as they are known here; else the plain one. In a running loop."""
    try:
        loop = asyncio.get_running_loop()
        known = _get_running_loop() is loop and _is_known(loop)
    except Exception:
        known = False
    if not known:
        logger.info("asyncio is not the one that is known here: what is sent takes a little longer")
    return QuickAsyncioBackend if known else AsyncioBackend
