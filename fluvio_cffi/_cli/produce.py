"""``produce``."""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

import click

from fluvio_cffi import Delivery, Fluvio, Partitioner, Producer, SmartModule

from .chains import chain, smartmodules
from .mirrors import mirrored
from .output import size
from .parameters import CODEC, ISOLATION, PARTITION, SIZE, SPAN, TOPIC
from .settings import Settings, note
from .sources import keyed, lines, of_json

Item: TypeAlias = "bytes | tuple[bytes | None, bytes]"
Group: TypeAlias = "list[bytes] | list[tuple[bytes | None, bytes]]"

_SEMANTICS: Final = ("at-least-once", "at-most-once", "at_least_once", "at_most_once", "AtLeastOnce", "AtMostOnce")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)(?:/s)?")
_MAX_REQUEST: Final = 1_048_576


def _rate(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = _RATE.fullmatch(value)
    if found is None or not float(found[1]):
        raise click.BadParameter(f"{value!r} must be a number of records, such as 100 or 100/s")
    return float(found[1])


@click.command()
@click.argument("topic", type=TOPIC)
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False),
    help="Read this file instead of the standard input.",
)
@click.option("--raw", is_flag=True, help="All that is read is one record.")
@click.option("--key", help="The key of all records.")
@click.option("--key-separator", metavar="TEXT", help="What stands before this in a line is the record's key.")
@click.option("--json-lines", is_flag=True, help="Each line is a record as 'consume -O json' writes it.")
@click.option("-p", "--partition", type=PARTITION, help="The partition of all records.")
@click.option("-m", "--mirror", metavar="NAME", help="The partition that goes to this remote or home cluster.")
@click.option("--compression", type=CODEC, help="Compress batches (default: as the topic says).")
@click.option("--linger", type=SPAN, help="How long a batch waits for more records.")
@click.option("--batch-size", type=SIZE, help="The size at which a batch is complete.")
@click.option(
    "--max-request-size",
    type=SIZE,
    default=_MAX_REQUEST,
    help="The size of one request, and so of one record, at most (default: 1 MiB).",
)
@click.option("--isolation", type=ISOLATION, help="read_committed: acknowledged when the replicas have it.")
@click.option(
    "--delivery-semantic",
    type=click.Choice(_SEMANTICS, case_sensitive=False),
    default="at-least-once",
    metavar="SEMANTIC",
    help="at-least-once (the default) or at-most-once.",
)
@smartmodules
@click.option("--rate", metavar="N[/s]", callback=_rate, help="Send that many records a second, at most.")
@click.option("-v", "--verbose", is_flag=True, help="Say how many records were acknowledged, and how fast.")
@click.pass_obj
def produce(
    settings: Settings, /, topic: str, path: str | None, raw: bool, rate: float | None, verbose: bool, **options: Any
) -> int:
    """Send records to a topic.

    Each line of the standard input, or of a file, is one. It ends when all are
    acknowledged; the status is 1 if one was not. On a terminal each line is sent at once.
    """
    convert, modules = _conversion(raw, options), chain(options)
    if options["mirror"] is not None and options["partition"] is not None:
        raise click.UsageError("--partition and --mirror are given: the mirror has a partition of its own")
    sent = Count()
    with settings.connect() as client, _open(client, topic, modules, options) as producer, sent:
        if raw:
            _send_whole(producer, path, options["key"], sent)
        elif path is None and sys.stdin.isatty():
            _converse(producer, convert, options["max_request_size"], sent)
            return sent.status
        else:
            _send_lines(producer, path, convert, options["max_request_size"], rate, sent)
    if verbose or sys.stderr.isatty():
        note(sent.summary())
    return sent.status


