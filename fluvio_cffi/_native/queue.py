"""One completion queue of the library: starts operations, drains completions, and wakes whoever waits for them.

No event loop occurs here: who waits, and how, is the business of `_backends`. With an event loop its thread drains;
with threads any of them may, several at a time.

*Any call may come in the middle of any other one.* Between two instructions of one thread a signal handler or a
finalizer may run, which calls this package itself and waits, for as long as it likes; other threads go on meanwhile;
and it may end with an exception, such as KeyboardInterrupt. A lock would be held by the call that was interrupted,
and whoever needs it would wait for ever. So there are none here, nor in what builds on this, but three habits:

*One step.* CPython lets others run when a function begins, after a call and where a loop goes back (after it has
looked at its condition); before 3.12 where it makes a container, before 3.11 where it passes over a block whose
condition does not hold; nowhere else. What must not be seen half done is prepared first and then stored by instructions
between which there is none of these; where it depends on what others may have changed meanwhile, the comparison is part
of the step, and what follows is in its block. Comments say so: "One step".

*Helping.* What is begun can be finished by whoever comes next. What a completion asks for may be done twice, also by
two at the same time, and the completion is passed over as the last of it. So nobody waits for a call that does not go
on.

*Claims.* What only one may use at a time is claimed by a flag, set in one step with the look at it and reset by a
``finally`` that begins with it, which no exception can come before. Whoever finds it claimed uses another one, or
raises.

A handle of the library may be freed twice; its number is not used again.
"""

from __future__ import annotations

import itertools
import struct
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Final

from fluvio_cffi._errors import ClosedError, Phase
from fluvio_cffi._native.errors import describe, from_native
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.tickets import Ticket

from .calls import milliseconds
from .tickets import Wakeable

# flv_completion_t: token, operation, status, kind, result, value, extra, partition, reserved
_LAYOUT: Final = struct.Struct("=QQiIQqqII")
_Completion = tuple[int, int, int, int, int, int, int, int, int]
_OPERATION: Final = int(lib.FLV_COMPLETION_OPERATION)
_TICKET: Final = int(lib.FLV_COMPLETION_TICKET)
_OK: Final = int(lib.FLV_STATUS_OK)
_TIMEOUT: Final = int(lib.FLV_STATUS_TIMEOUT)
_CLOSED: Final = int(lib.FLV_STATUS_CLOSED)
_CANCELLED: Final = int(lib.FLV_STATUS_CANCELLED)

HAND_OVER_TIMEOUT: Final = 1.0
"""Seconds that the library goes on by itself with what nobody waits for."""

CAP_MIN: Final = 16
CAP_MAX: Final = 1024
_SLOW: Final = 0.002
_FAST: Final = 0.0005

_SIZE: Final = _LAYOUT.size

if ffi.sizeof("flv_completion_t") != _SIZE:  # pragma: no cover - a wrong library
    raise ImportError(
        "flv_completion_t has another layout than this package knows: install package and library together"
    )


# Owns the results that are none.
_NOTHING: Final = ffi.new("flv_completion_t *")


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

    @property
    def cancelled(self) -> bool:
        """Whether it is complete because it was cancelled."""
        return self.status == _CANCELLED

    def check(self) -> None:
        """Raises the operation's error, if it failed."""
        if self.status != _OK:
            # Without a name: it would hold this frame, and this frame it, and with them descriptors until the garbage
            # collector comes.
            try:
                raise describe(self.status, ffi.cast("flv_error_t *", self.result), self.phase)
            finally:
                self.dispose()

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

    def complete(
        self,
        status: int,
        value: int,
        result: int,
        kept: CData,
        due: deque[Callable[[], None]],
    ) -> None:
        """It is complete, unless it was before. `kept`, which is empty, owns the result from now on; a callback is
        due."""
        pointer = ffi.cast("void *", result)
        entries = [] if self.callback is None else [partial(self.callback, self)]
        extend = due.extend
        # One step.
        if not self.done:
            kept.result = pointer
            self._kept = kept
            self.status = status
            self.value = value
            self.result = result
            self.done = True
            extend(entries)

    def _forget(self) -> None:
        if self._kept is not None:
            self._kept.result = ffi.NULL
        self.result = 0


