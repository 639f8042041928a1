"""What a program in C or C++ needs, as a tarball: headers, libraries, pkg-config and CMake files, examples.

    python tools/c_sdk.py [--debug] [--output dist]

The shared library is linked from the archive, as rustc brings a version script of its own and takes no other; so its
symbols carry the versions of ``rust-ffi/abi/symbols.map``. Linux only.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "rust-ffi" / "Cargo.toml"
SYMBOLS = ROOT / "rust-ffi" / "abi" / "symbols.map"
# What the Rust standard library wants of the system.
SYSTEM = ("-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl", "-lc")

PKG_CONFIG = """\
prefix=${{pcfiledir}}/../..
includedir=${{prefix}}/include
libdir=${{prefix}}/lib

Name: fluvio_cffi
Description: The Fluvio client with a C interface
Version: {version}
Cflags: -I${{includedir}}
Libs: -L${{libdir}} -lfluvio_cffi
Libs.private: {system}
"""

CMAKE = """\
# fluvio_cffi::shared and fluvio_cffi::static.
get_filename_component(_fluvio_cffi_root "${{CMAKE_CURRENT_LIST_DIR}}/../../.." ABSOLUTE)
foreach(_fluvio_cffi_kind SHARED STATIC)
  string(TOLOWER ${{_fluvio_cffi_kind}} _fluvio_cffi_name)
  if(NOT TARGET fluvio_cffi::${{_fluvio_cffi_name}})
    add_library(fluvio_cffi::${{_fluvio_cffi_name}} ${{_fluvio_cffi_kind}} IMPORTED)
    set_target_properties(fluvio_cffi::${{_fluvio_cffi_name}} PROPERTIES
      INTERFACE_INCLUDE_DIRECTORIES "${{_fluvio_cffi_root}}/include")
  endif()
endforeach()
set_target_properties(fluvio_cffi::shared PROPERTIES
  IMPORTED_LOCATION "${{_fluvio_cffi_root}}/lib/libfluvio_cffi.so"
  IMPORTED_SONAME "{soname}")
set_target_properties(fluvio_cffi::static PROPERTIES
  IMPORTED_LOCATION "${{_fluvio_cffi_root}}/lib/libfluvio_cffi.a"
  INTERFACE_LINK_LIBRARIES "{system}")