class Count:
    """What was acknowledged.

    :ivar skipped: lines that were no records.
    """

    def __init__(self) -> None:
        self.records = 0
        self.bytes = 0
        self.skipped = 0
        self._started = time.monotonic()
        self._next = self._started + 0.2 if sys.stderr.isatty() else math.inf
        self._shown = False

    def __enter__(self) -> Count:
        return self

    def __exit__(self, *error: object) -> None:
        """Whatever comes next has the line to itself."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)

    @property
    def status(self) -> int:
        return 1 if self.skipped else 0

    def add(self, records: int, nbytes: int) -> None:
        """Some more; a terminal is told five times a second."""
        self.records += records
        self.bytes += nbytes
        if time.monotonic() > self._next:
            self._next = time.monotonic() + 0.2
            self._shown = True
            print(f"\r{self.summary()}\x1b[K", end="", file=sys.stderr, flush=True)

    def summary(self) -> str:
        seconds = time.monotonic() - self._started
        speed = f"{self.records / seconds:,.0f}/s, {size(self.bytes / seconds)}/s"
        return f"{self.records:,} records, {size(self.bytes)}, acknowledged in {seconds:.2f} s ({speed})"


def _conversion(raw: bool, options: dict[str, Any]) -> Callable[[list[bytes], Count], Group]:
    """Takes the options that say what a line is out of `options`: what makes records of lines."""
    separator, as_json, key = options.pop("key_separator"), options.pop("json_lines"), options["key"]
    named = {"--raw": raw, "--key": key is not None and not raw, "--key-separator": separator is not None}
    given = [option for option, value in {**named, "--json-lines": as_json}.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} are given: one of them says what a line is")
    if separator == "":
        raise click.UsageError("--key-separator is empty: it must have at least one character")
    if as_json:
        return lambda group, count: _checked(group, of_json, count)
    if separator is not None:
        return lambda group, count: _checked(group, keyed(separator.encode()), count)
    if key is not None:
        one = key.encode()
        return lambda group, count: [(one, value) for value in group]
    return lambda group, count: group


def _checked(
    group: list[bytes], convert: Callable[[bytes], tuple[bytes | None, bytes]], count: Count
) -> list[tuple[bytes | None, bytes]]:
    """The records of a group of lines; those that are none are told, and left out."""
    records: list[tuple[bytes | None, bytes]] = []
    for line in group:
        try:
            records.append(convert(line))
        except ValueError as error:
            count.skipped += 1
            note(f"left out: {error}")
    return records


def _open(client: Fluvio, topic: str, modules: tuple[SmartModule, ...], options: dict[str, Any]) -> Producer:
    """A producer as the options say."""
    partition = options["partition"]
    if options["mirror"] is not None:
        partition = mirrored(client, topic, options["mirror"], written=True)
    semantic: Delivery = "at_most_once" if "most" in options["delivery_semantic"].lower() else "at_least_once"
    return client.producer(
        topic,
        batch_size=options["batch_size"],
        linger=options["linger"] or 0.0,
        compression=options["compression"],
        max_request_size=options["max_request_size"],
        isolation=options["isolation"] or "read_uncommitted",
        delivery=semantic,
        partitioner=None if partition is None else Partitioner.fixed(partition),
        smartmodules=modules,
    )


# -- sending


def _send_whole(producer: Producer, path: str | None, key: str | None, sent: Count) -> None:
    value = sys.stdin.buffer.read() if path is None else Path(path).read_bytes()
    producer.send(value, key=key)
    sent.add(1, len(value))


def _send_lines(
    producer: Producer,
    path: str | None,
    convert: Callable[[list[bytes], Count], Group],
    longest: int,
    rate: float | None,
    sent: Count,
) -> None:
    source = sys.stdin.fileno() if path is None else os.open(path, os.O_RDONLY)
    try:
        groups: Iterable[list[bytes]] = lines(source, longest)
        for group in groups if rate is None else _paced(groups, rate):
            records = convert(group, sent)
            if records:
                producer.send_all(records)
                sent.add(len(records), sum(map(len, group)))
    finally:
        if path is not None:
            os.close(source)


def _paced(groups: Iterable[list[bytes]], rate: float) -> Iterator[list[bytes]]:
    """The same lines, a tenth of a second's at a time, each when it is due."""
    most = max(int(rate / 10), 1)
    started, given = time.monotonic(), 0
    for group in groups:
        for at in range(0, len(group), most):
            time.sleep(max(started + given / rate - time.monotonic(), 0.0))
            part = group[at : at + most]
            yield part
            given += len(part)


def _converse(producer: Producer, convert: Callable[[list[bytes], Count], Group], longest: int, sent: Count) -> None:
    """Send what a person types, line by line."""
    prompt = "> "
    print(prompt, end="", file=sys.stderr, flush=True)
    for group in lines(sys.stdin.fileno(), longest):
        for record in convert(group, sent):
            key, value = record if isinstance(record, tuple) else (None, record)
            producer.send(value, key=key)
            print("Ok!", file=sys.stderr)
        print(prompt, end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
