"""Packages that codecs need, and that may not be there."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fluvio_cffi._errors import ConfigError


def needed(module: str, package: str, codec: str) -> Any:
    """The module of a package.

    :raises ConfigError: it is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        extra = f"pip install {package}, or fluvio_cffi[codecs]"
        raise ConfigError(f"{codec} needs the package {package}, which is not installed: {extra}") from error
