"""A producer that is watched."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable

from fluvio_cffi import _observing
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.loader import CData
from fluvio_cffi._produce.arrow import ArrowData
from fluvio_cffi._produce.delivery import SendResult
from fluvio_cffi._produce.encoding import Encoding
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._produce.receipt import outcome_of
from fluvio_cffi._values.quantities import Timeout
from fluvio_cffi._values.records import KeyIn, ProducerRecord, Record, ValueIn
from fluvio_cffi._values.times import Timestamp

from .producer import AsyncProducer
from .receipt import AsyncReceipt
from .session import AsyncSession


class AsyncObservedProducer(AsyncProducer[KeyIn, ValueIn]):
    """A producer that is watched: each call that sends is told of."""

    def __init__(
        self,
        session: AsyncSession,
        handle: CData,
        topic: str,
        options: ProducerOptions,
        encoding: Encoding | None = None,
    ) -> None:
        super().__init__(session, handle, topic, options, encoding)
        assert _observing.observer is not None
        self._observer = _observing.observer.producer(session.endpoint, topic)

    async def send(
        self,
        value: ValueIn,
        *,
        key: KeyIn | None = None,
        partition: int | None = None,
        timestamp: Timestamp | None = None,
        timeout: Timeout = ...,
    ) -> RecordMetadata:
        """As of any producer."""
        with self._observer.sending() as sending:
            metadata = await super().send(value, key=key, partition=partition, timestamp=timestamp, timeout=timeout)
            sending.acknowledged(metadata)
        return metadata

    async def enqueue(
        self,
        value: ValueIn,
        *,
        key: KeyIn | None = None,
        partition: int | None = None,
        timestamp: Timestamp | None = None,
        timeout: Timeout = ...,
    ) -> AsyncReceipt:
        """As of any producer."""
        with self._observer.sending() as sending:
            receipt = await super().enqueue(value, key=key, partition=partition, timestamp=timestamp, timeout=timeout)
            settled = sending.goes_on()
        receipt.add_done_callback(lambda done: settled(outcome_of(done)))
        return receipt

    async def send_all(
        self,
        records: Iterable[
            ValueIn | tuple[KeyIn | None, ValueIn] | ProducerRecord[KeyIn, ValueIn] | Record[KeyIn, ValueIn]
        ]
        | AsyncIterable[
            ValueIn | tuple[KeyIn | None, ValueIn] | ProducerRecord[KeyIn, ValueIn] | Record[KeyIn, ValueIn]
        ],
        *,
        timeout: Timeout = ...,
    ) -> SendResult:
        """As of any producer."""
        with self._observer.sending(batch=True) as sending:
            result = await super().send_all(records, timeout=timeout)
            sending.all_acknowledged(result)
        return result

    async def send_arrow(
        self,
        data: ArrowData,
        *,
        value: str = "value",
        key: str | None = None,
        partition: str | None = None,
        timestamp: str | None = None,
        timeout: Timeout = ...,
    ) -> SendResult:
        """As of any producer."""
        with self._observer.sending(batch=True) as sending:
            result = await super().send_arrow(
                data, value=value, key=key, partition=partition, timestamp=timestamp, timeout=timeout
            )
            sending.all_acknowledged(result)
        return result
