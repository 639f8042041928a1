"""``consume``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime, timezone
from types import FrameType
from typing import Any, Final

import click

from fluvio_cffi import ArrowConsumer, Consumer, Fluvio, Offset, RecordBatch, SmartModule, TopicsConsumer

from . import parquet
from .chains import chain, smartmodules
from .formats import FORMATS, Printer, printer
from .mirrors import mirrored
from .parameters import CONSUMER, COUNT, ISOLATION, OFFSET, PARTITION, SIZE, TABLE_FORMAT, TOPIC, seconds_of
from .settings import Settings, colours, note

_MOST: Final = 10_000
# As the `fluvio` program does it.
_COMMIT_EVERY: Final = 2.0
_MAX_BYTES: Final = 1_048_576


@click.command()
@click.argument("topics", metavar="TOPIC...", type=TOPIC, nargs=-1, required=True)
@click.option(
    "-p",
    "--partition",
    "partitions",
    type=PARTITION,
    multiple=True,
    help="Read this partition; may be repeated (default: all).",
)
@click.option("-A", "--all-partitions", is_flag=True, help="Read all partitions, which is the default.")
@click.option("-m", "--mirror", metavar="NAME", help="The partition that belongs to this remote or home cluster.")
@click.option("-d", "--disable-continuous", is_flag=True, help="End at the end that the topic has now.")
@click.option("-B", "--beginning", is_flag=True, help="From the first record.")
@click.option("-H", "--head", type=OFFSET, metavar="N", help="From N records after the first one of each partition.")
@click.option("-T", "--tail", type=OFFSET, metavar="N", help="From N records before the end of each partition.")
@click.option("--start", type=OFFSET, metavar="OFFSET", help="From this offset.")
@click.option(
    "--since",
    metavar="WHEN",
    help="From the first record of that time on: an age such as 10m, 2026-01-31T12:00, or milliseconds.",
)
@click.option("--end", type=OFFSET, metavar="OFFSET", help="Up to this offset, itself included.")
@click.option("-n", "--max", "--max-records", "most", type=COUNT, metavar="N", help="End after N records.")
@click.option("-k", "--key-value", is_flag=True, help="Write '[key] value', and '[null]' where there is no key.")
@click.option(
    "-F",
    "--format",
    "template",
    metavar="TEMPLATE",
    help="Write each record so: {{offset}} {{key}} {{value}} {{partition}} {{time}} {{timestamp}} {{topic}}.",
)
@click.option(
    "-O",
    "--output",
    "form",
    type=click.Choice(FORMATS, case_sensitive=False),
    help="How to write values (default: dynamic).",
)
@click.option(
    "--parquet",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="Write the records of the topic into this Parquet file, which is there when it is whole; needs pyarrow.",
)
@click.option("--separator", default="\n", metavar="TEXT", help="What stands after each record (default: a new line).")
@click.option(
    "--table-format", type=TABLE_FORMAT, metavar="NAME", help="With -O table: the columns of this table format."
)
@click.option("--truncate", is_flag=True, help="Cut each record to a line of the terminal.")
@click.option("--suppress-unknown", is_flag=True, help="Say nothing of values that the format cannot show.")
@click.option("-b", "--maxbytes", type=SIZE, help="The size of one reply of an SPU, at most.")
@click.option("--isolation", type=ISOLATION, help="read_committed: only what the replicas have.")
@smartmodules
@click.option(
    "-c", "--consumer", type=CONSUMER, metavar="ID", help="Go on where this consumer was, and keep how far it comes."
)
@click.option("--group", metavar="NAME", help="Share the partitions with the other members of this group.")
@click.option("--instance", metavar="NAME", help="With --group: take over from the member that was called so.")
@click.option("--disable-progressbar", is_flag=True, hidden=True)
@click.pass_obj
def consume(settings: Settings, /, topics: tuple[str, ...], **options: Any) -> int:
    """Write the records of a topic, or of several.

    Those that come from now on, until Ctrl-C; the options say where else to begin, and where to end.
    """
    if settings.output == "json" and options["template"] is None:
        options["form"] = options["form"] or "json"
    if options["form"] == "json":
        settings.output = "json"
    start = _start(options)
    if options["all_partitions"] and options["partitions"]:
        raise click.UsageError("--all-partitions and --partition are given")
    if options["mirror"] is not None and (options["partitions"] or options["all_partitions"]):
        raise click.UsageError("--mirror is given, and which partitions: the mirror has a partition of its own")
    end = options["end"]
    if len(topics) > 1:
        _check_several(options)
    if end is not None and options["start"] is not None and end < options["start"]:
        raise click.UsageError(f"--end {end} is before --start {options['start']}")
    prepare, modules = printer(options), chain(options)
    identity = _identity(options)
    if options["parquet"] is not None:
        return _write_parquet(settings, topics, start, modules, options, identity)
    with settings.connect() as client:
        write = prepare(client)
        if options["mirror"] is not None:
            options["partitions"] = [mirrored(client, one, options["mirror"], written=False) for one in topics]
        with _open(client, topics, start, modules, options, identity) as consumer, _stopping(consumer) as ended_by:
            if sys.stdout.isatty():
                _announce(topics, start, end)
            _Reading(consumer, write, end, options).run()
    return 128 + ended_by[0] if ended_by else 0


def _write_parquet(
    settings: Settings,
    topics: tuple[str, ...],
    start: Offset | None,
    modules: tuple[SmartModule, ...],
    options: dict[str, Any],
    identity: dict[str, Any],
) -> int:
    parquet.check(topics, options)
    keywords = _keywords(start, modules, options, identity)
    if identity:
        # By what is in the file, and not by what was read.
        keywords["commit"] = "manual"
    with (
        settings.connect() as client,
        client.consumer(topics[0], format="arrow", **keywords) as consumer,
        _stopping(consumer) as ended_by,
    ):
        parquet.write(consumer, options["parquet"], options["most"], bool(identity))
    return 128 + ended_by[0] if ended_by else 0


def _check_several(options: dict[str, Any]) -> None:
    """Whether several topics can be read so."""
    for option in ("partitions", "mirror", "end", "group"):
        if options[option] not in (None, ()):
            raise click.UsageError(f"--{option.rstrip('s')} and several topics are given: it is meant for one")


def _start(options: dict[str, Any]) -> Offset | None:
    """Where the options say that reading begins."""
    places: dict[str, Any] = {
        "--beginning": options["beginning"] or None,
        "--head": options["head"],
        "--tail": options["tail"],
        "--start": options["start"],
        "--since": options["since"],
    }
    given = [(option, value) for option, value in places.items() if value is not None]
    if len(given) > 1:
        names = " and ".join(option for option, _ in given)
        raise click.UsageError(f"{names} are given: one of them says where to begin")
    if not given:
        return None
    option, value = given[0]
    if option == "--since":
        return _since(value)
    made = {"--head": Offset.from_beginning, "--tail": Offset.from_end, "--start": Offset.at}
    return Offset.beginning() if option == "--beginning" else made[option](value)


def _since(text: str) -> Offset:
    """The first record at or after a time."""
    if text.isdecimal() and len(text) > 9:
        moment = datetime.fromtimestamp(int(text) / 1000, timezone.utc)
    elif (age := seconds_of(text)) is not None:
        moment = datetime.fromtimestamp(time.time() - age, timezone.utc)
    else:
        try:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
        except ValueError:
            raise click.UsageError(
                f"--since is {text!r}: it must be an age such as 10m, a time such as 2026-01-31T12:00, or milliseconds"
            ) from None
    return Offset.since(moment)


def _identity(options: dict[str, Any]) -> dict[str, Any]:
    """As who records are consumed, as keywords of ``client.consumer``."""
    identity, group = options["consumer"], options["group"]
    if identity is not None and group is not None:
        raise click.UsageError("--consumer and --group are given: a group keeps how far it comes by itself")
    if options["instance"] is not None and group is None:
        raise click.UsageError("--instance is given without --group: they belong together")
    if identity is None and group is None:
        return {}
    return {
        **({"consumer_id": identity} if group is None else {"group": group, "instance": options["instance"]}),
        # What lies beyond --end is read, and must not count.
        "commit": "auto" if options["end"] is None else "manual",
        "auto_commit_interval": _COMMIT_EVERY,
    }


def _open(
    client: Fluvio,
    topics: tuple[str, ...],
    start: Offset | None,
    modules: tuple[SmartModule, ...],
    options: dict[str, Any],
    identity: dict[str, Any],
) -> Consumer | TopicsConsumer:
    keywords = _keywords(start, modules, options, identity)
    first, *others = topics
    if others:
        return client.consumer([first, *others], **keywords)
    return client.consumer(first, format="records", **keywords)


def _keywords(
    start: Offset | None, modules: tuple[SmartModule, ...], options: dict[str, Any], identity: dict[str, Any]
) -> dict[str, Any]:
    return {
        "partitions": options["partitions"] or None,
        "start": start,
        "stop_at_end": options["disable_continuous"],
        "isolation": options["isolation"] or "read_uncommitted",
        "max_bytes": options["maxbytes"] or _MAX_BYTES,
        "smartmodules": modules,
        **identity,
    }


@contextmanager
def _stopping(consumer: ArrowConsumer | Consumer | TopicsConsumer) -> Generator[list[int]]:
    """Ctrl-C and SIGTERM end reading once what was read is written, so that what is kept of it is right; a second one
    ends the program. Gives the signals that came."""
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)
        consumer.stop()

    for number in before:
        signal.signal(number, stop)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(topics: tuple[str, ...], start: Offset | None, end: int | None) -> None:
    line = f"Consuming records of {', '.join(topics)}"
    if start is not None:
        line += f", from {repr(start).removeprefix('Offset.')}"
    if end is not None:
        line += f", up to offset {end}"
    note(f"\x1b[1m{line}\x1b[0m" if colours(sys.stderr) else line)


class _Reading:
    """Reads to the end that the options say, and writes."""

    def __init__(
        self, consumer: Consumer | TopicsConsumer, write: Printer, end: int | None, options: dict[str, Any]
    ) -> None:
        self._consumer = consumer
        self._write = write
        self._end = end
        self._left: int | None = options["most"]
        self._commits = options["consumer"] is not None or options["group"] is not None

    def run(self) -> None:
        while True:
            most = _MOST if self._left is None else min(self._left, _MOST)
            for batch in self._consumer.batches(max_records=max(most, 1)):
                if not self._take(batch):
                    # The next read finds that it ends, and counts what was written.
                    self._consumer.stop()
                elif self._left is not None and self._left < most:
                    break
            else:
                return

    def _take(self, batch: RecordBatch) -> bool:
        """Write a batch. False: it was the last."""
        if self._end is not None and isinstance(self._consumer, Consumer):
            return self._take_to_the_end(self._consumer, batch, self._end)
        self._write(batch)
        if self._left is None:
            return True
        self._left -= len(batch)
        return self._left > 0

    def _take_to_the_end(self, consumer: Consumer, batch: RecordBatch, end: int) -> bool:
        kept = [record for record in batch if record.offset <= end]
        if self._left is not None:
            kept = kept[: self._left]
            self._left -= len(kept)
        if kept:
            self._write(kept)
            if self._commits:
                consumer.commit({record.partition: record.offset for record in kept})
        # A partition that is not known yet has its end ahead.
        positions = consumer.position()
        reached = all(positions.get(partition, 0) > end for partition in consumer.assignment)
        return not reached and self._left != 0
