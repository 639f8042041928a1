"""Random work with SmartModules against a simple model: a growing log, commits of every kind, crashes, seeks, pauses,
lost connections. Few examples normally, 1,000 with FLUVIO_CFFI_LONG=1 (100 on trio and sync)."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import pytest
from conftest import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laws import LONG
from smartmodule_support import contains, module

from fluvio_cffi import FluvioTimeoutError, LocalCluster, Offset

pytestmark = pytest.mark.timeout(3600 if LONG else 120)
PARTITIONS = 2
CHAINS = {
    "filter": [contains("7")],
    "map": [module("upper")],
    "array_map": [module("split")],
    "filter and array_map": [contains("7"), module("split")],
}

partitions = st.integers(0, PARTITIONS - 1)
step = st.one_of(
    st.tuples(st.just("append"), partitions, st.integers(1, 12)),
    st.tuples(st.just("append"), partitions, st.integers(1, 12)),
    st.tuples(st.just("read"), st.sampled_from(["receive", "next", "batch"]), st.integers(1, 20)),
    st.tuples(st.just("read"), st.sampled_from(["receive", "next", "batch"]), st.integers(1, 20)),
    st.tuples(st.just("commit"), st.sampled_from(["all", "record", "batch"])),
    st.tuples(st.just("crash")),
    st.tuples(st.just("auto"), st.integers(1, 10)),
    st.tuples(st.just("seek"), partitions, st.integers(0, 60)),
    st.tuples(st.just("pause"), partitions),
    st.tuples(st.just("reset")),
)


class Output(NamedTuple):
    source: int
    """The offset of the record that it was made of."""
    group: int
    """Where the batch of that one begins."""
    offset: int
    """The offset that it bears."""
    value: bytes


class Run:
    """One example: the client's objects, and what must be true of them."""

    def __init__(self, world: World, chain: str) -> None:
        self.world = world
        self.chain = chain
        self.outputs: list[list[Output]] = [[] for _ in range(PARTITIONS)]
        self.ends = [0] * PARTITIONS
        # How many outputs were passed, and where that began: the first batch may be read from its middle on.
        self.at = [0] * PARTITIONS
        self.paused: set[int] = set()
        self.handed_out: list[Any] = []
        self.last: Any = None
        self.number = 0

    async def work(self, steps: list[tuple[Any, ...]]) -> None:
        self.client = await self.world.connect()
        self.topic = await self.world.topic(self.client, partitions=PARTITIONS)
        self.consumer = await self.open()
        for name, *arguments in steps:
            await getattr(self, name)(*arguments)
        self.consumer.resume(*self.paused)
        self.paused.clear()
        await self.read("batch", 10_000)
        await self.client.close()

    async def open(self, **keywords: Any) -> Any:
        return await self.client.consumer(
            self.topic, start=Offset.beginning(), consumer_id=self.topic, smartmodules=CHAINS[self.chain], **keywords
        )

    # -- the model

    def made_of(self, value: str, source: int, group: int) -> list[Output]:
        if self.chain == "filter":
            return [Output(source, group, source, value.encode())] if "7" in value else []
        if self.chain == "map":
            return [Output(source, group, source, value.upper().encode())]
        if self.chain.startswith("filter") and "7" not in value:
            return []
        return [Output(source, group, group, str(each).encode()) for each in json.loads(value)]

    def first(self, partition: int, offset: int) -> int:
        """How many outputs are passed where reading begins at an offset."""
        return sum(output.source < offset for output in self.outputs[partition])

    def group_of(self, partition: int, index: int) -> int:
        """The first output of the batch of one."""
        outputs = self.outputs[partition]
        while index > 0 and outputs[index - 1].group == outputs[index].group:
            index -= 1
        return index

    # -- steps

    async def append(self, partition: int, count: int) -> None:
        """One batch of the log."""
        group = self.ends[partition]
        async with self.client.producer(self.topic, linger=60) as producer:
            for source in range(group, group + count):
                parts = [self.number * 10 + part for part in range(source % 4)]
                value = json.dumps(parts) if "array" in self.chain else f"v{self.number}"
                self.number += 1
                await producer.enqueue(value, key="k", partition=partition)
                self.outputs[partition] += self.made_of(value, source, group)
            await producer.flush()
        self.ends[partition] += count

    def left(self) -> int:
        return sum(len(self.outputs[p]) - self.at[p] for p in range(PARTITIONS) if p not in self.paused)

    async def one_read(self, consumer: Any, how: str) -> list[Any]:
        if how == "receive":
            return [await consumer.receive(timeout=10)]
        if how == "next":
            return [await consumer.__anext__()]
        batch = await consumer.batches(max_records=7, max_wait=0).__anext__()
        self.batch = batch
        return [*batch]

    def seen(self, records: list[Any]) -> None:
        for record in records:
            partition = record.partition
            output = self.outputs[partition][self.at[partition]]
            assert (record.offset, record.value) == (output.offset, output.value)
            assert partition not in self.paused
            self.at[partition] += 1
            self.last = record

    async def read(self, how: str, count: int) -> None:
        for _ in range(count):
            if not self.left():
                with pytest.raises(FluvioTimeoutError):
                    await self.consumer.receive(timeout=0.005)
                return
            self.seen(await self.one_read(self.consumer, how))

    async def commit(self, what: str) -> None:
        before = await self.consumer.committed()
        if what == "record" and self.last is not None:
            await self.consumer.commit(self.last)
            touched = {self.last.partition}
        elif what == "batch" and self.left():
            self.seen(await self.one_read(self.consumer, "batch"))
            await self.consumer.commit(self.batch)
            touched = set(self.batch.last_offsets)
        else:
            await self.consumer.commit()
            touched = set(range(PARTITIONS))
        self.check(before, await self.consumer.committed(), touched)

    def check(self, before: dict[int, int], after: dict[int, int], touched: set[int]) -> None:
        """What was not handed out is not passed over, and no more comes again than the batch of the last record."""
        for partition, stored in after.items():
            if stored == before.get(partition):
                continue
            assert partition in touched
            resumes, at = self.first(partition, stored + 1), self.at[partition]
            assert resumes <= at
            if "array" not in self.chain:
                assert resumes == at
            elif at:
                assert resumes >= self.group_of(partition, at - 1)

    async def crash(self) -> None:
        """What was not committed is as if it had not been read."""
        committed = await self.consumer.committed()
        await self.consumer.close()
        self.consumer = await self.open()
        self.begin_again(committed)

    def begin_again(self, committed: dict[int, int]) -> None:
        self.at = [self.first(partition, committed.get(partition, -1) + 1) for partition in range(PARTITIONS)]
        self.paused.clear()
        self.last = None

    async def auto(self, count: int) -> None:
        """Reads with commits in the background; then a crash."""
        await self.crash()
        before = await self.consumer.committed()
        await self.consumer.close()
        async with await self.open(commit="auto") as consumer:
            for _ in range(count):
                if self.left():
                    self.seen(await self.one_read(consumer, "receive"))
        self.consumer = await self.open()
        after = await self.consumer.committed()
        for partition, stored in after.items():
            resumes, at = self.first(partition, stored + 1), self.at[partition]
            assert resumes <= at
            if stored != before.get(partition) and "array" not in self.chain:
                assert resumes >= at - 1
        self.begin_again(after)

    async def seek(self, partition: int, offset: int) -> None:
        offset = min(offset, self.ends[partition])
        await self.consumer.seek(partition, offset)
        self.at[partition] = self.first(partition, offset)
        self.last = None

    async def pause(self, partition: int) -> None:
        if partition in self.paused:
            self.consumer.resume(partition)
            self.paused.discard(partition)
        else:
            self.consumer.pause(partition)
            self.paused.add(partition)

    async def reset(self) -> None:
        self.world.cluster.faults.reset_sockets(5001)


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.backends("asyncio", "trio", "sync")
def test_random_work_with_smartmodules(backend: str, cluster: LocalCluster, chain: str) -> None:
    many = 1000 if backend == "asyncio" else 100
    world = World(backend, cluster)

    @settings(
        max_examples=many if LONG else 8,
        deadline=None,
        database=None,
        derandomize=not LONG,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(step, max_size=30))
    def run(steps: list[tuple[Any, ...]]) -> None:
        world.run(Run(world, chain).work, steps)

    run()
