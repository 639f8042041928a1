"""Starts by time: what halving the log finds is what looking at all records finds."""

from __future__ import annotations

import datetime as dt
import random
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import (
    ClosedError,
    ConfigError,
    CorruptRecordError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    ProducerRecord,
    Record,
    SmartModule,
)

pytestmark = pytest.mark.timeout(60)

PASS = SmartModule(path=Path(__file__).parent.parent / "smartmodules" / "pass.wasm")


def scan(records: list[Record], when: int, end: int) -> int:
    """The first record that is not older, by looking at all of them."""
    return next((each.offset for each in records if (each.timestamp or -1) >= when), end)


async def read(client: Any, topic: str) -> list[Record]:
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return [record async for record in consumer]


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_several_segments_and_batches_of_all_sizes(world: World, codec: Any) -> None:
    steps = random.Random(7)
    now = 1_000
    async with world.connect() as client:
        topic = await world.topic(client, segment_size=20_000)
        for _ in range(25):
            batch = []
            for _ in range(steps.choice([1, 2, 30, 200])):
                now += steps.choice([0, 0, 1, 5, 50])
                batch.append(ProducerRecord(b"x" * steps.randrange(60), timestamp=now))
            async with client.producer(topic, compression=codec, batch_size=steps.choice([500, 16_384])) as producer:
                await producer.send_all(batch)
        records = await read(client, topic)
        end = len(records)
        times = [0, 1_000, 1_001, now, now + 1, 1 << 62, *[steps.randrange(1_000, now) for _ in range(20)]]
        async with client.consumer(topic) as consumer:
            for when in times:
                await consumer.seek(0, Offset.since(when))
                assert consumer.position() == {0: scan(records, when, end)}, when
        for when in times[:4]:
            async with client.consumer(topic, start=Offset.since(when)) as consumer:
                assert consumer.position() == {0: scan(records, when, end)}


async def test_each_partition_by_itself_empty_ones_and_evicted_beginnings(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=4)
        async with client.producer(topic, batch_size=200) as producer:
            for partition in (0, 1):
                times = range(1_000 * partition, 1_000 * partition + 500)
                await producer.send_all([ProducerRecord(b"x", partition=partition, timestamp=when) for when in times])
        world.cluster.faults.evict(topic, 1, 300)
        world.cluster.faults.evict(topic, 2, 0)
        async with client.consumer(topic, start=Offset.since(499)) as consumer:
            assert consumer.position() == {0: 499, 1: 300, 2: 0, 3: 0}
        async with client.consumer(topic, start={1: Offset.since(1_400), 0: Offset.at(7)}) as consumer:
            assert consumer.position() == {0: 7, 1: 400, 2: 0, 3: 0}
        async with client.consumer(topic, start=Offset.since(1_400), stop_at_end=True) as consumer:
            records = [record async for record in consumer]
            assert [(each.partition, each.offset) for each in records] == [(1, offset) for offset in range(400, 500)]
        with pytest.raises(ClosedError):
            async with client.consumer(topic, start=Offset.since(5_000), stop_at_end=True) as consumer:
                await consumer.receive()


async def test_a_batch_that_is_larger_than_a_first_look(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for when in range(8):
                await producer.send(b"x" * (300_000 if when % 2 else 10), timestamp=when)
        async with client.consumer(topic) as consumer:
            for when in range(9):
                await consumer.seek(0, Offset.since(when))
                assert consumer.position() == {0: when}


async def test_records_without_a_time_are_older_than_all_others(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, smartmodules=PASS, batch_size=300) as producer:
            await producer.send_all([b"no time"] * 50)
        async with client.producer(topic, batch_size=300) as producer:
            await producer.send_all([ProducerRecord(b"x", timestamp=5) for _ in range(50)])
        records = await read(client, topic)
        assert {each.datetime for each in records[:50]} == {None}
        async with client.consumer(topic, start=Offset.since(0)) as consumer:
            assert consumer.position() == {0: 50}


async def test_times_that_do_not_rise_lead_to_a_record_that_is_not_older(world: World) -> None:
    times = random.Random(3)
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, batch_size=300) as producer:
            records = [ProducerRecord(b"x", timestamp=times.randrange(100)) for _ in range(500)]
            await producer.send_all(records)
        async with client.consumer(topic) as consumer:
            for when in range(0, 100, 7):
                await consumer.seek(0, Offset.since(when))
                (found,) = consumer.position().values()
                stamp = records[found].timestamp if found < 500 else when
                assert isinstance(stamp, int)
                assert stamp >= when


