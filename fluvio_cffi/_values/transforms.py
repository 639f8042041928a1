"""Descriptions of SmartModules as the ``fluvio`` program takes them: files of transforms, steps, parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from fluvio_cffi._errors import ConfigError

from .checks import kind, number, shown, text, utf8, wrong_type, wrong_value

# As `humantime` has them, which the program uses.
_SECONDS: Final = {
    **dict.fromkeys(("nsec", "ns", "nanos"), 1e-9),
    **dict.fromkeys(("usec", "us", "micros"), 1e-6),
    **dict.fromkeys(("msec", "ms", "millis"), 1e-3),
    **dict.fromkeys(("seconds", "second", "secs", "sec", "s"), 1.0),
    **dict.fromkeys(("minutes", "minute", "mins", "min", "m"), 60.0),
    **dict.fromkeys(("hours", "hour", "hrs", "hr", "h"), 3600.0),
    **dict.fromkeys(("days", "day", "d"), 86_400.0),
    **dict.fromkeys(("weeks", "week", "wks", "wk", "w"), 604_800.0),
    **dict.fromkeys(("months", "month", "M"), 2_630_016.0),
    **dict.fromkeys(("years", "year", "yrs", "yr", "y"), 31_557_600.0),
}
_PART: Final = re.compile(r"\s*(\d+)\s*([A-Za-z]+)", re.ASCII)
_AN_AGE: Final = 'a time span such as "30s", "1h 30m" or "1w"'


def params_of(params: object, longest: int, most: int) -> dict[str, str]:
    """Parameters as the server takes them: by name, as text."""
    if not isinstance(params, Mapping):
        raise wrong_type("params", "a mapping", params)
    given = cast("Mapping[object, object]", params)
    if len(given) > most:
        raise ConfigError(f"params has {len(given)} entries: it may have {most}")
    texts: dict[str, str] = {}
    for name, value in given.items():
        texts[text(name, "the name of a parameter", empty=True)] = written = _param(str(name), value)
        for part, what in ((str(name), "the name of a parameter"), (written, f"params[{shown(name)}]")):
            length = len(utf8(part, what))
            if length > longest:
                raise ConfigError(f"{what} has {length} bytes: it may have {longest}")
    return texts


def _param(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    if isinstance(value, (list, tuple, Mapping)):
        try:
            return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False, default=dict)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"params[{shown(name)}] cannot be written as JSON: {error}") from error
    raise wrong_type(f"params[{shown(name)}]", "text, a number, a boolean, a list or a mapping", value)


def is_json(source: str) -> bool:
    """Whether it is a mapping or a list, as JSON writes them."""
    try:
        return isinstance(json.loads(source), (dict, list))
    except ValueError:
        return False


def document(path: Path, content: bytes) -> Mapping[str, object]:
    """What a file of transforms holds, YAML or JSON."""
    try:
        found: object = json.loads(content)
    except ValueError:
        found = _yaml(path, content)
    if not isinstance(found, Mapping):
        raise ConfigError(f"{str(path)!r} holds {kind(found)}: it must be a mapping with the key transforms")
    return cast("Mapping[str, object]", found)


def _yaml(path: Path, content: bytes) -> object:
    try:
        import yaml  # type: ignore[import-untyped, import-not-found, unused-ignore]  # pyright: ignore[reportMissingModuleSource, reportMissingImports]
    except ImportError:
        raise ConfigError(f"{str(path)!r} is no JSON, and YAML needs PyYAML: pip install pyyaml") from None
    try:
        return yaml.safe_load(content)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except yaml.YAMLError as error:  # pyright: ignore[reportUnknownMemberType]
        raise ConfigError(f"{str(path)!r} is neither JSON nor YAML: {error}") from error


def steps_of(source: Mapping[str, object]) -> list[object]:
    """The steps of a document of transforms."""
    steps: object = source.get("transforms")
    if not isinstance(steps, list):
        raise wrong_type("transforms", "a list of steps", steps)
    return cast("list[object]", steps)


def step(source: object, where: str) -> tuple[str, Mapping[str, object], tuple[int, float | None] | None]:
    """Name, parameters and lookback (records, seconds) of one step, given as a mapping or as JSON text."""
    if isinstance(source, str):
        try:
            source = json.loads(source)
        except ValueError as error:
            raise ConfigError(f"{where} is no JSON: {error}") from error
    if not isinstance(source, Mapping):
        raise wrong_type(where, "a mapping or JSON text", source)
    found = cast("Mapping[str, object]", source)
    if "uses" not in found:
        raise ConfigError(f"{where} has no key uses: it must name a SmartModule")
    params: object = found.get("with") or {}
    if not isinstance(params, Mapping):
        raise wrong_type(f"with of {where}", "a mapping", params)
    return text(found["uses"], f"uses of {where}"), cast("Mapping[str, object]", params), _lookback(found, where)


def _lookback(found: Mapping[str, object], where: str) -> tuple[int, float | None] | None:
    lookback: object = found.get("lookback")
    if lookback is None:
        return None
    if not isinstance(lookback, Mapping):
        raise wrong_type(f"lookback of {where}", "a mapping with last or age", lookback)
    given = cast("Mapping[str, object]", lookback)
    last = number(given.get("last", 0), f"last of {where}", 0, (1 << 63) - 1)
    age = given.get("age")
    return last, None if age is None else _seconds(text(age, f"age of {where}"), f"age of {where}")


def _seconds(span: str, name: str) -> float:
    """The seconds of a time span."""
    total, at = 0.0, 0
    while at < len(span.rstrip()):
        part = _PART.match(span, at)
        if part is None or part[2] not in _SECONDS:
            raise wrong_value(name, span, _AN_AGE)
        total += float(part[1]) * _SECONDS[part[2]]
        at = part.end()
    return total
