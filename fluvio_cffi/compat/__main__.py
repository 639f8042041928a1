"""``python -m fluvio_cffi.compat PROGRAM``: runs a program for which ``import fluvio`` is this library."""

from __future__ import annotations

import os
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from . import install

_USAGE: Final = """\
usage: python -m fluvio_cffi.compat FILE [ARGUMENT ...]
       python -m fluvio_cffi.compat -m MODULE [ARGUMENT ...]
       python -m fluvio_cffi.compat -c CODE [ARGUMENT ...]

Runs a program that was written for the package fluvio of PyPI, unchanged. Its child processes find this library, too.
"""
_STAND_IN: Final = str(Path(__file__).parent / "_stand_in")


def _prepare(folder: str) -> None:
    """``import fluvio`` is this library, here and in child processes, however they are started.

    :param folder: where modules are looked for first.
    """
    install()
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
        sys.path.insert(0, folder)
    sys.path.insert(1, _STAND_IN)
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = _STAND_IN if not others else os.pathsep.join((_STAND_IN, others))


def main(arguments: list[str]) -> int:
    """Runs the program that the arguments name; returns the exit code."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(_USAGE, end="")
        return 0
    if arguments in ([], ["-m"], ["-c"]):
        print(_USAGE, end="", file=sys.stderr)
        return 2
    how, *rest = arguments
    if how == "-m":
        sys.argv = rest
        _prepare(os.getcwd())
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif how == "-c":
        sys.argv = ["-c", *rest[1:]]
        _prepare("")
        module = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(rest[0], "<string>", "exec"), vars(module))
    else:
        sys.argv = arguments
        _prepare(str(Path(how).resolve().parent))
        runpy.run_path(how, run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
