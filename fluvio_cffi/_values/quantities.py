"""How sizes, durations and time-outs are written, ``"10MiB"`` and ``"7d"``, and the deadlines that they make."""

from __future__ import annotations

import math
import re
from time import monotonic
from types import EllipsisType
from typing import Final, TypeAlias

from .checks import wrong_type, wrong_value

Timeout: TypeAlias = float | EllipsisType | None
"""Seconds; ``...`` (left out): the documented default; ``None``: no limit; ``0``: only what is there now."""

Size: TypeAlias = int | str
"""Bytes, or text such as ``"16KiB"``, ``"10MiB"``, ``"1GB"``."""

Duration: TypeAlias = float | str
"""Seconds, or text such as ``"500ms"``, ``"30s"``, ``"12h"``, ``"7d"``."""

CONNECT_TIMEOUT: Final = 10.0
CLOSE_TIMEOUT: Final = 5.0

_UNITS_OF_SIZE: Final = {
    "": 1,
    "b": 1,
    "k": 1 << 10,
    "kib": 1 << 10,
    "kb": 1000,
    "m": 1 << 20,
    "mib": 1 << 20,
    "mb": 1000**2,
    "g": 1 << 30,
    "gib": 1 << 30,
    "gb": 1000**3,
    "t": 1 << 40,
    "tib": 1 << 40,
    "tb": 1000**4,
}
_UNITS_OF_TIME: Final = {"": 1.0, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_UNITS_OF_TIME_LONG: Final = {"w": 604800.0, "y": 31536000.0}
_A_SIZE: Final = 'a number of bytes, or text such as "512KiB" or "10MiB"'
_A_DURATION: Final = 'a number of seconds, or text with a unit, such as "500ms", "30s", "12h" or "7d"'
_QUANTITY: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)


def parse_size(value: Size, name: str = "size") -> int:
    """Bytes of a size: an ``int``, or text with one of the units B, KB, MB, GB, TB (powers of 1000), KiB, MiB, GiB, TiB
    (powers of 1024; short: K, M, G, T).

    :raises ConfigError: for anything else; it names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise wrong_type(name, _A_SIZE, value)
    if isinstance(value, int):
        size = value
    else:
        match = _QUANTITY.fullmatch(value.lower())
        unit = _UNITS_OF_SIZE.get(match[2]) if match else None
        if match is None or unit is None:
            raise wrong_value(name, value, _A_SIZE)
        size = int(float(match[1]) * unit)
    if size < 0:
        raise wrong_value(name, value, "0 or more")
    return size


def parse_duration(value: Duration, name: str = "duration") -> float:
    """Seconds of a duration: a number, or text with one of the units us, ms, s, m, h, d, w, y.

    :raises ConfigError: for anything else; it names the argument.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise wrong_type(name, _A_DURATION, value)
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value.lower())
        unit = (_UNITS_OF_TIME | _UNITS_OF_TIME_LONG).get(match[2]) if match else None
        if match is None or unit is None:
            raise wrong_value(name, value, _A_DURATION)
        seconds = float(match[1]) * unit
    else:
        seconds = float(value)
    if not 0 <= seconds < math.inf:
        raise wrong_value(name, value, "a finite number of seconds, not negative")
    return seconds


def parse_timeout(value: Timeout, default: float | None, name: str = "timeout") -> float | None:
    """Seconds of a time-out, or ``None`` for no limit."""
    if value is ...:
        return default
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise wrong_type(name, "a number of seconds, such as 2.5, or None for no limit", value)
    if not value >= 0:
        raise wrong_value(name, value, "0 or more seconds, or None for no limit")
    return None if value == math.inf else float(value)


def limit(value: Duration, name: str) -> float:
    """A time-out that must be positive, in seconds."""
    seconds = parse_duration(value, name)
    if seconds <= 0:
        raise wrong_value(name, value, "more than 0 seconds")
    return seconds


def ending(limit: float | None) -> float | None:
    """The deadline of a wait that may take `limit` seconds."""
    return None if limit is None else monotonic() + limit


def left(deadline: float | None) -> float | None:
    """The seconds until a deadline, not negative."""
    return None if deadline is None else max(deadline - monotonic(), 0.0)
