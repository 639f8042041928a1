"""Producing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fluvio_cffi import Delivery, Partitioner, Producer, Receipt
from fluvio_cffi import Isolation as NativeIsolation

from ._arguments import U32, U64, Octets, integer, octets, one_of
from ._bridge import excuse
from ._connection import Connection
from ._enums import CODECS, Compression, DeliverySemantic, Isolation
from ._errors import translated
from ._wrapper import Wrapper
from .record import RecordMetadata

_MIB = 1 << 20
_LARGEST_REQUEST = 32 * _MIB
_LONGEST_LINGER = 60_000
_DELIVERY_SECONDS = 30.0
_LONGEST_DELIVERY = 7 * 86_400.0
_BATCH = 16_384

_ISOLATIONS: dict[Isolation, NativeIsolation] = {
    Isolation.ReadCommitted: "read_committed",
    Isolation.ReadUncommitted: "read_uncommitted",
}
_DELIVERIES: dict[DeliverySemantic, Delivery] = {
    DeliverySemantic.AtMostOnce: "at_most_once",
    DeliverySemantic.AtLeastOnce: "at_least_once",
}


@dataclass(frozen=True)
class _Settings:
    """How to produce, in the old package's units."""

    batch_size: int | None = None
    max_request_size: int | None = None
    batch_queue_size: int | None = None
    linger: int | None = None
    partition: int | None = None
    compression: Compression | None = None
    timeout: int | None = None
    isolation: Isolation | None = None
    delivery: DeliverySemantic | None = None

    def keywords(self) -> dict[str, Any]:
        """The arguments of :meth:`fluvio_cffi.Fluvio.producer`. What this library has no such limit for, or a lower one
        than the old package, is what it has at most."""
        keywords: dict[str, Any] = {}
        if self.batch_size is not None:
            keywords["batch_size"] = min(max(self.batch_size, 1), _LARGEST_REQUEST)
        request = _MIB
        if self.max_request_size is not None:
            request = keywords["max_request_size"] = min(max(self.max_request_size, 1024), _LARGEST_REQUEST)
        if self.batch_queue_size is not None:
            size = self.batch_queue_size * keywords.get("batch_size", _BATCH)
            keywords["buffer_size"] = min(max(size, request, _MIB), 1 << 40)
        elif request > _MIB:
            keywords["buffer_size"] = max(request, _LARGEST_REQUEST)
        if self.linger is not None:
            keywords["linger"] = min(self.linger, _LONGEST_LINGER) / 1000
        if self.partition is not None:
            keywords["partitioner"] = Partitioner.fixed(self.partition)
        if self.compression is not None:
            keywords["compression"] = CODECS[self.compression]
        if self.timeout is not None:
            keywords["delivery_timeout"] = min(max(self.timeout / 1000, _DELIVERY_SECONDS), _LONGEST_DELIVERY)
        if self.isolation is not None:
            keywords["isolation"] = _ISOLATIONS[self.isolation]
        if self.delivery is not None:
            keywords["delivery"] = _DELIVERIES[self.delivery]
        return keywords


class TopicProducerConfig:
    """How to produce. Made by :class:`TopicProducerConfigBuilder`."""

    __slots__ = ("_settings",)

    _settings: _Settings

    def __init__(self) -> None:
        raise TypeError("No constructor defined for TopicProducerConfig")


def keywords_of(config: TopicProducerConfig) -> dict[str, Any]:
    """The arguments of :meth:`fluvio_cffi.Fluvio.producer`."""
    found = one_of(config, "config", TopicProducerConfig)
    return found._settings.keywords()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class TopicProducerConfigBuilder:
    """How to produce, step by step: each method changes this builder, and returns a copy of it."""

    __slots__ = ("_settings",)

    def __init__(self) -> None:
        self._settings = _Settings()

    def batch_size(self, batch_size: int) -> TopicProducerConfigBuilder:
        """Bytes at which a batch is complete."""
        return self._with(batch_size=integer(batch_size, "batch_size", U64))

    def max_request_size(self, max_request_size: int) -> TopicProducerConfigBuilder:
        """Bytes of one request, and so of one record, at most; 32 MiB is the most."""
        return self._with(max_request_size=integer(max_request_size, "max_request_size", U64))

    def batch_queue_size(self, batch_queue_size: int) -> TopicProducerConfigBuilder:
        """How many batches may wait; here: that many times the batch size, of all partitions together."""
        return self._with(batch_queue_size=integer(batch_queue_size, "batch_queue_size", U64))

    def linger(self, linger: int) -> TopicProducerConfigBuilder:
        """Milliseconds that a batch waits for more records."""
        return self._with(linger=integer(linger, "linger", U64))

    def set_specific_partitioner(self, partitioner: int) -> TopicProducerConfigBuilder:
        """The partition that all records go to."""
        return self._with(partition=integer(partitioner, "partitioner", U32))

    def compression(self, compression: Compression) -> TopicProducerConfigBuilder:
        """How batches are compressed."""
        return self._with(compression=one_of(compression, "compression", Compression))

    def timeout(self, timeout: int) -> TopicProducerConfigBuilder:
        """Milliseconds that the server may take; a record that is not acknowledged within that time, or 30 s if that is
        longer, has failed."""
        return self._with(timeout=integer(timeout, "timeout", U64))

    def isolation(self, isolation: Isolation) -> TopicProducerConfigBuilder:
        """When a record counts as written."""
        return self._with(isolation=one_of(isolation, "isolation", Isolation))

    def delivery_semantic(self, semantics: DeliverySemantic) -> TopicProducerConfigBuilder:
        """Whether a batch may be sent again."""
        return self._with(delivery=one_of(semantics, "semantics", DeliverySemantic))

    def build(self) -> TopicProducerConfig:
        """What :meth:`Fluvio.topic_producer_with_config` takes."""
        config = object.__new__(TopicProducerConfig)
        config._settings = self._settings  # pyright: ignore[reportPrivateUsage]
        return config

    def _with(self, **changes: Any) -> TopicProducerConfigBuilder:
        self._settings = replace(self._settings, **changes)
        copy = TopicProducerConfigBuilder()
        copy._settings = self._settings
        return copy


