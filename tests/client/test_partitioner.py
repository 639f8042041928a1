"""Partitioners of the caller's own."""

from __future__ import annotations

import pytest
from conftest import World

from fluvio_cffi import ConfigError, ConfigTypeError, DeliveryError, Partitioner, PartitionNotFoundError, ProducerRecord


async def test_fixed(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        async with client.producer(topic, partitioner=Partitioner.fixed(2)) as producer:
            assert (await producer.send(b"a", key=b"k")).partition == 2
            assert (await producer.send(b"a", partition=1)).partition == 1, "what is said for a record wins"
            result = await producer.send_all([b"x", ("key", "y"), ProducerRecord(b"z", partition=0)])
            assert [meta.partition for meta in result] == [2, 2, 0]


async def test_a_callable(world: World) -> None:
    asked: list[tuple[bytes | None, bytes, int]] = []

    def by_length(key: bytes | None, value: bytes, partitions: int) -> int:
        asked.append((key, value, partitions))
        return len(value) % partitions

    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        async with client.producer(topic, partitioner=by_length) as producer:
            assert (await producer.send("four", key="k")).partition == 1
            result = await producer.send_all([b"", b"1", b"22", b"333"])
            assert [meta.partition for meta in result] == [0, 1, 2, 0]
            assert asked[:2] == [(b"k", b"four", 3), (None, b"", 3)]
            with pytest.raises(ConfigError, match="record 1"):
                await producer.send_all([b"good", 5])


async def test_a_callable_that_is_wrong(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        with pytest.raises(ConfigError, match="callable"):
            await client.producer(topic, partitioner=1)
        with pytest.raises(ConfigError, match="partition is -1"):
            Partitioner.fixed(-1)
        async with client.producer(topic, partitioner=lambda key, value, partitions: partitions) as producer:
            with pytest.raises(PartitionNotFoundError, match="has no partition 2"):
                await producer.send(b"nowhere")
            with pytest.raises(DeliveryError, match=r"record 0: .* has no partition 2") as raised:
                await producer.send_all([b"nowhere"])
            assert isinstance(raised.value.__cause__, PartitionNotFoundError)
            assert (raised.value.count, raised.value.outcome) == (1, "not_written")
        async with client.producer(topic, partitioner=lambda key, value, partitions: "0") as producer:
            with pytest.raises(ConfigTypeError, match="partition must be an int, not '0'"):
                await producer.send(b"nowhere")
            assert producer.pending.records == 0
