"""For PyInstaller, which finds this by its entry point: what a program needs of this package beside its modules."""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Where the hooks are."""
    return [str(Path(__file__).parent)]