class Producing:
    """A producer that is open as long as a :class:`TopicProducer`, or what became of a record of it, is referred to."""

    __slots__ = ("connection", "producer")

    def __init__(self, connection: Connection, producer: Producer) -> None:
        self.connection: Connection = connection
        self.producer: Producer = producer
        excuse(producer)

    def __del__(self) -> None:
        if hasattr(self, "producer"):
            self.connection.bridge.close_later(self.producer)


class ProduceOutput:
    """Stands for a record that was accepted."""

    __slots__ = ("_inner",)

    _inner: tuple[Receipt, Producing] | None

    def __init__(self, inner: tuple[Receipt, Producing]) -> None:
        self._inner = inner

    def wait(self) -> RecordMetadata | None:
        """Where the record is, once it is acknowledged. It says so once; then ``None``.

        :raises FluviorError: why it was not delivered.
        """
        taken, self._inner = self._inner, None
        if taken is None:
            return None
        with translated:
            return RecordMetadata(taken[0].wait())

    async def async_wait(self) -> RecordMetadata | None:
        """The same, for tasks."""
        taken, self._inner = self._inner, None
        if taken is None:
            return None
        receipt, producing = taken
        with translated:
            return RecordMetadata(await producing.connection.bridge.settled(receipt))


class TopicProducer(Wrapper[Producing]):
    """Sends records to a topic. They are accepted at once; :meth:`flush`, or what is returned, tells that they are
    written."""

    __slots__ = ()

    def send_string(self, buf: str) -> ProduceOutput:
        """Sends text, with an empty key: so all of it goes to one partition."""
        return self.send(b"", buf.encode("utf-8"))

    async def async_send_string(self, buf: str) -> ProduceOutput:
        """The same, for tasks."""
        return await self.async_send(b"", buf.encode("utf-8"))

    def send(self, key: Octets, value: Octets) -> ProduceOutput:
        """Sends a record; waits only while the buffer is full.

        :param key: its key, which says its partition; one that is empty is a key, too.
        :param value: its value.
        :raises FluviorError: it was not accepted.
        """
        key, value = octets(key, "key"), octets(value, "value")
        inner = self._inner
        with translated:
            return ProduceOutput((inner.producer.enqueue(value, key=key), inner))

    async def async_send(self, key: Octets, value: Octets) -> ProduceOutput:
        """The same, for tasks. One that is cancelled while it waits has sent nothing."""
        key, value = octets(key, "key"), octets(value, "value")
        inner = self._inner
        with translated:
            return ProduceOutput((await inner.connection.bridge.enqueue(inner.producer, key, value), inner))

    def flush(self) -> None:
        """Waits until everything that was accepted is written.

        :raises FluviorError: something was not, and nobody has heard of it.
        """
        with translated:
            self._inner.producer.flush()

    async def async_flush(self) -> None:
        """The same, for tasks."""
        with translated:
            await self._inner.connection.bridge.flush(self._inner.producer)

    def send_all(self, records: Iterable[tuple[Octets, Octets]]) -> list[ProduceOutput]:
        """Sends records; waits only while the buffer is full.

        :param records: keys and values.
        """
        inner = self._inner
        pairs = [(octets(key, "key"), octets(value, "value")) for key, value in records]
        with translated:
            receipts = inner.connection.bridge.enqueue_all(inner.producer, pairs)
        return [ProduceOutput((receipt, inner)) for receipt in receipts]

    async def async_send_all(self, records: Iterable[tuple[Octets, Octets]]) -> list[ProduceOutput]:
        """The same, for tasks."""
        inner = self._inner
        pairs = [(octets(key, "key"), octets(value, "value")) for key, value in records]
        with translated:
            receipts = await inner.connection.bridge.enqueue_all_later(inner.producer, pairs)
        return [ProduceOutput((receipt, inner)) for receipt in receipts]
