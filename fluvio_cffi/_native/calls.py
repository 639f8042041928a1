"""What calls of the library take and give: texts, bytes, time-outs."""

from __future__ import annotations

from typing import Any

from .loader import CData, ffi, lib


def view(function: Any, handle: CData) -> str:
    """The text that a function of the library shows of a handle."""
    out = ffi.new("flv_view_t *")
    function(handle, out)
    return text_of(out)


def text_of(view: CData) -> str:
    """The text that an ``flv_view_t`` shows."""
    return bytes(ffi.buffer(view.data, view.len)).decode("utf-8", "replace") if view.len else ""


def copy_buffer(buffer: CData) -> bytes:
    """What an ``flv_buffer_t *`` holds."""
    out = ffi.new("flv_view_t *")
    lib.flv_buffer_view(buffer, out)
    return bytes(ffi.buffer(out.data, out.len)) if out.len else b""


class Slice:
    """A byte string lent to one call of the library as ``flv_slice_t``; keeps the bytes alive."""

    __slots__ = ("_data", "_slice")

    def __init__(self, data: str | bytes) -> None:
        raw = data.encode() if isinstance(data, str) else data
        self._data = ffi.from_buffer("uint8_t[]", raw)
        self._slice = ffi.new("flv_slice_t *")
        self._slice.data = self._data
        self._slice.len = len(raw)

    @property
    def value(self) -> CData:
        """The struct itself, for a call that takes it by value."""
        return self._slice[0]


def milliseconds(timeout: float | None) -> int:
    """A time-out as the library takes it: rounded up, -1 for none."""
    if timeout is None:
        return -1
    return min(-int(-timeout * 1000 // 1), (1 << 62))
