"""The client, and how it is configured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import fluvio_cffi
from fluvio_cffi import ClusterConfig, ConfigError, Tls

from ._arguments import U32, integer, one_of
from ._connection import Connection
from ._consume import (
    ConsumerConfigExt,
    ConsumerIterator,
    MultiplePartitionConsumer,
    PartitionConsumer,
    PartitionSelectionStrategy,
    Source,
    selection_of,
)
from ._enums import OffsetManagementStrategy
from ._errors import FluviorError, translated
from ._produce import Producing, TopicProducer, TopicProducerConfig, keywords_of
from ._reading import Reading
from ._wrapper import Wrapper, inner_of

_NO_PROFILE = "Config error: Config has no active profile"
_NO_ID = "Consumer config error: Consumer id is required when using offset strategy"


def profile_config() -> ClusterConfig:
    """How the current profile says that the cluster is reached.

    :raises FluviorError: there is none, or the file is not usable.
    """
    try:
        return ClusterConfig.load()
    except ConfigError as error:
        raise FluviorError(_NO_PROFILE) from error


@dataclass(frozen=True)
class Settings:
    """How a cluster is reached. Nothing of it is checked before it is used."""

    endpoint: str
    tls: Tls
    use_spu_local_address: bool = False
    client_id: str | None = None

    def checked(self) -> ClusterConfig:
        """The same, as this library has it."""
        with translated:
            return ClusterConfig(self.endpoint, self.tls, self.client_id, self.use_spu_local_address)


class FluvioConfig(Wrapper[Settings]):
    """How a cluster is reached."""

    __slots__ = ()

    @classmethod
    def load(cls) -> FluvioConfig:
        """As the current profile says.

        :raises FluviorError: there is none, or the file is not usable.
        """
        config = profile_config()
        return cls(Settings(config.endpoint, config.tls, config.use_spu_local_address, config.client_id))

    @classmethod
    def new(cls, addr: str) -> FluvioConfig:
        """A cluster at ``host:port``, without TLS."""
        return cls(Settings(one_of(addr, "addr", str), Tls.disabled()))

    def set_endpoint(self, endpoint: str) -> None:
        """``host:port`` of the cluster."""
        self._change(endpoint=one_of(endpoint, "endpoint", str))

    def set_use_spu_local_address(self, val: bool) -> None:
        """Whether to use the addresses that SPUs have inside of their network."""
        self._change(use_spu_local_address=one_of(val, "val", bool))

    def disable_tls(self) -> None:
        """Plain TCP."""
        self._change(tls=Tls.disabled())

    def set_anonymous_tls(self) -> None:
        """Encrypted, but whom it talks to is not checked."""
        self._change(tls=Tls.anonymous())

    def set_inline_tls(self, domain: str, key: str, cert: str, ca_cert: str) -> None:
        """Encrypted and checked; key and certificates are PEM text.

        :raises FluviorError: one of them is none.
        """
        for name, text in (("key", key), ("cert", cert), ("ca_cert", ca_cert)):
            if "-----BEGIN " not in text:
                raise FluviorError(f"set_inline_tls: {name} is no PEM text; for files there is set_tls_file_paths")
        self._verify(domain, key, cert, ca_cert)

    def set_tls_file_paths(self, domain: str, key_path: str, cert_path: str, ca_cert_path: str) -> None:
        """Encrypted and checked; key and certificates are files."""
        self._verify(domain, key_path, cert_path, ca_cert_path)

    def set_client_id(self, client_id: str) -> None:
        """How the client calls itself."""
        self._change(client_id=one_of(client_id, "id", str))

    def unset_client_id(self) -> None:
        """It does not."""
        self._change(client_id=None)

    def _verify(self, domain: str, key: str, cert: str, ca: str) -> None:
        with translated:
            self._change(tls=Tls.verified(ca, domain, cert, key))

    def _change(self, **changes: Any) -> None:
        self._inner = replace(self._inner, **changes)


class ConsumerOffset:
    """How far a consumer has come in a partition.

    In the old package these are methods of the class, and attributes of the objects that it gives out.

    :ivar consumer_id: its id.
    :ivar topic: the topic's name.
    :ivar partition: the partition's number.
    :ivar offset: the offset that is stored.
    :ivar modified_time: when it was stored, seconds since the epoch.
    """

    __slots__ = ("consumer_id", "modified_time", "offset", "partition", "topic")

    def __init__(self, inner: fluvio_cffi.ConsumerOffset) -> None:
        self.consumer_id: str = inner.consumer_id
        self.topic: str = inner.topic
        self.partition: int = inner.partition
        self.offset: int = -1 if inner.offset is None else inner.offset
        self.modified_time: int = (inner.modified or 0) // 1000


class Fluvio(Wrapper[Connection]):
    """A client of a cluster. Any thread may use it, and the tasks of any event loop."""

    __slots__ = ()

    @classmethod
    def connect(cls) -> Fluvio:
        """Connects to the cluster of the current profile.

        :raises FluviorError: there is none, or it cannot be reached.
        """
        config = profile_config()
        with translated:
            return cls(Connection.open(config))

    @classmethod
    def connect_with_config(cls, config: FluvioConfig) -> Fluvio:
        """Connects to a cluster.

        :raises FluviorError: it cannot be reached.
        """
        with translated:
            return cls(Connection.open(inner_of(config).checked()))

    def consumer_with_config(self, config: ConsumerConfigExt) -> ConsumerIterator:
        """The records of a topic.

        :raises FluviorError: there is no such topic or partition, or a strategy without a consumer's id.
        """
        selection = selection_of(config)
        if selection.consumer_id is None and selection.strategy != OffsetManagementStrategy.NONE:
            raise FluviorError(_NO_ID)
        with translated:
            return ConsumerIterator(Reading(self._inner, selection).open())

    def topic_producer_with_config(self, topic: str, config: TopicProducerConfig) -> TopicProducer:
        """A producer for a topic.

        :raises FluviorError: there is no such topic.
        """
        return self._producer(topic, **keywords_of(config))

    def topic_producer(self, topic: str) -> TopicProducer:
        """A producer for a topic.

        :raises FluviorError: there is no such topic.
        """
        return self._producer(topic)

    def partition_consumer(self, topic: str, partition: int) -> PartitionConsumer:
        """What reads one partition of a topic."""
        chosen = {one_of(topic, "topic", str): (integer(partition, "partition", U32),)}
        return PartitionConsumer(Source(self._inner, chosen))

    def multi_partition_consumer(self, topic: str) -> MultiplePartitionConsumer:
        """What reads all partitions of a topic."""
        return self._several(PartitionSelectionStrategy.with_all(topic))

    def multi_topic_partition_consumer(self, selections: list[tuple[str, int]]) -> MultiplePartitionConsumer:
        """What reads some partitions of some topics."""
        return self._several(PartitionSelectionStrategy.with_multiple(selections))

    def consumer_offsets(self) -> list[ConsumerOffset]:
        """What is stored, of all consumers."""
        with translated:
            stored = self._inner.client.admin.consumer_offsets.list()
        return [ConsumerOffset(each) for each in stored if each.offset is not None]

    def delete_consumer_offset(self, consumer: str, topic: str, partition: int) -> None:
        """Forgets what is stored; nothing may be."""
        offsets = self._inner.client.admin.consumer_offsets
        with translated:
            offsets.delete(consumer_id=consumer, topic=topic, partition=partition, missing_ok=True)

    def _producer(self, topic: str, **keywords: Any) -> TopicProducer:
        with translated:
            return TopicProducer(Producing(self._inner, self._inner.client.producer(topic, **keywords)))

    def _several(self, strategy: PartitionSelectionStrategy) -> MultiplePartitionConsumer:
        return MultiplePartitionConsumer(Source(self._inner, inner_of(strategy)))
