"""What the library does, in Python's own `logging`: docs/logging.md.

It needs no call: with the first client warnings and errors come to the loggers ``fluvio_cffi.native.*``, and more when
their levels, or those above them, ask for more.
"""

from __future__ import annotations

import logging
from typing import Final

from fluvio_cffi._errors import ConfigError, ConfigTypeError
from fluvio_cffi._native.logs import ROOT, TARGETS
from fluvio_cffi._native.logs import TRACE as _TRACE
from fluvio_cffi._native.logs import logs as _logs
from fluvio_cffi._native.process import process
from fluvio_cffi._values.checks import kind
from fluvio_cffi._values.quantities import Duration, parse_duration

__all__ = ["LOGGERS", "TRACE", "disable", "dropped", "enable", "flush"]

TRACE: Final = _TRACE
"""The level below ``logging.DEBUG`` at which each request that carries records is said: 5."""

LOGGERS: Final = tuple(f"{ROOT}.{target}" for target in TARGETS)
"""The names of the loggers that the library's lines go to."""


def enable(level: int | str | None = None) -> None:
    """The library's lines come to the loggers from now on, which is so from the beginning; after :func:`disable` again.

    The thread that brings them begins with the first client, or at once if there was one. Any thread.

    :param level: set for the logger ``fluvio_cffi.native``, above all of them: a number or a name of `logging`, or
        ``"TRACE"``. ``None``: levels stay as they are.
    :raises ConfigError: it is no level.
    """
    if level is not None:
        _set_level(level)
    _logs.enabled = True
    if process.connected and not process.orphaned:
        _logs.begin()


def disable() -> None:
    """Nothing comes to the loggers any more, and the library does not even put it into words. What was said before is
    handed on first, for up to a second. Any thread."""
    _logs.enabled = False
    _logs.end()


def dropped() -> int:
    """How many lines this process has dropped, since 4,096 waited for handlers that were too slow. Any thread."""
    reader = _logs.reader
    return _logs.dropped + (reader.dropped if reader is not None else 0)


def flush(timeout: Duration = 1.0) -> bool:
    """Waits until what was said before was handed to the loggers; for tests, since that is done by a thread.

    Blocks the thread that calls, which is no matter of more than milliseconds where handlers are quick. Any thread.

    :param timeout: how long, at most.
    :returns: whether that is so. Not while a handler calls this.
    """
    longest = parse_duration(timeout, "timeout")
    reader = _logs.reader
    return True if reader is None else reader.flush(longest)


def _set_level(level: object) -> None:
    if not isinstance(level, (int, str)) or isinstance(level, bool):
        raise ConfigTypeError(f"level must be an int or a str, not {kind(level)}")
    name = level.upper() if isinstance(level, str) else level
    try:
        logging.getLogger(ROOT).setLevel(TRACE if name == "TRACE" else name)
    except ValueError:
        raise ConfigError(f'level is {level!r}: it must be a level of logging, such as "DEBUG", or "TRACE"') from None
