"""A consumer of Arrow data that is watched, and its batches."""

from __future__ import annotations

from collections.abc import Mapping

from fluvio_cffi import _observing
from fluvio_cffi._consume.arrow import ArrowBatch
from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._native.loader import CData
from fluvio_cffi._values.quantities import Timeout

from .arrow import AsyncArrowBatches, AsyncArrowConsumer
from .observed_consumer import AsyncObservedReader
from .session import AsyncSession


class AsyncObservedArrowConsumer(AsyncArrowConsumer):
    """A consumer of Arrow data that is watched: each call that reads or commits is told of."""

    def __init__(self, session: AsyncSession, handle: CData, topic: str, options: ConsumerOptions) -> None:
        super().__init__(session, handle, topic, options)
        assert _observing.observer is not None
        commits = self._subscription.commits
        self._observer = _observing.observer.consumer(session.endpoint, [topic], commits.group or commits.consumer_id)

    async def commit(
        self,
        what: ArrowBatch | Mapping[int, int] | None = None,
        *,
        timeout: Timeout = ...,
    ) -> None:
        """As of any consumer."""
        with self._observer.committing(what):
            await super().commit(what, timeout=timeout)

    def _new_batches(self, limit: int, wait: float | None) -> AsyncArrowBatches:
        return _Batches(self, self._backend, self._subscription, limit, wait, self._observer)


class _Batches(AsyncObservedReader[ArrowBatch], AsyncArrowBatches):
    __slots__ = ()
