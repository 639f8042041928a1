"""What a watch tells."""

from __future__ import annotations

from typing import Generic, Literal, TypeAlias, TypeVar

from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish

ItemT = TypeVar("ItemT")


ChangeKind: TypeAlias = Literal["snapshot", "updated", "deleted"]


@value()
class Change(Generic[ItemT]):
    """What a watch tells.

    :ivar kind: ``"snapshot"``: these are all that there are; ``"updated"``: these are new or have changed;
        ``"deleted"``: these are gone, as they were last.
    :ivar items: the objects.
    """

    kind: ChangeKind
    items: tuple[ItemT, ...]


publish(__name__)
