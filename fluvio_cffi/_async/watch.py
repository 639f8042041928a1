"""Watches: what changes in a cluster, as it changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import TracebackType
from typing import Generic, NoReturn, TypeVar

from fluvio_cffi._admin.document import from_document
from fluvio_cffi._admin.objects.changes import Change
from fluvio_cffi._backends.base import AsyncBackend
from fluvio_cffi._errors import ClosedError, FluvioError, FluvioTimeoutError, UsageError
from fluvio_cffi._exports import publish
from fluvio_cffi._failures import timed_out
from fluvio_cffi._lifetime import logger
from fluvio_cffi._native.calls import Slice, copy_buffer
from fluvio_cffi._native.errors import from_native
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._values.quantities import CLOSE_TIMEOUT, Timeout, ending, left, parse_timeout

from .readiness import begin_to_wait, until_ready
from .session import AsyncSession

ItemT = TypeVar("ItemT")


class AsyncWatch(Generic[ItemT]):
    """Tells what changes, as an iterator of :class:`Change`. Made by the ``watch`` methods of administration.

    ``async with client.admin.topics.watch() as changes: async for change in changes: ...``, or ``async for change in
    client.admin.topics.watch(): ...``: it is opened by the block or by the first read, and closed by the end of the
    block, by :meth:`close`, with its client, or when it is no longer referred to.

    The first change is a ``"snapshot"`` of all objects, the cluster's own included; then each change comes as it
    happens. After a lost connection the watch connects again by itself, as often as it takes, and tells a fresh
    snapshot. Changes that are not read do not pile up: when 1,000 objects wait, a fresh snapshot takes their place.

    One task reads at a time. A read that is cancelled or runs out of time has taken nothing, and ``break`` loses
    nothing.
    """

    __slots__ = (
        "__weakref__",
        "_backend",
        "_buffer",
        "_change",
        "_closed",
        "_error",
        "_function",
        "_handle",
        "_item",
        "_names",
        "_object",
        "_reading",
        "_session",
        "_told",
    )

    def __init__(
        self,
        session: AsyncSession,
        object: str,
        item: type[ItemT],
        function: Callable[..., int] | None = None,
        names: tuple[str, ...] = (),
    ) -> None:
        """
        :param object: what is watched.
        :param function: the library's operation that opens it, with these names; left out: that for kinds of objects.
        """
        self._session = session
        self._backend: AsyncBackend = session.backend
        self._object = object
        self._function: Callable[..., int] = function or lib.flv_watch_open
        self._names = names or (object,)
        self._item = item
        self._handle: CData | None = None
        # What was taken from the library last, and what of it has become a change: KeyboardInterrupt may come at any
        # step between.
        self._buffer = ffi.new("flv_buffer_t **")
        self._told: CData = ffi.NULL
        self._change: Change[ItemT] | None = None
        self._error = ffi.new("flv_error_t **")
        self._reading = False
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether it was closed, or its client."""
        return self._over()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._object}{', closed' if self.closed else ''}>"

    # -- reading

    def __aiter__(self) -> AsyncWatch[ItemT]:
        return self

    async def __anext__(self) -> Change[ItemT]:
        while True:
            change = self._change
            # One step.
            if change is not None:
                self._change = None
                return change
            if not await self._next(None):
                raise StopAsyncIteration

    async def receive(self, timeout: Timeout = ...) -> Change[ItemT]:
        """The next change.

        :param timeout: seconds; left out or ``None``: no limit; ``0``: only what is there now.
        :raises FluvioTimeoutError: ``phase="read"`` when the time is over; nothing is lost.
        :raises ClosedError: the watch, or its client, was closed.
        """
        deadline = ending(parse_timeout(timeout, None))
        while True:
            change = self._change
            # One step.
            if change is not None:
                self._change = None
                return change
            if not await self._next(deadline):
                raise ClosedError("the watch is closed")

    # -- closing

    async def close(self, timeout: Timeout = ...) -> None:
        """End the watch. A read that is going on ends. Closing twice is fine.

        :param timeout: seconds; left out: 5; ``None``: no limit.
        """
        backend = self._backend
        backend.check()
        if self.closed or self._handle is None:
            self._closed = True
            return
        self._closed = True
        operation = backend.completions.start(
            lib.flv_watch_close,
            self._handle,
            timeout=parse_timeout(timeout, CLOSE_TIMEOUT),
            phase="close",
            waiter=backend.waiter(),
        )
        (await backend.finish(operation)).check()

    if True:  # ASYNC

        async def aclose(self, timeout: Timeout = ...) -> None:
            """The same as :meth:`close`."""
            await self.close(timeout)

    async def __aenter__(self) -> AsyncWatch[ItemT]:
        self._backend.check()
        if not self._reading:
            # One step.
            self._reading = True
        else:
            raise self._second_reader()
        try:
            await self._opened()
        finally:
            self._reading = False
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        elif self._backend.is_cancellation(error):
            self._hand_over_close()
        else:
            try:
                await self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it holds connections of this process")

    # -- inside

    async def _next(self, deadline: float | None) -> bool:
        """Whether there is a next change; it is in its place then. False: closed."""
        backend = self._backend
        backend.check()
        if not self._reading:
            # One step.
            self._reading = True
        else:
            raise self._second_reader()
        try:
            if backend.due():
                await backend.rest()
            if self._over():
                return False
            handle = await self._opened(deadline)
            while True:
                taken = self._change is not None or self._take(handle)
                if taken:
                    return True
                if taken is False or self._over():
                    return False
                seconds = left(deadline)
                if seconds == 0:
                    raise timed_out("read", f"no change of {self._object} came in time")
                await self._wait(handle, seconds)
        finally:
            self._reading = False

    async def _opened(self, deadline: float | None = None) -> CData:
        """The library's watch; it is opened if it is not open yet, by the deadline of the read that asks for it."""
        session, backend = self._session, self._backend
        session.check_open()
        if self._closed:
            raise ClosedError("the watch is closed")
        if self._handle is None:
            names = [*map(Slice, self._names)]
            operation = backend.completions.start(
                self._function,
                session.handle,
                *[name.value for name in names],
                timeout=session.admin_timeout if deadline is None else left(deadline),
                phase="admin",
                waiter=backend.waiter(),
            )
            await backend.finish(operation)
            try:
                self._handle = operation.take("flv_watch_t *", lib.flv_watch_free)
            except FluvioTimeoutError as late:
                if deadline is not None:
                    late.phase = "read"
                raise
            if self.closed:
                # Whoever closed it meanwhile found nothing to close.
                self._close_later(self._handle)
        return self._handle

    def _take(self, handle: CData) -> bool | None:
        """Takes a change that is there; ``None`` if none is, false if no more come."""
        if not self._buffer[0] or self._buffer[0] == self._told:
            status = lib.flv_watch_take(handle, self._buffer, self._error)
            if status == lib.FLV_STATUS_EMPTY:
                return None
            if status != lib.FLV_STATUS_OK:
                error, self._error[0] = self._error[0], ffi.NULL
                failure = from_native(status, error, "read")
                if not isinstance(failure, ClosedError):
                    raise failure
                self._closed = True
                return False
        # From here on it is this object's, whatever interrupts.
        document = json.loads(copy_buffer(self._buffer[0]))
        items = tuple(from_document(self._item, item) for item in document["items"])
        change: Change[ItemT] = Change(document["kind"], items)
        self._change, self._told = change, self._buffer[0]
        lib.flv_buffer_free(self._told)
        return True

    async def _wait(self, handle: CData, seconds: float | None) -> None:
        """Waits until there is something to take, or the time is over."""
        try:
            await until_ready(self._backend, begin_to_wait(self._backend, lib.flv_watch_wait, handle, seconds))
        except ClosedError:
            # The next take says so.
            return

    def _over(self) -> bool:
        return self._closed or self._session.closed

    def _hand_over_close(self) -> None:
        """The caller leaves at once; the library ends the watch in the background."""
        if self.closed or self._handle is None:
            self._closed = True
            return
        self._closed = True
        self._close_later(self._handle)

    def _close_later(self, handle: CData) -> None:
        try:
            self._backend.completions.close_later(lib.flv_watch_close, handle)
        except FluvioError as failure:
            logger.debug("%r: %s", self, failure)

    def _second_reader(self) -> UsageError:
        return UsageError("this watch is being read already: one reads at a time")

    def __del__(self) -> None:
        buffer = getattr(self, "_buffer", None)
        if buffer is not None and not self._backend.forked:
            lib.flv_buffer_free(buffer[0])


publish(__name__)
