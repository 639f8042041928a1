"""Arguments and options that several commands have, and the types of their values."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click
from click.shell_completion import CompletionItem

from .output import FORMATS
from .settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

# As the `fluvio` program's libraries have them, `humantime` and `bytesize`.
_SECONDS: Final = {
    **dict.fromkeys(("usec", "us"), 1e-6),
    **dict.fromkeys(("msec", "ms"), 1e-3),
    **dict.fromkeys(("", "seconds", "second", "secs", "sec", "s"), 1.0),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), 3600.0),
    **dict.fromkeys(("days", "day", "d"), 86_400.0),
    **dict.fromkeys(("weeks", "week", "w"), 604_800.0),
    **dict.fromkeys(("years", "year", "y"), 31_557_600.0),
}
_BYTES: Final = {
    "": 1,
    **{f"{letter}{tail}": 1024 ** (power + 1) for power, letter in enumerate("kmgt") for tail in ("", "i", "ib")},
    **{f"{letter}b": 1000 ** (power + 1) for power, letter in enumerate("kmgt")},
    "b": 1,
}
_PART: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.ASCII)


def seconds_of(text: str) -> float | None:
    """The seconds of a time span such as ``"500ms"`` or ``"2d 10s"``; ``None``: it is none."""
    total, at = 0.0, 0
    while at < len(text):
        part = _PART.match(text.lower(), at)
        if part is None or part[2] not in _SECONDS:
            return None
        total += float(part[1]) * _SECONDS[part[2]]
        at = part.end()
    return total if text.strip() else None


def bytes_of(text: str) -> int | None:
    """The bytes of a size such as ``"2048"``, ``"2 Ki"`` or ``"10 MiB"``; ``None``: it is none."""
    part = _PART.fullmatch(text.lower())
    return None if part is None or part[2] not in _BYTES else int(float(part[1]) * _BYTES[part[2]])


class _Span(click.ParamType[float]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} must be a time span such as 500ms, 30s, 12h, 7d or '2d 10s'", param, ctx)
        return seconds


class _Size(click.ParamType[int]):
    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        size = bytes_of(str(value))
        if size is None:
            self.fail(f"{value!r} must be a number of bytes, or such as 16KiB, 10MiB or '2 Ki'", param, ctx)
        return size


class _Pair(click.ParamType[tuple[str, str]]):
    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        key, sign, content = str(value).partition("=")
        if not sign:
            self.fail(f"{value!r} must be of the form key=value", param, ctx)
        return key, content


class _Isolation(click.ParamType[str]):
    name = "isolation"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        plain = str(value).lower().replace("_", "").replace("-", "")
        known = {"readcommitted": "read_committed", "readuncommitted": "read_uncommitted"}
        if plain not in known:
            self.fail(f"{value!r} must be read_committed or read_uncommitted", param, ctx)
        return known[plain]


class _Name(click.ParamType[str]):
    """The name of something, which the shell completes. What names there are is asked for when it does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        from .completion import items

        return items(ctx, self.name, incomplete)


SPAN: Final = _Span()
SIZE: Final = _Size()
PAIR: Final = _Pair()
ISOLATION: Final = _Isolation()
TOPIC: Final = _Name("topic")
PROFILE: Final = _Name("profile")
SMARTMODULE: Final = _Name("smartmodule")
CONSUMER: Final = _Name("consumer")
TABLE_FORMAT: Final = _Name("table-format")
FILE: Final = click.Path(exists=True, dir_okay=False)
COUNT: Final = click.IntRange(min=1)
OFFSET: Final = click.IntRange(min=0)
PARTITION: Final = click.IntRange(min=0)
CODEC: Final = click.Choice(("none", "gzip", "snappy", "lz4", "zstd"), case_sensitive=False)


def _set_output(context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        context.find_object(Settings).output = value  # type: ignore[union-attr]


def output(function: F) -> F:
    """Gives a command ``-O``."""
    return click.option(
        "-O",
        "--output",
        "_output",
        type=click.Choice(FORMATS, case_sensitive=False),
        callback=_set_output,
        expose_value=False,
        help="How to write it (default: table).",
    )(function)
