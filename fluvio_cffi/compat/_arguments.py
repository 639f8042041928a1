"""Arguments as the old package takes them: whole numbers and bytes, checked when they are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias, TypeVar, cast

ItemT = TypeVar("ItemT")

Octets: TypeAlias = "bytes | bytearray | memoryview | Sequence[int]"
"""Bytes, or numbers from 0 to 255."""

U32: Final = (1 << 32) - 1
I32: Final = (1 << 31) - 1
U64: Final = (1 << 64) - 1


def octets(value: object, name: str) -> bytes:
    """Bytes, or a sequence of numbers from 0 to 255. A str is neither."""
    if type(value) is bytes:
        return value
    if isinstance(value, str):
        raise TypeError(f"argument '{name}': Can't extract `str` to `Vec`")
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, memoryview):
        return value.tobytes()
    if not isinstance(value, Sequence):
        raise _unfit(name, value, "cannot be converted to 'Sequence'")
    try:
        return bytes(cast("Sequence[int]", value))
    except ValueError as error:
        raise OverflowError("out of range integral type conversion attempted") from error


def integer(value: int, name: str, most: int, least: int = 0) -> int:
    """A whole number."""
    if not isinstance(value, int):
        raise _unfit(name, value, "cannot be interpreted as an integer")
    if not least <= value <= most:
        raise OverflowError(f"argument '{name}': {value} is out of range: {least} to {most} are allowed")
    return int(value)


def one_of(value: object, name: str, kind: type[ItemT]) -> ItemT:
    """An object of a class."""
    if not isinstance(value, kind):
        raise _unfit(name, value, f"cannot be converted to '{kind.__name__}'")
    return value


def _unfit(name: str, value: object, why: str) -> TypeError:
    return TypeError(f"argument '{name}': '{type(value).__name__}' object {why}")
