"""Programs that PyInstaller makes, without an option for this package: its hook is found by the wheel's entry point."""

from __future__ import annotations

import shutil
import subprocess
import venv
from importlib import metadata
from pathlib import Path

import pytest
from laws import long_only

import fluvio_cffi

PYINSTALLER = "pyinstaller==6.22.3"
PROGRAM = """
import asyncio
from fluvio_cffi import *

async def main(endpoint):
    async with AsyncFluvio.connect(endpoint) as client, client.producer("t") as producer:
        print((await producer.send("x")).offset)

with LocalCluster() as cluster:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("t")
    asyncio.run(main(cluster.endpoint))
"""

pytestmark = [
    pytest.mark.timeout(900),
    long_only,
]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python of its own with PyInstaller and the package that is tested."""
    folder = tmp_path_factory.mktemp("frozen")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    wanted = [PYINSTALLER, f"cffi=={metadata.version('cffi')}"]
    installed = subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], capture_output=True, text=True)
    if installed.returncode != 0:
        pytest.skip(f"PyInstaller cannot be installed: {installed.stderr.strip().splitlines()[-1]}")
    (site,) = folder.glob("lib/python*/site-packages")
    shutil.copytree(Path(fluvio_cffi.__file__).parent, site / "fluvio_cffi")
    about = site / "fluvio_cffi-0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: fluvio_cffi\nVersion: 0\n", encoding="utf-8")
    hook = "[pyinstaller40]\nhook-dirs = fluvio_cffi.__pyinstaller:get_hook_dirs\n"
    (about / "entry_points.txt").write_text(hook, encoding="utf-8")
    return python


@pytest.mark.parametrize("kind", ["onefile", "onedir"])
def test_program(python: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "app.py").write_text(PROGRAM, encoding="utf-8")
    make = [str(python), "-m", "PyInstaller", f"--{kind}", "--log-level", "ERROR", "app.py"]
    subprocess.run(make, cwd=tmp_path, check=True, env={"PATH": "/usr/bin:/bin"}, timeout=400)
    program = tmp_path / "dist" / ("app" if kind == "onefile" else "app/app")
    ended = subprocess.run([program], capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin"})
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "0\n", "")
