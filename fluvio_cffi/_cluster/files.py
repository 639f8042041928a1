"""The temporary directory of a cluster that was given none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from typing import Final

# The file that the owner of a temporary directory keeps locked: see rust-ffi/cluster/src/temporary.rs.
_OWNER: Final = "owner"


def claim(directory: str) -> int:
    """Marks a temporary directory as one of this process, for as long as it lives: a descriptor to be kept open.

    The file gets its name only once it is locked: nobody takes the directory for left while it is being made.
    """
    fresh = os.path.join(directory, f"{_OWNER}.new")
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.rename(fresh, os.path.join(directory, _OWNER))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def remove(directory: str) -> None:
    """Removes a temporary directory, as far as that is possible."""
    with contextlib.suppress(OSError):
        # An empty one goes also where no descriptor is left.
        return os.rmdir(directory)
    # Last of all what shows that it is left: a kill may come in between.
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            _remove(entry)
    shutil.rmtree(directory, ignore_errors=True)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    elif entry.name != _OWNER:
        os.unlink(entry.path)
