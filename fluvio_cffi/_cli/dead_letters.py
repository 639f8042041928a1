"""``dead-letters``: records that programs could not process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import click

from fluvio_cffi import ConfigError, Consumer, Fluvio, Offset, Producer, Record, RecordBatch
from fluvio_cffi.dead_letters import DeadLetter

from .formats import content
from .output import Column, ago, show, write
from .parameters import CONSUMER, COUNT, TOPIC, output
from .settings import Settings, note

_READER: Final = "flv-dead-letters"
_AT_ONCE: Final = 1000


@dataclass
class Found:
    """A letter, and where it is."""

    record: Record
    letter: DeadLetter

    def document(self) -> dict[str, object]:
        """The letter as JSON."""
        letter = self.letter
        return {
            "partition": self.record.partition,
            "offset": self.record.offset,
            "written_ms": self.record.timestamp,
            "record": {
                "topic": letter.topic,
                "partition": letter.partition,
                "offset": letter.offset,
                "timestamp_ms": letter.timestamp,
                **content("key", letter.key),
                **content("value", letter.value),
            },
            "error": letter.error,
            "message": letter.message,
            "attempts": letter.attempts,
        }


COLUMNS: Final = (
    Column("LETTER", lambda found: f"{found.record.partition}/{found.record.offset}", right=True),
    Column("TOPIC", lambda found: found.letter.topic),
    Column("PARTITION", lambda found: found.letter.partition, right=True),
    Column("OFFSET", lambda found: found.letter.offset, right=True),
    Column("ATTEMPTS", lambda found: found.letter.attempts, right=True),
    Column("AGE", lambda found: ago(found.record.timestamp)),
    Column("ERROR", lambda found: f"{found.letter.error}: {found.letter.message}"),
)


@click.group("dead-letters")
def dead_letters() -> None:
    """Records that programs could not process.

    Programs put them into a topic, as fluvio_cffi.dead_letters says.
    """


@dead_letters.command("list")
@click.argument("topic", type=TOPIC)
@click.option("-n", "--max", "most", type=COUNT, metavar="N", help="Only the last N of each partition.")
@output
@click.pass_obj
def list_(settings: Settings, topic: str, most: int | None) -> None:
    """The letters that a topic has now."""
    start = Offset.beginning() if most is None else Offset.from_end(most)
    with settings.connect() as client, client.consumer(topic, start=start, stop_at_end=True) as consumer:
        found = [*letters(record for batch in consumer.batches() for record in batch)]
    show(settings, found, COLUMNS, none="No dead letters found", document=[each.document() for each in found])


@dead_letters.command()
@click.argument("topic", type=TOPIC)
@click.option("--to", "target", type=TOPIC, metavar="TOPIC", help="Send them there (default: where each comes from).")
@click.option(
    "-c",
    "--consumer",
    type=CONSUMER,
    metavar="ID",
    default=_READER,
    show_default=True,
    help="Go on after what was sent under this id, and keep how far it comes.",
)
@click.option("-d", "--dry-run", is_flag=True, help="Only say what would be sent.")
@output
@click.pass_obj
def replay(settings: Settings, topic: str, target: str | None, consumer: str, dry_run: bool) -> int:
    """Send the records of a topic's letters again, each once.

    With the key that they had, and a new time. What was sent is kept under a consumer's id, so that
    the next replay goes on after it; after a crash a record may be sent twice.
    """
    with settings.connect() as client:
        replaying = _Replaying(client, target)
        with client.consumer(topic, consumer_id=consumer, stop_at_end=True) as reader:
            for batch in reader.batches(max_records=_AT_ONCE):
                replaying.take(reader, batch, dry_run)
    document = [{"topic": name, "records": count} for name, count in sorted(replaying.counts.items())]
    if settings.output != "table":
        show(settings, document, (), none="", document=document)
    else:
        done = "would be sent" if dry_run else "sent"
        lines = [f'{each["records"]} records {done} to topic "{each["topic"]}"' for each in document]
        write("\n".join(lines) or "No dead letters to send")
    return 1 if replaying.left_out else 0


def letters(records: Iterable[Record]) -> Iterator[Found]:
    """The letters among records; what is none is told."""
    for record in records:
        try:
            yield Found(record, DeadLetter.from_json(record.value))
        except ConfigError as error:
            note(f"left out: {record.topic}[{record.partition}]@{record.offset}: {error}")


class _Replaying:
    """Sends records again.

    :ivar counts: how many went to each topic.
    :ivar left_out: how many records were no letters.
    """

    def __init__(self, client: Fluvio, target: str | None) -> None:
        self.counts: dict[str, int] = {}
        self.left_out = 0
        self._client = client
        self._target = target
        self._producers: dict[str, Producer] = {}

    def take(self, reader: Consumer, batch: RecordBatch, dry_run: bool) -> None:
        """Send those of a batch; that is stored once all are acknowledged."""
        found = [*letters(batch)]
        self.left_out += len(batch) - len(found)
        by_topic: dict[str, list[tuple[bytes | None, bytes]]] = {}
        for each in found:
            letter = each.letter
            by_topic.setdefault(self._target or letter.topic, []).append((letter.key, letter.value))
        for topic, records in by_topic.items():
            if not dry_run:
                self._producer(topic).send_all(records)
            self.counts[topic] = self.counts.get(topic, 0) + len(records)
        if not dry_run:
            reader.commit(batch)

    def _producer(self, topic: str) -> Producer:
        if topic not in self._producers:
            self._producers[topic] = self._client.producer(topic)
        return self._producers[topic]
