"""The tarball for C: programs are built from it alone, and run. ``FLUVIO_CFFI_C_SDK`` says in which folder it is."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import time
from pathlib import Path

import c_support
import pytest
from c_support import SOURCES, WARNINGS

from fluvio_cffi import LocalCluster

pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.skipif("FLUVIO_CFFI_C_SDK" not in os.environ, reason="the tarball for C: run make test-c-sdk"),
]

FORWARD = ("PATH", "HOME", "LANG", "TMPDIR")


@pytest.fixture(scope="module")
def sdk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (tarball,) = Path(os.environ["FLUVIO_CFFI_C_SDK"]).glob("fluvio_cffi-c-*.tar.gz")
    folder = tmp_path_factory.mktemp("sdk")
    with tarfile.open(tarball) as archive:
        archive.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    return unpacked


def run(*command: object, cwd: Path | None = None, variables: dict[str, str] | None = None) -> str:
    environment = {name: os.environ[name] for name in FORWARD if name in os.environ} | (variables or {})
    ended = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=100, cwd=cwd, env=environment
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def flags(sdk: Path, *options: str) -> list[str]:
    tool = shutil.which("pkg-config") or pytest.skip("no pkg-config here")
    found = {"PKG_CONFIG_PATH": str(sdk / "lib/pkgconfig")}
    return run(tool, "--cflags", "--libs", *options, "fluvio_cffi", variables=found).split()


def check_quickstart(program: Path, endpoint: str) -> None:
    printed = run(program, endpoint)
    assert re.findall(r"^offset \d+: (.*)$", printed, re.MULTILINE) == [f"hello number {i}" for i in range(5)]


def test_shared(sdk: Path, tmp_path: Path, cluster: LocalCluster) -> None:
    program = tmp_path / "quickstart"
    example = sdk / "share/doc/fluvio_cffi/examples/quickstart.c"
    run(c_support.compiler(), "-std=c11", *WARNINGS, example, "-o", program, *flags(sdk), f"-Wl,-rpath,{sdk}/lib")
    check_quickstart(program, cluster.endpoint)


def test_static(sdk: Path, tmp_path: Path, cluster: LocalCluster) -> None:
    """Nothing of the tarball is needed when it runs."""
    program = tmp_path / "quickstart"
    example = sdk / "share/doc/fluvio_cffi/examples/quickstart.c"
    system = [flag for flag in flags(sdk, "--static") if flag.startswith("-l") and flag != "-lfluvio_cffi"]
    archive = sdk / "lib/libfluvio_cffi.a"
    run(c_support.compiler(), "-std=c11", f"-I{sdk}/include", example, archive, "-o", program, *system)
    assert "fluvio" not in run("ldd", program)
    check_quickstart(program, cluster.endpoint)


def test_cpp(sdk: Path, tmp_path: Path, cluster: LocalCluster) -> None:
    program = tmp_path / "raii"
    compiler, source = c_support.compiler(cplusplus=True), SOURCES / "raii.cpp"
    run(compiler, "-std=c++17", *WARNINGS, source, "-o", program, *flags(sdk), f"-Wl,-rpath,{sdk}/lib")
    run(program, cluster.endpoint, f"sdk-{time.time_ns()}")


def test_cmake(sdk: Path, tmp_path: Path, cluster: LocalCluster) -> None:
    cmake = shutil.which("cmake") or pytest.skip("no cmake here")
    shutil.copy(sdk / "share/doc/fluvio_cffi/examples/quickstart.c", tmp_path)
    (tmp_path / "CMakeLists.txt").write_text(
        textwrap.dedent("""
        cmake_minimum_required(VERSION 3.15)
        project(quickstart C)
        find_package(fluvio_cffi 0.1 REQUIRED)
        foreach(kind shared static)
          add_executable(${kind} quickstart.c)
          target_link_libraries(${kind} fluvio_cffi::${kind})
        endforeach()
        """),
        encoding="utf-8",
    )
    run(cmake, "-S", ".", "-B", "build", f"-DCMAKE_PREFIX_PATH={sdk}", cwd=tmp_path)
    run(cmake, "--build", "build", cwd=tmp_path)
    for kind in ("shared", "static"):
        check_quickstart(tmp_path / "build" / kind, cluster.endpoint)


def test_symbols_have_versions(sdk: Path) -> None:
    listed = run("nm", "-D", "--defined-only", sdk / "lib/libfluvio_cffi.so")
    found = dict(re.findall(r" T (flv_\w+)@@(\S+)", listed))
    assert found.keys() == c_support.declared_functions()
    assert found["flv_queue_new"] == "FLV_0.1" and found["flv_owner_new"] == "FLV_0.2"
    assert not re.findall(r" [TDB] (?!flv_)", listed)


def test_python_in_a_host_that_is_linked_statically(sdk: Path, tmp_path: Path, cluster: LocalCluster) -> None:
    """The example of `docs/embedding.md`."""
    libraries, version = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDVERSION")
    if not Path(libraries, f"libpython{version}.so").exists():
        pytest.skip(f"this Python cannot be embedded: there is no libpython{version}.so")
    source = sdk / "share/doc/fluvio_cffi/examples/host.c"
    include = sysconfig.get_path("include")
    python = [f"-I{include}", f"-L{libraries}", f"-Wl,-rpath,{libraries}", f"-lpython{version}"]
    whole = ["-Wl,--whole-archive", sdk / "lib/libfluvio_cffi.a", "-Wl,--no-whole-archive", "-rdynamic"]
    system = [flag for flag in flags(sdk, "--static") if flag.startswith("-l") and flag != "-lfluvio_cffi"]
    program = tmp_path / "host"
    run(c_support.compiler(), f"-I{sdk}/include", source, *whole, "-o", program, *python, *system)
    variables = {
        "PYTHONHOME": sys.base_prefix,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # If it were asked for, this would fail.
        "FLUVIO_CFFI_LIBRARY": "/nowhere/libfluvio_cffi.so",
    }
    assert run(program, cluster.endpoint, variables=variables) == "round 1: offset 0\nround 2: offset 1\n"
