"""What administration takes and tells."""

from __future__ import annotations

from pathlib import Path

from fluvio_cffi import Partition, PartitionAssignment, SmartModuleInfo, Topic

from ._arguments import I32, U32, integer
from ._changes import CreateRequest, MessageWrapper, UpdateWrapper
from ._errors import translated
from ._wrapper import Wrapper


class PartitionMap(Wrapper[PartitionAssignment]):
    """Which SPUs hold a partition; the first leads it."""

    __slots__ = ()

    @classmethod
    def new(cls, partition: int, replicas: list[int]) -> PartitionMap:
        """This partition, on these SPUs."""
        spus = tuple([integer(replica, "replicas", I32) for replica in replicas])
        with translated:
            return cls(PartitionAssignment(integer(partition, "partition", U32), spus))


class CommonCreateRequest(Wrapper[CreateRequest]):
    """How something is created."""

    __slots__ = ()

    @classmethod
    def new(cls, name: str, dry_run: bool, timeout: int | None) -> CommonCreateRequest:
        """
        :param name: of what is created.
        :param dry_run: only check whether it could be.
        :param timeout: milliseconds; ``None``: 30 s.
        """
        return cls(CreateRequest(name, dry_run, None if timeout is None else integer(timeout, "timeout", U32)))


class SmartModuleSpec(Wrapper[bytes]):
    """The code of a SmartModule."""

    __slots__ = ()

    @classmethod
    def new(cls, path: str) -> SmartModuleSpec:
        """The code in a file."""
        return cls(Path(path).read_bytes())


class MetadataTopicSpec(Wrapper[Topic]):
    """A topic."""

    __slots__ = ()

    def name(self) -> str:
        """Its name."""
        return self._inner.name


class MetadataSmartModuleSpec(Wrapper[SmartModuleInfo]):
    """A SmartModule."""

    __slots__ = ()

    def name(self) -> str:
        """Its name."""
        return self._inner.name


class MetadataPartitionSpec(Wrapper[Partition]):
    """A partition."""

    __slots__ = ()

    def name(self) -> str:
        """``topic-partition``."""
        return f"{self._inner.topic}-{self._inner.partition}"


class MessageMetadataTopicSpec(MessageWrapper[Topic]):
    """One change of a topic."""

    __slots__ = ()

    def metadata_topic_spec(self) -> MetadataTopicSpec:
        """The topic; one that is gone as it was last."""
        return MetadataTopicSpec(self._inner.item)


class MessageMetadataSmartModuleSpec(MessageWrapper[SmartModuleInfo]):
    """One change of a SmartModule."""

    __slots__ = ()

    def metadata_smart_module_spec(self) -> MetadataSmartModuleSpec:
        """The SmartModule; one that is gone as it was last."""
        return MetadataSmartModuleSpec(self._inner.item)


class MetaUpdateTopicSpec(UpdateWrapper[Topic]):
    """What a watch of topics tells: first all, then what changes."""

    __slots__ = ()

    def all(self) -> list[MetadataTopicSpec]:
        """All topics, if it tells all; else none."""
        return [MetadataTopicSpec(topic) for topic in self._inner.items()]

    def changes(self) -> list[MessageMetadataTopicSpec]:
        """What has changed."""
        return [MessageMetadataTopicSpec(message) for message in self._inner.messages()]


class MetaUpdateSmartModuleSpec(UpdateWrapper[SmartModuleInfo]):
    """What a watch of SmartModules tells: first all, then what changes."""

    __slots__ = ()

    def all(self) -> list[MetadataSmartModuleSpec]:
        """All SmartModules, if it tells all; else none."""
        return [MetadataSmartModuleSpec(module) for module in self._inner.items()]

    def changes(self) -> list[MessageMetadataSmartModuleSpec]:
        """What has changed."""
        return [MessageMetadataSmartModuleSpec(message) for message in self._inner.messages()]
