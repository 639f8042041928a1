"""What administration takes and tells."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from fluvio_cffi import Change, Partition, PartitionAssignment, SmartModuleInfo, Topic

from ._arguments import I32, U32, integer
from ._errors import translated

ItemT = TypeVar("ItemT")
NamedT = TypeVar("NamedT")


class PartitionMap:
    """Which SPUs hold a partition; the first leads it."""

    __slots__ = ("_inner",)

    _inner: PartitionAssignment

    def __init__(self, inner: PartitionAssignment) -> None:
        self._inner = inner

    @classmethod
    def new(cls, partition: int, replicas: list[int]) -> PartitionMap:
        """This partition, on these SPUs."""
        spus = tuple([integer(replica, "replicas", I32) for replica in replicas])
        with translated:
            return cls(PartitionAssignment(integer(partition, "partition", U32), spus))


def assignment_of(partition_map: PartitionMap) -> PartitionAssignment:
    """Which SPUs hold a partition, as this library has it."""
    return partition_map._inner  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


@dataclass(frozen=True)
class CreateRequest:
    """How something is created.

    :ivar timeout: milliseconds.
    """

    name: str
    dry_run: bool
    timeout: int | None


class CommonCreateRequest:
    """How something is created."""

    __slots__ = ("_inner",)

    _inner: CreateRequest

    def __init__(self, inner: CreateRequest) -> None:
        self._inner = inner

    @classmethod
    def new(cls, name: str, dry_run: bool, timeout: int | None) -> CommonCreateRequest:
        """
        :param name: of what is created.
        :param dry_run: only check whether it could be.
        :param timeout: milliseconds; ``None``: 30 s.
        """
        return cls(CreateRequest(name, dry_run, None if timeout is None else integer(timeout, "timeout", U32)))


def request_of(request: CommonCreateRequest) -> CreateRequest:
    """What a request says."""
    return request._inner  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class SmartModuleSpec:
    """The code of a SmartModule."""

    __slots__ = ("_inner",)

    _inner: bytes

    def __init__(self, inner: bytes) -> None:
        self._inner = inner

    @classmethod
    def new(cls, path: str) -> SmartModuleSpec:
        """The code in a file."""
        return cls(Path(path).read_bytes())


def code_of(spec: SmartModuleSpec) -> bytes:
    """The code."""
    return spec._inner  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class _Named(Generic[ItemT]):
    """An object of the cluster, of which the name is told."""

    __slots__ = ("_inner",)

    _inner: ItemT

    def __init__(self, inner: ItemT) -> None:
        self._inner = inner


class MetadataTopicSpec(_Named[Topic]):
    """A topic."""

    __slots__ = ()

    def name(self) -> str:
        """Its name."""
        return self._inner.name


class MetadataSmartModuleSpec(_Named[SmartModuleInfo]):
    """A SmartModule."""

    __slots__ = ()

    def name(self) -> str:
        """Its name."""
        return self._inner.name


class MetadataPartitionSpec(_Named[Partition]):
    """A partition."""

    __slots__ = ()

    def name(self) -> str:
        """``topic-partition``."""
        return f"{self._inner.topic}-{self._inner.partition}"


@dataclass(frozen=True)
class Message(Generic[ItemT]):
    """One change of one object."""

    deleted: bool
    item: ItemT


class _Messages(Generic[ItemT]):
    """One change of one object."""

    __slots__ = ("_inner",)

    _inner: Message[ItemT]

    def __init__(self, inner: Message[ItemT]) -> None:
        self._inner = inner

    def is_update(self) -> bool:
        """Whether it is new or has changed."""
        return not self._inner.deleted

    def is_delete(self) -> bool:
        """Whether it is gone."""
        return self._inner.deleted


class MessageMetadataTopicSpec(_Messages[Topic]):
    """One change of a topic."""

    __slots__ = ()

    def metadata_topic_spec(self) -> MetadataTopicSpec:
        """The topic; one that is gone as it was last."""
        return MetadataTopicSpec(self._inner.item)


class MessageMetadataSmartModuleSpec(_Messages[SmartModuleInfo]):
    """One change of a SmartModule."""

    __slots__ = ()

    def metadata_smart_module_spec(self) -> MetadataSmartModuleSpec:
        """The SmartModule; one that is gone as it was last."""
        return MetadataSmartModuleSpec(self._inner.item)


@dataclass(frozen=True)
class Update(Generic[ItemT]):
    """What a watch tells at once.

    :ivar epoch: rises by one with each of a watch, from 1.
    """

    change: Change[ItemT]
    epoch: int

    def all(self, named: Callable[[ItemT], NamedT]) -> list[NamedT]:
        """All objects, if it tells all."""
        return [named(item) for item in self._items("snapshot")]

    def changes(self, message: Callable[[Message[ItemT]], NamedT]) -> list[NamedT]:
        """What has changed, otherwise."""
        deleted = self.change.kind == "deleted"
        return [message(Message(deleted, item)) for item in self._items("updated", "deleted")]

    def _items(self, *kinds: str) -> Sequence[ItemT]:
        return self.change.items if self.change.kind in kinds else ()


class _MetaUpdate(Generic[ItemT]):
    __slots__ = ("_inner",)

    _inner: Update[ItemT]

    def __init__(self, inner: Update[ItemT]) -> None:
        self._inner = inner

    def epoch(self) -> int:
        """Rises with each update of a watch."""
        return self._inner.epoch


class MetaUpdateTopicSpec(_MetaUpdate[Topic]):
    """What a watch of topics tells: first all, then what changes."""

    __slots__ = ()

    def all(self) -> list[MetadataTopicSpec]:
        """All topics, if it tells all; else none."""
        return self._inner.all(MetadataTopicSpec)

    def changes(self) -> list[MessageMetadataTopicSpec]:
        """What has changed."""
        return self._inner.changes(MessageMetadataTopicSpec)


class MetaUpdateSmartModuleSpec(_MetaUpdate[SmartModuleInfo]):
    """What a watch of SmartModules tells: first all, then what changes."""

    __slots__ = ()

    def all(self) -> list[MetadataSmartModuleSpec]:
        """All SmartModules, if it tells all; else none."""
        return self._inner.all(MetadataSmartModuleSpec)

    def changes(self) -> list[MessageMetadataSmartModuleSpec]:
        """What has changed."""
        return self._inner.changes(MessageMetadataSmartModuleSpec)
