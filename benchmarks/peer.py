"""The PyPI package ``fluvio`` as a contestant, on an interpreter that has it.

Usage: python peer.py SPEC (see worker.py)
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import fluvio  # type: ignore[import-not-found,unused-ignore]
from records import Clock, Values, check_partitions, check_places, latencies

# As for the official client: larger than any backlog here, as less loses records.
MAX_BYTES = (1 << 31) - 1
# Records of one `send_all`.
CHUNK = 1000


def connect(spec: dict[str, Any]) -> Any:
    return fluvio.Fluvio.connect_with_config(fluvio.FluvioConfig.new(spec["addr"]))


def produce(spec: dict[str, Any]) -> dict[str, float]:
    count = spec["count"]
    records = [(b"", value) for value in Values(count, spec["size"])]
    producer = connect(spec).topic_producer(spec["topic"])
    outputs: list[Any] = []
    clock = Clock()
    for first in range(0, count, CHUNK):
        outputs += producer.send_all(records[first : first + CHUNK])
    producer.flush()
    result = clock.stop()
    metas = (output.wait() for output in outputs)
    check_places(((meta.partition_id(), meta.offset()) for meta in metas), count)
    return result


def records(client: Any, spec: dict[str, Any]) -> Any:
    if "wasm" in spec:
        # Only its older interface takes SmartModules.
        through = fluvio.ConsumerConfig()
        through.smartmodule(path=spec["wasm"], params={"needle": " "})
        return client.partition_consumer(spec["topic"], 0).stream_with_config(fluvio.Offset.beginning(), through)
    config = fluvio.ConsumerConfigExtBuilder(spec["topic"])
    config.offset_start(fluvio.Offset.beginning())
    config.max_bytes(MAX_BYTES)
    config.disable_continuous()
    return client.consumer_with_config(config.build())


def consume(spec: dict[str, Any]) -> dict[str, float]:
    values = list(Values(spec["count"], spec["size"], spec.get("through") == "upper"))
    client = connect(spec)
    got: list[tuple[Any, bytes]] = []
    clock = Clock()
    for record in records(client, spec):
        # A list of numbers; whoever wants bytes makes them of it.
        got.append((record, bytes(record.value())))
        if len(got) == spec["count"]:
            break
    result = clock.stop()
    if spec["partitions"] == 1:
        check_partitions(((0, record.offset(), None, value) for record, value in got), values)
    elif sorted(value for _, value in got) != values:
        # Of what partition a record is, it does not say.
        sys.exit("the records that arrived are not those that were sent")
    return result


def send(spec: dict[str, Any]) -> dict[str, float]:
    producer = connect(spec).topic_producer(spec["topic"])
    samples: list[float] = []
    clock = Clock()
    for number, value in enumerate(list(Values(spec["count"], spec["size"]))):
        started = time.perf_counter()
        meta = producer.send(b"", value).wait()
        samples.append(time.perf_counter() - started)
        if meta.offset() != number:
            sys.exit(f"record {number} was written at offset {meta.offset()}")
    return {**clock.stop(), **latencies(samples)}


if __name__ == "__main__":
    spec = json.loads(sys.argv[1])
    print(json.dumps({"produce": produce, "consume": consume, "send": send}[spec["verb"]](spec)))