class _Catch:
    """Where the library puts completions, one drain after another.

    :ivar busy: whether a drain uses it.
    :ivar turn: rises with each drain.
    """

    __slots__ = ("busy", "completions", "count", "memory", "turn")

    def __init__(self) -> None:
        self.busy = False
        self.turn = 0
        self.completions = ffi.new("flv_completion_t[]", CAP_MAX)
        self.memory = memoryview(ffi.buffer(self.completions))
        self.count = ffi.new("size_t *")


class CompletionQueue:
    """One queue and everything that completes through it.

    :ivar descriptor: readable while completions wait.
    :ivar due: the callbacks that drains found due.
    :ivar ended: whether no completion is looked at any more.
    :ivar tickets: those that are not settled, or not all records of which are accounted for.
    """

    def __init__(self, adaptive: bool = True) -> None:
        """
        :param adaptive: whether a drain brings as much as the loop has time for.
        """
        queue = ffi.new("flv_queue_t **")
        error = ffi.new("flv_error_t **")
        try:
            status = lib.flv_queue_new(queue, error)
        finally:
            self._queue = ffi.gc(queue[0], lib.flv_queue_free)
        if status != _OK:
            raise from_native(status, error[0])
        self.descriptor: int = lib.flv_queue_fd(self._queue)
        self.ended: bool = False
        # How many completions the last drain brought, and when one last brought much, or was slow before.
        self._brought = 0
        self._drained_at = 0.0
        self._adaptive = adaptive
        self._cap = CAP_MAX
        # One is enough, unless several drain at a time.
        self._catches = [_Catch()]
        # What was drained and is not passed over yet, in order.
        self._found: deque[_Completion] = deque()
        self.due: deque[Callable[[], None]] = deque()
        # How many drains are under way; and, until none is, what owns the results that they found: the errors of
        # tickets, and what an operation does not own yet.
        self._inside = 0
        self._kept: dict[int, CData] = {}
        self._tokens = itertools.count(1)
        self._operations: dict[int, Operation] = {}
        self.tickets: dict[int, Ticket] = {}

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
        operation.waiter = None
        # Before the look at whether it is done: whoever completes it does it the other way round.
        operation.abandoned = True
        if operation.done:
            operation.dispose()
        else:
            self.cancel(operation)

    def cancel(self, operation: Operation) -> None:
        """Asks the library to end the operation; it completes all the same. Any thread."""
        lib.flv_operation_cancel(self._queue, operation.number[0])

    def ticket(self, number: int) -> Ticket:
        """The ticket of that number, for a submission with records in it that are not accounted for. Once they are, and
        the completion is passed over, whoever sees that last takes it out of :attr:`tickets`."""
        ticket = self.tickets.get(number)
        if ticket is None:
            ticket = self.tickets.setdefault(number, Ticket())
            if self.ended:
                ticket.passed = True
                ticket.fail(_unsettled(), 0)
        return ticket

    def drain(self) -> None:
        """Looks at the completions that wait; at most as many as leave the tick short."""
        catches = self._catches
        catch = catches[0]
        if not catch.busy:
            # One step.
            catch.busy = True
        else:
            catch = self._spare()
            if not catch.busy:
                # One step.
                catch.busy = True
            else:
                self.drain()
                return
        self._inside += 1
        try:
            if catch.count[0] or len(catches) > 1:
                self._note_all()
            if self._adaptive and (self._brought >= CAP_MIN or self._cap < CAP_MAX):
                self._adapt(self._brought)
            catch.turn += 1
            lib.flv_queue_drain(self._queue, catch.completions, self._cap, catch.count)
            self._brought = count = catch.count[0]
            if count >= CAP_MIN:
                self._drained_at = perf_counter()
            if count:
                self._note(catch)
            self._work()
        finally:
            # One step. Nobody looks at what is kept for others any more.
            catch.busy = False
            self._inside -= 1
            if not self._inside and self._kept:
                self._kept.clear()

    def _spare(self) -> _Catch:
        """One that nobody used just now; whoever called must claim it."""
        for catch in self._catches:
            if not catch.busy:
                return catch
        catch = _Catch()
        self._catches.append(catch)
        return catch

    def _note_all(self) -> None:
        """What was caught before is found: an exception came, or this comes in the middle of another drain."""
        for catch in self._catches:
            if catch.count[0]:
                self._note(catch)

    def _note(self, catch: _Catch) -> None:
        """What was caught is found."""
        turn = catch.turn
        count = catch.count
        found = [*_LAYOUT.iter_unpack(catch.memory[: count[0] * _SIZE])]
        extend = self._found.extend
        # One step: others may have done it meanwhile, and caught something else.
        if catch.turn == turn and count[0]:
            count[0] = 0
            extend(found)

    def _work(self) -> None:
        """Does what the completions ask for that were found."""
        found = self._found
        tickets = self.tickets
        while found:
            try:
                completion = found[0]
            except IndexError:
                # Others have passed over it meanwhile.
                return
            token, _, status, kind, _, value, extra, partition, _ = completion
            ticket = None
            if kind == _TICKET:
                ticket = tickets.get(token) or self._early(token, completion)
                if ticket is not None:
                    if status == _OK:
                        ticket.settle(value, extra, partition)
                    else:
                        self._fail(ticket, completion)
            elif kind == _OPERATION:
                self._complete(completion)
            # One step: others may have passed over it meanwhile.
            if found and found[0] is completion:
                del found[0]
                if ticket is not None:
                    ticket.passed = True
                    if ticket.bound >= extra and token in tickets:
                        del tickets[token]

    @property
    def undone(self) -> bool:
        """Whether there is something to do of which the descriptor says nothing: who began it was interrupted."""
        for catch in self._catches:
            if catch.count[0]:
                return True
        return bool(self._found or self.due)

    @property
    def draining(self) -> bool:
        """Whether a drain is under way."""
        return self._inside > 0

    def run_due(self) -> None:
        """Calls the callbacks that drains found due: rather twice than never. Those that come meanwhile have their turn
        next: of a callback that adds another one each time there is no end."""
        due = self.due
        for _ in range(len(due)):
            try:
                first = due[0]
            except IndexError:
                return
            try:
                first()
            except Exception:
                self._ran(first)
                raise
            self._ran(first)

    def call_later(self, callback: Callable[[], None]) -> None:
        """Has `callback` called with those that the next drain finds due: perhaps twice. Any thread."""
        self.due.append(callback)

    def _ran(self, first: Callable[[], None]) -> None:
        due = self.due
        # One step.
        if due and due[0] is first:
            due.popleft()

    def fail_rest(self) -> None:
        """No completion will be looked at any more: the tickets that are not settled fail, and whoever waits for an
        operation is told that it was closed."""
        self.ended = True
        for number, ticket in list(self.tickets.items()):
            if not ticket.done:
                ticket.fail(_unsettled(), ticket.bound)
            # Otherwise its submission is not accounted for yet: this comes in the middle of it.
            ticket.passed = True
            if ticket.bound >= ticket.count:
                self.tickets.pop(number, None)
        for token, operation in list(self._operations.items()):
            waiter = operation.waiter
            if waiter is not None:
                # What the library still has to say about it, should another client drain it, is disposed of.
                rest = Operation(token, operation.phase, None, None)
                rest.abandoned = True
                self._operations[token] = rest
                operation.complete(_CLOSED, 0, 0, _NOTHING, self.due)
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

    def _early(self, number: int, completion: _Completion) -> Ticket | None:
        """The ticket of a batch that is settled before the submission is accounted for; ``None`` if others have passed
        over the completion meanwhile."""
        ticket = Ticket()
        found = self._found
        # One step.
        if found and found[0] is completion:
            return self.tickets.setdefault(number, ticket)
        return None

    def _keep(self, result: int) -> CData:
        """What is to own a result: the same for all who look at its completion, until none does."""
        kept = self._kept.get(result)
        if kept is None:
            # Empty, so that nothing is freed if it is not the one.
            kept = self._kept.setdefault(result, ffi.gc(ffi.new("flv_completion_t *"), lib.flv_completion_dispose))
        return kept

    def _fail(self, ticket: Ticket, completion: _Completion) -> None:
        _, _, status, _, result, _, count, _, _ = completion
        if result:
            # Not freed while somebody describes it.
            self._keep(result).result = ffi.cast("void *", result)
        ticket.fail(ticket.error or describe(status, ffi.cast("flv_error_t *", result), "delivery"), count)

    def _complete(self, completion: _Completion) -> None:
        token, _, status, _, result, value, _, _, _ = completion
        operation = self._operations.get(token)
        if operation is None:
            return
        operation.complete(status, value, result, self._keep(result) if result else _NOTHING, self.due)
        waiter = operation.waiter
        if operation.abandoned:
            operation.dispose()
        elif waiter is not None:
            waiter.wake()
        self._operations.pop(token, None)


def _unsettled() -> ClosedError:
    return ClosedError("the client was closed before the record was settled", outcome="unknown")
