"""A consumer that is watched, its batches and its tracker."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Generic

from fluvio_cffi import _observing
from fluvio_cffi._backends.base import AsyncBackend
from fluvio_cffi._consume.batch import Cut, RecordBatch
from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._consume.topics import Topics
from fluvio_cffi._native.loader import CData
from fluvio_cffi._observing import ConsumerObserver
from fluvio_cffi._values.quantities import Timeout, ending, parse_timeout
from fluvio_cffi._values.records import K, Record, V

from .batches import AsyncBatches, AsyncBatchReader, BatchT
from .consumer import AsyncConsumer
from .reading import next_records
from .session import AsyncSession
from .tracker import AsyncTracker


class AsyncObservedConsumer(AsyncConsumer[K, V]):
    """A consumer that is watched: each call that reads or commits is told of."""

    def __init__(self, session: AsyncSession, handle: CData, topic: str, options: ConsumerOptions) -> None:
        super().__init__(session, handle, topic, options)
        assert _observing.observer is not None
        commits = self._subscription.commits
        self._observer = _observing.observer.consumer(session.endpoint, [topic], commits.group or commits.consumer_id)
        self._subscription.singly = True

    async def __anext__(self) -> Record[K, V]:
        """As of any consumer."""
        subscription = self._subscription
        while True:
            if not await _next(self._backend, subscription, None, self._observer):
                raise StopAsyncIteration
            try:
                for record in subscription.records:
                    return record
            except Exception as error:
                subscription.undecodable(error)

    async def receive(self, timeout: Timeout = ...) -> Record[K, V]:
        """As of any consumer."""
        deadline = ending(parse_timeout(timeout, None))
        subscription = self._subscription
        subscription.check_open()
        while True:
            if not await _next(self._backend, subscription, deadline, self._observer):
                raise subscription.no_more()
            try:
                for record in subscription.records:
                    return record
            except Exception as error:
                subscription.undecodable(error)

    async def commit(
        self,
        what: Record[K, V] | RecordBatch[K, V] | Mapping[int, int] | None = None,
        *,
        timeout: Timeout = ...,
    ) -> None:
        """As of any consumer."""
        with self._observer.committing(what):
            await super().commit(what, timeout=timeout)

    def _new_batches(self, limit: int, wait: float | None) -> AsyncBatches[K, V]:
        return AsyncObservedBatches(self, self._backend, self._subscription, limit, wait, self._observer)

    def _new_tracker(self, most: int) -> AsyncTracker[K, V]:
        return AsyncObservedTracker(self, self._backend, self._session, self._subscription, most, self._observer)


async def _next(
    backend: AsyncBackend, subscription: Subscription, deadline: float | None, observer: ConsumerObserver
) -> bool:
    """Waits for a record, and tells of it before it leaves; false at the end."""
    with observer.reading() as reading:
        found = await next_records(backend, subscription, deadline)
        following = subscription.following if found else None
        if following is not None:
            reading.received(following, subscription.value_codec)
        return found


class AsyncObservedReader(AsyncBatchReader[BatchT]):
    """Batches of a consumer that is watched, in whatever form."""

    __slots__ = ("_observer",)

    def __init__(
        self,
        consumer: object,
        backend: AsyncBackend,
        subscription: Subscription,
        limit: int,
        wait: float | None,
        observer: ConsumerObserver,
    ) -> None:
        super().__init__(consumer, backend, subscription, limit, wait)
        self._observer = observer

    async def _next(self) -> Cut | None:
        with self._observer.reading() as reading:
            cut = await super()._next()
            if cut is not None:
                reading.received(cut.batch, self._subscription.value_codec)
            return cut


class AsyncObservedBatches(AsyncObservedReader[RecordBatch[K, V]], AsyncBatches[K, V]):
    """Batches of a consumer of records that is watched."""

    __slots__ = ()


class AsyncObservedTracker(AsyncTracker[K, V]):
    """The tracker of a consumer that is watched."""

    def __init__(
        self,
        consumer: object,
        backend: AsyncBackend,
        session: AsyncSession,
        reader: Subscription | Topics,
        max_in_hand: int,
        observer: ConsumerObserver,
    ) -> None:
        super().__init__(consumer, backend, session, reader, max_in_hand)
        self._observer = observer

    async def _next(self, deadline: float | None) -> Record[K, V] | None:
        with self._observer.reading() as reading:
            record = await super()._next(deadline)
            if record is not None:
                reading.received(record, None)
            return record

    def processing(self, record: Record[K, V]) -> AbstractContextManager[Record[K, V]]:
        """As of any tracker."""
        return _ObservedProcessing(super().processing(record), self._observer.processing(record))

    async def commit(self, timeout: Timeout = ...) -> None:
        """As of any tracker."""
        with self._observer.committing(None):
            await super().commit(timeout)


class _ObservedProcessing(AbstractContextManager[Record[K, V]], Generic[K, V]):
    """Two blocks in one: the inner one tells the tracker what has become of the record."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, inner: AbstractContextManager[Record[K, V]], outer: AbstractContextManager[object]) -> None:
        self._inner = inner
        self._outer = outer

    def __enter__(self) -> Record[K, V]:
        self._outer.__enter__()
        return self._inner.__enter__()

    def __exit__(self, *error: Any) -> None:
        try:
            self._inner.__exit__(*error)
        finally:
            self._outer.__exit__(*error)