async def test_datetimes_and_ages(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        now = time.time_ns() // 1_000_000
        async with client.producer(topic) as producer:
            for seconds in (3_600, 600, 60, 0):
                await producer.send(b"x", timestamp=now - seconds * 1_000)
        when = dt.datetime.fromtimestamp(now / 1_000 - 61, dt.timezone(dt.timedelta(hours=5)))
        for start, position in (
            (Offset.since("2h"), 0),
            (Offset.since("15m"), 1),
            (Offset.since("10s"), 3),
            (Offset.since(when), 2),
            (Offset.since(now - 60_000), 2),
        ):
            async with client.consumer(topic, start=start) as consumer:
                assert consumer.position() == {0: position}
        # An age is counted from when it is used.
        age = Offset.since("50ms")
        await producer_of(client, topic, b"new")
        async with client.consumer(topic, start=age) as consumer:
            assert consumer.position() in ({0: 3}, {0: 4})
        await world.sleep(0.1)
        async with client.consumer(topic, start=age) as consumer:
            assert consumer.position() == {0: 5}


async def producer_of(client: Any, topic: str, value: bytes) -> None:
    async with client.producer(topic) as producer:
        await producer.send(value)


async def test_what_is_stored_wins_and_resets_take_times(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all([ProducerRecord(b"x", timestamp=when) for when in range(100)])
        offsets = client.admin.consumer_offsets
        stored = await offsets.reset(consumer_id="by-time", topic=topic, partition=0, to=Offset.since(30))
        assert stored.offset == 29
        async with client.consumer(topic, consumer_id="by-time", start=Offset.since(70)) as consumer:
            assert consumer.position() == {0: 30}
        async with client.consumer(topic, consumer_id="by-time", start=Offset.since(70), resume=False) as consumer:
            assert consumer.position() == {0: 70}
        stored = await offsets.reset(consumer_id="by-time", topic=topic, partition=0, to=Offset.since(1_000))
        assert stored.offset == 99


@pytest.mark.parametrize("when", [dt.datetime(2026, 1, 1), None, 1.5, True, -1, "soon", b"10m", dt.date(2026, 1, 1)])
def test_what_is_no_time(when: Any) -> None:
    with pytest.raises(ConfigError, match="when, as an age in milliseconds, is 8640"):
        Offset.since("99999999999999999999d")
    with pytest.raises(ConfigError, match="when"):
        Offset.since(when)
    assert repr(Offset.since("1m")) == "Offset.since('60000ms')"
    assert repr(Offset.since(7)) == "Offset.since(7)"
    assert Offset.since(dt.datetime(1970, 1, 2, tzinfo=dt.timezone.utc)) == Offset.since(86_400_000)


async def test_a_batch_that_cannot_be_read_is_named(world: World, tmp_path: Path) -> None:
    with LocalCluster(tmp_path) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                for when in range(3):
                    await producer.send(b"x", timestamp=when)
            (log,) = [path for path in tmp_path.rglob("*.log") if topic in str(path) and path.stat().st_size]
            content = bytearray(log.read_bytes())
            content[len(content) * 2 // 3 - 1] ^= 0xFF
            log.write_bytes(content)
            with pytest.raises(CorruptRecordError, match="and so no times") as damaged:
                await client.consumer(topic, start=Offset.since(2))
            assert (damaged.value.topic, damaged.value.partition, damaged.value.offset) == (topic, 0, 1)


async def test_an_spu_that_goes_and_comes_is_waited_for(world: World, tmp_path: Path) -> None:
    with LocalCluster(tmp_path) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic, batch_size=200) as producer:
                await producer.send_all([ProducerRecord(b"x", timestamp=when) for when in range(1_000)])
            async with client.consumer(topic) as consumer:
                cluster.kill_spu(5001)
                with pytest.raises(FluvioTimeoutError):
                    await consumer.seek(0, Offset.since(500), timeout=0.3)
                cluster.start_spu(5001)
                # The seek is in force: only the wait was given up.
                assert (await consumer.receive(timeout=30)).offset == 500
