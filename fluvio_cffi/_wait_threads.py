"""Waiting in threads: one of those that wait polls the hub's descriptor, without the GIL, and wakes the others."""

from __future__ import annotations

import select
import threading
from collections import deque
from time import monotonic
from typing import Final

from ._hub import Hub, Operation
from ._waiting import Host, Waiter, leaves

# A signal may be delivered to a thread of the library. So that Ctrl-C is noticed all the same, the main thread, in
# which Python runs signal handlers, never waits longer than this at a time.
INTERVAL: Final = 0.2


class ThreadWaiter(Waiter):
    """A thread that sleeps on a lock of its own."""

    __slots__ = ("_lock", "woken")

    def __init__(self) -> None:
        self.woken: bool = False
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        self.woken = True
        self.nudge()

    def nudge(self) -> None:
        """Ends the sleep, but not the wait. With the mutex held."""
        if self._lock.locked():
            self._lock.release()

    def sleep(self, seconds: float) -> None:
        """Sleeps until it is woken or nudged, or the time is over."""
        self._lock.acquire(timeout=seconds)


class SyncHost(Host):
    """Where the threads that use one client wait."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        super().__init__(Hub(self._mutex))
        self._leader: ThreadWaiter | None = None
        self._parked: deque[ThreadWaiter] = deque()
        self._poll = select.poll()
        self._poll.register(self.hub.descriptor, select.POLLIN)
        self._ready = 0

    def check(self) -> None:
        """Raises after a fork."""
        self.check_fork()

    def waiter(self) -> ThreadWaiter:
        """A new wait of the calling thread."""
        return ThreadWaiter()

    def wait(self, waiter: Waiter, timeout: float | None) -> bool:
        """Waits for ``waiter.wake()``: true; at most `timeout` seconds: false."""
        assert isinstance(waiter, ThreadWaiter)
        deadline = None if timeout is None else monotonic() + timeout
        main = threading.current_thread() is threading.main_thread()
        while not waiter.woken:
            left = self._left(deadline, main)
            if left <= 0:
                return False
            try:
                with self._mutex:
                    if self._leader is None:
                        self._leader = waiter
                    else:
                        self._parked.append(waiter)
                if self._leader is waiter:
                    self._lead(waiter, deadline, main)
                else:
                    waiter.sleep(left)
            finally:
                # KeyboardInterrupt may come here too, and a leader that has left would let nobody else lead.
                try:
                    self._leave(waiter)
                except BaseException:
                    self._leave(waiter)
                    raise
        return True

    def _left(self, deadline: float | None, main: bool) -> float:
        most = INTERVAL if main else 3600.0
        return most if deadline is None else min(most, deadline - monotonic())

    def _lead(self, waiter: ThreadWaiter, deadline: float | None, main: bool) -> None:
        if self.hub.interrupted:
            self._pump()
        while not waiter.woken:
            left = self._left(deadline, main)
            if left <= 0:
                return
            if self._poll.poll(left * 1000):
                self._pump()

    def _leave(self, waiter: ThreadWaiter) -> None:
        """The waiter neither leads nor sleeps any more; if nobody leads, the next that sleeps is called to."""
        with self._mutex:
            if waiter in self._parked:
                self._parked.remove(waiter)
                return
            if self._leader is waiter:
                self._leader = None
            if self._leader is None and self._parked:
                self._parked.popleft().nudge()
            elif self._leader is None and self._clients == 0:
                self.hub.fail_rest()

    def turned(self) -> None:
        """Threads need not yield."""

    def due(self) -> bool:
        """Threads need not yield."""
        return False

    def rest(self) -> None:
        """Threads need not yield."""

    def is_cancellation(self, error: BaseException) -> bool:
        """Whether `error` is an interruption from the outside."""
        return any(isinstance(leaf, (KeyboardInterrupt, GeneratorExit)) for leaf in leaves(error))

    def finish(self, operation: Operation) -> Operation:
        """Waits for an operation that was started with one of this host's waiters. Interrupted, it leaves at once, and
        the operation is cancelled and disposed of."""
        waiter = operation.waiter
        assert isinstance(waiter, Waiter)
        try:
            self.wait(waiter, None)
        except BaseException:
            self.hub.abandon(operation)
            raise
        return operation

    def look(self) -> None:
        """Takes up what has completed, if no other thread is at it."""
        if self._leader is None:
            self._pump()

    def _pump(self) -> None:
        with self._mutex:
            self.hub.drain()
        if self.hub.after:
            self.hub.run_after()

    def _last_words(self) -> None:
        # A thread that leads goes on: taken from under it, its completion would not wake it. The last to leave does
        # this.
        with self._mutex:
            waiting = self._leader is not None or bool(self._parked)
        if not waiting:
            self._pump()
            with self._mutex:
                self.hub.fail_rest()

    def _detach(self) -> None:
        self._last_words()


def new_host() -> SyncHost:
    """A host for one client."""
    return SyncHost()
