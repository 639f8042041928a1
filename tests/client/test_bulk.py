"""Much data arrives once, in order, and without a gap, at default settings."""

from __future__ import annotations

import pytest
from conftest import World
from laws import LONG, has_long_form

from fluvio_cffi import Offset

COUNT = 1_000_000 if LONG else 200_000
BACKLOG = 100_000_000 if LONG else 30_000_000
STEP = 10_000


def value(number: int) -> bytes:
    """100 bytes."""
    return b"%010d" % number + b"x" * 90


@has_long_form
@pytest.mark.timeout(240 if LONG else 60)
async def test_records_of_100_bytes(world: World) -> None:
    """They arrive once, in order, through batches and one by one."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            result = await producer.send_all(map(value, range(COUNT)))
            assert (len(result), result.count, result.errors) == (COUNT, COUNT, {})
            assert [result[at].offset for at in range(0, COUNT, STEP)] == list(range(0, COUNT, STEP))
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            expected = 0
            async for batch in consumer.batches():
                values = batch.value_list()
                assert values == [*map(value, range(expected, expected + len(values)))]
                assert batch.offset_list() == [*range(expected, expected + len(values))]
                expected += len(values)
            assert expected == COUNT
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            expected = 0
            async for record in consumer:
                assert (record.offset, record.value) == (expected, value(expected))
                expected += 1
            assert expected == COUNT
            assert consumer.position() == {0: COUNT}


@has_long_form
@pytest.mark.timeout(240 if LONG else 60)
@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("size", [16 * 1024, 900_000])
async def test_a_backlog(world: World, size: int) -> None:
    """Batches of the usual size, and batches that are nearly as large as a reply."""
    # One record to a batch, as large as it, and small ones in between, which share batches.
    pattern = [size - 200, 1, size // 3, size // 3, size // 3, 100]
    values: list[int] = []
    total = 0
    while total < BACKLOG:
        values.append(pattern[len(values) % len(pattern)])
        total += values[-1]

    def record(number: int) -> bytes:
        return (b"%08d" % number).ljust(values[number], b".")

    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, batch_size=size, max_request_size=max(size, 1_048_576)) as producer:
            result = await producer.send_all(map(record, range(len(values))))
            assert result.count == len(values)
        for one_by_one in (False, True):
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                expected = 0
                if one_by_one:
                    async for item in consumer:
                        assert (item.offset, item.value) == (expected, record(expected))
                        expected += 1
                else:
                    async for batch in consumer.batches():
                        for item in batch:
                            assert (item.offset, item.value) == (expected, record(expected))
                            expected += 1
                assert expected == len(values)
