"""The enumerations of the old package, and its offsets."""

from __future__ import annotations

from enum import Enum, IntEnum
from typing import ClassVar, Final

import fluvio_cffi
from fluvio_cffi import Codec
from fluvio_cffi import SmartModuleKind as NativeKind

from ._arguments import U32, integer
from ._errors import FluviorError


class _Numbered(IntEnum):
    """They compare with numbers, and are shown by their names."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __str__ = __repr__


class Compression(_Numbered):
    """How batches are compressed."""

    None_ = 0
    Gzip = 1
    Snappy = 2
    Lz4 = 3
    Zstd = 4


CODECS: Final[dict[Compression, Codec]] = {
    Compression.None_: "none",
    Compression.Gzip: "gzip",
    Compression.Snappy: "snappy",
    Compression.Lz4: "lz4",
    Compression.Zstd: "zstd",
}


class Isolation(_Numbered):
    """When a record counts as written: when the replicas have it, or the leader."""

    ReadCommitted = 0
    ReadUncommitted = 1


class DeliverySemantic(_Numbered):
    """Whether a batch may be sent again."""

    AtMostOnce = 0
    AtLeastOnce = 1


class SmartModuleKind(Enum):
    """What a SmartModule is. It need not be said."""

    Filter = "filter"
    Map = "map"
    ArrayMap = "array_map"
    FilterMap = "filter_map"
    Aggregate = "aggregate"


KINDS: Final[dict[SmartModuleKind, NativeKind]] = {
    SmartModuleKind.Filter: "filter",
    SmartModuleKind.Map: "map",
    SmartModuleKind.ArrayMap: "array_map",
    SmartModuleKind.FilterMap: "filter_map",
    SmartModuleKind.Aggregate: "aggregate",
}


class OffsetManagementStrategy:
    """How a consumer stores how far it has come: :attr:`NONE`, not at all; :attr:`MANUAL`, by ``offset_commit`` and
    ``offset_flush``; :attr:`AUTO`, by itself."""

    __slots__ = ("_name",)

    NONE: ClassVar[OffsetManagementStrategy]
    MANUAL: ClassVar[OffsetManagementStrategy]
    AUTO: ClassVar[OffsetManagementStrategy]

    def __init__(self) -> None:
        self._name = "NONE"

    @classmethod
    def _named(cls, name: str) -> OffsetManagementStrategy:
        strategy = cls()
        strategy._name = name
        return strategy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OffsetManagementStrategy) and self._name == other._name

    def __hash__(self) -> int:
        return hash(self._name)

    def __repr__(self) -> str:
        return f"OffsetManagementStrategy.{self._name}"


for _name in ("NONE", "MANUAL", "AUTO"):
    setattr(OffsetManagementStrategy, _name, OffsetManagementStrategy._named(_name))  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class Offset:
    """Where reading begins. Made by its static methods."""

    __slots__ = ("_native",)

    _native: fluvio_cffi.Offset

    def __init__(self) -> None:
        raise TypeError("No constructor defined for Offset")

    @staticmethod
    def absolute(index: int) -> Offset:
        """Exactly this offset, whatever is stored under the consumer's id."""
        if integer(index, "index", (1 << 63) - 1, -(1 << 63)) < 0:
            raise FluviorError(f"Attempted to create negative offset: {index}")
        return _made(fluvio_cffi.Offset.at(index))

    @staticmethod
    def beginning() -> Offset:
        """The first record; or the one after what is stored under the consumer's id."""
        return _made(fluvio_cffi.Offset.beginning())

    @staticmethod
    def from_beginning(offset: int) -> Offset:
        """That many records after the first one, or after what is stored under the consumer's id."""
        return _made(fluvio_cffi.Offset.from_beginning(integer(offset, "offset", U32)))

    @staticmethod
    def end() -> Offset:
        """After the last record; or after what is stored under the consumer's id."""
        return _made(fluvio_cffi.Offset.end())

    @staticmethod
    def from_end(offset: int) -> Offset:
        """That many records before the end, or before the one after what is stored under the consumer's id."""
        return _made(fluvio_cffi.Offset.from_end(integer(offset, "offset", U32)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Offset) and self._native == other._native

    def __hash__(self) -> int:
        return hash(self._native)

    def __repr__(self) -> str:
        return repr(self._native).replace("Offset.at", "Offset.absolute")


def _made(native: fluvio_cffi.Offset) -> Offset:
    offset = object.__new__(Offset)
    offset._native = native  # pyright: ignore[reportPrivateUsage]
    return offset


def native_offset(offset: Offset) -> fluvio_cffi.Offset:
    """An offset as this library has it."""
    return offset._native  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
