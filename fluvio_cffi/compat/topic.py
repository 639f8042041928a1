"""What a topic is to be."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import fluvio_cffi
from fluvio_cffi import Compression, HomeMirror, PartitionAssignment

from ._errors import translated
from ._quantities import parse_timespan
from ._wrapper import inner_of
from .specs import PartitionMap
from .utils import parse_byte_size


class TopicMode(Enum):
    """How the partitions of a topic are laid out."""

    MIRROR = "mirror"
    ASSIGNED = "assigned"
    COMPUTED = "computed"


class CompressionType(Enum):
    """Which codecs producers may use."""

    NONE = "none"
    GZIP = "gzip"
    SNAPPY = "snappy"
    LZ4 = "lz4"
    ANY = "any"
    ZSTD = "zstd"


_COMPRESSIONS: dict[CompressionType, Compression] = {
    CompressionType.NONE: "none",
    CompressionType.GZIP: "gzip",
    CompressionType.SNAPPY: "snappy",
    CompressionType.LZ4: "lz4",
    CompressionType.ANY: "any",
    CompressionType.ZSTD: "zstd",
}


@dataclass(frozen=True)
class TopicSpec:
    """What a topic is to be, step by step: each method returns another one. :meth:`build` ends it."""

    mode: TopicMode = TopicMode.COMPUTED
    partitions: int = 1
    replications: int = 1
    ignore_rack: bool = True
    replica_assignment: list[PartitionMap] | None = None
    retention_time: float | None = None
    segment_size: int | None = None
    compression_type: CompressionType | None = None
    max_partition_size: int | None = None
    system: bool = False

    @classmethod
    def new(cls, partitions: int = 1, replication: int = 1, ignore: bool = True) -> TopicSpec:
        """With so many partitions, each on so many SPUs."""
        return cls(partitions=partitions, replications=replication, ignore_rack=ignore)

    @classmethod
    def create(cls) -> TopicSpec:
        """With one partition."""
        return cls()

    def with_assignment(self, replica_assignment: list[PartitionMap]) -> TopicSpec:
        """Which SPUs hold which partition."""
        return replace(self, mode=TopicMode.ASSIGNED, replica_assignment=replica_assignment)

    def as_mirror_topic(self) -> TopicSpec:
        """A home of mirrors, which has none yet."""
        return replace(self, mode=TopicMode.MIRROR)

    def with_partitions(self, partitions: int) -> TopicSpec:
        """With so many partitions.

        :raises ValueError: it is negative.
        """
        if partitions < 0:
            raise ValueError(f"Partitions must be a positive integer, not {partitions}")
        return replace(self, partitions=partitions)

    def with_replications(self, replications: int) -> TopicSpec:
        """Each partition on so many SPUs.

        :raises ValueError: it is negative.
        """
        if replications < 0:
            raise ValueError(f"Replication factor must be a positive integer, not {replications}")
        return replace(self, replications=replications)

    def with_ignore_rack(self, ignore: bool = True) -> TopicSpec:
        """Whether replicas may share a rack."""
        return replace(self, ignore_rack=ignore)

    def with_compression(self, compression: CompressionType) -> TopicSpec:
        """Which codecs producers may use."""
        return replace(self, compression_type=compression)

    def with_retention_time(self, retention_time: str | int) -> TopicSpec:
        """How long records are kept, at least: seconds, or text such as ``"1h"``."""
        seconds = retention_time if isinstance(retention_time, int) else parse_timespan(retention_time)
        return replace(self, retention_time=seconds)

    def with_segment_size(self, size: str | int) -> TopicSpec:
        """Bytes of one file of the log, or text such as ``"10M"``."""
        return replace(self, segment_size=size if isinstance(size, int) else parse_byte_size(size))

    def with_max_partition_size(self, size: str | int) -> TopicSpec:
        """Bytes of one partition, at most, about, or text such as ``"1Gb"``."""
        return replace(self, max_partition_size=size if isinstance(size, int) else parse_byte_size(size))

    def as_system_topic(self, is_system: bool = True) -> TopicSpec:
        """One of the cluster's own."""
        return replace(self, system=is_system)

    def build(self) -> fluvio_cffi.TopicSpec:
        """What :meth:`FluvioAdmin.create_topic` takes.

        :raises FluviorError: the cluster could not take it.
        """
        assignment: list[PartitionAssignment] | None = None
        mirror: HomeMirror | None = None
        if self.mode is TopicMode.ASSIGNED and self.replica_assignment:
            assignment = [inner_of(each) for each in self.replica_assignment]
        elif self.mode is TopicMode.MIRROR:
            mirror = HomeMirror([])
        with translated:
            return fluvio_cffi.TopicSpec(
                self.partitions,
                replication=self.replications,
                ignore_rack=self.ignore_rack,
                assignment=assignment,
                mirror=mirror,
                retention=self.retention_time,
                segment_size=self.segment_size,
                max_partition_size=self.max_partition_size,
                compression="any" if self.compression_type is None else _COMPRESSIONS[self.compression_type],
                system=self.system,
            )
