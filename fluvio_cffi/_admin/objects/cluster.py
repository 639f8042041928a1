"""The cluster as a whole."""

from __future__ import annotations

from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish

from .partitions import Partition
from .spus import Spu


@value()
class ClusterStatus:
    """How the cluster is.

    :ivar endpoint: ``host:port`` of its SC.
    :ivar platform_version: its version.
    :ivar spus: its SPUs, by name.
    :ivar spus_online: how many of them are online.
    :ivar topics: how many topics it has, its own included.
    :ivar partitions: how many partitions they have.
    :ivar size: bytes of all leaders' logs, as far as they are known.
    :ivar offline_partitions: those that cannot be used.
    :ivar under_replicated_partitions: those of which a replica's SPU is not online, or is behind the high watermark.
    """

    endpoint: str
    platform_version: str
    spus: tuple[Spu, ...]
    spus_online: int
    topics: int
    partitions: int
    size: int
    offline_partitions: tuple[Partition, ...]
    under_replicated_partitions: tuple[Partition, ...]


publish(__name__)
