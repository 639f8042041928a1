"""What becomes of a record that a server answers with an error code: the table of the documentation, row by row."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import World

import fluvio_cffi
from fluvio_cffi import (
    DeliveryUnknownError,
    LocalCluster,
    Offset,
    SmartModuleError,
    StorageError,
    TopicNotFoundError,
)

pytestmark = pytest.mark.timeout(60)

SPU = 5001
ERRORS = Path(__file__).parents[2] / "docs" / "errors.md"
TABLE = {
    int(code): (getattr(fluvio_cffi, name), again == "yes", advice)
    for code, name, again, advice in re.findall(
        r"^\| (-?\d+) \| `\w+` \| `(\w+)` \| (yes|no) \| (.+) \|$", ERRORS.read_text(encoding="utf-8"), re.MULTILINE
    )
}
RETRIED = (6, 1002, 2003, 3000, 3001)
STORAGE = (56, 73)
UNKNOWN_OUTCOME = (-1, 2, 7)


@pytest.fixture(scope="module")
def failing() -> Iterator[LocalCluster]:
    """A cluster whose answers the tests make up."""
    with LocalCluster() as cluster:
        yield cluster


async def stored(client: Any, topic: str) -> list[bytes]:
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return [record.value async for record in consumer]


@pytest.mark.backends("asyncio", "sync")
@pytest.mark.parametrize("code", RETRIED)
async def test_sent_again(world: World, failing: LocalCluster, code: int) -> None:
    async with world.connect(failing.endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            failing.faults.fail_next(SPU, "produce", code)
            assert (await producer.send(b"x")).offset == 0
        metrics = client.metrics()
        assert (metrics.retries, metrics.duplicates_possible) == (1, 0)
        assert metrics.errors == {TABLE[code][0].__name__: 1}
        async with client.producer(topic, delivery="at_most_once") as producer:
            failing.faults.fail_next(SPU, "produce", code)
            with pytest.raises(TABLE[code][0]) as failed:
                await producer.send(b"y")
            assert (failed.value.code, failed.value.outcome, failed.value.retriable) == (code, "not_written", True)
        assert client.metrics().retries == 1
        assert await stored(client, topic) == [b"x"]


@pytest.mark.backends("asyncio", "sync")
async def test_a_topic_that_is_gone(world: World, failing: LocalCluster) -> None:
    """Code 6 is also what an SPU says of a topic that it does not know: the controller is asked, and the error is there
    at once."""
    async with world.connect(failing.endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"x")
            await client.admin.topics.delete(topic)
            start = time.monotonic()
            with pytest.raises(TopicNotFoundError) as gone:
                await producer.send(b"y")
            assert time.monotonic() - start < 2
            assert (gone.value.topic, gone.value.outcome) == (topic, "not_written")


@pytest.mark.backends("asyncio", "sync")
async def test_fails_alone(world: World, failing: LocalCluster) -> None:
    """Each code of the table that is neither retried nor about storage: its class, its code, its outcome; never sent
    again, and what comes next is written."""
    codes = sorted(TABLE.keys() - set(RETRIED) - set(STORAGE))
    assert {-1, 2, 7, 10, 13, 72, 6004, 9000, 11003} <= set(codes)
    async with world.connect(failing.endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for code in codes:
                failing.faults.fail_next(SPU, "produce", code)
                cls, again, advice = TABLE[code]
                with pytest.raises(cls) as failed:
                    await producer.send(b"refused with %d" % code)
                error = failed.value
                assert type(error) is cls
                assert (error.code, error.retriable) == (code, again)
                assert (error.topic, error.partition) == (topic, 0)
                assert error.outcome == ("unknown" if code in UNKNOWN_OUTCOME else "not_written")
                assert str(error).endswith(advice)
                await producer.send(b"after %d" % code)
        metrics = client.metrics()
        assert (metrics.retries, metrics.duplicates_possible, metrics.reordered) == (0, 0, 0)
        assert sum(metrics.errors.values()) == len(codes)
        # Code 7 says that the leader has it.
        expected = [[b"after %d" % code] if code != 7 else [b"refused with 7", b"after 7"] for code in codes]
        assert await stored(client, topic) == [value for values in expected for value in values]


@pytest.mark.backends("asyncio", "sync")
async def test_of_a_batch_that_is_refused_all_records_hear(world: World, failing: LocalCluster) -> None:
    async with world.connect(failing.endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic, linger=0.05) as producer:
            failing.faults.fail_next(SPU, "produce", 7)
            receipts = [await producer.enqueue(b"%d" % number) for number in range(5)]
            for receipt in receipts:
                with pytest.raises(DeliveryUnknownError) as failed:
                    await receipt.wait()
                assert not failed.value.retriable


@pytest.mark.backends("asyncio", "sync")
@pytest.mark.parametrize("code", STORAGE)
@pytest.mark.parametrize("remedy", ["restart", "move"])
async def test_storage_fails_fast(world: World, code: int, remedy: str) -> None:
    """Nothing more is sent to an SPU that cannot store until it has started again, or another one leads."""
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            other = await world.topic(client)
            async with client.producer(topic) as producer, client.producer(other) as unconcerned:
                await producer.send(b"before")
                leader = SPU
                cluster.faults.fail_next(leader, "produce", code)
                with pytest.raises(StorageError) as failed:
                    await producer.send(b"refused")
                assert failed.value.code == code
                requests = client.metrics().requests
                for _ in range(10):
                    with pytest.raises(StorageError) as fast:
                        await producer.send(b"refused")
                    assert (fast.value.code, fast.value.outcome) == (code, "not_written")
                assert client.metrics().requests == requests
                await unconcerned.send(b"fine")
                if remedy == "restart":
                    cluster.kill_spu(leader)
                    cluster.start_spu(leader)
                else:
                    moves = client.events()
                    cluster.faults.move(topic, 0, SPU + 1)
                    while (await moves.receive(timeout=5)).kind != "leader_changed":
                        pass
                await until_sent(world, producer, b"after")
            assert await stored(client, topic) == [b"before", b"after"]


async def until_sent(world: World, producer: Any, value: bytes) -> None:
    """Until the producer has heard that things have changed."""
    deadline = time.monotonic() + 10
    while True:
        try:
            await producer.send(value)
            return
        except StorageError:
            assert time.monotonic() < deadline
            await world.sleep(0.01)


@pytest.mark.backends("asyncio", "sync")
async def test_a_full_disk(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"before")
                full = cluster.faults.disk_full(SPU)
                codes: list[int | None] = []
                for _ in range(4):
                    with pytest.raises(StorageError) as failed:
                        await producer.send(b"refused")
                    codes.append(failed.value.code)
                assert codes == [72, 73, 73, 73]
                full.undo()
                cluster.kill_spu(SPU)
                cluster.start_spu(SPU)
                await until_sent(world, producer, b"after")
            assert await stored(client, topic) == [b"before", b"after"]


@pytest.mark.backends("asyncio", "sync")
async def test_what_is_known_of_a_smart_module(world: World, failing: LocalCluster) -> None:
    async with world.connect(failing.endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            failing.faults.fail_next(SPU, "produce", 6004)
            with pytest.raises(SmartModuleError) as failed:
                await producer.send(b"x")
            # The made-up answer has no details.
            assert (failed.value.offset, failed.value.key, failed.value.hint) == (0, None, None)


@pytest.mark.backends("asyncio", "sync")
@pytest.mark.parametrize(("request_timeout", "delivery_timeout"), [(10, 1), (0.3, 30)])
async def test_a_silent_server_is_given_up_in_time(
    world: World, request_timeout: float, delivery_timeout: float
) -> None:
    """After `request_timeout`, but no later than half of `delivery_timeout`, so that there is time to try again."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint, request_timeout=request_timeout) as client:
            topic = await world.topic(client)
            async with client.producer(topic, delivery_timeout=delivery_timeout) as producer:
                await producer.send(b"before")
                stalled = cluster.faults.stall(SPU)
                start = time.monotonic()
                receipt = await producer.enqueue(b"in the silence")
                while not client.metrics().errors:
                    await world.sleep(0.005)
                given_up = time.monotonic() - start
                stalled.undo()
                expected = min(request_timeout, delivery_timeout / 2)
                assert expected - 0.05 < given_up < expected + 0.4
                assert (await receipt).offset >= 1
            assert client.metrics().reconnects == 1


@pytest.mark.backends("sync")
async def test_errors_of_streams_have_the_same_classes(world: World, failing: LocalCluster) -> None:
    async with world.connect(failing.endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"x")
        for code in (13, 56, 2001, 6002):
            failing.faults.fail_next(SPU, "stream", code)
            consumer = await client.consumer(topic, start=Offset.beginning())
            with pytest.raises(TABLE[code][0]) as failed:
                await consumer.receive(timeout=5)
            assert (type(failed.value), failed.value.code) == (TABLE[code][0], code)
            await consumer.close()
