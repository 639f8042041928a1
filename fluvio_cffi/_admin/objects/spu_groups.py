"""Groups of SPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from fluvio_cffi._admin.checks import I32, U16, assign, optional_text, texts
from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import number

SpuGroupResolution: TypeAlias = Literal["init", "invalid", "reserved"]


@value()
class SpuGroupSpec:
    """SPUs of one kind, which a cluster on Kubernetes starts by itself.

    :param replicas: how many SPUs.
    :param min_id: the number of the first one.
    :param rack: the rack they stand in.
    :param in_sync_replica_min: how many replicas must have a record before it counts as committed.
    :param log_dir: where each keeps its logs.
    :param storage_size: how much room each has for them, such as ``"10Gi"``.
    :param env: their environment variables.
    """

    replicas: int = 1
    min_id: int = field(default=0, kw_only=True)
    rack: str | None = field(default=None, kw_only=True)
    in_sync_replica_min: int | None = field(default=None, kw_only=True)
    log_dir: str | None = field(default=None, kw_only=True)
    storage_size: str | None = field(default=None, kw_only=True)
    env: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True, hash=False)

    def __post_init__(self) -> None:
        number(self.replicas, "replicas", 1, U16)
        number(self.min_id, "min_id", 0, I32)
        if self.in_sync_replica_min is not None:
            number(self.in_sync_replica_min, "in_sync_replica_min", 1, U16)
        for name in ("rack", "log_dir", "storage_size"):
            optional_text(getattr(self, name), name)
        assign(self, env=texts(self.env, "env"))


@value()
class SpuGroupStatus:
    """What became of a group: ``"init"``, ``"invalid"`` (`reason` says why) or ``"reserved"``."""

    resolution: SpuGroupResolution
    reason: str | None = None


@value()
class SpuGroup:
    """A group of SPUs."""

    name: str
    spec: SpuGroupSpec
    status: SpuGroupStatus


publish(__name__)
