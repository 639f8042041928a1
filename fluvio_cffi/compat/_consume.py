"""Consuming."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import fluvio_cffi

from ._arguments import I32, U32, Octets, integer, octets, one_of
from ._bridge import in_thread
from ._connection import Connection
from ._enums import KINDS, Offset, OffsetManagementStrategy, SmartModuleKind
from ._errors import FluviorError, translated
from ._reading import Reading, Selection
from ._wrapper import Wrapper
from .record import Record


class ConsumerConfig:
    """How a partition's records are read."""

    __slots__ = ("_smartmodules", "_stop_at_end")

    def __init__(self) -> None:
        self._stop_at_end = False
        self._smartmodules: list[fluvio_cffi.SmartModule] = []

    def disable_continuous(self, val: bool = True) -> None:
        """End where the log ends when reading begins."""
        self._stop_at_end = val

    def smartmodule(
        self,
        name: str | None = None,
        path: str | None = None,
        kind: SmartModuleKind | None = None,
        params: Mapping[str, str] | None = None,
        aggregate: Octets | None = None,
    ) -> None:
        """Has one more SmartModule run on what is read, after those before.

        :param name: as what it is stored in the cluster.
        :param path: a file with its code. Either `name` or `path` is given.
        :param kind: what it is; need not be said.
        :param params: its parameters.
        :param aggregate: the first value of an aggregate.
        :raises FluviorError: the file cannot be read.
        """
        native = None if kind is None else KINDS[SmartModuleKind(kind.value)]
        if path is None and name is None:
            raise Exception("Require either a path or a name for a smartmodule.")
        if path is not None and name is not None:
            raise Exception("Only specify one of path or name not both.")
        given = {} if params is None else {key: one_of(params[key], "param_values", str) for key in params}
        with translated:
            self._smartmodules.append(
                fluvio_cffi.SmartModule(
                    name,
                    wasm=None if path is None else _code(path),
                    params=given,
                    kind=native,
                    initial=None if aggregate is None else octets(aggregate, "aggregate_accumulator"),
                )
            )

    def _selection(self, topics: Mapping[str, tuple[int, ...]], start: Offset) -> Selection:
        start = one_of(start, "offset", Offset)
        return Selection(topics, start, self._stop_at_end, smartmodules=tuple(self._smartmodules))


