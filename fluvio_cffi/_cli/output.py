"""How answers are written: tables, JSON and YAML."""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timezone
from typing import Any, Final, TypeVar

from fluvio_cffi._admin.document import to_document

from .settings import Settings, colours

FORMATS: Final = ("table", "json", "yaml")
T = TypeVar("T")

_GAP: Final = "  "
_BOLD, _GREEN, _YELLOW, _RED, _PLAIN = "\x1b[1m", "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[0m"
_STATES: Final = {
    **dict.fromkeys(("online", "provisioned", "running", "successful", "connected"), _GREEN),
    **dict.fromkeys(("init", "pending", "reconnecting", "deleting", "waiting", "out of storage"), _YELLOW),
    **dict.fromkeys(("offline", "leader offline", "invalid", "failed", "invalid config", "unauthorized"), _RED),
    "insufficient resources": _RED,
}
_SIMPLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./@-]*")
_NOT_TEXT_IN_YAML: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan"}


class Column:
    """A column of a table.

    :param title: what stands above it.
    :param cell: what it shows of an item.
    :param right: whether it is aligned to the right, as numbers are.
    :param optional: whether it is left out where it is empty in all rows.
    """

    def __init__(
        self, title: str, cell: Callable[[Any], object], *, right: bool = False, optional: bool = False
    ) -> None:
        self.title = title
        self.cell = cell
        self.right = right
        self.optional = optional


def show(
    settings: Settings, items: Sequence[T], columns: Sequence[Column], *, none: str, document: object = None
) -> None:
    """Write a list of objects: a table, or their documents.

    :param none: what a person is told where there are none.
    :param document: what is written as JSON or YAML instead of the objects' own documents.
    """
    if settings.output != "table":
        write_document(settings, [plain(item) for item in items] if document is None else document)
    elif items:
        write(table(items, columns))
    else:
        write(none)


def write_document(settings: Settings, document: object) -> None:
    """Write one document, as JSON or as YAML."""
    write(yaml(document) if settings.output == "yaml" else json.dumps(document, indent=2, ensure_ascii=False))


def write_line(document: object) -> None:
    """Write a document of a stream: one line, as JSON, which is YAML, too."""
    write(json.dumps(document, ensure_ascii=False))


def write(text: str) -> None:
    """Write to the standard output, so that whoever reads it has it at once."""
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None or sys.stdout.isatty():
        sys.stdout.write(text + "\n")
    else:
        # Names are UTF-8, whatever the locale says.
        stream.write(text.encode("utf-8", "surrogateescape") + b"\n")
    sys.stdout.flush()


def plain(item: Any) -> dict[str, object]:
    """The document of an object, as docs/admin-json.md has it."""
    return to_document(item, complete=True)


# -- tables


def table(items: Iterable[T], columns: Sequence[Column]) -> str:
    """A table: no wider than the terminal, if it goes to one."""
    rows = [[_cell(column.cell(item)) for column in columns] for item in items]
    kept = [
        index for index, column in enumerate(columns) if not column.optional or any(row[index] != "-" for row in rows)
    ]
    titles = [columns[index].title for index in kept]
    rows = [[row[index] for index in kept] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(titles, *rows, strict=True)]
    if sys.stdout.isatty():
        narrow(widths, list(map(len, titles)), shutil.get_terminal_size().columns)
    right = [columns[index].right for index in kept]
    coloured = colours(sys.stdout)
    lines = [_line(titles, widths, right)]
    if coloured:
        lines[0] = f"{_BOLD}{lines[0]}{_PLAIN}"
    lines += [_line(row, widths, right, coloured) for row in rows]
    return "\n".join(lines)


def narrow(widths: list[int], least: Sequence[int], available: int) -> None:
    """Take from the widest column until all fit, or none can be narrower than its title."""
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - available
    while over > 0:
        spare = [width - max(low, 8) for width, low in zip(widths, least, strict=True)]
        widest = max(range(len(widths)), key=lambda index: (spare[index] > 0, widths[index]))
        if spare[widest] <= 0:
            return
        taken = min(over, spare[widest])
        widths[widest] -= taken
        over -= taken


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], coloured: bool = False) -> str:
    parts: list[str] = []
    for cell, width, is_right in zip(cells, widths, right, strict=True):
        cut = cell if len(cell) <= width else cell[: width - 1] + "…"
        padded = cut.rjust(width) if is_right else cut.ljust(width)
        colour = _STATES.get(cell) if coloured else None
        parts.append(padded if colour is None else f"{colour}{padded}{_PLAIN}")
    return _GAP.join(parts).rstrip()


def _cell(value: object) -> str:
    if value is None or value == "":
        return "-"
    # What the cluster says may have anything in it.
    return "".join(letter if letter.isprintable() else "�" for letter in str(value))


def fields(pairs: Iterable[tuple[str, object]]) -> str:
    """Names and values, one pair a line."""
    shown = [(name, _cell(value)) for name, value in pairs]
    width = max(len(name) for name, _ in shown)
    coloured = colours(sys.stdout)
    lines: list[str] = []
    for name, value in shown:
        colour = _STATES.get(value) if coloured else None
        lines.append(f"{name + ':':<{width + 1}} {value if colour is None else f'{colour}{value}{_PLAIN}'}")
    return "\n".join(lines)


# -- values


def words(state: str) -> str:
    """A state's name, as words."""
    return state.replace("_", " ")


def size(count: float | None) -> str | None:
    """Bytes, as a person writes them."""
    if count is None:
        return None
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def span(seconds: float | None) -> str | None:
    """A time span, in its two largest units."""
    if seconds is None:
        return None
    left, parts = round(seconds), list[str]()
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"


def ago(milliseconds: int | None) -> str | None:
    """How long ago a time was."""
    return None if milliseconds is None else span(max(time.time() - milliseconds / 1000, 0.0))


def instant(milliseconds: int | None) -> str | None:
    """A time, in UTC."""
    if milliseconds is None:
        return None
    moment = datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


# -- YAML


def yaml(value: Any, depth: int = 0) -> str:
    """A document as YAML. All that it may hold is what JSON has."""
    indent = "  " * depth
    if value.__class__ is dict and value:
        return "\n".join(f"{indent}{_scalar(key)}:{_beside(item, depth)}" for key, item in value.items())
    if value.__class__ is list and value:
        return "\n".join(f"{indent}- {yaml(item, depth + 1).lstrip()}" for item in value)
    return indent + _scalar(value)


def _beside(value: Any, depth: int) -> str:
    return "\n" + yaml(value, depth + 1) if value and value.__class__ in (dict, list) else " " + _scalar(value)


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _SIMPLE.fullmatch(value) and value.lower() not in _NOT_TEXT_IN_YAML:
        return value
    return json.dumps(value, ensure_ascii=False)
