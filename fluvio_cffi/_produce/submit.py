"""How records leave Python: one joined buffer and arrays of lengths, one call of the library for many records."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, chain, islice
from operator import add
from struct import Struct
from time import monotonic
from typing import Final, TypeVar, cast

from fluvio_cffi._errors import ConfigError, ConfigTypeError, FluvioError
from fluvio_cffi._native.errors import from_native
from fluvio_cffi._native.library import CData, ffi, lib
from fluvio_cffi._native.queue import Hub
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._produce.delivery import Ledger
from fluvio_cffi._values import checks as _check
from fluvio_cffi._values.records import ProducerRecord, Record

OVERHEAD: Final = int(lib.FLV_RECORD_OVERHEAD)
"""What a record costs of the buffer beside its key and value."""

CHUNK_RECORDS: Final = 500
CHUNK_BYTES: Final = 256 * 1024
WEIGHED: Final = 32
"""After so many elements it is looked how large they are."""
_BYTES: Final = frozenset([bytes])
_RUNS: Final = 1024
_RUN: Final = Struct("=QII")
_NOW: Final = -(1 << 63)
_NULL: Final = ffi.NULL
_AWAITED: Final = int(lib.FLV_RECORDS_AWAITED)
_UINT8: Final = ffi.typeof("uint8_t[]")
_UINT32: Final = ffi.typeof("uint32_t[]")
Owner = TypeVar("Owner")


def as_bytes(value: object, what: str) -> bytes:
    """The bytes of a value or a key: text as UTF-8; what can be changed is copied.

    :raises ConfigError: if it is none of these.
    """
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            # What the codec says has the text in it.
            raise ConfigError(
                f"{what} is a str with a character at {error.start} that UTF-8 does not have: {error.reason}"
            ) from None
    if isinstance(value, (bytearray, memoryview)):
        return bytes(cast("bytearray | memoryview", value))
    raise ConfigTypeError(
        f"{what} must be bytes, bytearray, memoryview or str, not {_check.kind(value)}{_advice(value)}"
    )


def _advice(value: object) -> str:
    """What to do about a value that is none of a record."""
    if isinstance(value, (Mapping, list)):
        return ": encode it first, say with json.dumps()"
    if isinstance(value, (bool, int, float)):
        return ": encode it first, say with str()"
    return ""


def check_partition(partition: int) -> int:
    """A partition's number, checked."""
    return _check.number(partition, "partition", 0, (1 << 31) - 1)


def check_timestamp(timestamp: int) -> int:
    """A timestamp, checked."""
    return _check.number(timestamp, "timestamp, in milliseconds since the epoch,", 0, (1 << 63) - 1)


class Block:
    """Records in the form in which the library takes them. They leave it in order; :attr:`start` says how many have.

    :ivar cost: bytes of the producer's buffer that the records which have not left it cost.
    """

    __slots__ = ("_data", "_keys", "_partitions", "_place", "_values", "cost", "count", "stamps", "start")

    def __init__(
        self,
        data: bytes,
        values: array[int],
        keys: array[int] | None = None,
        partitions: array[int] | None = None,
        stamps: array[int] | None = None,
    ) -> None:
        self.count = len(values)
        self.start = 0
        self.cost = len(data) + OVERHEAD * self.count
        self._data = data
        self._values = values
        self._keys = keys
        self._partitions = partitions
        self.stamps = stamps
        # Where in the data the record at `start` begins.
        self._place = 0

    def next_cost(self) -> int:
        """What the next record costs."""
        key = self._keys[self.start] if self._keys is not None else 0
        return self._values[self.start] + max(key, 0) + OVERHEAD

    def fill(self, records: CData, count: int) -> list[CData]:
        """Points ``flv_records_t`` to the next `count` records; the list must live until the call is over."""
        start = self.start
        data = ffi.from_buffer(_UINT8, self._data)
        values = ffi.from_buffer(_UINT32, self._values)
        alive = [data, values]
        records.count = count
        records.data = data + self._place
        records.data_len = len(self._data) - self._place if start + count == self.count else self._size(count)
        records.value_lengths = values + start
        records.key_lengths = records.partitions = records.timestamps = _NULL
        if self._keys is not None:
            keys = ffi.from_buffer("int32_t[]", self._keys)
            alive.append(keys)
            records.key_lengths = keys + start
        if self._partitions is not None:
            partitions = ffi.from_buffer("int32_t[]", self._partitions)
            alive.append(partitions)
            records.partitions = partitions + start
        if self.stamps is not None:
            stamps = ffi.from_buffer("int64_t[]", self.stamps)
            alive.append(stamps)
            records.timestamps = stamps + start
        return alive

    def advance(self, count: int) -> int:
        """The next `count` records have left; what they cost."""
        if self.start + count == self.count:
            cost = self.cost
        else:
            size = self._size(count)
            self._place += size
            cost = size + OVERHEAD * count
        self.start += count
        self.cost -= cost
        return cost

    def _size(self, count: int) -> int:
        start = self.start
        size = sum(self._values[start : start + count])
        if self._keys is not None:
            size += sum(length for length in self._keys[start : start + count] if length > 0)
        return size


