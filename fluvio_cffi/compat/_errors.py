"""What the old package raises: one class, and bare ``Exception`` while reading. Programs look at its words."""

from __future__ import annotations

import re
from types import TracebackType
from typing import Final

from fluvio_cffi import (
    ConfigTypeError,
    FluvioError,
    PartitionNotFoundError,
    SmartModuleNotFoundError,
    TopicNotFoundError,
)

_SMARTMODULE: Final = re.compile("SmartModule .+ was not found")


class FluviorError(Exception):
    """What went wrong, in ``args[0]``. ``__cause__`` is the :class:`fluvio_cffi.FluvioError`, if there is one, which
    says more: its class, ``code``, ``retriable``, ``outcome``."""


def text_of(error: FluvioError) -> str:
    """What the old package says of an error; of those of which programs expect no words, what this one says."""
    if isinstance(error, TopicNotFoundError) and error.topic is not None:
        return f"Topic not found: {error.topic}"
    if isinstance(error, PartitionNotFoundError) and error.topic is not None:
        return f"Partition not found: {error.topic}-{error.partition}"
    if isinstance(error, SmartModuleNotFoundError):
        found = _SMARTMODULE.search(str(error))
        return found[0] if found else "SmartModule not found"
    return str(error)


class Translation:
    """A block in which the errors of this library become those of the old one."""

    def __init__(self, words: dict[type[FluvioError], str] | None = None) -> None:
        """
        :param words: what is said of errors of these classes.
        """
        self._words = words or {}

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, FluvioError):
            raise self.of(error) from error

    def of(self, error: FluvioError) -> Exception:
        """The error of the old package. A wrong type is a ``TypeError`` there, too."""
        if isinstance(error, ConfigTypeError):
            return TypeError(str(error))
        return FluviorError(self._words.get(type(error)) or text_of(error))


translated: Final = Translation()