"""

CMAKE_VERSION = """\
set(PACKAGE_VERSION {version})
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION OR NOT PACKAGE_FIND_VERSION_MAJOR EQUAL {major})
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
"""


def symbols() -> list[str]:
    """The functions of the version script."""
    return re.findall(r"^\s+(flv_\w+);", SYMBOLS.read_text(encoding="utf-8"), re.MULTILINE)


def versions() -> tuple[str, int]:
    """The version of the library, and the major one of the interface, as the sources have them."""
    version = re.search(r'^version = "(.+)"', MANIFEST.read_text(encoding="utf-8"), re.MULTILINE)
    lifecycle = (ROOT / "rust-ffi" / "abi" / "src" / "lifecycle.rs").read_text(encoding="utf-8")
    major = re.search(r"ABI_MAJOR: u32 = (\d+);", lifecycle)
    assert version is not None and major is not None
    return version[1], int(major[1])


def archive(debug: bool) -> Path:
    """Builds the static archive."""
    profile = [] if debug else ["--release"]
    command = [os.environ.get("CARGO", "cargo"), "rustc", "--locked", "--lib", "--manifest-path"]
    command += [str(MANIFEST.parent / "abi" / "Cargo.toml"), *profile]
    command += ["--crate-type", "staticlib", "--message-format", "json-render-diagnostics"]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in built.stdout.splitlines()]
    files = [name for message in messages for name in message.get("filenames", ()) if name.endswith("libfluvio_cffi.a")]
    return Path(files[-1])


def link(static: Path, shared: Path, soname: str) -> None:
    """Links the shared library from the archive."""
    command = [os.environ.get("CC", "cc"), "-shared", "-o", str(shared)]
    command += [f"-Wl,--undefined={name}" for name in symbols()]
    command += [str(static), f"-Wl,--version-script={SYMBOLS}", f"-Wl,-soname,{soname}", "-Wl,-z,nodelete"]
    command += ["-Wl,--gc-sections", "-Wl,-z,defs", "-Wl,-z,relro,-z,now", *SYSTEM]
    subprocess.run(command, check=True)


class Tarball:
    """Files below one folder; the same ones give the same bytes."""

    def __init__(self, tar: tarfile.TarFile, folder: str) -> None:
        self._tar = tar
        self._folder = folder

    def _entry(self, name: str) -> tarfile.TarInfo:
        entry = tarfile.TarInfo(f"{self._folder}/{name}")
        entry.mode = 0o644
        return entry

    def text(self, name: str, text: str) -> None:
        """A file with this text."""
        data = text.encode()
        entry = self._entry(name)
        entry.size = len(data)
        self._tar.addfile(entry, io.BytesIO(data))

    def file(self, name: str, path: Path) -> None:
        """A copy of a file."""
        entry = self._entry(name)
        entry.size = path.stat().st_size
        with path.open("rb") as data:
            self._tar.addfile(entry, data)

    def link(self, name: str, target: str) -> None:
        """A symbolic link."""
        entry = self._entry(name)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self._tar.addfile(entry)


def pack(static: Path, shared: Path, soname: str, output: Path) -> Path:
    """Writes the tarball."""
    version, _ = versions()
    name = f"fluvio_cffi-c-{version}-linux-{platform.machine()}"
    path = output / f"{name}.tar.gz"
    with (
        path.open("wb") as file,
        gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        fill(Tarball(tar, name), static, shared, soname)
    return path


def fill(tarball: Tarball, static: Path, shared: Path, soname: str) -> None:
    """Puts everything in."""
    version, major = versions()
    for header in ("fluvio_cffi.h", "fluvio_cffi.hpp"):
        tarball.file(f"include/{header}", ROOT / "include" / header)
    tarball.file("lib/libfluvio_cffi.a", static)
    tarball.file(f"lib/libfluvio_cffi.so.{version}", shared)
    tarball.link(f"lib/{soname}", f"libfluvio_cffi.so.{version}")
    tarball.link("lib/libfluvio_cffi.so", soname)
    system = " ".join(SYSTEM)
    tarball.text("lib/pkgconfig/fluvio_cffi.pc", PKG_CONFIG.format(version=version, system=system))
    cmake = "lib/cmake/fluvio_cffi/fluvio_cffi-config"
    tarball.text(f"{cmake}.cmake", CMAKE.format(soname=soname, system=";".join(SYSTEM)))
    tarball.text(f"{cmake}-version.cmake", CMAKE_VERSION.format(version=version, major=major))
    tarball.file("share/doc/fluvio_cffi/c-abi.md", ROOT / "docs" / "c-abi.md")
    tarball.file("share/doc/fluvio_cffi/admin-json.md", ROOT / "docs" / "admin-json.md")
    tarball.file("share/doc/fluvio_cffi/LICENSE", ROOT / "LICENSE")
    for example in sorted((ROOT / "examples" / "c").iterdir()):
        tarball.file(f"share/doc/fluvio_cffi/examples/{example.name}", example)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--debug", action="store_true", help="without optimisation, to try it")
    parser.add_argument("--output", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    if sys.platform != "linux":
        sys.exit("the tarball for C is made on Linux only")
    arguments.output.mkdir(parents=True, exist_ok=True)
    soname = f"libfluvio_cffi.so.{versions()[1]}"
    static = archive(arguments.debug)
    with tempfile.TemporaryDirectory() as folder:
        shared = Path(folder) / soname
        link(static, shared, soname)
        print(pack(static, shared, soname, arguments.output))


if __name__ == "__main__":
    main()
