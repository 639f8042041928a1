"""Compression: every codec comes back, and the topic's own setting holds."""

from __future__ import annotations

from typing import Any

import pytest

from fluvio_cffi import ConfigError, Offset


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_codec(world: Any, codec: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        values = [b"%06d" % number * 20 for number in range(3000)]
        async with client.producer(topic, compression=codec, batch_size="100KiB") as producer:
            await producer.send_all(values)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, prefetch=50_000) as consumer:
            assert [record.value async for record in consumer] == values


async def test_the_topics_setting(world: Any) -> None:
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
