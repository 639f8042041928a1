"""Much data, a cluster that dies, panics, and that nothing is left behind."""

from __future__ import annotations

import gc
import threading
import time
from typing import Any

import anyio
import pytest

from fluvio_cffi import FluvioError, InternalError, LocalCluster, Offset
from fluvio_cffi._ffi import ffi, lib

COUNT = 1_000_000


async def test_a_million_records(world: Any) -> None:
    """They arrive once, in order, through batches and one by one."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            result = await producer.send_all([b"%010d" % number + b"x" * 90 for number in range(COUNT)])
            assert result.count == COUNT
            assert (result[0].offset, result[-1].offset) == (0, COUNT - 1)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            expected = 0
            async for batch in consumer.batches():
                for value in batch.value_list():
                    assert value.startswith(b"%010d" % expected)
                    expected += 1
            assert expected == COUNT
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            expected = 0
            async for record in consumer:
                assert record.offset == expected
                assert record.value.startswith(b"%010d" % expected)
                expected += 1
            assert expected == COUNT
            assert consumer.position() == {0: COUNT}


@pytest.mark.backends("asyncio", "sync")
@pytest.mark.parametrize("batch_size", [16_384, 900_000])
async def test_a_backlog_of_100_megabytes(world: Any, batch_size: int) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, batch_size=batch_size) as producer:
            await producer.send_all(b"%010d" % number + b"x" * 990 for number in range(100_000))
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            expected = 0
            async for batch in consumer.batches():
                for value in batch.value_list():
                    assert int(value[:10]) == expected
                    expected += 1
            assert expected == 100_000


@pytest.mark.backends("asyncio", "trio", "sync")
async def test_the_cluster_is_killed_and_comes_back(world: Any) -> None:
    """Nothing acknowledged is missing, first occurrences are in order, the consumer goes on."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            kills = 0

            def kill() -> None:
                nonlocal kills
                for _ in range(2):
                    time.sleep(0.4)
                    cluster.kill()
                    time.sleep(0.2)
                    cluster.start()
                    kills += 1

            killer = threading.Thread(target=kill)
            async with client.consumer(topic, start=Offset.beginning()) as consumer:
                first = 0
                acknowledged: list[int] = []
                async with client.producer(topic) as producer:
                    killer.start()
                    while killer.is_alive() or first < 2000:
                        values = [b"%d" % number for number in range(first, first + 100)]
                        result = await producer.send_all(values)
                        acknowledged.extend(meta.offset for meta in result)
                        first += 100
                assert kills == 2
                seen: dict[int, None] = {}
                offset = 0
                while len(seen) < first:
                    record = await consumer.receive(timeout=20)
                    assert record.offset == offset
                    offset += 1
                    seen.setdefault(int(record.value))
                assert list(seen) == list(range(first))
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as again:
                log = [int(record.value) async for record in again]
            assert [log[offset] for offset in acknowledged] == list(range(first))


@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("task", ["OPERATION", "PRODUCER", "CONSUMER"])
async def test_a_panic_ends_what_waits(world: Any, task: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        producer = await client.producer(topic)
        consumer = await client.consumer(topic, start=Offset.beginning())
        await producer.send(b"x")
        await consumer.receive()
        assert lib.flv_debug_panic(getattr(lib, f"FLV_TASK_{task}"), ffi.NULL) == 0
        begun = time.monotonic()
        with pytest.raises(InternalError):
            if task == "OPERATION":
                await client.admin.topics.list()
            elif task == "PRODUCER":
                while True:
                    await producer.send(b"y", timeout=5)
            else:
                other = await client.producer(topic)
                try:
                    while True:
                        await other.send(b"z")
                        await consumer.receive(timeout=1)
                finally:
                    await other.close()
        assert time.monotonic() - begun < 2
        for thing in (producer, consumer):
            try:
                await thing.close()
            except FluvioError:
                assert task != "OPERATION"
        assert await client.admin.topics.list()


def counts() -> dict[str, int]:
    """What is alive in the library, but for what other tests keep."""
    found = ffi.new("flv_counts_t *")
    found.struct_size = ffi.sizeof("flv_counts_t")
    assert lib.flv_debug_counts(found) == 0
    return {name: getattr(found, name) for name in dir(found) if name not in ("struct_size", "reserved")}


@pytest.mark.backends("asyncio", "uvloop", "trio", "sync")
def test_nothing_is_left(backend: str, cluster: LocalCluster, request: pytest.FixtureRequest) -> None:
    from conftest import World

    world = World(backend, cluster)

    async def work() -> None:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
                await producer.send_all([b"x"] * 2000)
                receipts = [await producer.enqueue(b"y") for _ in range(100)]
                for _ in range(50):
                    await consumer.receive()
                await receipts[-1]
                if not world.is_sync:
                    for delay in (0, 0.0005, 0.002):
                        with anyio.move_on_after(delay):
                            async with world.connect() as other, other.consumer(topic) as waiting:
                                await waiting.receive()
                        with anyio.move_on_after(delay):
                            await producer.send(b"z")
                        with anyio.move_on_after(delay):
                            await client.admin.topics.list()

    world.run(work)
    gc.collect()
    time.sleep(1.2)
    before = counts()
    threads = threading.active_count()
    for _ in range(5):
        world.run(work)
    gc.collect()
    deadline = time.monotonic() + 5
    while counts() != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert counts() == before
    assert threading.active_count() == threads
