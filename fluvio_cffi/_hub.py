"""One completion queue of the library: starts operations, drains completions, and wakes whoever waits for them.

No event loop occurs here: who waits, and how, is `_waiting`'s business. All methods belong to the hub's loop; with
threads they are called with :attr:`Hub.mutex` held, where they say so.

KeyboardInterrupt may come after any call. So what a completion asks for is done in steps that may be done twice, and
the completion is passed over as the last of them: an interrupted drain is taken up where it was. A handle of the
library may be freed twice; its number is not used again.
"""

from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Final, Protocol

from ._delivery import Ledger, Ticket
from ._errors import ClosedError, FluvioError, Phase, describe, from_native
from ._ffi import CData, ffi, lib

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

# flv_completion_t: token, operation, status, kind, result, value, extra, partition, reserved
_LAYOUT: Final = struct.Struct("=QQiIQqqII")
_OPERATION: Final = int(lib.FLV_COMPLETION_OPERATION)
_TICKET: Final = int(lib.FLV_COMPLETION_TICKET)
_OK: Final = int(lib.FLV_STATUS_OK)
_TIMEOUT: Final = int(lib.FLV_STATUS_TIMEOUT)
_CLOSED: Final = int(lib.FLV_STATUS_CLOSED)

HAND_OVER_TIMEOUT: Final = 1.0
"""Seconds that the library goes on by itself with what nobody waits for."""

CAP_MIN: Final = 16
CAP_MAX: Final = 1024
_SLOW: Final = 0.002
_FAST: Final = 0.0005

if _LAYOUT.size != ffi.sizeof("flv_completion_t"):  # pragma: no cover - a wrong library
    raise ImportError(
        "flv_completion_t has another layout than this package knows: install package and library together"
    )


class Wakeable(Protocol):
    """Something that a completion wakes."""

    def wake(self) -> None:
        """It is time. Called at most once from where the hub drains; never blocks."""


class Operation:
    """An operation of the library that was started. Completes exactly once."""

    __slots__ = (
        "_kept",
        "abandoned",
        "callback",
        "done",
        "number",
        "phase",
        "result",
        "status",
        "token",
        "value",
        "waiter",
    )

    def __init__(
        self, token: int, phase: Phase, waiter: Wakeable | None, callback: Callable[[Operation], None] | None
    ) -> None:
        self.token: int = token
        self.phase: Phase = phase
        self.waiter: Wakeable | None = waiter
        self.callback: Callable[[Operation], None] | None = callback
        self.number: CData = ffi.new("uint64_t *")
        self.done: bool = False
        self.abandoned: bool = False
        self.status: int = 0
        self.result: int = 0
        self.value: int = 0
        # The completion, while its result is nobody's: freed with the operation, by the library itself and not in
        # Python code, where KeyboardInterrupt would be lost.
        self._kept: CData | None = None

    @property
    def timed_out(self) -> bool:
        """Whether it is complete because its deadline passed."""
        return self.status == _TIMEOUT

    def check(self) -> None:
        """Raises the operation's error, if it failed."""
        if self.status != _OK:
            error = describe(self.status, ffi.cast("flv_error_t *", self.result), self.phase)
            self.dispose()
            raise error

    def take(self, ctype: str, free: Callable[[CData], None]) -> CData:
        """The result, which is freed with the last reference to it; raises the operation's error, if it failed."""
        self.check()
        result = ffi.gc(ffi.cast(ctype, self.result), free)
        self._forget()
        return result

    def dispose(self) -> None:
        """Frees a result, or an error, that nobody wants."""
        if self._kept is not None:
            lib.flv_completion_dispose(self._kept)
            self._forget()

    def keep(self, raw: bytes) -> None:
        """The completion's result is the operation's until somebody takes it."""
        if self._kept is None:
            # Empty until it is in its place.
            self._kept = ffi.gc(ffi.new("flv_completion_t *"), lib.flv_completion_dispose)
        ffi.memmove(self._kept, raw, _LAYOUT.size)

    def _forget(self) -> None:
        if self._kept is not None:
            self._kept.result = ffi.NULL
        self.result = 0


