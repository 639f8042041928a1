"""Times: an aware ``datetime``, or milliseconds since the epoch."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Final, TypeAlias

from fluvio_cffi._errors import ConfigError

from .checks import number

Timestamp: TypeAlias = int | datetime
"""Milliseconds since the epoch, or an aware ``datetime``, which is cut to milliseconds."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MOST: Final = (1 << 63) - 1


def to_milliseconds(time: object, name: str) -> int:
    """A time in milliseconds since the epoch, checked.

    :raises ConfigError: it is neither an int nor an aware ``datetime``, or lies before the epoch.
    """
    if isinstance(time, datetime):
        if time.utcoffset() is None:
            raise ConfigError(
                f"{name} is a datetime without a time zone: it must have one, such as datetime.now(timezone.utc)"
            )
        time = (time - _EPOCH) // _MILLISECOND
    return number(time, f"{name}, in milliseconds since the epoch,", 0, _MOST)


def to_datetime(milliseconds: int) -> datetime:
    """The same time as an aware ``datetime``, in UTC.

    :raises OverflowError: it lies beyond the year 9999.
    """
    return _EPOCH + timedelta(milliseconds=milliseconds)