class _Desk:
    """What one submission needs to talk to the library; one uses it at a time.

    :ivar busy: whether somebody does.
    :ivar run: which of the submission's runs is accounted for next. None is left between two calls, unless an exception
        came out of the blue.
    :ivar single: what a single record needs; :attr:`one` is what it points to beside the record, :attr:`rare` whether
        that is more than a length.
    """

    __slots__ = ("busy", "error", "one", "rare", "records", "run", "runs", "single", "submission")

    def __init__(self) -> None:
        self.busy = False
        self.error = ffi.new("flv_error_t **")
        self.records = ffi.new("flv_records_t *")
        self.records.struct_size = ffi.sizeof("flv_records_t")
        self.runs = ffi.new("flv_run_t[]", _RUNS)
        self.submission = ffi.new("flv_submission_t *")
        self.submission.struct_size = ffi.sizeof("flv_submission_t")
        self.run = 0
        self.single = ffi.new("flv_records_t *")
        self.single.struct_size = ffi.sizeof("flv_records_t")
        self.single.count = 1
        self.one = (
            ffi.new("uint32_t[]", 1),
            ffi.new("int32_t[]", 1),
            ffi.new("int32_t[]", 1),
            ffi.new("int64_t[]", 1),
        )
        self.single.value_lengths = self.one[0]
        self.rare = False


