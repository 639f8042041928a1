"""Makes of a wheel one that depends on nothing but what is in it: python tools/wheel_files.py [--smallest] WHEEL...

The order of the files, their times and their modes are the same wherever and whenever it was built. Time is that of
SOURCE_DATE_EPOCH, if it is set. The smallest wheel takes half a minute: zopfli looks longer for what can be left out.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import zipfile
from importlib import import_module
from pathlib import Path
from unittest import mock

TIME = 1580601600
"""2020-02-02, as other builders have it: the format knows no time before 1980, and no zone."""


class Zopfli:
    """A compressor of one file, as zipfile wants it. It knows none but its own, and asks for those by a function."""

    def __init__(self, *_: object) -> None:
        self._data = bytearray()

    def compress(self, data: bytes) -> bytes:
        """Takes data."""
        self._data += data
        return b""

    def flush(self) -> bytes:
        """All of it, without what zlib puts around it."""
        compressed: bytes = import_module("zopfli.zlib").compress(bytes(self._data), numiterations=5)
        return compressed[2:-4]


def settle(wheel: Path, smallest: bool = False) -> None:
    """Writes it anew, in its place."""
    when = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", TIME)))[:6]
    settled = wheel.with_suffix(".settled")
    compressor = mock.patch("zipfile._get_compressor", Zopfli) if smallest else contextlib.nullcontext()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(settled, "w") as new, compressor:
        # What describes the wheel stands last, as installers expect.
        for entry in sorted(old.infolist(), key=lambda entry: (".dist-info/" in entry.filename, entry.filename)):
            copy = zipfile.ZipInfo(entry.filename, when)
            copy.create_system = 3
            executable = entry.external_attr >> 16 & 0o100
            copy.external_attr = (0o100755 if executable else 0o100644) << 16
            new.writestr(copy, old.read(entry), zipfile.ZIP_DEFLATED, compresslevel=9)
    settled.replace(wheel)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        if name != "--smallest":
            settle(Path(name), smallest="--smallest" in sys.argv)
