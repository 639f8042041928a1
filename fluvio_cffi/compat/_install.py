"""This package under the name of the old one."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Final

_NAME: Final = "fluvio"
_OURS: Final = __name__.rpartition(".")[0]
_SUBMODULES: Final = ("cloud", "record", "specs", "topic", "utils")


def install() -> None:
    """From now on ``import fluvio``, and of its submodules, gives this package, in this process. Calling it twice is
    fine.

    :raises RuntimeError: the package ``fluvio`` is imported already: what it has given out would not fit.
    """
    ours = import_module(_OURS)
    there = sys.modules.get(_NAME)
    if there is not None and there is not ours and hasattr(there, "Fluvio"):
        raise RuntimeError(f"{_NAME} is imported already, from {there.__file__}: call install() before")
    for name in _SUBMODULES:
        sys.modules[f"{_NAME}.{name}"] = import_module(f"{_OURS}.{name}")
    sys.modules[_NAME] = ours
