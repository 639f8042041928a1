"""``python -m fluvio_cffi demo``: real records through asyncio, trio and threads on an embedded cluster, and
processes that share a topic."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
import threading
import time
from collections.abc import Sequence
from statistics import median
from types import TracebackType

from fluvio_cffi import AsyncFluvio, Fluvio, LocalCluster, Offset, RecordBatch

from .group_demo import groups_part

SIZE = 100
PATIENCE = 2.0


class Phase:
    """Says what it is at while something takes long, and measures it."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.seconds = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._report, daemon=True)

    def __enter__(self) -> Phase:
        self._started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = time.perf_counter() - self._started
        self._ended.set()
        self._thread.join()

    def _report(self) -> None:
        while not self._ended.wait(PATIENCE):
            print(f"  ... {self.title}, {time.perf_counter() - self._started:.0f} s", flush=True)


class Check:
    """Whether each record arrives once and in order, with the value it was sent with."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.values = values
        self.seen = 0

    @property
    def complete(self) -> bool:
        return self.seen == len(self.values)

    def batch(self, batch: RecordBatch) -> None:
        got = batch.value_list()
        if got != self.values[self.seen : self.seen + len(got)]:
            raise SystemExit(f"wrong records after the first {self.seen:,}")
        self.seen += len(got)

    def record(self, value: bytes) -> None:
        if self.complete or value != self.values[self.seen]:
            raise SystemExit(f"a wrong record after the first {self.seen:,}")
        self.seen += 1

    def end(self) -> None:
        if not self.complete:
            raise SystemExit(f"only {self.seen:,} of {len(self.values):,} records arrived")


def say(what: str, count: int, seconds: float) -> None:
    print(
        f"  {what:<32}{count:>9,} records in {seconds:6.3f} s  {count / seconds:>12,.0f}/s"
        f"  {count * SIZE / seconds / 1e6:>7,.0f} MB/s",
        flush=True,
    )


def say_latency(times: Sequence[float]) -> None:
    print(f"  {'one record, sent and acknowledged':<34}{median(times) * 1e6:>7,.0f} µs (median of {len(times)})")


async def async_part(endpoint: str, name: str, values: list[bytes]) -> None:
    """The same code on asyncio and on trio."""
    async with AsyncFluvio.connect(endpoint) as client:
        await client.admin.topics.create(name)
        async with client.producer(name) as producer:
            with Phase(f"{name}: producing") as phase:
                result = await producer.send_all(values)
            say("send_all, all acknowledged", result.count, phase.seconds)

        check = Check(values)
        async with client.consumer(name, start=Offset.beginning(), stop_at_end=True) as consumer:
            with Phase(f"{name}: consuming by batches") as phase:
                async for batch in consumer.batches():
                    check.batch(batch)
        check.end()
        say("async for batch in batches()", check.seen, phase.seconds)

        check = Check(values)
        async with client.consumer(name, start=Offset.beginning(), stop_at_end=True) as consumer:
            with Phase(f"{name}: consuming one by one") as phase:
                async for record in consumer:
                    check.record(record.value)
        check.end()
        say("async for record in consumer", check.seen, phase.seconds)

        times: list[float] = []
        async with client.producer(name) as producer:
            for value in values[:200]:
                started = time.perf_counter()
                await producer.send(value)
                times.append(time.perf_counter() - started)
        say_latency(times)


def threads_part(endpoint: str, name: str, values: list[bytes]) -> None:
    """A thread produces while this one consumes, over one client."""
    with Fluvio.connect(endpoint) as client:
        client.admin.topics.create(name)
        failures: list[BaseException] = []

        def produce() -> None:
            try:
                with client.producer(name) as producer:
                    producer.send_all(values)
            except BaseException as error:
                failures.append(error)
                consumer.stop()

        check = Check(values)
        with client.consumer(name, start=Offset.beginning()) as consumer:
            thread = threading.Thread(target=produce)
            with Phase(f"{name}: producing and consuming") as phase:
                thread.start()
                for batch in consumer.batches():
                    check.batch(batch)
                    if check.complete:
                        break
            thread.join()
        if failures:
            raise failures[0]
        check.end()
        say("one produces, one consumes", check.seen, phase.seconds)

        check = Check(values)
        with (
            client.consumer(name, start=Offset.beginning(), stop_at_end=True) as consumer,
            Phase(f"{name}: consuming one by one") as phase,
        ):
            for record in consumer:
                check.record(record.value)
        check.end()
        say("for record in consumer", check.seen, phase.seconds)

        times: list[float] = []
        with client.producer(name) as producer:
            for value in values[:200]:
                started = time.perf_counter()
                producer.send(value)
                times.append(time.perf_counter() - started)
        say_latency(times)


def main(records: int = 200_000) -> int:
    values = [b"%012d" % n + b"." * (SIZE - 12) for n in range(records)]
    started = time.perf_counter()
    with LocalCluster() as cluster:
        ready = time.perf_counter() - started
        print(f"An embedded cluster at {cluster.endpoint}, ready after {ready * 1e3:.0f} ms.")
        print(f"Each time {records:,} records of {SIZE} bytes, checked: each arrived once and in order.")

        print("asyncio", flush=True)
        asyncio.run(async_part(cluster.endpoint, "asyncio", values))

        if importlib.util.find_spec("trio") is None:
            print("trio: skipped, it is not installed")
        else:
            import trio

            print("trio", flush=True)
            trio.run(async_part, cluster.endpoint, "trio", values)

        print("threads", flush=True)
        threads_part(cluster.endpoint, "threads", values)

        print("a group of processes", flush=True)
        groups_part(cluster.endpoint)
    print(f"Done in {time.perf_counter() - started:.1f} s, and the cluster is gone.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
