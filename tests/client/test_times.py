"""Times as ``datetime``, pings, and what is counted by topic."""

from __future__ import annotations

import datetime as dt
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import (
    ClosedError,
    ConfigError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    ProducerRecord,
    Record,
    TopicMetrics,
)

pytestmark = pytest.mark.timeout(60)

EAST = dt.timezone(dt.timedelta(hours=5, minutes=45))
WHEN = dt.datetime(2026, 3, 4, 5, 6, 7, 891_999, tzinfo=EAST)


async def test_a_datetime_is_taken_wherever_a_timestamp_is(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            expected = int(WHEN.timestamp() * 1_000)
            assert (await producer.send(b"send", timestamp=WHEN)).timestamp == expected
            receipt = await producer.enqueue(b"enqueue", timestamp=WHEN)
            assert (await receipt.wait()).timestamp == expected
            result = await producer.send_all([ProducerRecord(b"all", timestamp=WHEN), b"now"])
            assert result[0].timestamp == expected
            assert result[1].timestamp > expected
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            records = [record async for record in consumer]
        cut = WHEN.replace(microsecond=891_000).astimezone(dt.timezone.utc)
        assert [record.datetime for record in records[:3]] == [cut] * 3
        assert records[0].datetime is not None
        assert records[0].datetime.tzinfo is dt.timezone.utc
        now = records[3].datetime
        assert now is not None
        assert abs(dt.datetime.now(dt.timezone.utc) - now) < dt.timedelta(minutes=1)


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        (dt.datetime(2026, 1, 1), "timestamp is a datetime without a time zone: it must have one"),
        (dt.datetime(1969, 1, 1, tzinfo=EAST), "timestamp, in milliseconds since the epoch, is -315"),
        (dt.date(2026, 1, 1), "timestamp, in milliseconds since the epoch, must be an int, not a date"),
        (1.5, "timestamp, in milliseconds since the epoch, must be an int, not 1.5"),
    ],
)
async def test_what_is_no_timestamp(world: World, timestamp: Any, words: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for use in (producer.send, producer.enqueue):
                with pytest.raises(ConfigError, match=words):
                    await use(b"x", timestamp=timestamp)
            with pytest.raises(ConfigError, match="record 1: " + words):
                await producer.send_all([b"x", ProducerRecord(b"x", timestamp=timestamp)])


def test_records_without_a_time_and_beyond_all_times() -> None:
    assert Record("t", 0, 0, None, None, b"").datetime is None
    assert Record("t", 0, 0, 0, None, b"").datetime == dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
    with pytest.raises(OverflowError):
        _ = Record("t", 0, 0, (1 << 63) - 1, None, b"").datetime


async def test_ping(world: World) -> None:
    async with world.connect() as client:
        for _ in range(3):
            assert 0 < await client.ping() < 10
        assert 0 < await client.ping(timeout=None) < 10
        with pytest.raises(ConfigError, match="timeout"):
            await client.ping(timeout=-1)
    with pytest.raises(ClosedError):
        await client.ping()


async def test_ping_while_the_sc_is_away(world: World, tmp_path: Path) -> None:
    with LocalCluster(tmp_path) as cluster:
        async with world.connect(cluster.endpoint) as client:
            await client.ping()
            away = cluster.faults.kill_controller()
            with pytest.raises(FluvioTimeoutError, match="asking whether the SC is there") as late:
                await client.ping(timeout=0.3)
            assert late.value.phase == "admin"
            timer = threading.Timer(0.3, away.undo)
            timer.start()
            assert await client.ping(timeout=30) < 10
            timer.join()


async def test_what_is_counted_by_topic(world: World) -> None:
    async with world.connect() as client:
        first, second = await world.topic(client), await world.topic(client)
        assert client.metrics().topics == {}
        for topic, count in ((first, 300), (second, 20)):
            async with client.producer(topic) as producer:
                await producer.send_all([(b"key", b"value")] * count)
        async with client.consumer([first, second], start=Offset.beginning(), stop_at_end=True) as consumer:
            assert len([record async for record in consumer]) == 320
        metrics = client.metrics()
        assert metrics.topics == {
            first: TopicMetrics(300, 2_400, 300, 2_400),
            second: TopicMetrics(20, 160, 20, 160),
        }
        assert metrics.records_produced == 320
        assert metrics.records_consumed == 320
        assert pickle.loads(pickle.dumps(metrics)) == metrics
    assert client.metrics().topics[first].records_consumed == 300
