"""How Arrow data becomes blocks of records: the library reads it, and Python never looks into it."""

from __future__ import annotations

from array import array
from typing import Any, Final, Protocol, TypeAlias

from fluvio_cffi._errors import ConfigTypeError, UsageError
from fluvio_cffi._native.calls import Slice
from fluvio_cffi._native.errors import from_native, raise_status
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._produce.encode import NO_PARTITION, Block
from fluvio_cffi._produce.partitions import PartitionChooser
from fluvio_cffi._values import checks as _check


class ArrowStreamable(Protocol):
    """What can be read as a stream of Arrow arrays."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


class ArrowArrayable(Protocol):
    """What can be read as one Arrow array."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...


ArrowData: TypeAlias = ArrowStreamable | ArrowArrayable
"""What other packages hand over as Arrow data."""

PLACED: Final = 250
"""So many records are placed by the caller's own partitioner at a time."""


class ArrowBlock(Block):
    """Records that lie in memory of the library's, which lasts as long as its reader; the next read uses it again."""

    __slots__ = ("_reader",)

    def __init__(self, reader: ArrowReader, records: CData) -> None:
        count = records.count
        key_lengths, partitions, timestamps = records.key_lengths, records.partitions, records.timestamps
        super().__init__(
            _view(records.data, records.data_len),
            _view(records.value_lengths, count * 4, "I"),
            _view(key_lengths, count * 4, "i") if key_lengths else None,
            _view(partitions, count * 4, "i") if partitions else None,
            _view(timestamps, count * 8, "q") if timestamps else None,
        )
        self._reader = reader

    def place(self, chooser: PartitionChooser, start: int, position: int) -> tuple[int, int]:
        """Asks the caller's own partitioner for the partitions of the next records from `start` on, which begin at
        `position` of the data; where the records after them begin.

        :raises FluvioError: a partition is none.
        """
        if self.partitions is None:
            self.partitions = array("i", [NO_PARTITION]) * self.count
        stop = min(start + PLACED, self.count)
        for index in range(start, stop):
            key_length = -1 if self.key_lengths is None else self.key_lengths[index]
            begin = position + max(key_length, 0)
            end = begin + self.value_lengths[index]
            if self.partitions[index] == NO_PARTITION:
                key = None if key_length < 0 else bytes(self.data[position:begin])
                chosen = chooser.partition(None, key, bytes(self.data[begin:end]))
                self.partitions[index] = NO_PARTITION if chosen is None else chosen
            position = end
        return stop, position


class ArrowReader:
    """Reads what ``send_arrow`` was given, no further than it is asked to."""

    __slots__ = ("_error", "_place", "_records")

    def __init__(self, data: Any, value: str, key: str | None, partition: str | None, timestamp: str | None) -> None:
        names = {"value": value, "key": key, "partition": partition, "timestamp": timestamp}
        slices = [
            Slice("" if name is None and what != "value" else _check.text(name, what)) for what, name in names.items()
        ]
        # The place is freed, and not what comes there, which an exception might keep from being noted.
        self._place: CData = ffi.gc(ffi.new("flv_arrow_reader_t **"), _free)
        self._error: CData = ffi.new("flv_error_t **")
        self._records: CData = ffi.new("flv_records_t *")
        self._records.struct_size = ffi.sizeof("flv_records_t")
        structures, alive = _structures(data)
        columns = [each.value for each in slices]
        raise_status(lib.flv_arrow_reader_open(*structures, *columns, self._place, self._error), self._error)
        del alive

    def next(self) -> ArrowBlock | None:
        """The next records; what the last call gave must have left. ``None``: there are no more.

        :raises ConfigError: the data cannot be read, or a row of it cannot be sent.
        """
        status = lib.flv_arrow_reader_read(self._place[0], self._records, self._error)
        if status == lib.FLV_STATUS_END:
            return None
        if status:
            failure = from_native(status, self._error[0], "enqueue")
            failure.outcome = "not_written"
            raise failure
        return ArrowBlock(self, self._records)


def _view(data: CData, size: int, letter: str = "B") -> Any:
    view: Any = memoryview(ffi.buffer(data, size))
    return view.cast(letter)


def _free(place: CData, free: Any = lib.flv_arrow_reader_free) -> None:
    free(place[0])


def _structures(data: Any) -> tuple[tuple[CData, CData, CData], object]:
    """The stream, or schema and array, of data, and the capsules that they are in."""
    # Few programs need it.
    from fluvio_cffi._native import arrow

    export = getattr(data, "__arrow_c_stream__", None)
    if callable(export):
        stream: object = export()
        return (arrow.structure_in(stream, "ArrowArrayStream"), ffi.NULL, ffi.NULL), stream
    export = getattr(data, "__arrow_c_array__", None)
    if callable(export):
        capsules: Any = export()
        schema, rows = capsules
        structures = arrow.structure_in(schema, "ArrowSchema"), arrow.structure_in(rows, "ArrowArray")
        return (ffi.NULL, *structures), capsules
    raise ConfigTypeError(
        f"data must be Arrow data, with a method __arrow_c_stream__ or __arrow_c_array__, not {_check.kind(data)}: "
        "such as a table of pyarrow or a frame of polars"
    )


def check_plain(encoding: object) -> None:
    """Raises where codecs make the bytes of a producer: Arrow data has them already."""
    if encoding is not None:
        raise UsageError("send_arrow sends the bytes of its columns: open the producer without codecs")
