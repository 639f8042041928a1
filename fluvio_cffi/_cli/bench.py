"""``bench``: how fast a cluster is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import click

from fluvio_cffi import Consumer, Fluvio, Offset

from .common import Aliased
from .output import fields, size, write, write_document
from .parameters import CODEC, COUNT, ISOLATION, SIZE, SPAN, output
from .settings import Failure, Settings


@click.group(cls=Aliased)
def bench() -> None:
    """How fast the cluster is.

    Each makes a topic of its own, and deletes it, unless one is named.
    """


@contextmanager
def _topic(client: Fluvio, name: str | None, partitions: int) -> Generator[str]:
    """The topic to be used."""
    if name is not None:
        client.admin.topics.get(name)
        yield name
        return
    made = f"bench-{time.time_ns():x}"
    client.admin.topics.create(made, partitions=partitions)
    try:
        yield made
    finally:
        client.admin.topics.delete(made, missing_ok=True)


def _at_once(works: list[Callable[[], None]]) -> float:
    """Run several, each in a thread of its own; the seconds that took. The first error is raised."""
    errors: list[BaseException] = []
    go = threading.Event()

    def run(work: Callable[[], None]) -> None:
        go.wait()
        try:
            work()
        except BaseException as error:
            errors.append(error)

    # As daemons they hold nobody up who is interrupted.
    threads = [threading.Thread(target=run, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    go.set()
    for thread in threads:
        while thread.is_alive():
            thread.join(0.5)
    seconds = time.perf_counter() - started
    if errors:
        raise errors[0]
    return seconds


def _shares(count: int, clients: int) -> list[int]:
    return [count // clients + (index < count % clients) for index in range(clients)]


def _report(settings: Settings, what: str, count: int, record_size: int, seconds: float) -> None:
    speed = count / seconds
    if settings.output == "table":
        write(
            fields(
                [
                    (what, f"{count:,} records of {record_size:,} bytes in {seconds:.3f} s"),
                    ("Records/s", f"{speed:,.0f}"),
                    ("Bytes/s", f"{size(speed * record_size)}/s"),
                ]
            )
        )
        return
    document: dict[str, object] = {
        "records": count,
        "record_size": record_size,
        "seconds": seconds,
        "records_per_second": speed,
        "bytes_per_second": speed * record_size,
    }
    write_document(settings, document)


_IN_TOPIC = click.option("--topic", metavar="NAME", help="Use this topic instead of a new one.")
_OF_SIZE = click.option(
    "-s",
    "--size",
    "--record-size",
    "record_size",
    type=SIZE,
    default="100",
    show_default=True,
    help="Bytes of a record.",
)
_COMMON = (
    _IN_TOPIC,
    _OF_SIZE,
    click.option(
        "-n", "--count", "--num-records", type=COUNT, default=1_000_000, show_default=True, help="How many records."
    ),
    click.option("-p", "--partitions", type=COUNT, default=1, show_default=True, help="Partitions of the new topic."),
    click.option(
        "--clients", "--num-producers", type=COUNT, default=1, show_default=True, help="How many clients at once."
    ),
)


def _common(function: Any) -> Any:
    for option in reversed(_COMMON):
        function = option(function)
    return function


@bench.command()
@_common
@click.option("--compression", type=CODEC, help="Compress batches.")
@click.option("--batch-size", type=SIZE, help="The size at which a batch is complete.")
@click.option("--linger", type=SPAN, default="0", help="How long a batch waits for more records.")
@output
@click.pass_obj
def produce(
    settings: Settings,
    /,
    topic: str | None,
    record_size: int,
    count: int,
    partitions: int,
    clients: int,
    **options: Any,
) -> None:
    """Write records, as many at a time as can be; each is acknowledged."""
    with settings.connect() as client, _topic(client, topic, partitions) as name:
        connected = [settings.connect() for _ in range(clients)]
        try:
            works = [
                _producing(each, name, b"x" * record_size, share, options)
                for each, share in zip(connected, _shares(count, clients), strict=True)
            ]
            seconds = _at_once(works)
        finally:
            for each in connected:
                each.close()
    _report(settings, "Produced", count, record_size, seconds)


# What the `fluvio` program calls them.
bench.aliases = {"producer": "produce", "consumer": "consume"}


def _producing(client: Fluvio, topic: str, value: bytes, count: int, options: dict[str, Any]) -> Callable[[], None]:
    def work() -> None:
        with client.producer(topic, **options) as producer:
            left = count
            while left:
                most = min(left, 100_000)
                producer.send_all([value] * most)
                left -= most

    return work


@bench.command()
@_common
@output
@click.pass_obj
def consume(settings: Settings, topic: str | None, record_size: int, count: int, partitions: int, clients: int) -> None:
    """Read records from the beginning, as many at a time as can be.

    Each client reads all of them. A new topic is filled before.
    """
    with settings.connect() as client, _topic(client, topic, partitions) as name:
        if topic is None:
            _producing(client, name, b"x" * record_size, count, {})()
        there = sum(end - begin for begin, end in client.offsets(name).values())
        if not there:
            raise Failure(f"topic {name!r} is empty: there is nothing to read")
        count = min(count, there)
        connected = [settings.connect() for _ in range(clients)]
        nbytes = [0] * clients
        try:
            seconds = _at_once([_consuming(each, name, count, nbytes, at) for at, each in enumerate(connected)])
        finally:
            for each in connected:
                each.close()
    _report(settings, "Consumed", count * clients, round(sum(nbytes) / count / clients), seconds)


def _consuming(client: Fluvio, topic: str, count: int, nbytes: list[int], at: int) -> Callable[[], None]:
    def work() -> None:
        left = count
        with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            for batch in consumer.batches(max_records=10_000):
                left -= len(batch)
                nbytes[at] += batch.nbytes
                if left <= 0:
                    break

    return work


@bench.command()
@_IN_TOPIC
@_OF_SIZE
@click.option("-n", "--count", type=COUNT, default=1000, show_default=True, help="How many records.")
@click.option(
    "--isolation", type=ISOLATION, default="read_uncommitted", help="read_committed: until the replicas have it."
)
@output
@click.pass_obj
def latency(settings: Settings, topic: str | None, record_size: int, count: int, isolation: Any) -> None:
    """Send records one by one: how long until each is acknowledged, and until a consumer has it."""
    value = b"x" * record_size
    acknowledged, arrived = list[float](), list[float]()
    with settings.connect() as client, settings.connect() as other, _topic(client, topic, 1) as name:
        reading = other.consumer(name, start=Offset.end(), isolation=isolation)
        with client.producer(name, isolation=isolation) as producer, reading as consumer:
            for _ in range(10):
                producer.send(value)
                consumer.receive(timeout=10)
            for _ in range(count):
                _measure(producer.send, value, consumer, acknowledged, arrived)
    _report_times(settings, count, {"acknowledged": acknowledged, "end_to_end": arrived})


def _measure(
    send: Callable[[bytes], object], value: bytes, consumer: Consumer, acknowledged: list[float], arrived: list[float]
) -> None:
    started = time.perf_counter()
    send(value)
    acknowledged.append(time.perf_counter() - started)
    consumer.receive(timeout=10)
    arrived.append(time.perf_counter() - started)


def _report_times(settings: Settings, count: int, times: dict[str, list[float]]) -> None:
    found = {name: _percentiles(seconds) for name, seconds in times.items()}
    if settings.output != "table":
        write_document(settings, {"records": count, **found})
        return
    pairs: list[tuple[str, object]] = [("Records", f"{count:,}, one at a time")]
    for name, parts in found.items():
        shown = ", ".join(f"{part} {seconds * 1e3:.3f} ms" for part, seconds in parts.items())
        pairs.append((name.replace("_", " ").capitalize(), shown))
    write(fields(pairs))


def _percentiles(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)
    places = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: ordered[min(int(place * len(ordered)), len(ordered) - 1)] for name, place in places.items()}
