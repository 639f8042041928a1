"""Administration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

import fluvio_cffi
from fluvio_cffi import AlreadyExistsError, SmartModuleInfo, SmartModuleNotFoundError, Topic, TopicNotFoundError, Watch

from ._arguments import one_of
from ._changes import Update
from ._client import FluvioConfig, profile_config
from ._connection import Connection
from ._errors import FluviorError, Translation, translated
from ._wrapper import Wrapper, inner_of
from .specs import (
    CommonCreateRequest,
    MetadataPartitionSpec,
    MetadataSmartModuleSpec,
    MetadataTopicSpec,
    MetaUpdateSmartModuleSpec,
    MetaUpdateTopicSpec,
    SmartModuleSpec,
)
from .topic import TopicSpec

ItemT = TypeVar("ItemT")

_TOPICS: Final = Translation({AlreadyExistsError: "Topic already exists", TopicNotFoundError: "Topic not found"})
_SMARTMODULES: Final = Translation({SmartModuleNotFoundError: "SmartModule not found"})


class FluvioAdmin(Wrapper[Connection]):
    """Administers a cluster."""

    __slots__ = ()

    @staticmethod
    def connect() -> FluvioAdmin:
        """Connects to the cluster of the current profile.

        :raises FluviorError: there is none, or it cannot be reached.
        """
        config = profile_config()
        with translated:
            return FluvioAdmin(Connection.open(config))

    @staticmethod
    def connect_with_config(config: FluvioConfig) -> FluvioAdmin:
        """Connects to a cluster.

        :raises FluviorError: it cannot be reached.
        """
        with translated:
            return FluvioAdmin(Connection.open(inner_of(config).checked()))

    # -- topics

    def create_topic(self, topic: str, spec: fluvio_cffi.TopicSpec | TopicSpec | None = None) -> None:
        """Creates a topic.

        :param spec: what :meth:`TopicSpec.build` returns; left out: one partition.
        :raises FluviorError: it exists, or the cluster does not allow it.
        """
        with _TOPICS:
            self._inner.client.admin.topics.create(topic, _built(spec))

    def create_topic_with_config(
        self, topic: str, req: CommonCreateRequest, spec: fluvio_cffi.TopicSpec | TopicSpec
    ) -> None:
        """Creates a topic, or tries whether it could be.

        :param req: how; its name must be `topic`.
        :raises FluviorError: it exists, or the cluster does not allow it.
        """
        request = inner_of(one_of(req, "req", CommonCreateRequest))
        if request.name != topic:
            raise FluviorError(f"the request names {request.name!r}, and the call {topic!r}: which is to be created?")
        timeout = 30.0 if request.timeout is None else request.timeout / 1000
        with _TOPICS:
            self._inner.client.admin.topics.create(topic, _built(spec), dry_run=request.dry_run, timeout=timeout)

    def delete_topic(self, topic: str) -> None:
        """Deletes a topic and its records.

        :raises FluviorError: there is none of that name.
        """
        with _TOPICS:
            self._inner.client.admin.topics.delete(topic)

    def all_topics(self) -> list[MetadataTopicSpec]:
        """All topics but the cluster's own."""
        return self.list_topics([])

    def list_topics(self, filters: list[str]) -> list[MetadataTopicSpec]:
        """Topics.

        :param filters: parts of names, any of which must fit; none: all.
        """
        with translated:
            topics = self._inner.client.admin.topics.list()
        return [MetadataTopicSpec(topic) for topic in topics if _fits(topic.name, filters)]

    def list_topics_with_params(self, filters: list[str], summary: bool) -> list[MetadataTopicSpec]:
        """The same.

        :param summary: changes nothing of what is told.
        """
        return self.list_topics(filters)

    def watch_topic(self) -> Iterator[MetaUpdateTopicSpec]:
        """What becomes of topics: first all, then what changes."""
        return self._topic_spec_generator(self._watched(self._inner.client.admin.topics.watch()))

    # -- SmartModules

    def create_smartmodule(self, name: str, path: str, dry_run: bool) -> None:
        """Creates a SmartModule.

        :param path: a file with its code.
        :param dry_run: only check whether it could be created.
        :raises OSError: the file cannot be read.
        :raises FluviorError: it exists.
        """
        code = inner_of(SmartModuleSpec.new(path))
        with translated:
            self._inner.client.admin.smartmodules.create(name, wasm=code, dry_run=dry_run)

    def delete_smartmodule(self, name: str) -> None:
        """Deletes a SmartModule.

        :raises FluviorError: there is none of that name.
        """
        with _SMARTMODULES:
            self._inner.client.admin.smartmodules.delete(name)

    def list_smartmodules(self, filters: list[str]) -> list[MetadataSmartModuleSpec]:
        """SmartModules.

        :param filters: parts of names, any of which must fit; none: all.
        """
        with translated:
            modules = self._inner.client.admin.smartmodules.list()
        return [MetadataSmartModuleSpec(module) for module in modules if _fits(module.name, filters)]

    def watch_smartmodule(self) -> Iterator[MetaUpdateSmartModuleSpec]:
        """What becomes of SmartModules: first all, then what changes."""
        return self._smart_module_spec_generator(self._watched(self._inner.client.admin.smartmodules.watch()))

    # -- partitions

    def list_partitions(self, filters: list[str]) -> list[MetadataPartitionSpec]:
        """The partitions of all topics but the cluster's own.

        :param filters: nothing; the cluster takes no notice of them.
        """
        with translated:
            return [MetadataPartitionSpec(each) for each in self._inner.client.admin.partitions.list()]

    # -- watches

    def _watched(self, watch: Watch[ItemT]) -> Iterator[Update[ItemT]]:
        with translated:
            watch.__enter__()
        return self._updates(watch)

    def _updates(self, watch: Watch[ItemT]) -> Iterator[Update[ItemT]]:
        for epoch, change in enumerate(watch, 1):
            yield Update(change, epoch)

    def _topic_spec_generator(self, stream: Iterator[Update[Topic]]) -> Iterator[MetaUpdateTopicSpec]:
        with translated:
            yield from map(MetaUpdateTopicSpec, stream)

    def _smart_module_spec_generator(
        self, stream: Iterator[Update[SmartModuleInfo]]
    ) -> Iterator[MetaUpdateSmartModuleSpec]:
        with translated:
            yield from map(MetaUpdateSmartModuleSpec, stream)


def _built(spec: fluvio_cffi.TopicSpec | TopicSpec | None) -> fluvio_cffi.TopicSpec:
    built = TopicSpec().build() if spec is None else spec.build() if isinstance(spec, TopicSpec) else spec
    return one_of(built, "spec", fluvio_cffi.TopicSpec)


def _fits(name: str, filters: Iterable[str]) -> bool:
    filters = list(filters)
    return not filters or any(part in name for part in filters)