class Pipe:
    """The library's producer, as far as records go in. Any thread; any call may come in the middle of any other one:
    `_hub` says how.

    :ivar room: the room that there was last.
    """

    __slots__ = ("_desks", "_hub", "_ledger", "handle", "room")

    def __init__(self, handle: CData, hub: Hub, ledger: Ledger) -> None:
        self.handle = handle
        self._hub = hub
        self._ledger = ledger
        # One is enough, unless several submit at a time.
        self._desks = [_Desk()]
        self.room: int = lib.flv_producer_room(handle)

    def look(self) -> int:
        """Asks how much room there is."""
        self.room = lib.flv_producer_room(self.handle)
        return self.room

    def submit(self, block: Block, count: int, accept: Callable[[Ticket, int, int, int], None]) -> tuple[int, int]:
        """Hands over the next `count` records of `block`, as many as there is room for.

        :param accept: called with (ticket, index, count, timestamp) for each run of records that went into one batch.
        :returns: how many were accepted, and what they cost.
        :raises FluvioError: then none was.
        """
        desk = self._desks[0]
        if not desk.busy:
            # One step.
            desk.busy = True
        else:
            desk = self._spare()
            if not desk.busy:
                # One step.
                desk.busy = True
            else:
                return self.submit(block, count, accept)
        try:
            submission = desk.submission
            if submission.runs:
                self._account(desk, _nobody)
            alive = block.fill(desk.records, count)
            submission.accepted = 0
            try:
                status = lib.flv_producer_submit(self.handle, desk.records, desk.runs, _RUNS, submission, desk.error)
            finally:
                # Also when an exception takes the place of the status: what was accepted must be accounted for.
                del alive
                accepted: int = submission.accepted
                cost = 0
                if accepted:
                    cost = block.advance(accepted)
                    self._account(desk, accept)
            if status:
                raise self._failure(desk, status)
            return accepted, cost
        finally:
            desk.busy = False

    def catch_up(self) -> None:
        """Accounts for what was accepted by a submission that an exception has ended then. Its caller has not got the
        records' tickets: failures are told at the next flush."""
        for desk in tuple(self._desks):
            # One step.
            if desk.submission.runs and not desk.busy:
                desk.busy = True
                try:
                    self._account(desk, _nobody)
                finally:
                    desk.busy = False

    def _spare(self) -> _Desk:
        """One that nobody used just now; whoever called must claim it."""
        for desk in self._desks:
            if not desk.busy:
                return desk
        desk = _Desk()
        self._desks.append(desk)
        return desk

    def _account(self, desk: _Desk, accept: Callable[[Ticket, int, int, int], None]) -> None:
        submission = desk.submission
        ledger = self._ledger
        hub = self._hub
        tickets = hub.tickets
        self.room = submission.room
        # One step.
        ledger.submitted += submission.accepted
        submission.accepted = 0
        stamp: int = submission.timestamp
        runs = ffi.buffer(desk.runs, submission.runs * _RUN.size)[desk.run * _RUN.size :]
        for number, index, length in _RUN.iter_unpack(runs):
            ticket = tickets.get(number) or hub.ticket(number)
            ticket.attach(ledger)
            accept(ticket, index, length, stamp)
            # One step.
            desk.run += 1
            ticket.bound += length
            if ticket.passed and ticket.bound >= ticket.count:
                tickets.pop(number, None)
        desk.run = submission.runs = 0

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
        """Hands over one record; false if there is no room for it.

        :param accept: called with (owner, ticket, index, timestamp).
        :param awaited: whether the caller waits for it: then the hub may read the reply when it is drained.
        :raises FluvioError: then it was not accepted.
        """
        desk = self._desks[0]
        if not desk.busy:
            # One step.
            desk.busy = True
        else:
            desk = self._spare()
            if not desk.busy:
                # One step.
                desk.busy = True
            else:
                return self.submit_one(value, key, partition, timestamp, accept, owner, awaited)
        try:
            submission = desk.submission
            if submission.runs:
                self._account(desk, _nobody)
            single = desk.single
            single.flags = _AWAITED if awaited else 0
            values, keys, partitions, stamps = desk.one
            values[0] = len(value)
            rare = key is not None or partition is not None or timestamp is not None
            if rare or desk.rare:
                desk.rare = rare
                single.key_lengths = _NULL if key is None else keys
                single.partitions = _NULL if partition is None else partitions
                single.timestamps = _NULL if timestamp is None else stamps
                if key is not None:
                    keys[0] = len(key)
                    value = key + value
                if partition is not None:
                    partitions[0] = partition
                if timestamp is not None:
                    stamps[0] = timestamp
            data = ffi.from_buffer(_UINT8, value)
            single.data = data
            single.data_len = len(value)
            submission.accepted = 0
            try:
                status = lib.flv_producer_submit(self.handle, single, desk.runs, 1, submission, desk.error)
            finally:
                accepted: int = submission.accepted
                if accepted:
                    self._account_one(desk, accept, owner)
            del data
            if status:
                raise self._failure(desk, status)
            return accepted > 0
        finally:
            desk.busy = False

    def _account_one(self, desk: _Desk, accept: Callable[[Owner, Ticket, int, int], None], owner: Owner) -> None:
        """The same for a single record."""
        submission = desk.submission
        ledger = self._ledger
        hub = self._hub
        run = desk.runs[0]
        number = run.ticket
        self.room = submission.room
        # One step.
        ledger.submitted += 1
        submission.accepted = 0
        ticket = hub.tickets.get(number) or hub.ticket(number)
        ticket.attach(ledger)
        accept(owner, ticket, run.index, submission.timestamp)
        # One step.
        submission.runs = 0
        ticket.bound += 1
        if ticket.passed and ticket.bound >= ticket.count:
            hub.tickets.pop(number, None)

    def _failure(self, desk: _Desk, status: int) -> FluvioError:
        error, desk.error[0] = desk.error[0], _NULL
        failure = from_native(status, error, "enqueue")
        if failure.outcome is None:
            failure.outcome = "not_written"
        return failure


