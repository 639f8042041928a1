"""RUSTFLAGS for what is released: python tools/rust_flags.py

No path of the building machine gets into the library (panics say where they were raised), and so the same sources give
the same bytes in any folder. Cargo can be told so in a profile one day (``trim-paths``).
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import third_party


def released() -> str:
    """Those of the environment, and ours."""
    described = json.loads(third_party.cargo("metadata", "--format-version", "1"))
    folders = {Path(package["manifest_path"]).parent.parent for package in described["packages"] if package["source"]}
    # Cargo takes flags apart at spaces; what lies in such a folder keeps its path.
    ours = [f"--remap-path-prefix={folder}=/crates" for folder in sorted(folders) if " " not in str(folder)]
    return " ".join([os.environ.get("RUSTFLAGS", ""), *ours]).strip()


if __name__ == "__main__":
    print(released())
