"""Arrow data, as Python packages hand it to each other: structures of the Arrow C data interface in capsules.

The library makes and fills in the structures, and its own function is the destructor of the capsules: nothing of this
module is needed when they go, which may be on any thread, and after the end of the interpreter has emptied all modules.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any, Final

from fluvio_cffi._errors import UsageError

from .calls import Slice
from .errors import raise_status
from .loader import CData, ffi, lib
from .process import check_orphaned

if sys.implementation.name != "cpython":
    raise UsageError(f"only CPython can hand over Arrow data: {sys.implementation.name} has no capsules")

import ctypes

_KINDS: Final = {
    "ArrowSchema": lib.FLV_ARROW_SCHEMA,
    "ArrowArray": lib.FLV_ARROW_ARRAY,
    "ArrowArrayStream": lib.FLV_ARROW_STREAM,
}
_NO_KEY: Final = -1


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


# Those of `ctypes.pythonapi` have types that any other module may change.
_new: Final = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)(
    ("PyCapsule_New", ctypes.pythonapi)
)
_pointer: Final = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)
_destructor: Final = int(ffi.cast("uintptr_t", lib.flv_arrow_capsule_free))
lib.flv_arrow_capsule_init(
    ffi.cast("void *", _address(ctypes.pythonapi.PyCapsule_GetName)),
    ffi.cast("void *", _address(ctypes.pythonapi.PyCapsule_GetPointer)),
)


def _name(kind: str) -> int:
    return int(ffi.cast("uintptr_t", lib.flv_arrow_capsule_name(_KINDS[kind])))


def _capsule(kind: str) -> tuple[Any, CData]:
    """A capsule with an empty structure, and that structure."""
    check_orphaned()
    structure = lib.flv_arrow_capsule_structure(_KINDS[kind])
    return _new(int(ffi.cast("uintptr_t", structure)), _name(kind), _destructor), ffi.cast(
        f"struct {kind} *", structure
    )


def structure_in(capsule: object, kind: str) -> CData:
    """The structure that a capsule holds.

    :raises ValueError: it is no such capsule.
    """
    return ffi.cast(f"struct {kind} *", _pointer(capsule, _name(kind)))


# -- what leaves


def _free(held: CData, free: Any = lib.flv_arrow_free) -> None:
    free(held[0])


class Held:
    """An ``flv_arrow_t``, freed with this."""

    __slots__ = ("_place",)

    def __init__(self) -> None:
        # The place is freed, and not what comes there, which an exception might keep from being noted.
        self._place: CData = ffi.gc(ffi.new("flv_arrow_t **"), _free)

    @property
    def place(self) -> CData:
        """Where the library writes it."""
        return self._place

    @property
    def arrow(self) -> CData:
        """What was written there."""
        return self._place[0]


Part = tuple[Held, int, int]
"""Some records: whose, the first of them, and how many."""


def _parts(parts: Sequence[Part]) -> tuple[CData, int]:
    return ffi.new("flv_arrow_part_t[]", [(held.arrow, start, count) for held, start, count in parts]), len(parts)


def schema_capsule(topic: str) -> object:
    """The schema of records of a topic."""
    made, structure = _capsule("ArrowSchema")
    name, error = Slice(topic), ffi.new("flv_error_t **")
    raise_status(lib.flv_arrow_schema(name.value, structure, error), error)
    return made


def array_capsule(parts: Sequence[Part]) -> object:
    """One array of all parts."""
    made, structure = _capsule("ArrowArray")
    error = ffi.new("flv_error_t **")
    raise_status(lib.flv_arrow_array(*_parts(parts), structure, error), error)
    return made


def stream_capsule(topic: str, parts: Sequence[Part]) -> object:
    """A stream of an array for each part."""
    made, structure = _capsule("ArrowArrayStream")
    name, error = Slice(topic), ffi.new("flv_error_t **")
    raise_status(lib.flv_arrow_stream(name.value, *_parts(parts), structure, error), error)
    return made


def from_columns(
    partition: int,
    offsets: Sequence[int],
    stamps: list[int],
    keys: list[bytes | None] | None,
    values: list[bytes],
) -> Held:
    """Records of one partition, copied; -1 in place of a timestamp: none."""
    count = len(values)
    joined = values if keys is None else chain.from_iterable(zip([key or b"" for key in keys], values, strict=True))
    data = ffi.from_buffer("uint8_t[]", b"".join(joined))
    columns = {
        "value_lengths": ffi.from_buffer("uint32_t[]", array("I", [*map(len, values)])),
        "partitions": ffi.from_buffer("int32_t[]", array("i", [int(partition)]) * count),
        "timestamps": ffi.from_buffer("int64_t[]", array("q", stamps)),
    }
    if keys is not None:
        lengths = array("i", [_NO_KEY if key is None else len(key) for key in keys])
        columns["key_lengths"] = ffi.from_buffer("int32_t[]", lengths)
    records = ffi.new("flv_records_t *")
    records.struct_size = ffi.sizeof("flv_records_t")
    records.count, records.data, records.data_len = count, data, len(data)
    for name, column in columns.items():
        setattr(records, name, column)
    held, error = Held(), ffi.new("flv_error_t **")
    native = ffi.from_buffer("int64_t[]", array("q", offsets))
    raise_status(lib.flv_arrow_from_columns(records, native, held.place, error), error)
    return held
