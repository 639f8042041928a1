"""``fluvio_cffi`` as a contestant: one run, and one line of JSON as its result.

Usage: python worker.py HOST SPEC

HOST is asyncio, uvloop, trio or sync (threads). SPEC is a JSON object: verb, addr, topic, count, size of values, and

    produce             partitions, codec, keys; lazy: make the values as they are sent, not before; or by: "arrow":
                        as a column of a table, see columns.py
    consume             the same of a topic that has exactly `count` records; by: "batches", "records" or "arrow";
                        through, wasm: the SmartModule that they come through, `contains` or `upper`, and its file;
                        tracing: "on", or "off" again
    send                tasks: so many, each with one record in flight; lanes: as many, for the reading back
    end-to-end          interval_ms; shared (official client only): one client sends and reads
    fairness            by, prefetch, interval_ms, intervals: one of two partitions has `count` records waiting, again
                        and again; on the other there is one each interval, whose way is timed
    health              (asyncio, uvloop, trio) what an event loop notices; see health.py
    stalled-consumer    bound: of the prefetched bytes; it opens, and never reads on
    stalled-producer    bound: of the buffered bytes, pid: of the cluster, which is stopped meanwhile
    idle                (asyncio, uvloop, trio) `count` consumers of one client that have nothing to read, for `seconds`
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
import time
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

import health
from hosts import run, sleep, together
from records import DIGITS, Check, Clock, Values, check_partitions, check_places, key, latencies, peak, resident

from fluvio_cffi import (
    AsyncFluvio,
    Fluvio,
    FluvioTimeoutError,
    Offset,
    Partitioner,
    RecordBatch,
    SendResult,
    SmartModule,
)

Spec = dict[str, Any]
Result = dict[str, float]
MIB = 1 << 20
# So many records that were read one by one are compared at a time.
COMPARED = 1000


def values_of(spec: Spec) -> Sequence[bytes]:
    values = Values(spec["count"], spec["size"], spec["verb"] == "consume" and spec.get("through") == "upper")
    return values if spec.get("lazy") else list(values)


def records_of(spec: Spec) -> Sequence[Any]:
    values = values_of(spec)
    return [(key(number), value) for number, value in enumerate(values)] if spec.get("keys") else values


def options_of(spec: Spec) -> dict[str, Any]:
    """How all of a topic is read. A filter lets all pass."""
    modules = [SmartModule(path=spec["wasm"], params={"needle": " "})] if "wasm" in spec else []
    return {"start": Offset.beginning(), "stop_at_end": True, "smartmodules": modules}


def check_result(result: SendResult, spec: Spec) -> None:
    check_places(((meta.partition, meta.offset) for meta in result), spec["count"])


class Reading:
    """What is read, compared as it comes with what must come: of one partition what was sent; of several, or with keys,
    what a first reading finds, which is checked in full before the clock runs."""

    def __init__(self, spec: Spec) -> None:
        values = values_of(spec)
        self._keys = bool(spec.get("keys"))
        # By partition what must come (values, or pairs with their keys), and how far it has; by its number a value's
        # partition.
        self._columns: dict[int, Sequence[object]] = {0: values}
        self._seen: defaultdict[int, int] = defaultdict(int)
        self._owner: list[int] = []
        # Values that were read one by one, by partition, and are not compared yet.
        self.singles: defaultdict[int, list[bytes]] = defaultdict(list)
        if spec.get("partitions", 1) > 1 or self._keys:
            self._look(spec, values)

    def _look(self, spec: Spec, values: Sequence[bytes]) -> None:
        with (
            Fluvio.connect(spec["addr"]) as client,
            client.consumer(spec["topic"], start=Offset.beginning(), stop_at_end=True) as consumer,
        ):
            rows = [
                (partition, offset, name, value)
                for batch in consumer.batches()
                for partition, offset, _, name, value in batch.tuples()
            ]
        check_partitions(rows, values, self._keys)
        columns: defaultdict[int, list[object]] = defaultdict(list)
        self._owner = [0] * len(values)
        for partition, _, name, value in rows:
            columns[partition].append((name, value) if self._keys else value)
            self._owner[int(value[:DIGITS])] = partition
        self._columns = {**columns}

    def batch(self, batch: RecordBatch) -> None:
        values = batch.value_list()
        got: Sequence[object] = list(zip(batch.key_list(), values, strict=True)) if self._keys else values
        partitions = batch.last_offsets
        if len(partitions) == 1:
            (partition,) = partitions
            self._compare(partition, got)
            return
        for partition, start, stop in self._runs(values, batch.offset_list()):
            self._compare(partition, got[start:stop])

    def flush(self) -> bool:
        """Compares what was read one by one; whether there was anything."""
        found = False
        for partition, values in self.singles.items():
            found = found or bool(values)
            self._compare(partition, values)
            values.clear()
        return found

    def end(self) -> None:
        self.flush()
        if self._seen != {partition: len(column) for partition, column in self._columns.items()}:
            sys.exit("not all records arrived")

    def _runs(self, values: list[bytes], offsets: list[int]) -> Iterator[tuple[int, int, int]]:
        """The runs of consecutive records of one partition: it, the index of the first one, and that after the last."""
        start = 0
        while start < len(values):
            partition, behind = self._partition(values[start]), offsets[start] - start

            def ends(at: int, partition: int = partition, behind: int = behind) -> bool:
                return offsets[at] - at != behind or self._partition(values[at]) != partition

            stop = start + bisect_left(range(start, len(values)), True, key=ends)
            yield partition, start, stop
            start = stop

    def _partition(self, value: bytes) -> int:
        return self._owner[int(value[:DIGITS])]

    def _compare(self, partition: int, got: Sequence[object]) -> None:
        seen = self._seen[partition]
        if got != self._columns[partition][seen : seen + len(got)]:
            sys.exit(f"partition {partition}: wrong records after the first {seen}")
        self._seen[partition] += len(got)


# -- asyncio, uvloop, trio


async def produce(spec: Spec) -> Result:
    records = records_of(spec)
    async with (
        AsyncFluvio.connect(spec["addr"]) as client,
        client.producer(spec["topic"], compression=spec.get("codec", "none")) as producer,
    ):
        clock = Clock()
        sent = await producer.send_all(records)
        result = clock.stop()
    result["peak_mib"] = peak()
    check_result(sent, spec)
    return result


async def consume(spec: Spec) -> Result:
    reading = Reading(spec)
    async with AsyncFluvio.connect(spec["addr"]) as client:
        clock = Clock()
        async with client.consumer(spec["topic"], **options_of(spec)) as consumer:
            if spec["by"] == "batches":
                async for batch in consumer.batches():
                    reading.batch(batch)
            elif spec.get("partitions", 1) > 1:
                singles, left, last = reading.singles, COMPARED, -1
                async for record in consumer:
                    if record.partition != last:
                        last = record.partition
                        append = singles[last].append
                    append(record.value)
                    left -= 1
                    if not left:
                        reading.flush()
                        left = COMPARED
            else:
                values, left = reading.singles[0], COMPARED
                async for record in consumer:
                    values.append(record.value)
                    left -= 1
                    if not left:
                        reading.flush()
                        left = COMPARED
            reading.end()
            result = clock.stop()
    result["peak_mib"] = peak()
    return result


async def send(spec: Spec) -> Result:
    count, tasks = spec["count"], spec["tasks"]
    values = list(Values(count, spec["size"]))
    samples: list[float] = []
    async with AsyncFluvio.connect(spec["addr"]) as client, client.producer(spec["topic"]) as producer:

        def task(first: int) -> Callable[[], Awaitable[None]]:
            async def one_after_another() -> None:
                last = -1
                for value in values[first::tasks]:
                    started = time.perf_counter()
                    meta = await producer.send(value)
                    samples.append(time.perf_counter() - started)
                    if meta.offset <= last:
                        sys.exit(f"offset {meta.offset} after {last}")
                    last = meta.offset

            return one_after_another

        clock = Clock()
        await together(*map(task, range(tasks)))
        result = clock.stop()
    return {**result, **latencies(samples)}


async def end_to_end(spec: Spec) -> Result:
    values = list(Values(spec["count"], spec["size"]))
    departures: list[float] = []
    arrivals: list[float] = []
    check = Check(values)

    async def read() -> None:
        async for record in consumer:
            arrivals.append(time.perf_counter())
            check.take([record.value])
            if check.seen == len(values):
                break

    async def write() -> None:
        for value in values:
            await sleep(spec["interval_ms"] / 1000)
            departures.append(time.perf_counter())
            await producer.send(value)

    async with (
        AsyncFluvio.connect(spec["addr"]) as sending,
        AsyncFluvio.connect(spec["addr"]) as reading,
        sending.producer(spec["topic"]) as producer,
        reading.consumer(spec["topic"], start=Offset.beginning()) as consumer,
    ):
        await together(read, write)
    check.end()
    return latencies([arrival - departure for arrival, departure in zip(arrivals, departures, strict=True)])


class Turns:
    """What is read of two partitions: all that wait on the first, again and again; and those of the second, timed."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        self.backlog = list(Values(spec["count"], spec["size"]))
        self.urgent = list(Values(spec["intervals"], spec["size"]))
        self.departures: list[float] = []
        self.arrivals: list[float] = []
        self.done = False
        self._check = Check(self.backlog)
        self._others = Check(self.urgent)
        self._seen = 0

    def take(self, partition: int, values: list[bytes]) -> bool:
        """Whether the backlog is to be read anew."""
        if partition == 1:
            self.arrivals += [time.perf_counter()] * len(values)
            self._others.take(values)
            self.done = self._others.seen == len(self.urgent)
            return False
        self._seen += len(values)
        self._check.take(values)
        if self._check.seen < len(self.backlog):
            return False
        self._check = Check(self.backlog)
        return True

    def result(self, clock: Clock) -> Result:
        found = clock.stop()
        ways = [arrival - departure for arrival, departure in zip(self.arrivals, self.departures, strict=True)]
        return {**found, "backlog_rate": self._seen / found["seconds"], **latencies(ways)}


