# Made by tools/async_to_sync.py from fluvio_cffi/_async/topics.py: change that, and run it.
"""Administration of topics."""

from __future__ import annotations

import builtins
from typing import Any

from fluvio_cffi._admin.document import to_document
from fluvio_cffi._admin.objects.common import Deduplication
from fluvio_cffi._admin.objects.topics import HomeMirror, PartitionAssignment, RemoteMirror, Topic, TopicSpec
from fluvio_cffi._errors import ConfigError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import flag, number, text, wrong_type
from fluvio_cffi._values.quantities import Duration, Size, Timeout
from fluvio_cffi._values.records import Compression

from .objects import Watched, part


class Topics(Watched[Topic]):
    """The topics of the cluster."""

    __slots__ = ()

    _kind = "topics"
    _item = Topic

    def create(
        self,
        name: str,
        spec: TopicSpec | None = None,
        *,
        partitions: int | None = None,
        replication: int | None = None,
        ignore_rack: bool | None = None,
        assignment: builtins.list[PartitionAssignment] | None = None,
        mirror: HomeMirror | RemoteMirror | None = None,
        retention: Duration | None = None,
        segment_size: Size | None = None,
        max_partition_size: Size | None = None,
        compression: Compression | None = None,
        deduplication: Deduplication | None = None,
        dry_run: bool = False,
        exist_ok: bool = False,
        wait_ready: bool = True,
        timeout: Timeout = ...,
    ) -> Topic:
        """Create a topic.

        :param name: its name: 1 to 63 lower-case letters, digits and ``-``.
        :param spec: what it is to be; or the keywords of :class:`TopicSpec` here, one or the other.
        :param partitions: how many partitions.
        :param replication: how many SPUs hold each.
        :param ignore_rack: whether replicas may share a rack.
        :param assignment: which SPUs hold which partition, instead of `partitions` and `replication`.
        :param mirror: which topics of other clusters it mirrors.
        :param retention: how long records are kept, at least: seconds or text such as ``"7d"``.
        :param segment_size: bytes of one file of the log.
        :param max_partition_size: bytes of one partition, at most, about.
        :param compression: which codecs producers may use.
        :param deduplication: how repeated records are dropped.
        :param dry_run: only check whether it could be created.
        :param exist_ok: return a topic of that name as it is, if there is one.
        :param wait_ready: return only when the leaders of its partitions serve them. When the time is over meanwhile,
            the topic exists, and the error says so.
        :returns: the topic.
        :raises AlreadyExistsError: a topic of that name exists.
        :raises InvalidTopicError: the cluster does not allow its name or its configuration.
        """
        given: dict[str, Any] = {
            "partitions": partitions,
            "replication": replication,
            "ignore_rack": ignore_rack,
            "assignment": assignment,
            "mirror": mirror,
            "retention": retention,
            "segment_size": segment_size,
            "max_partition_size": max_partition_size,
            "compression": compression,
            "deduplication": deduplication,
        }
        given = {key: value for key, value in given.items() if value is not None}
        if spec is None:
            spec = TopicSpec(**given)
        elif given:
            raise ConfigError(f"spec and {', '.join(given)} are given: a TopicSpec has all of that in it")
        elif not isinstance(spec, TopicSpec):
            raise wrong_type("spec", "a TopicSpec (the number of partitions is partitions=)", spec)
        document = {
            "name": text(name, "name"),
            "spec": to_document(spec),
            "dry_run": flag(dry_run, "dry_run"),
            "exist_ok": flag(exist_ok, "exist_ok"),
            "wait_ready": flag(wait_ready, "wait_ready"),
        }
        return self._one("create", document, timeout)

    def list(
        self, *, name_contains: str | None = None, system: bool = False, timeout: Timeout = ...
    ) -> builtins.list[Topic]:
        """The topics.

        :param name_contains: only those whose names contain this.
        :param system: only the cluster's own topics, instead of all others.
        """
        return self._list({"name_contains": part(name_contains), "system": flag(system, "system")}, timeout)

    def get(self, name: str, *, timeout: Timeout = ...) -> Topic:
        """One topic.

        :raises TopicNotFoundError: there is none of that name.
        """
        return self._one("get", {"name": text(name, "name")}, timeout)

    def delete(self, name: str, *, missing_ok: bool = False, force: bool = False, timeout: Timeout = ...) -> None:
        """Delete a topic and its records.

        :param missing_ok: do nothing if there is none of that name.
        :param force: also if it is one of the cluster's own.
        :raises TopicNotFoundError: there is none of that name.
        """
        self._delete({"name": text(name, "name"), "force": flag(force, "force")}, missing_ok, timeout)

    def add_partitions(self, name: str, count: int, *, wait_ready: bool = True, timeout: Timeout = ...) -> Topic:
        """Give a topic more partitions. Producers and consumers that are open take them up.

        With a partitioner that goes by the key, records of one key are in another partition from then on.

        :param count: how many more.
        :param wait_ready: return only when their leaders serve them. When the time is over meanwhile, they exist.
        :returns: the topic as it is then.
        :raises TopicNotFoundError: there is none of that name.
        """
        document = {
            "name": text(name, "name"),
            "count": number(count, "count", 1, (1 << 31) - 1),
            "wait_ready": flag(wait_ready, "wait_ready"),
        }
        return self._one("add_partitions", document, timeout)

    def add_mirror(
        self, name: str, remote_cluster: str, *, home_to_remote: bool = False, timeout: Timeout = ...
    ) -> Topic:
        """Give a topic that is a mirror's home a partition for one more remote cluster.

        :param remote_cluster: the name of the remote cluster's mirror.
        :param home_to_remote: whether records go from here to there.
        :returns: the topic as it is then.
        :raises TopicNotFoundError: there is none of that name.
        :raises NotFoundError: there is no such remote cluster.
        """
        document = {
            "name": text(name, "name"),
            "remote_cluster": text(remote_cluster, "remote_cluster"),
            "home_to_remote": flag(home_to_remote, "home_to_remote"),
        }
        return self._one("add_mirror", document, timeout)


publish(__name__)
