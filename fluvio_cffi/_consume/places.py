"""Where the library is in the partitions that a consumer reads."""

from __future__ import annotations

from typing import Final, NamedTuple

from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import CData, ffi, lib

_NO_ERROR: Final = (ffi.NULL,)
# Of most topics all partitions.
_CAPACITY: Final = 64
_SHOWN: Final = 8


class Place(NamedTuple):
    """Where the library is in one partition.

    :ivar position: the offset that it hands over next; -1: not known yet.
    :ivar end: where the log ends, as far as it was seen; -1: not known yet.
    :ivar seeks: how often the partition was sought.
    """

    partition: int
    position: int
    end: int
    seeks: int


def places_of(handle: CData) -> list[Place]:
    """Where the library is in each partition that the consumer reads. Any thread."""
    count = ffi.new("size_t *")
    capacity = _CAPACITY
    while True:
        found = ffi.new("flv_position_t[]", capacity)
        raise_status(lib.flv_consumer_positions(handle, found, capacity, count), _NO_ERROR)
        if count[0] <= capacity:
            return [
                Place(place.partition, place.position, place.end, place.seeks) for place in ffi.unpack(found, count[0])
            ]
        capacity = count[0]


def start_of(handle: CData, partition: int) -> int:
    """Where the reading of a partition began, or was sought to last; -1: not known yet. Any thread."""
    start = ffi.new("int64_t *")
    raise_status(lib.flv_consumer_start(handle, partition, start, _NO_ERROR), _NO_ERROR)
    return int(start[0])


def shown(positions: dict[int, int]) -> str:
    """The positions of the first partitions, as a ``repr`` shows them."""
    some = ", ".join(f"{partition}: {position}" for partition, position in sorted(positions.items())[:_SHOWN])
    return f"{{{some}{', ...' if len(positions) > _SHOWN else ''}}}"
