"""The hazards of the official client that docs/official-client.md lists: none of them is one here. The page names the
tests of those that are missing here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import World
from insides import control
from laws import nothing_left

from fluvio_cffi import DeliveryError, FluvioTimeoutError, LocalCluster, Offset, RecordTooLargeError, ServerError

START = Offset.beginning()


@pytest.fixture(scope="module")
def own() -> Iterator[LocalCluster]:
    """A cluster that may be maltreated."""
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture
def world(backend: str, own: LocalCluster) -> Iterator[World]:
    yield World(backend, own)
    control(own, "stall 5001 off")


async def test_h1_a_commit_after_a_read_that_ran_out_of_time(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"one")
        async with client.consumer(topic, consumer_id="h1") as consumer:
            await consumer.receive()
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0.05)
            await consumer.commit(timeout=5)
            assert await consumer.committed() == {0: 0}


async def test_h2_each_partition_goes_on_where_it_was(world: World) -> None:
    counts = (3000, 20, 700)
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        async with client.producer(topic) as producer:
            for partition, count in enumerate(counts):
                for number in range(count):
                    await producer.enqueue(b"%0100d" % number, partition=partition)
        async with client.consumer(topic, start=START, stop_at_end=True, max_bytes=4096, prefetch=8192) as consumer:
            seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
            read = 0
            async for record in consumer:
                seen[record.partition].append(record.offset)
                read += 1
                if read % 500 == 0:
                    world.cluster.faults.reset_sockets(5001)
    assert {partition: list(range(count)) for partition, count in enumerate(counts)} == seen


async def test_h7_a_full_buffer_waits_at_rest_and_holds_up_nothing_else(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, buffer_size="2MiB") as producer:
            await producer.send(b"connected")
            stalled = world.cluster.faults.stall(5001)
            receipts = []
            with pytest.raises(FluvioTimeoutError) as full:
                while True:
                    receipts.append(await producer.enqueue(bytes(100_000), timeout=0.2))
            assert full.value.outcome == "not_written"
            begun = time.process_time()
            with pytest.raises(FluvioTimeoutError):
                await producer.enqueue(bytes(100_000), timeout=1)
            assert time.process_time() - begun < 0.5
            with pytest.raises(FluvioTimeoutError):
                await producer.flush(timeout=0.1)
            stalled.undo()
            assert [(await receipt.wait(5)).offset for receipt in receipts] == list(range(1, 1 + len(receipts)))


async def test_h9_a_flush_that_ran_out_of_time_does_not_count_for_the_next(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"connected")
            for _ in range(3):
                stalled = world.cluster.faults.stall(5001)
                first = await producer.enqueue(b"first")
                with pytest.raises(FluvioTimeoutError):
                    await producer.flush(timeout=0.05)
                assert not first.done()
                second = await producer.enqueue(b"second")
                stalled.undo()
                await producer.flush()
                assert second.result().offset == first.result().offset + 1


async def test_h10_records_of_one_batch_are_waited_for_independently(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, delivery="at_most_once", linger=0.05) as producer:
            await producer.send(b"connected")
            stalled = world.cluster.faults.stall(5001)
            receipts = [await producer.enqueue(b"%d" % number) for number in range(10)]
            with pytest.raises(FluvioTimeoutError) as ended:
                await receipts[0].wait(timeout=0.1)
            assert ended.value.outcome == "pending"
            stalled.undo()
            assert [(await receipt).offset for receipt in receipts] == list(range(1, 11))


async def test_h11_an_error_of_the_server_is_never_a_success(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        for delivery in ("at_most_once", "at_least_once"):
            async with client.producer(topic, delivery=delivery) as producer:
                world.cluster.faults.fail_next(5001, "produce", 10)
                with pytest.raises(RecordTooLargeError) as refused:
                    await producer.send(b"refused")
                assert (refused.value.code, refused.value.outcome) == (10, "not_written")
                world.cluster.faults.fail_next(5001, "produce", 3000)
                if delivery == "at_most_once":
                    with pytest.raises(ServerError) as pending:
                        await producer.send(b"not sent again")
                    assert (type(pending.value), pending.value.code) == (ServerError, 3000)
                else:
                    assert (await producer.send(b"sent again")).offset == 0


async def test_h12_a_partition_goes_on_after_an_error(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for _ in range(3):
                world.cluster.faults.fail_next(5001, "produce", 2)
                with pytest.raises(ServerError) as failed:
                    await producer.send(b"refused")
                assert type(failed.value) is ServerError
                assert (failed.value.code, failed.value.outcome) == (2, "unknown")
                await producer.send(b"accepted")
            world.cluster.faults.fail_next(5001, "produce", 2)
            await producer.enqueue(b"nobody looks")
            with pytest.raises(DeliveryError) as reported:
                await producer.flush()
            assert reported.value.count == 1


async def test_h14_a_closed_producer_leaves_nothing(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"once")
        with nothing_left():
            for _ in range(20):
                async with client.producer(topic) as producer:
                    await producer.send(b"again")


async def test_h15_the_environment_is_read_when_it_is_needed(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalCluster() as other:
        for cluster in (world.cluster, other):
            profile = tmp_path / f"{cluster.pid}"
            profile.write_text(cluster.profile_toml())
            monkeypatch.setenv("FLV_PROFILE_PATH", str(profile))
            async with world.connect_with() as client:
                assert client.endpoint == cluster.endpoint
