"""The programs that the README and the pages of docs/ show are as well typed as those of users are to be.

Each Python block becomes a file, `page_line.py`, which mypy and basedpyright look at.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
BLOCK: Final = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Fixtures whose types pytest knows need no annotation to be used, and examples are short.
MYPY: Final = ["--strict", "--allow-untyped-defs", "--allow-incomplete-defs", "--no-error-summary"]
# What no one can help who uses packages without complete types is not asked for.
PYRIGHT: Final = {"typeCheckingMode": "standard", "reportMissingModuleSource": False, "extraPaths": [str(ROOT)]}


def write_blocks(folder: Path) -> list[str]:
    """The names of the files, one for each block."""
    names = []
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 1
            names.append(f"{page.stem.replace('-', '_')}_{line}.py")
            (folder / names[-1]).write_text(block[1], encoding="utf-8")
    return names


def main() -> int:
    """Returns the exit code."""
    folder_of_tools = Path(sys.executable).parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = write_blocks(folder)
        (folder / "pyrightconfig.json").write_text(json.dumps(PYRIGHT), encoding="utf-8")
        cache = str(ROOT / ".mypy_cache" / "docs")
        mypy = ["mypy", *MYPY, "--python-executable", sys.executable, "--cache-dir", cache, *files]
        pyright = ["basedpyright", "--pythonpath", sys.executable, "-p", name]
        surroundings = {**os.environ, "MYPYPATH": str(ROOT)}
        codes = [
            subprocess.run([folder_of_tools / tool, *arguments], cwd=folder, env=surroundings, check=False).returncode
            for tool, *arguments in (mypy, pyright)
        ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
