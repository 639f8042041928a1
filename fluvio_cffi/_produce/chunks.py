"""How ``send_all`` reads its input: in chunks, and no further ahead than one of them."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Any, Final, cast

from fluvio_cffi._errors import ConfigTypeError
from fluvio_cffi._produce.encode import CHUNK_BYTES, CHUNK_RECORDS, OVERHEAD, Block
from fluvio_cffi._values import checks as _check
from fluvio_cffi._values.records import ProducerRecord, Record

WEIGHED: Final = 32
"""At most this many elements are read before their size is measured."""
_SLOW_SECONDS: Final = 0.001
_GUESSED: Final = 16
_BYTES: Final = frozenset([bytes])


class ChunkSizer:
    """How many elements ``send_all`` reads from its input at a time: at most :data:`CHUNK_RECORDS`, about
    :data:`CHUNK_BYTES`, and what arrives in about a millisecond.

    It begins with one element, so that a slow input is sent as it arrives.

    :ivar count: how many elements the next chunk may have.
    """

    __slots__ = ("_started", "count")

    def __init__(self) -> None:
        self.count = 1
        self._started = 0.0

    def begin(self) -> None:
        """Notes when the reading of a chunk begins."""
        self._started = monotonic()

    def end(self) -> None:
        """Adapts the count to how long the reading of a chunk took."""
        if monotonic() - self._started > _SLOW_SECONDS:
            self.count = max(1, self.count // 4)
        else:
            self.count = min(CHUNK_RECORDS, self.count * 4)

    def weigh(self, block: Block) -> None:
        """Adapts the count to how large the records of a chunk were."""
        most = CHUNK_BYTES * block.count // max(block.cost - OVERHEAD * block.count, 1)
        self.count = max(1, min(self.count, most))


def chunks(records: Iterable[object], sizer: ChunkSizer) -> Iterator[Sequence[object]]:
    """The chunks of an iterable of records, which is read no further than the chunk that is asked for."""
    if isinstance(records, (list, tuple)):
        # The first few elements tell how large the rest is likely to be.
        sizer.count = _GUESSED
        sequence = cast("Sequence[object]", records)
        position = 0
        while position < len(sequence):
            part = sequence[position : position + sizer.count]
            position += len(part)
            sizer.count = CHUNK_RECORDS
            yield part
        return
    iterator = iter(records)
    while True:
        chunk: list[object] = []
        sizer.begin()
        try:
            size = count = 0
            while True:
                if count >= sizer.count or size >= CHUNK_BYTES:
                    break
                chunk.extend(islice(iterator, min(WEIGHED, sizer.count - count)))
                part = chunk[count:]
                if not part:
                    break
                count += len(part)
                size += weight(part)
        except BaseException:
            # The elements that the input gave before it failed are sent.
            if chunk:
                yield chunk
            raise
        if not chunk:
            return
        sizer.end()
        yield chunk


def weight(elements: Sequence[object]) -> int:
    """About how many bytes the keys and values of these elements have."""
    if _BYTES.issuperset(map(type, elements)):
        return sum(map(len, cast("Sequence[bytes]", elements)))
    return sum(map(_weight, elements))


def _weight(element: object) -> int:
    if isinstance(element, (ProducerRecord, Record)):
        record: ProducerRecord[Any, Any] | Record[Any, Any] = element  # pyright: ignore[reportUnknownVariableType]
        return _weight(record.value) + _weight(record.key)
    if isinstance(element, tuple):
        return sum(map(_weight, cast("tuple[object, ...]", element)))
    if isinstance(element, memoryview):
        return element.nbytes
    return len(element) if isinstance(element, (bytes, str, bytearray)) else 0


def check_source(records: object, *, asynchronous: bool) -> None:
    """Raises for an argument of ``send_all`` that is no sequence of records, though it may look like one.

    :param asynchronous: whether an asynchronous iterable is allowed.
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
