"""What a consumer reads: it is taken from the library in chunks, and leaves as records or batches. Nothing here waits;
`_async.reading` does, and calls this.

A record, or a batch, leaves the buffer as the last step, and no call comes between that and the caller: where an
exception may come after any call nothing is lost. Any call may come in the middle of any other one: `_native.queue`
says what "one step" means.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from time import monotonic
from typing import Any, Final

from fluvio_cffi._consume.backend import ConsumeBackend
from fluvio_cffi._consume.batch import Buffer, ReadTogether, RecordBatch, State, gone, positions, waiting, waiting_but
from fluvio_cffi._consume.columns import Columns
from fluvio_cffi._consume.commits import Commits
from fluvio_cffi._consume.decoding import Decoding
from fluvio_cffi._consume.group import Group
from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._consume.places import Place, places_of, start_of
from fluvio_cffi._errors import ClosedError, FluvioError, FluvioTimeoutError, UsageError
from fluvio_cffi._native.errors import explained, from_native
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._values.codecs import Codec
from fluvio_cffi._values.quantities import left
from fluvio_cffi._values.records import Record

_NOTHING: Final[Iterator[Record[Any, Any]]] = iter(())
_NOBODY: Final[frozenset[int]] = frozenset()
_ENDS: Final = (lib.FLV_STATUS_END, lib.FLV_STATUS_CLOSED)
_STRIDE: Final = 512
_STRIDE_SECONDS: Final = 0.00016
# How long one who works on what was taken may go on without a look for partitions that had nothing before.
_FRESH_SECONDS: Final = 0.005
# How often a read that waits looks, at most, for what SmartModules have dropped.
_SHORTEST: Final = 0.05


Form = tuple[Callable[[CData, str, CData], Columns], Callable[[Sequence[Columns]], ReadTogether]]
"""In which form records are read: what makes columns of a consumer's topic and chunk, and batches of columns."""
RECORDS: Final[Form] = (Columns.decode, RecordBatch)


