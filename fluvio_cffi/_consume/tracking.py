"""What a tracker holds for its workers, and who of them waits. Nothing here waits; `_async.tracker` does.

Of the workers that ask for a record one at a time *fetches* for all; the others wait for it. Whoever leaves, with a
record or without, wakes one who waits, so that somebody goes on. The consumer knows this and not the tracker.

Any call may come in the middle of any other one, also of another thread: `_native.queue` says what "one step" means.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from operator import length_hint
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, Protocol, TypeVar

from fluvio_cffi._consume.batch import Cut
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._consume.window import Window
from fluvio_cffi._errors import DecodeError, FluvioError, FluvioTimeoutError, RecordFailedError, RecordLike, UsageError
from fluvio_cffi._values.records import K, Record, V

WaiterT = TypeVar("WaiterT")

_NOTHING: Final[Iterator[Record[Any, Any]]] = iter(())


class Tracking(Generic[WaiterT]):
    """The records that were taken for workers.

    :ivar records: those that may leave; empty: somebody must fetch more.
    :ivar untold: the error of a record that no codec can read, until whoever fetches has raised it.
    :ivar fetching: whether somebody does. Whoever fetches claims it.
    :ivar windows: by topic, what was taken and is not done.
    :ivar failure: of a record that failed: why nothing further is handed out.
    :ivar by_itself: whether the library commits in the background what :meth:`note` says.
    :ivar room: the wait of who fetches for room.
    :ivar joining: the waits for all to be done.
    """

    def __init__(self, topics: list[str], most: int, awaken: Callable[[WaiterT], None]) -> None:
        self.records: Iterator[Record[Any, Any]] = _NOTHING
        self.untold: DecodeError | None = None
        self.fetching: bool = False
        self.windows: dict[str, Window] = {topic: Window() for topic in topics}
        self.failure: RecordFailedError | None = None
        self.by_itself: bool = False
        self.room: WaiterT | None = None
        self.joining: deque[WaiterT] = deque()
        self._most = most
        self._awaken = awaken
        self._waiting: deque[WaiterT] = deque()
        self._again: deque[Record[Any, Any]] = deque()

    @property
    def free(self) -> int:
        """How many more may be taken."""
        return self._most - sum([each.count for each in self.windows.values()])

    @property
    def in_hand(self) -> int:
        """How many records workers have and have not finished."""
        while True:
            records = self.records
            leaving = length_hint(records)
            undone = sum([each.undone - each.returned for each in self.windows.values()])
            # Otherwise some have left, or others were taken, meanwhile.
            if self.records is records and length_hint(records) == leaving:
                return max(0, undone - leaving)

    # -- beginning

    def take_over(self, subscription: Subscription) -> None:
        """From now on workers say what of it is processed."""
        # What was handed out before counts as processed, as with any other read.
        subscription.begin_batch()
        self.by_itself = subscription.commits.take_over()
        subscription.tracked = self.wake_all
        subscription.note_dropped = self.note_dropped

    def give_up(self, subscription: Subscription) -> None:
        """As if it had never been taken over."""
        subscription.tracked = subscription.note_dropped = None
        subscription.commits.give_back()

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever taken."""
        return not any(each.used for each in self.windows.values())

    # -- handing out

    def hold(self, subscription: Subscription, cut: Cut) -> bool:
        """Takes a batch out of the consumer; false: it was not to be had any more."""
        records = [*cut.batch]
        self.windows[subscription.topic].add(records)
        return self._take(subscription, cut, iter(records), len(records), None)

    def hold_undecodable(self, subscription: Subscription, cut: Cut, error: DecodeError | None) -> bool:
        """The same with one record that no codec can read. It does not leave.

        :param error: is to be raised for it, and whoever gets that has it in hand; ``None``: it is passed over, and so
            done.
        """
        passed_over = error is None
        self.windows[subscription.topic].add(cut.batch, undecodable=True, done=passed_over)
        return self._take(subscription, cut, _NOTHING, 0 if passed_over else 1, error)

    def _take(
        self,
        subscription: Subscription,
        cut: Cut,
        leaving: Iterator[Record[Any, Any]],
        undone: int,
        error: DecodeError | None,
    ) -> bool:
        window, buffer = self.windows[subscription.topic], subscription.buffer
        none: list[Any] = []
        # One step: what was held back, sought or stopped meanwhile is not handed out.
        if buffer.state is cut.before and not subscription.stopped:
            buffer.state = cut.after
            window.reserved = none
            window.undone += undone
            self.records = leaving
            self.untold = error
            return True
        window.take_back()
        return False

    def tell(self) -> None:
        """Raises the error of a record that no codec can read, once."""
        error = self.untold
        if error is not None:
            # One step; only whoever fetches comes here.
            self.untold = None
            raise error

    def take_back(self) -> None:
        """Whoever fetched before was interrupted: what was not taken is not held."""
        for window in self.windows.values():
            if window.reserved:
                window.take_back()

    def hand_out_again(self) -> bool:
        """Lets a record leave that a worker has given back, if there is one."""
        again = self._again
        while again:
            first = again[0]
            window = self.windows[first.topic]
            entry = window.entry(first.partition, first.offset)
            leaving = iter((first,))
            # One step: it may have become done meanwhile.
            if again and again[0] is first:
                del again[0]
                if entry is not None and entry.returned:
                    entry.returned = False
                    window.returned -= 1
                    self.records = leaving
                    return True
        return False

    # -- being told

    def give_back(self, record: Record[Any, Any]) -> bool:
        """It is to be handed out again; false: it is done, or was given back already."""
        window, again = self.windows[record.topic], self._again
        entry = window.entry(record.partition, record.offset)
        if entry is not None and entry.undecodable:
            raise UsageError("no codec can read this record: say that it is done, or that it has failed")
        returned = window.give_back(record.partition, record.offset)
        # Whoever gave it back before may have been interrupted in the middle of that.
        if not returned and (entry is None or not entry.returned or any(each is record for each in [*again])):
            return False
        again.append(record)
        return True

    def fail(self, record: Record[Any, Any] | RecordLike, error: BaseException) -> None:
        """It failed: nothing further is handed out."""
        place = f"the record at offset {record.offset} of partition {record.partition} of {record.topic!r}"
        failure = RecordFailedError(
            f"{place} has failed with {type(error).__name__}: what was done before it is committed, and it comes again "
            "when the consumer is opened next",
            topic=record.topic,
            partition=int(record.partition),
            offset=int(record.offset),
        )
        failure.__cause__ = error
        # One step.
        if self.failure is None:
            self.failure = failure

    def check(self) -> None:
        """Raises if a record has failed."""
        failure = self.failure
        if failure is not None:
            again = RecordFailedError(
                str(failure), topic=failure.topic, partition=failure.partition, offset=failure.offset
            )
            raise again from failure.__cause__

    # -- what is processed

    def processed(self, subscription: Subscription) -> dict[int, int]:
        """What may be committed of a topic. What is taken while this looks is not passed over: it looks first how far
        the consumer is, and then what is held."""
        dropped = subscription.dropped()
        return self.windows[subscription.topic].processed(dropped)

    def note(self, subscription: Subscription, partition: int, processed: int) -> None:
        """All up to this offset is processed: with ``commit="auto"`` the library may commit it."""
        if not self.by_itself or subscription.backend.forked:
            return
        window = self.windows[subscription.topic]
        noted = -1
        # Another thread may note less in the middle of this, of what was done before: whoever writes last looks again.
        while noted < processed:
            noted = processed
            # A partition may belong to somebody else by now.
            with contextlib.suppress(FluvioError):
                subscription.commits.note(partition, processed)
            processed = max(processed, window.at(partition))

    def note_dropped(self, subscription: Subscription) -> None:
        """The same of what SmartModules have dropped where nothing unfinished is held."""
        if self.by_itself and subscription.drops and not subscription.backend.forked:
            for partition, offset in self.processed(subscription).items():
                self.note(subscription, partition, offset)

    # -- waking

    def wait(self, waiter: WaiterT) -> None:
        """Somebody waits for another one who fetches."""
        self._waiting.append(waiter)

    def leave(self, waiter: WaiterT) -> None:
        """It does not wait any more."""
        if waiter in self._waiting:
            self._waiting.remove(waiter)

    def wake_one(self) -> None:
        """Somebody leaves: one of those who wait goes on."""
        waiting = self._waiting
        while waiting:
            first = waiting[0]
            # One step.
            if waiting and waiting[0] is first:
                del waiting[0]
                self._awaken(first)
                return

    def wake_room(self) -> None:
        """There may be room, or something else for who waits for it."""
        room = self.room
        if room is not None:
            self._awaken(room)

    def wake_joining(self) -> None:
        """All may be done."""
        if self.joining and not self.in_hand:
            for waiter in [*self.joining]:
                self._awaken(waiter)

    def wake_all(self) -> None:
        """Nothing further is handed out."""
        self.wake_room()
        for waiter in [*self.joining]:
            self._awaken(waiter)

    # -- errors

    def no_room(self) -> FluvioError:
        """The error for who has waited for room in vain."""
        held = self._most - self.free
        text = f"{held} records were taken and not done in time, from the oldest one on; the tracker takes no more"
        return FluvioTimeoutError(text, phase="read")


class Tracker(Protocol):
    """Is told what becomes of records."""

    def done(self, record: Record[Any, Any]) -> None:
        """It is processed."""

    def fail(self, record: Record[Any, Any], error: BaseException) -> None:
        """It failed."""


class Processing(AbstractContextManager[Record[K, V]], Generic[K, V]):
    """A block in which a record is processed."""

    __slots__ = ("_record", "_tracker")

    def __init__(self, tracker: Tracker, record: Record[K, V]) -> None:
        self._tracker = tracker
        self._record = record

    def __enter__(self) -> Record[K, V]:
        return self._record

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self._tracker.done(self._record)
        elif isinstance(error, Exception):
            self._tracker.fail(self._record, error)

    if not TYPE_CHECKING:  # to a type checker it has only what fits it

        async def __aenter__(self) -> NoReturn:
            raise UsageError("the block of processing() waits for nothing: use `with`, and not `async with`")

        async def __aexit__(self, *_: object) -> None: ...
