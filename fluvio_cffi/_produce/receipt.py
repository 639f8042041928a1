"""What receipts of loops and threads have in common: everything but the waiting.

A receipt is *unbound* until its record is handed over to the library, *bound* to a ticket from then on, and *settled*
with the ticket. In each of these states its outcome may be *claimed*: somebody has seen it, or will see it. Failures
that nobody claims are reported by ``flush`` and ``close``.

=============  ==============================  =================================
state          `claim` adds one to             the failure, if there is one, is
=============  ==============================  =================================
unbound        nothing yet: `bind_receipt`     counted when the ticket fails
               adds it to the ticket
bound          ``ticket.claimed``              counted when the ticket fails
settled        ``ticket.claimed``              taken back from ``ledger.count``
=============  ==============================  =================================

Any call may come in the middle of any other one: `_native.queue` says what "one step" means.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from fluvio_cffi._errors import FluvioError, UsageError
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.tickets import Ticket, Wakeable
from fluvio_cffi._produce.backend import ProduceBackend
from fluvio_cffi._produce.callbacks import DoneCallback
from fluvio_cffi._produce.delivery import Ledger

BackendT = TypeVar("BackendT", bound=ProduceBackend)


class BaseReceipt(Generic[BackendT]):
    """Stands for a record that was accepted."""

    __slots__ = (
        "_backend",
        "_claimed",
        "_index",
        "_ledger",
        "_raised",
        "_ticket",
        "_timestamp",
        "_waiters",
        "_watchers",
    )

    def __init__(self, backend: BackendT, ledger: Ledger, timestamp: int | None) -> None:
        self._backend = backend
        self._ledger = ledger
        self._timestamp = timestamp
        self._ticket: Ticket | None = None
        self._index = 0
        # Waiters that came before the record was handed over: the ticket gets them.
        self._waiters: list[Wakeable] | None = None
        # How many wait for the outcome; whether somebody claims it; and whether somebody has it.
        self._watchers = 0
        self._claimed = False
        self._raised = False

    def done(self) -> bool:
        """Whether the record is settled, delivered or failed."""
        if self._ticket is None or not self._ticket.done:
            self._backend.look()
        return self._ticket is not None and self._ticket.done

    def result(self) -> RecordMetadata:
        """Where the record is, or raises why it was not delivered. Never waits.

        :raises UsageError: while it is not settled.
        """
        ticket = self._settled()
        if ticket.error is not None:
            error = ticket.error_of(self._index)
            self._set_claim(True)
            # One step with the raising: an error that was raised is not reported again.
            self._raised = True
            raise error
        return ticket.metadata(self._ledger.topic, self._index, self._timestamp or 0)

    def exception(self) -> FluvioError | None:
        """Why the record was not delivered, or ``None`` if it was. Never waits.

        :raises UsageError: while it is not settled.
        """
        ticket = self._settled()
        error = None if ticket.error is None else ticket.error_of(self._index)
        self._set_claim(True)
        self._raised = True
        return error

    def __repr__(self) -> str:
        if self._ticket is None or not self._ticket.done:
            return f"<{type(self).__name__} for {self._ledger.topic!r}, pending>"
        if self._ticket.error is not None:
            return f"<{type(self).__name__} for {self._ledger.topic!r}, failed: {self._ticket.error}>"
        offset = self._ticket.offset(self._index)
        place = f"partition {self._ticket.partition}" + ("" if offset is None else f", offset {offset}")
        return f"<{type(self).__name__} for {self._ledger.topic!r}, {place}>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _call_when_done(self, callback: DoneCallback[Any]) -> None:
        """Has `callback` woken when the record is settled. Until it has run it counts as somebody who will see the
        outcome; a failure that it does not look at is reported as others are."""
        self._backend.check_fork()
        self._watch(callback)
        self._backend.look()

    def _bind(self, ticket: Ticket, index: int, timestamp: int) -> None:
        self._index = index
        if self._timestamp is None:
            self._timestamp = timestamp
        if self._claimed:
            ticket.claim(1)
        self._ticket = ticket
        waiters, self._waiters = self._waiters, None
        if waiters is not None:
            ticket.wait(*waiters)

    def _fail(self, error: FluvioError) -> None:
        ticket = Ticket()
        ticket.attach(self._ledger)
        self._ledger.submitted += 1
        ticket.fail(error, 1)
        self._bind(ticket, 0, 0)

    def _watch(self, waiter: Wakeable) -> None:
        """Has `waiter` woken when the record is settled, and claims the outcome for it."""
        self._watchers += 1
        self._set_claim(True)
        ticket = self._ticket
        if ticket is not None:
            ticket.wait(waiter)
        else:
            added = [waiter]
            # One step.
            if self._waiters is None:
                self._waiters = added
            else:
                self._waiters.append(waiter)
            # `_bind` stores the ticket before it looks for waiters: one of the two notices.
            bound: Ticket | None = self._ticket
            if bound is not None:
                bound.wait(waiter)

    def _leave(self, waiter: Wakeable) -> None:
        """`waiter` is gone without the outcome."""
        # One step.
        if self._watchers:
            self._watchers -= 1
        ticket = self._ticket
        if ticket is not None:
            ticket.leave(waiter)
        elif self._waiters is not None and waiter in self._waiters:
            self._waiters.remove(waiter)
        if not self._watchers and not self._raised:
            self._set_claim(False)

    def _set_claim(self, claimed: bool) -> None:
        """Claims the outcome, or gives the claim up, unless that is done already."""
        ledger = self._ledger
        count = 1 if claimed else -1
        # One step.
        ticket = self._ticket
        if self._claimed is not claimed:
            self._claimed = claimed
            if ticket is not None:
                ticket.claimed += count
                if ticket.error is not None and ticket.generation == ledger.generation:
                    ledger.count -= count

    def _outcome(self) -> RecordMetadata | FluvioError:
        """What became of the record, which is settled. Nobody claims it by that."""
        ticket = self._settled()
        if ticket.error is not None:
            return ticket.error_of(self._index)
        return ticket.metadata(self._ledger.topic, self._index, self._timestamp or 0)

    def _settled(self) -> Ticket:
        ticket = self._ticket
        if ticket is None or not ticket.done:
            if not self.done():
                raise UsageError("the record is not settled yet: wait for the receipt")
            ticket = self._ticket
            assert ticket is not None
        return ticket


# For the producer, and not for the users who see the class: the record is a record of a ticket; what became of it; it
# will not be handed over.
bind_receipt: Final[Callable[[BaseReceipt[Any], Ticket, int, int], None]] = BaseReceipt._bind  # noqa: SLF001  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportPrivateUsage]
outcome_of: Final[Callable[[BaseReceipt[Any]], RecordMetadata | FluvioError]] = BaseReceipt._outcome  # noqa: SLF001  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportPrivateUsage]
fail_receipt: Final[Callable[[BaseReceipt[Any], FluvioError], None]] = BaseReceipt._fail  # noqa: SLF001  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportPrivateUsage]
