"""Administration of stored consumer offsets."""

from __future__ import annotations

import builtins

from fluvio_cffi._admin.objects.offsets import ConsumerOffset
from fluvio_cffi._errors import ConfigError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import number, text
from fluvio_cffi._values.quantities import Timeout
from fluvio_cffi._values.records import Offset

from .objects import AsyncObjects


class AsyncConsumerOffsets(AsyncObjects[ConsumerOffset]):
    """The offsets that consumers have stored: one for each consumer id, topic and partition."""

    __slots__ = ()

    _kind = "consumer_offsets"
    _item = ConsumerOffset

    async def list(
        self, *, consumer_id: str | None = None, topic: str | None = None, timeout: Timeout = ...
    ) -> builtins.list[ConsumerOffset]:
        """The stored offsets, with how many records lie behind them.

        In each topic where a consumer id has stored any, its other partitions are listed, too, with the offset
        ``None``: nothing of them was ever committed, and all of their records lag behind. With both a `consumer_id` and
        a `topic` that is so as well where nothing is stored at all. A topic that does not exist has none.

        :param consumer_id: only those of this consumer id.
        :param topic: only those of this topic.
        """
        document: dict[str, object] = {
            "consumer_id": None if consumer_id is None else text(consumer_id, "consumer_id"),
            "topic": None if topic is None else text(topic, "topic"),
        }
        return await self._list(document, timeout)

    async def get(self, *, consumer_id: str, topic: str, partition: int, timeout: Timeout = ...) -> ConsumerOffset:
        """One stored offset.

        :raises ConsumerOffsetNotFoundError: there is none.
        """
        return await self._one("get", _key(consumer_id, topic, partition), timeout)

    async def delete(
        self, *, consumer_id: str, topic: str, partition: int, missing_ok: bool = False, timeout: Timeout = ...
    ) -> None:
        """Forget a stored offset. A consumer that is opened with this id later begins as a new one.

        :param missing_ok: do nothing if there is none.
        :raises ConsumerOffsetNotFoundError: there is none.
        """
        await self._delete(_key(consumer_id, topic, partition), missing_ok, timeout)

    async def reset(
        self, *, consumer_id: str, topic: str, partition: int, to: Offset | int, timeout: Timeout = ...
    ) -> ConsumerOffset:
        """Store where a consumer that is opened with this id later goes on; also if none was stored, and in a partition
        that is empty. One that is open is not moved, and its next commit wins.

        :param to: the next offset to be read, or an :class:`Offset`.
        :returns: what is stored then.
        :raises PartitionNotFoundError: the topic has no such partition.
        :raises OffsetOutOfRangeError: that lies beyond the end of the log.
        :raises OffsetEvictedError: retention has removed that offset.
        """
        target = to if isinstance(to, Offset) else Offset.at(to)
        return await self._one("reset", {**_key(consumer_id, topic, partition), "to": place(target)}, timeout)


def _key(consumer_id: str, topic: str, partition: int) -> dict[str, object]:
    if len(text(consumer_id, "consumer_id").encode()) > 255:
        raise ConfigError(f"consumer_id has {len(consumer_id.encode())} bytes: it must have 1 to 255")
    return {
        "consumer_id": consumer_id,
        "topic": text(topic, "topic"),
        "partition": number(partition, "partition", 0, (1 << 31) - 1),
    }


def place(offset: Offset) -> str | dict[str, int]:
    """An offset as the documents write it."""
    if offset.kind == "at":
        return {"at": offset.value}
    if offset.time is not None:
        return {"since": offset.time}
    return {f"from_{offset.kind}": offset.value} if offset.value else offset.kind


publish(__name__)
