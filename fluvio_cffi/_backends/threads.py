"""Waiting in threads: one of those that wait polls the completion queue's descriptor, without the GIL, and wakes the
others.

That one *leads*, the others are *parked*. Any call may come in the middle of any other one: see `_native.queue`. A wait
that comes in the middle of one that leads leads in its place, until it is over. Where a leader does not go on, because
what came in its middle does something else, one of those who are parked notices, and takes over.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from threading import get_ident
from time import monotonic
from typing import Final

from fluvio_cffi._backends.base import Backend, Waiter, leaves
from fluvio_cffi._native.process import process
from fluvio_cffi._native.queue import CompletionQueue, Operation

# A signal may be delivered to a thread of the library. So that Ctrl-C is noticed all the same, the main thread, in
# which Python runs signal handlers, never waits longer than this at a time. And this often one of those who are parked
# looks whether the leader goes on.
INTERVAL: Final = 0.2
# Whom nobody can call looks this often by itself.
DUMB_SECONDS: Final = 0.01


class SyncWaiter(Waiter):
    """A thread that sleeps.

    :ivar owner: the thread, or whatever else can be interrupted by a call and then goes on where it was.
    :ivar woken: whether the wait is over.
    :ivar parked: whether it sleeps until it is called.
    """

    __slots__ = ("owner", "parked", "woken")

    def __init__(self, owner: object) -> None:
        self.owner: object = owner
        self.woken: bool = False
        self.parked: bool = False

    def wake(self) -> None:
        self.woken = True
        self.call()

    @abstractmethod
    def call(self) -> None:
        """Ends the sleep, but not the wait. Any thread; a sleep may end without it, too."""

    def get_ready(self) -> None:
        """A sleep follows: a call that comes from now on ends it at once."""

    @abstractmethod
    def sleep(self, seconds: float) -> None:
        """Sleeps until it is called, or the time is over."""

    @abstractmethod
    def poll(self, seconds: float) -> bool:
        """Sleeps until the completion queue's descriptor is readable: true; or it is woken, or the time is over."""


class Bell:
    """What a leader polls: the completion queue's descriptor, and a pipe by which others end that. If no descriptor is
    left for a pipe, nobody can, and it polls for a short time.

    :ivar rings: whether there is a pipe.
    """

    __slots__ = ("_poll", "_read", "_write", "rings")

    def __init__(self, descriptor: int) -> None:
        self.rings = False
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLIN)
        with contextlib.suppress(OSError):
            self._read, self._write = os.pipe()
            os.set_blocking(self._read, False)
            os.set_blocking(self._write, False)
            self._poll.register(self._read, select.POLLIN)
            self.rings = True

    def poll(self, seconds: float) -> bool:
        """Whether the completion queue's descriptor is readable, once it is, or the bell was rung, or the time is
        over."""
        if not self.rings:
            return bool(self._poll.poll(min(seconds, DUMB_SECONDS) * 1000))
        readable = False
        for descriptor, _ in self._poll.poll(seconds * 1000):
            if descriptor != self._read:
                readable = True
            else:
                with contextlib.suppress(BlockingIOError):
                    os.read(descriptor, 512)
        return readable

    def ring(self) -> None:
        """Ends a poll, or the next one."""
        if self.rings:
            with contextlib.suppress(BlockingIOError):
                os.write(self._write, b"!")

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        for descriptor in (getattr(self, "_read", None), getattr(self, "_write", None)):
            if descriptor is not None:
                close(descriptor)


class ThreadWaiter(SyncWaiter):
    """A thread that sleeps on a lock of its own, or polls."""

    __slots__ = ("_bell", "_bells", "_descriptor", "_lock")

    def __init__(self, descriptor: int, bells: list[Bell]) -> None:
        """
        :param bells: those that nobody uses.
        """
        super().__init__(get_ident())
        self._descriptor = descriptor
        self._bells = bells
        self._bell: Bell | None = None
        self._lock: threading.Lock | None = None

    def call(self) -> None:
        bell, lock = self._bell, self._lock
        if bell is not None:
            bell.ring()
        elif lock is not None:
            # It is released.
            with contextlib.suppress(RuntimeError):
                lock.release()

    def get_ready(self) -> None:
        lock = self._lock or threading.Lock()
        lock.acquire(blocking=False)
        self._lock = lock

    def sleep(self, seconds: float) -> None:
        assert self._lock is not None
        self._lock.acquire(timeout=seconds)

    def poll(self, seconds: float) -> bool:
        bells = self._bells
        # One step, each of them.
        bell = bells.pop() if bells else Bell(self._descriptor)
        self._bell = bell
        # Whoever wakes it says so first, and looks for the bell then.
        readable = not self.woken and bell.poll(seconds)
        self._bell = None
        if bell.rings:
            bells.append(bell)
        return readable


