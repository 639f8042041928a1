"""What clients, producers and consumers have in common as objects that must be closed."""

from __future__ import annotations

import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar, Final, Generic, NoReturn, TypeVar
from weakref import WeakValueDictionary

from fluvio_cffi._errors import ConfigTypeError, UsageError

T = TypeVar("T")

_PARTS: Final = 3

logger: Final = logging.getLogger("fluvio_cffi")


class Forgettable:
    """An object that warns when it is forgotten unclosed."""

    __slots__ = ("_excused", "_made")

    def __init__(self) -> None:
        self._excused = False
        self._made: list[str] | None = traceback.format_stack()[:-2] if sys.flags.dev_mode else None

    def _excuse(self) -> None:
        """It need not be closed: what becomes of it when it is forgotten is what its owner wants."""
        self._excused = True

    def _forgotten(self, what: str, *, warn: Callable[..., None] = warnings.warn) -> None:
        """Warns that the object was garbage-collected unclosed. When the interpreter ends, the modules that this needs
        may be empty by then: so it keeps what it calls, and so do finalizers."""
        if self._excused:
            return
        message = f"unclosed {what}"
        if self._made:
            message += "; it was made here (most recent call last):\n" + "".join(self._made).rstrip()
        warn(message, ResourceWarning, stacklevel=3, source=self)


class Closeable:
    """An object that is to be closed and cannot be pickled."""

    __slots__ = ()

    _opened: ClassVar[str]

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object: it holds connections of this process")

    if not TYPE_CHECKING:  # to a type checker it has only what fits it

        def __new__(cls, *made: object, **_: object) -> Closeable:
            # The library makes it of more than anybody else can have.
            if len(made) < _PARTS:
                raise ConfigTypeError(f"{cls.__name__} is not made by itself: open it with {cls._opened}")
            return object.__new__(cls)

        def __enter__(self) -> NoReturn:
            raise UsageError(f"{type(self).__name__} is asynchronous: use `async with`, and not `with`")

        def __exit__(self, *_: object) -> None: ...

        async def __aenter__(self) -> NoReturn:
            raise UsageError(f"{type(self).__name__} is synchronous: use `with`, or the class with Async in its name")

        async def __aexit__(self, *_: object) -> None: ...


class Members(Generic[T]):
    """Objects that are known as long as they live. They may come and go while they are gone through."""

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: WeakValueDictionary[int, T] = WeakValueDictionary()

    def add(self, member: T) -> None:
        """One more."""
        self._members[id(member)] = member

    def discard(self, member: T) -> None:
        """It does not belong to them any more, if it did."""
        self._members.pop(id(member), None)

    def __iter__(self) -> Iterator[T]:
        """Those that are known now."""
        members = [reference() for reference in self._members.valuerefs()]
        return iter([member for member in members if member is not None])
