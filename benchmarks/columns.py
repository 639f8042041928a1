"""Bulk runs of ``worker.py`` with Arrow data in place of objects: ``by`` is "arrow".

Reading, Arrow takes the number at the head of each value, and sums them: batch by batch that is what it must be of the
numbers that are next. Writing, the records are one column of a table, which was made before the clock runs.
"""

from __future__ import annotations

import sys
from typing import Any

import pyarrow
import pyarrow.compute as compute
from records import DIGITS, Clock, Values, check_places, peak

from fluvio_cffi import ArrowBatch, AsyncFluvio, Fluvio, Offset, SendResult

Spec = dict[str, Any]
Result = dict[str, float]


class Sums:
    """What is read of the only partition: records in order, each once, by the sums of their numbers."""

    def __init__(self, spec: Spec) -> None:
        self._count: int = spec["count"]
        self._size: int = spec["size"]
        self._seen = 0

    def take(self, batch: ArrowBatch) -> None:
        for rows in pyarrow.table(batch).to_batches():
            values = rows.column("value")
            digits = compute.binary_slice(values, 0, DIGITS).cast(pyarrow.string())
            found = compute.sum(compute.cast(digits, pyarrow.int64())).as_py()
            first, after = self._seen, self._seen + len(values)
            bytes_found = compute.sum(compute.binary_length(values)).as_py()
            if found != (first + after - 1) * len(values) // 2 or bytes_found != self._size * len(values):
                sys.exit(f"wrong records after the first {first}")
            self._seen = after

    def end(self) -> None:
        if self._seen != self._count:
            sys.exit(f"only {self._seen} of {self._count} records arrived")


def options_of(spec: Spec) -> dict[str, Any]:
    return {"start": Offset.beginning(), "stop_at_end": True}


def table_of(spec: Spec) -> Any:
    return pyarrow.table({"value": pyarrow.array(list(Values(spec["count"], spec["size"])), pyarrow.binary())})


def checked(result: Result, sent: SendResult, spec: Spec) -> Result:
    check_places(((meta.partition, meta.offset) for meta in sent), spec["count"])
    return {**result, "peak_mib": peak()}


async def produce(spec: Spec) -> Result:
    table = table_of(spec)
    async with (
        AsyncFluvio.connect(spec["addr"]) as client,
        client.producer(spec["topic"], compression="none") as producer,
    ):
        clock = Clock()
        sent = await producer.send_arrow(table)
        return checked(clock.stop(), sent, spec)


async def consume(spec: Spec) -> Result:
    sums = Sums(spec)
    async with AsyncFluvio.connect(spec["addr"]) as client:
        clock = Clock()
        async with client.consumer(spec["topic"], format="arrow", **options_of(spec)) as consumer:
            async for batch in consumer.batches():
                sums.take(batch)
            sums.end()
            return {**clock.stop(), "peak_mib": peak()}


def sync_produce(spec: Spec) -> Result:
    table = table_of(spec)
    with (
        Fluvio.connect(spec["addr"]) as client,
        client.producer(spec["topic"], compression="none") as producer,
    ):
        clock = Clock()
        sent = producer.send_arrow(table)
        return checked(clock.stop(), sent, spec)


def sync_consume(spec: Spec) -> Result:
    sums = Sums(spec)
    with Fluvio.connect(spec["addr"]) as client:
        clock = Clock()
        with client.consumer(spec["topic"], format="arrow", **options_of(spec)) as consumer:
            for batch in consumer.batches():
                sums.take(batch)
            sums.end()
            return {**clock.stop(), "peak_mib": peak()}
