"""Spans: what a program with producers, consumers, failures, time-outs and cancellations tells of itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from conftest import World
from opentelemetry.context import Context
from traces import Telemetry, bare, cancelled_after, current_name, telemetry

import fluvio_cffi
from fluvio_cffi import (
    ConfigError,
    DecodeError,
    DeliveryError,
    EncodeError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    RecordTooLargeError,
    StorageError,
    opentelemetry,
)
from fluvio_cffi.codecs import CloudEvent, CloudEvents, Json

pytestmark = pytest.mark.timeout(60)

SPU = 5001


async def test_a_round_trip(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client, partitions=2)
            async with client.producer(topic) as producer:
                with told.tracer.start_as_current_span("order"):
                    await producer.send(b"one", partition=0)
                    receipt = await producer.enqueue(b"two", partition=1)
                    await receipt
                    await producer.send_all([b"three", b"four"])
            async with client.consumer(
                topic, partitions=0, start=Offset.beginning(), stop_at_end=True, consumer_id="c"
            ) as consumer:
                record = await consumer.receive()
                with opentelemetry.process(record, consumer=bare(consumer)):
                    assert current_name() == f"process {topic}"
                    with told.tracer.start_as_current_span("into the database"):
                        pass
                await consumer.commit(record)
                await consumer.commit({0: 0})
                async for record in consumer:
                    raise AssertionError(record)
    where = ("fluvio.partitions", "fluvio.offset.first", "fluvio.offset.last", "messaging.destination.partition.id")
    assert f"  send {topic} PRODUCER UNSET batch.message_count=2" in told.tree(*where)
    assert [line for line in told.tree() if "batch" not in line] == [
        "order INTERNAL UNSET",
        f"  send {topic} PRODUCER UNSET destination.partition.id=0 message.id={topic}.0.0",
        f"  send {topic} PRODUCER UNSET destination.partition.id=1 message.id={topic}.1.0",
        f"receive {topic} CLIENT UNSET consumer.group.name=c destination.partition.id=0 message.id={topic}.0.0",
        f"process {topic} CONSUMER UNSET consumer.group.name=c destination.partition.id=0 message.id={topic}.0.0",
        "  into the database INTERNAL UNSET",
        f"commit {topic} CLIENT UNSET consumer.group.name=c destination.partition.id=0 message.id={topic}.0.0",
        f"commit {topic} CLIENT UNSET consumer.group.name=c",
    ]


async def test_where_the_cluster_is(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"x")
    (span,) = told.spans()
    attributes = dict(span.attributes or {})
    host, _, port = world.cluster.endpoint.rpartition(":")
    assert (attributes["server.address"], attributes["server.port"]) == (host, int(port))
    assert attributes["messaging.operation.type"] == "send"
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.version == fluvio_cffi.__version__


async def test_batches(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client, partitions=2)
            async with client.producer(topic) as producer:
                records = [fluvio_cffi.ProducerRecord(b"x", partition=number % 2) for number in range(1000)]
                await producer.send_all(records)
            read = 0
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, consumer_id="b") as consumer:
                async for batch in consumer.batches():
                    with opentelemetry.process(batch):
                        read += len(batch)
                    await consumer.commit(batch)
    assert read == 1000
    first = told.tree()[0]
    assert first == (
        f"send {topic} PRODUCER UNSET batch.message_count=1000 "
        "fluvio.offset.first=(0, 0) fluvio.offset.last=(499, 499) fluvio.partitions=(0, 1)"
    )
    spans = told.spans()[1:]
    counted = {"receive": 0, "process": 0, "commit": 0}
    for span in spans:
        told_of: Any = span.attributes
        counted[span.name.split()[0]] += told_of["messaging.batch.message_count"]
    assert counted == {"receive": 1000, "process": 1000, "commit": 1000}
    # The first and the last of each partition, whatever the batches were.
    begins: dict[int, int] = {}
    ends: dict[int, int] = {}
    for span in spans:
        found: Any = dict(span.attributes or {})
        for partition, begin, end in zip(
            found["fluvio.partitions"], found["fluvio.offset.first"], found["fluvio.offset.last"], strict=True
        ):
            begins[partition] = min(begins.get(partition, begin), begin)
            ends[partition] = max(ends.get(partition, end), end)
    assert (begins, ends) == ({0: 0, 1: 0}, {0: 499, 1: 499})


async def test_failures(world: World) -> None:
    with telemetry() as told, LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic, max_request_size=4096) as producer:
                cluster.faults.fail_next(SPU, "produce", 73)
                with pytest.raises(StorageError):
                    await producer.send(b"x")
            async with client.producer(topic, max_request_size=4096) as producer:
                cluster.faults.fail_next(SPU, "produce", 7)
                receipt = await producer.enqueue(b"x")
                with pytest.raises(fluvio_cffi.DeliveryUnknownError):
                    await receipt
                with pytest.raises(RecordTooLargeError):
                    await producer.enqueue(bytes(5000))
                cluster.faults.fail_next(SPU, "produce", 7)
                with pytest.raises(DeliveryError):
                    await producer.send_all([b"a", b"b"])
            async with client.producer(topic, value=Json()) as producer:
                with pytest.raises(EncodeError):
                    await producer.send(object())
            async with client.consumer(topic, start=Offset.at(99)) as consumer:
                with pytest.raises(fluvio_cffi.OffsetOutOfRangeError):
                    await consumer.receive()
                with pytest.raises(fluvio_cffi.UsageError):
                    await consumer.commit()
    tree = [line.replace(topic, "t") for line in told.tree("fluvio.offset.first", "fluvio.offset.last")]
    assert [line.replace("fluvio_cffi.", "") for line in tree] == [
        "send t PRODUCER ERROR error.type=StorageError !StorageError",
        "send t PRODUCER ERROR error.type=DeliveryUnknownError !DeliveryUnknownError",
        "send t PRODUCER ERROR error.type=RecordTooLargeError !RecordTooLargeError",
        "send t PRODUCER ERROR batch.message_count=2 error.type=DeliveryError !DeliveryError",
        "send t PRODUCER ERROR error.type=EncodeError !EncodeError",
        "receive t CLIENT ERROR error.type=OffsetOutOfRangeError !OffsetOutOfRangeError",
        "commit t CLIENT ERROR error.type=UsageError !UsageError",
    ]
    assert (told.spans()[0].status.description or "").startswith("StorageError: ")


async def test_a_failure_that_nobody_looks_at_is_reported(world: World) -> None:
    """Its span has ended with it, but that is not to look at it."""
    with telemetry() as told, LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            producer = await client.producer(topic)
            cluster.faults.fail_next(SPU, "produce", 7)
            await producer.enqueue(b"x")
            with pytest.raises(DeliveryError):
                await producer.flush()
            await producer.close()
    assert [span.status.status_code.name for span in told.spans()] == ["ERROR"]


async def test_timeouts(world: World) -> None:
    with telemetry() as told, LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"x")
                stalled = cluster.faults.stall(SPU)
                with pytest.raises(FluvioTimeoutError):
                    await producer.send(b"y", timeout=0.05)
                stalled.undo()
            async with client.consumer(topic) as consumer:
                with pytest.raises(FluvioTimeoutError):
                    await consumer.receive(timeout=0.05)
    tree = [line.replace(topic, "t") for line in told.tree("messaging.message.id")]
    assert [line.replace("fluvio_cffi.", "") for line in tree] == [
        "send t PRODUCER UNSET destination.partition.id=0",
        "send t PRODUCER ERROR error.type=FluvioTimeoutError !FluvioTimeoutError",
        # There was nothing: that is no failure.
        "receive t CLIENT UNSET fluvio.timed_out=True",
    ]
    waited = told.spans()[2]
    assert waited.end_time is not None and waited.start_time is not None
    assert waited.end_time - waited.start_time >= 50_000_000


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_cancellations(world: World) -> None:
    with telemetry() as told, LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer, client.consumer(topic, consumer_id="c") as consumer:
                await producer.send(b"x")
                stalled = cluster.faults.stall(SPU)
                await cancelled_after(world, 0.05, lambda: producer.send(b"y"))
                await cancelled_after(world, 0.05, lambda: producer.send_all([b"z"]))
                stalled.undo()
                await consumer.receive()
                await cancelled_after(world, 0.5, lambda: process_for_ever(world, await_receive(consumer)))
                # Nothing was lost by it.
                assert (await consumer.receive()).value == b"z"
    tree = [
        line.replace(topic, "t").replace(" consumer.group.name=c", "") for line in told.tree("messaging.message.id")
    ]
    assert tree == [
        "send t PRODUCER UNSET destination.partition.id=0",
        "send t PRODUCER UNSET fluvio.cancelled=True",
        "send t PRODUCER UNSET fluvio.cancelled=True",
        "receive t CLIENT UNSET destination.partition.id=0",
        "receive t CLIENT UNSET destination.partition.id=0",
        "process t CONSUMER UNSET destination.partition.id=0 fluvio.cancelled=True",
        "receive t CLIENT UNSET destination.partition.id=0",
    ]


async def await_receive(consumer: Any) -> Any:
    return await consumer.receive()


async def process_for_ever(world: World, reading: Any) -> None:
    with opentelemetry.process(await reading):
        await world.sleep(60)


async def test_a_read_that_is_cancelled(world: World) -> None:
    if world.is_sync:
        return
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.consumer(topic) as consumer:
                await cancelled_after(world, 0.05, consumer.receive)
                await cancelled_after(world, 0.05, consumer.__anext__)
                await cancelled_after(world, 0.05, consumer.batches().__anext__)
    assert told.tree() == [f"receive {topic} CLIENT UNSET fluvio.cancelled=True"] * 3


async def test_what_goes_wrong_while_processing(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"x")
            async with client.consumer(topic, start=Offset.beginning()) as consumer:
                record = await consumer.receive()
                with pytest.raises(ZeroDivisionError), opentelemetry.process(record) as span:
                    span.set_attribute("order", 7)
                    print(1 / 0)
    assert told.tree("messaging.message.id")[-1] == (
        f"process {topic} CONSUMER ERROR destination.partition.id=0 error.type=ZeroDivisionError order=7 "
        "!ZeroDivisionError"
    )


async def test_cloud_events_carry_the_context(world: World) -> None:
    events = CloudEvents(source="/shop", type="order", data=Json())
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic, value=events) as producer:
                await producer.send(CloudEvent({"order": 1}))
                await producer.send_all([CloudEvent(2), CloudEvent(3)])
                given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                await producer.send(CloudEvent(4, extensions={"traceparent": given}))
            async with client.consumer(topic, value=events, start=Offset.beginning(), stop_at_end=True) as consumer:
                async for record in consumer:
                    assert "traceparent" in record.value.extensions
                    with opentelemetry.process(record):
                        pass
            async with client.consumer(topic, value=events, start=Offset.beginning(), stop_at_end=True) as consumer:
                read = [batch async for batch in consumer.batches(max_wait=0.1)]
            with opentelemetry.process(read[0]):
                pass
    lines = [" ".join(line.split()[:2] + line.split("-> ")[1:]) for line in told.tree()]
    ids = {span.context.span_id: number for number, span in enumerate(told.spans()) if span.context}
    linked = [[ids.get(link.context.span_id) for link in span.links] for span in told.spans()]
    assert linked[:3] == [[], [], []]
    assert linked[3:11] == [[0], [0], [1], [1], [1], [1], [None], [None]], lines
    assert [number for links in linked[11:-1] for number in links] == [0, 1, 1, None]
    assert linked[-1] == linked[11]


async def test_a_field_of_ones_own(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                with told.tracer.start_as_current_span("order"):
                    order: dict[str, Any] = {"id": 7, "trace": opentelemetry.inject()}
                    carrier = {"other": "x"}
                    assert opentelemetry.inject(carrier) == order["trace"]
                    assert carrier == {"other": "x", **order["trace"]}
                await producer.send(json.dumps(order))
            async with client.consumer(topic, start=Offset.beginning()) as consumer:
                record = await consumer.receive()
        sent = opentelemetry.extract(json.loads(record.text)["trace"])
        assert isinstance(sent, Context)
        with opentelemetry.process(record, sent=sent):
            pass
        with opentelemetry.process(record, sent=[sent, opentelemetry.extract(None), opentelemetry.extract({})]):
            pass
    assert [line.split("-> ")[1:] for line in told.tree()[-2:]] == [["order"], ["order"]]
    assert opentelemetry.inject() == {}


async def test_workers_of_a_tracker(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send_all([b"a", b"b"])
            async with (
                client.consumer(topic, start=Offset.beginning(), stop_at_end=True, consumer_id="w") as consumer,
                consumer.tracker() as tracker,
            ):
                async for record in tracker:
                    with tracker.processing(record):
                        assert current_name() == f"process {topic}"
    assert [line.split(" destination")[0] for line in told.tree()[1:]] == [
        f"receive {topic} CLIENT UNSET consumer.group.name=w",
        f"process {topic} CONSUMER UNSET consumer.group.name=w",
        f"receive {topic} CLIENT UNSET consumer.group.name=w",
        f"process {topic} CONSUMER UNSET consumer.group.name=w",
        f"commit {topic} CLIENT UNSET consumer.group.name=w",
    ]


async def test_several_topics(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topics = [await world.topic(client), await world.topic(client)]
            for topic in topics:
                async with client.producer(topic) as producer:
                    await producer.send(b"x")
            async with client.consumer(
                topics, start=Offset.beginning(), stop_at_end=True, consumer_id="several"
            ) as consumer:
                records = [await consumer.receive()]
                records += [record async for record in consumer]
                await consumer.commit(records[0])
                await consumer.commit({topics[0]: {0: 0}})
                await consumer.commit()
            async with client.consumer(topics, start=Offset.beginning(), stop_at_end=True) as consumer:
                async for _ in consumer.batches():
                    pass
            async with client.consumer(topics) as consumer:
                with pytest.raises(FluvioTimeoutError):
                    await consumer.receive(timeout=0)
    lines = [line.split(" UNSET")[0] for line in told.tree()[2:]]
    assert sorted(lines[:2]) == sorted(f"receive {topic} CLIENT" for topic in topics)
    assert lines[2:5] == [f"commit {records[0].topic} CLIENT", f"commit {topics[0]} CLIENT", "commit CLIENT"]
    assert sorted(lines[5:7]) == sorted(f"receive {topic} CLIENT" for topic in topics)
    assert lines[7:] == ["receive CLIENT"]


async def test_a_group(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"x")
            async with client.consumer(topic, group="g", start=Offset.beginning()) as consumer:
                record = await consumer.receive()
                with opentelemetry.process(record, consumer=bare(consumer)):
                    await consumer.commit(record)
    groups = [dict(span.attributes or {}).get("messaging.consumer.group.name") for span in told.spans()]
    assert groups == [None, "g", "g", "g"]
    assert [line.lstrip() for line in told.tree()[2:]] == [
        f"process {topic} CONSUMER UNSET consumer.group.name=g destination.partition.id=0 message.id={topic}.0.0",
        f"commit {topic} CLIENT UNSET consumer.group.name=g destination.partition.id=0 message.id={topic}.0.0",
    ]


async def test_an_undecodable_record(world: World) -> None:
    """It was received; that nobody can read it is another matter."""
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send_all([b"1", b"no", b"3"])
            async with client.consumer(topic, value=Json(), start=Offset.beginning(), stop_at_end=True) as consumer:
                assert (await consumer.receive()).value == 1
                with pytest.raises(DecodeError):
                    await consumer.receive()
                assert (await consumer.receive()).value == 3
    assert len(told.tree()) == 4


async def test_off_and_on_and_off(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        kinds = await opened(client, topic)
        assert not [kind for kind in kinds if "Observed" in kind.__name__]
        with telemetry():
            watched = await opened(client, topic)
            assert all(kind in found.__mro__[1:] for kind, found in zip(kinds, watched, strict=True))
        assert await opened(client, topic) == kinds


async def opened(client: Any, topic: str) -> list[type]:
    """The classes of what is opened."""
    async with (
        client.producer(topic) as producer,
        client.consumer(topic, consumer_id="o") as consumer,
        client.consumer([topic]) as several,
    ):
        made = [producer, consumer, several, consumer.batches(), several.batches(), consumer.tracker()]
        return [type(bare(each)) for each in made]


async def test_instrumented_twice(world: World) -> None:
    """The second call counts, for what is opened after it; nothing is told twice."""
    first = Telemetry()
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as before:
                opentelemetry.instrument(tracer_provider=first.tracers, meter_provider=first.meters)
                opentelemetry.instrument(tracer_provider=told.tracers, meter_provider=told.meters)
                async with client.producer(topic) as producer:
                    await producer.send(b"x")
                await before.send(b"y")
                assert len(told.spans()) == 2
                assert not first.spans()
                produced = told.points()["fluvio.client.records_produced"]
                assert [
                    point.value for point in produced if point.attributes["messaging.destination.name"] == topic
                ] == [2]
                assert "fluvio.client.records_produced" not in first.points()
    opentelemetry.uninstrument()


@pytest.mark.backends("asyncio", "sync")
async def test_a_broken_processor_breaks_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    from opentelemetry.sdk.trace import SpanProcessor

    class Broken(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError("broken")

        def on_end(self, span: Any) -> None:
            raise RuntimeError("broken")

    with telemetry() as told:
        told.tracers.add_span_processor(Broken())
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"x")
                await (await producer.enqueue(b"y"))
                await producer.send_all([b"z"])
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, consumer_id="p") as consumer:
                values = []
                async for record in consumer:
                    with opentelemetry.process(record):
                        values.append(record.value)
                await consumer.commit()
    assert values == [b"x", b"y", b"z"]
    assert current_name() == ""
    assert "a span or a metric could not be made" in caplog.text


def test_process_without_instrument() -> None:
    record = fluvio_cffi.Record("t", 0, 0, None, None, b"x")
    with opentelemetry.process(record) as span:
        assert not span.is_recording()
    wrong: Any = b"x"
    with pytest.raises(ConfigError, match="record_or_batch must be a Record or a RecordBatch, not bytes"):
        opentelemetry.process(wrong)
