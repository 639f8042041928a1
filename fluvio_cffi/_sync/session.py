# Made by tools/async_to_sync.py from fluvio_cffi/_async/session.py: change that, and run it.
"""What the objects of one client share."""

from __future__ import annotations

from typing import Any

from fluvio_cffi import _observing
from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._errors import ClosedError, DeliveryError, FluvioError
from fluvio_cffi._failures import brief
from fluvio_cffi._lifetime import Forgettable, Members
from fluvio_cffi._native.calls import view
from fluvio_cffi._native.lifecycle import hand_over, take_up
from fluvio_cffi._native.loader import CData, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._produce.thread_intake import ThreadIntake
from fluvio_cffi._values.records import ClientState

_STATES: tuple[ClientState, ...] = ("closed", "connected", "reconnecting", "closed")


class Session(Forgettable):
    """A connected client, as its producers, consumers, watches and administration know it. It lives as long as any of
    them.

    :ivar backend: where its calls wait.
    :ivar handle: the library's client.
    :ivar admin_timeout: seconds that an administrative call may take, and the opening of producers and consumers.
    :ivar closed: whether the client was closed.
    :ivar gone: whether everything of it is closed, or given up.
    """

    def __init__(self, name: str, backend: SyncBackend, handle: CData, admin_timeout: float) -> None:
        super().__init__()
        self.backend: SyncBackend = backend
        self.handle: CData = handle
        self.admin_timeout: float = admin_timeout
        self.endpoint: str = view(lib.flv_client_endpoint, handle)
        self.platform_version: str = view(lib.flv_client_platform_version, handle)
        self.producers: Members[ThreadIntake[Any]] = Members()
        self.consumers: Members[Subscription] = Members()
        self.closed: bool = False
        self.gone: bool = False
        self._name = name
        sessions.add(self)
        if _observing.observer is not None:
            _observing.observer.client(self, self.endpoint, handle)

    @property
    def state(self) -> ClientState:
        """``"connected"``, ``"reconnecting"`` or ``"closed"``. Any thread."""
        self.backend.check_fork()
        if self.closed:
            return "closed"
        number: int = lib.flv_client_state(self.handle)
        return _STATES[number] if number < len(_STATES) else "closed"

    def __repr__(self) -> str:
        state = "inherited through a fork" if self.backend.forked else self.state
        return f"<{self._name} {self.endpoint}, {state}>"

    def __del__(self) -> None:
        if getattr(self, "gone", True) or self.backend.forked:
            return
        self.gone = True
        if not self.closed:
            self._forgotten(repr(self))

    def begin_to_close(self) -> list[ThreadIntake[Any]]:
        """Nothing of the client can be used any more; what is queued goes to the library."""
        self.closed = True
        producers = [producer for producer in self.producers if not producer.closed]
        for producer in producers:
            producer.begin_to_close()
        for consumer in self.consumers:
            self.end_consumer(consumer)
        return producers

    def end_consumer(self, consumer: Subscription) -> None:
        """It is closed, or its client."""
        consumer.end()
        self.consumers.discard(consumer)

    def hand_over_close(self) -> None:
        """The caller leaves at once; the library goes on closing for a second."""
        try:
            self.backend.completions.close_later(lib.flv_client_close, self.handle, callback=self._handed_over)
        except FluvioError:
            self.end()

    def _handed_over(self, operation: Operation) -> None:
        operation.dispose()
        self.end()

    def end(self) -> None:
        """It is closed: everything of it ends."""
        if not self.gone:
            # One step.
            self.gone = True
            for producer in self.producers:
                producer.fail_queued(ClosedError("the client was closed before the record was sent"))
                producer.end()
            self.backend.release()

    def failures(self, producers: list[ThreadIntake[Any]], dropped: int) -> DeliveryError | None:
        """The error for the failures that nobody has claimed, and for what a close has dropped."""
        failures = [failure for producer in producers if (failure := producer.failures()) is not None]
        count = max(sum(failure.count for failure in failures), dropped)
        if count == 0:
            return None
        if len(failures) == 1 and failures[0].count == count:
            return failures[0]
        topics = ", ".join(repr(failure.topic) for failure in failures)
        of = f" for {topics}" if topics else ""
        return DeliveryError(
            brief(f"{count} record(s){of} were not delivered before the client was closed"),
            count=count,
            errors=tuple(error for failure in failures for error in failure.errors)[:16],
            outcome="unknown",
        )

    def check_open(self) -> None:
        """Raises in a child of the process that made it, and once it is closed."""
        self.backend.check_fork()
        if self.closed:
            raise ClosedError("the client is closed")


sessions: Members[Session] = Members()
"""Those of all clients."""


def _hand_over_all() -> int:
    """The program ends: what is queued goes to the library, as far as there is room, and it hears what was processed.
    How many records are left."""
    held = 0
    for session in sessions:
        for consumer in session.consumers:
            consumer.mark_before_hand()
        held += sum([producer.push_at_exit() for producer in session.producers])
    return held


def _take_up_all() -> None:
    """What was handed over is settled."""
    for session in sessions:
        if not session.closed:
            session.backend.look()


hand_over.append(_hand_over_all)
take_up.append(_take_up_all)
