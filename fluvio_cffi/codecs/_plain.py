"""Codecs that need nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from fluvio_cffi._errors import ConfigTypeError
from fluvio_cffi._values.checks import kind

T = TypeVar("T")

# A codec whose functions are attributes has no `__slots__`: pyright would take what they name for methods.


class Raw:
    """Bytes as they are."""

    __slots__ = ()

    def encode(self, value: bytes, /) -> bytes:
        """The same."""
        return _exactly(value, bytes)

    def decode(self, data: bytes, /) -> bytes:
        """The same."""
        return data

    def __repr__(self) -> str:
        return "Raw()"


class Text:
    """Text as UTF-8."""

    def __init__(self) -> None:
        self.decode: Callable[[bytes], str] = bytes.decode

    def encode(self, value: str, /) -> bytes:
        """UTF-8."""
        return _exactly(value, str).encode()

    def __repr__(self) -> str:
        return "Text()"


class Callables(Generic[T]):
    """Any two functions."""

    def __init__(self, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        """
        :param encode: makes bytes of a value.
        :param decode: makes a value of bytes.
        """
        for function, name in ((encode, "encode"), (decode, "decode")):
            if not callable(function):
                raise ConfigTypeError(f"{name} must be a function, not {kind(function)}")
        self.encode: Callable[[T], bytes] = encode
        self.decode: Callable[[bytes], T] = decode

    def __repr__(self) -> str:
        return f"Callables({self.encode!r}, {self.decode!r})"


def _exactly(value: T, cls: type[T]) -> T:
    if not isinstance(value, cls):
        raise TypeError(f"it must be {cls.__name__}, not {kind(value)}")
    return value
