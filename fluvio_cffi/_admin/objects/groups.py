"""Consumer groups."""

from __future__ import annotations

from dataclasses import field

from fluvio_cffi._admin.document import named
from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish


@value()
class GroupMember:
    """A consumer that is a member of a group.

    :ivar id: what it is called, drawn anew each time that it joins.
    :ivar instance: the ``instance`` that it was opened with, if any.
    :ivar client_id: what its client calls itself.
    :ivar host: the name of its machine.
    :ivar partitions: those that it owns.
    :ivar session_timeout: seconds of silence after which the others take it for dead.
    :ivar silent: seconds since its last sign of life was read.
    """

    id: str
    instance: str | None
    client_id: str
    host: str
    partitions: tuple[int, ...]
    session_timeout: float = field(metadata=named("session_ms", units=1000))
    silent: float = field(metadata=named("silent_ms", units=1000))


@value()
class GroupPartition:
    """A partition, as a group shares it.

    :ivar partition: its number.
    :ivar owner: the id of the member that reads it; ``None``: nobody.
    :ivar epoch: the number of that ownership, which never repeats and only rises; -1: it was never owned.
    :ivar moving: whether its owner is to give it to another member.
    :ivar committed: the offset of the record that was processed last; -1: it is read from its first record; ``None``:
        nothing was committed.
    :ivar end: the offset after its last record; ``None``: its leader does not answer.
    :ivar lag: how many records lie behind what was committed; ``None``: that is not known.
    """

    partition: int
    owner: str | None
    epoch: int
    moving: bool
    committed: int | None
    end: int | None
    lag: int | None


@value()
class Group:
    """A consumer group: consumers that share the partitions of one topic.

    :ivar group: its name.
    :ivar topic: the topic's name.
    :ivar generation: rises with each change of its members, of its partitions, or of offsets by a reset.
    :ivar members: in the order in which they joined.
    :ivar partitions: in the order of their numbers.
    """

    group: str
    topic: str
    generation: int
    members: tuple[GroupMember, ...]
    partitions: tuple[GroupPartition, ...]


@value()
class GroupSummary:
    """A consumer group, in short.

    :ivar group: its name.
    :ivar topic: the topic's name.
    :ivar generation: rises with each change of its members, of its partitions, or of offsets by a reset.
    :ivar members: how many members it has.
    :ivar partitions: how many partitions they share.
    """

    group: str
    topic: str
    generation: int
    members: int
    partitions: int


publish(__name__)
