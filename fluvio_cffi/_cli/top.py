"""``top``: what a cluster does just now."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click

from fluvio_cffi import ClusterStatus, Fluvio

from .output import Column, instant, size, table, write, write_line
from .parameters import COUNT, SPAN, output
from .settings import Settings

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table


@dataclass
class Sample:
    """How far everything was at a time.

    :ivar ends: of each topic, how many records were ever written.
    :ivar sizes: bytes.
    :ivar offsets: of each consumer and topic, how many records are behind it.
    :ivar lags: and before it; ``None``: that is not known.
    """

    status: ClusterStatus
    at: float = field(default_factory=time.monotonic)
    ends: dict[str, int] = field(default_factory=dict[str, int])
    sizes: dict[str, int] = field(default_factory=dict[str, int])
    offsets: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    lags: dict[tuple[str, str], int | None] = field(default_factory=dict[tuple[str, str], "int | None"])


def sample(client: Fluvio) -> Sample:
    """How far everything is now. What SPUs tell is up to half a second old."""
    taken = Sample(client.admin.cluster.status())
    for partition in client.admin.partitions.list():
        leader = partition.status.leader
        end = leader.log_end if leader is not None else None
        taken.ends[partition.topic] = taken.ends.get(partition.topic, 0) + (end or 0)
        taken.sizes[partition.topic] = taken.sizes.get(partition.topic, 0) + (partition.status.size or 0)
    for stored in client.admin.consumer_offsets.list():
        key = (stored.consumer_id, stored.topic)
        taken.offsets[key] = taken.offsets.get(key, 0) + (0 if stored.offset is None else stored.offset + 1)
        before = taken.lags.get(key, 0)
        taken.lags[key] = None if before is None or stored.lag is None else before + stored.lag
    return taken


@dataclass
class TopicRow:
    """A topic, between two samples."""

    topic: str
    records: int
    size: int
    produced: float


@dataclass
class ConsumerRow:
    """A consumer in a topic, between two samples."""

    consumer_id: str
    topic: str
    lag: int | None
    consumed: float


def topic_rows(before: Sample, now: Sample) -> list[TopicRow]:
    """The busiest topics first."""
    seconds = max(now.at - before.at, 1e-3)
    rows = [
        TopicRow(topic, end, now.sizes[topic], max(end - before.ends.get(topic, end), 0) / seconds)
        for topic, end in now.ends.items()
    ]
    return sorted(rows, key=lambda row: (-row.produced, row.topic))


def consumer_rows(before: Sample, now: Sample) -> list[ConsumerRow]:
    """Those that are furthest behind first."""
    seconds = max(now.at - before.at, 1e-3)
    rows = [
        ConsumerRow(*key, now.lags[key], max(offset - before.offsets.get(key, offset), 0) / seconds)
        for key, offset in now.offsets.items()
    ]
    return sorted(rows, key=lambda row: (-(row.lag or 0), row.consumer_id, row.topic))


_TOPICS = (
    Column("TOPIC", lambda row: row.topic),
    Column("RECORDS", lambda row: f"{row.records:,}", right=True),
    Column("SIZE", lambda row: size(row.size), right=True),
    Column("PRODUCED/s", lambda row: f"{row.produced:,.0f}", right=True),
)
_CONSUMERS = (
    Column("CONSUMER", lambda row: row.consumer_id),
    Column("TOPIC", lambda row: row.topic),
    Column("LAG", lambda row: None if row.lag is None else f"{row.lag:,}", right=True),
    Column("CONSUMED/s", lambda row: f"{row.consumed:,.0f}", right=True),
)


@click.command()
@click.option("-i", "--interval", type=SPAN, default="1s", show_default=True, help="How often it is looked at.")
@click.option("-n", "--count", type=COUNT, help="End after that many times.")
@output
@click.pass_obj
def top(settings: Settings, interval: float, count: int | None) -> None:
    """What the cluster does just now.

    Records a second of each topic, and how far its consumers are behind. On a terminal it fills the
    screen until Ctrl-C; elsewhere it writes a table, or a line of JSON, each time.
    """
    with settings.connect() as client:
        screen = _Screen() if settings.output == "table" and sys.stdout.isatty() else None
        try:
            before = sample(client)
            shown = 0
            while count is None or shown < count:
                time.sleep(interval)
                now = sample(client)
                if screen is not None:
                    screen.show(before, now)
                else:
                    _write(settings, before, now)
                before = now
                shown += 1
        finally:
            if screen is not None:
                screen.close()


def _head(now: Sample) -> str:
    status = now.status
    offline, behind = len(status.offline_partitions), len(status.under_replicated_partitions)
    return (
        f"{status.endpoint}, version {status.platform_version}, "
        f"{status.spus_online} of {len(status.spus)} SPUs online\n"
        f"{status.topics} topics, {status.partitions} partitions ({offline} offline, {behind} under-replicated), "
        f"{size(status.size)}"
    )


def _write(settings: Settings, before: Sample, now: Sample) -> None:
    topics, consumers = topic_rows(before, now), consumer_rows(before, now)
    if settings.output != "table":
        write_line(
            {
                "time": instant(round(time.time() * 1000)),
                "topics": [vars(row) for row in topics],
                "consumers": [vars(row) for row in consumers],
            }
        )
        return
    parts = [_head(now), table(topics, _TOPICS) if topics else "No topics"]
    write("\n\n".join([*parts, table(consumers, _CONSUMERS)] if consumers else parts) + "\n")


class _Screen:
    """The whole terminal, whatever its size becomes."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._live.start()

    def close(self) -> None:
        self._live.stop()

    def show(self, before: Sample, now: Sample) -> None:
        topics, consumers = topic_rows(before, now), consumer_rows(before, now)
        # The head, titles and a blank line or two.
        room = max(self._console.height - 7, 2)
        below = min(len(consumers), room // 2)
        parts: list[RenderableType] = [_line(_head(now)), "", _rich(topics[: room - below], _TOPICS)]
        if consumers:
            parts += ["", _rich(consumers[: max(room - len(topics), below)], _CONSUMERS)]
        from rich.console import Group

        self._live.update(Group(*parts), refresh=True)


def _line(text: str) -> RenderableType:
    from rich.text import Text

    return Text(text, style="bold", no_wrap=True, overflow="ellipsis")


def _rich(rows: list[TopicRow] | list[ConsumerRow], columns: tuple[Column, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, header_style="reverse", expand=True, pad_edge=False)
    for column in columns:
        made.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    for row in rows:
        made.add_row(*(Text("-" if (cell := column.cell(row)) is None else str(cell)) for column in columns))
    return made
