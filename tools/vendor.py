"""Puts the sources of all crates that are built in into a source distribution: python tools/vendor.py FOLDER

FOLDER is the unpacked distribution. Cargo then takes the crates from there, and nothing from a network. It also wants
to see the manifests of crates that no supported platform builds, those for Windows above all; of these nothing else is
kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import third_party

TARGETS = (
    "aarch64-apple-darwin",
    "aarch64-unknown-linux-gnu",
    "aarch64-unknown-linux-musl",
    "x86_64-apple-darwin",
    "x86_64-unknown-linux-gnu",
    "x86_64-unknown-linux-musl",
)


def vendor(folder: Path) -> None:
    """Vendors the crates of Cargo.lock into rust-ffi/vendor, and tells cargo so."""
    crates = "rust-ffi/vendor"
    command = [
        third_party.CARGO,
        "vendor",
        "--locked",
        "--versioned-dirs",
        "--manifest-path",
        "rust-ffi/Cargo.toml",
        crates,
    ]
    settings = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    (folder / ".cargo").mkdir()
    (folder / ".cargo" / "config.toml").write_text(settings, encoding="utf-8")
    wanted = {key.replace(" ", "-") for target in TARGETS for key in third_party.used(target, "normal,build")}
    for crate in (folder / crates).iterdir():
        if crate.name not in wanted:
            strip(crate)


def strip(crate: Path) -> None:
    """Leaves the manifest, and an empty library where cargo looks for one."""
    for path in crate.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in ("Cargo.toml", ".cargo-checksum.json"):
            path.unlink()
    (crate / "src").mkdir()
    (crate / "src" / "lib.rs").touch()


if __name__ == "__main__":
    vendor(Path(sys.argv[1]).resolve())
