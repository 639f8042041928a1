"""Arguments of ``producer`` and ``consumer``: checked when given, and as the library takes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, cast

from ._check import choice, flag, number, shown, text, wrong_type, wrong_value
from ._errors import ConfigError, os_failure
from ._ffi import CData, Slice, ffi, lib
from ._hub import milliseconds
from ._types import (
    Codec,
    Commit,
    Delivery,
    Duration,
    Isolation,
    Offset,
    OnEvicted,
    Partitioning,
    Size,
    parse_duration,
    parse_size,
)

CONNECT_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 5.0

_ISOLATIONS: Final = ("read_uncommitted", "read_committed")
_DELIVERIES: Final = ("at_least_once", "at_most_once")
_COMPRESSIONS: Final = {
    None: lib.FLV_COMPRESSION_TOPIC,
    "none": lib.FLV_COMPRESSION_NONE,
    "gzip": lib.FLV_COMPRESSION_GZIP,
    "snappy": lib.FLV_COMPRESSION_SNAPPY,
    "lz4": lib.FLV_COMPRESSION_LZ4,
    "zstd": lib.FLV_COMPRESSION_ZSTD,
}
_A_START: Final = "an Offset, such as Offset.beginning() or Offset.at(5), or a dict of one for each partition"
KINDS: Final = {
    "beginning": lib.FLV_START_BEGINNING,
    "end": lib.FLV_START_END,
    "at": lib.FLV_START_AT,
}


def contents(path: str | os.PathLike[str]) -> bytes:
    """What is in the file that is given as ``path``."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        why = f"path is {str(path)!r}, which cannot be read: {error.strerror}"
        raise os_failure(error, why, ConfigError) from error
    except TypeError as error:
        raise wrong_type("path", "a str or os.PathLike", path) from error
    except ValueError as error:
        raise ConfigError(f"path is {shown(path)}, which cannot be read: {error}") from error


def numbers(partitions: Iterable[int] | int | None) -> tuple[int, ...]:
    """The numbers of partitions that are given as ``partitions``; none: all."""
    if partitions is None:
        return ()
    if isinstance(partitions, int):
        partitions = (partitions,)
    elif isinstance(partitions, (str, bytes, Mapping)) or not isinstance(partitions, Iterable):
        raise wrong_type("partitions", "one or several numbers of partitions", cast("object", partitions))
    found = tuple(dict.fromkeys(number(item, "a partition", 0, (1 << 31) - 1) for item in partitions))
    if not found:
        raise ConfigError("partitions is empty: leave it out for all of them")
    return found


def limit(value: Duration, name: str) -> float:
    """A time-out that must be positive, in seconds."""
    seconds = parse_duration(value, name)
    if seconds <= 0:
        raise wrong_value(name, value, "more than 0 seconds")
    return seconds


class ProducerOptions:
    """How to produce."""

    __slots__ = (
        "_compression",
        "_delivery",
        "_isolation",
        "_linger",
        "_max_in_flight",
        "batch_size",
        "buffer_size",
        "delivery_timeout",
        "max_request_size",
        "partitioner",
    )

    def __init__(
        self,
        batch_size: Size,
        linger: Duration,
        compression: Codec | None,
        max_request_size: Size,
        buffer_size: Size,
        max_in_flight: int,
        isolation: Isolation,
        delivery: Delivery,
        delivery_timeout: Duration,
        partitioner: Partitioning | None,
    ) -> None:
        if partitioner is not None and not callable(partitioner):
            raise wrong_type("partitioner", "callable, such as Partitioner.fixed(0)", partitioner)
        self.partitioner: Partitioning | None = partitioner
        self.batch_size: int = number(parse_size(batch_size, "batch_size"), "batch_size", 1, 32 << 20)
        self._linger = parse_duration(linger, "linger")
        if self._linger > 60:
            raise wrong_value("linger", linger, "at most 60 s")
        if compression is not None:
            choice(compression, "compression", tuple(name for name in _COMPRESSIONS if name is not None))
        self._compression = _COMPRESSIONS[compression]
        self.max_request_size: int = number(
            parse_size(max_request_size, "max_request_size"), "max_request_size", 1024, 32 << 20
        )
        self.buffer_size: int = number(
            parse_size(buffer_size, "buffer_size"), "buffer_size", self.max_request_size, 1 << 40
        )
        self._max_in_flight = number(max_in_flight, "max_in_flight", 1, 1000)
        self._isolation = choice(isolation, "isolation", _ISOLATIONS)
        self._delivery = choice(delivery, "delivery", _DELIVERIES)
        self.delivery_timeout: float = limit(delivery_timeout, "delivery_timeout")

    def native(self) -> CData:
        """``flv_producer_options_t *``."""
        options = ffi.new("flv_producer_options_t *")
        lib.flv_producer_options_init(options)
        options.batch_size = self.batch_size
        options.linger_us = int(self._linger * 1_000_000)
        options.compression = self._compression
        options.max_request_size = self.max_request_size
        options.buffer_size = self.buffer_size
        options.max_in_flight = self._max_in_flight
        options.isolation = self._isolation
        options.delivery = self._delivery
        options.delivery_timeout_ms = milliseconds(self.delivery_timeout)
        return options


