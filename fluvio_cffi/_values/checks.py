"""Arguments are checked when they are given. A message names the argument, its value and what is allowed.

Of what may be a payload, or a secret, it names the type alone.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from typing import Final, TypeVar

from fluvio_cffi._errors import ConfigError, ConfigTypeError

ItemT = TypeVar("ItemT")

_SHOWN: Final = 40


def shown(value: object) -> str:
    """A value for a message: of numbers and text what is short, of all else its type."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r}... ({len(value)} characters)"
    if value is None or isinstance(value, (int, float)):
        try:
            digits = repr(value)
        except ValueError:
            return "an int of thousands of digits"
        return digits if len(digits) <= _SHOWN else f"{digits[:_SHOWN]}..."
    return kind(value)


def kind(value: object) -> str:
    """The type of a value for a message."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None:
        return "None"
    name = type(value).__name__
    if name == "bytes":
        return name
    if isinstance(value, Coroutine):
        return f"a {name}: await it first"
    return f"{'an' if name[:1] in 'AEIOUaeiou' else 'a'} {name}"


def wrong_type(name: str, allowed: str, value: object) -> ConfigTypeError:
    """The error for an argument of a type that is not taken."""
    return ConfigTypeError(f"{name} must be {allowed}, not {shown(value)}")


def wrong_value(name: str, value: object, allowed: str) -> ConfigError:
    """The error for an argument that is of the right type, but not allowed."""
    return ConfigError(f"{name} is {shown(value)}: it must be {allowed}")


def text(value: object, name: str, *, empty: bool = False, path: bool = False) -> str:
    """A string that UTF-8 can hold; a path need not."""
    if not isinstance(value, str):
        raise wrong_type(name, "a str", value)
    if not value and not empty:
        raise ConfigError(f"{name} is empty: it must have at least one character")
    if not path:
        utf8(value, name)
    return value


def utf8(value: str, name: str) -> bytes:
    """A string as it goes over the wire."""
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise not_utf8(name, error) from None


def not_utf8(name: str, error: UnicodeEncodeError) -> ConfigError:
    """The error for a string that cannot be encoded. The codec's own message would contain it."""
    return ConfigError(f"{name} is a str with a character at {error.start} that UTF-8 does not have: {error.reason}")


def number(value: object, name: str, least: int, most: int) -> int:
    """An int."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type(name, "an int", value)
    if not least <= value <= most:
        raise wrong_value(name, value, f"from {least} to {most}" if least < most else f"{most}")
    return value


def flag(value: object, name: str) -> bool:
    """True or false; nothing else counts as one of them, least of all text such as ``"no"``."""
    if not isinstance(value, bool):
        raise wrong_type(name, "True or False", value)
    return value


def choice(value: object, name: str, choices: tuple[str, ...]) -> int:
    """The index of one of a few strings."""
    allowed = " or ".join(map(repr, choices))
    if not isinstance(value, str):
        raise wrong_type(name, allowed, value)
    if value not in choices:
        raise wrong_value(name, value, allowed)
    return choices.index(value)


def instance(value: object, name: str, *kinds: type) -> None:
    """An instance of one of these."""
    if not isinstance(value, kinds):
        raise wrong_type(name, " or ".join(each.__name__ for each in kinds), value)


def several(value: object, name: str, item: type[ItemT]) -> tuple[ItemT, ...]:
    """An iterable of such instances."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise wrong_type(name, f"several {item.__name__}", value)
    items: tuple[object, ...] = tuple(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    for each in items:
        instance(each, name, item)
    return items  # type: ignore[return-value]  # pyright: ignore[reportReturnType]
