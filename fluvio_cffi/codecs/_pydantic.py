"""Models of pydantic."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from ._needed import needed

T = TypeVar("T")


class Pydantic(Generic[T]):
    """A model of pydantic, or any type that it knows, as JSON; checked when it is read. Needs ``pydantic`` 2."""

    __slots__ = ("_adapter", "_type")

    def __init__(self, type: type[T], /) -> None:
        """
        :param type: what values are.
        :raises ConfigError: ``pydantic`` is not installed.
        """
        self._type = type
        self._adapter: Any = needed("pydantic", "pydantic", "Pydantic").TypeAdapter(type)

    def encode(self, value: T, /) -> bytes:
        """JSON. A value of another type is an error."""
        data: bytes = self._adapter.dump_json(value, warnings="error")
        return data

    def decode(self, data: bytes, /) -> T:
        """A value, checked."""
        value: T = self._adapter.validate_json(data)
        return value

    def __repr__(self) -> str:
        return f"Pydantic({getattr(self._type, '__name__', self._type)})"
