"""Producers."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import (
    ClosedError,
    ConfigError,
    ConfigTypeError,
    DeliveryError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    PartitionNotFoundError,
    ProducerRecord,
    RecordTooLargeError,
    TopicNotFoundError,
    UsageError,
)


async def read_all(client: Any, topic: str) -> list[Any]:
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return [record async for record in consumer]


async def test_send(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            assert producer.topic == topic
            before = int(time.time() * 1000)
            for number, value in enumerate((b"bytes", bytearray(b"array"), memoryview(b"view"), "text é", b"")):
                meta = await producer.send(value, key=None if number % 2 else "k")
                assert (meta.topic, meta.partition, meta.offset) == (topic, 0, number)
                assert before - 1000 <= meta.timestamp <= int(time.time() * 1000) + 1000
            meta = await producer.send(b"late", key=b"", timestamp=12345)
            assert meta.timestamp == 12345
        records = await read_all(client, topic)
        assert [record.value for record in records] == [b"bytes", b"array", b"view", "text é".encode(), b"", b"late"]
        assert [record.key for record in records] == [b"k", None, b"k", None, b"k", b""]
        assert records[-1].timestamp == 12345


async def test_enqueue_and_receipts(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, linger=0.05) as producer:
            receipts = [await producer.enqueue(b"%d" % number) for number in range(100)]
            assert producer.pending.records > 0
            with pytest.raises(UsageError, match="not settled"):
                (await producer.enqueue(b"")).result()
            assert [(await receipt).offset for receipt in receipts] == list(range(100))
            assert (await receipts[3]) == (await receipts[3].wait(timeout=0)) == receipts[3].result()
            assert receipts[3].done()
            assert receipts[3].exception() is None
            assert "offset 3" in repr(receipts[3])
            await producer.flush()
            assert producer.pending == (0, 0)


async def test_send_all(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            result = await producer.send_all([b"%d" % number for number in range(5000)])
            assert len(result) == result.count == 5000
            assert result.errors == {}
            assert [meta.offset for meta in result] == list(range(5000))
            mixed = await producer.send_all(
                iter([b"a", "b", (b"k", b"c"), ("k", "d"), ProducerRecord(b"e", timestamp=9)])
            )
            assert mixed[4].timestamp == 9
            assert len(await producer.send_all([])) == 0
        records = await read_all(client, topic)
        assert [record.value for record in records[:5000]] == [b"%d" % number for number in range(5000)]
        assert [(record.key, record.value) for record in records[5000:]] == [
            (None, b"a"),
            (None, b"b"),
            (b"k", b"c"),
            (b"k", b"d"),
            (None, b"e"),
        ]
        async with client.producer(topic) as producer:
            again = await producer.send_all(records[5000:])
            assert again[0].offset == 5005


@pytest.mark.backends("asyncio", "trio")
async def test_send_all_takes_asynchronous_iterables(world: World) -> None:
    async def source() -> Any:
        for number in range(3000):
            if number % 700 == 0:
                await world.sleep(0.001)
            yield b"%d" % number

    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            result = await producer.send_all(source())
            assert [meta.offset for meta in result] == list(range(3000))
        assert [record.value for record in await read_all(client, topic)] == [b"%d" % number for number in range(3000)]


async def test_a_bad_element_of_send_all(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            with pytest.raises(ConfigError, match="record 2000"):
                await producer.send_all([b"x"] * 2000 + [None] + [b"y"])
            for bad in ("text", b"bytes", bytearray(b"x"), ProducerRecord(b"x")):
                with pytest.raises(ConfigTypeError, match=f"records must be .* not .*{type(bad).__name__}"):
                    await producer.send_all(bad)
            with pytest.raises(DeliveryError, match=r"record 1: .* has no partition 7") as raised:
                await producer.send_all([b"good", ProducerRecord(b"", partition=7), b"not sent"])
            assert isinstance(raised.value.__cause__, PartitionNotFoundError)
        assert [record.value for record in await read_all(client, topic)] == [b"x"] * 2000 + [b"good"]


async def test_partitions(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        async with client.producer(topic) as producer:
            for partition in (0, 1, 2, 1):
                assert (await producer.send(b"x", partition=partition)).partition == partition
            with pytest.raises(PartitionNotFoundError) as raised:
                await producer.send(b"x", partition=3)
            assert raised.value.outcome == "not_written"
            for bad in (-1, "0", True):
                with pytest.raises(ConfigError, match="partition"):
                    await producer.send(b"x", partition=bad)
            keyed = {(await producer.send(b"x", key="one")).partition for _ in range(5)}
            assert len(keyed) == 1
            result = await producer.send_all([ProducerRecord(b"p", partition=number % 3) for number in range(300)])
            assert [meta.partition for meta in result] == [number % 3 for number in range(300)]


async def test_a_record_that_is_too_large_disturbs_nothing(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, max_request_size=10_000, buffer_size=20_000) as producer:
            receipts = [await producer.enqueue(b"%d" % number) for number in range(10)]
            for size in (9_999, 10_000, 10_001, 1_000_000):
                with pytest.raises(RecordTooLargeError) as raised:
                    await producer.enqueue(b"x" * size)
                assert raised.value.outcome == "not_written"
            receipts += [await producer.enqueue(b"%d" % number) for number in range(10)]
            assert [(await receipt).offset for receipt in receipts] == list(range(20))


@pytest.mark.parametrize("place", (0, 1, 700, 1499))
async def test_send_all_of_which_one_record_is_too_large(world: World, place: int) -> None:
    records = [b"%d" % number for number in range(1500)]
    records[place] = b"x" * 20_000
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, max_request_size=10_000) as producer:
            with pytest.raises(DeliveryError) as raised:
                await producer.send_all(records)
            error = raised.value
            why = f"record {place}: the record has 20000 bytes of key and value, too many for a request: "
            assert str(error) == f"1 record for {topic!r} failed: {why}max_request_size is 10000"
            assert (error.count, error.outcome, error.retriable) == (1, "not_written", False)
            assert isinstance(error.__cause__, RecordTooLargeError)
            result = error.result
            assert result is not None
            assert (len(result), result.count, list(result.errors)) == (place + 1, place, [place])
            assert [meta.offset for meta in result[:place]] == list(range(place))
            with pytest.raises(RecordTooLargeError):
                result[place]
            await producer.send(b"the next one")
        assert [record.value for record in await read_all(client, topic)] == [*records[:place], b"the next one"]


async def test_bad_arguments(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            bad: list[tuple[str, Any, dict[str, Any]]] = [
                ("value", 5, {}),
                ("value", None, {}),
                ("key", b"", {"key": 5}),
                ("timestamp", b"", {"timestamp": 1.5}),
                ("timestamp", b"", {"timestamp": -1}),
                ("timeout", b"", {"timeout": -1}),
            ]
            for name, value, keywords in bad:
                with pytest.raises(ConfigError, match=name):
                    await producer.send(value, **keywords)
            assert producer.pending.records == 0
        for name, option in (
            ("batch_size", 0),
            ("linger", -1),
            ("linger", "2m"),
            ("max_request_size", 5),
            ("buffer_size", 5),
            ("max_in_flight", 0),
            ("isolation", "none"),
            ("delivery", "exactly_once"),
            ("delivery_timeout", 0),
        ):
            with pytest.raises(ConfigError, match=name):
                client.producer(topic, **{name: option})
                if world.is_sync:
                    await client.producer(topic, **{name: option})
        with pytest.raises(TopicNotFoundError) as raised:
            await client.producer("there-is-no-such-topic")
        assert raised.value.topic == "there-is-no-such-topic"


async def test_room_runs_out_and_comes_back(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, buffer_size="64KiB", max_request_size="16KiB") as producer:
            receipts = [await producer.enqueue(b"%06d" % number + b"x" * 1000) for number in range(2000)]
            assert [(await receipt).offset for receipt in receipts] == list(range(2000))
            assert producer.pending == (0, 0)
            await producer.send_all([b"%06d" % number + b"x" * 1000 for number in range(2000)])
        values = [int(record.value[:6]) for record in await read_all(client, topic)]
        assert values == list(range(2000)) * 2


async def test_no_room_in_time(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, buffer_size=10_000, max_request_size=10_000, linger=0.3) as producer:
            accepted = 0
            with pytest.raises(FluvioTimeoutError) as raised:
                while True:
                    await producer.enqueue(b"x" * 1000, timeout=0)
                    accepted += 1
                    assert accepted < 1000
            assert raised.value.phase == "enqueue"
            assert raised.value.outcome == "not_written"
            await producer.flush()
        assert len(await read_all(client, topic)) == accepted


async def test_the_wait_for_a_receipt_ends_and_the_record_goes_on(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            before = await producer.send(b"before")
            stalled = world.cluster.faults.stall(5001)
            try:
                with pytest.raises(FluvioTimeoutError) as raised:
                    await producer.send(b"slow", timeout=0)
            finally:
                stalled.undo()
            assert (raised.value.phase, raised.value.outcome) == ("wait", "pending")
            receipt: Any = raised.value.receipt
            meta = receipt.wait(5) if world.is_sync else await receipt.wait(5)
            assert meta.offset == before.offset + 1
        assert [record.value for record in await read_all(client, topic)] == [b"before", b"slow"]


async def test_closing(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        producer = await client.producer(topic)
        receipts = [await producer.enqueue(b"x") for _ in range(100)]
        await producer.close()
        assert all(receipt.done() for receipt in receipts)
        await producer.close()
        assert producer.closed
        for use in (producer.send(b""), producer.enqueue(b""), producer.send_all([b""]), producer.flush()):
            with pytest.raises(ClosedError):
                await use
        assert (await receipts[5]).offset == 5


@pytest.mark.backends("asyncio", "uvloop")
async def test_enqueue_does_not_suspend_while_there_is_room(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for _ in range(10):
                with pytest.raises(StopIteration):
                    producer.enqueue(b"x").send(None)
                await world.sleep(0.002)


@pytest.mark.backends("asyncio", "uvloop")
async def test_room_is_handed_out_first_come_first_served(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, buffer_size=5_000, max_request_size=5_000) as producer:
            order: list[int] = []

            async def one(number: int) -> None:
                await producer.enqueue(b"x" * (3000 if number % 3 == 0 else 10))
                order.append(number)

            await asyncio.gather(*[one(number) for number in range(100)])
            # The small ones may find room without waiting, and then let others have their turn first.
            assert sorted(order) == list(range(100))
            assert [number for number in order if number % 3 == 0] == list(range(0, 100, 3))


@pytest.fixture
def no_collection() -> Iterator[None]:
    """A garbage collection of all that the tests have made takes long."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_other_tasks_run_meanwhile(world: World, no_collection: None) -> None:
    """While a task enqueues without a pause, and while one reads, the others get their turn about every millisecond.

    It is the processor's time of this thread that counts: what else the machine does may make a turn longer on the
    clock, but not in this. That nothing blocks here without working, the clock has to say, less strictly; strictly it
    is said by test_loop_health.py, on a machine that does nothing else.
    """
    import anyio

    async with world.connect() as client:
        topic = await world.topic(client)
        worked: list[float] = []
        passed: list[float] = []

        async def tick() -> None:
            work, clock = time.thread_time(), time.perf_counter()
            while True:
                await world.sleep(0)
                worked.append(time.thread_time() - work)
                passed.append(time.perf_counter() - clock)
                work, clock = time.thread_time(), time.perf_counter()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tick)
            async with client.producer(topic) as producer:
                for _ in range(50_000):
                    await producer.enqueue(b"x" * 10)
                await producer.send_all(b"y" for _ in range(50_000))
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                assert sum([1 async for _ in consumer]) == 100_000
            tasks.cancel_scope.cancel()
        worked.sort()
        passed.sort()
        assert len(worked) > 100
        assert worked[-4] < 0.005
        assert worked[-1] < 0.02
        assert passed[int(len(passed) * 0.99)] < 0.02


async def test_no_request_is_larger_than_asked(world: World) -> None:
    """A `batch_size` above `max_request_size` makes batches that fill a request."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, batch_size=1 << 20, max_request_size=4096, linger=0.05) as producer:
            await producer.send(b"first")
            before = client.metrics().requests
            result = await producer.send_all([b"x" * 100] * 1000)
            assert result.count == 1000
            # Each record takes 100 bytes and a few.
            requests = client.metrics().requests - before
            assert 1000 * 100 / 4096 <= requests <= 2 * 1000 * 110 / 4096


async def test_keys_are_spread_over_partitions_that_are_added(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                assert {(await producer.send(b"x", key=b"%d" % key)).partition for key in range(20)} == {0}
                await client.admin.topics.add_partitions(topic, 3)
                deadline = time.monotonic() + 10
                while {(await producer.send(b"x", key=b"%d" % key)).partition for key in range(40)} != {0, 1, 2, 3}:
                    assert time.monotonic() < deadline
                # Where a key goes depends on it and on the number of partitions alone.
                async with client.producer(topic) as other:
                    for key in range(20):
                        here = await producer.send(b"x", key=b"%d" % key)
                        assert here.partition == (await other.send(b"x", key=b"%d" % key)).partition
