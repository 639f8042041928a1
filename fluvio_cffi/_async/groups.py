"""Administration of consumer groups."""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from typing import TYPE_CHECKING

from fluvio_cffi._admin.document import from_document
from fluvio_cffi._admin.objects.groups import Group, GroupSummary
from fluvio_cffi._consume.membership import group_name
from fluvio_cffi._errors import ConfigError, GroupNotFoundError
from fluvio_cffi._exports import loading, publish
from fluvio_cffi._native.loader import lib
from fluvio_cffi._values.checks import flag, number, text, wrong_type
from fluvio_cffi._values.quantities import Timeout
from fluvio_cffi._values.records import Offset

from .objects import AsyncObjects
from .offsets import place

if TYPE_CHECKING:
    from .watch import AsyncWatch


class AsyncGroups(AsyncObjects[Group]):
    """Consumer groups: consumers that were opened with ``group=`` share the partitions of their topic. A group is known
    by its name and its topic."""

    __slots__ = ()

    _kind = "groups"
    _item = Group

    async def list(self, topic: str | None = None, *, timeout: Timeout = ...) -> builtins.list[GroupSummary]:
        """The groups that there are.

        :param topic: only those of this topic.
        """
        document = {"topic": None if topic is None else text(topic, "topic")}
        answer, _ = await self._call(f"{self._kind}.list", document, timeout)
        return [from_document(GroupSummary, item) for item in answer]

    async def get(self, group: str, topic: str, *, timeout: Timeout = ...) -> Group:
        """One group.

        :raises GroupNotFoundError: there is none.
        """
        return await self._one("get", _key(group, topic), timeout)

    async def reset(
        self, group: str, topic: str, to: Offset | int | Mapping[int, Offset | int], *, timeout: Timeout = ...
    ) -> Group:
        """Say where a group without members goes on. Members that are silent are waited for, and evicted when their
        ``session_timeout`` is over; so this may take as long.

        :param to: the next offset to be read, or an :class:`Offset`; or one for each partition that is to be reset.
        :returns: the group as it is then.
        :raises GroupNotEmptyError: it has a member that lives.
        :raises GroupNotFoundError: there is no such group.
        :raises OffsetOutOfRangeError: an offset lies beyond the end of its log.
        :raises OffsetEvictedError: retention has removed an offset.
        """
        return await self._one("reset", {**_key(group, topic), **_target(to)}, timeout)

    async def delete(self, group: str, topic: str, *, missing_ok: bool = False, timeout: Timeout = ...) -> None:
        """Forget a group without members, and what it has committed. Silent members are waited for, as by
        :meth:`reset`.

        :param missing_ok: do nothing if there is none.
        :raises GroupNotEmptyError: it has a member that lives.
        :raises GroupNotFoundError: there is no such group.
        """
        flag(missing_ok, "missing_ok")
        try:
            await self._call("groups.delete", _key(group, topic), timeout)
        except GroupNotFoundError:
            if not missing_ok:
                raise

    def watch(self, group: str, topic: str) -> AsyncWatch[Group]:
        """Watch a group: a snapshot, then another one each time that its members, their partitions or what is committed
        have changed. One that there is not yet is empty. See :class:`AsyncWatch`."""
        with loading("a watch"):
            from .watch import AsyncWatch

        names = group_name(group), text(topic, "topic")
        return AsyncWatch(self._session, f"group {group!r} of {topic!r}", Group, lib.flv_watch_group, (*names, ""))


def _key(group: str, topic: str) -> dict[str, object]:
    return {"group": group_name(group), "topic": text(topic, "topic")}


def _target(to: object) -> dict[str, object]:
    """Where partitions go, as the document has it."""
    if not isinstance(to, Mapping):
        return {"to": _one_place(to)}
    partitions: dict[object, object] = {**to}
    if not partitions:
        raise ConfigError("to is empty: it must be an offset, or a dict of one for each partition that is to be reset")
    return {
        "partitions": {
            str(number(partition, "a partition in to", 0, (1 << 31) - 1)): _one_place(offset)
            for partition, offset in partitions.items()
        }
    }


def _one_place(to: object) -> object:
    if isinstance(to, Offset):
        return place(to)
    if isinstance(to, bool) or not isinstance(to, int):
        raise wrong_type("to", "an Offset, such as Offset.beginning(), an int, or a dict of one for each partition", to)
    return place(Offset.at(to))


publish(__name__)
