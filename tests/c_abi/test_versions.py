"""The policy of `docs/c-abi.md`, Versions: what is exported since when, and programs of other versions."""

from __future__ import annotations

import re
import time
from pathlib import Path

import c_support
import pytest
from c_support import ROOT, SOURCES, Toolchain

from fluvio_cffi import LocalCluster
from fluvio_cffi._native.loader import lib

SYMBOLS = ROOT / "rust-ffi" / "abi" / "symbols.map"

pytestmark = pytest.mark.timeout(90)


def nodes() -> dict[str, list[str]]:
    """The functions by the version that brought them."""
    text = re.sub(r"/\*.*?\*/", "", SYMBOLS.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {
        name: re.findall(r"(flv_\w+);", body) for name, body in re.findall(r"(FLV_[\w.]+) \{(.*?)\}", text, re.DOTALL)
    }


def test_every_function_has_a_version() -> None:
    listed = [name for functions in nodes().values() for name in functions]
    assert len(listed) == len(set(listed))
    assert set(listed) == c_support.declared_functions(), (
        f"{SYMBOLS.name} and the header differ: a new function goes to the version in the making, none is taken away"
    )


def test_no_version_is_later_than_the_library() -> None:
    version = lib.flv_abi_version()
    known = [tuple(map(int, name[4:].split("."))) for name in nodes() if name != "FLV_DEBUG"]
    assert max(known) == (version >> 16, version & 0xFFFF)


# -- programs of other versions

_GROWING = re.compile(r"typedef struct \{((?:(?!^\} ).)*?\buint32_t struct_size;.*?)^\} (flv_\w+_t);", re.M | re.S)
_LAST_FIELD = re.compile(r"(?:    /\*(?:(?!\*/).)*\*/\n)?    [^\n*/]*\*?\w+(?:\[\w+\])?;\n\Z", re.S)


def later(header: str) -> str:
    """The header of a version with a field and a function more."""
    header = _GROWING.sub(r"typedef struct {\1    uint64_t later;\n} \2;", header)
    function = "__attribute__((weak)) void flv_later(void);\n"
    return header.replace("uint32_t flv_abi_version(void);", "uint32_t flv_abi_version(void);\n" + function)


def earlier(header: str) -> str:
    """The header of a version with a field less in each structure that can grow."""
    return _GROWING.sub(lambda found: f"typedef struct {{{_LAST_FIELD.sub('', found[1])}}} {found[2]};", header)


@pytest.mark.parametrize("version", ["TODAY", "LATER", "EARLIER"])
def test_program_of_another_version(tmp_path: Path, cluster: LocalCluster, version: str) -> None:
    today = c_support.HEADER.read_text(encoding="utf-8")
    header = {"TODAY": lambda text: text, "LATER": later, "EARLIER": earlier}[version](today)
    grown = _GROWING.findall(today)
    assert len(grown) >= 11
    for (fields, name), (changed, _) in zip(grown, _GROWING.findall(header), strict=True):
        difference = {"TODAY": 0, "LATER": 1, "EARLIER": -1}[version]
        assert changed.count(";\n") - fields.count(";\n") == difference, name
    folder = tmp_path / "include"
    folder.mkdir()
    (folder / "fluvio_cffi.h").write_text(header, encoding="utf-8")
    toolchain = Toolchain(tmp_path)
    program = toolchain.compile(SOURCES / "versions.c", "-std=gnu11", f"-D{version}", f"-I{folder}")
    toolchain.run(program, cluster.endpoint, f"version-{time.time_ns()}")


# -- C++


def test_cpp_header(tmp_path: Path, cluster: LocalCluster) -> None:
    toolchain = Toolchain(tmp_path)
    program = toolchain.compile(SOURCES / "raii.cpp", "-std=c++17", cplusplus=True)
    toolchain.run(program, cluster.endpoint, f"raii-{time.time_ns()}")
    assert len((c_support.INCLUDE / "fluvio_cffi.hpp").read_text(encoding="utf-8").splitlines()) <= 300
