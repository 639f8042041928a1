"""What topics and their partitions have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from fluvio_cffi._admin.checks import U64, assign, texts
from fluvio_cffi._admin.document import named, tagged
from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import number, text
from fluvio_cffi._values.quantities import Duration, parse_duration


@value(init=False)
class Deduplication:
    """How a topic drops records that were there already.

    :param smartmodule: the name of the SmartModule that finds the repeats.
    :param count: among how many of the last records, at least 1.
    :param age: and of how many seconds at most, or text such as ``"5m"``; ``None``: of any age.
    :param params: what the SmartModule is given besides.
    """

    smartmodule: str
    count: int
    age: float | None = field(metadata=named("age_ms", units=1000))
    params: Mapping[str, str] = field(hash=False)

    def __init__(
        self, smartmodule: str, *, count: int, age: Duration | None = None, params: Mapping[str, str] | None = None
    ) -> None:
        assign(
            self,
            smartmodule=text(smartmodule, "smartmodule"),
            count=number(count, "count", 1, U64),
            age=None if age is None else parse_duration(age, "age"),
            params=texts({} if params is None else params, "params"),
        )


@tagged("home")
@value()
class HomePartition:
    """A partition of a home cluster that mirrors one of a remote cluster.

    :param remote_cluster: the remote cluster's name.
    :param remote_replica: the mirrored partition there, as ``topic-partition``; ``None``, only when a topic is created:
        partition 0 of the topic of the same name.
    :param source: whether records go from here to the remote cluster, rather than from there to here; ``None``, only
        when a topic is created: as for the topic.
    """

    remote_cluster: str
    remote_replica: str | None = None
    source: bool | None = None

    def __post_init__(self) -> None:
        text(self.remote_cluster, "remote_cluster")
        if self.remote_replica is not None:
            text(self.remote_replica, "remote_replica")


@tagged("remote")
@value()
class RemotePartition:
    """A partition of a remote cluster that mirrors one of its home cluster.

    :ivar home_cluster: the home cluster's id.
    :ivar home_spu_key: the key of the SPU that holds it there.
    :ivar home_spu_id: its id.
    :ivar home_spu_endpoint: its address.
    :ivar target: whether records come from the home cluster to here, rather than go there.
    """

    home_cluster: str
    home_spu_key: str
    home_spu_id: int
    home_spu_endpoint: str
    target: bool = False


publish(__name__)
