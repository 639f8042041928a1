"""What the member of a group owns, and until when records of it may be handed out.

The library decides both, and says so in words of memory, so that a reader need not call it: the end of the lease, for
each partition the epoch under which records of it may be handed out, a count that rises when an epoch changes or the
lease ends, and bytes that tell whether it has.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain, compress, repeat
from operator import gt
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from fluvio_cffi._consume.batch import Buffer, State
from fluvio_cffi._consume.columns import Columns, OwnedPartition
from fluvio_cffi._consume.membership import Listener, Membership
from fluvio_cffi._errors import PartitionNotFoundError
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._values.records import Record

_Record: TypeAlias = Record[Any, Any]
AssignmentKind: TypeAlias = Literal["assigned", "revoked", "lost"]
_KINDS: Final[dict[int, AssignmentKind]] = {
    lib.FLV_GROUP_ASSIGNED: "assigned",
    lib.FLV_GROUP_REVOKED: "revoked",
    lib.FLV_GROUP_LOST: "lost",
}
_NO_ERROR: Final = (ffi.NULL,)
_NOBODY: Final[frozenset[int]] = frozenset()


def _word(place: CData) -> memoryview[int]:
    """A word that the library changes: it is looked at faster so."""
    return memoryview(ffi.buffer(place, ffi.sizeof("int64_t"))).cast("q")


_CLOCK: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)
now: Final[Callable[[], int]] = lib.flv_boottime if _CLOCK is None else partial(time.clock_gettime_ns, _CLOCK)
"""What the clock shows by which leases run, in nanoseconds; it goes on while the machine is suspended."""

_LOOK_EVERY: Final = 16


def _moments() -> Iterator[int]:
    """What the clock shows whenever it is asked."""
    return iter(now, None) if _CLOCK is None else map(time.clock_gettime_ns, repeat(_CLOCK))


def sixteens(unchanged: memoryview[int]) -> list[memoryview[int]]:
    """The bytes that the library clears, in the parts that :func:`leave` goes through."""
    return [unchanged[at : at + _LOOK_EVERY] for at in range(0, len(unchanged), _LOOK_EVERY)]


def leave(gate: Iterable[str], lease: Sequence[int], unchanged: Sequence[Sequence[int]]) -> Iterator[str]:
    """What passes a gate, as long as records may be handed out: looks at the clock for every sixteenth, and for each at
    one of the bytes that the library clears. No Python code runs, so it is one step.

    :param gate: which lets no more pass than there are bytes.
    :param lease: whose first element is its end.
    :param unchanged: the bytes, in :func:`sixteens`.
    """
    leased = map(gt, repeat(lease[0]), _moments())
    return compress(gate, chain.from_iterable(compress(unchanged, leased)))


class Assignment(NamedTuple):
    """A change of what the member owns.

    :ivar number: of the change.
    :ivar epochs: the partitions, with the epochs that they have got, or had.
    """

    number: int
    kind: AssignmentKind
    epochs: dict[int, int]


class Group:
    """A consumer as the member of its group.

    :ivar name: the group's.
    :ivar owned: the partitions that it owns, with their epochs, as far as its reader was told. Another one takes its
        place when that changes.
    :ivar untold: whether the library has said that there is a change to be told.
    :ivar waited: whether the reader has waited, since when the library may have given partitions up.
    :ivar leave: the library's operation that closes the consumer, and leaves the group in any case.
    """

    def __init__(self, handle: CData, membership: Membership) -> None:
        self.name: str = membership.group
        self.owned: dict[int, int] = {}
        self.untold: bool = True
        self.waited: bool = False
        self.leave: Callable[..., int] = lib.flv_consumer_leave
        self._handle = handle
        self._listeners: dict[AssignmentKind, Listener | None] = {
            "assigned": membership.on_assigned,
            "revoked": membership.on_revoked,
            "lost": membership.on_lost,
        }
        slots = ffi.new("flv_group_slots_t *")
        slots.struct_size = ffi.sizeof("flv_group_slots_t")
        raise_status(lib.flv_consumer_group_slots(handle, slots, _NO_ERROR), _NO_ERROR)
        self._lease = _word(slots.lease)
        self._changes = _word(slots.changes)
        self._unchanged = sixteens(memoryview(ffi.buffer(slots.unchanged, slots.unchanged_count)))
        self._came_back: CData = slots.came_back
        self._epochs: dict[int, CData] = {}
        # What may not be handed out though it is held, and how many changes there were when that was looked at.
        self._barred = _NOBODY
        self._compared = -1
        # How many there were when the library last said that there is nothing to be told.
        self._looked = -1

    # -- whether records may be handed out

    def come_back(self) -> None:
        """The reader has come back for more."""
        self._came_back[0] = now()

    def leased(self) -> bool:
        """Whether the lease runs."""
        return bool(self._lease[0] > now())

    def barred(self, state: State) -> frozenset[int]:
        """The partitions of which something is held that may not be handed out now."""
        changes = self._changes[0]
        if changes != self._compared:
            self._barred = frozenset([int(part.partition) for part in state.parts if not self._current(part.partition)])
            self._compared = changes
        return self._barred

    def allows(self, parts: Sequence[Columns]) -> bool:
        """Whether what a batch is made of may be handed out now."""
        return self.leased() and all(self._current(part.partition) for part in parts)

    def read(self, buffer: Buffer, state: State, stride: int) -> tuple[State, Iterator[_Record]] | None:
        """What :meth:`Buffer.read` gives; its records leave only as long as they may be handed out."""
        return buffer.read(state, stride, self.barred(state), self._leave)

    def _leave(self, gate: Iterable[str]) -> Iterator[str]:
        return leave(gate, self._lease, self._unchanged)

    def _current(self, partition: int) -> bool:
        return isinstance(partition, OwnedPartition) and self._epoch(partition) == partition.epoch

    def _epoch(self, partition: int) -> int:
        """The epoch under which records of the partition may be handed out; -1: none may."""
        slot = self._epochs.get(partition)
        if slot is None:
            place = ffi.new("int64_t **")
            raise_status(lib.flv_consumer_epoch(self._handle, partition, place, _NO_ERROR), _NO_ERROR)
            slot = self._epochs[int(partition)] = place[0]
        return int(slot[0])

    # -- what has changed

    @property
    def moved(self) -> bool:
        """Whether there may be a change that was not told."""
        return self.untold or self._changes[0] != self._looked

    def next_change(self) -> Assignment | None:
        """The oldest change that is not :meth:`done`."""
        change = ffi.new("flv_group_change_t *")
        change.struct_size = ffi.sizeof("flv_group_change_t")
        error = ffi.new("flv_error_t **")
        # Before the call: what changes after it is seen.
        changes = self._changes[0]
        status = lib.flv_consumer_change(self._handle, change, error)
        if status == lib.FLV_STATUS_EMPTY:
            self._looked = changes
            self.untold = False
            return None
        raise_status(status, error, "read")
        partitions, epochs = ffi.unpack(change.partitions, change.count), ffi.unpack(change.epochs, change.count)
        return Assignment(change.number, _KINDS[change.kind], dict(zip(partitions, epochs, strict=True)))

    def listener(self, kind: AssignmentKind) -> Listener | None:
        """The function of the caller's to be told of such changes."""
        return self._listeners[kind]

    def done(self, change: Assignment) -> None:
        """The change was told."""
        lib.flv_consumer_change_done(self._handle, change.number, ffi.NULL)

    def note(self, change: Assignment) -> None:
        """What the member owns, as its reader is told."""
        kept = {key: epoch for key, epoch in self.owned.items() if key not in change.epochs}
        self.owned = kept | change.epochs if change.kind == "assigned" else kept

    # -- who it is

    def epoch(self, partition: int, topic: str) -> int:
        """The epoch of a partition. Any thread."""
        if isinstance(partition, OwnedPartition):
            return partition.epoch
        epoch = self.owned.get(partition)
        if epoch is None:
            raise PartitionNotFoundError(
                f"partition {partition} of {topic!r} is not owned by this member of group {self.name!r}: "
                "look at its assignment",
                topic=topic,
                partition=partition,
            )
        return epoch

    def generation(self) -> int:
        """The group's generation, as far as it is known; -1: not yet. Any thread."""
        return int(self._member().generation)

    def member_id(self) -> str | None:
        """What the member is called in the group now; ``None``: it is no member. Any thread."""
        name = ffi.string(self._member().id).decode()
        return name or None

    def _member(self) -> CData:
        member = ffi.new("flv_group_member_t *")
        member.struct_size = ffi.sizeof("flv_group_member_t")
        error = ffi.new("flv_error_t **")
        raise_status(lib.flv_consumer_member(self._handle, member, error), error)
        return member
