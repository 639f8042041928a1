"""JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Generic

from ._needed import needed

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")


class Json(Generic[T]):
    """JSON: of any type that ``msgspec`` knows (its ``Struct``, dataclasses, typed dicts, ...), which checks what it
    reads; or whatever ``json`` of the standard library knows. With ``msgspec`` installed both are read by that, in C.

    For models of pydantic there is :class:`Pydantic`.
    """

    def __init__(self, type: type[T] | None = None, /) -> None:
        """
        :param type: what values are; left out: whatever there is in JSON.
        :raises ConfigError: `type` is given, and ``msgspec`` is not installed.
        """
        self._type = type
        self.encode: Callable[[T], bytes]
        self.decode: Callable[[bytes], T]
        if type is None and find_spec("msgspec") is None:
            self.encode, self.decode = _encode, json.loads
        else:
            msgspec = needed("msgspec.json", "msgspec", "Json(type)")
            self.encode, self.decode = msgspec.Encoder().encode, msgspec.Decoder(Any if type is None else type).decode

    def __repr__(self) -> str:
        return "Json()" if self._type is None else f"Json({getattr(self._type, '__name__', self._type)})"


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
