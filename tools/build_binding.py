"""Generate ``fluvio_cffi/_binding.py`` from ``include/fluvio_cffi.h``: cffi's out-of-line ABI mode, no C compiler.

setup.py calls this through cffi; ``python tools/build_binding.py`` writes the file into the checkout.
"""

from __future__ import annotations

import re
from pathlib import Path

from cffi import FFI

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include" / "fluvio_cffi.h"
BINDING = ROOT / "fluvio_cffi" / "_binding.py"

_CPLUSPLUS = re.compile(r"^[ \t]*#[ \t]*ifdef[ \t]+__cplusplus\b(?s:.*?)^[ \t]*#[ \t]*endif\b.*", re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)


def declarations(header: str) -> str:
    """The header without what is for a C++ compiler and without preprocessor lines: what cffi can parse."""
    return _DIRECTIVE.sub("", _CPLUSPLUS.sub("", header))


ffi = FFI()
ffi.set_source("fluvio_cffi._binding", None)
ffi.cdef(declarations(HEADER.read_text(encoding="utf-8")))

if __name__ == "__main__":
    ffi.emit_python_code(str(BINDING))
