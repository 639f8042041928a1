"""Stored consumer offsets."""

from __future__ import annotations

from dataclasses import field

from fluvio_cffi._admin.document import named
from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish


@value()
class ConsumerOffset:
    """How far a consumer has come in a partition.

    :ivar consumer_id: the consumer's id.
    :ivar topic: the topic's name.
    :ivar partition: the partition's number.
    :ivar offset: the offset of the record that was processed last, after which reading goes on; -1: at the very
        beginning; ``None``: nothing is stored of this partition.
    :ivar modified: when it was stored, milliseconds since the epoch, exact to the second; ``None``: nothing is.
    :ivar lag: how many records follow it in the log; where nothing is stored, how many there are. ``None``: the
        partition's leader does not answer.
    """

    consumer_id: str
    topic: str
    partition: int
    offset: int | None
    modified: int | None = field(metadata=named("modified_ms"))
    lag: int | None


publish(__name__)
