"""What the exporter tells Prometheus of a cluster: asked of it when it is scraped."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.registry import Collector

from fluvio_cffi import ClosedError, ClusterStatus, Fluvio, FluvioError, __version__

from .readers import all_consumers, all_groups

_MOMENT: Final = 0.2

Family = CounterMetricFamily | GaugeMetricFamily | InfoMetricFamily

# Name, text, labels: what there is of a cluster that answers.
_GAUGES: Final = (
    ("spus", "SPUs that the cluster has.", ()),
    ("spu_online", "Whether an SPU is online.", ("spu",)),
    ("topics", "Topics that the cluster has, its own included.", ()),
    ("partitions", "Partitions that the topics have.", ()),
    ("partitions_offline", "Partitions that cannot be used.", ()),
    ("partitions_under_replicated", "Partitions of which a replica is away, or behind.", ()),
    ("partition_offline", "Whether a partition cannot be used.", ("topic", "partition")),
    ("partition_under_replicated", "Whether a replica of a partition is away, or behind.", ("topic", "partition")),
    ("partition_log_start", "The first offset that a partition still has.", ("topic", "partition")),
    ("partition_log_end", "The offset after the last record of a partition.", ("topic", "partition")),
    ("partition_size_bytes", "Bytes of the log of a partition's leader.", ("topic", "partition")),
    ("consumer_offset", "The offset of the record that was processed last.", ("consumer_id", "topic", "partition")),
    ("consumer_lag", "Records that a consumer has not processed.", ("consumer_id", "topic", "partition")),
    ("group_offset", "The offset of the record that was processed last.", ("group", "topic", "partition")),
    ("group_lag", "Records that a consumer group has not processed.", ("group", "topic", "partition")),
    ("group_members", "Members that a consumer group has.", ("group", "topic")),
    ("group_partition_owned", "Whether a member of the group reads a partition.", ("group", "topic", "partition")),
)


class ClusterCollector(Collector):
    """Asks a cluster whenever it is scraped; while that is away, it says so in ``fluvio_up``, and tries again the next
    time. Of a cluster that answers in part, that part is told.

    :param connect: makes a client, or raises within some seconds.
    :param timeout: seconds that all questions of one scrape may take.
    """

    def __init__(self, connect: Callable[[], Fluvio], timeout: float) -> None:
        self._connect = connect
        self._timeout = timeout
        # One scrape at a time: so the client is made once, and the cluster is not asked more often.
        self._lock = threading.Lock()
        self._client: Fluvio | None = None
        self._closed = False
        self._scrapes = 0
        self._errors: dict[str, int] = {}

    def close(self) -> None:
        """Closes its client, once a scrape that goes on is over."""
        with self._lock:
            self._closed = True
            if self._client is not None:
                self._client.close()

    def describe(self) -> Iterator[Family]:
        """The metrics without their numbers."""
        yield from _gauges().values()
        yield from self._own({}, 0.0)

    def collect(self) -> Iterator[Family]:
        """The metrics, as the cluster is now."""
        with self._lock:
            begun = time.monotonic()
            self._scrapes += 1
            gauges = _gauges()
            answered = self._ask(gauges, begun + self._timeout)
            families = [*gauges.values(), *self._own(answered, time.monotonic() - begun)]
        yield from families

    def _ask(self, gauges: Mapping[str, GaugeMetricFamily], deadline: float) -> dict[str, bool]:
        """Which questions were answered. Without the first, the others are not asked."""
        answered = dict.fromkeys(_QUESTIONS, False)
        for name, ask in _QUESTIONS.items():
            try:
                if self._closed:
                    raise ClosedError("the exporter has ended")
                if self._client is None:
                    self._client = self._connect()
                # The last one, too, gets a moment.
                ask(gauges, self._client, max(deadline - time.monotonic(), _MOMENT))
                answered[name] = True
            except FluvioError as error:
                kind = type(error).__name__
                self._errors[kind] = self._errors.get(kind, 0) + 1
                if not answered["cluster"]:
                    break
        return answered

    def _own(self, answered: Mapping[str, bool], seconds: float) -> Iterator[Family]:
        """How the exporter is itself."""
        up = int(answered.get("cluster", False))
        yield GaugeMetricFamily("fluvio_up", "Whether the cluster has answered.", value=up)
        told = GaugeMetricFamily("fluvio_exporter_answered", "Which questions it has answered.", labels=["question"])
        for question, done in answered.items():
            told.add_metric([question], int(done))
        yield told
        yield InfoMetricFamily("fluvio_exporter", "The exporter.", value={"version": __version__})
        yield GaugeMetricFamily("fluvio_exporter_scrape_seconds", "How long the cluster was asked.", value=seconds)
        yield CounterMetricFamily("fluvio_exporter_scrapes", "How often it was asked.", value=self._scrapes)
        text = "How often that has failed, and of what."
        errors = CounterMetricFamily("fluvio_exporter_errors", text, labels=["error"])
        for name, count in self._errors.items():
            errors.add_metric([name], count)
        yield errors


def _gauges() -> dict[str, GaugeMetricFamily]:
    return {name: GaugeMetricFamily(f"fluvio_{name}", text, labels=labels) for name, text, labels in _GAUGES}


def _add_cluster(gauges: Mapping[str, GaugeMetricFamily], client: Fluvio, timeout: float) -> None:
    status = client.admin.cluster.status(timeout=timeout)
    gauges["spus"].add_metric([], len(status.spus))
    for spu in status.spus:
        gauges["spu_online"].add_metric([str(spu.spec.id)], int(spu.status.resolution == "online"))
    gauges["topics"].add_metric([], status.topics)
    gauges["partitions"].add_metric([], status.partitions)
    gauges["partitions_offline"].add_metric([], len(status.offline_partitions))
    gauges["partitions_under_replicated"].add_metric([], len(status.under_replicated_partitions))
    _add_partitions(gauges, client, timeout, status)


def _add_partitions(
    gauges: Mapping[str, GaugeMetricFamily], client: Fluvio, timeout: float, cluster: ClusterStatus
) -> None:
    offline = {(each.topic, each.partition) for each in cluster.offline_partitions}
    behind = {(each.topic, each.partition) for each in cluster.under_replicated_partitions}
    for each in client.admin.partitions.list(timeout=timeout):
        labels = [each.topic, str(each.partition)]
        status = each.status
        gauges["partition_offline"].add_metric(labels, int((each.topic, each.partition) in offline))
        gauges["partition_under_replicated"].add_metric(labels, int((each.topic, each.partition) in behind))
        gauges["partition_log_start"].add_metric(labels, status.base_offset)
        if status.leader is not None and status.leader.log_end is not None:
            gauges["partition_log_end"].add_metric(labels, status.leader.log_end)
        if status.size is not None:
            gauges["partition_size_bytes"].add_metric(labels, status.size)


def _add_consumers(gauges: Mapping[str, GaugeMetricFamily], client: Fluvio, timeout: float) -> None:
    groups = {(sample.labels["group"], sample.labels["topic"]) for sample in gauges["group_members"].samples}
    for each in all_consumers(client, groups, timeout):
        labels = [each.consumer_id, each.topic, str(each.partition)]
        if each.offset is not None:
            gauges["consumer_offset"].add_metric(labels, each.offset)
        if each.lag is not None:
            gauges["consumer_lag"].add_metric(labels, each.lag)


def _add_groups(gauges: Mapping[str, GaugeMetricFamily], client: Fluvio, timeout: float) -> None:
    for group in all_groups(client, timeout):
        gauges["group_members"].add_metric([group.group, group.topic], len(group.members))
        for each in group.partitions:
            labels = [group.group, group.topic, str(each.partition)]
            gauges["group_partition_owned"].add_metric(labels, int(each.owner is not None))
            if each.committed is not None:
                gauges["group_offset"].add_metric(labels, each.committed)
            if each.lag is not None:
                gauges["group_lag"].add_metric(labels, each.lag)


_QUESTIONS: Final[Mapping[str, Callable[[Mapping[str, GaugeMetricFamily], Fluvio, float], None]]] = {
    "cluster": _add_cluster,
    "groups": _add_groups,
    "consumers": _add_consumers,
}
