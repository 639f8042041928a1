"""``topic``."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import click

from fluvio_cffi import ConsumerOffset, Fluvio, FluvioError, Offset, Partition, Topic

from .common import Aliased, delete_each, follow
from .output import Column, ago, fields, instant, plain, show, size, span, table, words, write, write_document
from .parameters import COUNT, FILE, SIZE, SPAN, TOPIC, output
from .settings import Settings
from .topic_files import assignment_of, deduplication, mirror_of, spec_of

_ALGORITHMS: Final = click.Choice(("any", "none", "gzip", "snappy", "lz4", "zstd"), case_sensitive=False)


def _kind(topic: Topic) -> str | None:
    """How its partitions are laid out; ``None``: as the cluster likes."""
    if topic.spec.mirror is not None:
        return "mirror"
    return "assigned" if topic.spec.assignment is not None else None


COLUMNS: Final = (
    Column("NAME", lambda topic: topic.name),
    Column("TYPE", _kind, optional=True),
    Column("PARTITIONS", lambda topic: topic.spec.partitions, right=True),
    Column("REPLICAS", lambda topic: topic.spec.replication, right=True),
    Column("RETENTION", lambda topic: span(topic.spec.retention)),
    Column("COMPRESSION", lambda topic: topic.spec.compression),
    Column(
        "DEDUPLICATION",
        lambda topic: topic.spec.deduplication and topic.spec.deduplication.smartmodule,
        optional=True,
    ),
    Column("STATUS", lambda topic: words(topic.status.resolution)),
    Column("REASON", lambda topic: topic.status.reason, optional=True),
)


@click.group(cls=Aliased)
def topic() -> None:
    """Topics."""


@topic.command("list")
@click.option("-s", "--system", is_flag=True, help="The cluster's own topics instead of all others.")
@output
@click.pass_obj
def list_(settings: Settings, system: bool) -> None:
    """The topics of the cluster."""
    with settings.connect() as client:
        show(settings, client.admin.topics.list(system=system), COLUMNS, none="No topics found")


@topic.command()
@click.argument("name", required=False)
@click.option("-p", "--partitions", type=COUNT, help="How many partitions (default: 1).")
@click.option("-r", "--replication", type=COUNT, help="How many SPUs hold each (default: 1).")
@click.option("-i", "--ignore-rack-assignment", is_flag=True, help="Let replicas share a rack.")
@click.option("-f", "--replica-assignment", type=FILE, help="JSON: which SPUs hold which partition.")
@click.option("-m", "--mirror-apply", type=FILE, help="JSON: which remote clusters it mirrors.")
@click.option("--mirror", is_flag=True, help="The home of remote clusters that are added later.")
@click.option("--home-to-remote", is_flag=True, help="Of a mirror: records go from here to the remote clusters.")
@click.option("-d", "--dry-run", is_flag=True, help="Only check whether it could be created.")
@click.option("--retention-time", "--retention", type=SPAN, help="How long records are kept, such as 7d.")
@click.option("--segment-size", type=SIZE, help="Size of one file of the log.")
@click.option("--max-partition-size", type=SIZE, help="Size of one partition, at most, about.")
@click.option("--compression-type", "--compression", type=_ALGORITHMS, help="The codec that producers must use.")
@click.option("--dedup", is_flag=True, help="Drop repeated records, by a SmartModule of the cluster.")
@click.option("--dedup-count", type=COUNT, default=5, show_default=True, help="Among how many records.")
@click.option("--dedup-age", type=SPAN, default="5s", show_default=True, help="And of how long ago.")
@click.option("--dedup-filter", metavar="NAME", help="Which SmartModule (default: the one of the fluvio program).")
@click.option("-s", "--system", is_flag=True, hidden=True)
@click.option("-c", "--config", type=FILE, help="A file of YAML or JSON that says all of this.")
@click.option("--exist-ok", is_flag=True, help="It is no error that there is a topic of that name.")
@output
@click.pass_obj
def create(
    settings: Settings, /, name: str | None, config: str | None, dry_run: bool, exist_ok: bool, **given: Any
) -> None:
    """Create a topic, and wait until it can be produced to."""
    if config is not None:
        if name is not None:
            raise click.UsageError("a name and --config are given: the file has the name in it")
        name, keywords = spec_of(config)
    else:
        keywords = _keywords(given)
    if not name:
        raise click.UsageError("the name is missing")
    with settings.connect() as client:
        made = client.admin.topics.create(name, **keywords, dry_run=dry_run, exist_ok=exist_ok)
    if settings.output != "table":
        write_document(settings, plain(made))
    else:
        write(f'topic "{name}" {"could be created" if dry_run else "created"}')


def _keywords(given: dict[str, Any]) -> dict[str, Any]:
    """What the options say, as the keywords of ``topics.create``."""
    layouts = {
        "--replica-assignment": given["replica_assignment"],
        "--mirror-apply": given["mirror_apply"],
        "--mirror": given["mirror"],
        "--partitions or --replication": given["partitions"] or given["replication"],
    }
    named = [name for name, value in layouts.items() if value]
    if len(named) > 1:
        raise click.UsageError(f"{' and '.join(named)} are given: a topic is laid out by one of them")
    keywords: dict[str, Any] = {
        "partitions": given["partitions"],
        "replication": given["replication"],
        "ignore_rack": given["ignore_rack_assignment"] or None,
        "retention": given["retention_time"],
        "segment_size": given["segment_size"],
        "max_partition_size": given["max_partition_size"],
        "compression": given["compression_type"],
    }
    if given["replica_assignment"]:
        keywords["assignment"] = assignment_of(given["replica_assignment"])
    if given["mirror_apply"] or given["mirror"]:
        keywords["mirror"] = mirror_of(given["mirror_apply"], given["home_to_remote"])
    if given["dedup"]:
        keywords["deduplication"] = deduplication(given["dedup_count"], given["dedup_age"], given["dedup_filter"])
    return keywords


@topic.command()
@click.argument("names", type=TOPIC, nargs=-1, required=True)
@click.option("-c", "--continue-on-error", is_flag=True, help="Go on with the others where one cannot be deleted.")
@click.option("-s", "--system", is_flag=True, help="Also the cluster's own; asks first.")
@click.option("-f", "--force", is_flag=True, help="With --system: do not ask.")
@click.pass_obj
def delete(settings: Settings, names: tuple[str, ...], continue_on_error: bool, system: bool, force: bool) -> None:
    """Delete topics, with their records."""
    if system and not force:
        click.confirm(f"Delete system topics ({', '.join(names)})? The cluster may need them", abort=True, err=True)
    with settings.connect() as client:
        delete_each(
            names,
            "topic",
            lambda name: client.admin.topics.delete(name, force=system),
            go_on=continue_on_error,
        )


@topic.command("add-partition")
@click.argument("name", type=TOPIC)
@click.option("-c", "--count", type=COUNT, default=1, show_default=True, help="How many more.")
@output
@click.pass_obj
def add_partition(settings: Settings, name: str, count: int) -> None:
    """Give a topic more partitions."""
    with settings.connect() as client:
        made = client.admin.topics.add_partitions(name, count)
    if settings.output != "table":
        write_document(settings, plain(made))
        return
    write(f'added {count} to topic "{name}"')
    new = sorted(made.status.replica_map.items())[-count:]
    columns = (
        Column("PARTITION", lambda pair: pair[0], right=True),
        Column("SPU", lambda pair: ", ".join(map(str, pair[1]))),
    )
    write(table(new, columns))


topic.aliases = {"add-partitions": "add-partition"}


@topic.command("add-mirror")
@click.argument("name", type=TOPIC)
@click.argument("remote")
@click.option("--home-to-remote", is_flag=True, help="Records go from here to there.")
@click.pass_obj
def add_mirror(settings: Settings, name: str, remote: str, home_to_remote: bool) -> None:
    """Give a topic that is a mirror's home one more remote cluster."""
    with settings.connect() as client:
        client.admin.topics.add_mirror(name, remote, home_to_remote=home_to_remote)
    write(f'added mirror "{remote}" to topic "{name}"')


