"""What happens to a client."""

from __future__ import annotations

from typing import NoReturn

from fluvio_cffi._backends.base import AsyncBackend
from fluvio_cffi._errors import ClosedError, UsageError
from fluvio_cffi._exports import publish
from fluvio_cffi._failures import timed_out
from fluvio_cffi._native.calls import text_of
from fluvio_cffi._native.errors import from_native
from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._values.quantities import Timeout, ending, left, parse_timeout
from fluvio_cffi._values.records import ClientEvent, EventKind

from .readiness import begin_to_wait, until_ready
from .session import AsyncSession

_KINDS: tuple[EventKind, ...] = (
    "connected",
    "reconnecting",
    "closed",
    "leader_changed",
    "joined",
    "suspended",
    "resumed",
    "lost",
)


class AsyncEvents:
    """Tells what happens to a client, as an iterator of :class:`ClientEvent`. Made by :meth:`AsyncFluvio.events`.

    One task reads at a time. A read that is cancelled or runs out of time has taken nothing, and ``break`` loses
    nothing.
    """

    __slots__ = ("__weakref__", "_backend", "_error", "_handle", "_native", "_number", "_reading", "_session")

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._backend: AsyncBackend = session.backend
        self._error = ffi.new("flv_error_t **")
        # What was taken from the library last; KeyboardInterrupt may come before it is handed on.
        self._native = ffi.new("flv_event_t *")
        self._native.struct_size = ffi.sizeof("flv_event_t")
        # Of the event that was handed on last.
        self._number = 0
        self._reading = False
        handle = ffi.new("flv_events_t **")
        self._check(lib.flv_client_events(session.handle, handle, self._error))
        self._handle = ffi.gc(handle[0], lib.flv_events_free)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._session!r}>"

    def __aiter__(self) -> AsyncEvents:
        return self

    async def __anext__(self) -> ClientEvent:
        event = await self._next(None)
        if event is None:
            raise StopAsyncIteration
        return event

    async def receive(self, timeout: Timeout = ...) -> ClientEvent:
        """The next event.

        :param timeout: seconds; left out or ``None``: no limit; ``0``: only what is there now.
        :raises FluvioTimeoutError: ``phase="read"`` when the time is over; nothing is lost.
        :raises ClosedError: the client was closed, and everything was read.
        """
        event = await self._next(parse_timeout(timeout, None))
        if event is None:
            raise ClosedError("the client is closed: nothing more happens to it")
        return event

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it belongs to a client of this process")

    # -- inside

    async def _next(self, timeout: float | None) -> ClientEvent | None:
        backend = self._backend
        deadline = ending(timeout)
        backend.check()
        if not self._reading:
            # One step.
            self._reading = True
        else:
            raise UsageError("these events are being read already: one reads at a time")
        try:
            if backend.due():
                await backend.rest()
            alive = True
            while True:
                if self._native.number != self._number:
                    return self._event()
                status = lib.flv_events_take(self._handle, self._native, self._error)
                if status == lib.FLV_STATUS_END:
                    return None
                if status == lib.FLV_STATUS_EMPTY:
                    seconds = left(deadline)
                    if seconds == 0:
                        raise timed_out("read", f"no event of the client of {self._session.endpoint} came in time")
                    if not alive or self._session.gone:
                        return None
                    alive = await self._wait(seconds)
                else:
                    self._check(status)
        finally:
            self._reading = False

    async def _wait(self, seconds: float | None) -> bool:
        """Waits until there is something to take, or the time is over; false if nothing can be waited for any more."""
        try:
            await until_ready(self._backend, begin_to_wait(self._backend, lib.flv_events_wait, self._handle, seconds))
        except ClosedError:
            return False
        return True

    def _event(self) -> ClientEvent:
        native = self._native
        kind: int = native.kind
        event = ClientEvent(
            _KINDS[kind - 1],
            native.number,
            text_of(native.topic) or None,
            native.partition if native.partition >= 0 else None,
            native.leader if native.leader >= 0 else None,
            text_of(native.reason) or None,
            text_of(native.group) or None,
        )
        self._number = native.number
        return event

    def _check(self, status: int) -> None:
        if status != lib.FLV_STATUS_OK:
            error, self._error[0] = self._error[0], ffi.NULL
            raise from_native(status, error)


publish(__name__)
