# Made by tools/async_to_sync.py from fluvio_cffi/_async/receipt.py: change that, and run it.
"""Receipts: what stands for a record that was accepted."""

from __future__ import annotations

from collections.abc import Callable

from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._exports import publish
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._produce.callbacks import DoneCallback
from fluvio_cffi._produce.receipt import BaseReceipt
from fluvio_cffi._values.quantities import Timeout, parse_timeout


class Receipt(BaseReceipt[SyncBackend]):
    """Stands for a record that was accepted. Waited for, it says where the record is, or raises why it is not.

    It can be waited for as often as wanted, by several threads. :meth:`done`, :meth:`result` and :meth:`exception`: any
    thread; safe in a signal handler.
    """

    __slots__ = ()

    def wait(self, timeout: Timeout = ...) -> RecordMetadata:
        """Wait until the record is acknowledged.

        :param timeout: seconds; left out or ``None``: until the record is settled, which it is within the producer's
            ``delivery_timeout``; ``0``: only if it is settled by now.
        :raises FluvioTimeoutError: with ``outcome="pending"`` when the time is over; the record goes on.
        :raises FluvioError: why the record was not delivered.
        """
        return self._wait(parse_timeout(timeout, None))

    def add_done_callback(self, fn: Callable[[Receipt], object]) -> None:
        """Have `fn` called with this receipt, once, when the record is settled. Any thread.

        A client of a loop calls it there, so it must not block; soon, if the record is settled by now; not, if the loop
        ends first. A client of threads calls it in one that waits in a call of the client, at the latest its close or
        the end of the program; at once, if the record is settled by now. It is never called in a thread of the
        library's own.

        What it raises is logged; on trio also SystemExit and KeyboardInterrupt, which elsewhere go on to the loop or
        the thread. A failure at which it does not look, by :meth:`result` or :meth:`exception`, is
        reported by the producer's ``flush`` or ``close``, as others are.

        :param fn: a plain function; what it returns does not matter.
        :raises ForkedError: after a fork.
        """
        self._call_when_done(DoneCallback(self, fn, self._backend.call_later, self._leave))

    def _wait(self, limit: float | None) -> RecordMetadata:
        backend = self._backend
        backend.check()
        if limit == 0:
            self.done()
        ticket = self._ticket
        if ticket is None or not ticket.done:
            waiter = backend.waiter()
            try:
                self._watch(waiter)
                if not backend.wait(waiter, limit):
                    what = f"the record for {self._ledger.topic!r} was not acknowledged within {limit:g} s; it goes on"
                    late = self._ledger.late("wait", what, "pending")
                    late.receipt = self
                    raise late
                backend.turned()
                return self.result()
            except BaseException:
                if self._raised:
                    raise
                self._leave(waiter)
                raise
        if backend.due():
            backend.rest()
        return self.result()


# For the producer, whose `send` has a limit in seconds, and not for the users who see the class.
wait_for = Receipt._wait  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


publish(__name__)
