"""The native library, loaded once: `ffi` and `lib`.

The environment variable ``FLUVIO_CFFI_LIBRARY`` names another file to load than the one in the package.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final, TypeAlias

try:
    from ._binding import ffi as _ffi
except ImportError as error:
    if error.name == f"{__package__}._binding":
        raise ImportError(
            "fluvio_cffi was not built: fluvio_cffi/_binding.py is missing. Install the wheel, or run `make develop` "
            "in the source tree."
        ) from error
    raise ImportError(
        f"fluvio_cffi needs the package cffi, which cannot be imported: {error}. Install it for this Python and this "
        "kind of machine: pip install cffi",
        name="cffi",
    ) from error

ABI_MAJOR: Final = 0

# The C side is checked by its header, not by the type checker.
CData: TypeAlias = Any
ffi: Any = _ffi


def _path() -> str:
    override = os.environ.get("FLUVIO_CFFI_LIBRARY")
    if override:
        return override
    names = {"darwin": "libfluvio_cffi.dylib", "win32": "fluvio_cffi.dll"}
    return str(Path(__file__).with_name(names.get(sys.platform, "libfluvio_cffi.so")))


def _load() -> Any:
    path = _path()
    # The library has threads of its own: it must never be unmapped.
    flags = ffi.RTLD_NOW | getattr(ffi, "RTLD_NODELETE", 0)
    try:
        loaded = ffi.dlopen(path, flags)
    except OSError as error:
        raise ImportError(f"the native library cannot be loaded: {error}", path=path) from error
    try:
        major = loaded.flv_abi_version() >> 16
    except AttributeError as error:
        raise ImportError(f"{path} is not the native library of fluvio_cffi", path=path) from error
    if major != ABI_MAJOR:
        raise ImportError(
            f"{path} has version {major} of the C interface, but this package needs version {ABI_MAJOR}: "
            f"install package and library from one wheel",
            path=path,
        )
    return loaded


lib: Any = _load()


class _Process:
    """What must be known of this process.

    :ivar connected: whether it, or a process that it is a child of, ever connected.
    :ivar generation: how many forks lie between the process that imported the package and this one.
    :ivar orphaned: whether it is a child of a process that had connected. Nothing of the library works in it.
    """

    __slots__ = ("connected", "generation", "orphaned")

    def __init__(self) -> None:
        self.connected = False
        self.generation = 0
        self.orphaned = False


process: Final = _Process()


def _after_fork_in_child() -> None:
    process.generation += 1
    if process.connected:
        process.orphaned = True
        lib.flv_fork_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


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
        """The struct itself, to be passed by value."""
        return self._slice[0]
