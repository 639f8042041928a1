"""Spans of Arrow data that is read and sent."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import World
from traces import bare, cancelled_after, current_name, telemetry

from fluvio_cffi import ConfigError, DeliveryError, LocalCluster, Offset, OffsetOutOfRangeError, opentelemetry

pyarrow: Any = pytest.importorskip("pyarrow")
pytestmark = pytest.mark.timeout(60)

SPU = 5001


def table(*values: bytes, **columns: Any) -> Any:
    return pyarrow.table({"value": pyarrow.array(values, pyarrow.binary()), **columns})


async def test_a_round_trip(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client, partitions=2)
            async with client.producer(topic) as producer:
                with told.tracer.start_as_current_span("table"):
                    sent = await producer.send_arrow(table(b"a", b"b", b"c", p=[0, 1, 1]), partition="p")
            assert len(sent) == 3
            async with client.consumer(
                topic, start=Offset.beginning(), stop_at_end=True, consumer_id="c", format="arrow"
            ) as consumer:
                batches = consumer.batches(max_wait=None)
                batch = await batches.__anext__()
                with opentelemetry.process(batch, consumer=bare(consumer)):
                    assert current_name() == f"process {topic}"
                await consumer.commit(batch)
                await consumer.commit({0: 0})
                await consumer.commit()
                async for batch in batches:
                    raise AssertionError(batch)
    where = "fluvio.offset.first=(0, 0) fluvio.offset.last=(0, 1) fluvio.partitions=(0, 1)"
    many = f"UNSET batch.message_count=3 consumer.group.name=c {where}"
    assert told.tree() == [
        "table INTERNAL UNSET",
        f"  send {topic} PRODUCER UNSET batch.message_count=3 {where}",
        f"receive {topic} CLIENT {many}",
        f"process {topic} CONSUMER {many}",
        f"commit {topic} CLIENT {many}",
        f"commit {topic} CLIENT UNSET consumer.group.name=c",
        f"commit {topic} CLIENT UNSET consumer.group.name=c",
    ]
    consumed = [
        point.value
        for point in told.points()["messaging.client.consumed.messages"]
        if point.attributes["messaging.destination.name"] == topic
    ]
    assert consumed == [3]


async def test_what_goes_wrong(world: World) -> None:
    with telemetry() as told, LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                with pytest.raises(ConfigError, match="missing"):
                    await producer.send_arrow(table(b"a"), key="missing")
                cluster.faults.fail_next(SPU, "produce", 7)
                with pytest.raises(DeliveryError):
                    await producer.send_arrow(table(b"a", b"b"))
            async with client.consumer(topic, start=Offset.at(99), format="arrow") as consumer:
                with pytest.raises(OffsetOutOfRangeError):
                    await consumer.batches().__anext__()
    tree = [line.replace(topic, "t") for line in told.tree("fluvio.offset.first", "fluvio.offset.last")]
    assert [line.replace("fluvio_cffi.", "") for line in tree] == [
        "send t PRODUCER ERROR error.type=ConfigError !ConfigError",
        "send t PRODUCER ERROR batch.message_count=2 error.type=DeliveryError !DeliveryError",
        "receive t CLIENT ERROR error.type=OffsetOutOfRangeError !OffsetOutOfRangeError",
    ]


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_a_read_that_is_cancelled(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.consumer(topic, format="arrow") as consumer:
                await cancelled_after(world, 0.05, consumer.batches().__anext__)
    assert told.tree() == [f"receive {topic} CLIENT UNSET fluvio.cancelled=True"]


async def test_off_and_on_and_off(world: World) -> None:
    async def opened(client: Any) -> list[type]:
        async with client.consumer(topic, format="arrow") as consumer:
            return [type(bare(consumer)), type(bare(consumer.batches()))]

    async with world.connect() as client:
        topic = await world.topic(client)
        kinds = await opened(client)
        assert not [kind for kind in kinds if kind.__name__.startswith(("AsyncObserved", "Observed", "_"))]
        with telemetry():
            watched = await opened(client)
            assert all(kind in found.__mro__[1:] for kind, found in zip(kinds, watched, strict=True))
        assert await opened(client) == kinds