def _nobody(ticket: Ticket, index: int, count: int, stamp: int) -> None:
    """Nobody wants to know in which batch the records are."""


def many(
    values: list[bytes],
    keys: list[bytes | None] | None,
    partitions: list[int] | None,
    stamps: list[int] | None,
) -> Block:
    """A block of records; where there is no partition -1 stands, where there is no timestamp :data:`NO_STAMP`."""
    lengths = array("I", [*map(len, values)])
    if keys is None:
        data = b"".join(values)
        key_lengths = None
    else:
        data = b"".join(
            chain.from_iterable(
                (value,) if key is None else (key, value) for key, value in zip(keys, values, strict=True)
            )
        )
        key_lengths = array("i", [-1 if key is None else len(key) for key in keys])
    return Block(
        data,
        lengths,
        key_lengths,
        None if partitions is None else array("i", partitions),
        None if stamps is None else array("q", stamps),
    )


NO_STAMP: Final = _NOW


class BadElement(Exception):
    """An element of ``send_all``'s input cannot be sent; the block holds those before it."""

    def __init__(self, block: Block | None, error: FluvioError) -> None:
        super().__init__(str(error))
        self.block = block
        self.error = error


def encode(chunk: Sequence[object], first: int) -> Block:
    """The block of the first elements of a chunk of ``send_all``'s input, which is not empty: of all, or of as many as
    :data:`CHUNK_BYTES` have room for. `first` is the index of its first element.

    :raises BadElement: if an element cannot be sent.
    """
    # Lists are what `array` and `count` are fastest with.
    kinds = [*map(type, chunk)]
    if kinds.count(bytes) == len(kinds):
        values = cast("Sequence[bytes]", chunk)
        lengths = [*map(len, values)]
        if sum(lengths) > CHUNK_BYTES:
            count = _fitting(lengths)
            values, lengths = values[:count], lengths[:count]
        return Block(b"".join(values), array("I", lengths))
    if kinds.count(tuple) == len(kinds):
        block = _encode_pairs(cast("Sequence[tuple[object, ...]]", chunk))
        if block is not None:
            return block
    return _encode_each(chunk, first)


def _fitting(lengths: list[int]) -> int:
    """How many records go into one block, at least one."""
    return max(bisect_right([*accumulate(lengths)], CHUNK_BYTES), 1)


def _encode_pairs(chunk: Sequence[tuple[object, ...]]) -> Block | None:
    if set(map(len, chunk)) != {2} or set(map(type, chain.from_iterable(chunk))) != {bytes}:
        return None
    pairs = cast("Sequence[tuple[bytes, bytes]]", chunk)
    keys = [len(key) for key, _ in pairs]
    values = [len(value) for _, value in pairs]
    if sum(keys) + sum(values) > CHUNK_BYTES:
        count = _fitting([*map(add, keys, values)])
        pairs, keys, values = pairs[:count], keys[:count], values[:count]
    return Block(b"".join(chain.from_iterable(pairs)), array("I", values), array("i", keys))


def _encode_each(chunk: Sequence[object], first: int) -> Block:
    values: list[bytes] = []
    keys: list[bytes | None] = []
    partitions: list[int] = []
    stamps: list[int] = []
    size = 0

    def block() -> Block | None:
        if not values:
            return None
        return many(
            values,
            keys if any(key is not None for key in keys) else None,
            partitions if any(partition >= 0 for partition in partitions) else None,
            stamps if any(stamp != _NOW for stamp in stamps) else None,
        )

    for index, element in enumerate(chunk, first):
        key: object = None
        partition: int | None = None
        stamp: int | None = None
        value = element
        try:
            if isinstance(element, Record):
                value, key = element.value, element.key
            elif isinstance(element, tuple):
                pair = cast("tuple[object, ...]", element)
                if len(pair) != 2:
                    raise ConfigError(f"a tuple of {len(pair)} elements is no record: it must be (key, value)")
                key, value = pair
            elif isinstance(element, ProducerRecord):
                value, key, partition, stamp = element.value, element.key, element.partition, element.timestamp
            data = as_bytes(value, "the value")
            name = None if key is None else as_bytes(key, "the key")
            where = -1 if partition is None else check_partition(partition)
            when = _NOW if stamp is None else check_timestamp(stamp)
        except FluvioError as error:
            raise BadElement(block(), at_index(error, index)) from None
        size += len(data) + len(name or b"")
        if size > CHUNK_BYTES and values:
            break
        values.append(data)
        keys.append(name)
        partitions.append(where)
        stamps.append(when)
    made = block()
    assert made is not None
    return made


