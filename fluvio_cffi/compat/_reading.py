"""Reading: what stands behind the iterators of the old package."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import fluvio_cffi
from fluvio_cffi import Consumer, FluvioError, OffsetEvictedError, OffsetOutOfRangeError, SmartModuleNotFoundError

from ._bridge import excuse
from ._connection import Connection
from ._enums import Offset, OffsetManagementStrategy, native_offset
from ._errors import text_of
from ._several import Several

_DISABLED: Final = "the offset management is disabled for the stream"
_FRAMES: Final = 5


@dataclass(frozen=True)
class Selection:
    """What is read, and how.

    :ivar topics: their partitions; none: all.
    """

    topics: Mapping[str, tuple[int, ...]]
    start: Offset
    stop_at_end: bool = False
    consumer_id: str | None = None
    strategy: OffsetManagementStrategy = OffsetManagementStrategy.NONE
    max_bytes: int | None = None
    smartmodules: Sequence[fluvio_cffi.SmartModule] = ()

    @property
    def absolute(self) -> bool:
        """Whether it begins there whatever is stored."""
        return native_offset(self.start).kind == "at"

    def keywords(self) -> dict[str, Any]:
        """The arguments of :meth:`fluvio_cffi.Fluvio.consumer`."""
        keywords: dict[str, Any] = {
            "start": native_offset(self.start),
            "stop_at_end": self.stop_at_end,
            "smartmodules": self.smartmodules,
        }
        if self.consumer_id is not None:
            auto = self.strategy == OffsetManagementStrategy.AUTO
            keywords |= {"consumer_id": self.consumer_id, "commit": "auto" if auto else "manual"}
            keywords["resume"] = not self.absolute
        if self.max_bytes is not None:
            keywords["max_bytes"] = max(self.max_bytes, 1)
        return keywords


class Reading:
    """Records that are read, as long as this is referred to."""

    __slots__ = (
        "_begun",
        "_connection",
        "_consumers",
        "_failure",
        "_manual",
        "_marked",
        "_seen",
        "_selection",
        "_several",
        "_strategy",
    )

    def __init__(self, connection: Connection, selection: Selection) -> None:
        self._connection = connection
        self._selection = selection
        self._strategy = selection.strategy
        self._manual = selection.strategy == OffsetManagementStrategy.MANUAL
        self._consumers: list[Consumer] = []
        self._several: Several | None = None
        # Why nothing could be opened of which the old package says so when it reads.
        self._failure: FluvioError | None = None
        self._begun = False
        # With offsets that are stored when asked: what was handed out, and what of it is to be stored.
        self._seen: dict[int, int] = {}
        self._marked: dict[int, int] = {}

    # -- opening

    def open(self) -> Reading:
        """Opens it. It may take a round trip for each topic."""
        try:
            for topic, partitions in self._selection.topics.items():
                self._consumers.append(self._opened(topic, partitions))
        except (OffsetOutOfRangeError, SmartModuleNotFoundError) as error:
            self._failure = error
        if len(self._selection.topics) != 1:
            self._several = Several(self._connection.bridge, self._consumers)
        return self

    def _opened(self, topic: str, partitions: tuple[int, ...]) -> Consumer:
        selection = self._selection
        keywords = selection.keywords()
        if partitions:
            keywords["partitions"] = partitions
        client = self._connection.client
        try:
            consumer = client.consumer(topic, **keywords)
        except OffsetEvictedError as error:
            if selection.absolute:
                raise
            _warn(f"{error}; reading goes on with what there is")
            consumer = client.consumer(topic, **keywords, on_evicted="skip")
        excuse(consumer)
        if selection.consumer_id is not None:
            _move_from_stored(consumer, native_offset(selection.start))
        return consumer

    # -- reading

    def next(self) -> fluvio_cffi.Record | None:
        """The next record; ``None`` at the end."""
        try:
            if self._failure is not None:
                raise self._failure
            several = self._several
            record = next(self._consumers[0], None) if several is None else several.next()
        except FluvioError as error:
            self._failed(error)
            return None
        if record is not None:
            self._handed_out(record)
        return record

    async def async_next(self) -> fluvio_cffi.Record | None:
        """The same, for tasks. One that is cancelled has taken nothing."""
        try:
            if self._failure is not None:
                raise self._failure
            if self._several is not None:
                record = await self._several.async_next()
            else:
                bridge, consumer = self._connection.bridge, self._consumers[0]
                record = bridge.ready_record(consumer) or await bridge.next_record(consumer)
        except FluvioError as error:
            self._failed(error)
            return None
        if record is not None:
            self._handed_out(record)
        return record

    def _handed_out(self, record: fluvio_cffi.Record) -> None:
        self._begun = True
        if self._manual:
            self._seen[record.partition] = record.offset

    def _failed(self, error: FluvioError) -> None:
        """The old package ends silently where an offset lies beyond the log that it was reading."""
        if isinstance(error, OffsetOutOfRangeError) and (self._begun or self._selection.stop_at_end):
            _warn(f"reading ended, as in the package fluvio, which says nothing of it: {error}")
            return
        raise Exception(text_of(error)) from error

    # -- stored offsets

    def offset_commit(self) -> None:
        """What was handed out until now is to be stored by the next :meth:`offset_flush`."""
        self._check_strategy()
        self._marked = self._seen.copy()

    def offset_flush(self) -> None:
        """Stores what was marked; with ``AUTO`` all that was handed out."""
        self._check_strategy()
        consumer = self._consumers[0]
        try:
            if self._strategy == OffsetManagementStrategy.AUTO:
                consumer.commit()
            elif self._marked:
                consumer.commit(self._marked)
                self._marked = {}
        except FluvioError as error:
            raise Exception(text_of(error)) from error

    def _check_strategy(self) -> None:
        if self._strategy == OffsetManagementStrategy.NONE:
            raise Exception(_DISABLED)

    def __del__(self) -> None:
        # Of what was handed out nobody will say any more whether it is processed.
        if getattr(self, "_strategy", None) == OffsetManagementStrategy.AUTO and not self._connection.bridge.forked:
            for consumer in self._consumers:
                _count_as_processed(consumer)


def _move_from_stored(consumer: Consumer, start: fluvio_cffi.Offset) -> None:
    """A distance counts from what is stored, where anything is."""
    if start.kind == "at" or start.value == 0:
        return
    distance = start.value if start.kind == "beginning" else -start.value
    for partition, offset in consumer.committed().items():
        if partition in consumer.assignment:
            consumer.seek(partition, max(offset + 1 + distance, 0))


def _count_as_processed(consumer: Consumer) -> None:
    """The next read begins, so all that was handed out is processed; it is stored as the consumer is left."""
    with suppress(FluvioError):
        consumer.receive(timeout=0)
    consumer.__exit__(GeneratorExit, GeneratorExit(), None)


def _warn(what: str) -> None:
    warnings.warn(what, RuntimeWarning, stacklevel=_FRAMES)
