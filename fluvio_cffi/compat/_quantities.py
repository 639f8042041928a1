"""Sizes and times as text, as the package ``humanfriendly`` reads them, on which the old package is built."""

from __future__ import annotations

import re
import sys
from typing import Final

_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(\D*?)\s*")
_SIZES: Final = "kmgtpezy"
_TIMES: Final = {
    ("ns", "nanosecond", "nanoseconds"): 1e-9,
    ("us", "microsecond", "microseconds"): 1e-6,
    ("ms", "millisecond", "milliseconds"): 1e-3,
    ("s", "sec", "secs", "second", "seconds"): 1.0,
    ("m", "min", "mins", "minute", "minutes"): 60.0,
    ("h", "hour", "hours"): 3600.0,
    ("d", "day", "days"): 86400.0,
    ("w", "week", "weeks"): 604800.0,
    ("y", "year", "years"): 31449600.0,
}
_SECONDS: Final = {name: seconds for names, seconds in _TIMES.items() for name in names}


class InvalidSize(Exception):
    """The text is no size. Where ``humanfriendly`` is loaded, its own class of this name is raised instead."""


class InvalidTimespan(Exception):
    """The text is no time. Where ``humanfriendly`` is loaded, its own class of this name is raised instead."""


def parse_size(size: str, base: int) -> int:
    """Bytes of a size.

    :param base: what the units are powers of.
    :raises InvalidSize: it is none.
    """
    match = _QUANTITY.fullmatch(size)
    factor = _factor(match[2].lower(), base) if match else None
    if match is None or factor is None:
        raise _invalid(InvalidSize)(f"Failed to parse size! (input {size!r} is no number with a unit, such as '10MB')")
    return int(float(match[1]) * factor) if "." in match[1] else int(match[1]) * factor


def parse_timespan(timespan: str) -> float:
    """Seconds of a time such as ``"1h"`` or ``"2 weeks"``.

    :raises InvalidTimespan: it is none.
    """
    match = _QUANTITY.fullmatch(timespan)
    seconds = _SECONDS.get(match[2].lower() or "s") if match else None
    if match is None or seconds is None:
        raise _invalid(InvalidTimespan)(
            f"Failed to parse timespan! (input {timespan!r} is no number with a unit, such as '30s')"
        )
    return float(match[1]) * seconds


def _factor(unit: str, base: int) -> int | None:
    """How many bytes a unit has, of which the first letter counts; ``None``: it is no unit."""
    first = unit[:1]
    if first in ("", "b"):
        return 1
    return base ** (_SIZES.index(first) + 1) if first in _SIZES else None


def _invalid(own: type[Exception]) -> type[Exception]:
    """Whoever catches the exception of ``humanfriendly`` has loaded it."""
    humanfriendly = sys.modules.get("humanfriendly")
    theirs: object = getattr(humanfriendly, own.__name__, None)
    return theirs if isinstance(theirs, type) and issubclass(theirs, Exception) else own
