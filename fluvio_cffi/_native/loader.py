"""The native library, loaded once for each interpreter: `ffi` and `lib`.

Three places can name it, the first one counts:

* ``sys.fluvio_cffi_library``, which a host that has the library itself sets before the package is imported: a handle
  of ``dlopen`` as a number. One of ``dlopen(NULL, ...)`` stands for a library that is linked statically.
* The environment variable ``FLUVIO_CFFI_LIBRARY``: a file.
* The file in the package.
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
    if "subinterpreters" in str(error):
        raise ImportError(
            f"fluvio_cffi cannot be imported in a sub-interpreter with a GIL of its own, as cffi says: {error}. "
            "Use one that shares it (Py_NewInterpreter), or another process",
            name="cffi",
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


def _place() -> tuple[str, CData | str]:
    """How errors call the library, and what ``ffi.dlopen`` takes of it."""
    given: object = getattr(sys, "fluvio_cffi_library", None)
    if given is None:
        path = native_path()
        return path, path
    if not isinstance(given, int) or isinstance(given, bool) or not 0 < given < 2 * sys.maxsize + 2:
        raise ImportError(f"sys.fluvio_cffi_library is {given!r}: it must be a handle of dlopen, as a number")
    return f"the handle {given:#x} in sys.fluvio_cffi_library", ffi.cast("void *", given)


def _open(place: CData | str) -> Any:
    # The library has threads of its own: it must never be unmapped.
    flags = ffi.RTLD_NOW | getattr(ffi, "RTLD_NODELETE", 0)
    if not isinstance(place, str) or os.path.exists(place) or "FLUVIO_CFFI_LIBRARY" in os.environ:
        return ffi.dlopen(place, flags)
    # The package may be in an archive: then a copy of the file, which need not outlive the call.
    from importlib import resources

    with resources.as_file(resources.files("fluvio_cffi").joinpath(Path(place).name)) as copy:
        return ffi.dlopen(str(copy), flags)


def _load() -> Any:
    name, place = _place()
    try:
        loaded = _open(place)
    except OSError as error:
        raise ImportError(f"the native library cannot be loaded: {error}", path=name) from error
    try:
        major = loaded.flv_abi_version() >> 16
    except AttributeError as error:
        raise ImportError(f"{name} is not the native library of fluvio_cffi", path=name) from error
    if major != ABI_MAJOR:
        raise ImportError(
            f"{name} has version {major} of the C interface, but this package needs version {ABI_MAJOR}: "
            f"install package and library from one wheel",
            path=name,
        )
    return loaded


lib: Any = _load()
