"""Avro."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from fluvio_cffi._errors import ConfigError

from ._needed import needed


class Avro:
    """Avro, without its schema in each record: both sides know it. Needs ``fastavro``."""

    __slots__ = ("_fastavro", "_name", "_reader", "_writer")

    def __init__(self, schema: Mapping[str, Any] | str | list[Any], /, *, reader: Any = None) -> None:
        """
        :param schema: that of what is written, as in the JSON of Avro.
        :param reader: the schema that values have which are read; left out: the same. Avro says how one becomes the
            other.
        :raises ConfigError: a schema is wrong, or ``fastavro`` is not installed.
        """
        self._name = schema.get("name", schema.get("type")) if isinstance(schema, Mapping) else schema
        self._fastavro = needed("fastavro", "fastavro", "Avro")
        try:
            self._writer: Any = self._fastavro.parse_schema(schema)
            self._reader: Any = None if reader is None else self._fastavro.parse_schema(reader)
        except Exception as error:
            raise ConfigError(f"the schema is wrong: {type(error).__name__}: {error}") from error

    def encode(self, value: Any, /) -> bytes:
        """The bytes of a value."""
        stream = BytesIO()
        self._fastavro.schemaless_writer(stream, self._writer, value)
        return stream.getvalue()

    def decode(self, data: bytes, /) -> Any:
        """The value of bytes, of which none may be left."""
        stream = BytesIO(data)
        value = self._fastavro.schemaless_reader(stream, self._writer, self._reader)
        if stream.tell() != len(data):
            raise ValueError(f"{len(data) - stream.tell()} bytes are left behind the value")
        return value

    def __repr__(self) -> str:
        return f"Avro({self._name!r})"
