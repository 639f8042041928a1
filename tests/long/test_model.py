"""Random work against a simple model of the log: producing, reading, cancelling, seeking, pausing, committing, lost
connections, reconnecting, closing. Few examples normally, 2,000 with FLUVIO_CFFI_LONG=1 (100 on trio and sync)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from conftest import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laws import LONG

from fluvio_cffi import FluvioTimeoutError, LocalCluster, Offset

pytestmark = pytest.mark.timeout(3600 if LONG else 120)
PARTITIONS = 2

partitions = st.integers(0, PARTITIONS - 1)
delays = st.sampled_from([0, 0.0002, 0.001, 0.005])
step = st.one_of(
    st.tuples(st.just("send"), partitions, st.integers(0, 3000)),
    st.tuples(st.just("enqueue"), partitions, st.integers(1, 20)),
    st.tuples(st.just("send_all"), st.integers(1, 300), st.integers(0, 300)),
    st.tuples(st.just("send_cancelled"), partitions, delays),
    st.tuples(st.just("read"), st.sampled_from(["receive", "next", "batch"]), st.integers(1, 30)),
    st.tuples(st.just("read_cancelled"), st.sampled_from(["receive", "next", "batch"]), delays),
    st.tuples(st.just("seek"), partitions, st.integers(0, 400)),
    st.tuples(st.just("pause"), partitions),
    st.tuples(st.just("commit"), st.sampled_from(["all", "record", "batch", "offsets"])),
    st.tuples(st.just("reset")),
    st.tuples(st.just("reopen"), st.sampled_from(["producer", "consumer", "client"])),
)


class Run:
    """One example: the client's objects, and what must be true of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.log: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.positions = [0] * PARTITIONS
        self.committed: dict[int, int] = {}
        # Where the consumer has sought backwards: what is stored may go back there.
        self.backward: set[int] = set()
        self.paused: set[int] = set()
        self.handed_out: set[int] = set()
        self.last: Any = None
        self.number = 0

    async def open(self) -> None:
        self.client = await self.world.connect()

    async def work(self, steps: list[tuple[Any, ...]]) -> None:
        await self.open()
        self.topic = await self.world.topic(self.client, partitions=PARTITIONS)
        await self.open_producer()
        await self.open_consumer()
        for name, *arguments in steps:
            await getattr(self, name)(*arguments)
        await self.drain()
        await self.client.close()

    async def open_producer(self) -> None:
        self.producer = await self.client.producer(self.topic, buffer_size=20_000, max_request_size=20_000)

    async def open_consumer(self) -> None:
        self.consumer = await self.client.consumer(self.topic, consumer_id=self.topic, prefetch=50_000)
        self.positions = [self.committed.get(partition, -1) + 1 for partition in range(PARTITIONS)]
        self.paused = set()
        self.handed_out = set()
        self.backward = set()
        self.last = None
        assert await self.consumer.committed() == self.committed

    def value(self, size: int) -> bytes:
        self.number += 1
        return (b"%d" % self.number).ljust(size, b".")

    # -- producing

    def written(self, partition: int, offset: int, value: bytes) -> None:
        assert offset == len(self.log[partition])
        self.log[partition].append(value)

    async def send(self, partition: int, size: int) -> None:
        value = self.value(size)
        meta = await self.producer.send(value, partition=partition)
        assert meta.partition == partition
        self.written(partition, meta.offset, value)

    async def enqueue(self, partition: int, count: int) -> None:
        values = [self.value(10) for _ in range(count)]
        receipts = [await self.producer.enqueue(value, partition=partition) for value in values]
        for value, receipt in zip(values, receipts, strict=True):
            self.written(partition, (await receipt).offset, value)

    async def send_all(self, count: int, size: int) -> None:
        values = [self.value(size) for _ in range(count)]
        for value, meta in zip(values, await self.producer.send_all(values), strict=True):
            self.written(meta.partition, meta.offset, value)

    async def send_cancelled(self, partition: int, delay: float) -> None:
        if self.world.is_sync:
            return
        value = self.value(100)
        sent = False
        with anyio.move_on_after(delay):
            await self.producer.send(value, partition=partition)
            sent = True
        await self.producer.flush()
        async with self.client.consumer(
            self.topic, partitions=[partition], start=Offset.at(len(self.log[partition])), stop_at_end=True
        ) as consumer:
            found = [record.value async for record in consumer]
        assert found == [value] if sent else found in ([], [value])
        self.log[partition] += found

    # -- reading

    def available(self) -> int:
        pairs = enumerate(zip(self.log, self.positions, strict=True))
        return sum(max(len(log) - at, 0) for partition, (log, at) in pairs if partition not in self.paused)

    async def one_read(self, how: str) -> list[Any]:
        if how == "receive":
            return [await self.consumer.receive(timeout=5)]
        if how == "next":
            return [await self.consumer.__anext__()]
        return [*(await self.consumer.batches(max_records=7, max_wait=0).__anext__())]

    def seen(self, records: list[Any]) -> None:
        for record in records:
            partition = record.partition
            assert record.offset == self.positions[partition]
            assert record.value == self.log[partition][record.offset]
            assert partition not in self.paused
            self.positions[partition] += 1
            self.handed_out.add(partition)
            self.last = record

    async def read(self, how: str, count: int) -> None:
        for _ in range(count):
            if not self.available():
                with pytest.raises(FluvioTimeoutError):
                    await self.consumer.receive(timeout=0.005)
                return
            self.seen(await self.one_read(how))

    async def read_cancelled(self, how: str, delay: float) -> None:
        if self.world.is_sync:
            return
        found: list[Any] = []
        with anyio.move_on_after(delay):
            found = await self.one_read(how)
        self.seen(found)

    async def drain(self) -> None:
        """What is left comes, and no more."""
        self.consumer.resume(*self.paused)
        self.paused = set()
        while self.available():
            self.seen(await self.one_read("batch"))
        assert self.consumer.position() == dict(enumerate(self.positions))
        with pytest.raises(FluvioTimeoutError):
            await self.consumer.receive(timeout=0)

    async def seek(self, partition: int, offset: int) -> None:
        offset = min(offset, len(self.log[partition]))
        await self.consumer.seek(partition, offset)
        if offset < self.positions[partition]:
            self.backward.add(partition)
        self.positions[partition] = offset
        self.handed_out.discard(partition)
        assert self.consumer.position()[partition] == offset

    async def pause(self, partition: int) -> None:
        if partition in self.paused:
            self.consumer.resume(partition)
            self.paused.discard(partition)
        else:
            self.consumer.pause(partition)
            self.paused.add(partition)

    # -- the rest

    def processed(self, offsets: Mapping[int, int]) -> None:
        for partition, offset in offsets.items():
            if partition in self.backward or offset > self.committed.get(partition, -1):
                self.committed[partition] = offset

    async def commit(self, what: str) -> None:
        if what == "record" and self.last is not None:
            await self.consumer.commit(self.last)
            self.processed({self.last.partition: self.last.offset})
        elif what == "batch" and self.available():
            batch = await self.consumer.batches(max_records=5, max_wait=0).__anext__()
            self.seen([*batch])
            await self.consumer.commit(batch)
            self.processed(batch.last_offsets)
        elif what == "offsets" and self.log[0]:
            offset = len(self.log[0]) // 2
            await self.consumer.commit({0: offset})
            self.committed[0] = offset
        elif what == "all":
            await self.consumer.commit()
            found = await self.consumer.committed()
            self.processed({partition: self.positions[partition] - 1 for partition in self.handed_out})
            assert found == self.committed
        assert await self.consumer.committed() == self.committed

    async def reset(self) -> None:
        await self.producer.flush()
        self.world.cluster.faults.reset_sockets(5001)

    async def reopen(self, what: str) -> None:
        if what == "client":
            await self.client.close()
            await self.open()
            await self.open_producer()
            await self.open_consumer()
        elif what == "producer":
            await self.producer.close()
            await self.open_producer()
        else:
            await self.consumer.close()
            await self.open_consumer()


@pytest.mark.backends("asyncio", "trio", "sync")
def test_random_work(backend: str, cluster: LocalCluster) -> None:
    many = 2000 if backend == "asyncio" else 100
    world = World(backend, cluster)

    @settings(
        max_examples=many if LONG else 25,
        deadline=None,
        database=None,
        derandomize=not LONG,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(step, max_size=30))
    def run(steps: list[tuple[Any, ...]]) -> None:
        world.run(Run(world).work, steps)

    run()
