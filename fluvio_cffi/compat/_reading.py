"""Reading: what stands behind the iterators of the old package."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, cast

import fluvio_cffi
from fluvio_cffi import (
    Consumer,
    FluvioError,
    OffsetEvictedError,
    OffsetOutOfRangeError,
    SmartModuleNotFoundError,
    TopicsConsumer,
)

from ._bridge import excuse
from ._connection import Connection
from ._enums import Offset, OffsetManagementStrategy, native_offset
from ._errors import text_of

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
        chosen = {topic: partitions for topic, partitions in self.topics.items() if partitions}
        several = len(self.topics) > 1
        keywords: dict[str, Any] = {
            "topic": [*self.topics] if several else next(iter(self.topics)),
            "partitions": chosen if several else next(iter(chosen.values()), None),
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
    """Records that are read, as long as this is referred to.

    :ivar held: the record that :meth:`next` returned last, until the iterator that called it has let it go.
    :ivar seen: by partition, the offset of what was let go last. The iterator says so, in one step with that.
    """

    __slots__ = (
        "_connection",
        "_consumer",
        "_failure",
        "_marked",
        "_selection",
        "_strategy",
        "held",
        "seen",
    )

    def __init__(self, connection: Connection, selection: Selection) -> None:
        self._connection = connection
        self._selection = selection
        self._strategy = selection.strategy
        # ``None``: there is nothing to read.
        self._consumer: Consumer | TopicsConsumer | None = None
        # Why nothing could be opened of which the old package says so when it reads.
        self._failure: FluvioError | None = None
        self.held: fluvio_cffi.Record | None = None
        self.seen: dict[int, int] = {}
        # What of it is to be stored.
        self._marked: dict[int, int] = {}

    # -- opening

    def open(self) -> Reading:
        """Opens it. It may take a round trip for each topic."""
        try:
            if self._selection.topics:
                self._consumer = self._opened()
        except (OffsetOutOfRangeError, SmartModuleNotFoundError) as error:
            self._failure = error
        return self

    def _opened(self) -> Consumer | TopicsConsumer:
        selection, keywords = self._selection, self._selection.keywords()
        opened = cast("Callable[..., Consumer | TopicsConsumer]", self._connection.client.consumer)
        try:
            consumer = opened(**keywords)
        except OffsetEvictedError as error:
            if selection.absolute:
                raise
            _warn(f"{error}; reading goes on with what there is")
            consumer = opened(**keywords, on_evicted="skip")
        excuse(consumer)
        if selection.consumer_id is not None and isinstance(consumer, Consumer):
            self._move_from_stored(consumer, native_offset(selection.start))
        return consumer

    def _move_from_stored(self, consumer: Consumer, start: fluvio_cffi.Offset) -> None:
        """A distance counts from what is stored, where anything is."""
        if start.kind == "at" or start.value == 0:
            return
        distance = start.value if start.kind == "beginning" else -start.value
        bounds = self._connection.client.offsets(consumer.topic)
        stored = consumer.committed()
        for partition in stored.keys() & set(consumer.assignment):
            begin, end = bounds[partition]
            consumer.seek(partition, min(max(stored[partition] + 1 + distance, begin), end))

    # -- reading

    def next(self) -> fluvio_cffi.Record | None:
        """The next record; ``None`` at the end."""
        if self.held is not None:
            return self.held
        bridge, consumer = self._connection.bridge, self._consumer
        try:
            if self._failure is not None:
                raise self._failure
            if consumer is not None and (bridge.hold(consumer, self) or bridge.hold_now(consumer, self)):
                return self.held
        except FluvioError as error:
            self._failed(error)
        return None

    async def async_next(self) -> fluvio_cffi.Record | None:
        """The same, for tasks. One that is cancelled has taken nothing."""
        if self.held is not None:
            return self.held
        bridge, consumer = self._connection.bridge, self._consumer
        try:
            if self._failure is not None:
                raise self._failure
            if consumer is not None and (bridge.hold(consumer, self) or await bridge.hold_later(consumer, self)):
                return self.held
        except FluvioError as error:
            self._failed(error)
        return None

    def _failed(self, error: FluvioError) -> None:
        """The old package ends silently where an offset lies beyond the log that it was reading."""
        if isinstance(error, OffsetOutOfRangeError) and (self.seen or self._selection.stop_at_end):
            _warn(f"reading ended, as in the package fluvio, which says nothing of it: {error}")
            return
        raise Exception(text_of(error)) from error

    def close(self) -> None:
        """Nothing more is handed out, and the consumers are given up."""
        self._consumer = self.held = None

    # -- stored offsets

    def offset_commit(self) -> None:
        """What was handed out until now is to be stored by the next :meth:`offset_flush`."""
        self._check_strategy()
        self._marked = self.seen.copy()

    def offset_flush(self) -> None:
        """Stores what was marked; with ``AUTO`` all that was handed out."""
        self._check_strategy()
        consumer = self._consumer
        if not isinstance(consumer, Consumer):
            return
        try:
            if self._strategy == OffsetManagementStrategy.MANUAL:
                consumer.commit(self._marked)
                self._marked = {}
            else:
                consumer.commit(None if self.held is None else self.seen)
        except FluvioError as error:
            raise Exception(text_of(error)) from error

    def _check_strategy(self) -> None:
        if self._strategy == OffsetManagementStrategy.NONE:
            raise Exception(_DISABLED)

    def __del__(self) -> None:
        # Of what was handed out nobody will say any more whether it is processed.
        consumer = getattr(self, "_consumer", None)
        if consumer is None or self._strategy != OffsetManagementStrategy.AUTO or self._connection.bridge.forked:
            return
        if self.held is None:
            _count_as_processed(consumer)
        consumer.__exit__(GeneratorExit, GeneratorExit(), None)


def _count_as_processed(consumer: Consumer | TopicsConsumer) -> None:
    """The next read begins, so all that was handed out is processed; it is stored as the consumer is left."""
    with suppress(FluvioError):
        consumer.receive(timeout=0)


def _warn(what: str) -> None:
    warnings.warn(what, RuntimeWarning, stacklevel=_FRAMES)
