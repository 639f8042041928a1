"""RUSTFLAGS and CFLAGS for what is released: eval "$(python tools/release_flags.py)"

No path of the building machine gets into the library (panics say where they were raised), and so the same sources give
the same bytes in any folder. Cargo can be told so in a profile one day (``trim-paths``).

Of the compressor of zstd only what level 1 needs is built: batches are packed at no other, by us (rust-ffi/wire) and by
the official crates. The rest would be 115 kB of the wheel for each of its two files. At a higher level zstd would take
the fastest search as well. What others have packed, at whatever level, is unpacked by code that is all there.
"""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import third_party

SLOWER_SEARCHES = ("DFAST", "GREEDY", "LAZY", "LAZY2", "BTLAZY2", "BTOPT", "BTULTRA")
"""How zstd looks for repetitions at higher levels; its makefile leaves them out by COMPRESSORS_DFAST_AND_UP."""


def released() -> dict[str, str]:
    """The two variables: what the environment has in them, and ours."""
    return {"RUSTFLAGS": _with("RUSTFLAGS", _paths()), "CFLAGS": _with("CFLAGS", _smallest_zstd())}


def _with(variable: str, ours: list[str]) -> str:
    return " ".join([os.environ.get(variable, ""), *ours]).strip()


def _smallest_zstd() -> list[str]:
    return [f"-DZSTD_EXCLUDE_{search}_BLOCK_COMPRESSOR" for search in SLOWER_SEARCHES]


def _paths() -> list[str]:
    described = json.loads(third_party.cargo("metadata", "--format-version", "1"))
    folders = {Path(package["manifest_path"]).parent.parent for package in described["packages"] if package["source"]}
    # Cargo takes flags apart at spaces; what lies in such a folder keeps its path.
    return [f"--remap-path-prefix={folder}=/crates" for folder in sorted(folders) if " " not in str(folder)]


if __name__ == "__main__":
    print("export", *(f"{variable}={shlex.quote(flags)}" for variable, flags in released().items()))
