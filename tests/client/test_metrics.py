"""The metrics, and by them the promises about sending again: what repeats and reorders is bounded, and counted."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import World
from insides import control

from fluvio_cffi import (
    AlreadyExistsError,
    CompressionError,
    DeliveryUnknownError,
    LocalCluster,
    Metrics,
    Offset,
    StorageError,
)

pytestmark = pytest.mark.timeout(60)

SPU = 5001
# With these a request has one batch, and a batch one record of `value`.
ONE_EACH: dict[str, Any] = {"batch_size": 1, "max_request_size": 1024}


def value(number: int) -> bytes:
    return b"%d" % number + b" " * 600


async def log_of(client: Any, topic: str) -> list[int]:
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return [int(record.value) async for record in consumer]


def repeats(log: list[int]) -> list[list[int]]:
    """The runs of records that were there already."""
    seen: set[int] = set()
    runs: list[list[int]] = []
    before = -1
    for number in log:
        if number in seen:
            if runs and number == before + 1 and runs[-1][-1] == before:
                runs[-1].append(number)
            else:
                runs.append([number])
        seen.add(number)
        before = number
    return runs


async def test_a_round_trip(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        before = client.metrics()
        assert (before.records_produced, before.records_consumed, before.errors) == (0, 0, {})
        async with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
            await producer.send_all((b"%d" % number, b"value") for number in range(1000))
            produced = client.metrics()
            keys = sum(len(b"%d" % number) for number in range(1000))
            assert (produced.records_produced, produced.bytes_produced) == (1000, keys + 5000)
            assert (produced.records_buffered, produced.bytes_buffered, produced.requests_in_flight) == (0, 0, 0)
            read = 0
            while read < 1000:
                async for batch in consumer.batches(max_wait=0.01):
                    read += len(batch)
                    break
            after = client.metrics()
            assert (after.records_consumed, after.bytes_consumed, after.lag) == (1000, keys + 5000, 0)
        assert after.requests > before.requests
        assert (after.retries, after.duplicates_possible, after.reordered, after.reconnects) == (0, 0, 0, 0)
        assert after.errors == {}
    closed = client.metrics()
    assert closed.records_produced == 1000
    assert pickle.loads(pickle.dumps(closed)) == closed


async def test_what_is_under_way(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic, **ONE_EACH) as producer, client.consumer(topic) as consumer:
                await producer.send(value(0))
                stalled = cluster.faults.stall(SPU)
                for number in range(1, 20):
                    await producer.enqueue(value(number))
                while (now := client.metrics()).requests_in_flight < 8:
                    await world.sleep(0.005)
                assert now.records_buffered == 19
                assert now.bytes_buffered == producer.pending.bytes > 19 * 600
                assert now.requests_in_flight == 8
                stalled.undo()
                await producer.flush()
                assert (await consumer.receive()).offset == 0
                # Another consumer, which reads nothing, is behind by all of it.
                async with client.consumer(topic, start=Offset.beginning()) as idle:
                    behind = sum(idle.lag().values())
                    assert client.metrics().lag >= behind == 20
                assert client.metrics().requests_in_flight == 0


@pytest.mark.backends("sync")
async def test_from_any_thread(world: World) -> None:
    async with world.connect() as client:
        async with client.producer(await world.topic(client)) as producer:
            for _ in range(3):
                await producer.send(b"value")
        found: list[Metrics] = []
        thread = threading.Thread(target=lambda: found.append(client.metrics()))
        thread.start()
        thread.join()
        assert found == [client.metrics()]
        assert (found[0].records_produced, found[0].bytes_produced) == (3, 15)


@pytest.mark.parametrize("window", [1, 4])
async def test_what_a_lost_connection_repeats(world: World, window: int) -> None:
    """The answers are cut off: what they were about is in the log, and is sent again."""
    cuts = 3
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            cluster.faults.drop_after(SPU, 700, cuts)
            async with client.producer(topic, max_in_flight=window, **ONE_EACH) as producer:
                receipts = [await producer.enqueue(value(number)) for number in range(100)]
                offsets = [(await receipt).offset for receipt in receipts]
            metrics = client.metrics()
            log = await log_of(client, topic)
    runs = repeats(log)
    assert 1 <= len(runs) <= cuts
    assert all(len(run) <= window for run in runs)
    assert sum(map(len, runs)) <= metrics.duplicates_possible <= cuts * window
    assert metrics.retries == metrics.duplicates_possible
    assert metrics.reconnects == cuts
    assert metrics.errors == {"FluvioConnectionError": cuts}
    assert metrics.reordered == 0
    # First occurrences are in order, and what was acknowledged is where the receipts say.
    assert list(dict.fromkeys(log)) == list(range(100))
    assert [log[offset] for offset in offsets] == list(range(100))


@pytest.mark.parametrize("window", [1, 8])
async def test_what_a_retriable_error_reorders(world: World, window: int) -> None:
    """Code 6 for a batch while later ones are in flight: these come first. Not with one in flight."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic, max_in_flight=window, **ONE_EACH) as producer:
                await producer.send(value(0))
                slow = cluster.faults.delay(SPU, 0.05)
                cluster.faults.fail_next(SPU, "produce", 6)
                receipts = [await producer.enqueue(value(number)) for number in range(1, 8)]
                offsets = [(await receipt).offset for receipt in receipts]
                slow.undo()
            metrics = client.metrics()
            log = await log_of(client, topic)
    assert sorted(log) == list(range(8))
    assert [log[offset] for offset in offsets] == list(range(1, 8))
    if window == 1:
        assert log == list(range(8))
    else:
        # The one that was refused came after those that were in flight with it.
        assert log.index(1) > log.index(2)
        assert [number for number in log if number != 1] == [0, *range(2, 8)]
    assert metrics.reordered == (0 if window == 1 else 1)
    assert (metrics.retries, metrics.duplicates_possible, metrics.reconnects) == (1, 0, 0)
    assert metrics.errors == {"NotLeaderError": 1}


