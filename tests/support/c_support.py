"""Compiling and running C against the library that the package uses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fluvio_cffi._native import loader as _ffi

ROOT = Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"
HEADER = INCLUDE / "fluvio_cffi.h"
SOURCES = ROOT / "tests" / "c_abi" / "programs"
WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Werror")

#: A library that a sanitizer watches, and the sanitizer's runtime: programs are made with these (tools/sanitize.sh).
SANITIZED = os.environ.get("FLUVIO_CFFI_SANITIZED", "").split(os.pathsep)

#: What valgrind says when it found something; no program of ours ends with it.
FOUND = 99
MEMCHECK = (
    "--quiet",
    f"--error-exitcode={FOUND}",
    # The library's threads may still run when the process ends: only what nothing points to any more is a leak.
    "--leak-check=full",
    "--show-leak-kinds=definite",
    "--errors-for-leak-kinds=definite",
)


def native_library() -> Path:
    return Path(SANITIZED[0] or _ffi.native_path()).resolve()


def sanitizer() -> tuple[str, ...]:
    """What links a program with the sanitizer's runtime, if there is one: the library brings none."""
    if len(SANITIZED) != 2:
        return ()
    return ("-Wl,--whole-archive", SANITIZED[1], "-Wl,--no-whole-archive,--export-dynamic", "-ldl", "-lrt", "-lm")


def compiler(cplusplus: bool = False) -> str:
    """The compiler of the system, ``CC`` or ``CXX`` where they are set; skips the test where there is none."""
    given = os.environ.get("CXX" if cplusplus else "CC")
    for name in [given] if given else ["c++", "g++", "clang++"] if cplusplus else ["cc", "gcc", "clang"]:
        if found := shutil.which(name):
            return found
    pytest.skip(f"no {'C++' if cplusplus else 'C'} compiler here")


def valgrind() -> str:
    if sanitizer():
        pytest.skip("one who watches is enough")
    return shutil.which("valgrind") or pytest.skip("no valgrind here")


def declared_functions() -> set[str]:
    """What the header declares."""
    text = re.sub(r"/\*.*?\*/", "", HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    return set(re.findall(r"^[\w *]*\b(flv_\w+)\(", text, re.MULTILINE))


def structures() -> dict[str, list[str]]:
    """The structures of the binding, with their fields."""
    found = {}
    for name in _ffi.ffi.list_types()[0]:
        kind = _ffi.ffi.typeof(name)
        if kind.kind != "struct":
            continue
        try:
            _ffi.ffi.sizeof(kind)
        except _ffi.ffi.error:
            continue  # a handle: opaque, and cffi must not be asked for its fields
        found[name] = [field for field, _ in kind.fields]
    return found


class Toolchain:
    """Makes programs in a folder of its own, which has the library under the names that linker and loader look for."""

    def __init__(self, folder: Path) -> None:
        if sys.platform not in ("linux", "darwin"):
            pytest.skip(f"programs are linked with the library on Linux and macOS only, this is {sys.platform}")
        self.folder = folder
        self.libraries = folder / "lib"
        self.libraries.mkdir()
        names = ("libfluvio_cffi.dylib",) if sys.platform == "darwin" else ("libfluvio_cffi.so", "libfluvio_cffi.so.0")
        for name in names:
            (self.libraries / name).symlink_to(native_library())
        self._made: dict[Path, Path] = {}

    @property
    def environment(self) -> dict[str, str]:
        """For programs: where the library is."""
        paths = {"LD_LIBRARY_PATH": str(self.libraries), "DYLD_LIBRARY_PATH": str(self.libraries)}
        return {**os.environ, **paths}

    def program(self, source: Path) -> Path:
        """The program of a C file, compiled once."""
        if source not in self._made:
            self._made[source] = self.compile(source, "-std=c11", "-g")
        return self._made[source]

    def compile(self, source: Path, *options: str, cplusplus: bool = False, after: tuple[str, ...] = ()) -> Path:
        program = self.folder / f"{source.stem}{len(list(self.folder.iterdir()))}"
        language = ("-x", "c++", str(source), "-x", "none") if cplusplus else (str(source),)
        command = [compiler(cplusplus), *WARNINGS, *options, f"-I{INCLUDE}", *language, "-o", str(program)]
        command += ["-Wl,--as-needed"] if sys.platform == "linux" else []
        command += [*sanitizer(), *after]
        command += [f"-L{self.libraries}", "-lfluvio_cffi", f"-Wl,-rpath,{self.libraries}", "-pthread"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert made.returncode == 0, f"{' '.join(command)}\n{made.stderr}"
        return program

    def run(self, program: Path, *arguments: str, under: tuple[str, ...] = (), timeout: float = 30) -> str:
        """Runs a program, which must succeed and, as the library prints nothing, say nothing on standard error; returns
        what it printed."""
        command = [*under, str(program), *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, env=self.environment)
        assert ended.returncode == 0, f"{program.name} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}"
        assert ended.stderr == ""
        return ended.stdout
