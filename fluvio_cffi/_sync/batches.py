# Made by tools/async_to_sync.py from fluvio_cffi/_async/batches.py: change that, and run it.
"""The batches of a consumer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._consume.batch import Cut, RecordBatch
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._errors import DecodeError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.records import K, V

from .decoding import decode_batch
from .reading import next_batch

BatchT = TypeVar("BatchT")


class BatchReader(Generic[BatchT]):
    """The batches of a consumer, in whatever form."""

    __slots__ = ("_backend", "_consumer", "_limit", "_subscription", "_wait")

    def __init__(
        self, consumer: object, backend: SyncBackend, subscription: Subscription, limit: int, wait: float | None
    ) -> None:
        # It stays open as long as it is read.
        self._consumer = consumer
        self._backend: SyncBackend = backend
        self._subscription: Subscription = subscription
        self._limit = limit
        self._wait = wait

    def __iter__(self) -> Iterator[BatchT]:
        self._subscription.check_open()
        return self

    def __next__(self) -> BatchT:
        subscription = self._subscription
        buffer = subscription.buffer
        while True:
            cut = self._next()
            if cut is None:
                raise StopIteration
            failure: DecodeError | None = None
            if subscription.decoding is not None:
                decoded = decode_batch(self._backend, subscription.decoding, buffer, cut)
                if decoded is None:
                    continue
                cut, failure = decoded
            group = subscription.group
            if group is not None and not group.allows(cut.parts):
                continue
            batch: BatchT | None = cut.batch if cut.parts and failure is None else None
            # One step, and no jump after it, where CPython 3.10 lets an interrupt come: what was held back, sought or
            # stopped meanwhile is not handed out.
            if buffer.state is cut.before and not subscription.stopped:
                buffer.state = cut.after
                if batch is not None:
                    return batch
                if failure is not None:
                    raise failure

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._consumer!r}>"

    def _next(self) -> Cut | None:
        return next_batch(self._backend, self._subscription, self._limit, self._wait)


class Batches(BatchReader[RecordBatch[K, V]], Generic[K, V]):
    """The batches of a consumer. Made by :meth:`Consumer.batches`. A loop goes on where the last one ended."""

    __slots__ = ()


publish(__name__)