def at_index(error: FluvioError, index: int) -> FluvioError:
    """The same error about the element `index` of ``send_all``'s input."""
    error.args = (f"record {index}: {error}",)
    return error


class Refused(Exception):
    """A record of ``send_all`` was not accepted; those before it were."""

    def __init__(self, error: FluvioError) -> None:
        super().__init__(str(error))
        self.error = error


class Pace:
    """How many elements ``send_all`` takes from its input at a time: at most 500, about 256 KiB, about a millisecond.

    It begins with one, so that a slow input is sent as it comes.
    """

    __slots__ = ("_started", "count")

    def __init__(self) -> None:
        self.count = 1
        self._started = 0.0

    def begin(self) -> None:
        """A chunk is begun."""
        self._started = monotonic()

    def taken(self) -> None:
        """A chunk is complete."""
        if monotonic() - self._started > 0.001:
            self.count = max(1, self.count // 4)
        else:
            self.count = min(CHUNK_RECORDS, self.count * 4)

    def weighed(self, block: Block) -> None:
        """The chunk became this block."""
        most = CHUNK_BYTES * block.count // max(block.cost - OVERHEAD * block.count, 1)
        self.count = max(1, min(self.count, most))


def chunks(records: Iterable[object], pace: Pace) -> Iterator[Sequence[object]]:
    """Chunks of an iterable of records, which is read no further than needed."""
    if isinstance(records, (list, tuple)):
        # The first few tell how large the rest is likely to be.
        pace.count = 16
        sequence = cast("Sequence[object]", records)
        position = 0
        while position < len(sequence):
            part = sequence[position : position + pace.count]
            position += len(part)
            pace.count = CHUNK_RECORDS
            yield part
        return
    iterator = iter(records)
    while True:
        chunk: list[object] = []
        pace.begin()
        try:
            size = count = 0
            while count < pace.count and size < CHUNK_BYTES:
                chunk.extend(islice(iterator, min(WEIGHED, pace.count - count)))
                part = chunk[count:]
                if not part:
                    break
                count += len(part)
                size += weight(part)
        except BaseException:
            # What the input gave before it failed is sent.
            if chunk:
                yield chunk
            raise
        if not chunk:
            return
        pace.taken()
        yield chunk


def weight(elements: Sequence[object]) -> int:
    """About how many bytes the keys and values of these elements have."""
    if _BYTES.issuperset(map(type, elements)):
        return sum(map(len, cast("Sequence[bytes]", elements)))
    return sum(map(_weight, elements))


def _weight(element: object) -> int:
    if isinstance(element, (ProducerRecord, Record)):
        return _weight(element.value) + _weight(element.key)
    if isinstance(element, tuple):
        return sum(map(_weight, cast("tuple[object, ...]", element)))
    if isinstance(element, memoryview):
        return element.nbytes
    return len(element) if isinstance(element, (bytes, str, bytearray)) else 0


def check_source(records: object, *, asynchronous: bool) -> None:
    """Raises for what is no sequence of records, though it may look like one.

    :param asynchronous: whether it may be an asynchronous iterable.
    """
    advice = None
    given = _check.kind(records)
    if isinstance(records, (str, bytes, bytearray, memoryview, ProducerRecord, Record)):
        advice = "use send() or enqueue() for one"
    elif isinstance(records, Mapping):
        advice = "only its keys would be sent; its items() are pairs of key and value"
    elif isinstance(records, AsyncIterable) and not asynchronous:
        advice = "that is for AsyncFluvio"
    elif not isinstance(records, (Iterable, AsyncIterable)):
        advice = "use send() or enqueue() for one record"
    if advice is not None:
        raise ConfigTypeError(f"records must be an iterable of records, not {given}: {advice}")
