"""Where records are. Errors name it, so it stands below them."""

from __future__ import annotations

from typing import NamedTuple


class RecordMetadata(NamedTuple):
    """Where an acknowledged record is.

    :ivar topic: the topic's name.
    :ivar partition: the partition's number.
    :ivar offset: the record's offset in it; ``None``: nobody knows, since SmartModules of the producer, or the topic's
        deduplication, may have dropped it.
    :ivar timestamp: the record's timestamp, milliseconds since the epoch.
    """

    topic: str
    partition: int
    offset: int | None
    timestamp: int
