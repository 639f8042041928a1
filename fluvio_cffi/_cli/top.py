"""``top``: what a cluster does just now."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import click

from .output import Column, instant, table, write, write_line
from .parameters import COUNT, SPAN, output
from .samples import (
    CONSUMERS,
    GROUPS,
    TOPICS,
    Sample,
    consumer_rows,
    group_rows,
    head,
    new_errors,
    sample,
    topic_rows,
)
from .settings import Settings


@click.command()
@click.option("-i", "--interval", type=SPAN, default="1s", show_default=True, help="How often it is looked at.")
@click.option("-n", "--count", type=COUNT, help="End after that many times.")
@output
@click.pass_obj
def top(settings: Settings, interval: float, count: int | None) -> None:
    """What the cluster does just now.

    Records a second of each topic, how far consumers and groups are behind, and what goes wrong. On a
    terminal it fills the screen until Ctrl-C, with how it went as bars, and waits for a cluster that is away;
    elsewhere it writes tables, or a line of JSON, each time.
    """
    with settings.connect() as client:
        if settings.output == "table" and sys.stdout.isatty():
            from .screen import watch

            watch(client, interval, count)
            return
        before = sample(client)
        shown = 0
        while count is None or shown < count:
            time.sleep(interval)
            now = sample(client)
            _write(settings, before, now)
            before = now
            shown += 1


def _write(settings: Settings, before: Sample, now: Sample) -> None:
    topics, consumers, groups = topic_rows(before, now), consumer_rows(before, now), group_rows(before, now)
    if settings.output != "table":
        write_line(
            {
                "time": instant(round(time.time() * 1000)),
                "topics": [vars(row) for row in topics],
                "consumers": [vars(row) for row in consumers],
                "groups": [vars(row) for row in groups],
                "errors": new_errors(before, now),
            }
        )
        return
    tables: list[tuple[Sequence[object], tuple[Column, ...]]] = [(consumers, CONSUMERS), (groups, GROUPS)]
    parts = [head(now), table(topics, TOPICS) if topics else "No topics"]
    parts += [table(rows, columns) for rows, columns in tables if rows]
    write("\n\n".join(parts) + "\n")
