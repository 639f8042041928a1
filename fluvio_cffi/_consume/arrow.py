"""Records that were read as Arrow data: the library has made their columns, and Python never looks into them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

from fluvio_cffi._consume.batch import ReadTogether, arrow_data
from fluvio_cffi._consume.columns import Columns, partition_of_chunk, places_of_chunk
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import CData, ffi, lib

_NONE: Final[list[Any]] = []


class ArrowColumns(Columns):
    """Records of one partition, in order, of which Python has the offsets alone.

    :ivar held: what the library made, of which these are `len(offsets)` records from `start` on.
    """

    __slots__ = ("held", "start")

    def __init__(
        self,
        topic: str,
        partition: int,
        offsets: Sequence[int],
        next_offset: int,
        nbytes: int | None,
        places: list[int] | None,
        held: Any,
        start: int,
    ) -> None:
        super().__init__(topic, partition, offsets, None, None, _NONE, next_offset, nbytes, places)
        self.held: Any = held
        self.start: int = start

    @classmethod
    def take(cls, consumer: CData, topic: str, chunk: CData) -> ArrowColumns:
        """The records of a chunk of the library (``FLV_FORMAT_ARROW``), which has just been taken."""
        held, error = arrow_data().Held(), ffi.new("flv_error_t **")
        raise_status(lib.flv_consumer_arrow(consumer, held.place, error), error, "read")
        # They lie where the columns are, and last as long.
        native = ffi.buffer(lib.flv_arrow_offsets(held.arrow), chunk.count * 8)
        offsets: Sequence[int] = memoryview(native).cast("q")
        places = places_of_chunk(chunk, offsets) if chunk.shares_offsets else None
        return cls(topic, partition_of_chunk(chunk), offsets, chunk.next_offset, chunk.bytes, places, held, 0)

    def __len__(self) -> int:
        return len(self.offsets)

    def slice(self, start: int, stop: int) -> ArrowColumns:
        return ArrowColumns(
            self.topic,
            self.partition,
            self.offsets[start:stop],
            self.next_offset if stop == len(self) else self.place(stop),
            None,
            None if self.places is None else self.places[start:stop],
            self.held,
            self.start + start,
        )

    @property
    def nbytes(self) -> int:
        if self._nbytes is None:
            self._nbytes = int(lib.flv_arrow_bytes(self.held.arrow, self.start, len(self)))
        return self._nbytes


class ArrowBatch(ReadTogether):
    """Records that were read together, never none, as Arrow data: what pyarrow, polars, DuckDB, pandas, nanoarrow and
    others make tables of without a copy, by the `Arrow PyCapsule interface
    <https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html>`_. So ``pyarrow.table(batch)``,
    ``polars.DataFrame(batch)``.

    The columns are ``partition`` (int32), ``offset`` (int64), ``timestamp`` (timestamp[ms, UTC]; null where a record
    has none), ``key`` (binary; null: none) and ``value`` (binary); the schema's metadata has the topic's name as
    ``topic``. Records may be of several partitions; those of one are in order.

    It may be handed over any number of times, on any thread, also when the consumer and its client are closed. What was
    made of it lasts by itself.
    """

    __slots__ = ()

    @property
    def num_rows(self) -> int:
        """How many records there are."""
        return self._length

    def __arrow_c_schema__(self) -> object:
        """The schema, in a capsule."""
        return arrow_data().schema_capsule(self.topic)

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """The schema and one array of all records, in capsules. If they came in several pieces they are copied, once a
        call; :meth:`__arrow_c_stream__` copies nothing.

        :param requested_schema: is not looked at: the columns have the types that they have.
        :raises ConfigError: there are 2 GiB or more of them, which one array cannot have.
        """
        return self.__arrow_c_schema__(), arrow_data().array_capsule(self._pieces())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """The records as a stream of arrays, in a capsule.

        :param requested_schema: is not looked at: the columns have the types that they have.
        """
        return arrow_data().stream_capsule(self.topic, self._pieces())

    def _pieces(self) -> list[tuple[Any, int, int]]:
        # They are what `ArrowColumns.take` has made.
        parts = cast("tuple[ArrowColumns, ...]", self._parts)
        return [(part.held, part.start, len(part)) for part in parts]

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("cannot pickle 'ArrowBatch' object: make a table of it, such as pyarrow.table(batch)")
