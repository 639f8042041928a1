# Made by tools/async_to_sync.py from fluvio_cffi/_async/observed_topics.py: change that, and run it.
"""A consumer of several topics that is watched, and its batches."""

from __future__ import annotations

from collections.abc import Mapping

from fluvio_cffi import _observing
from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._consume.batch import Cut, RecordBatch
from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._consume.topics import Topics
from fluvio_cffi._native.loader import CData
from fluvio_cffi._observing import ConsumerObserver
from fluvio_cffi._values.quantities import Timeout, ending, parse_timeout
from fluvio_cffi._values.records import K, Record, V

from .batches import Batches
from .observed_consumer import ObservedTracker
from .session import Session
from .topics_consumer import TopicsBatches, TopicsConsumer
from .topics_reading import next_records
from .tracker import Tracker


class ObservedTopicsConsumer(TopicsConsumer[K, V]):
    """A consumer of several topics that is watched: each call that reads or commits is told of."""

    def __init__(self, session: Session, handles: Mapping[str, CData], options: Mapping[str, ConsumerOptions]) -> None:
        super().__init__(session, handles, options)
        assert _observing.observer is not None
        consumer_id = self._topics.current.commits.consumer_id
        self._observer = _observing.observer.consumer(session.endpoint, [*handles], consumer_id)
        for each in self._topics.subscriptions.values():
            each.singly = True

    def __next__(self) -> Record[K, V]:
        """As of any consumer."""
        topics = self._topics
        while True:
            if not _next(self._backend, topics, None, self._observer):
                raise StopIteration
            try:
                for record in topics.current.records:
                    return record
            except Exception as error:
                topics.current.undecodable(error)

    def receive(self, timeout: Timeout = ...) -> Record[K, V]:
        """As of any consumer."""
        deadline = ending(parse_timeout(timeout, None))
        topics = self._topics
        topics.check_open()
        while True:
            if not _next(self._backend, topics, deadline, self._observer):
                raise topics.no_more()
            try:
                for record in topics.current.records:
                    return record
            except Exception as error:
                topics.current.undecodable(error)

    def commit(
        self,
        what: Record[K, V] | RecordBatch[K, V] | Mapping[str, Mapping[int, int]] | None = None,
        *,
        timeout: Timeout = ...,
    ) -> None:
        """As of any consumer."""
        with self._observer.committing(what):
            super().commit(what, timeout=timeout)

    def _new_batches(self, limit: int, wait: float | None) -> Batches[K, V]:
        return _Batches(self, self._backend, self._topics, limit, wait, self._observer)

    def _new_tracker(self, most: int) -> Tracker[K, V]:
        return ObservedTracker(self, self._backend, self._session, self._topics, most, self._observer)


def _next(backend: SyncBackend, topics: Topics, deadline: float | None, observer: ConsumerObserver) -> bool:
    """Waits for a record, and tells of it before it leaves; false at the end."""
    with observer.reading() as reading:
        found = next_records(backend, topics, deadline)
        current = topics.current
        following = current.following if found else None
        if following is not None:
            reading.received(following, current.value_codec)
        return found


class _Batches(TopicsBatches[K, V]):
    __slots__ = ("_observer",)

    def __init__(
        self,
        consumer: TopicsConsumer[K, V],
        backend: SyncBackend,
        topics: Topics,
        limit: int,
        wait: float | None,
        observer: ConsumerObserver,
    ) -> None:
        super().__init__(consumer, backend, topics, limit, wait)
        self._observer = observer

    def _next_of_all(self) -> tuple[Subscription, Cut] | None:
        with self._observer.reading() as reading:
            found = super()._next_of_all()
            if found is not None:
                reading.received(found[1].batch, found[0].value_codec)
            return found