def _code(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise FluviorError(f"IO Error: {error.strerror} (os error {error.errno})") from error


class ConsumerConfigExt:
    """How a topic is read. Made by :class:`ConsumerConfigExtBuilder`."""

    __slots__ = ("_selection",)

    _selection: Selection

    def __init__(self) -> None:
        raise TypeError("No constructor defined for ConsumerConfigExt")


def selection_of(config: ConsumerConfigExt) -> Selection:
    """What a configuration says."""
    return one_of(config, "config", ConsumerConfigExt)._selection  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class ConsumerConfigExtBuilder:
    """How a topic is read, step by step: from its beginning, all of its partitions, without an end, unless it is said
    otherwise."""

    __slots__ = ("_selection", "_topic")

    def __init__(self, topic: str) -> None:
        self._topic = one_of(topic, "topic", str)
        self._selection = Selection({self._topic: ()}, Offset.beginning())

    def disable_continuous(self, val: bool = True) -> None:
        """End where the logs end when reading begins."""
        self._change(stop_at_end=one_of(val, "val", bool))

    def max_bytes(self, max_bytes: int) -> None:
        """Bytes of one reply of the server, at most. Records that are larger are read all the same."""
        self._change(max_bytes=integer(max_bytes, "max_bytes", I32, -I32 - 1))

    def offset_start(self, offset: Offset) -> None:
        """Where to begin. One that is not absolute counts from what is stored under the consumer's id."""
        self._change(start=one_of(offset, "offset", Offset))

    def offset_consumer(self, id: str) -> None:
        """Under which id it is stored how far the consumer has come."""
        self._change(consumer_id=one_of(id, "id", str))

    def offset_strategy(self, strategy: OffsetManagementStrategy = OffsetManagementStrategy.AUTO) -> None:
        """How that is stored."""
        self._change(strategy=one_of(strategy, "strategy", OffsetManagementStrategy))

    def partition(self, partition: int) -> None:
        """One more partition to read, instead of all."""
        chosen = self._selection.topics[self._topic]
        self._change(topics={self._topic: (*chosen, integer(partition, "partition", U32))})

    def topic(self, topic: str) -> None:
        """Another topic."""
        chosen = self._selection.topics[self._topic]
        self._topic = one_of(topic, "topic", str)
        self._change(topics={self._topic: chosen})

    def build(self) -> ConsumerConfigExt:
        """What :meth:`Fluvio.consumer_with_config` takes."""
        config = object.__new__(ConsumerConfigExt)
        config._selection = self._selection  # pyright: ignore[reportPrivateUsage]
        return config

    def _change(self, **changes: Any) -> None:
        self._selection = replace(self._selection, **changes)


class Iteration:
    """Records one by one. An error, or Ctrl-C, leaves it where it is."""

    __slots__ = ("stream",)

    def __init__(self, stream: Reading) -> None:
        self.stream: Reading = stream

    def __next__(self) -> Record:
        stream = self.stream
        inner = stream.next()
        if inner is None:
            raise StopIteration
        record, seen, partition, offset = Record(inner), stream.seen, inner.partition, inner.offset
        # One step with its reaching the caller.
        stream.held = None
        seen[partition] = offset
        return record


class ConsumerIterator(Iteration):
    """The records of a topic, one by one. An error, or Ctrl-C, leaves it where it is."""

    __slots__ = ()

    def __iter__(self) -> ConsumerIterator:
        return self

    def offset_commit(self) -> None:
        """The records until the last one that was handed out are processed; :meth:`offset_flush` stores that."""
        self.stream.offset_commit()

    def offset_flush(self) -> None:
        """Stores what was committed; with ``AUTO`` all that was handed out."""
        self.stream.offset_flush()


class RecordIterator(Iteration):
    """Records one by one. An error, or Ctrl-C, leaves it where it is."""

    __slots__ = ()

    def __iter__(self) -> RecordIterator:
        return self

    def close(self) -> None:
        """Ends it."""
        self.stream.close()


class AsyncRecordIterator:
    """The same, for tasks. One that is cancelled has taken nothing."""

    __slots__ = ("stream",)

    def __init__(self, stream: Reading) -> None:
        self.stream: Reading = stream

    def __aiter__(self) -> AsyncRecordIterator:
        return self

    async def __anext__(self) -> Record:
        stream = self.stream
        inner = await stream.async_next()
        if inner is None:
            raise StopAsyncIteration
        record, seen, partition, offset = Record(inner), stream.seen, inner.partition, inner.offset
        # One step with its reaching the caller.
        stream.held = None
        seen[partition] = offset
        return record

    async def aclose(self) -> None:
        """Ends it."""
        self.stream.close()


@dataclass(frozen=True)
class Source:
    """What a consumer of the old kind reads.

    :ivar topics: their partitions; none: all.
    """

    connection: Connection
    topics: Mapping[str, tuple[int, ...]]

    def reading(self, offset: Offset, config: ConsumerConfig) -> Reading:
        """What reads it, not open yet."""
        selection = config._selection(self.topics, offset)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return Reading(self.connection, selection)


class Streams(Wrapper[Source]):
    """The four ways to read it."""

    __slots__ = ()

    def stream(self, offset: Offset) -> Iterator[Record]:
        """The records from an offset on.

        :raises FluviorError: there is no such topic or partition.
        """
        return self.stream_with_config(offset, ConsumerConfig())

    async def async_stream(self, offset: Offset) -> AsyncIterator[Record]:
        """The same, for tasks: to be awaited, and then iterated."""
        return await self.async_stream_with_config(offset, ConsumerConfig())

    def stream_with_config(self, offset: Offset, config: ConsumerConfig) -> Iterator[Record]:
        """The records from an offset on, read as `config` says.

        :raises FluviorError: there is no such topic or partition.
        """
        reading = self._inner.reading(offset, config)
        with translated:
            return RecordIterator(reading.open())

    async def async_stream_with_config(self, offset: Offset, config: ConsumerConfig) -> AsyncIterator[Record]:
        """The same, for tasks: to be awaited, and then iterated."""
        reading = self._inner.reading(offset, config)
        with translated:
            return AsyncRecordIterator(await in_thread(reading.open))


class PartitionConsumer(Streams):
    """Reads one partition of a topic."""

    __slots__ = ()


class MultiplePartitionConsumer(Streams):
    """Reads several partitions, of one topic or of several."""

    __slots__ = ()


class PartitionSelectionStrategy(Wrapper[Mapping[str, "tuple[int, ...]"]]):
    """Which partitions to read: by topic, none: all of them."""

    __slots__ = ()

    @classmethod
    def with_all(cls, topic: str) -> PartitionSelectionStrategy:
        """All partitions of a topic."""
        return cls({one_of(topic, "topic", str): ()})

    @classmethod
    def with_multiple(cls, topic: Sequence[tuple[str, int]]) -> PartitionSelectionStrategy:
        """These partitions of these topics."""
        chosen: dict[str, tuple[int, ...]] = {}
        for name, partition in topic:
            before = chosen.get(one_of(name, "selections", str), ())
            chosen[name] = (*before, integer(partition, "selections", U32))
        return cls(chosen)
