"""How what a program sends becomes bytes: by the codecs of a producer."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Any, cast, overload

from fluvio_cffi._errors import EncodeError, FluvioError
from fluvio_cffi._produce.encode import Refused, as_bytes
from fluvio_cffi._values.checks import kind
from fluvio_cffi._values.codecs import Codec, check_codec
from fluvio_cffi._values.records import ProducerRecord, Record


def encoding_of(key: Codec[Any] | None, value: Codec[Any] | None) -> Encoding | None:
    """What encodes for a producer; ``None``: nothing does."""
    for codec, what in ((key, "key"), (value, "value")):
        if codec is not None:
            check_codec(codec, what)
    return None if key is None and value is None else Encoding(key, value)


class Encoding:
    """The codecs of a producer."""

    __slots__ = ("_key", "_value")

    def __init__(self, key: Codec[Any] | None, value: Codec[Any] | None) -> None:
        self._key = key
        self._value = value

    def pair(self, value: object, key: object) -> tuple[bytes, bytes | None]:
        """The bytes of a value and of a key.

        :raises EncodeError: a codec does not take one.
        """
        return _encoded(self._value, value, "value"), None if key is None else _encoded(self._key, key, "key")

    def element(self, element: object) -> object:
        """An element of ``send_all``'s input, with bytes in it. One that is no record stays as it is, and is refused
        with its index; so is one that cannot be encoded."""
        key: object = None
        value = element
        try:
            if isinstance(element, Record):
                record: Record[Any, Any] = element  # pyright: ignore[reportUnknownVariableType]
                return self._pair(record.value, record.key)
            if isinstance(element, ProducerRecord):
                given: ProducerRecord[Any, Any] = element  # pyright: ignore[reportUnknownVariableType]
                data, name = self.pair(given.value, given.key)
                return ProducerRecord(data, key=name, partition=given.partition, timestamp=given.timestamp)
            if isinstance(element, tuple):
                pair = cast("tuple[object, ...]", element)
                if len(pair) != 2:
                    return pair
                key, value = pair
            return self._pair(value, key)
        except FluvioError as error:
            return Refused(error)

    def _pair(self, value: object, key: object) -> object:
        data, name = self.pair(value, key)
        return data if name is None else (name, data)

    @overload
    def elements(self, records: Iterable[object]) -> Iterable[object]: ...

    @overload
    def elements(self, records: AsyncIterable[object]) -> AsyncIterable[object]: ...

    def elements(self, records: Iterable[object] | AsyncIterable[object]) -> Iterable[object] | AsyncIterable[object]:
        """The input of ``send_all``, with bytes in its elements. It is read no further than it is asked for."""
        if isinstance(records, AsyncIterable):
            return _Arriving(self, records.__aiter__())
        return map(self.element, records)


class _Arriving:
    """This is no generator: one that is left in the middle would have to be closed by a task of its own."""

    __slots__ = ("_encoding", "_records")

    def __init__(self, encoding: Encoding, records: AsyncIterator[object]) -> None:
        self._encoding = encoding
        self._records = records

    def __aiter__(self) -> _Arriving:
        return self

    async def __anext__(self) -> object:
        return self._encoding.element(await self._records.__anext__())


def _encoded(codec: Codec[Any] | None, value: object, what: str) -> bytes:
    if codec is None:
        return as_bytes(value, what)
    try:
        data: object = codec.encode(value)
    except Exception as error:
        text = f"{what} cannot be encoded: {type(error).__name__}: {error}"
        raise EncodeError(text, outcome="not_written") from error
    if not isinstance(data, bytes):
        raise EncodeError(f"{what} was encoded as {kind(data)}: a codec must make bytes", outcome="not_written")
    return data
