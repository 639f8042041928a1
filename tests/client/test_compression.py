"""Compression: every codec comes back, and the topic's own setting holds."""

from __future__ import annotations

import time

import pytest
from conftest import World

from fluvio_cffi import ConfigError, Offset


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_codec(world: World, codec: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        values = [b"%06d" % number * 20 for number in range(3000)]
        async with client.producer(topic, compression=codec, batch_size="100KiB") as producer:
            await producer.send_all(values)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, prefetch=50_000) as consumer:
            assert [record.value async for record in consumer] == values


async def test_the_topics_setting(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, compression="lz4")
        with pytest.raises(ConfigError, match="lz4"):
            await client.producer(topic, compression="zstd")
        with pytest.raises(ConfigError, match="'zstd'"):
            await client.producer(topic, compression="brotli")
        async with client.producer(topic) as producer:
            await producer.send(b"follows the topic")
        async with client.producer(topic, compression="lz4") as producer:
            assert (await producer.send(b"says the same")).offset == 1


@pytest.mark.timeout(40)
async def test_replies_that_unpack_to_much_more_than_the_prefetch(world: World) -> None:
    """The reader stops and goes on some thousand times, and each time at once: there is no probe's 10 s to wait for."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, compression="lz4") as producer:
            await producer.send_all([b"%08d compressible compressible" % number for number in range(200_000)])
        begun = time.monotonic()
        for _ in range(10):
            seen = 0
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, prefetch="64KiB") as consumer:
                async for batch in consumer.batches():
                    assert batch[0].offset == seen
                    seen += len(batch)
            assert seen == 200_000
            assert time.monotonic() - begun < 9
            begun = time.monotonic()
