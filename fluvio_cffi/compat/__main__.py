"""``python -m fluvio_cffi.compat PROGRAM``: runs a program for which ``import fluvio`` is this library."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from typing import Final

from . import install

_USAGE: Final = """\
usage: python -m fluvio_cffi.compat FILE [ARGUMENT ...]
       python -m fluvio_cffi.compat -m MODULE [ARGUMENT ...]
       python -m fluvio_cffi.compat -c CODE [ARGUMENT ...]

Runs a program that was written for the package fluvio of PyPI, unchanged. Its child processes find this library, too.
"""
_STAND_IN: Final = str(Path(__file__).parent / "_stand_in")


def _prepare() -> None:
    """``import fluvio`` is this library, here and in child processes, however they are started."""
    install()
    sys.path.insert(1, _STAND_IN)
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = _STAND_IN if not others else os.pathsep.join((_STAND_IN, others))


def main(arguments: list[str]) -> int:
    """Runs the program that the arguments name; returns the exit code."""
    if not arguments or arguments[0] in ("-h", "--help") or (arguments[0] in ("-m", "-c") and len(arguments) == 1):
        print(_USAGE, end="", file=sys.stdout if arguments[:1] in (["-h"], ["--help"]) else sys.stderr)
        return 0 if arguments[:1] in (["-h"], ["--help"]) else 2
    _prepare()
    how, *rest = arguments
    if how == "-m":
        sys.argv = rest
        sys.path[0] = os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.argv = ["-c", *rest[1:]]
        sys.path[0] = ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(how).resolve().parent)
        runpy.run_path(how, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
