"""What spans and metrics say: the names of OpenTelemetry's conventions for messaging, and what is put there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from opentelemetry.util.types import AttributeValue

from fluvio_cffi._consume.batch import ReadTogether, batch_spans
from fluvio_cffi._observing import Received

SCOPE: Final = "fluvio_cffi"
SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.38.0"

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
PARTITION: Final = "messaging.destination.partition.id"
MESSAGE_ID: Final = "messaging.message.id"
MESSAGE_COUNT: Final = "messaging.batch.message_count"
GROUP: Final = "messaging.consumer.group.name"
ERROR: Final = "error.type"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
# What the conventions have no name for. The three lists go together, one element a partition.
PARTITIONS: Final = "fluvio.partitions"
FIRST: Final = "fluvio.offset.first"
LAST: Final = "fluvio.offset.last"
CANCELLED: Final = "fluvio.cancelled"
TIMED_OUT: Final = "fluvio.timed_out"

Attributes = dict[str, AttributeValue]


def server(endpoint: str) -> Attributes:
    """The cluster: the address of its SC."""
    host, colon, port = endpoint.rpartition(":")
    if not colon or not port.isdecimal():
        return {SERVER_ADDRESS: endpoint}
    return {SERVER_ADDRESS: host.strip("[]"), SERVER_PORT: int(port)}


def operation(name: str, kind: str) -> Attributes:
    """An operation, as spans and durations have it."""
    return {SYSTEM: "fluvio", OPERATION_NAME: name, OPERATION_TYPE: kind}


def place(topic: str, partition: int, offset: int | None) -> Attributes:
    """Where one record is."""
    found: Attributes = {PARTITION: str(int(partition))}
    if offset is not None:
        found[MESSAGE_ID] = f"{topic}.{int(partition)}.{int(offset)}"
    return found


def places(spans: Mapping[int, tuple[int, int]]) -> Attributes:
    """Where many records are: of each partition the first and the last offset."""
    if not spans:
        return {}
    partitions = sorted(spans)
    found: Attributes = {
        PARTITIONS: partitions,
        FIRST: [int(spans[partition][0]) for partition in partitions],
        LAST: [int(spans[partition][1]) for partition in partitions],
    }
    if len(partitions) == 1:
        found[PARTITION] = str(partitions[0])
    return found


def contents(what: Received) -> Attributes:
    """A record, or a batch: its topic, and where it is."""
    if isinstance(what, ReadTogether):
        return {DESTINATION: what.topic, MESSAGE_COUNT: len(what), **places(batch_spans(what))}
    return {DESTINATION: what.topic, **place(what.topic, what.partition, what.offset)}
