"""How fast consumer groups are: python benchmarks/groups.py

On an embedded cluster of its own. It prints a line for each figure; what is allowed stands behind it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from statistics import median

from fluvio_cffi import AsyncConsumer, AsyncFluvio, LocalCluster, Offset, ProducerRecord

GROUP = "measured"
SESSION = 10.0
MEMBERS = 100
MOST_MEMBERS = 300
SHARE = 3
BULK = 1_000_000
PATIENCE = 60.0

KILLED = """
import sys
from fluvio_cffi import Fluvio
_, endpoint, topic, group = sys.argv
with Fluvio.connect(endpoint) as client, client.consumer(topic, group=group, session_timeout=2) as consumer:
    for record in consumer:
        print(record.partition, flush=True)
"""


KILLED_TOGETHER = """
import asyncio, sys
from fluvio_cffi import AsyncFluvio
_, endpoint, topic, group, members = sys.argv
async def member():
    async with (
        AsyncFluvio.connect(endpoint) as client,
        client.consumer(topic, group=group, session_timeout=2) as consumer,
    ):
        async for batch in consumer.batches():
            await consumer.commit(batch)
async def main():
    await asyncio.gather(*(member() for _ in range(int(members))))
asyncio.run(main())
"""


def say(what: str, figure: str, allowed: str) -> None:
    print(f"{what:<58}{figure:>14}   {allowed}", flush=True)


async def topic(client: AsyncFluvio, name: str, partitions: int, records: int = 1) -> None:
    await client.admin.topics.create(name, partitions=partitions)
    async with client.producer(name) as producer:
        for partition in range(partitions):
            await producer.send_all([ProducerRecord(b"x" * 100, partition=partition) for _ in range(records)])


@contextlib.asynccontextmanager
async def reading(consumer: AsyncConsumer) -> AsyncIterator[None]:
    """Somebody reads it all the while."""

    async def read() -> None:
        async for batch in consumer.batches():
            await consumer.commit(batch)

    task = asyncio.create_task(read())
    try:
        yield
    finally:
        consumer.stop()
        await task


async def until(condition: Callable[[], bool]) -> float:
    """How many seconds it takes."""
    started = time.perf_counter()
    while not condition():
        if time.perf_counter() - started > PATIENCE:
            raise SystemExit("it did not come about in time")
        await asyncio.sleep(0.001)
    return time.perf_counter() - started


async def first_record(client: AsyncFluvio) -> None:
    times = []
    for number in range(20):
        await topic(client, f"first-{number}", 1)
        started = time.perf_counter()
        async with client.consumer(f"first-{number}", group=GROUP) as consumer:
            await consumer.receive(timeout=PATIENCE)
            times.append(time.perf_counter() - started)
    say("from opening to the first record, median", f"{median(times) * 1e3:.0f} ms", "400 ms")


async def commits(client: AsyncFluvio) -> None:
    await topic(client, "commits", 1, 2000)
    times = []
    async with client.consumer("commits", group=GROUP) as consumer:
        async for record in consumer:
            started = time.perf_counter()
            await consumer.commit(record)
            times.append(time.perf_counter() - started)
            if len(times) == 1000:
                break
    say("a commit, median", f"{median(times) * 1e3:.2f} ms", "1 ms")


async def leaving(client: AsyncFluvio) -> None:
    await topic(client, "leaving", 12)
    async with client.consumer("leaving", group=GROUP) as stays, reading(stays):
        async with client.consumer("leaving", group=GROUP) as leaves, reading(leaves):
            await until(lambda: len(stays.assignment) == len(leaves.assignment) == 6)
        took = await until(lambda: len(stays.assignment) == 12)
    say("the partitions of one that leaves, in other hands after", f"{took * 1e3:.0f} ms", "300 ms")


async def killed(client: AsyncFluvio, endpoint: str) -> None:
    await topic(client, "killed", 12)
    async with client.consumer("killed", group=GROUP, session_timeout=2.0) as stays, reading(stays):
        await until(lambda: len(stays.assignment) == 12)
        worker = subprocess.Popen([sys.executable, "-c", KILLED, endpoint, "killed", GROUP], stdout=subprocess.PIPE)
        await until(lambda: len(stays.assignment) == 6)
        await asyncio.sleep(1)
        worker.kill()
        took = await until(lambda: len(stays.assignment) == 12)
        worker.communicate()
    say("of one that is killed, with session_timeout=2", f"{took:.2f} s", "3 s")


async def killed_together(client: AsyncFluvio, endpoint: str) -> None:
    """Twenty of twenty-five."""
    await topic(client, "killed-together", 100)
    async with contextlib.AsyncExitStack() as stack:
        rest = []
        for _ in range(5):
            own = await stack.enter_async_context(AsyncFluvio.connect(endpoint))
            consumer = await own.consumer("killed-together", group=GROUP, session_timeout=2.0)
            await stack.enter_async_context(reading(consumer))
            stack.push_async_callback(consumer.close)
            rest.append(consumer)

        def owned() -> int:
            return sum(len(consumer.assignment) for consumer in rest)

        await until(lambda: owned() == 100)
        worker = subprocess.Popen([sys.executable, "-c", KILLED_TOGETHER, endpoint, "killed-together", GROUP, "20"])
        await until(lambda: owned() == 20)
        await asyncio.sleep(2)
        worker.kill()
        took = await until(lambda: owned() == 100)
        worker.wait()
    say("of 20 of 25 that are killed together, with session_timeout=2", f"{took:.2f} s", "3 s")


async def many(endpoint: str, cluster: LocalCluster, members: int) -> None:
    name, partitions = f"many-{members}", members * SHARE
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(AsyncFluvio.connect(endpoint)) for _ in range(members)]
        await clients[0].admin.topics.create(name, partitions=partitions)

        async def join(client: AsyncFluvio) -> AsyncConsumer:
            return await client.consumer(name, group=GROUP)

        started = time.perf_counter()
        consumers = await asyncio.gather(*map(join, clients))
        for consumer in consumers:
            await stack.enter_async_context(reading(consumer))
        await until(lambda: all(len(consumer.assignment) == SHARE for consumer in consumers))
        took = time.perf_counter() - started
        say(f"{members} members that start together share {partitions} partitions", f"{took:.2f} s", "10 s")
        await asyncio.sleep(5)
        before, begun = _spent(cluster), time.perf_counter()
        await asyncio.sleep(10)
        core = (_spent(cluster) - before) / (time.perf_counter() - begun)
        say("what they take of a core at rest, with the cluster", f"{core:.1%}", "10 %" if members == MEMBERS else "")
        for consumer in consumers:
            stack.push_async_callback(consumer.close)


def _spent(cluster: LocalCluster) -> float:
    """Seconds of processors that this process and the cluster have taken."""
    with open(f"/proc/{cluster.pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime + (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def bulk(client: AsyncFluvio) -> None:
    await topic(client, "bulk", 4, BULK // 4)

    async def read(**keywords: object) -> float:
        async with client.consumer("bulk", **keywords) as consumer:  # type: ignore[arg-type]
            count, started = 0, 0.0
            async for batch in consumer.batches():
                started = started or time.perf_counter()
                count += len(batch)
                if count == BULK:
                    return time.perf_counter() - started
        raise SystemExit("it ended too early")

    alone, member = [], []
    for number in range(7):
        alone.append(await read(start=Offset.beginning()))
        member.append(await read(group=f"bulk-{number}"))
    rate = BULK / median(member)
    say("bulk reading, batches", f"{rate / 1e6:.2f} M/s", f"{median(alone) / median(member):.2f} of without (0.95)")
    alone_one, member_one = [], []
    for number in range(5):
        alone_one.append(await one_by_one(client, start=Offset.beginning()))
        member_one.append(await one_by_one(client, group=f"single-{number}"))
    rate = BULK / median(member_one)
    say(
        "bulk reading, record by record",
        f"{rate / 1e6:.2f} M/s",
        f"{median(alone_one) / median(member_one):.2f} of without",
    )


async def one_by_one(client: AsyncFluvio, **keywords: object) -> float:
    async with client.consumer("bulk", **keywords) as consumer:  # type: ignore[arg-type]
        await consumer.receive(timeout=PATIENCE)
        started = time.perf_counter()
        count = 1
        async for _ in consumer:
            count += 1
            if count == BULK:
                break
        return time.perf_counter() - started


async def main(wanted: set[str]) -> None:
    with LocalCluster() as cluster:
        async with AsyncFluvio.connect(cluster.endpoint) as client:
            figures: dict[str, Callable[[], Awaitable[None]]] = {
                "first": lambda: first_record(client),
                "commits": lambda: commits(client),
                "leaving": lambda: leaving(client),
                "killed": lambda: killed(client, cluster.endpoint),
                "together": lambda: killed_together(client, cluster.endpoint),
                "many": lambda: many(cluster.endpoint, cluster, MEMBERS),
                "most": lambda: many(cluster.endpoint, cluster, MOST_MEMBERS),
                "bulk": lambda: bulk(client),
            }
            for name, measure in figures.items():
                if not wanted or name in wanted:
                    await measure()


if __name__ == "__main__":
    asyncio.run(main(set(sys.argv[1:])))
