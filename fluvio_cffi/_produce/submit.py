"""How records enter the library: one call for a block of them, or for a single one."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Final, TypeVar

from fluvio_cffi._errors import ClosedError, FluvioError, ForkedError
from fluvio_cffi._native.errors import from_native
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.queue import CompletionQueue
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._produce.delivery import Ledger
from fluvio_cffi._produce.encode import Accept, Block, RecordRefused

_RUNS: Final = 1024
# flv_run_t: ticket, index, count
_RUN: Final = Struct("=QII")
_SUBMISSION_SIZE: Final = ffi.sizeof("flv_submission_t")
_ROOM: Final = ffi.offsetof("flv_submission_t", "room")
# What has come of a single record: `room` and `timestamp` of flv_submission_t, and the flv_run_t behind that.
_ONE: Final = Struct(f"=Qq{_SUBMISSION_SIZE - _ROOM - 16}xQI")
# What a single record may have beside its value.
_KEY: Final = 1
_PARTITION: Final = 2
_TIMESTAMP: Final = 4
_NULL: Final = ffi.NULL
_AWAITED: Final = int(lib.FLV_RECORDS_AWAITED)
_UINT8: Final = ffi.typeof("uint8_t[]")
_UINT32: Final = ffi.typeof("uint32_t[]")
Owner = TypeVar("Owner")


class _Structs:
    """The C structs of one submission. One submission uses them at a time.

    :ivar busy: whether a submission has claimed them.
    :ivar run: which of the submission's runs is accounted for next. Runs are left over between two submissions only
        where an exception, such as KeyboardInterrupt, has ended the first one too early.
    :ivar position: where in its block that run begins.
    :ivar block: where the records come from, until the submission is accounted for.
    :ivar accept: who is told of the runs that are left over.
    :ivar memory: holds `submission`, and `runs` behind it.
    :ivar single: describes a single record; its columns are :attr:`columns`.
    :ivar columns: length of the value, length of the key, partition and timestamp of that record.
    :ivar shape: what `single` points to beside the length of the value.
    """

    __slots__ = (
        "accept",
        "block",
        "busy",
        "columns",
        "error",
        "memory",
        "position",
        "records",
        "run",
        "runs",
        "shape",
        "single",
        "submission",
    )

    def __init__(self) -> None:
        self.busy = False
        self.block: Block | None = None
        self.accept: Accept = _ignore
        self.error = ffi.new("flv_error_t **")
        self.records = ffi.new("flv_records_t *")
        self.records.struct_size = ffi.sizeof("flv_records_t")
        # Side by side, so that what has come of a single record is read at once.
        block = ffi.new("uint64_t[]", (_SUBMISSION_SIZE + _RUNS * _RUN.size) // 8)
        self.memory = memoryview(ffi.buffer(block))
        self.runs = ffi.cast("flv_run_t *", block + _SUBMISSION_SIZE // 8)
        self.submission = ffi.cast("flv_submission_t *", block)
        self.submission.struct_size = _SUBMISSION_SIZE
        self.run = self.position = 0
        self.single = ffi.new("flv_records_t *")
        self.single.struct_size = ffi.sizeof("flv_records_t")
        self.single.count = 1
        self.columns = (
            ffi.new("uint32_t[]", 1),
            ffi.new("int32_t[]", 1),
            ffi.new("int32_t[]", 1),
            ffi.new("int64_t[]", 1),
        )
        self.single.value_lengths = self.columns[0]
        self.shape = 0


class Submitter:
    """Hands records over to the library, and accounts for what the library has accepted. Any thread; any call may come
    in the middle of any other one: `_native.queue` says how.

    :ivar room: bytes that the library's buffer had room for after the last submission, or :meth:`refresh_room`.
    """

    __slots__ = ("_completions", "_handle", "_ledger", "_structs", "room")

    def __init__(self, handle: CData, completions: CompletionQueue, ledger: Ledger) -> None:
        self._handle = handle
        self._completions = completions
        self._ledger = ledger
        # More than one is needed only where several submissions are under way at a time.
        self._structs = [_Structs()]
        self.room: int = lib.flv_producer_room(handle)

    @property
    def idle(self) -> bool:
        """Whether no submission is under way, and everything that was accepted is accounted for."""
        return not any(structs.busy or structs.submission.runs for structs in self._structs)

    def refresh_room(self) -> int:
        """Asks the library how much room its buffer has."""
        self.room = lib.flv_producer_room(self._handle)
        return self.room

    def submit_queued(self, block: Block, accept: Accept) -> int:
        """As :meth:`submit_isolating`, for a block that outlives an exception which ends the call too early, such as
        KeyboardInterrupt: whoever comes next goes on to tell `accept`. Call :meth:`catch_up` before you look at
        `block`."""
        return self.submit_isolating(block, accept, kept=True)

    def submit_isolating(self, block: Block, accept: Accept, kept: bool = False) -> int:
        """Hands over what is left of `block`, as far as there is room; returns how many records were accepted. Records
        that the library refuses together go one by one from then on, until one is found that it refuses alone.

        :raises RecordRefused: the library refuses the next record.
        :raises ClosedError, ForkedError: the library accepts none any more.
        """
        while True:
            count = 1 if block.isolating else block.remaining
            try:
                return self.submit(block, count, accept, kept)
            except FluvioError as error:
                self.refresh_room()
                if isinstance(error, (ClosedError, ForkedError)):
                    raise
                if count == 1:
                    raise RecordRefused(error) from None
                block.isolating = True

    def submit(self, block: Block, count: int, accept: Accept, kept: bool = False) -> int:
        """Hands over the next `count` records of `block`, as far as there is room; returns how many were accepted.

        :param kept: as :meth:`submit_queued` says.
        :raises FluvioError: no record was accepted.
        """
        structs = self._structs[0]
        if not structs.busy:
            # One step.
            structs.busy = True
        else:
            structs = self._spare()
            if not structs.busy:
                # One step.
                structs.busy = True
            else:
                return self.submit(block, count, accept, kept)
        try:
            submission = structs.submission
            if submission.runs:
                self._account(structs, structs.accept)
            alive = _describe(structs.records, block, count)
            submission.accepted = 0
            structs.position = block.start
            structs.accept = accept if kept else _ignore
            structs.block = block
            try:
                status = lib.flv_producer_submit(
                    self._handle, structs.records, structs.runs, _RUNS, submission, structs.error
                )
            finally:
                # An exception may have taken the place of the status: what was accepted is accounted for all the same.
                del alive
                accepted: int = submission.accepted
                if accepted:
                    self._account(structs, accept)
                else:
                    structs.block = None
            if status:
                raise _failure(structs, status)
            return accepted
        finally:
            structs.busy = False

    def submit_one(
        self,
        value: bytes,
        key: bytes | None,
        partition: int | None,
        timestamp: int | None,
        accept: Callable[[Owner, Ticket, int, int], None],
        owner: Owner,
        awaited: bool = False,
    ) -> bool:
        """Hands over one record; false: there is no room for it.

        :param accept: called with (owner, ticket, index, timestamp).
        :param awaited: whether the caller waits for the record: if so, the drain may read the server's reply itself.
        :raises FluvioError: the record was not accepted.
        """
        structs = self._structs[0]
        if not structs.busy:
            # One step.
            structs.busy = True
        else:
            structs = self._spare()
            if not structs.busy:
                # One step.
                structs.busy = True
            else:
                return self.submit_one(value, key, partition, timestamp, accept, owner, awaited)
        try:
            submission = structs.submission
            if submission.runs:
                self._account(structs, structs.accept)
            single = structs.single
            single.flags = _AWAITED if awaited else 0
            value_lengths, key_lengths, partitions, timestamps = structs.columns
            value_lengths[0] = len(value)
            shape = 0
            if key is not None:
                shape = _KEY
                key_lengths[0] = len(key)
                value = key + value
            if partition is not None:
                shape |= _PARTITION
                partitions[0] = partition
            if timestamp is not None:
                shape |= _TIMESTAMP
                timestamps[0] = timestamp
            if shape != structs.shape:
                # Unknown until the last of them is set.
                structs.shape = -1
                single.key_lengths = key_lengths if shape & _KEY else _NULL
                single.partitions = partitions if shape & _PARTITION else _NULL
                single.timestamps = timestamps if shape & _TIMESTAMP else _NULL
                structs.shape = shape
            data = ffi.from_buffer(_UINT8, value)
            single.data = data
            single.data_len = len(value)
            submission.accepted = 0
            try:
                status = lib.flv_producer_submit(self._handle, single, structs.runs, 1, submission, structs.error)
            finally:
                accepted: int = submission.accepted
                if accepted:
                    self._account_one(structs, accept, owner)
            del data
            if status:
                raise _failure(structs, status)
            return accepted > 0
        finally:
            structs.busy = False

    def catch_up(self) -> None:
        """Accounts for the records of a submission that an exception has ended before it did so itself. If its caller
        has not got their tickets, their failures are reported by the next flush."""
        for structs in tuple(self._structs):
            # One step.
            if structs.submission.runs and not structs.busy:
                structs.busy = True
                try:
                    self._account(structs, structs.accept)
                finally:
                    structs.busy = False

    def _spare(self) -> _Structs:
        """Structs that nobody used just now; the caller must claim them."""
        for structs in self._structs:
            if not structs.busy:
                return structs
        structs = _Structs()
        self._structs.append(structs)
        return structs

    def _account(self, structs: _Structs, accept: Accept) -> None:
        """Notes that what a submission has accepted has left its block, and binds it to its tickets."""
        submission = structs.submission
        ledger = self._ledger
        completions = self._completions
        tickets = completions.tickets
        self.room = submission.room
        block = structs.block
        if block is None:
            # One step.
            ledger.submitted += submission.accepted
            submission.accepted = 0
        else:
            left = block.left_after(submission.accepted)
            # One step.
            block.left = left
            ledger.submitted += submission.accepted
            submission.accepted = 0
            structs.block = None
        timestamp: int = submission.timestamp
        runs = ffi.buffer(structs.runs, submission.runs * _RUN.size)[structs.run * _RUN.size :]
        for number, index, length in _RUN.iter_unpack(runs):
            ticket = tickets.get(number) or completions.ticket(number)
            ticket.attach(ledger)
            accept(structs.position, ticket, index, length, timestamp)
            # One step.
            structs.run += 1
            structs.position += length
            ticket.bound += length
            if ticket.passed and ticket.bound >= ticket.count:
                tickets.pop(number, None)
        structs.accept = _ignore
        structs.run = submission.runs = 0

    def _account_one(self, structs: _Structs, accept: Callable[[Owner, Ticket, int, int], None], owner: Owner) -> None:
        """Does the same for a single record."""
        submission = structs.submission
        ledger = self._ledger
        completions = self._completions
        room, timestamp, number, index = _ONE.unpack_from(structs.memory, _ROOM)
        self.room = room
        # One step.
        ledger.submitted += 1
        submission.accepted = 0
        ticket = completions.tickets.get(number) or completions.ticket(number)
        ticket.attach(ledger)
        accept(owner, ticket, index, timestamp)
        # One step.
        submission.runs = 0
        ticket.bound += 1
        if ticket.passed and ticket.bound >= ticket.count:
            completions.tickets.pop(number, None)


def _describe(records: CData, block: Block, count: int) -> list[CData]:
    """Points ``flv_records_t`` to the next `count` records of `block`; the returned list must live until the call of
    the library is over."""
    start = block.start
    data = ffi.from_buffer(_UINT8, block.data)
    value_lengths = ffi.from_buffer(_UINT32, block.value_lengths)
    alive = [data, value_lengths]
    records.count = count
    records.data = data + block.position
    records.data_len = len(block.data) - block.position if start + count == block.count else block.size(count)
    records.value_lengths = value_lengths + start
    records.key_lengths = records.partitions = records.timestamps = _NULL
    if block.key_lengths is not None:
        key_lengths = ffi.from_buffer("int32_t[]", block.key_lengths)
        alive.append(key_lengths)
        records.key_lengths = key_lengths + start
    if block.partitions is not None:
        partitions = ffi.from_buffer("int32_t[]", block.partitions)
        alive.append(partitions)
        records.partitions = partitions + start
    if block.timestamps is not None:
        timestamps = ffi.from_buffer("int64_t[]", block.timestamps)
        alive.append(timestamps)
        records.timestamps = timestamps + start
    return alive


def _failure(structs: _Structs, status: int) -> FluvioError:
    """The error of a submission, of which nothing was accepted."""
    error, structs.error[0] = structs.error[0], _NULL
    failure = from_native(status, error, "enqueue")
    if failure.outcome is None:
        failure.outcome = "not_written"
    return failure


def _ignore(position: int, ticket: Ticket, index: int, count: int, timestamp: int) -> None:
    """Takes the place of `accept` where its caller is gone."""
