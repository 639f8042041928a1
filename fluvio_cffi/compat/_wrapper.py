"""What most classes of the old package are: a name for an object of this library."""

from __future__ import annotations

from typing import Generic, TypeVar

InnerT = TypeVar("InnerT")


class Wrapper(Generic[InnerT]):
    """Stands for an object of this library."""

    __slots__ = ("_inner",)

    def __init__(self, inner: InnerT) -> None:
        self._inner: InnerT = inner


def inner_of(wrapper: Wrapper[InnerT]) -> InnerT:
    """What it stands for."""
    return wrapper._inner  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
