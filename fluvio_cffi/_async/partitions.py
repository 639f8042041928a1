"""Administration of partitions."""

from __future__ import annotations

import builtins

from fluvio_cffi._admin.objects.partitions import Partition
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import flag, number, text
from fluvio_cffi._values.quantities import Timeout

from .objects import AsyncWatched


class AsyncPartitions(AsyncWatched[Partition]):
    """The partitions of the cluster's topics."""

    __slots__ = ()

    _kind = "partitions"
    _item = Partition

    async def list(
        self, *, topic: str | None = None, system: bool = False, timeout: Timeout = ...
    ) -> builtins.list[Partition]:
        """The partitions, as the SC knows them.

        It hears a few times a second how far logs have come: what a status says of offsets and sizes may be half a
        second old. :meth:`AsyncFluvio.offsets` asks the SPUs.

        :param topic: only those of this topic, the cluster's own or not; an unknown one has none.
        :param system: without a `topic`: only those of the cluster's own topics, instead of all others.
        """
        document = {"topic": None if topic is None else text(topic, "topic"), "system": flag(system, "system")}
        return await self._list(document, timeout)

    async def get(self, topic: str, partition: int, *, timeout: Timeout = ...) -> Partition:
        """One partition, as the SC knows it; see :meth:`list`.

        :raises TopicNotFoundError: there is no such topic.
        :raises PartitionNotFoundError: it has no such partition.
        """
        document = {"topic": text(topic, "topic"), "partition": number(partition, "partition", 0, (1 << 32) - 1)}
        return await self._one("get", document, timeout)


publish(__name__)
