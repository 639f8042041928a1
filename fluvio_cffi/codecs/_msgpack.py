"""MessagePack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic

from ._needed import needed

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    T = TypeVar("T", default=Any)
else:
    from typing import TypeVar

    T = TypeVar("T")


class MsgPack(Generic[T]):
    """MessagePack, of any type that ``msgspec`` knows, which checks what it reads. Needs ``msgspec``."""

    def __init__(self, type: type[T] | None = None, /) -> None:
        """
        :param type: what values are; left out: whatever there is in MessagePack.
        :raises ConfigError: ``msgspec`` is not installed.
        """
        msgspec = needed("msgspec.msgpack", "msgspec", "MsgPack")
        self._type = type
        self.encode: Callable[[T], bytes] = msgspec.Encoder().encode
        self.decode: Callable[[bytes], T] = msgspec.Decoder(Any if type is None else type).decode

    def __repr__(self) -> str:
        return "MsgPack()" if self._type is None else f"MsgPack({getattr(self._type, '__name__', self._type)})"