class SyncBackend(Backend):
    """Where the threads that use one client wait."""

    def __init__(self) -> None:
        super().__init__(CompletionQueue(adaptive=False))
        self._leader: SyncWaiter | None = None
        self._parked: deque[SyncWaiter] = deque()
        self._bells: list[Bell] = []

    def check(self) -> None:
        """Raises after a fork."""
        if self.generation != process.generation:
            self.check_fork()

    def waiter(self) -> SyncWaiter:
        """A new wait of the calling thread."""
        return ThreadWaiter(self.completions.descriptor, self._bells)

    def wait(self, waiter: Waiter, timeout: float | None) -> bool:
        """Waits for ``waiter.wake()``: true; at most `timeout` seconds: false."""
        assert isinstance(waiter, SyncWaiter)
        deadline = None if timeout is None else monotonic() + timeout
        most = self._longest(waiter)
        neglected = False
        while not waiter.woken:
            left = most if deadline is None else min(most, deadline - monotonic())
            if left <= 0:
                return waiter.woken
            below = None
            try:
                leader = self._leader
                if leader is None:
                    # One step.
                    self._leader = waiter
                elif neglected:
                    self._leader = waiter
                elif leader.owner == waiter.owner:
                    below = leader
                    self._leader = waiter
                if self._leader is waiter:
                    self._lead(waiter, deadline, most)
                    neglected = False
                else:
                    neglected = self._park(waiter, left)
            finally:
                # One step: whatever exception came, nobody may lead who has left.
                waiter.parked = False
                if self._leader is waiter:
                    self._leader = below
                self._leave(below)
        return True

    def _longest(self, waiter: SyncWaiter) -> float:
        """How long the calling thread may sleep at a time."""
        return INTERVAL if waiter.owner == threading.main_thread().ident else 3600.0

    def _lead(self, waiter: SyncWaiter, deadline: float | None, most: float) -> None:
        if self.completions.undone:
            self._pump()
        # Another one leads if this one did not go on for a while.
        while self._leader is waiter and not waiter.woken:
            left = most if deadline is None else min(most, deadline - monotonic())
            if left <= 0:
                return
            if waiter.poll(left):
                self._pump()

    def _park(self, waiter: SyncWaiter, left: float) -> bool:
        """Sleeps until it is woken, or nobody leads, or it is time to look; whether the leader does not go on."""
        parked = self._parked
        waiter.get_ready()
        waiter.parked = True
        parked.append(waiter)
        # Whoever leaves says so first, and then looks who is parked.
        if self._leader is not None and not waiter.woken:
            # Of all, one in each interval.
            waiter.sleep(min(left, INTERVAL * len(parked)))
        with contextlib.suppress(ValueError):
            parked.remove(waiter)
        return self._leader is not None and not waiter.woken and (self.completions.undone or self._readable())

    def _readable(self) -> bool:
        """Whether there is something to drain."""
        return self._is_readable(select.poll())

    def _is_readable(self, poll: select.poll) -> bool:
        poll.register(self.completions.descriptor, select.POLLIN)
        return bool(poll.poll(0))

    def _leave(self, below: SyncWaiter | None) -> None:
        """A wait, or a turn of it, is over: whoever it interrupted leads again, or one of those who are parked."""
        if below is not None and below.woken:
            # It may be about to poll, or in the middle of that.
            below.call()
        parked = self._parked
        while self._leader is None:
            try:
                # Not the first: that may be interrupted by another one.
                last = parked[-1]
            except IndexError:
                break
            if last.parked:
                last.call()
                return
            # One step.
            if parked and parked[-1] is last:
                parked.pop()
        if self._leader is None and self._clients == 0:
            self.completions.fail_rest()
            self.completions.run_due()

    def turned(self) -> None:
        """Threads need not yield."""

    def due(self, calls: int = 1) -> bool:
        """Threads need not yield."""
        return False

    def rest(self) -> None:
        """Threads need not yield."""

    def is_cancellation(self, error: BaseException) -> bool:
        """Whether `error` is an interruption from the outside."""
        return any(isinstance(leaf, (KeyboardInterrupt, GeneratorExit)) for leaf in leaves(error))

    def finish(self, operation: Operation) -> Operation:
        """Waits for an operation that was started with one of this backend's waiters. Interrupted, it leaves at once,
        and the operation is cancelled and disposed of."""
        waiter = operation.waiter
        assert isinstance(waiter, Waiter)
        try:
            self.wait(waiter, None)
        except BaseException:
            self.completions.abandon(operation)
            raise
        return operation

    def awaken(self, waiter: Waiter) -> None:
        """Ends a wait. Any thread; safe in a signal handler."""
        waiter.wake()

    def call_later(self, callback: Callable[[], None]) -> None:
        """Calls `callback`, which must not raise, when the completion queue was drained next. Any thread."""
        self.completions.call_later(callback)

    def look(self) -> None:
        """Takes up what has completed."""
        self._pump()

    def _last_words(self) -> None:
        # Who waits goes on, and the last to leave does this.
        if self._leader is None and not self._parked:
            super()._last_words()

    def _detach(self) -> None:
        self._last_words()
        self._bells.clear()
