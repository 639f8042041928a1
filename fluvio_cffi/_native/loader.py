"""The native library, loaded once: `ffi` and `lib`.

The environment variable ``FLUVIO_CFFI_LIBRARY`` names another file to load than the one in the package.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final, TypeAlias

try:
    from fluvio_cffi._binding import ffi as _ffi
except ImportError as error:
    if error.name == "fluvio_cffi._binding":
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


def native_path() -> str:
    """The file of the native part: beside the package, or what ``FLUVIO_CFFI_LIBRARY`` names."""
    override = os.environ.get("FLUVIO_CFFI_LIBRARY")
    if override:
        return override
    names = {"darwin": "libfluvio_cffi.dylib", "win32": "fluvio_cffi.dll"}
    return str(Path(__file__).parent.with_name(names.get(sys.platform, "libfluvio_cffi.so")))


def _load() -> Any:
    path = native_path()
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
