"""Codecs: typed records; those that cannot be read, at every place, by every reader, with every way to commit."""

from __future__ import annotations

import dataclasses
import io
import json
import pickle
import sys
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from conftest import World

if sys.implementation.name != "cpython":
    pytest.skip("codecs are tried on CPython only", allow_module_level=True)

import fastavro
import msgspec
import pydantic
from google.protobuf.wrappers_pb2 import StringValue  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import assert_type

from fluvio_cffi import (
    AsyncConsumer,
    AsyncFluvio,
    AsyncProducer,
    ClosedError,
    ConfigError,
    Consumer,
    DecodeError,
    EncodeError,
    Fluvio,
    Offset,
    ProducerRecord,
    Record,
    RecordBatch,
    RecordFailedError,
    UsageError,
)
from fluvio_cffi.codecs import (
    Avro,
    Callables,
    CloudEvent,
    CloudEvents,
    Codec,
    Json,
    MsgPack,
    Protobuf,
    Pydantic,
    Raw,
    Text,
)

pytestmark = [pytest.mark.timeout(60), pytest.mark.backends("asyncio", "sync")]
START = Offset.beginning()


class Order(msgspec.Struct, frozen=True):
    number: int
    paid: bool = False


class Model(pydantic.BaseModel):
    number: int
    when: datetime


@dataclasses.dataclass(frozen=True)
class Plain:
    number: int


SCHEMA = {"type": "record", "name": "Order", "fields": [{"name": "number", "type": "long"}]}
NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
# Each codec with values that it takes, and with bytes that it does not read.
CODECS: list[tuple[Codec[Any], list[object], bytes | None]] = [
    (Raw(), [b"", b"\x00\xff"], None),
    (Text(), ["", "schön"], b"\xff"),
    (Json(), [None, 1, [True, {"a": "ü"}]], b"{"),
    (Json(Order), [Order(1), Order(2, paid=True)], b'{"number":"x"}'),
    (Json(Plain), [Plain(1)], b"[]"),
    (MsgPack(), [None, [1, "a", b"\x00"]], b"\xc1"),
    (MsgPack(Order), [Order(3)], b"\x80"),
    (Pydantic(Model), [Model(number=1, when=NOW)], b'{"number":"x"}'),
    (Pydantic(list[int]), [[1, 2]], b'["x"]'),
    (Avro(SCHEMA), [{"number": 1}, {"number": -(1 << 40)}], b"\x02\x02"),
    (Protobuf(StringValue), [StringValue(value="a"), StringValue()], b"\xff"),
    (
        CloudEvents(source="/here", type="made", data=Json(Order)),
        [CloudEvent(Order(1), "1", "/a", "t", "s", NOW)],
        b"{}",
    ),
    (Callables(lambda number: b"%d" % number, int), [0, -17], b"x"),
]
IDS = [repr(codec)[:20] for codec, _, _ in CODECS]


@pytest.mark.parametrize(("codec", "values", "wrong"), CODECS, ids=IDS)
async def test_every_codec(world: World, codec: Codec[Any], values: list[object], wrong: bytes | None) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, value=codec, key=codec) as producer:
            for value in values:
                await producer.send(value, key=value)
            receipt = await producer.enqueue(values[0])
            await receipt.wait()
            sent = await producer.send_all([values[0], (values[-1], values[0]), ProducerRecord(values[0])])
            assert len(sent) == 3
        async with client.consumer(topic, value=codec, key=codec, start=START, stop_at_end=True) as consumer:
            records = [record async for record in consumer]
        assert [record.value for record in records] == [*values, values[0], values[0], values[0], values[0]]
        assert [record.key for record in records] == [*values, None, None, values[-1], None]
        if wrong is None:
            return
        async with client.producer(topic) as producer:
            await producer.send(wrong)
        async with client.consumer(topic, value=codec, start=Offset.from_end(1), stop_at_end=True) as consumer:
            with pytest.raises(DecodeError, match=f"the value at offset {len(records)} of partition 0") as raised:
                await consumer.receive(timeout=10)
        assert raised.value.__cause__ is not None
        assert raised.value.record is not None
        assert (raised.value.record.value, raised.value.offset) == (wrong, len(records))


