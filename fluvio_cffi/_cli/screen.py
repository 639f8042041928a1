"""The screen of ``top``: the whole terminal, whatever its size becomes."""

from __future__ import annotations

import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fluvio_cffi import Fluvio, FluvioError

from . import samples
from .history import History, sparkline
from .output import Column
from .samples import Sample

# What the tables without bars take; what is left beyond that is for them.
_PLAIN: Final = 72
_BARS: Final = (8, 60)
# Seconds that one question may take: then the cluster is told to be away.
_PATIENCE: Final = 3.0


def watch(client: Fluvio, interval: float, count: int | None) -> None:
    """Looks at the cluster again and again. While it is away, what was seen last stays, with what is wrong."""
    screen = Screen(Console())
    with screen:
        before = samples.sample(client)
        shown = 0
        while count is None or shown < count:
            time.sleep(interval)
            trouble: FluvioError | None = None
            try:
                now = samples.sample(client, _PATIENCE)
            except FluvioError as error:
                trouble, now = error, samples.failed(before, error)
            screen.show(before, now, trouble)
            before = now
            shown += 1


@dataclass
class _Part:
    """A table of the screen.

    :ivar history: of a number of its rows.
    """

    columns: tuple[Column, ...]
    title: str
    history: History
    rows: Sequence[Any] = ()

    def fill(self, rows: Sequence[Any], keys: Mapping[Hashable, float | None]) -> None:
        self.rows = rows
        self.history.add(keys)


class Screen:
    """Shows samples, one after another, on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, screen=True, auto_refresh=False)
        self._topics = _Part(samples.TOPICS, "PRODUCED", History())
        self._consumers = _Part(samples.CONSUMERS, "LAG SO FAR", History())
        self._groups = _Part(samples.GROUPS, "LAG SO FAR", History())
        self._errors = _Part(_ERRORS, "MET", History())
        self._away: float | None = None

    def __enter__(self) -> Screen:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, before: Sample, now: Sample, trouble: FluvioError | None = None) -> None:
        """Shows what has happened between two samples."""
        self._live.update(self.drawn(before, now, trouble), refresh=True)

    def drawn(self, before: Sample, now: Sample, trouble: FluvioError | None = None) -> RenderableType:
        """What is shown."""
        self._take(before, now)
        parts: list[RenderableType] = [_line(samples.head(now), "bold")]
        if trouble is None:
            self._away = None
        else:
            self._away = self._away or time.monotonic()
            words = " ".join(str(trouble).split())
            parts.append(_line(f"no answer for {time.monotonic() - self._away:.0f} s: {words}", "bold red"))
        tables = [part for part in (self._topics, self._consumers, self._groups, self._errors) if part.rows]
        # The head, what is wrong, and of each table a title and a blank line.
        room = max(self._console.height - 4 - 2 * len(tables), len(tables))
        for part, share in zip(tables, _shares([len(part.rows) for part in tables], room), strict=True):
            parts += ["", self._table(part, share)]
        return Group(*parts)

    def _take(self, before: Sample, now: Sample) -> None:
        topics = samples.topic_rows(before, now)
        consumers, groups = samples.consumer_rows(before, now), samples.group_rows(before, now)
        self._topics.fill(topics, {row.topic: row.produced for row in topics})
        self._consumers.fill(consumers, {(row.consumer_id, row.topic): row.lag for row in consumers})
        self._groups.fill(groups, {(row.group, row.topic): row.lag for row in groups})
        new = samples.new_errors(before, now)
        errors = [_ErrorRow(name, met) for name, met in sorted(now.errors.items())]
        self._errors.fill(errors, {row.error: new.get(row.error, 0) for row in errors})

    def _table(self, part: _Part, most: int) -> Table:
        made = Table(box=None, header_style="reverse", expand=True, pad_edge=False)
        for column in part.columns:
            made.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
        bars = min(self._console.width - _PLAIN, _BARS[1])
        if bars >= _BARS[0]:
            made.add_column(part.title, justify="right", no_wrap=True, width=bars)
        for row in part.rows[:most]:
            cells = [Text("-" if (cell := column.cell(row)) is None else str(cell)) for column in part.columns]
            if bars >= _BARS[0]:
                style = "red" if part is self._errors else "cyan"
                cells.append(Text(sparkline(part.history.of(_key(row)), bars), style=style))
            made.add_row(*cells)
        return made


@dataclass
class _ErrorRow:
    """A kind of error that this client has met."""

    error: str
    count: int


_ERRORS: Final = (
    Column("ERROR", lambda row: row.error),
    Column("COUNT", lambda row: f"{row.count:,}", right=True),
)


def _key(row: Any) -> Hashable:
    if isinstance(row, samples.TopicRow):
        return row.topic
    if isinstance(row, samples.ConsumerRow):
        return (row.consumer_id, row.topic)
    if isinstance(row, samples.GroupRow):
        return (row.group, row.topic)
    found: Hashable = row.error
    return found


def _shares(wanted: list[int], room: int) -> list[int]:
    """How many rows each table gets of those that there is room for: the small ones all of theirs."""
    shares = [0] * len(wanted)
    left = room
    for index in sorted(range(len(wanted)), key=wanted.__getitem__):
        shares[index] = min(wanted[index], left // (len(wanted) - sum(share > 0 for share in shares)))
        left -= shares[index]
    return shares


def _line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
