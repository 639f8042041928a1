"""What the wheel holds, and what importing it costs."""

from __future__ import annotations

import email
import importlib.metadata
import json
import os
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fluvio_cffi
import fluvio_cffi_flv

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(fluvio_cffi.__file__).parent
INSTALLED = ROOT not in PACKAGE.parents or "site-packages" in PACKAGE.parts
LIBRARY = {"darwin": "libfluvio_cffi.dylib", "win32": "fluvio_cffi.dll"}.get(sys.platform, "libfluvio_cffi.so")

installed = pytest.mark.skipif(not INSTALLED, reason="these are the files of a checkout, not of the wheel")


def python(code: str, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, **environment},
    )


def test_native_files_are_there() -> None:
    assert (PACKAGE / LIBRARY).is_file()
    assert (PACKAGE / "_binding.py").is_file()
    assert (PACKAGE / "py.typed").is_file()
    program = PACKAGE / "bin" / "fluvio-cffi-cluster"
    assert program.stat().st_mode & stat.S_IXUSR


def test_program_runs() -> None:
    program = str(PACKAGE / "bin" / "fluvio-cffi-cluster")
    version = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    assert fluvio_cffi.__version__ in version.stdout
    text = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10, check=True).stdout
    for flag in ("--data-dir", "--host", "--port", "--spu-port", "--end-with-stdin", "--write-like-real"):
        assert flag in text


@installed
def test_wheel_serves_every_python_of_the_platform() -> None:
    text = importlib.metadata.distribution("fluvio_cffi").read_text("WHEEL")
    assert text is not None
    wheel = email.message_from_string(text)
    python_tag, abi, platform = wheel["Tag"].split("-")
    assert (python_tag, abi) == ("py3", "none")
    assert platform != "any"
    assert wheel["Root-Is-Purelib"] == "false"


@installed
def test_wheel_holds_the_package_and_nothing_else() -> None:
    files = importlib.metadata.files("fluvio_cffi")
    assert files is not None
    names = {str(file) for file in files if "__pycache__" not in str(file)}
    programs = {name for name in names if name.startswith("..")}
    assert {Path(name).stem for name in programs} == {"flv"}
    names -= programs
    assert all(
        name.startswith(("fluvio_cffi/", "fluvio_cffi-", "fluvio_cffi_flv.py", "pytest_fluvio_cffi.py"))
        for name in names
    ), names
    assert {name for name in names if not name.endswith(".py") and ".dist-info/" not in name} == {
        "fluvio_cffi/_binding.pyi",
        "fluvio_cffi/py.typed",
        f"fluvio_cffi/{LIBRARY}",
        "fluvio_cffi/bin/fluvio-cffi-cluster",
    }
    for name in ("licenses/LICENSE", "licenses/THIRD-PARTY-NOTICES.txt", "sboms/fluvio_cffi.cdx.json"):
        assert any(file.endswith(f".dist-info/{name}") for file in names)


@installed
def test_metadata() -> None:
    metadata = importlib.metadata.metadata("fluvio_cffi")
    assert metadata["Version"] == fluvio_cffi.__version__
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("License-File") == ["LICENSE", "THIRD-PARTY-NOTICES.txt"]
    needed = [line for line in importlib.metadata.requires("fluvio_cffi") or [] if "extra ==" not in line]
    assert needed == ["cffi>=1.16"]


@installed
def test_wheel_is_small() -> None:
    wheels = list((ROOT / "dist").glob("*.whl"))
    if not wheels:
        pytest.skip("the wheel itself is not in dist/")
    assert max(wheel.stat().st_size for wheel in wheels) <= 8_000_000


@installed
def test_wheel_says_what_is_in_it() -> None:
    distribution = importlib.metadata.distribution("fluvio_cffi")
    sbom = json.loads(distribution.read_text("sboms/fluvio_cffi.cdx.json") or "")
    assert sbom["metadata"]["component"]["version"] == fluvio_cffi.__version__
    named = {f"{crate['name']} {crate['version']}" for crate in sbom["components"] if "cargo" in crate["purl"]}
    assert {name.split()[0] for name in named} > {"fluvio", "ring", "rustls", "tokio", "wasmi", "zstd-sys"}
    notices = distribution.read_text("licenses/THIRD-PARTY-NOTICES.txt") or ""
    assert set(re.findall(r"^(\S+ [\d.]+\S*): \S", notices, re.MULTILINE)) == named


@installed
def test_native_files_name_no_folder_of_the_building_machine() -> None:
    for file in (PACKAGE / LIBRARY, PACKAGE / "bin" / "fluvio-cffi-cluster"):
        paths = re.findall(rb"/[\w./-]*(?:registry/src|\.cargo|home/|tmp/)[\w./-]*\.(?:rs|c|h|S)\b", file.read_bytes())
        assert not paths