POISON = b"poison"


def written(number: int) -> bytes:
    return b"%d" % number


COUNT = 5


async def by_iteration(consumer: Any, seen: list[Any]) -> None:
    async for record in consumer:
        seen.append(record.value)


async def by_receive(consumer: Any, seen: list[Any]) -> None:
    seen.append((await consumer.receive(timeout=0.5)).value)


async def by_batches(consumer: Any, seen: list[Any]) -> None:
    async for batch in consumer.batches(max_wait=0.05):
        seen.extend(batch.value_list())


async def by_small_batches(consumer: Any, seen: list[Any]) -> None:
    async for batch in consumer.batches(max_records=2):
        seen.extend(record.value for record in batch)


READERS = [by_iteration, by_receive, by_batches, by_small_batches]


@pytest.mark.parametrize("commit", [None, "manual", "auto"])
@pytest.mark.parametrize("reader", READERS)
@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("which", ["value", "key"])
async def test_poison_takes_nothing_with_it(
    world: World, reader: Callable[..., Any], commit: str | None, which: str
) -> None:
    async with world.connect() as client:
        for bad in ({0}, {2}, {COUNT - 1}, {1, 2}, {0, COUNT - 1}, set(range(COUNT))):
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                for index in range(COUNT):
                    data = POISON if index in bad else b"%d" % index
                    await producer.send(data if which == "value" else b"v", key=b"k" if which == "value" else data)
            codecs = {which: Callables(written, int)}
            keywords = {"start": START, "stop_at_end": True, **codecs}
            if commit is not None:
                keywords |= {"consumer_id": topic, "commit": commit}
            seen: list[Any] = []
            failed: list[int] = []
            async with client.consumer(topic, **keywords) as consumer:
                for _ in range(COUNT + 2):
                    try:
                        await reader(consumer, seen)
                    except DecodeError as error:
                        assert error.record is not None
                        assert getattr(error.record, which) == POISON
                        assert f"the {which} at offset {error.offset}" in str(error)
                        failed.append(error.record.offset)
                        if commit == "manual":
                            await consumer.commit()
                            assert await consumer.committed() == {0: error.record.offset}
                    except Exception as end:
                        assert type(end).__name__ == "ClosedError", end
                assert consumer.position() == {0: COUNT}
            good = sorted(set(range(COUNT)) - bad)
            assert failed == sorted(bad)
            assert seen == (good if which == "value" else [b"v"] * len(good))
            if commit == "auto":
                async with client.consumer(topic, consumer_id=topic) as consumer:
                    assert await consumer.committed() == {0: COUNT - 1}


async def test_poison_in_the_midst_of_much(world: World) -> None:
    """Of several partitions, chunks and batches; what is passed over is told."""
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic) as producer:
            await producer.send_all(
                ProducerRecord(POISON if number % 997 == 5 else b"%d" % number, partition=number % 2)
                for number in range(5000)
            )
        told: list[DecodeError] = []
        good = sorted(number for number in range(5000) if number % 997 != 5)
        codec = Callables(written, int)
        for policy in ("skip", told.append):
            keywords = {"start": START, "stop_at_end": True, "value": codec, "on_undecodable": policy}
            async with client.consumer(topic, **keywords) as consumer:
                assert sorted([record.value async for record in consumer]) == good
            async with client.consumer(topic, **keywords) as consumer:
                read = [value async for batch in consumer.batches(max_wait=0.05) for value in batch.value_list()]
                assert sorted(read) == good
        assert len(told) == 2 * (5000 - len(good))
        assert {error.record.value for error in told if error.record is not None} == {POISON}


