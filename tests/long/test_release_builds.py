"""Whole builds: of the wheel once more in another folder, and of a wheel from the source distribution alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from laws import long_only

ROOT = Path(__file__).resolve().parents[2]

pytestmark = [long_only, pytest.mark.timeout(3600)]


def test_another_folder_gives_the_same_bytes() -> None:
    wheels = list((ROOT / "dist").glob("*-linux_*.whl"))
    if not wheels:
        pytest.skip("the wheel itself is not in dist/")
    subprocess.run([str(ROOT / "tools" / "reproduce.sh"), str(wheels[0].relative_to(ROOT))], check=True)


def test_source_distribution_builds_without_a_network(tmp_path: Path) -> None:
    python = str(ROOT / ".venv" / "bin" / "python")
    command = [python, "setup.py", "--quiet", "sdist", "--vendor", "--dist-dir", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    (sdist,) = tmp_path.glob("*.tar.gz")
    subprocess.run([str(ROOT / "tools" / "test-sdist.sh"), str(sdist)], check=True)
