"""Packages that modules of this one are for, and that may not be there."""

from __future__ import annotations

from importlib import import_module


def need(module: str, package: str, extra: str, who: str) -> None:
    """Imports a module of a package that `who` is for.

    :raises ImportError: it is not installed; the message says what to install.
    """
    try:
        import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{who} needs the package {package}, which is not installed: pip install 'fluvio_cffi[{extra}]'",
            name=module,
        ) from error
