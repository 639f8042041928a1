"""How an event loop does while records are produced and read at full speed: the verb ``health`` of ``worker.py``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from hosts import sleep, together

from fluvio_cffi import AsyncFluvio, Offset

TICK = 0.001
RECORD = b"x" * 100
CHUNK = 1000


class Callbacks:
    """How long each callback and each step of a task takes, in asyncio's own loop; elsewhere nothing."""

    def __init__(self) -> None:
        self.durations: list[float] = []

    def __enter__(self) -> list[float]:
        self._run = asyncio.Handle._run
        durations, run = self.durations, self._run

        def timed(handle: asyncio.Handle) -> None:
            begun = time.perf_counter()
            run(handle)
            durations.append(time.perf_counter() - begun)

        asyncio.Handle._run = timed  # type: ignore[assignment, method-assign]
        return durations

    def __exit__(self, *error: object) -> None:
        asyncio.Handle._run = self._run  # type: ignore[method-assign]


def p99(samples: list[float]) -> float:
    """In milliseconds; 0 of nothing."""
    return sorted(samples)[(len(samples) - 1) * 99 // 100] * 1000 if samples else 0.0


async def beside_a_ticker(work: Callable[[], Awaitable[None]]) -> list[float]:
    """Does the work; how much later than it wanted to a task runs meanwhile that wants to run every millisecond."""
    lags: list[float] = []
    done = False

    async def ticker() -> None:
        while not done:
            begun = time.perf_counter()
            await sleep(TICK)
            lags.append(time.perf_counter() - begun - TICK)

    async def main() -> None:
        nonlocal done
        await work()
        done = True

    await together(ticker, main)
    return lags


async def health(addr: str, topic: str, count: int) -> dict[str, float]:
    """For each kind of work the ticker's lag and the callbacks' duration, at p99 in ms. ``control`` is what the
    caller's own loop costs, over equal chunks that are in memory already."""
    result: dict[str, float] = {}
    async with AsyncFluvio.connect(addr) as client, client.producer(topic) as producer:

        async def control() -> None:
            chunk = [RECORD] * CHUNK
            for _ in range(count // CHUNK):
                total = 0
                for value in chunk:
                    total += len(value)
                await sleep(0)

        async def produce() -> None:
            await producer.send_all(RECORD for _ in range(count))

        async def enqueue() -> None:
            for _ in range(count // 4):
                await producer.enqueue(RECORD)
            await producer.flush()

        async def records() -> None:
            seen = 0
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                async for record in consumer:
                    seen += record.value == RECORD
            assert seen == count + count // 4

        async def batches() -> None:
            seen = 0
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                async for batch in consumer.batches():
                    seen += batch.value_list().count(RECORD)
            assert seen == count + count // 4

        for work in (control, produce, enqueue, records, batches):
            with Callbacks() as durations:
                lags = await beside_a_ticker(work)
            result[f"{work.__name__}_lag_ms"] = p99(lags)
            result[f"{work.__name__}_callbacks_ms"] = p99(durations)
    return result