@pytest.mark.parametrize("reader", READERS)
async def test_several_topics(world: World, reader: Callable[..., Any]) -> None:
    async with world.connect() as client:
        topics = [await world.topic(client) for _ in range(2)]
        for topic, values in zip(topics, ([b"0", POISON, b"1"], [b"2", b"3", POISON]), strict=True):
            async with client.producer(topic) as producer:
                await producer.send_all(values)
        seen: list[Any] = []
        failed: list[Any] = []
        codec = Callables(written, int)
        async with client.consumer(topics, value=codec, start=START, stop_at_end=True) as consumer:
            for _ in range(8):
                try:
                    await reader(consumer, seen)
                except DecodeError as error:
                    failed.append((error.topic, error.offset))
                except Exception as end:
                    assert type(end).__name__ == "ClosedError", end
        assert (sorted(seen), sorted(failed)) == ([0, 1, 2, 3], sorted([(topics[0], 1), (topics[1], 2)]))


async def test_a_codec_that_raises_stop_iteration(world: World) -> None:
    """Nothing ends because of it."""

    def decode(data: bytes) -> str:
        return next(iter([data.decode()] if data != POISON else []))

    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all([b"a", POISON, b"b"])
        for reader in (by_iteration, by_batches):
            seen: list[Any] = []
            async with client.consumer(topic, value=Callables(str.encode, decode), start=START, stop_at_end=True) as it:
                with pytest.raises(DecodeError, match="StopIteration"):
                    await reader(it, seen)
                await reader(it, seen)
            assert seen == ["a", "b"]


async def test_what_cannot_be_encoded_is_not_sent(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, value=Json(Order), key=Text()) as producer:
            bad: Any
            for bad in (object(), {1, 2, object()}):
                for call in (producer.send, producer.enqueue):
                    with pytest.raises(EncodeError, match="value cannot be encoded") as raised:
                        await call(bad)
                    assert (raised.value.outcome, raised.value.__cause__ is not None) == ("not_written", True)
                    assert isinstance(raised.value, ConfigError)
            with pytest.raises(EncodeError, match="key cannot be encoded: TypeError: it must be str, not bytes"):
                await producer.send(Order(1), key=b"k")
            with pytest.raises(EncodeError, match="record 2: value cannot be encoded"):
                await producer.send_all([Order(0), ("k", Order(1)), object(), Order(3)])
            with pytest.raises(ConfigError, match="record 0: a tuple of 3 elements is no record"):
                await producer.send_all([(1, 2, 3)])
        async with client.consumer(topic, value=Json(Order), start=START, stop_at_end=True) as consumer:
            assert [record.value.number async for record in consumer] == [0, 1]
        text: Any = lambda value: "text"  # noqa: E731
        async with client.producer(topic, value=Callables(text, str)) as producer:
            with pytest.raises(EncodeError, match="a codec must make bytes"):
                await producer.send("x")


@pytest.mark.backends("asyncio", "trio")
async def test_an_asynchronous_input(world: World) -> None:
    async def numbers() -> AsyncIterator[object]:
        for number in range(3):
            yield number
        yield ("k", 3)
        yield object()

    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, value=Json()) as producer:
            with pytest.raises(EncodeError, match="record 4: value"):
                await producer.send_all(numbers())
        async with client.consumer(topic, value=Json(), start=START, stop_at_end=True) as consumer:
            assert [record.value async for record in consumer] == [0, 1, 2, 3]


async def test_wrong_arguments(world: World) -> None:
    async with world.connect() as client:
        wrong: Any
        for wrong in (Json, "json", json, 5):
            for open in (client.producer, client.consumer):
                for which in ("key", "value"):
                    with pytest.raises(ConfigError, match=f"{which} must be a codec, such as fluvio_cffi.codecs.Json"):
                        await open("t", **{which: wrong})
        with pytest.raises(ConfigError, match="on_undecodable is 'ignore': it must be"):
            await client.consumer("t", value=Json(), on_undecodable="ignore")


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("commit", ["manual", "auto"])
async def test_poison_of_a_tracker_is_in_hand_until_it_is_done(world: World, several: bool, commit: str) -> None:
    async with world.connect() as client:
        for bad in ({0}, {2}, {COUNT - 1}, {1, 2}, set(range(COUNT))):
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send_all([POISON if index in bad else b"%d" % index for index in range(COUNT)])
            keywords: dict[str, Any] = {"consumer_id": topic, "stop_at_end": True, "commit": commit}
            topics = [topic] if several else topic
            async with client.consumer(topics, value=Callables(written, int), **keywords) as consumer:
                held: list[Any] = []
                async with consumer.tracker() as tracker:
                    for index in range(COUNT):
                        try:
                            record = await tracker.receive(timeout=10)
                            assert (record.offset, record.value) == (index, index)
                            tracker.done(record)
                        except DecodeError as error:
                            assert error.record is not None
                            assert (error.record.offset, error.record.value) == (index, POISON)
                            with pytest.raises(UsageError, match="no codec can read this record"):
                                tracker.retry(error.record)
                            held.append(error.record)
                        assert tracker.in_hand == len(held)
                    with pytest.raises(ClosedError):
                        await tracker.receive(timeout=10)
                    await tracker.commit()
                    committed = {} if min(bad) == 0 else {0: min(bad) - 1}
                    assert await consumer.committed() == ({topic: committed} if several else committed)
                    for record in reversed(held):
                        tracker.done(record)
                    await tracker.join(timeout=10)
            async with client.consumer(topic, consumer_id=topic) as consumer:
                assert await consumer.committed() == {0: COUNT - 1}


