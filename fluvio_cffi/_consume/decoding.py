"""How what was read becomes what a program wants: by the codecs of a consumer.

A record that a codec cannot read takes nothing with it. What comes before it is handed out first; then it is raised,
with the record in the error; then reading goes on after it. It counts as handed out, as if it had been read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, repeat
from operator import length_hint
from typing import Any, Literal, NamedTuple, TypeAlias

from fluvio_cffi._consume.batch import Buffer
from fluvio_cffi._consume.columns import Columns, Source
from fluvio_cffi._errors import DecodeError
from fluvio_cffi._values.checks import wrong_value
from fluvio_cffi._values.codecs import Codec, check_codec, guarded
from fluvio_cffi._values.records import Record

OnUndecodable: TypeAlias = Literal["raise", "skip"] | Callable[[DecodeError], object]


class Bad(NamedTuple):
    """A record that a codec cannot read.

    :ivar good: how many records of its part come before it.
    """

    good: int
    record: Record
    error: Exception


class Codecs(NamedTuple):
    """The codecs of a consumer, checked."""

    key: Codec[Any] | None
    value: Codec[Any] | None
    on_undecodable: OnUndecodable


def codecs_of(key: Codec[Any] | None, value: Codec[Any] | None, on_undecodable: OnUndecodable) -> Codecs | None:
    """What decodes for a consumer; ``None``: nothing does."""
    if on_undecodable not in ("raise", "skip") and not callable(on_undecodable):
        raise wrong_value("on_undecodable", on_undecodable, '"raise", "skip", or a function that gets the DecodeError')
    for codec, what in ((key, "key"), (value, "value")):
        if codec is not None:
            check_codec(codec, what)
    return None if key is None and value is None else Codecs(key, value, on_undecodable)


class Decoding:
    """Decodes what is read of one topic."""

    __slots__ = ("_key", "_on_undecodable", "_part", "_value")

    def __init__(self, codecs: Codecs) -> None:
        key, value, on_undecodable = codecs
        self._key = None if key is None else guarded(key.decode)
        self._value = None if value is None else guarded(value.decode)
        self._on_undecodable = on_undecodable
        # What leaves one by one.
        self._part: Columns | None = None

    # -- one by one

    def source(self, part: Columns, values: Iterator[bytes]) -> Source:
        """What :meth:`Columns.source` gives, decoded. Whoever takes them must see by himself whether they may leave."""
        records = self.records(part, values)
        return lambda gate: islice(records, len(gate)) if isinstance(gate, list) else map(_second, gate, records)

    def records(self, part: Columns, values: Iterator[bytes]) -> Iterator[Record[Any, Any]]:
        """The records, decoded as they are asked for. An error in one leaves the others where they are, and has taken
        it out of `values`, an iterator over their values."""
        self._part = part
        decode_key, decode_value = self._key, self._value
        if decode_key is None and decode_value is not None:
            return part.records(map(decode_value, values))
        topic, partition = part.topic, part.partition
        read_key, read_value = decode_key or _same, decode_value or _same

        # One function for both: keys and values must not move apart.
        def decoded(offset: int, stamp: int | None, key: bytes | None, value: bytes) -> Record[Any, Any]:
            name = None if key is None else read_key(key)
            return Record(topic, partition, offset, stamp, name, read_value(value))

        stamps = part.stamps if isinstance(part.stamps, list) else repeat(part.stamps)
        keys = repeat(None) if part.keys is None else part.keys
        return map(decoded, part.offsets, stamps, keys, values)

    def pass_over(self, buffer: Buffer, error: Exception) -> None:
        """The record that left last could not be decoded: raises that, or not, as it was asked for."""
        record = self._last(buffer)
        if record is not None:
            failure = self.failure(record, error)
            if failure is not None:
                raise failure

    def _last(self, buffer: Buffer) -> Record | None:
        """The record that left last. ``None``: a seek has dropped it meanwhile, with all that was read ahead."""
        state, part = buffer.state, self._part
        if part is not None and state.source is not None and state.parts[0] is part:
            return part.record(len(part) - length_hint(state.left) - 1)
        # Something has come in between.
        hand = buffer.in_hand()
        if hand is None or part is None or hand[0] != part.partition:
            return None
        places = [index for index in range(len(part)) if part.place(index) == hand[1]]
        return part.record(places[-1]) if places else None

    def failure(self, record: Record, error: Exception) -> DecodeError | None:
        """The error to raise for a record; ``None``: it is passed over, and has been told to whom it was to be told."""
        if self._on_undecodable == "skip":
            return None
        what = "key" if self._error_of(record, key_only=True) is not None else "value"
        where = f"offset {record.offset} of partition {record.partition} of topic {record.topic!r}"
        failure = DecodeError(
            f"the {what} at {where} cannot be decoded: {type(error).__name__}: {error}",
            record=record,
            topic=record.topic,
            partition=record.partition,
            offset=int(record.offset),
        )
        failure.__cause__ = error
        if not callable(self._on_undecodable):
            return failure
        self._on_undecodable(failure)
        return None

    def _error_of(self, record: Record, key_only: bool = False) -> Exception | None:
        """What the codecs raise for a record."""
        try:
            if self._key is not None and record.key is not None:
                self._key(record.key)
            if self._value is not None and not key_only:
                self._value(record.value)
        except Exception as error:
            return error
        return None

    # -- by batches

    def part(self, part: Columns) -> Columns | Bad:
        """The records of a part, decoded; or the first that cannot be."""
        try:
            values: list[Any] = part.values if self._value is None else [*map(self._value, part.values)]
            keys: list[Any] | None = part.keys
            if keys is not None and self._key is not None:
                keys = [None if key is None else self._key(key) for key in keys]
        except Exception:
            for index in range(len(part)):
                error = self._error_of(part.record(index))
                if error is not None:
                    return Bad(index, part.record(index), error)
            raise
        return Columns(
            part.topic,
            part.partition,
            part.offsets,
            part.stamps,
            keys,
            values,
            part.next_offset,
            part.nbytes,
            part.places,
        )


def _second(_: object, record: Record[Any, Any]) -> Record[Any, Any]:
    return record


def _same(data: bytes) -> object:
    return data
