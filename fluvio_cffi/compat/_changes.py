"""What administration takes and tells, of which the old package has no classes that could hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from fluvio_cffi import Change

from ._wrapper import Wrapper

ItemT = TypeVar("ItemT")


@dataclass(frozen=True)
class CreateRequest:
    """How something is created.

    :ivar timeout: milliseconds; ``None``: 30 s.
    """

    name: str
    dry_run: bool
    timeout: int | None


@dataclass(frozen=True)
class Message(Generic[ItemT]):
    """One change of one object."""

    deleted: bool
    item: ItemT


@dataclass(frozen=True)
class Update(Generic[ItemT]):
    """What a watch tells at once.

    :ivar epoch: rises by one with each of a watch, from 1.
    """

    change: Change[ItemT]
    epoch: int

    def items(self) -> Sequence[ItemT]:
        """All objects, if it tells all."""
        return self.change.items if self.change.kind == "snapshot" else ()

    def messages(self) -> list[Message[ItemT]]:
        """What has changed, otherwise."""
        if self.change.kind == "snapshot":
            return []
        return [Message(self.change.kind == "deleted", item) for item in self.change.items]


class MessageWrapper(Wrapper[Message[ItemT]], Generic[ItemT]):
    """One change of one object."""

    __slots__ = ()

    def is_update(self) -> bool:
        """Whether it is new or has changed."""
        return not self._inner.deleted

    def is_delete(self) -> bool:
        """Whether it is gone."""
        return self._inner.deleted


class UpdateWrapper(Wrapper[Update[ItemT]], Generic[ItemT]):
    """What a watch tells at once."""

    __slots__ = ()

    def epoch(self) -> int:
        """Rises with each update of a watch, from 1."""
        return self._inner.epoch