async def fairness(spec: Spec) -> Result:
    turns = Turns(spec)
    async with AsyncFluvio.connect(spec["addr"]) as sending, AsyncFluvio.connect(spec["addr"]) as reading:
        async with sending.producer(spec["topic"], partitioner=Partitioner.fixed(0)) as producer:
            await producer.send_all(turns.backlog)

        async def write() -> None:
            for value in turns.urgent:
                await sleep(spec["interval_ms"] / 1000)
                turns.departures.append(time.perf_counter())
                await producer.send(value)

        async def read() -> None:
            if spec["by"] == "records":
                async for record in consumer:
                    if turns.take(record.partition, [record.value]):
                        await consumer.seek(0, 0)
                    if turns.done:
                        return
            async for batch in consumer.batches():
                anew = False
                for partition, rows in groupby(batch.tuples(), itemgetter(0)):
                    anew |= turns.take(partition, [row[4] for row in rows])
                if anew:
                    await consumer.seek(0, 0)
                if turns.done:
                    return

        options = {"start": Offset.beginning(), "prefetch": spec["prefetch"]}
        async with (
            sending.producer(spec["topic"], partitioner=Partitioner.fixed(1)) as producer,
            reading.consumer(spec["topic"], **options) as consumer,
        ):
            clock = Clock()
            await together(read, write)
            return turns.result(clock)


