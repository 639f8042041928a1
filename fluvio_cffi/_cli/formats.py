"""How ``consume`` writes records: many at a time, in one piece."""

from __future__ import annotations

import base64
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias, cast

import click

from fluvio_cffi import Fluvio, Record, RecordBatch, TableFormat

from .output import instant

FORMATS: Final = ("dynamic", "text", "binary", "json", "raw", "table", "full_table")
Printer: TypeAlias = Callable[["RecordBatch | Sequence[Record]"], None]

_VARIABLES: Final = ("key", "value", "offset", "partition", "time", "timestamp", "topic")
_VARIABLE: Final = re.compile(r"\{\{\{?\s*(.*?)\s*\}?\}\}")
# What moves a terminal's cursor, or changes how it works.
_CONTROLS: Final = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], "�")


def printer(options: dict[str, Any]) -> Callable[[Fluvio], Printer]:
    """What makes, with a client, what writes records as the options say."""
    named = {"--format": options["template"], "--output": options["form"], "--truncate": options["truncate"]}
    given = [option for option, value in named.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} are given: one of them says how records are written")
    if options["form"] not in ("table", "full_table"):
        made = _plain_printer(options)
        return lambda client: made
    name: str | None = options["table_format"]
    suppress: bool = options["suppress_unknown"]
    return lambda client: _Table(None if name is None else client.admin.table_formats.get(name), suppress)


def _plain_printer(options: dict[str, Any]) -> Printer:
    """What writes records as the options say, but for tables."""
    form, template = options["form"], options["template"]
    separator = options["separator"].encode()
    if template is not None:
        return _each(_of_template(template), separator)
    if form == "json":
        return _each(_as_json, separator)
    if form == "raw" and not options["key_value"]:
        return _values(separator, all_text=True)
    show = _value_as(form or "dynamic", options["suppress_unknown"])
    if options["key_value"]:
        return _each(
            lambda record: b"[%b] %b" % (b"null" if record.key is None else record.key, show(record.value)), separator
        )
    if options["truncate"]:
        width = shutil.get_terminal_size().columns
        return _each(lambda record: _first(show(record.value), width), separator)
    if form == "binary" or sys.stdout.isatty():
        return _each(lambda record: show(record.value), separator)
    return _values(separator, all_text=False, otherwise=_each(lambda record: show(record.value), separator))


def _write(content: bytes) -> None:
    stream = sys.stdout.buffer
    stream.write(content)
    stream.flush()


def _values_of(batch: RecordBatch | Sequence[Record]) -> list[bytes]:
    if not isinstance(batch, RecordBatch):
        return [record.value for record in batch]
    whole: RecordBatch = batch  # pyright: ignore[reportUnknownVariableType]
    return whole.value_list()


def _values(separator: bytes, *, all_text: bool, otherwise: Printer | None = None) -> Printer:
    """Writes values as they are.

    :param all_text: whatever they are; otherwise a batch with zeros in it is written by `otherwise`.
    """

    def write(batch: RecordBatch | Sequence[Record]) -> None:
        content = separator.join([*_values_of(batch), b""])
        if all_text or otherwise is None or b"\0" not in content:
            _write(content)
        else:
            otherwise(batch)

    return write


def _each(show: Callable[[Record], bytes], separator: bytes) -> Printer:
    """Writes records one by one, though in one piece."""
    if sys.stdout.isatty():
        return lambda batch: _write(separator.join([*(_harmless(show(record)) for record in batch), b""]))
    return lambda batch: _write(separator.join([*map(show, batch), b""]))


def _harmless(content: bytes) -> bytes:
    """For a terminal, which must not do what a record says."""
    return content.decode(errors="replace").translate(_CONTROLS).encode()


def _first(content: bytes, width: int) -> bytes:
    line = content.partition(b"\n")[0].decode(errors="replace")
    return (line if len(line) <= width else line[: width - 1] + "…").encode()


# -- values


def _value_as(form: str, suppress: bool) -> Callable[[bytes], bytes]:
    if form == "binary":
        return hex_dump
    if form == "raw":
        return lambda value: value
    if form == "text":
        return lambda value: b"binary: (%d bytes)" % len(value) if b"\0" in value and not suppress else value
    return lambda value: hex_dump(value) if b"\0" in value else value


