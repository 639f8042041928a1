"""How a class is made public that is loaded later than the package."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def public(cls: T) -> T:
    """The class, which says that it is of ``fluvio_cffi``: where it is defined is nobody's business, and pickles
    outlive it."""
    cls.__module__ = "fluvio_cffi"
    return cls
