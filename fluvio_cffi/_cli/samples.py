"""What a cluster has done between two moments, for ``top``."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fluvio_cffi import ClusterStatus, Fluvio, FluvioError

from .output import Column, size
from .readers import all_consumers, all_groups

if TYPE_CHECKING:
    from fluvio_cffi import Timeout


@dataclass
class Sample:
    """How far everything was at a time.

    :ivar ends: of each topic, how many records were ever written.
    :ivar sizes: bytes.
    :ivar offsets: of each consumer and topic, how many records are behind it.
    :ivar lags: and before it; ``None``: that is not known.
    :ivar group_offsets: the same of each consumer group and its topic.
    :ivar group_lags: the same.
    :ivar errors: how many errors this client has met by then, by class.
    """

    status: ClusterStatus
    at: float = field(default_factory=time.monotonic)
    ends: dict[str, int] = field(default_factory=dict[str, int])
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    offsets: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    lags: dict[tuple[str, str], int | None] = field(default_factory=dict[tuple[str, str], "int | None"])
    group_offsets: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    group_lags: dict[tuple[str, str], int | None] = field(default_factory=dict[tuple[str, str], "int | None"])
    errors: dict[str, int] = field(default_factory=dict[str, int])


def sample(client: Fluvio, timeout: Timeout = ...) -> Sample:
    """How far everything is now. What SPUs tell is up to half a second old.

    :param timeout: seconds that one question may take; left out: the client's ``admin_timeout``.
    """
    admin = client.admin
    taken = Sample(admin.cluster.status(timeout=timeout))
    for partition in admin.partitions.list(timeout=timeout):
        leader = partition.status.leader
        end = leader.log_end if leader is not None else None
        taken.ends[partition.topic] = taken.ends.get(partition.topic, 0) + (end or 0)
        taken.sizes[partition.topic] = taken.sizes.get(partition.topic, 0) + (partition.status.size or 0)
    groups = [*all_groups(client, timeout)]
    for group in groups:
        for each in group.partitions:
            _count(taken.group_offsets, taken.group_lags, (group.group, group.topic), each.committed, each.lag)
    for stored in all_consumers(client, {(group.group, group.topic) for group in groups}, timeout):
        _count(taken.offsets, taken.lags, (stored.consumer_id, stored.topic), stored.offset, stored.lag)
    taken.errors.update(client.metrics().errors)
    return taken


def _count(
    offsets: dict[tuple[str, str], int],
    lags: dict[tuple[str, str], int | None],
    key: tuple[str, str],
    offset: int | None,
    lag: int | None,
) -> None:
    """One partition more of what somebody reads."""
    offsets[key] = offsets.get(key, 0) + (0 if offset is None else offset + 1)
    before = lags.get(key, 0)
    lags[key] = None if before is None or lag is None else before + lag


@dataclass
class TopicRow:
    """A topic, between two samples."""

    topic: str
    records: int
    size: int
    produced: float


@dataclass
class ConsumerRow:
    """A consumer in a topic, between two samples."""

    consumer_id: str
    topic: str
    lag: int | None
    consumed: float


@dataclass
class GroupRow:
    """A consumer group, between two samples."""

    group: str
    topic: str
    lag: int | None
    consumed: float


def topic_rows(before: Sample, now: Sample) -> list[TopicRow]:
    """The busiest topics first."""
    seconds = max(now.at - before.at, 1e-3)
    rows = [
        TopicRow(topic, end, now.sizes[topic], max(end - before.ends.get(topic, end), 0) / seconds)
        for topic, end in now.ends.items()
    ]
    return sorted(rows, key=lambda row: (-row.produced, row.topic))


def consumer_rows(before: Sample, now: Sample) -> list[ConsumerRow]:
    """Those that are furthest behind first."""
    seconds = max(now.at - before.at, 1e-3)
    rows = [
        ConsumerRow(*key, now.lags[key], max(offset - before.offsets.get(key, offset), 0) / seconds)
        for key, offset in now.offsets.items()
    ]
    return sorted(rows, key=lambda row: (-(row.lag or 0), row.consumer_id, row.topic))


def group_rows(before: Sample, now: Sample) -> list[GroupRow]:
    """Those that are furthest behind first."""
    seconds = max(now.at - before.at, 1e-3)
    rows = [
        GroupRow(*key, now.group_lags[key], max(offset - before.group_offsets.get(key, offset), 0) / seconds)
        for key, offset in now.group_offsets.items()
    ]
    return sorted(rows, key=lambda row: (-(row.lag or 0), row.group, row.topic))


def new_errors(before: Sample, now: Sample) -> dict[str, int]:
    """The errors that this client has met in between, by class."""
    return {
        name: count - before.errors.get(name, 0)
        for name, count in now.errors.items()
        if count > before.errors.get(name, 0)
    }


TOPICS = (
    Column("TOPIC", lambda row: row.topic),
    Column("RECORDS", lambda row: f"{row.records:,}", right=True),
    Column("SIZE", lambda row: size(row.size), right=True),
    Column("PRODUCED/s", lambda row: f"{row.produced:,.0f}", right=True),
)
_READ = (
    Column("TOPIC", lambda row: row.topic),
    Column("LAG", lambda row: None if row.lag is None else f"{row.lag:,}", right=True),
    Column("CONSUMED/s", lambda row: f"{row.consumed:,.0f}", right=True),
)
CONSUMERS = (Column("CONSUMER", lambda row: row.consumer_id), *_READ)
GROUPS = (Column("GROUP", lambda row: row.group), *_READ)


def head(now: Sample) -> str:
    """How the cluster is, in two lines."""
    status = now.status
    offline, behind = len(status.offline_partitions), len(status.under_replicated_partitions)
    return (
        f"{status.endpoint}, version {status.platform_version}, "
        f"{status.spus_online} of {len(status.spus)} SPUs online\n"
        f"{status.topics} topics, {status.partitions} partitions ({offline} offline, {behind} under-replicated), "
        f"{size(status.size)}"
    )


def failed(before: Sample, error: FluvioError) -> Sample:
    """The sample of a moment at which the cluster did not answer: as it was, with one more error."""
    name = type(error).__name__
    errors = {**before.errors, name: before.errors.get(name, 0) + 1}
    return Sample(
        before.status,
        ends=before.ends,
        sizes=before.sizes,
        offsets=before.offsets,
        lags=before.lags,
        group_offsets=before.group_offsets,
        group_lags=before.group_lags,
        errors=errors,
    )