async def test_a_leader_that_changes_with_a_batch_in_flight(world: World) -> None:
    """What comes later waits until it is known what became of it, so that one in flight stays in order."""
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic, max_in_flight=1, **ONE_EACH) as producer:
                await producer.send(value(0))
                control(cluster, f"delay {SPU} 300")
                cluster.faults.fail_next(SPU, "produce", 6)
                receipts = [await producer.enqueue(value(1))]
                cluster.faults.move(topic, 0, SPU + 1)
                receipts += [await producer.enqueue(value(number)) for number in range(2, 6)]
                assert [(await receipt).offset for receipt in receipts] == list(range(1, 6))
            metrics = client.metrics()
            assert await log_of(client, topic) == list(range(6))
    assert (metrics.reordered, metrics.retries, metrics.duplicates_possible) == (0, 1, 0)


async def test_a_server_that_goes_and_comes(world: World, tmp_path: Path) -> None:
    with LocalCluster(data_dir=tmp_path) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer, client.consumer(topic) as consumer:
                await producer.send(b"before")
                await consumer.receive()
                cluster.kill_spu(SPU)
                receipt = await producer.enqueue(b"meanwhile")
                cluster.start_spu(SPU)
                await receipt
                assert (await consumer.receive()).value == b"meanwhile"
                metrics = client.metrics()
    # That of the producer and that of the consumer.
    assert metrics.reconnects == 2
    assert metrics.errors["FluvioConnectionError"] >= 1


async def test_errors_are_counted_by_class(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                for code, cls in ((7, DeliveryUnknownError), (9000, CompressionError), (73, StorageError)):
                    cluster.faults.fail_next(SPU, "produce", code)
                    with pytest.raises(cls) as failed:
                        await producer.send(b"x")
                    assert failed.value.code == code
            with pytest.raises(AlreadyExistsError):
                await client.admin.topics.create(topic)
            metrics = client.metrics()
    assert metrics.errors == {
        "DeliveryUnknownError": 1,
        "StorageError": 1,
        "CompressionError": 1,
        "AlreadyExistsError": 1,
    }
