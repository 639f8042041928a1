"""Arguments of ``producer`` and ``consumer``: checked when given, and as the library takes them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from fluvio_cffi._consume.decoding import Codecs
from fluvio_cffi._consume.membership import Membership
from fluvio_cffi._errors import ConfigError, UsageError
from fluvio_cffi._native.calls import Slice, milliseconds
from fluvio_cffi._native.chain import native_chain
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._values.checks import choice, flag, number, text, wrong_type, wrong_value
from fluvio_cffi._values.partitions import numbers
from fluvio_cffi._values.quantities import Duration, Size, parse_duration, parse_size
from fluvio_cffi._values.records import (
    ISOLATIONS,
    RECORD_FORMATS,
    Commit,
    Isolation,
    Offset,
    OnEvicted,
    RecordFormat,
)
from fluvio_cffi._values.smartmodules import SmartModule, SmartModuleChain, chain_of

_A_START: Final = "an Offset, such as Offset.beginning() or Offset.at(5), or a dict of one for each partition"
_KINDS: Final = {
    "beginning": lib.FLV_START_BEGINNING,
    "end": lib.FLV_START_END,
    "at": lib.FLV_START_AT,
}


def native_start(offset: Offset) -> tuple[int, int]:
    """``kind`` and ``value`` of an ``flv_start_t``. An age is counted from now."""
    time = offset.time
    return (_KINDS[offset.kind], offset.value) if time is None else (lib.FLV_START_SINCE, time)


class ConsumerOptions:
    """How to consume."""

    __slots__ = (
        "_isolation",
        "_max_bytes",
        "_prefetch",
        "_resume",
        "_skip_evicted",
        "_start",
        "_starts",
        "_stop_at_end",
        "auto_commit",
        "codecs",
        "consumer_id",
        "is_arrow",
        "membership",
        "partitions",
        "smartmodules",
    )

    def __init__(
        self,
        partitions: Iterable[int] | int | None,
        start: Offset | Mapping[int, Offset] | None,
        *,
        resume: bool,
        stop_at_end: bool,
        consumer_id: str | None,
        commit: Commit | None,
        auto_commit_interval: Duration,
        isolation: Isolation,
        max_bytes: Size,
        prefetch: Size,
        on_evicted: OnEvicted,
        smartmodules: SmartModuleChain,
        membership: Membership | None,
        codecs: Codecs | None,
        is_arrow: bool,
    ) -> None:
        if consumer_id is not None and not 0 < len(text(consumer_id, "consumer_id").encode()) < 256:
            raise ConfigError(f"consumer_id has {len(consumer_id.encode())} bytes: it must have 1 to 255")
        if commit is not None:
            choice(commit, "commit", ("manual", "auto"))
            if consumer_id is None and membership is None:
                raise ConfigError(f"commit is {commit!r}: it needs a consumer_id, or a group, to store offsets for")
        interval = parse_duration(auto_commit_interval, "auto_commit_interval")
        if interval < 0.001:
            raise wrong_value("auto_commit_interval", auto_commit_interval, "at least 1 ms")
        self.membership: Membership | None = membership
        if membership is not None:
            _check_free(consumer_id, partitions, resume)
        self.consumer_id: str | None = consumer_id
        self.codecs: Codecs | None = codecs
        self.is_arrow: bool = is_arrow
        self.auto_commit: float | None = interval if commit == "auto" else None
        self._skip_evicted = bool(choice(on_evicted, "on_evicted", ("raise", "skip")))
        self.partitions: tuple[int, ...] = numbers(partitions)
        self._start, self._starts = self._starts_of(start)
        self._resume = flag(resume, "resume")
        self._stop_at_end = flag(stop_at_end, "stop_at_end")
        self.smartmodules: tuple[SmartModule, ...] = chain_of(smartmodules)
        self._isolation = choice(isolation, "isolation", ISOLATIONS)
        self._max_bytes = number(parse_size(max_bytes, "max_bytes"), "max_bytes", 1, 1 << 30)
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
        lib.flv_consumer_options_init(options, ffi.sizeof("flv_consumer_options_t"))
        options.format = lib.FLV_FORMAT_ARROW if self.is_arrow else lib.FLV_FORMAT_PICKLE
        partitions = ffi.new("uint32_t[]", self.partitions)
        if self.partitions:
            options.partitions = partitions
            options.partitions_len = len(self.partitions)
        starts = ffi.new("flv_start_t[]", len(self._starts))
        for place, (partition, offset) in zip(starts, self._starts.items(), strict=True):
            place.partition = partition
            place.kind, place.value = native_start(offset)
        if self._starts:
            options.starts = starts
            options.starts_len = len(self._starts)
        if self._start is not None:
            options.start_kind, options.start_value = native_start(self._start)
        options.resume = self._resume
        options.stop_at_end = self._stop_at_end
        options.isolation = self._isolation
        options.max_bytes = self._max_bytes
        options.prefetch = self._prefetch
        options.skip_evicted = self._skip_evicted
        identity = Slice(self.consumer_id or "")
        options.consumer_id = identity.value
        if self.auto_commit is not None:
            options.auto_commit_ms = milliseconds(self.auto_commit)
        member = () if self.membership is None else self.membership.write(options)
        chain, alive = native_chain(self.smartmodules)
        if self.smartmodules:
            options.smartmodules = chain
            options.smartmodules_len = len(self.smartmodules)
        return options, [partitions, starts, identity, member, chain, alive]

    @property
    def commits_by_itself(self) -> bool:
        """Whether what was processed is committed in the background."""
        return self.auto_commit is not None


def arrow_chosen(format: RecordFormat, topic: object, key: object, value: object) -> bool:
    """Whether records are read as Arrow data; raises where they cannot be."""
    if not choice(format, "format", RECORD_FORMATS):
        return False
    if isinstance(topic, (list, tuple)):
        raise UsageError('format is "arrow", and topic is a list: open a consumer for each topic')
    if key is not None or value is not None:
        raise UsageError('format is "arrow", which knows no codecs: leave key and value out')
    if sys.implementation.name != "cpython":
        raise UsageError(f'format is "arrow": that needs CPython, as {sys.implementation.name} has no capsules')
    return True


def _check_free(consumer_id: str | None, partitions: object, resume: bool) -> None:
    """What a member of a group cannot choose."""
    if consumer_id is not None:
        raise ConfigError(
            "consumer_id and group are both given: a group keeps the offsets of its members: leave consumer_id out"
        )
    if partitions is not None:
        raise ConfigError(
            "partitions and group are both given: the group says who reads which, so leave partitions out"
        )
    if not resume:
        raise ConfigError("resume is False: with a group it must be True; use admin.groups.reset to begin elsewhere")
