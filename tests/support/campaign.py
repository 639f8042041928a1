"""A campaign: numbered records are produced and consumed all the while that a cluster suffers, and then everything is
compared with the log."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import laws
from conftest import World
from insides import control

from fluvio_cffi import FluvioError, FluvioTimeoutError, LocalCluster, Offset

SIZE = 100
BURST = 2000
PATIENCE = 25.0


class Campaign:
    """One topic, one producer that never pauses, and one consumer that reads along from the beginning.

    The number of a record says its partition: number modulo the partitions.
    """

    def __init__(self, world: World, client: Any, topic: str, partitions: int = 1, **producer: Any) -> None:
        self.world = world
        self.client = client
        self.topic = topic
        self.partitions = partitions
        self.options: dict[str, Any] = {"max_request_size": 16_384, "max_in_flight": 8, **producer}
        self.sent = 0
        self.offsets: dict[int, int] = {}
        self.failures: dict[int, FluvioError] = {}
        self.seen: list[list[int]] = [[] for _ in range(partitions)]
        self.over = False
        self.expected: int | None = None

    @property
    def most_repeated(self) -> int:
        """How many records one partition's run of repeated requests has at most."""
        return int(self.options["max_in_flight"]) * int(self.options["max_request_size"]) // SIZE

    async def run(self, suffer: Callable[[Campaign], Awaitable[None]]) -> None:
        """Produces and consumes until `suffer` returns, then checks that the log is what it must be."""

        async def fault() -> None:
            try:
                await suffer(self)
            finally:
                self.over = True

        await together(self.world, self._produce, self._consume, fault)
        await self._check()

    async def more(self, records: int = BURST) -> None:
        """Waits until so many more records were acknowledged, and read."""
        acknowledged = len(self.offsets) + records
        read = self.read + records
        deadline = time.monotonic() + PATIENCE
        while len(self.offsets) < acknowledged or self.read < read:
            assert time.monotonic() < deadline, f"{len(self.offsets)} acknowledged, {self.read} read, and no more"
            assert not self.over
            await self.world.sleep(0.002)

    async def aside(self, function: Callable[..., Any], *args: Any) -> Any:
        """Calls something that blocks, without holding up the loop."""
        return await aside(self.world, function, *args)

    @property
    def read(self) -> int:
        """How many records the consumer has delivered."""
        return sum(map(len, self.seen))

    async def _produce(self) -> None:
        try:
            async with self.client.producer(self.topic, **self.options) as producer:
                while not self.over:
                    receipts = []
                    for _ in range(BURST):
                        number, self.sent = self.sent, self.sent + 1
                        value = b"%0*d" % (SIZE, number)
                        receipts.append((number, await producer.enqueue(value, partition=number % self.partitions)))
                    for number, receipt in receipts:
                        try:
                            self.offsets[number] = (await receipt.wait(PATIENCE)).offset
                        except FluvioError as error:
                            self.failures[number] = error
            self.expected = sum(map(len, (await self.log()).values()))
        finally:
            self.over = True

    async def _consume(self) -> None:
        async with self.client.consumer(self.topic, start=Offset.beginning()) as consumer:
            deadline = time.monotonic() + PATIENCE
            while self.expected is None or self.read < self.expected:
                try:
                    record = await consumer.receive(timeout=0.2)
                except FluvioTimeoutError:
                    assert time.monotonic() < deadline, f"{self.read} of {self.expected} records were read"
                    continue
                deadline = time.monotonic() + PATIENCE
                seen = self.seen[record.partition]
                assert record.offset == len(seen), "out of order, twice, or lost"
                seen.append(int(record.value))

    async def log(self) -> dict[int, list[int]]:
        """By partition, the numbers in the log."""
        found: dict[int, list[int]] = {partition: [] for partition in range(self.partitions)}
        async with self.client.consumer(self.topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            async for batch in consumer.batches():
                for record in batch:
                    assert record.offset == len(found[record.partition])
                    found[record.partition].append(int(record.value))
        return found

    async def _check(self) -> None:
        log = await self.log()
        assert dict(enumerate(self.seen)) == log
        assert len(self.offsets) + len(self.failures) == self.sent
        written = sum(map(len, log.values()))
        repeated = written - len({number for numbers in log.values() for number in numbers})
        metrics = self.client.metrics()
        assert repeated <= metrics.duplicates_possible
        assert metrics.records_produced == len(self.offsets)
        assert (metrics.records_buffered, metrics.requests_in_flight) == (0, 0)
        for number, offset in self.offsets.items():
            assert log[number % self.partitions][offset] == number

    def check_nothing_failed(self) -> None:
        """Every record was acknowledged."""
        assert not self.failures, next(iter(self.failures.items()))

    def check_order(self, faults: int) -> None:
        """First occurrences are in order; what is repeated is, for each fault, one run that is not too long:
        1 2 3 4 3 4 5, or 1 2 3 4 3 3 4 5 where the fault hits again."""
        for partition, log in enumerate(self.seen):
            assert list(dict.fromkeys(log)) == list(range(partition, self.sent, self.partitions))
            steps = itertools.pairwise(log)
            back = [(before, after) for before, after in steps if after != before + self.partitions]
            assert len(back) <= faults, back
            assert all(after <= before for before, after in back), back
            repeated = [1 + (before - after) // self.partitions for before, after in back]
            assert all(count <= self.most_repeated for count in repeated), repeated


async def aside(world: World, function: Callable[..., Any], *args: Any) -> Any:
    """Calls something that blocks, without holding up the loop."""
    if world.is_sync:
        return function(*args)
    return await anyio.to_thread.run_sync(function, *args)


async def together(world: World, *functions: Callable[[], Awaitable[Any]]) -> None:
    """Runs functions at the same time: as tasks, or as threads. The first error is raised, by itself."""
    errors: list[BaseException] = []

    if world.is_sync:

        def thread(function: Callable[[], Awaitable[Any]]) -> None:
            try:
                world.run(function)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=thread, args=[function]) for function in functions]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    else:

        async def task(function: Callable[[], Awaitable[Any]]) -> None:
            try:
                await function()
            except Exception as error:
                errors.append(error)
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            for function in functions:
                tasks.start_soon(task, function)
    if errors:
        raise errors[0]


# -- what a cluster can suffer. Each returns when the cluster works again.


async def kill(campaign: Campaign, cluster: LocalCluster) -> None:
    """kill -9 of all, and a new start."""
    await campaign.aside(cluster.kill)
    await campaign.aside(cluster.start)


async def reset(campaign: Campaign, cluster: LocalCluster, id: int = 5001) -> None:
    """One SPU goes and comes back."""
    await campaign.aside(cluster.kill_spu, id)
    await campaign.aside(cluster.start_spu, id)


async def stop(campaign: Campaign, cluster: LocalCluster) -> None:
    """SIGSTOP, a while, SIGCONT."""
    await campaign.aside(laws.stop, cluster.pid)
    await campaign.world.sleep(0.1)
    os.kill(cluster.pid, signal.SIGCONT)


def command(*lines: str) -> Callable[[Campaign, LocalCluster], Awaitable[None]]:
    """What the cluster's control channel does."""

    async def do(campaign: Campaign, cluster: LocalCluster) -> None:
        for line in lines:
            await campaign.aside(control, cluster, line.replace("TOPIC", campaign.topic))

    return do
