"""What clients, producers and consumers have in common as objects that must be closed."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from typing import Final, NoReturn

logger: Final = logging.getLogger("fluvio_cffi")


class Closeable:
    """An object that is to be closed, cannot be pickled, and warns when it is forgotten."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: list[str] | None = traceback.format_stack()[:-2] if sys.flags.dev_mode else None

    def _forgotten(self, what: str) -> None:
        """Warns that the object was garbage-collected unclosed."""
        message = f"unclosed {what}"
        if self._made:
            message += "; it was made here (most recent call last):\n" + "".join(self._made).rstrip()
        warnings.warn(message, ResourceWarning, stacklevel=3, source=self)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it holds connections of this process")