def test_one_version_everywhere() -> None:
    cargo = re.search(r'^version = "(.+)"$', (ROOT / "rust-ffi" / "Cargo.toml").read_text(), re.MULTILINE)
    project = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert cargo is not None
    assert project is not None
    assert cargo[1] == project[1] == fluvio_cffi.__version__ == fluvio_cffi_flv.VERSION
    assert f"## [{project[1]}]" in (ROOT / "CHANGELOG.md").read_text()


def test_import_loads_neither_adapters_nor_optional_packages() -> None:
    code = "import sys, fluvio_cffi; print([n for n in ('trio', 'anyio', 'uvloop', 'sniffio') if n in sys.modules])"
    assert python(code).stdout.strip() == "[]"


def test_import_leaves_administration_for_later() -> None:
    """It is a good half of the package, and half of the time that the import takes. Of the rest one kind is loaded."""
    code = (
        "import sys, fluvio_cffi\n"
        "objects = [n for n in sys.modules if n.startswith('fluvio_cffi._admin.objects')]\n"
        "print('Topic' in vars(fluvio_cffi), objects, 'Topic' in dir(fluvio_cffi))\n"
        "print(fluvio_cffi.Topic, fluvio_cffi.AsyncTopics, 'AsyncTopics' in vars(fluvio_cffi))\n"
        "print([n for n in sys.modules if n.startswith('fluvio_cffi._admin.objects.')])\n"
    )
    assert python(code).stdout.splitlines() == [
        "False [] True",
        "<class 'fluvio_cffi.Topic'> <class 'fluvio_cffi.AsyncTopics'> True",
        str([f"fluvio_cffi._admin.objects.{kind}" for kind in ("common", "topics")]),
    ]
    assert not hasattr(fluvio_cffi, "Topick")


@pytest.mark.parametrize(
    ("client", "half", "other"), [("AsyncFluvio", "_async", "_sync"), ("Fluvio", "_sync", "_async")]
)
def test_import_of_one_half_leaves_the_other_for_later(client: str, half: str, other: str) -> None:
    code = (
        "import sys, fluvio_cffi\n"
        "def loaded(half): return any(n.startswith('fluvio_cffi.' + half) for n in sys.modules)\n"
        f"print(loaded('{half}'), loaded('{other}'))\n"
        f"from fluvio_cffi import {client}\n"
        f"print({client}, loaded('{half}'), loaded('{other}'), '{client}' in vars(fluvio_cffi))\n"
    )
    assert python(code).stdout.splitlines() == ["False False", f"<class 'fluvio_cffi.{client}'> True False True"]


def test_import_starts_nothing() -> None:
    code = (
        "import os, threading, fluvio_cffi\n"
        "print(len(os.listdir('/proc/self/task')), threading.active_count(), len(os.listdir('/proc/self/fd')))\n"
    )
    plain = python(code.replace(", fluvio_cffi", ""))
    assert python(code).stdout == plain.stdout


def test_library_can_be_named() -> None:
    library = PACKAGE / LIBRARY
    assert python("import fluvio_cffi; print('ok')", FLUVIO_CFFI_LIBRARY=str(library)).stdout == "ok\n"
    with pytest.raises(subprocess.CalledProcessError) as failure:
        python("import fluvio_cffi", FLUVIO_CFFI_LIBRARY="/does/not/exist.so")
    assert "/does/not/exist.so" in failure.value.stderr


def test_library_needs_only_system_libraries() -> None:
    if sys.platform != "linux":
        pytest.skip("reads ELF files")
    for file in (PACKAGE / LIBRARY, PACKAGE / "bin" / "fluvio-cffi-cluster"):
        needed = subprocess.run(["ldd", str(file)], capture_output=True, text=True, timeout=10, check=True).stdout
        names = {line.split()[0].rpartition("/")[2] for line in needed.splitlines()}
        known = r"(linux-vdso|linux-gate|libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux.*|ld64|ld-musl.*)\.so.*"
        assert all(re.fullmatch(known, name) for name in names), needed


def test_cdef_drops_what_only_compilers_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    build_binding = pytest.importorskip("build_binding")
    header = (
        "#ifndef X\n#define X 1 \\\n   + 2\n# include <stdint.h>\n"
        '#ifdef __cplusplus\nextern "C" {\n#endif // __cplusplus\n'
        "int f(void);\n"
        "#ifdef __cplusplus\n}\n#endif\n#endif\n"
    )
    assert build_binding.declarations(header).split() == ["int", "f(void);"]


def test_progress_says_what_failed() -> None:
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "progress.py"), "doing it", "sh", "-c", "echo the reason; exit 3"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 3
    assert "the reason" in result.stdout
    assert "failed with status 3" in result.stdout
    assert time.monotonic() - started < 10
