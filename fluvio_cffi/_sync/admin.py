# Made by tools/async_to_sync.py from fluvio_cffi/_async/admin.py: change that, and run it.
"""Administration."""

from __future__ import annotations

import builtins
import json
from typing import TYPE_CHECKING, Any

from fluvio_cffi._errors import ConfigError
from fluvio_cffi._ffi import Slice, ffi, lib
from fluvio_cffi._options import text
from fluvio_cffi._types import (
    Compression,
    Duration,
    PartitionAssignment,
    Size,
    Timeout,
    Topic,
    TopicSpec,
    TopicStatus,
    parse_timeout,
)

if TYPE_CHECKING:
    from .client import Fluvio


class Admin:
    """The cluster's administration, by kinds of objects."""

    __slots__ = ("_topics",)

    def __init__(self, client: Fluvio) -> None:
        self._topics = Topics(client)

    @property
    def topics(self) -> Topics:
        """Topics."""
        return self._topics


class Topics:
    """The topics of the cluster.

    Every call takes a `timeout` in seconds; left out: the client's ``admin_timeout``; ``None``: no limit. It raises
    :class:`FluvioTimeoutError` with ``phase="admin"`` when the time is over, :class:`FluvioConnectionError` when the
    cluster cannot be reached, and :class:`ServerError` for what the cluster refuses.
    """

    __slots__ = ("_client",)

    def __init__(self, client: Fluvio) -> None:
        self._client = client

    def create(
        self,
        name: str,
        spec: TopicSpec | None = None,
        *,
        partitions: int | None = None,
        replication: int | None = None,
        ignore_rack: bool | None = None,
        retention: Duration | None = None,
        segment_size: Size | None = None,
        max_partition_size: Size | None = None,
        compression: Compression | None = None,
        dry_run: bool = False,
        exist_ok: bool = False,
        wait_ready: bool = True,
        timeout: Timeout = ...,
    ) -> Topic:
        """Create a topic.

        :param name: its name.
        :param spec: what it is to be; or the keywords of :class:`TopicSpec` here, one or the other.
        :param partitions: how many partitions.
        :param replication: how many SPUs hold each.
        :param ignore_rack: whether replicas may share a rack.
        :param retention: how long records are kept, at least: seconds or text such as ``"7d"``.
        :param segment_size: bytes of one file of the log.
        :param max_partition_size: bytes of one partition, at most, about.
        :param compression: which codecs producers may use.
        :param dry_run: only check whether it could be created.
        :param exist_ok: return a topic of that name as it is, if there is one.
        :param wait_ready: return only when it can be produced to. When the time is over meanwhile, the topic exists.
        :returns: the topic.
        :raises AlreadyExistsError: a topic of that name exists.
        :raises InvalidTopicError: the cluster does not allow its name or its configuration.
        """
        given: dict[str, Any] = {
            "partitions": partitions,
            "replication": replication,
            "ignore_rack": ignore_rack,
            "retention": retention,
            "segment_size": segment_size,
            "max_partition_size": max_partition_size,
            "compression": compression,
        }
        given = {key: value for key, value in given.items() if value is not None}
        if spec is None:
            spec = TopicSpec(**given)
        elif given:
            raise ConfigError(f"give a TopicSpec or {', '.join(given)}, not both")
        document: dict[str, object] = {
            "name": text(name, "name"),
            "spec": {
                "partitions": spec.partitions,
                "replication": spec.replication,
                "ignore_rack": spec.ignore_rack,
                "assignment": None
                if spec.assignment is None
                else [{"partition": item.partition, "replicas": list(item.replicas)} for item in spec.assignment],
                "retention_seconds": spec.retention,
                "segment_size": spec.segment_size,
                "max_partition_size": spec.max_partition_size,
                "compression": spec.compression,
            },
            "dry_run": bool(dry_run),
            "exist_ok": bool(exist_ok),
            "wait_ready": bool(wait_ready),
        }
        return _topic(self._call("topics.create", document, timeout))

    def list(
        self, *, name_contains: str | None = None, system: bool = False, timeout: Timeout = ...
    ) -> builtins.list[Topic]:
        """The topics.

        :param name_contains: only those whose names contain this.
        :param system: only the cluster's own topics, instead of all others.
        """
        if name_contains is not None:
            text(name_contains, "name_contains", empty=True)
        document: dict[str, object] = {"name_contains": name_contains, "system": bool(system)}
        return [_topic(item) for item in self._call("topics.list", document, timeout)]

    def get(self, name: str, *, timeout: Timeout = ...) -> Topic:
        """One topic.

        :raises TopicNotFoundError: there is none of that name.
        """
        return _topic(self._call("topics.get", {"name": text(name, "name")}, timeout))

    def delete(self, name: str, *, missing_ok: bool = False, force: bool = False, timeout: Timeout = ...) -> None:
        """Delete a topic and its records.

        :param missing_ok: do nothing if there is none of that name.
        :param force: also if it is one of the cluster's own.
        :raises TopicNotFoundError: there is none of that name.
        """
        document: dict[str, object] = {
            "name": text(name, "name"),
            "force": bool(force),
            "missing_ok": bool(missing_ok),
        }
        self._call("topics.delete", document, timeout)

    def _call(self, method: str, document: dict[str, object], timeout: Timeout) -> Any:
        client = self._client
        host = client._host
        host.check()
        client._check_open()
        name = Slice(method)
        body = Slice(json.dumps(document))
        nothing = Slice(b"")
        operation = host.hub.start(
            lib.flv_admin_call,
            client._handle,
            name.value,
            body.value,
            nothing.value,
            timeout=parse_timeout(timeout, client._admin_timeout),
            phase="admin",
            waiter=host.waiter(),
        )
        answer = (host.finish(operation)).take("flv_buffer_t *", lib.flv_buffer_free)
        view = ffi.new("flv_view_t *")
        lib.flv_buffer_view(answer, view)
        return json.loads(bytes(ffi.buffer(view.data, view.len))) if view.len else None


def _topic(document: Any) -> Topic:
    spec = document["spec"]
    status = document["status"]
    assignment = spec.get("assignment")
    return Topic(
        document["name"],
        TopicSpec(
            max(spec["partitions"], 1),
            replication=max(spec["replication"], 1),
            ignore_rack=spec["ignore_rack"],
            assignment=None
            if assignment is None
            else [PartitionAssignment(item["partition"], tuple(item["replicas"])) for item in assignment],
            retention=spec["retention_seconds"],
            segment_size=spec["segment_size"],
            max_partition_size=spec["max_partition_size"],
            compression=spec["compression"],
            system=spec["system"],
        ),
        TopicStatus(
            status["resolution"],
            status["reason"],
            {int(partition): tuple(replicas) for partition, replicas in status["replica_map"].items()},
        ),
    )