class Subscription:
    """What is read of a topic's partitions. The consumer owns it; its session knows it and not the consumer.

    :ivar handle: the library's consumer.
    :ivar commits: what was processed, and is stored.
    :ivar group: what of its group it sees, if it is the member of one.
    :ivar decoding: what makes keys and values of bytes, if something does.
    :ivar value_codec: that of the values, if there is one.
    :ivar buffer: what was taken from the library and is not handed out yet.
    :ivar records: those that may leave one by one, of :attr:`buffer`; empty: :meth:`hand_out` puts more there.
    :ivar singly: whether no more than one record is let go at a time.
    :ivar reading: whether a read is going on. Whoever reads claims it.
    :ivar waiting: what the read waits for, while it does.
    :ivar seeks: how many seeks there were.
    :ivar orders: rises when the library is told what to hold back.
    :ivar stopped: whether nothing further is handed out.
    :ivar ended: whether no more comes, unless there is a seek.
    :ivar closed: whether the consumer, or its client, is closed.
    :ivar tracked: is told when nothing further is handed out, if a tracker reads and says what is processed.
    :ivar note_dropped: the tracker's, too: tells the library what it may commit of what SmartModules have dropped.
    :ivar drops: whether there are SmartModules: then places move also where nothing is left to hand out.
    :ivar called_away: whether a read is to end without records, since the tracker has something else for its reader.
    """

    def __init__(
        self,
        backend: ConsumeBackend,
        handle: CData,
        topic: str,
        options: ConsumerOptions,
        form: Form = RECORDS,
    ) -> None:
        self.backend: ConsumeBackend = backend
        self.handle: CData = handle
        self.topic: str = topic
        self.group: Group | None = None if options.membership is None else Group(handle, options.membership)
        decoding = None if options.codecs is None else Decoding(options.codecs)
        self.decoding: Decoding | None = decoding
        self.value_codec: Codec[Any] | None = None if options.codecs is None else options.codecs.value
        self._columns_of, batch = form
        self.buffer: Buffer = Buffer(Columns.source if decoding is None else decoding.source, batch)
        self.commits: Commits = Commits(backend, handle, topic, options, self.buffer)
        self.records: Iterator[Record[Any, Any]] = _NOTHING
        self.singly: bool = False
        self.reading: bool = False
        self.waiting: Operation | None = None
        self.seeks: int = 0
        self.orders: int = 0
        self.stopped: bool = False
        self.ended: bool = False
        self.closed: bool = False
        self.tracked: Callable[[], None] | None = None
        self.note_dropped: Callable[[Subscription], None] | None = None
        self.called_away: bool = False
        self.drops: bool = bool(options.smartmodules)
        # How often a read that waits behind them says how far they have come; `None`: nobody wants to know.
        by_itself = options.auto_commit
        self._mark_interval = max(by_itself, _SHORTEST) if by_itself is not None and self.drops else None
        # Whether a chunk is being taken: then the library's places are ahead of what is here.
        self._taking = False
        self._chunk = ffi.new("flv_chunk_t *")
        self._chunk.struct_size = ffi.sizeof("flv_chunk_t")
        self._error = ffi.new("flv_error_t **")
        # How many records may leave before the clock is looked at, and when the last ones were let go.
        self._stride = 1
        self._strode = 0.0
        # When something was last taken, or looked for.
        self._took = 0.0

    # -- where it is

    def places(self) -> list[Place]:
        """Where the library is in each partition. Any thread."""
        self.backend.check_fork()
        return places_of(self.handle)

    @property
    def member(self) -> Group:
        """Its group, as it sees it; raises if it is no member of one."""
        if self.group is None:
            raise UsageError("the consumer was opened without a group: it is no member of one")
        return self.group

    @property
    def assignment(self) -> tuple[int, ...]:
        """The partitions that are read. Any thread."""
        if self.group is not None:
            self.backend.check_fork()
            return tuple(sorted(self.group.owned))
        return tuple(sorted(place.partition for place in self.places()))

    def position(self) -> dict[int, int]:
        """For each partition the offset that is handed out next, as far as it is known. Any thread."""
        while True:
            places = self.places()
            taking = self._taking
            known = {place.partition: place.position for place in places if place.position >= 0}
            # What was taken from the library is not handed out yet; neither is what is just being taken, in this order.
            chunk = self._chunk
            if chunk.count and (chunk.partition, chunk.seeks) in [(place.partition, place.seeks) for place in places]:
                known[chunk.partition] = chunk.first_offset
            state = self.buffer.state
            # Otherwise a seek has come in between. Of a partition that came back they are counted anew.
            if self.group is not None or all(state.seeks.get(place.partition, 0) <= place.seeks for place in places):
                handed_out = positions(state)
                if self.drops and not taking:
                    # Behind what is here the library may have gone on without a record.
                    for partition in handed_out.keys() & known.keys() - waiting(state):
                        handed_out[partition] = max(handed_out[partition], known[partition])
                return known | handed_out

    def lag(self) -> dict[int, int]:
        """For each partition how many offsets lie between its position and its end, where both are known. Any
        thread."""
        positions = self.position()
        ends = {place.partition: place.end for place in self.places()}
        return {
            partition: max(0, ends[partition] - position)
            for partition, position in positions.items()
            if ends.get(partition, -1) >= 0
        }

    def handed_out(self) -> dict[int, int]:
        """For each partition of which something was handed out, or dropped by SmartModules, the offset before the next
        one.

        :raises UsageError: a tracker says what of it is processed.
        """
        if self.tracked is not None:
            raise UsageError("a tracker says what was processed: use the tracker's commit()")
        return self._with_dropped(self.buffer.handed_out())

    def dropped(self) -> dict[int, int]:
        """For each partition behind SmartModules that has moved the offset before the next one that is handed out."""
        return self._with_dropped({})

    def _with_dropped(self, handed_out: dict[int, int]) -> dict[int, int]:
        """Adds to what was handed out what SmartModules have dropped."""
        if self.drops:
            handed_out = handed_out.copy()
            for partition, position in self.position().items():
                if partition in handed_out or position > start_of(self.handle, partition) >= 0:
                    handed_out[partition] = position - 1
        return handed_out

    # -- handing out

    def begin_to_read(self) -> None:
        """The next records are asked for one by one."""
        self._come_back()
        if self.singly:
            self._stride = 1
            return
        # Few at a time while the caller is slow, so that other tasks are let run every millisecond.
        spent = max(monotonic() - self._strode, 1e-6)
        fitting = int(self.buffer.given * _STRIDE_SECONDS / spent)
        self._stride = max(min(fitting, self._stride * 2, _STRIDE), 1)

    def begin_to_receive(self) -> None:
        """The next record is asked for by itself."""
        if self.group is not None and not self.group.leased():
            self.records = _NOTHING

    def begin_batch(self) -> None:
        """The next records are asked for as a batch."""
        self._come_back()
        self._end_run()

    def _come_back(self) -> None:
        self.commits.mark(self._with_dropped)
        if self.group is not None:
            self.group.come_back()

    @property
    def leaves_alone(self) -> bool:
        """Whether records may be taken from :attr:`records` without a look at this for each of them."""
        return self.decoding is None and not self.singly

    @property
    def barred(self) -> frozenset[int]:
        """The partitions of which nothing may be handed out, as the library says."""
        return _NOBODY if self.group is None else self.group.barred(self.buffer.state)

    @property
    def count(self) -> int:
        """How many records can be handed out."""
        group, buffer = self.group, self.buffer
        if group is None:
            return buffer.count
        if not group.leased():
            return 0
        state = buffer.state
        barred = group.barred(state)
        return waiting_but(state, barred) if barred else buffer.count

    def mark(self) -> None:
        """The next records are asked for, but not of this topic: what was handed out is processed all the same."""
        self.commits.mark(self._with_dropped)

    def hand_out(self) -> bool:
        """Lets the next records leave one by one, as many as the stride allows; false: there is none by now."""
        self._strode = monotonic()
        buffer = self.buffer
        # Who has an iterator over earlier ones has no more of it.
        buffer.close_gate()
        state = buffer.state
        group = self.group
        stride = self._stride
        begun = buffer.read(state, stride) if group is None else group.read(buffer, state, stride)
        # One step: what was held back, sought or stopped meanwhile is not handed out.
        if begun is not None and buffer.state is state and not self.stopped:
            buffer.state, self.records = begun
            return True
        return False

    def _end_run(self) -> None:
        """No more records leave one by one, until :meth:`hand_out` lets others."""
        self.buffer.close_gate()
        self.records = _NOTHING

    def undecodable(self, error: Exception) -> None:
        """The record that was to leave next could not be decoded, and has left. Raises that, unless it is to be passed
        over; or what else has come in the way."""
        if self.decoding is None:
            raise error
        self.decoding.pass_over(self.buffer, error)

    @property
    def following(self) -> Record[Any, Any] | None:
        """The record that leaves next by :attr:`records`, as it is in the log, after :meth:`hand_out`; ``None``: none
        does, since something has come in between."""
        return self.buffer.following

    def change(self, change: Callable[[State], State]) -> None:
        """Changes what the buffer holds."""
        buffer = self.buffer
        while True:
            before = buffer.state
            # Until another state takes the place of this one, no more records leave it one by one.
            self._end_run()
            after = change(before)
            # One step.
            if buffer.state is before:
                buffer.state = after
                return

    # -- taking

    def take(self) -> bool:
        """Takes a chunk that is there; false if none is, or no more come."""
        if self.closed:
            self.ended = True
            return False
        if self._take_up():
            return True
        seeks = self.seeks
        self._taking = True
        status = lib.flv_consumer_take(self.handle, self._chunk, self._error)
        if self.group is not None:
            self.group.waited = False
        if status == lib.FLV_STATUS_OK:
            self._take_up()
            self._taking = False
            self._took = monotonic()
            self.backend.breathe()
            return True
        self._taking = False
        if status == lib.FLV_STATUS_EMPTY:
            return False
        if status == lib.FLV_STATUS_CHANGED and self.group is not None:
            self.group.untold = True
            return False
        error, self._error[0] = self._error[0], ffi.NULL
        if status in _ENDS or self.closed or self.stopped:
            lib.flv_error_free(error)
            # One step: a seek may have come meanwhile, after which there is more.
            if self.seeks == seeks:
                self.ended = True
            return False
        raise from_native(status, error, "read")

    def take_fresh(self) -> None:
        """Takes what is there of a partition that had nothing before, unless that was looked for just now: it is handed
        out before the rest of others."""
        now = monotonic()
        if now - self._took <= _FRESH_SECONDS:
            return
        self._took = now
        self._take_up()
        if not self.closed:
            self._taking = True
            lib.flv_consumer_take_fresh(self.handle, self._chunk, ffi.NULL)
            self._take_up(first=True)
            self._taking = False

    def _take_up(self, first: bool = False) -> bool:
        """Puts the chunk that the library has handed over into the buffer. If an exception comes in between, the next
        reader does it.

        :param first: before what is there of other partitions.
        """
        chunk = self._chunk
        if not chunk.count:
            return False
        self.buffer.push(self._columns_of(self.handle, self.topic, chunk), chunk, first)
        return True

    def give_up(self, partitions: Collection[int]) -> None:
        """These partitions belong to somebody else: what is held of them is dropped."""
        self._take_up()
        self.change(partial(gone, partitions=partitions))

    # -- ending

    def stop(self) -> None:
        """Nothing further is handed out; a read that is going on ends."""
        self.stopped = True
        self._end_run()
        if not self.backend.forked:
            lib.flv_consumer_stop(self.handle)
        if self.tracked is not None:
            self.tracked()

    def mark_before_hand(self) -> None:
        """Tells the library what it may commit if no more is read."""
        if self.note_dropped is not None:
            self.note_dropped(self)
        elif not self.backend.forked:
            self.commits.mark_before_hand(self._with_dropped)

    def end(self) -> None:
        """The consumer is closed, or its client."""
        self.mark_before_hand()
        self.closed = True
        self.stop()

    def mark_due(self, deadline: float | None) -> float | None:
        """How long a read that waits until `deadline` may wait before :meth:`mark_dropped`."""
        if self._mark_interval is None:
            return deadline
        due = monotonic() + self._mark_interval
        return due if deadline is None else min(due, deadline)

    def mark_dropped(self, deadline: float | None) -> bool:
        """A read has waited in vain for as long as :meth:`mark_due` said: what SmartModules have dropped meanwhile is
        processed. False: it was to wait no longer."""
        if self._mark_interval is None or left(deadline) == 0:
            return False
        self.mark_before_hand()
        return True

    # -- errors

    def check_open(self) -> None:
        """Raises after a fork, and when the consumer was closed."""
        self.backend.check_fork()
        if self.closed:
            raise self.no_more()

    def check_untracked(self) -> None:
        """Raises if a tracker hands out the records: what it holds cannot be called back from its workers."""
        if self.tracked is not None:
            raise UsageError("a tracker hands out the records of this consumer: open another one to seek")

    def no_more(self) -> ClosedError:
        """The error that says why nothing more is handed out."""
        if self.closed:
            return ClosedError("the consumer is closed", topic=self.topic)
        if self.stopped:
            return ClosedError("the consumer was stopped", topic=self.topic)
        return ClosedError("the consumer has read to the end it was opened for", topic=self.topic)

    def second_reader(self) -> UsageError:
        """The error for a read in the middle of another one."""
        return UsageError("this consumer is being read already: one reads at a time")

    def too_late(self) -> FluvioError:
        """The error for a read that has waited in vain."""
        late = FluvioTimeoutError(f"no record of {self.topic!r} came in time", phase="read", topic=self.topic)
        return explained(late, lib.flv_consumer_trouble, self.handle)
