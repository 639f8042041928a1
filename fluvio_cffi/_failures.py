"""What errors say, where several places raise the same."""

from __future__ import annotations

import errno
from typing import Final

from ._errors import FluvioError, FluvioTimeoutError, Phase, ResourceError

_TIMEOUTS: dict[Phase | None, str] = {
    "connect": "connecting took too long",
    "enqueue": "there was no room in the producer's buffer in time",
    "wait": "the record was not acknowledged in time; it goes on",
    "delivery": "the record was not acknowledged within the delivery time-out",
    "flush": "the flush did not end in time; what is queued goes on",
    "read": "no record came in time",
    "commit": "the commit did not end in time",
    "admin": "the administrative call did not end in time",
    "close": "closing did not end in time",
}


_EXHAUSTED = frozenset(
    getattr(errno, name)
    for name in ("EMFILE", "ENFILE", "EAGAIN", "ENOMEM", "ENOBUFS", "ENOSPC", "EDQUOT", "EFBIG")
    if hasattr(errno, name)
)


def os_failure(cause: OSError, message: str, otherwise: type[FluvioError]) -> FluvioError:
    """The exception for what the operating system refused: :class:`ResourceError` if it has no more of something, else
    one of another class."""
    error = (ResourceError if cause.errno in _EXHAUSTED else otherwise)(message)
    error.__cause__ = cause
    return error


def timed_out(phase: Phase | None, what: str | None = None) -> FluvioTimeoutError:
    """The error for a deadline that passed in `phase`."""
    return FluvioTimeoutError(what or _TIMEOUTS.get(phase, "a deadline passed"), phase=phase)


LONGEST: Final = 300
_GAP: Final = " ... "


def brief(text: str, most: int = LONGEST) -> str:
    """A message of at most that many characters, as the library's own are: the middle of a longer one is left out."""
    if len(text) <= most:
        return text
    tail = (most - len(_GAP)) // 2
    return f"{text[: most - len(_GAP) - tail]}{_GAP}{text[-tail:]}"