class Hub:
    """One queue and everything that completes through it.

    :ivar descriptor: readable while completions wait.
    :ivar mutex: guards the tickets and the draining where several threads use the hub.
    :ivar after: callbacks that a drain found due; to be called, with :meth:`run_after`, once the mutex is released.
    """

    def __init__(self, mutex: AbstractContextManager[object] | None = None) -> None:
        queue = ffi.new("flv_queue_t **")
        error = ffi.new("flv_error_t **")
        try:
            status = lib.flv_queue_new(queue, error)
        finally:
            self._queue = ffi.gc(queue[0], lib.flv_queue_free)
        if status != _OK:
            raise from_native(status, error[0])
        self.descriptor: int = lib.flv_queue_fd(self._queue)
        # That of one thread costs less than what does nothing.
        self.mutex: AbstractContextManager[object] = mutex or threading.RLock()
        self.after: list[tuple[Callable[[Operation], None], Operation]] = []
        # When a drain last brought much, or was slow before.
        self._drained_at = 0.0
        self._adaptive = mutex is None
        self._cap = CAP_MAX
        self._completions = ffi.new("flv_completion_t[]", CAP_MAX)
        self._memory = memoryview(ffi.buffer(self._completions))
        # How many completions the last drain brought, and which is the next to be looked at. An exception that comes
        # out of the blue, such as KeyboardInterrupt, may end a drain anywhere: the next one goes on with what is left.
        self._count = ffi.new("size_t *")
        self._next = 0
        self._tokens = itertools.count(1)
        self._operations: dict[int, Operation] = {}
        self._tickets: dict[int, Ticket] = {}

    def start(
        self,
        function: Callable[..., int],
        *arguments: CData,
        timeout: float | None,
        phase: Phase,
        waiter: Wakeable | None = None,
        callback: Callable[[Operation], None] | None = None,
    ) -> Operation:
        """Starts an operation of the library.

        :param function: which; it is called with `arguments` and what all operations end in.
        :param timeout: seconds, or ``None``.
        :param waiter: woken when it completes.
        :param callback: called when it completes, whether or not it was abandoned.
        :raises FluvioError: if it was not started; then it never completes.
        """
        operation = Operation(next(self._tokens), phase, waiter, callback)
        error = ffi.new("flv_error_t **")
        self._operations[operation.token] = operation
        try:
            status = function(*arguments, milliseconds(timeout), self._queue, operation.token, operation.number, error)
        except BaseException:
            if not operation.number[0]:
                self._operations.pop(operation.token, None)
            else:
                self.abandon(operation)
            raise
        if status != _OK:
            self._operations.pop(operation.token, None)
            raise from_native(status, error[0], phase)
        return operation

    def close_later(
        self,
        function: Callable[..., int],
        *arguments: CData,
        callback: Callable[[Operation], None] = Operation.dispose,
    ) -> None:
        """Starts a close that nobody waits for: the library goes on with it for a second.

        :param callback: called when it completes.
        :raises FluvioError: if it was not started.
        """
        self.start(function, *arguments, timeout=HAND_OVER_TIMEOUT, phase="close", callback=callback)

    def abandon(self, operation: Operation) -> None:
        """Nobody waits for the operation any more: it is cancelled, and what it brings is disposed of."""
        with self.mutex:
            operation.waiter = None
            if operation.done:
                operation.dispose()
                return
            operation.abandoned = True
        self.cancel(operation)

    def cancel(self, operation: Operation) -> None:
        """Asks the library to end the operation; it completes all the same."""
        lib.flv_operation_cancel(self._queue, operation.number[0])

    def bind(self, number: int, bound: int, ledger: Ledger) -> Ticket:
        """The ticket of that number, of which submissions have accounted for the first `bound` records. With the mutex
        held."""
        ticket = self._tickets.get(number)
        if ticket is None:
            ticket = self._tickets[number] = Ticket()
        ticket.attach(ledger)
        ticket.bound = bound
        return ticket

    def bound(self, number: int, ticket: Ticket) -> None:
        """Whoever bound the ticket has made use of it. With the mutex held."""
        if ticket.done and ticket.bound >= ticket.count:
            del self._tickets[number]

    def drain(self) -> None:
        """Looks at the completions that wait; at most so many that a tick stays short. With the mutex held."""
        count = self._count
        if self._next >= count[0]:
            if self._adaptive and (count[0] >= CAP_MIN or self._cap < CAP_MAX):
                self._adapt(count[0])
            count[0] = 0
            self._next = 0
            lib.flv_queue_drain(self._queue, self._completions, self._cap, count)
            if count[0] >= CAP_MIN:
                self._drained_at = perf_counter()
        size = _LAYOUT.size
        first = self._next
        waiting = self._memory[first * size : count[0] * size]
        tickets = self._tickets
        for token, _, status, kind, result, value, extra, partition, _ in _LAYOUT.iter_unpack(waiting):
            if kind == _TICKET:
                ticket = tickets.get(token)
                if ticket is None:
                    ticket = tickets[token] = Ticket()
                if status == _OK:
                    ticket.settle(value, extra, partition)
                else:
                    error = ffi.cast("flv_error_t *", result)
                    ticket.fail(ticket.error or describe(status, error, "delivery"), extra)
                    lib.flv_error_free(error)
                self._next += 1
                if ticket.bound >= extra:
                    del tickets[token]
            elif kind == _OPERATION:
                start = (self._next - first) * size
                self._complete(token, status, result, value, bytes(waiting[start : start + size]))
            else:
                self._next += 1

    @property
    def interrupted(self) -> bool:
        """Whether the last drain, or what it found due, was left in the middle: of that the descriptor says nothing."""
        return self._next < self._count[0] or bool(self.after)

    def run_after(self) -> None:
        """Calls the callbacks that drains found due. Without the mutex."""
        after = self.after
        while after:
            # Rather twice, when an interruption hits or two threads are at it, than never.
            first = after[0]
            callback, operation = first
            try:
                callback(operation)
            except Exception:
                self._ran(first)
                raise
            self._ran(first)

    def _ran(self, first: tuple[Callable[[Operation], None], Operation]) -> None:
        if self.after and self.after[0] is first:
            del self.after[0]

    def fail_rest(self) -> None:
        """No completion will be looked at any more: the tickets that are not settled fail, and whoever waits for an
        operation is told that it was closed. With the mutex held."""
        for ticket in list(self._tickets.values()):
            if not ticket.done:
                ticket.fail(
                    ClosedError("the client was closed before the record was settled", outcome="unknown"), ticket.bound
                )
        self._tickets.clear()
        for token, operation in self._operations.items():
            waiter = operation.waiter
            if waiter is not None:
                # What the library still has to say about it, should another client drain it, is disposed of.
                rest = self._operations[token] = Operation(token, operation.phase, None, None)
                rest.abandoned = True
                operation.status = _CLOSED
                operation.done = True
                waiter.wake()

    def _adapt(self, last: int) -> None:
        now = perf_counter()
        gap = now - self._drained_at
        self._drained_at = now
        if gap > _SLOW:
            # An idle loop is no slow one: only a drain that brought much made that tick long.
            if last >= CAP_MIN and self._cap > CAP_MIN:
                self._cap //= 2
        elif gap < _FAST and self._cap < CAP_MAX:
            self._cap *= 2

    def _complete(self, token: int, status: int, result: int, value: int, raw: bytes) -> None:
        operation = self._operations.get(token)
        if operation is None:
            self._next += 1
            return
        if not operation.done:
            operation.status = status
            operation.result = result
            operation.value = value
            if result:
                operation.keep(raw)
            operation.done = True
        if operation.callback is not None:
            self.after.append((operation.callback, operation))
        if operation.abandoned:
            operation.dispose()
        elif operation.waiter is not None:
            operation.waiter.wake()
        self._next += 1
        del self._operations[token]


def milliseconds(timeout: float | None) -> int:
    """A time-out as the library takes it: rounded up, -1 for none."""
    if timeout is None:
        return -1
    return min(-int(-timeout * 1000 // 1), (1 << 62))


def raise_status(status: int, error: CData, phase: Phase | None = None) -> None:
    """Raises what a call of the library said, unless it went well."""
    if status != _OK:
        failure: FluvioError = from_native(status, error[0], phase)
        raise failure