async def loop_health(spec: Spec) -> Result:
    return await health.health(spec["addr"], spec["topic"], spec["count"])


async def idle(spec: Spec) -> Result:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncFluvio.connect(spec["addr"]))
        producer = await stack.enter_async_context(client.producer(spec["topic"]))
        consumers = [
            await stack.enter_async_context(client.consumer(spec["topic"], start=Offset.end()))
            for _ in range(spec["count"])
        ]
        arrived = 0
        result: Result = {}
        first, second = Values(2, spec["size"])

        def reader(consumer: Any) -> Callable[[], Awaitable[None]]:
            async def read() -> None:
                nonlocal arrived
                for value in (first, second):
                    if (await consumer.receive()).value != value:
                        sys.exit("a wrong record")
                    arrived += 1

            return read

        async def quiet() -> None:
            nonlocal result
            await producer.send(first)
            while arrived < spec["count"]:
                await sleep(0.05)
            clock = Clock()
            await sleep(spec["seconds"])
            result = clock.stop()
            await producer.send(second)

        await together(*map(reader, consumers), quiet)
    return {**result, "share": result["cpu_seconds"] / result["seconds"] * 100}


# -- threads


def sync_produce(spec: Spec) -> Result:
    records = records_of(spec)
    with (
        Fluvio.connect(spec["addr"]) as client,
        client.producer(spec["topic"], compression=spec.get("codec", "none")) as producer,
    ):
        clock = Clock()
        sent = producer.send_all(records)
        result = clock.stop()
    result["peak_mib"] = peak()
    check_result(sent, spec)
    return result


def sync_consume(spec: Spec) -> Result:
    reading = Reading(spec)
    with Fluvio.connect(spec["addr"]) as client:
        clock = Clock()
        with client.consumer(spec["topic"], **options_of(spec)) as consumer:
            if spec["by"] == "batches":
                for batch in consumer.batches():
                    reading.batch(batch)
            elif spec.get("partitions", 1) > 1:
                singles, last = reading.singles, -1
                while True:
                    for record in islice(consumer, COMPARED):
                        if record.partition != last:
                            last = record.partition
                            append = singles[last].append
                        append(record.value)
                    if not reading.flush():
                        break
            else:
                while True:
                    reading.singles[0] = [record.value for record in islice(consumer, COMPARED)]
                    if not reading.flush():
                        break
            reading.end()
            result = clock.stop()
    result["peak_mib"] = peak()
    return result


