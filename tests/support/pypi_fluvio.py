"""The client `fluvio` of PyPI, in a process of its own, since its threads never end.

    python pypi_fluvio.py produce ENDPOINT TOPIC [CODEC]       records on the standard input
    python pypi_fluvio.py consume ENDPOINT TOPIC [MAX_BYTES]   records on the standard output, to the end of the topic
    python pypi_fluvio.py transform ENDPOINT TOPIC START COUNT CALL...
                                                               so many records that come through SmartModules; a CALL
                                                               is the arguments of its `smartmodule`, as JSON

A record is a line: its offset, its key and its value in hexadecimal digits, with "-" for a key that is not there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import fluvio


def connect(endpoint: str) -> Any:
    return fluvio.Fluvio.connect_with_config(fluvio.FluvioConfig.new(endpoint))


def produce(endpoint: str, topic: str, codec: str | None = None) -> None:
    builder = fluvio.TopicProducerConfigBuilder()
    if codec is not None:
        builder = builder.compression(getattr(fluvio.Compression, codec))
    producer = connect(endpoint).topic_producer_with_config(topic, builder.build())
    records: list[tuple[bytes, bytes]] = []
    for line in sys.stdin:
        _, key, value = line.rstrip("\n").split(" ")
        records.append((bytes.fromhex(key), bytes.fromhex(value)))
    producer.send_all(records)
    producer.flush()


def consume(endpoint: str, topic: str, max_bytes: str | None = None) -> None:
    builder = fluvio.ConsumerConfigExtBuilder(topic)
    builder.offset_start(fluvio.Offset.beginning())
    builder.disable_continuous()
    if max_bytes is not None:
        builder.max_bytes(int(max_bytes))
    for record in connect(endpoint).consumer_with_config(builder.build()):
        # What it says of a record without a key.
        key = "-" if bytes(record.key()) == b"No key" else bytes(record.key()).hex()
        print(record.offset(), key, bytes(record.value()).hex())


def transform(endpoint: str, topic: str, start: str, count: str, *calls: str) -> None:
    config = fluvio.ConsumerConfig()
    for call in calls:
        keywords = json.loads(call)
        if "aggregate" in keywords:
            keywords["aggregate"] = keywords["aggregate"].encode()
        config.smartmodule(**keywords)
    stream = (
        connect(endpoint).partition_consumer(topic, 0).stream_with_config(fluvio.Offset.absolute(int(start)), config)
    )
    for _, record in zip(range(int(count)), stream, strict=False):
        print(record.offset(), "-", bytes(record.value()).hex())


if __name__ == "__main__":
    commands: dict[str, Callable[..., None]] = {"produce": produce, "consume": consume, "transform": transform}
    commands[sys.argv[1]](*sys.argv[2:])
