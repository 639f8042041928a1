"""What topics mirror, and their partitions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fluvio_cffi._admin.checks import I32, assign
from fluvio_cffi._admin.value import value
from fluvio_cffi._check import flag, number, several, text, wrong_type


@value()
class HomePartition:
    """A partition of a home cluster that mirrors one of a remote cluster.

    :param remote_cluster: the remote cluster's name.
    :param remote_replica: the mirrored partition there, as ``topic-partition``; ``None``, only when a topic is created:
        partition 0 of the topic of the same name.
    :param source: whether records go from here to the remote cluster, rather than from there to here; ``None``, only
        when a topic is created: as for the topic.
    """

    _tag: ClassVar[str] = "home"

    remote_cluster: str
    remote_replica: str | None = None
    source: bool | None = None

    def __post_init__(self) -> None:
        text(self.remote_cluster, "remote_cluster")
        if self.remote_replica is not None:
            text(self.remote_replica, "remote_replica")


@value()
class RemotePartition:
    """A partition of a remote cluster that mirrors one of its home cluster.

    :ivar home_cluster: the home cluster's id.
    :ivar home_spu_key: the key of the SPU that holds it there.
    :ivar home_spu_id: its id.
    :ivar home_spu_endpoint: its address.
    :ivar target: whether records come from the home cluster to here, rather than go there.
    """

    _tag: ClassVar[str] = "remote"

    home_cluster: str
    home_spu_key: str
    home_spu_id: int
    home_spu_endpoint: str
    target: bool = False


@value(init=False)
class HomeMirror:
    """What a topic of a home cluster mirrors: it has one partition for each remote cluster.

    :param partitions: what each partition mirrors; a ``str`` is the name of a remote cluster.
    :param source: whether records go from here to the remote clusters, rather than from there to here.
    """

    _tag: ClassVar[str] = "home"

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


@value()
class RemoteMirror:
    """What a topic of a remote cluster mirrors: it has one partition for each SPU of the home cluster that takes its
    records.

    :param home_cluster: the home cluster's name.
    :param home_spus: the SPUs there.
    :param target: whether records come from the home cluster to here, rather than go there.
    """

    _tag: ClassVar[str] = "remote"

    home_cluster: str
    home_spus: tuple[HomeSpu, ...]
    target: bool = False

    def __post_init__(self) -> None:
        text(self.home_cluster, "home_cluster")
        assign(self, home_spus=several(self.home_spus, "home_spus", HomeSpu), target=flag(self.target, "target"))