async def test_poison_that_a_tracker_passes_over(world: World) -> None:
    async with world.connect() as client:
        for bad in ({0}, {2}, {COUNT - 1}, {1, 2}, set(range(COUNT))):
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send_all([POISON if index in bad else b"%d" % index for index in range(COUNT)])
            told: list[DecodeError] = []
            for choice in ("skip", told.append):
                options: dict[str, Any] = {"value": Callables(written, int), "on_undecodable": choice}
                identity = f"{topic} {choice}"
                async with (
                    client.consumer(topic, consumer_id=identity, stop_at_end=True, **options) as consumer,
                    consumer.tracker() as tracker,
                ):
                    seen = []
                    async for record in tracker:
                        seen.append(record.value)
                        tracker.done(record)
                    assert seen == sorted(set(range(COUNT)) - bad)
                    assert tracker.in_hand == 0
                async with client.consumer(topic, consumer_id=identity) as consumer:
                    assert await consumer.committed() == {0: COUNT - 1}
            assert [error.offset for error in told] == sorted(bad)


async def test_poison_that_fails_comes_again(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all([b"0", POISON, b"2"])
        for _ in range(2):
            async with client.consumer(topic, consumer_id="c", value=Callables(written, int)) as consumer:
                tracker = consumer.tracker()
                with pytest.raises(DecodeError) as bad:
                    while True:
                        tracker.done(await tracker.receive(timeout=10))
                assert bad.value.record is not None
                tracker.fail(bad.value.record, bad.value)
                with pytest.raises(RecordFailedError) as failed:
                    await tracker.receive(timeout=10)
                assert failed.value.__cause__ is bad.value
                await tracker.commit()
                assert await consumer.committed() == {0: 0}


def test_codecs_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="the schema is wrong"):
        Avro({"type": "record"})
    with pytest.raises(ConfigError, match="message must be a class that protoc has made"):
        Protobuf(Order)  # type: ignore[type-var]
    with pytest.raises(ConfigError, match="encode must be a function, not an int"):
        Callables(5, int)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="source is empty"):
        CloudEvents(source="", type="t", data=Raw())
    for name in ("msgspec.json", "msgspec.msgpack", "pydantic", "fastavro"):
        monkeypatch.setitem(__import__("sys").modules, name, None)
    for made, package in (
        (lambda: Json(Order), "msgspec"),
        (lambda: MsgPack(), "msgspec"),
        (lambda: Pydantic(Model), "pydantic"),
        (lambda: Avro(SCHEMA), "fastavro"),
    ):
        with pytest.raises(ConfigError, match=f"needs the package {package}, which is not installed: pip install"):
            made()


SINGLE: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = SINGLE | st.lists(SINGLE) | st.dictionaries(st.text(), SINGLE | st.lists(st.dictionaries(st.text(), SINGLE)))


@given(VALUES)
def test_round_trips(value: Any) -> None:
    for codec in (Json(), MsgPack()):
        assert codec.decode(codec.encode(value)) == value
    event = CloudEvents(source="/s", type="t", data=Json())
    assert event.decode(event.encode(CloudEvent(value))).data == value


