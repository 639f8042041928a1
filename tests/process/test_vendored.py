"""The package where no installer has put it: in a folder of a program's own, in an archive, in a frozen program."""

from __future__ import annotations

import importlib.machinery
import runpy
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import _cffi_backend

import fluvio_cffi
from fluvio_cffi import LocalCluster
from fluvio_cffi._native.loader import native_path

PACKAGE = Path(fluvio_cffi.__file__).parent

SEND = """
import sys
from fluvio_cffi import Fluvio
with Fluvio.connect(sys.argv[1]) as client:
    client.admin.topics.create("vendored", exist_ok=True)
    with client.producer("vendored") as producer:
        assert producer.send("x").offset >= 0
print(sys.modules["fluvio_cffi"].__file__)
"""


def copy_package(folder: Path) -> None:
    unwanted = shutil.ignore_patterns("__pycache__", "bin")
    shutil.copytree(PACKAGE, folder / "fluvio_cffi", ignore=unwanted, copy_function=shutil.copy)
    if not (folder / "fluvio_cffi" / Path(native_path()).name).exists():
        shutil.copy(native_path(), folder / "fluvio_cffi")


def run(*command: str) -> str:
    ended = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, ""), ended
    return ended.stdout.strip()


def copy_backend(folder: Path) -> None:
    """All of cffi that is needed when it runs."""
    spec = _cffi_backend.__spec__
    assert spec is not None and isinstance(spec.loader, importlib.machinery.ExtensionFileLoader)
    origin = Path(spec.loader.path)
    shutil.copy(origin, folder / origin.name)
    # The libraries that the wheel of cffi has beside it.
    for beside in origin.parent.glob("cffi.libs"):
        shutil.copytree(beside, folder / beside.name)


def test_vendored_without_site(tmp_path: Path, cluster: LocalCluster) -> None:
    copy_package(tmp_path)
    copy_backend(tmp_path)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SEND}"
    assert run("-I", "-S", "-c", code, cluster.endpoint) == str(tmp_path / "fluvio_cffi" / "__init__.py")


def test_zipapp(tmp_path: Path, cluster: LocalCluster) -> None:
    """The library comes out of the archive; cffi cannot, and lies beside."""
    source, beside, program = tmp_path / "source", tmp_path / "beside", tmp_path / "app.pyz"
    source.mkdir()
    beside.mkdir()
    copy_package(source)
    copy_backend(beside)
    (source / "__main__.py").write_text(f"import sys; sys.path.append({str(beside)!r})\n{SEND}", encoding="utf-8")
    zipapp.create_archive(source, program)
    where = run("-I", "-S", str(program), cluster.endpoint)
    assert where == str(program / "fluvio_cffi" / "__init__.py")


def test_archive_without_the_library(tmp_path: Path) -> None:
    source, program = tmp_path / "source", tmp_path / "app.pyz"
    source.mkdir()
    copy_package(source)
    (source / "fluvio_cffi" / Path(native_path()).name).unlink()
    copy_backend(tmp_path)
    (source / "__main__.py").write_text(f"import sys; sys.path.append({str(tmp_path)!r})\n{SEND}", encoding="utf-8")
    zipapp.create_archive(source, program)
    ended = subprocess.run([sys.executable, "-I", "-S", program], capture_output=True, text=True, timeout=60)
    assert "ImportError: the native library cannot be loaded: " in ended.stderr
    assert ended.stderr.splitlines()[-1].endswith(f"{Path(native_path()).name}'") or str(program) in ended.stderr


def test_hook_of_pyinstaller() -> None:
    """It names the library, the program, and every module, as those that are imported late are not seen."""
    hook = runpy.run_path(str(PACKAGE / "__pyinstaller" / "hook-fluvio_cffi.py"))
    binaries = {Path(source).name: target for source, target in hook["binaries"]}
    if Path(native_path()).parent == PACKAGE:
        assert binaries[Path(native_path()).name] == "fluvio_cffi"
    assert binaries.get("fluvio-cffi-cluster", "fluvio_cffi/bin") == "fluvio_cffi/bin"
    hidden = set(hook["hiddenimports"])
    assert {"_cffi_backend", "fluvio_cffi", "fluvio_cffi._backends.trio", "fluvio_cffi._sync.client"} <= hidden
    assert not [
        name for name in hidden if "__pyinstaller" in name or "._cli." in f"{name}." or name.endswith("__init__")
    ]


def test_pyinstaller_finds_the_hook() -> None:
    from fluvio_cffi.__pyinstaller import get_hook_dirs

    (folder,) = get_hook_dirs()
    assert Path(folder, "hook-fluvio_cffi.py").is_file()