@topic.command()
@output
@click.pass_obj
def watch(settings: Settings) -> None:
    """The topics, and what changes, until Ctrl-C."""
    with settings.connect() as client:
        follow(settings, client.admin.topics.watch(), COLUMNS, "topics")


# -- describe


@topic.command()
@click.argument("name", type=TOPIC)
@output
@click.pass_obj
def describe(settings: Settings, name: str) -> None:
    """All about a topic: its configuration, its partitions, and who consumes it."""
    with settings.connect() as client:
        found = client.admin.topics.get(name)
        partitions = client.admin.partitions.list(topic=name)
        bounds = _bounds(client, name)
        consumers = client.admin.consumer_offsets.list(topic=name)
        last = _last_produced(client, name, bounds)
    if settings.output == "table":
        write(_described(found, partitions, bounds, consumers, last))
        return
    offsets = {str(partition): {"begin": begin, "end": end} for partition, (begin, end) in bounds.items()}
    document: dict[str, object] = {
        "topic": plain(found),
        "partitions": [plain(partition) for partition in partitions],
        "offsets": offsets,
        "last_produced_ms": last,
        "consumers": [plain(consumer) for consumer in consumers],
    }
    write_document(settings, document)


def _bounds(client: Fluvio, name: str) -> dict[int, tuple[int, int]]:
    """The offsets of the partitions, if all leaders answer."""
    try:
        return client.offsets(name, timeout=2)
    except FluvioError:
        return {}


