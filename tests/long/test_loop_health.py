"""The interpreter is never blocked: event loop and other threads run while records are produced and read at full speed.
Long (FLUVIO_CFFI_LONG=1), and meant for a machine that does nothing else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from conftest import World
from laws import long_only

from fluvio_cffi import LocalCluster, Offset

pytestmark = [long_only, pytest.mark.timeout(180)]

COUNT = 1_000_000
RECORD = b"x" * 100
TICK = 0.001


def percentile(values: list[float], part: float) -> float:
    """In milliseconds."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)] * 1000 if values else 0.0


class Heartbeat:
    """A thread that wants to run every millisecond."""

    def __init__(self) -> None:
        self.gaps: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat)

    def _beat(self) -> None:
        last = time.perf_counter()
        while not self._stop.wait(TICK):
            now = time.perf_counter()
            self.gaps.append(now - last)
            last = now

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()


class Callbacks:
    """How long each callback and each step of a task takes, in asyncio's own loop; elsewhere nothing."""

    def __init__(self) -> None:
        self.ours: list[float] = []

    def __enter__(self) -> Callbacks:
        self._run = asyncio.Handle._run
        durations = self.ours
        run = self._run

        def timed(handle: asyncio.Handle) -> None:
            begun = time.perf_counter()
            run(handle)
            durations.append(time.perf_counter() - begun)

        asyncio.Handle._run = timed  # type: ignore[assignment, method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.Handle._run = self._run  # type: ignore[method-assign]


async def ticker(world: World, lags: list[float], done: list[bool]) -> None:
    """Wants to run every millisecond, and says how much later it does."""
    while not done:
        begun = time.perf_counter()
        await world.sleep(TICK)
        lags.append(time.perf_counter() - begun - TICK)


async def beside(world: World, work: Callable[[], Awaitable[None]]) -> tuple[list[float], list[float]]:
    """Runs `work`; the ticker's lags and the heartbeat's gaps."""
    import anyio

    lags: list[float] = []
    done: list[bool] = []
    with Heartbeat() as heartbeat:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ticker, world, lags, done)
            await work()
            done.append(True)
    return lags, heartbeat.gaps


async def in_memory(world: World) -> None:
    """What the caller's own code costs: equal chunks, already in memory, with the same pauses."""
    chunk = [RECORD] * 1000
    for _ in range(COUNT // 1000):
        total = 0
        for value in chunk:
            total += len(value)
        await world.sleep(0)


async def measured(world: World) -> dict[str, tuple[float, ...]]:
    """For each kind of work: the ticker's lag at p99, the longest gap, the callbacks at p99, and millions a second."""
    figures: dict[str, tuple[float, ...]] = {}
    async with world.connect() as client:
        topic = await world.topic(client)
        producer = await client.producer(topic)

        async def produce() -> None:
            await producer.send_all(RECORD for _ in range(COUNT))

        async def produce_one_by_one() -> None:
            for _ in range(COUNT // 4):
                await producer.enqueue(RECORD)
            await producer.flush()

        async def read() -> None:
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                async for _ in consumer:
                    pass

        async def read_batches() -> None:
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                async for batch in consumer.batches():
                    batch.value_list()

        async def both() -> None:
            import anyio

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(produce)
                tasks.start_soon(read_batches)

        async def control() -> None:
            await in_memory(world)

        for work in (control, produce, produce_one_by_one, read, read_batches, both):
            begun = time.perf_counter()
            with Callbacks() as callbacks:
                lags, gaps = await beside(world, work)
            took = time.perf_counter() - begun
            figures[work.__name__] = (
                percentile(lags, 0.99),
                max(gaps, default=0) * 1000,
                percentile(callbacks.ours, 0.99),
                COUNT / took / 1e6,
            )
        await producer.close()
    return figures


@pytest.mark.backends("asyncio", "uvloop", "trio")
def test_at_full_speed(backend: str, cluster: LocalCluster, capsys: pytest.CaptureFixture[str]) -> None:
    world = World(backend, cluster)
    runs: list[dict[str, Any]] = [world.run(measured, world) for _ in range(3)]
    with capsys.disabled():
        print()
        for name in runs[0]:
            for run in runs:
                lag, gap, callback, speed = run[name]
                print(
                    f"{backend:8} {name:20} ticker lag p99 {lag:6.2f} ms, longest gap {gap:6.1f} ms, "
                    f"callbacks p99 {callback:5.2f} ms, {speed:5.2f} M/s"
                )
    for name in runs[0]:
        # Of what else the machine does the quietest run has the least.
        lag = min(run[name][0] for run in runs) - min(run["control"][0] for run in runs)
        assert lag <= 2, f"{name}: the ticker lags by {lag} ms more than beside the control"
        assert sum(run[name][1] > 50 for run in runs) <= 1, (
            f"{name}: a thread waited: {[run[name][1] for run in runs]} ms"
        )
        assert min(run[name][2] for run in runs) <= 1, f"{name}: callbacks {[run[name][2] for run in runs]} ms"