def hex_dump(value: bytes) -> bytes:
    """Bytes as hexadecimal numbers, and as text beside them, 16 a line."""
    rows: list[str] = []
    for at in range(0, len(value), 16):
        row = value[at : at + 16]
        numbers = f"{row[:8].hex(' '):<23}  {row[8:].hex(' '):<23}"
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        rows.append(f"{at:08x}  {numbers}  |{shown}|")
    return "\n".join([*rows, "-" * 79]).encode()


def _as_json(record: Record) -> bytes:
    """A record as one line; docs/cli.md describes it."""
    document: dict[str, object] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "timestamp_ms": record.timestamp,
        **content("key", record.key),
        **content("value", record.value),
    }
    return json.dumps(document, ensure_ascii=False).encode()


def content(name: str, data: bytes | None) -> dict[str, str | None]:
    """Bytes as a field of JSON: text, or else base64 with another name."""
    try:
        return {name: None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data or b"").decode()}


# -- templates


def _of_template(template: str) -> Callable[[Record], bytes]:
    """What fills a template in."""
    pieces = _VARIABLE.split(template)
    for name in pieces[1::2]:
        if name not in _VARIABLES:
            allowed = ", ".join(f"{{{{{each}}}}}" for each in _VARIABLES)
            raise click.UsageError(f"--format has {{{{{name}}}}}: it may have {allowed}")
    texts = [piece.encode() for piece in pieces[::2]]
    getters = [_GETTERS[name] for name in pieces[1::2]]

    def fill(record: Record) -> bytes:
        parts = [texts[0]]
        for get, text in zip(getters, texts[1:], strict=True):
            parts += (get(record), text)
        return b"".join(parts)

    return fill


_GETTERS: Final[dict[str, Callable[[Record], bytes]]] = {
    "key": lambda record: b"null" if record.key is None else record.key,
    "value": lambda record: record.value,
    "offset": lambda record: b"%d" % record.offset,
    "partition": lambda record: b"%d" % record.partition,
    "time": lambda record: (instant(record.timestamp) or "NA").encode(),
    "timestamp": lambda record: b"NA" if record.timestamp is None else b"%d" % record.timestamp,
    "topic": lambda record: record.topic.encode(),
}


# -- tables


class _Table:
    """Writes records that are JSON objects as rows. The first ones say which columns there are, and how wide.

    :param format: which columns there are, and what they are called; ``None``: all fields of the first record.
    :param suppress: whether nothing is said of records that are no objects.
    """

    def __init__(self, format: TableFormat | None, suppress: bool) -> None:
        columns = (format.spec.columns if format is not None else None) or ()
        shown = [column for column in columns if column.display is not False]
        self._keys = [column.key_path for column in shown]
        self._titles = [column.header_label or column.key_path for column in shown]
        self._widths: list[int] = []
        self._suppress = suppress

    def __call__(self, batch: RecordBatch | Sequence[Record]) -> None:
        found = [self._object(record) for record in batch]
        rows = [row for row in found if row is not None]
        if not rows:
            return
        head = not self._widths
        if head:
            self._keys = self._keys or list(rows[0])
            self._titles = self._titles or [key.upper() for key in self._keys]
        cells = [[_harmless(_text(_at(row, key)).encode()).decode() for key in self._keys] for row in rows]
        if head:
            self._widths = [max(map(len, column)) for column in zip(self._titles, *cells, strict=True)]
        lines = [self._titles, *cells] if head else cells
        padded = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, self._widths, strict=True)) for line in lines
        ]
        _write(("\n".join(line.rstrip() for line in padded) + "\n").encode())

    def _object(self, record: Record) -> dict[str, object] | None:
        try:
            found: Any = json.loads(record.value)
        except ValueError:
            found = None
        if isinstance(found, dict):
            return cast("dict[str, object]", found)
        if not self._suppress:
            print(f"{record.topic}[{record.partition}]@{record.offset} is no JSON object", file=sys.stderr)
        return None


def _at(row: dict[str, object], path: str) -> object:
    """The field that a path such as ``a.b`` leads to."""
    found: Any = row.get(path)
    if found is None and "." in path:
        found = row
        for key in path.split("."):
            found = cast("dict[str, object]", found).get(key) if isinstance(found, dict) else None
    return found


def _text(value: object) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
