"""Records, and where those that were sent are."""

from __future__ import annotations

import fluvio_cffi

from ._errors import FluviorError
from ._wrapper import Wrapper

_NO_KEY = b"No key"


class Record(Wrapper[fluvio_cffi.Record]):
    """A record that was read."""

    __slots__ = ()

    def offset(self) -> int:
        """Its offset in the log of its partition."""
        return self._inner.offset

    def value(self) -> bytes:
        """Its value."""
        return self._inner.value

    def value_string(self) -> str:
        """Its value as UTF-8 text.

        :raises FluviorError: it is none.
        """
        return _text(self._inner.value)

    def key(self) -> bytes:
        """Its key; ``b"No key"``: it has none."""
        key = self._inner.key
        return _NO_KEY if key is None else key

    def key_string(self) -> str:
        """Its key as UTF-8 text; empty: it has none.

        :raises FluviorError: it is none.
        """
        return _text(self._inner.key or b"")

    def timestamp(self) -> int:
        """Milliseconds since the epoch; -1: the log has none."""
        timestamp = self._inner.timestamp
        return -1 if timestamp is None else timestamp


class RecordMetadata(Wrapper[fluvio_cffi.RecordMetadata]):
    """Where a record is that was sent."""

    __slots__ = ()

    def offset(self) -> int:
        """Its offset."""
        offset = self._inner.offset
        return -1 if offset is None else offset

    def partition_id(self) -> int:
        """Its partition."""
        return self._inner.partition


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        cut = error.reason == "unexpected end of data"
        what = "incomplete utf-8 byte sequence" if cut else f"invalid utf-8 sequence of {error.end - error.start} bytes"
        raise FluviorError(f"{what} from index {error.start}") from error
