"""Several topics in one consumer, beside one consumer for each: python benchmarks/topics.py [RECORDS] [ROUNDS]

Two topics have so many records each (1,000,000). One consumer reads both, or two consumers read one each, at the same
time, in two tasks or threads. Each record must come once, in the order of its topic. Rounds are interleaved; the
figures are the medians: records a second, and nanoseconds of the process's processors a record, which other work on the
machine disturbs less; `lead`: by how many records one topic was ahead of the other, at most.
"""

from __future__ import annotations

import statistics
import sys
import threading
import time
from typing import Any, NamedTuple

from hosts import run, together

from fluvio_cffi import AsyncFluvio, Fluvio, LocalCluster, Offset

TOPICS = ["first", "second"]
HOSTS = ("asyncio", "uvloop", "trio", "sync")
leads: list[int] = []
FROM_THE_BEGINNING: dict[str, Any] = {"start": Offset.beginning(), "stop_at_end": True}


class Check:
    """Each record of each topic once and in order. What it costs is the same for all."""

    def __init__(self, topics: list[str], count: int) -> None:
        self.count = count
        self.next = dict.fromkeys(topics, 0)
        self.lead = 0

    def came(self, topic: str, offsets: list[int]) -> None:
        begin = self.next[topic]
        assert offsets[0] == begin
        assert offsets[-1] == begin + len(offsets) - 1
        self.next[topic] = begin + len(offsets)
        if topic == TOPICS[0]:
            self.lead = max(self.lead, abs(max(self.next.values()) - min(self.next.values())))

    def end(self) -> None:
        assert set(self.next.values()) == {self.count}
        leads.append(self.lead)


async def read(consumer: Any, check: Check, by: str) -> None:
    if by == "batches":
        async for batch in consumer.batches():
            assert len(batch.value_list()) == len(batch)
            check.came(batch.topic, [batch[0].offset, *range(batch[0].offset + 1, batch[-1].offset + 1)])
    else:
        async for record in consumer:
            check.came(record.topic, [record.offset])
    check.end()


def read_sync(consumer: Any, check: Check, by: str) -> None:
    if by == "batches":
        for batch in consumer.batches():
            assert len(batch.value_list()) == len(batch)
            check.came(batch.topic, [batch[0].offset, *range(batch[0].offset + 1, batch[-1].offset + 1)])
    else:
        for record in consumer:
            check.came(record.topic, [record.offset])
    check.end()


class Taken(NamedTuple):
    """What a run has taken: seconds, and those of the processors."""

    seconds: float
    processors: float


class Clock:
    def __init__(self) -> None:
        self._begun = (time.perf_counter(), time.process_time())

    def taken(self) -> Taken:
        return Taken(time.perf_counter() - self._begun[0], time.process_time() - self._begun[1])


async def measure(endpoint: str, count: int, by: str, one: bool) -> Taken:
    async with AsyncFluvio.connect(endpoint) as client:
        clock = Clock()
        if one:
            async with client.consumer(TOPICS, **FROM_THE_BEGINNING) as several:
                await read(several, Check(TOPICS, count), by)
        else:

            async def read_one(topic: str) -> None:
                async with client.consumer(topic, prefetch="8MiB", **FROM_THE_BEGINNING) as single:
                    await read(single, Check([topic], count), by)

            await together(lambda: read_one(TOPICS[0]), lambda: read_one(TOPICS[1]))
        return clock.taken()


def measure_sync(endpoint: str, count: int, by: str, one: bool) -> Taken:
    with Fluvio.connect(endpoint) as client:
        clock = Clock()
        if one:
            with client.consumer(TOPICS, **FROM_THE_BEGINNING) as several:
                read_sync(several, Check(TOPICS, count), by)
        else:

            def read_one(topic: str) -> None:
                with client.consumer(topic, prefetch="8MiB", **FROM_THE_BEGINNING) as single:
                    read_sync(single, Check([topic], count), by)

            threads = [threading.Thread(target=read_one, args=(topic,)) for topic in TOPICS]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        return clock.taken()


def main(count: int = 1_000_000, rounds: int = 5) -> None:
    with LocalCluster() as cluster:
        with Fluvio.connect(cluster.endpoint) as client:
            for topic in TOPICS:
                client.admin.topics.create(topic)
                with client.producer(topic) as producer:
                    producer.send_all(b"%0100d" % number for number in range(count))
        endpoint = cluster.endpoint
        for host in HOSTS:
            for by in ("batches", "records"):
                taken: dict[bool, list[Taken]] = {True: [], False: []}
                leads.clear()
                for each in range(2 * rounds):
                    one = each % 2 == 0
                    took = (
                        measure_sync(endpoint, count, by, one)
                        if host == "sync"
                        else run(host, lambda one=one, by=by: measure(endpoint, count, by, one))  # type: ignore[misc]
                    )
                    taken[one].append(took)
                several, singles = (
                    [statistics.median(column) / (2 * count) for column in zip(*taken[one], strict=True)]
                    for one in (True, False)
                )
                print(
                    f"{host:8} {by:8} one consumer {1e-6 / several[0]:5.2f} M/s {several[1] * 1e9:5.0f} ns, two "
                    f"{1e-6 / singles[0]:5.2f} M/s {singles[1] * 1e9:5.0f} ns: {singles[0] / several[0]:.2f}, "
                    f"{singles[1] / several[1]:.2f} by processors; lead {max(leads):,}"
                )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
