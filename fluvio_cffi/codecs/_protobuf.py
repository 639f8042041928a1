"""Protocol Buffers."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from fluvio_cffi._errors import ConfigTypeError
from fluvio_cffi._values.checks import kind


class _Message(Protocol):
    def SerializeToString(self) -> bytes: ...


M = TypeVar("M", bound=_Message)


class Protobuf(Generic[M]):
    """A message of Protocol Buffers, of the classes that ``protoc`` makes."""

    def __init__(self, message: type[M], /) -> None:
        """
        :param message: the class of the messages.
        """
        parse: Any = getattr(message, "FromString", None)
        if not isinstance(message, type) or parse is None:
            raise ConfigTypeError(f"message must be a class that protoc has made, not {kind(message)}")
        self._message = message
        self.decode: Any = parse

    def encode(self, value: M, /) -> bytes:
        """The bytes of a message."""
        if not isinstance(value, self._message):
            raise TypeError(f"it must be a {self._message.__name__}, not {kind(value)}")
        return value.SerializeToString()

    def __repr__(self) -> str:
        return f"Protobuf({self._message.__name__})"
