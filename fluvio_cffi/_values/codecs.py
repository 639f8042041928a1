"""What turns the values and keys of a program into bytes, and back."""

from __future__ import annotations

from collections.abc import Callable
from types import BuiltinFunctionType, MethodDescriptorType
from typing import Protocol, TypeVar

from fluvio_cffi._errors import ConfigTypeError

from .checks import kind

T = TypeVar("T")


class Codec(Protocol[T]):
    """Turns values into bytes and back. What it raises becomes the cause of an ``EncodeError`` or a ``DecodeError``."""

    def encode(self, value: T, /) -> bytes:
        """The bytes of a value."""
        ...

    def decode(self, data: bytes, /) -> T:
        """The value that has these bytes."""
        ...


def guarded(decode: Callable[[bytes], object]) -> Callable[[bytes], object]:
    """`decode`, which may raise anything: iterators would take a StopIteration for their end, and a record would be
    lost. What is written in C does not raise that."""
    if isinstance(decode, (BuiltinFunctionType, MethodDescriptorType)):
        return decode

    def decode_guarded(data: bytes) -> object:
        try:
            return decode(data)
        except StopIteration as error:
            raise RuntimeError("the codec raised StopIteration") from error

    return decode_guarded


def check_codec(codec: object, what: str) -> None:
    """Raises for what is no codec."""
    if not all(callable(getattr(codec, name, None)) for name in ("encode", "decode")) or isinstance(codec, (type, str)):
        advice = f": give one, such as {codec.__name__}()" if isinstance(codec, type) else ""
        raise ConfigTypeError(f"{what} must be a codec, such as fluvio_cffi.codecs.Json(), not {kind(codec)}{advice}")
