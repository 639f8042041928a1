"""Which partition a record goes to, where the caller or the caller's own partitioner says so. Where neither does, the
library decides."""

from __future__ import annotations

from typing import Any, cast

from fluvio_cffi._errors import ConfigError, PartitionNotFoundError
from fluvio_cffi._native.loader import CData, lib
from fluvio_cffi._produce.encode import as_bytes, check_partition
from fluvio_cffi._values.records import Partitioning, ProducerRecord, Record
from fluvio_cffi._values.times import Timestamp


class PartitionChooser:
    """Checks partitions, and asks the caller's own partitioner. Any thread.

    :ivar partitioner: the caller's own, if there is one.
    """

    __slots__ = ("_handle", "_topic", "partitioner")

    def __init__(self, handle: CData, topic: str, partitioner: Partitioning | None) -> None:
        self._handle = handle
        self._topic = topic
        self.partitioner = partitioner

    def partition(self, partition: int | None, key: bytes | None, value: bytes) -> int | None:
        """The partition for a record; ``None``: the library decides.

        :param partition: what the caller says.
        :raises PartitionNotFoundError: the topic has no such partition.
        """
        if partition is None and self.partitioner is not None:
            partition = self._ask(self.partitioner, key, value)
        if partition is not None:
            check_partition(partition)
            count = lib.flv_producer_partition_count(self._handle)
            if partition >= count:
                raise PartitionNotFoundError(
                    f'topic "{self._topic}" has no partition {partition}: it has {count}, numbered from 0',
                    topic=self._topic,
                    partition=partition,
                    outcome="not_written",
                )
        return partition

    def placed(self, element: object) -> object:
        """An element of ``send_all``'s input with the partition that the caller's own partitioner chooses. An element
        that is wrong stays as it is: it is refused later, with its index."""
        if self.partitioner is None:
            return element
        whole = element
        key: object = None
        value: object = element
        timestamp: Timestamp | None = None
        if isinstance(element, ProducerRecord):
            given: ProducerRecord[Any, Any] = element  # pyright: ignore[reportUnknownVariableType]
            if given.partition is not None:
                return whole
            key, value, timestamp = given.key, given.value, given.timestamp
        elif isinstance(element, Record):
            record: Record[Any, Any] = element  # pyright: ignore[reportUnknownVariableType]
            key, value = record.key, record.value
        elif isinstance(element, tuple):
            pair = cast("tuple[object, ...]", element)
            if len(pair) != 2:
                return whole
            key, value = pair
        try:
            key_bytes = None if key is None else as_bytes(key, "key")
            value_bytes = as_bytes(value, "value")
        except ConfigError:
            return whole
        partition = self._ask(self.partitioner, key_bytes, value_bytes)
        return ProducerRecord(value_bytes, key=key_bytes, partition=partition, timestamp=timestamp)

    def _ask(self, partitioner: Partitioning, key: bytes | None, value: bytes) -> int:
        return partitioner(key, value, lib.flv_producer_partition_count(self._handle))
