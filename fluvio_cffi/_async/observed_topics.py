"""A consumer of several topics that is watched, and its batches."""

from __future__ import annotations

from collections.abc import Mapping

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

from .batches import AsyncBatches
from .observed_consumer import AsyncObservedTracker
from .session import AsyncSession
from .topics_consumer import AsyncTopicsBatches, AsyncTopicsConsumer
from .topics_reading import next_records
from .tracker import AsyncTracker


class AsyncObservedTopicsConsumer(AsyncTopicsConsumer[K, V]):
    """A consumer of several topics that is watched: each call that reads or commits is told of."""

    def __init__(
        self, session: AsyncSession, handles: Mapping[str, CData], options: Mapping[str, ConsumerOptions]
    ) -> None:
        super().__init__(session, handles, options)
        assert _observing.observer is not None
        consumer_id = self._topics.current.commits.consumer_id
        self._observer = _observing.observer.consumer(session.endpoint, [*handles], consumer_id)
        for each in self._topics.subscriptions.values():
            each.singly = True

    async def __anext__(self) -> Record[K, V]:
        """As of any consumer."""
        topics = self._topics
        while True:
            if not await _next(self._backend, topics, None, self._observer):
                raise StopAsyncIteration
            try:
                for record in topics.current.records:
                    return record
            except Exception as error:
                topics.current.undecodable(error)

    async def receive(self, timeout: Timeout = ...) -> Record[K, V]:
        """As of any consumer."""
        deadline = ending(parse_timeout(timeout, None))
        topics = self._topics
        topics.check_open()
        while True:
            if not await _next(self._backend, topics, deadline, self._observer):
                raise topics.no_more()
            try:
                for record in topics.current.records:
                    return record
            except Exception as error:
                topics.current.undecodable(error)

    async def commit(
        self,
        what: Record[K, V] | RecordBatch[K, V] | Mapping[str, Mapping[int, int]] | None = None,
        *,
        timeout: Timeout = ...,
    ) -> None:
        """As of any consumer."""
        with self._observer.committing(what):
            await super().commit(what, timeout=timeout)

    def _new_batches(self, limit: int, wait: float | None) -> AsyncBatches[K, V]:
        return _Batches(self, self._backend, self._topics, limit, wait, self._observer)

    def _new_tracker(self, most: int) -> AsyncTracker[K, V]:
        return AsyncObservedTracker(self, self._backend, self._session, self._topics, most, self._observer)


async def _next(backend: AsyncBackend, topics: Topics, deadline: float | None, observer: ConsumerObserver) -> bool:
    """Waits for a record, and tells of it before it leaves; false at the end."""
    with observer.reading() as reading:
        found = await next_records(backend, topics, deadline)
        current = topics.current
        following = current.following if found else None
        if following is not None:
            reading.received(following, current.value_codec)
        return found


class _Batches(AsyncTopicsBatches[K, V]):
    __slots__ = ("_observer",)

    def __init__(
        self,
        consumer: AsyncTopicsConsumer[K, V],
        backend: AsyncBackend,
        topics: Topics,
        limit: int,
        wait: float | None,
        observer: ConsumerObserver,
    ) -> None:
        super().__init__(consumer, backend, topics, limit, wait)
        self._observer = observer

    async def _next_of_all(self) -> tuple[Subscription, Cut] | None:
        with self._observer.reading() as reading:
            found = await super()._next_of_all()
            if found is not None:
                reading.received(found[1].batch, found[0].value_codec)
            return found
