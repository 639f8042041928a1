"""``consumer``: the offsets that consumers have stored."""

from __future__ import annotations

import time
from typing import Final

import click

from fluvio_cffi import ConsumerOffset, Fluvio, Offset

from .output import Column, ago, plain, show, table, write, write_line
from .parameters import CONSUMER, PARTITION, SPAN, TOPIC, output
from .settings import Failure, Settings

COLUMNS: Final = (
    Column("CONSUMER", lambda item: item.consumer_id),
    Column("TOPIC", lambda item: item.topic),
    Column("PARTITION", lambda item: item.partition, right=True),
    Column("OFFSET", lambda item: item.offset, right=True),
    Column("LAG", lambda item: item.lag, right=True),
    Column("LAST SEEN", lambda item: ago(item.modified)),
)


class Place(click.ParamType[Offset]):
    """Where a consumer is to go on."""

    name = "place"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Offset:
        text = str(value).lower()
        if text in ("beginning", "earliest", "start"):
            return Offset.beginning()
        if text in ("end", "latest"):
            return Offset.end()
        kinds = {"+": Offset.from_beginning, "-": Offset.from_end}
        number = text[1:] if text[:1] in kinds else text
        if not number.isdecimal():
            allowed = "beginning, end, an offset, +N (after the beginning) or -N (before the end)"
            self.fail(f"{value!r} must be {allowed}", param, ctx)
        return kinds.get(text[:1], Offset.at)(int(number))


to = click.option(
    "--to",
    "place",
    type=Place(),
    required=True,
    help="beginning, end, an offset, +N after the beginning, or -N before the end.",
)
"""Where a consumer, or a group, is to go on."""


@click.group()
def consumer() -> None:
    """How far consumers have come.

    What 'consume -c ID' stores, and all other consumers with an id.
    """


@consumer.command("list")
@click.argument("consumer_id", metavar="[ID]", type=CONSUMER, required=False)
@click.option("-t", "--topic", type=TOPIC, help="Only of this topic.")
@output
@click.pass_obj
def list_(settings: Settings, consumer_id: str | None, topic: str | None) -> None:
    """The stored offsets, and how many records lie behind them."""
    with settings.connect() as client:
        found = client.admin.consumer_offsets.list(consumer_id=consumer_id, topic=topic)
    show(settings, found, COLUMNS, none="No consumers found")


@consumer.command()
@click.argument("consumer_id", metavar="[ID]", type=CONSUMER, required=False)
@click.option("-t", "--topic", type=TOPIC, help="Only of this topic.")
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option("--interval", type=SPAN, default="2s", show_default=True, help="With --watch: how often.")
@output
@click.pass_obj
def lag(settings: Settings, consumer_id: str | None, topic: str | None, watch: bool, interval: float) -> None:
    """How many records each consumer is behind, by topic."""
    with settings.connect() as client:
        while True:
            _show_lag(settings, client.admin.consumer_offsets.list(consumer_id=consumer_id, topic=topic), watch)
            if not watch:
                return
            time.sleep(interval)


def _show_lag(settings: Settings, found: list[ConsumerOffset], stream: bool) -> None:
    sums: dict[tuple[str, str], list[int | None]] = {}
    for item in found:
        sums.setdefault((item.consumer_id, item.topic), []).append(item.lag)
    rows = [
        {"consumer_id": key[0], "topic": key[1], "partitions": len(lags), "lag": _sum(lags)}
        for key, lags in sorted(sums.items())
    ]
    columns = [
        Column("CONSUMER", lambda row: row["consumer_id"]),
        Column("TOPIC", lambda row: row["topic"]),
        Column("PARTITIONS", lambda row: row["partitions"], right=True),
        Column("LAG", lambda row: row["lag"], right=True),
    ]
    if stream and settings.output != "table":
        write_line(rows)
    else:
        show(settings, rows, columns, none="No consumers found", document=rows)


def _sum(lags: list[int | None]) -> int | None:
    """All of them together; ``None``: one is not known."""
    known = [lag for lag in lags if lag is not None]
    return sum(known) if len(known) == len(lags) else None


def _stored(client: Fluvio, consumer_id: str, topic: str | None, partition: int | None) -> list[tuple[str, int]]:
    """Of which topics and partitions something is stored."""
    if topic is not None and partition is not None:
        return [(topic, partition)]
    found = client.admin.consumer_offsets.list(consumer_id=consumer_id, topic=topic)
    return [(item.topic, item.partition) for item in found if item.offset is not None]


@consumer.command()
@click.argument("consumer_id", metavar="ID", type=CONSUMER)
@click.option("-t", "--topic", type=TOPIC, help="Only of this topic.")
@click.option("-p", "--partition", type=PARTITION, help="Only of this partition of it.")
@click.pass_obj
def delete(settings: Settings, consumer_id: str, topic: str | None, partition: int | None) -> None:
    """Forget how far a consumer has come: it begins as a new one."""
    if partition is not None and topic is None:
        raise click.UsageError("--partition needs --topic")
    with settings.connect() as client:
        found = _stored(client, consumer_id, topic, partition)
        if not found:
            raise Failure(f'nothing is stored of consumer "{consumer_id}"')
        for name, number in found:
            client.admin.consumer_offsets.delete(consumer_id=consumer_id, topic=name, partition=number)
            write(f'consumer "{consumer_id}" of topic "{name}", partition {number}, deleted')


@consumer.command()
@click.argument("consumer_id", metavar="ID", type=CONSUMER)
@click.option("-t", "--topic", type=TOPIC, required=True, help="Of this topic.")
@click.option("-p", "--partition", type=PARTITION, help="Only of this partition of it (default: all).")
@to
@output
@click.pass_obj
def reset(settings: Settings, consumer_id: str, topic: str, partition: int | None, place: Offset) -> None:
    """Say where a consumer goes on when it is started next. One that is running is not moved."""
    with settings.connect() as client:
        count = client.admin.topics.get(topic).spec.partitions
        made = [
            client.admin.consumer_offsets.reset(consumer_id=consumer_id, topic=topic, partition=number, to=place)
            for number in (range(count) if partition is None else [partition])
        ]
    if settings.output == "table":
        write(table(made, COLUMNS))
    else:
        show(settings, made, COLUMNS, none="", document=[plain(item) for item in made])