def _last_produced(client: Fluvio, name: str, bounds: dict[int, tuple[int, int]]) -> int | None:
    """The time of the newest record."""
    written = [partition for partition, (begin, end) in bounds.items() if end > begin]
    stamps = list[int]()
    if written:
        # Retention may take it just now, or a leader end.
        with suppress(FluvioError):
            last = client.consumer(name, partitions=written, start=Offset.from_end(1), stop_at_end=True)
            with last as consumer:
                stamps = [record.timestamp for record in consumer if record.timestamp is not None]
    return max(stamps, default=None)


def _described(
    topic: Topic,
    partitions: list[Partition],
    bounds: dict[int, tuple[int, int]],
    consumers: list[ConsumerOffset],
    last: int | None,
) -> str:
    spec = topic.spec
    dropped = spec.deduplication
    parts = [
        fields(
            [
                ("Name", topic.name),
                ("Status", words(topic.status.resolution)),
                *([("Reason", topic.status.reason)] if topic.status.reason else []),
                ("Partitions", spec.partitions),
                ("Replicas", spec.replication),
                ("Retention", span(spec.retention) or "as the cluster's"),
                ("Segment size", size(spec.segment_size) or "as the cluster's"),
                ("Max partition size", size(spec.max_partition_size) or "as the cluster's"),
                ("Compression", spec.compression),
                *([("Deduplication", f"{dropped.smartmodule}, {dropped.count} records")] if dropped else []),
                ("Records", sum(end - begin for begin, end in bounds.values())),
                ("Last produced", f"{instant(last)} ({ago(last)} ago)" if last is not None else None),
            ]
        ),
        table(partitions, _partition_columns(bounds)),
    ]
    if consumers:
        parts.append(table(consumers, CONSUMERS))
    return "\n\n".join(parts)


def _partition_columns(bounds: dict[int, tuple[int, int]]) -> tuple[Column, ...]:
    unknown = (None, None)
    return (
        Column("PARTITION", lambda item: item.partition, right=True),
        Column("LEADER", lambda item: item.spec.leader, right=True),
        Column("REPLICAS", lambda item: ", ".join(map(str, item.spec.replicas))),
        Column("BEGIN", lambda item: bounds.get(item.partition, unknown)[0], right=True),
        Column("END", lambda item: bounds.get(item.partition, unknown)[1], right=True),
        Column("SIZE", lambda item: size(item.status.size), right=True),
        Column("STATUS", lambda item: words(item.status.resolution)),
    )


CONSUMERS: Final = (
    Column("CONSUMER", lambda item: item.consumer_id),
    Column("PARTITION", lambda item: item.partition, right=True),
    Column("OFFSET", lambda item: item.offset, right=True),
    Column("LAG", lambda item: item.lag, right=True),
    Column("LAST SEEN", lambda item: ago(item.modified)),
)
