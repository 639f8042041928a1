"""How what a caller makes of administration's objects is checked, and set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fluvio_cffi._values.checks import shown, text, wrong_type, wrong_value
from fluvio_cffi._values.quantities import Duration, Size, parse_duration, parse_size

U16: Final = (1 << 16) - 1
U32: Final = (1 << 32) - 1
I32: Final = (1 << 31) - 1
U64: Final = (1 << 64) - 1


def optional_text(value: object, name: str) -> str | None:
    """A string, which may be empty, or ``None``."""
    return None if value is None else text(value, name, empty=True)


def size(value: Size | None, name: str, most: int) -> int | None:
    """Bytes, at most that many, or ``None``."""
    if value is None:
        return None
    parsed = parse_size(value, name)
    if parsed > most:
        raise wrong_value(name, value, f"at most {most} bytes")
    return parsed


def seconds(value: Duration | None, name: str) -> int | None:
    """Whole seconds, as the cluster counts them, or ``None``."""
    if value is None:
        return None
    parsed = parse_duration(value, name)
    if not 1 <= parsed <= U32:
        raise wrong_value(name, value, "at least one second and at most 136 years")
    return int(parsed)


def texts(value: Mapping[str, str], name: str) -> dict[str, str]:
    """Strings by their names."""
    if not isinstance(value, Mapping):
        raise wrong_type(name, "a mapping of str to str", value)
    for key, item in value.items():
        text(key, f"a key of {name}")
        text(item, f"{name}[{shown(key)}]", empty=True)
    return dict(value)


def address(value: str, name: str) -> tuple[str, int]:
    """The host and the port of ``"host:port"``."""
    host, colon, port = value.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= U16:
        raise wrong_value(name, value, '"host:port"')
    return host, int(port)


def assign(instance: object, **values: object) -> None:
    """Sets attributes of a frozen instance, whether or not they are set."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)