def sync_send(spec: Spec) -> Result:
    """With one thread."""
    samples: list[float] = []
    with Fluvio.connect(spec["addr"]) as client, client.producer(spec["topic"]) as producer:
        values = list(Values(spec["count"], spec["size"]))
        clock = Clock()
        for number, value in enumerate(values):
            started = time.perf_counter()
            meta = producer.send(value)
            samples.append(time.perf_counter() - started)
            if meta.offset != number:
                sys.exit(f"record {number} was written at offset {meta.offset}")
        result = clock.stop()
    return {**result, **latencies(samples)}


def sync_end_to_end(spec: Spec) -> Result:
    values = list(Values(spec["count"], spec["size"]))
    departures: list[float] = []
    arrivals: list[float] = []
    check = Check(values)

    def write() -> None:
        for value in values:
            time.sleep(spec["interval_ms"] / 1000)
            departures.append(time.perf_counter())
            producer.send(value)

    with (
        Fluvio.connect(spec["addr"]) as sending,
        Fluvio.connect(spec["addr"]) as reading,
        sending.producer(spec["topic"]) as producer,
        reading.consumer(spec["topic"], start=Offset.beginning()) as consumer,
    ):
        thread = threading.Thread(target=write)
        thread.start()
        for record in consumer:
            arrivals.append(time.perf_counter())
            check.take([record.value])
            if check.seen == len(values):
                break
        thread.join()
    check.end()
    return latencies([arrival - departure for arrival, departure in zip(arrivals, departures, strict=True)])


def settled() -> int:
    """The memory of this process, once it does not change any more."""
    gc.collect()
    before, now = 0, resident()
    while abs(now - before) > MIB // 4:
        time.sleep(0.5)
        before, now = now, resident()
    return now


def stalled_consumer(spec: Spec) -> Result:
    with Fluvio.connect(spec["addr"]) as client:
        # What is needed once, whatever the bound is.
        with client.consumer(spec["topic"], start=Offset.beginning(), prefetch=MIB) as warm:
            warm.receive()
        before = settled()
        with client.consumer(spec["topic"], start=Offset.beginning(), prefetch=spec["bound"]) as consumer:
            consumer.receive()
            grown = settled() - before
    return {"grown_mib": grown / MIB, "above_mib": (grown - spec["bound"]) / MIB}


def stalled_producer(spec: Spec) -> Result:
    with Fluvio.connect(spec["addr"]) as client, client.producer(spec["topic"], buffer_size=spec["bound"]) as producer:
        producer.send_all(Values(1000, spec["size"]))
        before = settled()
        os.kill(spec["pid"], signal.SIGSTOP)
        try:
            producer.send_all(Values(4 * spec["bound"] // spec["size"], spec["size"]), timeout=3)
        except FluvioTimeoutError:
            pass
        else:
            sys.exit("all records were accepted")
        finally:
            grown = settled() - before
            os.kill(spec["pid"], signal.SIGCONT)
    return {"grown_mib": grown / MIB, "above_mib": (grown - spec["bound"]) / MIB}


# -- the program

ASYNC_VERBS: dict[str, Callable[[Spec], Awaitable[Result]]] = {
    "produce": produce,
    "consume": consume,
    "send": send,
    "end-to-end": end_to_end,
    "fairness": fairness,
    "health": loop_health,
    "idle": idle,
}
SYNC_VERBS: dict[str, Callable[[Spec], Result]] = {
    "produce": sync_produce,
    "consume": sync_consume,
    "send": sync_send,
    "end-to-end": sync_end_to_end,
    "stalled-consumer": stalled_consumer,
    "stalled-producer": stalled_producer,
}


def can_trace(on: bool) -> None:
    """Tracing is switched on, with spans that nobody exports; and off again, unless it is to stay `on`."""
    from opentelemetry.sdk.trace import TracerProvider

    from fluvio_cffi import opentelemetry

    opentelemetry.instrument(tracer_provider=TracerProvider())
    if not on:
        opentelemetry.uninstrument()


def main(host: str, spec: Spec) -> Result:
    if "tracing" in spec:
        can_trace(spec["tracing"] == "on")
    if spec.get("by") == "arrow":
        # Others need no pyarrow.
        import columns

        whole: dict[str, Any] = {"produce": columns.produce, "consume": columns.consume}
        if host != "sync":
            return run(host, lambda: whole[spec["verb"]](spec))
        whole = {"produce": columns.sync_produce, "consume": columns.sync_consume}
        return whole[spec["verb"]](spec)
    if host == "sync":
        return SYNC_VERBS[spec["verb"]](spec)
    return run(host, lambda: ASYNC_VERBS[spec["verb"]](spec))


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("asyncio", "uvloop", "trio", "sync"):
        sys.exit(__doc__)
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]))))
