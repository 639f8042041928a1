"""Topics, and what they mirror."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal, TypeAlias

from fluvio_cffi._admin.checks import I32, U32, U64, assign, seconds, size
from fluvio_cffi._admin.document import named, tagged
from fluvio_cffi._admin.value import value
from fluvio_cffi._errors import ConfigError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import choice, flag, instance, number, several, text, wrong_type
from fluvio_cffi._values.quantities import Duration, Size
from fluvio_cffi._values.records import Compression

from .common import Deduplication, HomePartition, RemotePartition

TopicResolution: TypeAlias = Literal[
    "init", "pending", "insufficient_resources", "invalid_config", "provisioned", "deleting"
]


@value()
class PartitionAssignment:
    """Which SPUs hold a partition of a topic that is laid out by hand; the first is the preferred leader."""

    partition: int
    replicas: tuple[int, ...]

    def __post_init__(self) -> None:
        number(self.partition, "partition", 0, U32)
        assign(self, replicas=several(self.replicas, "replicas", int))
        for spu in self.replicas:
            number(spu, "an SPU in replicas", 0, I32)


@tagged("home")
@value(init=False)
class HomeMirror:
    """What a topic of a home cluster mirrors: it has one partition for each remote cluster.

    :param partitions: what each partition mirrors; a ``str`` is the name of a remote cluster.
    :param source: whether records go from here to the remote clusters, rather than from there to here.
    """

    partitions: tuple[HomePartition, ...]
    source: bool

    def __init__(self, partitions: Sequence[HomePartition | str], *, source: bool = False) -> None:
        if isinstance(partitions, str):
            raise wrong_type("partitions", "several HomePartition or names", partitions)
        made = [HomePartition(item) if isinstance(item, str) else item for item in partitions]
        assign(self, partitions=several(made, "partitions", HomePartition), source=flag(source, "source"))


@value()
class HomeSpu:
    """An SPU of a home cluster, as a remote cluster knows it.

    :param id: its number there.
    :param key: its name there.
    :param endpoint: its ``host:port``.
    """

    id: int
    key: str
    endpoint: str

    def __post_init__(self) -> None:
        number(self.id, "id", 0, I32)
        text(self.key, "key")
        text(self.endpoint, "endpoint")


@tagged("remote")
@value()
class RemoteMirror:
    """What a topic of a remote cluster mirrors: it has one partition for each SPU of the home cluster that takes its
    records.

    :param home_cluster: the home cluster's name.
    :param home_spus: the SPUs there.
    :param target: whether records come from the home cluster to here, rather than go there.
    """

    home_cluster: str
    home_spus: tuple[HomeSpu, ...]
    target: bool = False

    def __post_init__(self) -> None:
        text(self.home_cluster, "home_cluster")
        assign(self, home_spus=several(self.home_spus, "home_spus", HomeSpu), target=flag(self.target, "target"))


@value(init=False)
class TopicSpec:
    """What a topic is to be.

    :param partitions: how many partitions.
    :param replication: how many SPUs hold each.
    :param ignore_rack: whether replicas may share a rack.
    :param assignment: which SPUs hold which partition; then `partitions` and `replication` follow from it.
    :param mirror: it mirrors topics of other clusters; then its partitions follow from that.
    :param retention: how long records are kept, at least: seconds or text such as ``"7d"``; ``None``: the cluster's
        default. Kept as whole seconds.
    :param segment_size: bytes of one file of the log; ``None``: the cluster's default.
    :param max_partition_size: bytes of one partition, at most, about; ``None``: the cluster's default.
    :param compression: which codecs producers may use: ``"any"``, or the only one that is allowed.
    :param deduplication: how repeated records are dropped; ``None``: they are kept.
    :param system: whether it is one of the cluster's own.
    """

    partitions: int
    replication: int
    ignore_rack: bool
    assignment: tuple[PartitionAssignment, ...] | None
    mirror: HomeMirror | RemoteMirror | None
    retention: int | None = field(metadata=named("retention_seconds"))
    segment_size: int | None
    max_partition_size: int | None
    compression: Compression
    deduplication: Deduplication | None
    system: bool

    def __init__(
        self,
        partitions: int = 1,
        *,
        replication: int = 1,
        ignore_rack: bool = False,
        assignment: Sequence[PartitionAssignment] | None = None,
        mirror: HomeMirror | RemoteMirror | None = None,
        retention: Duration | None = None,
        segment_size: Size | None = None,
        max_partition_size: Size | None = None,
        compression: Compression = "any",
        deduplication: Deduplication | None = None,
        system: bool = False,
    ) -> None:
        number(partitions, "partitions", 1, U32)
        number(replication, "replication", 1, U32)
        choice(compression, "compression", ("any", "none", "gzip", "snappy", "lz4", "zstd"))
        if assignment is not None and mirror is not None:
            raise ConfigError("assignment and mirror are both given: a topic has one of them")
        if mirror is not None:
            instance(mirror, "mirror", HomeMirror, RemoteMirror)
        if deduplication is not None:
            instance(deduplication, "deduplication", Deduplication)
        assign(
            self,
            partitions=partitions,
            replication=replication,
            ignore_rack=flag(ignore_rack, "ignore_rack"),
            assignment=None if assignment is None else several(assignment, "assignment", PartitionAssignment),
            mirror=mirror,
            retention=seconds(retention, "retention"),
            segment_size=size(segment_size, "segment_size", U32),
            max_partition_size=size(max_partition_size, "max_partition_size", U64),
            compression=compression,
            deduplication=deduplication,
            system=flag(system, "system"),
        )


@value()
class TopicStatus:
    """What became of a topic.

    :ivar resolution: ``"init"``, ``"pending"``, ``"insufficient_resources"``, ``"invalid_config"``,
        ``"provisioned"`` or ``"deleting"``.
    :ivar reason: why, in the cluster's words.
    :ivar replica_map: for each partition the SPUs that hold it.
    :ivar mirror_map: for each partition that mirrors one of another cluster, which.
    """

    resolution: TopicResolution
    reason: str = ""
    replica_map: Mapping[int, tuple[int, ...]] = field(default_factory=dict[int, "tuple[int, ...]"], hash=False)
    mirror_map: Mapping[int, HomePartition | RemotePartition] = field(
        default_factory=dict[int, "HomePartition | RemotePartition"], hash=False
    )


@value()
class Topic:
    """A topic of the cluster."""

    name: str
    spec: TopicSpec
    status: TopicStatus


publish(__name__)
