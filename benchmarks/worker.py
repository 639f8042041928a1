"""``fluvio_cffi`` as a contestant of the benchmarks: one verb a run, one line of JSON as the result.

Usage: python worker.py HOST VERB ADDR TOPIC ...

HOST is asyncio, uvloop, trio or sync (threads); the verbs and their arguments are those of ``official.rs``:

    produce ADDR TOPIC COUNT SIZE       consume-batches ADDR TOPIC COUNT SIZE
    latency ADDR TOPIC COUNT SIZE       consume-records ADDR TOPIC COUNT SIZE
                                        end-to-end ADDR TOPIC COUNT INTERVAL_MS
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fluvio_cffi import AsyncFluvio, Fluvio, Offset, SendResult

Result = dict[str, float]
AsyncVerb = Callable[[str, str, int, int], Awaitable[Result]]
SyncVerb = Callable[[str, str, int, int], Result]

END_TO_END_SIZE = 100
# So many of the first samples of a latency are not counted.
WARM_UP = 5


def make_values(count: int, size: int) -> list[bytes]:
    """The values that are sent: each begins with its number."""
    rest = b"." * (size - 12)
    return [b"%012d" % number + rest for number in range(count)]


class Clock:
    """Measures from its making to ``stop``."""

    def __init__(self) -> None:
        self._cpu = time.process_time()
        self._started = time.perf_counter()

    def stop(self) -> Result:
        seconds = time.perf_counter() - self._started
        return {"seconds": seconds, "cpu_seconds": time.process_time() - self._cpu}


class Check:
    """Whether the records are those that were sent, each once and in order."""

    def __init__(self, values: list[bytes]) -> None:
        self._values = values
        self.seen = 0

    def take(self, got: list[bytes]) -> None:
        if got != self._values[self.seen : self.seen + len(got)]:
            sys.exit(f"wrong records after the first {self.seen}")
        self.seen += len(got)

    def end(self) -> None:
        if self.seen != len(self._values):
            sys.exit(f"only {self.seen} of {len(self._values)} records arrived")


def check_result(result: SendResult, count: int) -> None:
    """Whether each record was written where it belongs."""
    if [meta.offset for meta in result] != list(range(count)):
        sys.exit("the records were not written once each and in order")


def latencies(samples: Sequence[float]) -> Result:
    ordered = sorted(samples[WARM_UP:])
    last = len(ordered) - 1

    def quantile(percent: int) -> float:
        return ordered[(last * percent + 50) // 100] * 1e6

    return {"p50_us": quantile(50), "p99_us": quantile(99), "samples": len(ordered)}


# -- asyncio, uvloop, trio


def in_trio() -> bool:
    trio = sys.modules.get("trio")
    return trio is not None and bool(trio.lowlevel.in_trio_task())


async def sleep(seconds: float) -> None:
    if in_trio():
        import trio

        await trio.sleep(seconds)
    else:
        await asyncio.sleep(seconds)


async def together(*functions: Callable[[], Awaitable[None]]) -> None:
    """Runs them at the same time, to the end of all."""
    if in_trio():
        import trio

        async with trio.open_nursery() as nursery:
            for function in functions:
                nursery.start_soon(function)
    else:
        await asyncio.gather(*(function() for function in functions))


async def produce(addr: str, topic: str, count: int, size: int) -> Result:
    values = make_values(count, size)
    async with AsyncFluvio.connect(addr) as client, client.producer(topic) as producer:
        clock = Clock()
        sent = await producer.send_all(values)
        result = clock.stop()
    check_result(sent, count)
    return result


async def consume_batches(addr: str, topic: str, count: int, size: int) -> Result:
    check = Check(make_values(count, size))
    async with AsyncFluvio.connect(addr) as client:
        clock = Clock()
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            async for batch in consumer.batches():
                check.take(batch.value_list())
            result = clock.stop()
    check.end()
    return result


async def consume_records(addr: str, topic: str, count: int, size: int) -> Result:
    check = Check(make_values(count, size))
    got: list[bytes] = []
    async with AsyncFluvio.connect(addr) as client:
        clock = Clock()
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            async for record in consumer:
                got.append(record.value)
            result = clock.stop()
    check.take(got)
    check.end()
    return result


async def latency(addr: str, topic: str, count: int, size: int) -> Result:
    samples: list[float] = []
    async with AsyncFluvio.connect(addr) as client, client.producer(topic) as producer:
        for number, value in enumerate(make_values(count, size)):
            started = time.perf_counter()
            meta = await producer.send(value)
            samples.append(time.perf_counter() - started)
            if meta.offset != number:
                sys.exit(f"record {number} was written at offset {meta.offset}")
    return latencies(samples)


async def end_to_end(addr: str, topic: str, count: int, interval_ms: int) -> Result:
    values = make_values(count, END_TO_END_SIZE)
    departures: list[float] = []
    arrivals: list[float] = []
    check = Check(values)

    async def read() -> None:
        async for record in consumer:
            arrivals.append(time.perf_counter())
            check.take([record.value])
            if check.seen == count:
                break

    async def send() -> None:
        for value in values:
            await sleep(interval_ms / 1000)
            departures.append(time.perf_counter())
            await producer.send(value)

    async with (
        AsyncFluvio.connect(addr) as sending,
        AsyncFluvio.connect(addr) as reading,
        sending.producer(topic) as producer,
        reading.consumer(topic, start=Offset.beginning()) as consumer,
    ):
        await together(read, send)
    check.end()
    return latencies([arrival - departure for arrival, departure in zip(arrivals, departures, strict=True)])


# -- threads


def sync_produce(addr: str, topic: str, count: int, size: int) -> Result:
    values = make_values(count, size)
    with Fluvio.connect(addr) as client, client.producer(topic) as producer:
        clock = Clock()
        sent = producer.send_all(values)
        result = clock.stop()
    check_result(sent, count)
    return result


def sync_consume_batches(addr: str, topic: str, count: int, size: int) -> Result:
    check = Check(make_values(count, size))
    with Fluvio.connect(addr) as client:
        clock = Clock()
        with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            for batch in consumer.batches():
                check.take(batch.value_list())
            result = clock.stop()
    check.end()
    return result


def sync_consume_records(addr: str, topic: str, count: int, size: int) -> Result:
    check = Check(make_values(count, size))
    got: list[bytes] = []
    with Fluvio.connect(addr) as client:
        clock = Clock()
        with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            for record in consumer:
                got.append(record.value)
            result = clock.stop()
    check.take(got)
    check.end()
    return result


def sync_latency(addr: str, topic: str, count: int, size: int) -> Result:
    samples: list[float] = []
    with Fluvio.connect(addr) as client, client.producer(topic) as producer:
        for number, value in enumerate(make_values(count, size)):
            started = time.perf_counter()
            meta = producer.send(value)
            samples.append(time.perf_counter() - started)
            if meta.offset != number:
                sys.exit(f"record {number} was written at offset {meta.offset}")
    return latencies(samples)


def sync_end_to_end(addr: str, topic: str, count: int, interval_ms: int) -> Result:
    values = make_values(count, END_TO_END_SIZE)
    departures: list[float] = []
    arrivals: list[float] = []
    check = Check(values)

    def send() -> None:
        for value in values:
            time.sleep(interval_ms / 1000)
            departures.append(time.perf_counter())
            producer.send(value)

    with (
        Fluvio.connect(addr) as sending,
        Fluvio.connect(addr) as reading,
        sending.producer(topic) as producer,
        reading.consumer(topic, start=Offset.beginning()) as consumer,
    ):
        thread = threading.Thread(target=send)
        thread.start()
        for record in consumer:
            arrivals.append(time.perf_counter())
            check.take([record.value])
            if check.seen == count:
                break
        thread.join()
    check.end()
    return latencies([arrival - departure for arrival, departure in zip(arrivals, departures, strict=True)])


# -- the program

ASYNC_VERBS: dict[str, AsyncVerb] = {
    "produce": produce,
    "consume-batches": consume_batches,
    "consume-records": consume_records,
    "latency": latency,
    "end-to-end": end_to_end,
}
SYNC_VERBS: dict[str, SyncVerb] = {
    "produce": sync_produce,
    "consume-batches": sync_consume_batches,
    "consume-records": sync_consume_records,
    "latency": sync_latency,
    "end-to-end": sync_end_to_end,
}


def run(host: str, verb: str, addr: str, topic: str, *, first: int, second: int) -> Result:
    if host == "sync":
        return SYNC_VERBS[verb](addr, topic, first, second)
    if host == "trio":
        import trio

        result: Result = trio.run(ASYNC_VERBS[verb], addr, topic, first, second)
        return result

    async def main() -> Result:
        return await ASYNC_VERBS[verb](addr, topic, first, second)

    if host == "uvloop":
        import uvloop

        loop: Any = uvloop.new_event_loop()
        try:
            looped: Result = loop.run_until_complete(main())
            return looped
        finally:
            loop.close()
    return asyncio.run(main())


if __name__ == "__main__":
    if len(sys.argv) != 7 or sys.argv[1] not in ("asyncio", "uvloop", "trio", "sync") or sys.argv[2] not in ASYNC_VERBS:
        sys.exit(__doc__)
    print(json.dumps(run(*sys.argv[1:5], first=int(sys.argv[5]), second=int(sys.argv[6]))))