class ConsumerOptions:
    """How to consume."""

    __slots__ = (
        "_auto_commit",
        "_isolation",
        "_max_bytes",
        "_prefetch",
        "_resume",
        "_skip_evicted",
        "_start",
        "_starts",
        "_stop_at_end",
        "consumer_id",
        "partitions",
    )

    def __init__(
        self,
        partitions: Iterable[int] | int | None,
        start: Offset | Mapping[int, Offset] | None,
        resume: bool,
        stop_at_end: bool,
        consumer_id: str | None,
        commit: Commit | None,
        auto_commit_interval: Duration,
        isolation: Isolation,
        max_bytes: Size,
        prefetch: Size,
        on_evicted: OnEvicted,
    ) -> None:
        if consumer_id is not None and not 0 < len(text(consumer_id, "consumer_id").encode()) < 256:
            raise ConfigError(f"consumer_id has {len(consumer_id.encode())} bytes: it must have 1 to 255")
        if commit is not None:
            choice(commit, "commit", ("manual", "auto"))
            if consumer_id is None:
                raise ConfigError(f"commit is {commit!r}: it needs a consumer_id, under which offsets are stored")
        interval = parse_duration(auto_commit_interval, "auto_commit_interval")
        if interval < 0.001:
            raise wrong_value("auto_commit_interval", auto_commit_interval, "at least 1 ms")
        self.consumer_id: str | None = consumer_id
        self._auto_commit = interval if commit == "auto" else None
        self._skip_evicted = bool(choice(on_evicted, "on_evicted", ("raise", "skip")))
        self.partitions: tuple[int, ...] = numbers(partitions)
        self._start, self._starts = self._starts_of(start)
        self._resume = flag(resume, "resume")
        self._stop_at_end = flag(stop_at_end, "stop_at_end")
        self._isolation = choice(isolation, "isolation", _ISOLATIONS)
        self._max_bytes = number(parse_size(max_bytes, "max_bytes"), "max_bytes", 1, (1 << 31) - 1)
        self._prefetch = number(parse_size(prefetch, "prefetch"), "prefetch", 1, 1 << 40)

    def _starts_of(self, start: Offset | Mapping[int, Offset] | None) -> tuple[Offset | None, dict[int, Offset]]:
        if start is None:
            return None, {}
        if isinstance(start, Offset):
            return start, {}
        if not isinstance(start, Mapping):
            raise wrong_type("start", _A_START, start)
        starts: dict[int, Offset] = {}
        for partition, offset in start.items():
            number(partition, "a partition in start", 0, (1 << 31) - 1)
            if not isinstance(offset, Offset):
                raise wrong_type(f"start[{partition}]", "an Offset, such as Offset.at(5)", offset)
            if self.partitions and partition not in self.partitions:
                raise ConfigError(f"start names partition {partition}, which is not in partitions: it must be")
            starts[partition] = offset
        return None, starts

    def native(self) -> tuple[CData, list[object]]:
        """``flv_consumer_options_t *`` and what it points to."""
        options = ffi.new("flv_consumer_options_t *")
        lib.flv_consumer_options_init(options)
        options.format = lib.FLV_FORMAT_PICKLE
        partitions = ffi.new("uint32_t[]", self.partitions)
        if self.partitions:
            options.partitions = partitions
            options.partitions_len = len(self.partitions)
        starts = ffi.new("flv_start_t[]", len(self._starts))
        for place, (partition, offset) in zip(starts, self._starts.items(), strict=True):
            place.partition = partition
            place.kind = KINDS[offset.kind]
            place.value = offset.value
        if self._starts:
            options.starts = starts
            options.starts_len = len(self._starts)
        if self._start is not None:
            options.start_kind = KINDS[self._start.kind]
            options.start_value = self._start.value
        options.resume = self._resume
        options.stop_at_end = self._stop_at_end
        options.isolation = self._isolation
        options.max_bytes = self._max_bytes
        options.prefetch = self._prefetch
        options.skip_evicted = self._skip_evicted
        identity = Slice(self.consumer_id or "")
        options.consumer_id = identity.value
        if self._auto_commit is not None:
            options.auto_commit_ms = milliseconds(self._auto_commit)
        return options, [partitions, starts, identity]

    @property
    def commits_by_itself(self) -> bool:
        """Whether what was processed is committed in the background."""
        return self._auto_commit is not None