@given(st.text(), st.binary())
def test_an_event_carries_anything(text: str, data: bytes) -> None:
    texts, bytes_ = (CloudEvents(source="/s", type="t", data=codec) for codec in (Text(), Raw()))
    assert texts.decode(texts.encode(CloudEvent(text))).data == text
    assert bytes_.decode(bytes_.encode(CloudEvent(data))).data == data


def test_events() -> None:
    codec = CloudEvents(source="/here", type="made", data=Json())
    event = CloudEvent({"a": 1}, "7", subject="s", time=NOW, extensions={"traceparent": "00-1"})
    told = json.loads(codec.encode(event))
    assert told == {
        "specversion": "1.0",
        "id": "7",
        "source": "/here",
        "type": "made",
        "subject": "s",
        "time": "2026-11-29T12:00:00+00:00",
        "datacontenttype": "application/json",
        "data": {"a": 1},
        "traceparent": "00-1",
    }
    assert codec.decode(codec.encode(event)) == dataclasses.replace(event, source="/here", type="made")
    assert codec.decode(json.dumps({**told, "time": "2026-11-29T12:00:00Z"}).encode()).time == NOW
    with pytest.raises(ValueError, match="cannot be an extension") as raised:
        codec.encode(CloudEvent(1, extensions={"Bad": 1}))
    assert type(raised.value) is ValueError


def test_avro_reads_older_schemas() -> None:
    newer = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "paid", "type": "boolean", "default": False}]}
    assert Avro(SCHEMA, reader=newer).decode(Avro(SCHEMA).encode({"number": 1})) == {"number": 1, "paid": False}
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(SCHEMA), {"number": 1})
    assert Avro(SCHEMA).encode({"number": 1}) == written.getvalue()


def test_what_is_decoded_pickles_and_compares() -> None:
    record = Record("t", 0, 1, 2, "k", Order(1))
    assert record == Record("t", 0, 1, 2, "k", Order(1)) and hash(record)
    assert (
        repr(record)
        == "Record(topic='t', partition=0, offset=1, timestamp=2, key='k', value=Order(number=1, paid=False))"
    )
    error = DecodeError("x", record=Record("t", 0, 1, 2, None, b"v"), offset=1)
    assert pickle.loads(pickle.dumps(error)) == error


if TYPE_CHECKING:

    async def types(client: AsyncFluvio, sync: Fluvio) -> None:
        async with client.producer("t", value=Json(Order), key=Text()) as producer:
            assert_type(producer, AsyncProducer[str, Order])
            await producer.send(Order(1), key="k")
            await producer.send(5, key="k")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            await producer.send_all([Order(1), ("k", Order(2)), ProducerRecord(Order(3), key="k")])
        async with client.consumer("t", value=Json(Order), key=Text()) as consumer:
            assert_type(consumer, AsyncConsumer[str, Order])
            async for record in consumer:
                assert_type(record, Record[str, Order])
                assert_type(record.key, str | None)
                assert_type(record.value.number, int)
            async for batch in consumer.batches():
                assert_type(batch, RecordBatch[str, Order])
                assert_type(batch.value_list(), list[Order])
                await consumer.commit(batch)
            assert_type(await consumer.tracker().receive(), Record[str, Order])
        async with client.consumer("t") as plain:
            assert_type(plain, AsyncConsumer[bytes, bytes])
            assert_type((await plain.receive()).value, bytes)
            assert_type((await plain.receive()).key, bytes | None)
        with sync.consumer("t", value=Pydantic(Model)) as models:
            assert_type(models, Consumer[bytes, Model])
        with sync.producer("t") as bytes_:
            bytes_.send("text")
            bytes_.send(b"bytes", key="k")
            bytes_.send(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def codecs() -> None:
        text: Codec[str] = Text()
        orders: Codec[Order] = Json(Order)
        anything: Codec[Any] = Json()
        event: Codec[CloudEvent[Order]] = CloudEvents(source="s", type="t", data=orders)
        assert_type(event.decode(text.encode("")), CloudEvent[Order])
        assert_type(Protobuf(StringValue).encode(anything.decode(b"")), bytes)
