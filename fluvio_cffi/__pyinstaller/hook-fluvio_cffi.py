"""What PyInstaller cannot see: the native library, the program of the embedded cluster, and modules that are imported
when they are first used."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parent.parent

binaries = [
    (str(path), "fluvio_cffi") for path in PACKAGE.glob("*fluvio_cffi.*") if path.suffix in (".so", ".dylib", ".dll")
]
binaries += [(str(path), "fluvio_cffi/bin") for path in PACKAGE.glob("bin/*")]

# Not the command line, nor what it imports.
LEFT_OUT = {"__pyinstaller", "_cli", "__main__"}
modules = [path.relative_to(PACKAGE.parent).with_suffix("") for path in PACKAGE.rglob("*.py")]
hiddenimports = ["_cffi_backend"]
hiddenimports += [
    ".".join(module.parts).removesuffix(".__init__") for module in modules if not LEFT_OUT & set(module.parts)
]
