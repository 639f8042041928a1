"""Wrong uses that newcomers make. Each message names the argument, its value and what is allowed.

It is short, and shows nothing of what may be a payload.
"""

# Types that are wrong are what these are about.
# mypy: disable-error-code="arg-type, call-arg"

from __future__ import annotations

import asyncio
import contextlib
import datetime
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import fluvio_cffi
from fluvio_cffi import (
    AsyncFluvio,
    ClosedError,
    ClusterConfig,
    ConfigError,
    ConfigTypeError,
    Consumer,
    DeliveryError,
    Fluvio,
    InvalidTopicError,
    LocalCluster,
    Offset,
    Partitioner,
    PartitionNotFoundError,
    Producer,
    ProducerRecord,
    ProfileStore,
    Record,
    RecordTooLargeError,
    Tls,
    TopicNotFoundError,
    TopicSpec,
    UsageError,
    set_exit_timeout,
)

SECRET = "p4yl0ad"
LONG = SECRET + "x" * 10_000


@dataclass(frozen=True)
class Scene:
    """What a program has at hand. To a type checker most of what it does with it here is wrong."""

    cluster: Any
    client: Any
    topic: Any
    producer: Any
    consumer: Any
    plain: Any
    record: Any
    closed: Any

    def producing(self, **options: Any) -> object:
        return self.client.producer(self.topic, **options)

    def consuming(self, **options: Any) -> object:
        return self.client.consumer(self.topic, **options)

    def create(self, *arguments: Any, **options: Any) -> object:
        return self.client.admin.topics.create(*arguments, **options)


async def arriving() -> AsyncIterator[bytes]:
    yield b"x"


T, C, U = ConfigTypeError, ConfigError, UsageError

USES: dict[str, tuple[Callable[[Scene], object], type[Exception], str, str]] = {
    # connecting
    "a client is called": (lambda s: Fluvio(s.cluster.endpoint), T, "Fluvio is not made by itself", "Fluvio.connect("),
    "a client is called without anything": (lambda _: Fluvio(), T, "Fluvio is not made", "Fluvio.connect("),
    "a producer is called": (lambda s: Producer(s.client, s.topic), T, "Producer is not made", "producer(topic)"),
    "a consumer is called": (lambda s: Consumer(s.topic), T, "Consumer is not made", "consumer(topic)"),
    "a URL": (lambda _: Fluvio.connect("http://127.0.0.1:9003"), C, "endpoint is 'http://127.0.0.1:9003'", "host:port"),
    "a URL with a path": (lambda _: Fluvio.connect("fluvio://host:9003/x"), C, "endpoint is 'fluvio://", "host:port"),
    "no port": (lambda _: Fluvio.connect("localhost"), C, "endpoint is 'localhost'", "host:port"),
    "a port that is none": (lambda _: Fluvio.connect("localhost:99999"), C, "'localhost:99999'", "host:port"),
    "several addresses": (lambda _: Fluvio.connect("a:9003,b:9003 c:9003"), C, "endpoint is 'a:9003,", "host:port"),
    "a pair": (lambda _: Fluvio.connect(("localhost", 9003)), T, "endpoint must be a str", "not a tuple"),
    "only a port": (lambda _: Fluvio.connect(9003), T, "endpoint must be a str", "not 9003"),
    "a list of addresses": (lambda _: Fluvio.connect(["a:9003"]), T, "endpoint must be a str", "not a list"),
    "bytes": (lambda _: Fluvio.connect(b"localhost:9003"), T, "endpoint must be a str", "not bytes"),
    "text for a time-out": (lambda s: Fluvio.connect(s.cluster.endpoint, timeout="5s"), T, "timeout must be", "'5s'"),
    "a negative time-out": (lambda s: Fluvio.connect(s.cluster.endpoint, timeout=-1), C, "timeout is -1", "0 or more"),
    "a timedelta": (
        lambda s: Fluvio.connect(s.cluster.endpoint, timeout=datetime.timedelta(seconds=5)),
        T,
        "timeout must be a number of seconds",
        "not a timedelta",
    ),
    "tls=True": (lambda s: Fluvio.connect(s.cluster.endpoint, tls=True), T, "tls must be Tls.disabled()", "not True"),
    "tls is a path": (lambda s: Fluvio.connect(s.cluster.endpoint, tls="ca.crt"), T, "tls must be", "'ca.crt'"),
    "config is a dict": (lambda _: Fluvio.connect(config={"endpoint": "h:1"}), T, "config must be", "not a dict"),
    "wait is text": (lambda s: Fluvio.connect(s.cluster.endpoint, wait="yes"), T, "wait must be True", "'yes'"),
    "a client id that is a number": (lambda s: Fluvio.connect(s.cluster.endpoint, client_id=7), T, "client_id", "7"),
    "admin_timeout is nothing": (
        lambda s: Fluvio.connect("h:1", admin_timeout=0),
        C,
        "admin_timeout is 0",
        "more than",
    ),
    "a certificate without a key": (lambda _: Tls.verified(cert="client.crt"), C, "cert is given without key", "tls:"),
    "a key that is bytes": (lambda _: Tls.verified(ca=SECRET.encode()), T, "tls: ca must be a path", "not bytes"),
    "a profile file that is a number": (lambda _: ProfileStore(5), T, "path must be a str", "not 5"),
    "a config without a port": (lambda _: ClusterConfig("host"), C, "endpoint is 'host'", "host:port"),
    # opening a producer
    "several topics to produce to": (lambda s: s.client.producer(["a", "b"]), T, "topic must be a str", "not a list"),
    "a topic in bytes": (lambda s: s.client.producer(b"orders"), T, "topic must be a str", "not bytes"),
    "no topic": (lambda s: s.client.producer(None), T, "topic must be a str", "not None"),
    "a topic that UTF-8 does not have": (lambda s: s.client.producer("\ud800"), C, "topic is a str", "UTF-8"),
    "an empty topic": (lambda s: s.client.producer(""), C, "topic is empty", "at least one"),
    "a topic with a name without end": (
        lambda s: s.client.producer("x" * 10_000),
        TopicNotFoundError,
        'topic "xxx',
        'xxx" does not exist: create it, or list the topics',
    ),
    "a topic that is not there": (lambda s: s.client.producer("nowhere"), TopicNotFoundError, '"nowhere"', "create it"),
    "a size in words": (lambda s: s.producing(batch_size="big"), C, "batch_size is 'big'", '"512KiB"'),
    "a size that is a float": (
        lambda s: s.producing(batch_size=1e6),
        T,
        "batch_size must be",
        "1000000.0",
    ),
    "a buffer that is too small": (
        lambda s: s.producing(buffer_size=10),
        C,
        "buffer_size is 10",
        "from ",
    ),
    "a time in words": (lambda s: s.producing(linger="fast"), C, "linger is 'fast'", '"500ms"'),
    "a codec that is none": (
        lambda s: s.producing(compression="zip"),
        C,
        "compression is 'zip'",
        "'zstd'",
    ),
    "compression=True": (lambda s: s.producing(compression=True), T, "compression must be", "not True"),
    "nothing in flight": (lambda s: s.producing(max_in_flight=0), C, "max_in_flight is 0", "from 1 to"),
    "exactly once": (
        lambda s: s.producing(delivery="exactly_once"),
        C,
        "'exactly_once'",
        "'at_least_once'",
    ),
    "no time to deliver": (
        lambda s: s.producing(delivery_timeout=None),
        T,
        "delivery_timeout",
        "not None",
    ),
    "a partition as partitioner": (lambda s: s.producing(partitioner=0), T, "partitioner", "fixed(0)"),
    "a partition in words": (lambda _: Partitioner.fixed("0"), T, "partition must be an int", "not '0'"),
    # sending
    "a dict is sent": (lambda s: s.producer.send({"a": SECRET}), T, "value must be bytes", "not a dict: encode it"),
    "a list is sent": (lambda s: s.producer.send([SECRET]), T, "value must be bytes", "not a list: encode it"),
    "a number is sent": (lambda s: s.producer.send(7), T, "value must be bytes", "not an int: encode it"),
    "nothing is sent": (lambda s: s.producer.send(None), T, "value must be bytes", "not None"),
    "a record is sent as a value": (lambda s: s.producer.send(ProducerRecord(SECRET)), T, "value", "a ProducerRecord"),
    "what UTF-8 does not have": (lambda s: s.producer.send(SECRET + "\ud800"), C, "value is a str", "UTF-8"),
    "a key that is a number": (lambda s: s.producer.send("x", key=7), T, "key must be bytes", "not an int"),
    "a key that is a tuple": (lambda s: s.producer.send("x", key=(SECRET, 1)), T, "key must be bytes", "not a tuple"),
    "a partition that is not there": (
        lambda s: s.producer.send("x", partition=9),
        PartitionNotFoundError,
        "has no partition 9",
        "it has 1, numbered from 0",
    ),
    "a negative partition": (lambda s: s.producer.send("x", partition=-1), C, "partition is -1", "from 0 to"),
    "a partition that is text": (lambda s: s.producer.send("x", partition="0"), T, "partition must be an int", "'0'"),
    "a timestamp that is a float": (
        lambda s: s.producer.send("x", timestamp=1.5),
        T,
        "timestamp, in milliseconds",
        "1.5",
    ),
    "a timestamp without a time zone": (
        lambda s: s.producer.send("x", timestamp=datetime.datetime(2026, 1, 1)),
        C,
        "timestamp is a datetime without a time zone",
        "datetime.now(timezone.utc)",
    ),
    "a time-out of send in words": (lambda s: s.producer.send("x", timeout="5s"), T, "timeout must be", "not '5s'"),
    "a record that is too large": (
        lambda s: s.producer.send(LONG * 300),
        RecordTooLargeError,
        "bytes of key and value",
        "max_request_size is 1048576",
    ),
    "send_all of text": (
        lambda s: s.producer.send_all(LONG),
        T,
        "records must be an iterable",
        "not a str: use send()",
    ),
    "send_all of a dict": (
        lambda s: s.producer.send_all({SECRET: SECRET}),
        T,
        "records must be",
        "not a dict: only its",
    ),
    "send_all of one record": (lambda s: s.producer.send_all(ProducerRecord(SECRET)), T, "records", "a ProducerRecord"),
    "send_all of a number": (lambda s: s.producer.send_all(7), T, "records must be an iterable", "not an int"),
    "send_arrow of a list": (
        lambda s: s.producer.send_arrow([SECRET]),
        T,
        "data must be Arrow data",
        "not a list",
    ),
    "send_all of what is asynchronous": (lambda s: s.producer.send_all(arriving()), T, "records", "AsyncFluvio"),
    "send_all of dicts": (
        lambda s: s.producer.send_all([{"a": SECRET}]),
        T,
        "record 0: the value must",
        "json.dumps()",
    ),
    "send_all of triples": (
        lambda s: s.producer.send_all([("k", "v", SECRET)]),
        C,
        "record 0: a tuple of 3",
        "(key, value)",
    ),
    "send_all of one that is too large": (
        lambda s: s.producer.send_all([b"x", LONG * 300]),
        DeliveryError,
        "record 1: the record has",
        "max_request_size is 1048576",
    ),
    # opening a consumer
    "a topic that is a number": (lambda s: s.client.consumer(["a", 7]), T, "a topic must be a str", "not 7"),
    "topics in a set": (lambda s: s.client.consumer({"a", "b"}), T, "topic must be a str", "not a set"),
    "a topic twice": (lambda s: s.client.consumer(["a", "a"]), C, "topic has 'a' twice", "each topic once"),
    "no topics": (lambda s: s.client.consumer([]), C, "topic has 0 topics", "1 to 1000"),
    "a start in a time without a zone": (
        lambda s: s.consuming(start=Offset.since(datetime.datetime(2026, 1, 1))),
        C,
        "when is a datetime without a time zone",
        "datetime.now(timezone.utc)",
    ),
    "a start that is a number": (lambda s: s.consuming(start=5), T, "start must be", "Offset.at(5)"),
    "a start in words": (
        lambda s: s.consuming(start="beginning"),
        T,
        "start must be",
        "Offset.beginning()",
    ),
    "starts that are numbers": (lambda s: s.consuming(start={0: 5}), T, "start[0] must be", "not 5"),
    "a start that is a method": (
        lambda s: s.consuming(start=Offset.end),
        T,
        "start must be",
        "a method",
    ),
    "no partition of that number": (
        lambda s: s.consuming(partitions=9),
        PartitionNotFoundError,
        "has no partition 9",
        "it has 1, numbered from 0",
    ),
    "partitions that are text": (lambda s: s.consuming(partitions="0"), T, "partitions must be", "'0'"),
    "partitions of text": (lambda s: s.consuming(partitions=["0"]), T, "a partition must be", "'0'"),
    "no partitions": (lambda s: s.consuming(partitions=[]), C, "partitions is empty", "leave it out"),
    "partitions in a dict": (
        lambda s: s.consuming(partitions={0: 5}),
        T,
        "partitions must",
        "not a dict",
    ),
    "partitions that are a float": (lambda s: s.consuming(partitions=1.5), T, "partitions must", "1.5"),
    "stop_at_end in words": (lambda s: s.consuming(stop_at_end="no"), T, "stop_at_end must be", "'no'"),
    "resume is a number": (lambda s: s.consuming(resume=1), T, "resume must be True or False", "not 1"),
    "commits without an id": (
        lambda s: s.consuming(commit="auto"),
        C,
        "commit is 'auto'",
        "consumer_id",
    ),
    "commits of another kind": (
        lambda s: s.consuming(consumer_id="w", commit="sync"),
        C,
        "commit is 'sync'",
        "'manual' or 'auto'",
    ),
    "commit=True": (
        lambda s: s.consuming(consumer_id="w", commit=True),
        T,
        "commit must be 'manual' or 'auto'",
        "not True",
    ),
    "an id that is a number": (
        lambda s: s.consuming(consumer_id=5),
        T,
        "consumer_id must be a str",
        "5",
    ),
    "an empty id": (lambda s: s.consuming(consumer_id=""), C, "consumer_id is empty", "at least one"),
    "an isolation of another world": (
        lambda s: s.consuming(isolation="serializable"),
        C,
        "isolation is 'serializable'",
        "'read_committed'",
    ),
    "evicted records are ignored": (
        lambda s: s.consuming(on_evicted="ignore"),
        C,
        "on_evicted is 'ignore'",
        "'raise' or 'skip'",
    ),
    # consuming
    "a time-out of receive in words": (lambda s: s.consumer.receive(timeout="1s"), T, "timeout must be", "not '1s'"),
    "the time-out of nothing": (lambda s: s.consumer.receive(timeout=[]), T, "timeout must be", "not a list"),
    "batches of nothing": (lambda s: s.consumer.batches(max_records=0), C, "max_records is 0", "from 1 to"),
    "batches that wait in words": (lambda s: s.consumer.batches(max_wait="soon"), C, "max_wait is 'soon'", '"500ms"'),
    "a commit without an id": (lambda s: s.plain.commit(), U, "opened without a consumer_id", "no stored offsets"),
    "a commit of records": (lambda s: s.consumer.commit([s.record] * 100), T, "what must be a Record", "not a list"),
    "a commit of an offset": (lambda s: s.consumer.commit(5), T, "what must be a Record", "{partition: offset}"),
    "a commit of a value": (lambda s: s.consumer.commit(s.record.value), T, "what must be a Record", "not bytes"),
    "a commit of offsets in text": (lambda s: s.consumer.commit({0: "5"}), T, "of partition 0 must be an int", "'5'"),
    "a commit of partitions in text": (lambda s: s.consumer.commit({"0": 5}), T, "a partition to commit", "'0'"),
    "a commit of another topic": (
        lambda s: s.consumer.commit(Record("other", 0, 0, None, None, SECRET.encode())),
        C,
        "what is of topic 'other'",
        "this consumer reads",
    ),
    "a seek of text": (lambda s: s.consumer.seek("0", 5), T, "partition must be an int", "not '0'"),
    "a seek to text": (lambda s: s.consumer.seek(0, "end"), T, "an offset must be an int", "not 'end'"),
    "a seek elsewhere": (
        lambda s: s.consumer.seek(9, 0),
        PartitionNotFoundError,
        "partition 9 of topic",
        "is not read by",
    ),
    "a pause elsewhere": (
        lambda s: s.consumer.pause(9),
        PartitionNotFoundError,
        "partition 9 of topic",
        "is not read by",
    ),
    "a pause of a list": (lambda s: s.consumer.pause([0]), T, "a partition must be an int", "not a list"),
    "a negative offset": (lambda _: Offset.at(-1), C, "an offset is -1", "from 0 to"),
    "an offset in text": (lambda _: Offset.at("5"), T, "an offset must be an int", "not '5'"),
    "part of a record": (lambda _: Offset.from_end(1.5), T, "an offset must be an int", "not 1.5"),
    # administration
    "a topic with capitals": (
        lambda s: s.create("Bad_Name"),
        InvalidTopicError,
        "Bad_Name",
        "1 to 63 lower-case letters",
    ),
    "partitions as the second argument": (
        lambda s: s.create("x", 3),
        T,
        "spec must be a TopicSpec (the number of partitions is partitions=)",
        "not 3",
    ),
    "a spec and keywords": (
        lambda s: s.create("x", TopicSpec(), partitions=3),
        C,
        "spec and partitions are given",
        "TopicSpec",
    ),
    "partitions in text": (
        lambda s: s.create("x", partitions="3"),
        T,
        "partitions must be an int",
        "not '3'",
    ),
    "no partition at all": (
        lambda s: s.create("x", partitions=0),
        C,
        "partitions is 0",
        "from 1 to",
    ),
    "retention in words": (
        lambda s: s.create("x", retention="7 days"),
        C,
        "retention is '7 days'",
        '"7d"',
    ),
    "more replicas than SPUs": (
        lambda s: s.create("x", replication=3),
        InvalidTopicError,
        "replication is 3",
        "at most the number of SPUs that are online, 1",
    ),
    "exist_ok in words": (lambda s: s.create("x", exist_ok="yes"), T, "exist_ok must be", "'yes'"),
    "a topic that exists": (
        lambda s: s.create(s.topic),
        fluvio_cffi.AlreadyExistsError,
        "already exists",
        "exist_ok",
    ),
    "deleting what is not there": (
        lambda s: s.client.admin.topics.delete("nope"),
        TopicNotFoundError,
        'deleting topic "nope"',
        "list the topics",
    ),
    "deleting several": (lambda s: s.client.admin.topics.delete(["a"]), T, "name must be a str", "not a list"),
    "more partitions in text": (
        lambda s: s.client.admin.topics.add_partitions(s.topic, "2"),
        T,
        "count must be an int",
        "not '2'",
    ),
    "a module's path as its code": (
        lambda s: s.client.admin.smartmodules.create("m", wasm="m.wasm"),
        T,
        "wasm must be bytes, not a str",
        "path=",
    ),
    "offsets of partitions in text": (lambda s: s.client.offsets(s.topic, "0"), T, "partitions must be", "'0'"),
    # the rest
    "a closed producer": (lambda s: s.closed.send("x"), ClosedError, "the producer is closed", ""),
    "spus in text": (lambda _: LocalCluster(spus="2"), T, "spus must be an int", "not '2'"),
    "no SPU": (lambda _: LocalCluster(spus=0), C, "spus is 0", "from 1 to"),
    "a port in text": (lambda _: LocalCluster(port="9003"), T, "port must be an int", "'9003'"),
    "the end in words": (lambda _: set_exit_timeout("soon"), C, "seconds is 'soon'", "a number of seconds"),
}


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with (
        LocalCluster() as cluster,
        Fluvio.connect(cluster.endpoint) as client,
        contextlib.ExitStack() as opened,
    ):
        client.admin.topics.create("orders")
        producer = opened.enter_context(client.producer("orders"))
        producer.send(SECRET)
        plain = opened.enter_context(client.consumer("orders"))
        consumer = opened.enter_context(client.consumer("orders", consumer_id="w"))
        closed = client.producer("orders")
        closed.close()
        yield Scene(cluster, client, "orders", producer, consumer, plain, consumer.receive(timeout=10), closed)


@pytest.mark.parametrize("name", USES)
def test_what_it_says(scene: Scene, name: str) -> None:
    do, cls, *words = USES[name]
    with pytest.raises(cls) as raised:
        do(scene)
    check(raised.value, cls, *words)


def check(error: Exception, cls: type[Exception], *words: str) -> None:
    said = str(error)
    assert type(error) is cls, repr(error)
    for word in words:
        assert word in said
    assert len(said) <= 300
    assert SECRET not in said
    assert SECRET not in repr(error)
    if isinstance(error, ConfigError):
        assert isinstance(error, ValueError)
        assert isinstance(error, TypeError) == (cls is ConfigTypeError)


def test_there_are_enough() -> None:
    assert len(USES) >= 50


# -- asynchronous


async def _open_elsewhere(s: Scene) -> object:
    return await asyncio.to_thread(lambda: AsyncFluvio.connect(s.cluster.endpoint).__await__().send(None))


async def _used_elsewhere(s: Scene) -> object:
    async with AsyncFluvio.connect(s.cluster.endpoint) as client:
        return await asyncio.to_thread(lambda: asyncio.run(client.admin.topics.list()))


async def _used_in_a_thread(s: Scene) -> object:
    async with AsyncFluvio.connect(s.cluster.endpoint) as client:
        return await asyncio.to_thread(lambda: client.admin.topics.list().send(None))


async def _with(s: Scene) -> None:
    with AsyncFluvio.connect(s.cluster.endpoint):  # type: ignore[attr-defined]
        pass


async def _with_client(s: Scene) -> None:
    async with AsyncFluvio.connect(s.cluster.endpoint) as client:
        with client:  # type: ignore[attr-defined]
            pass


async def _async_with(s: Scene) -> None:
    async with s.client:
        pass


async def _async_with_producer(s: Scene) -> None:
    async with s.producer:
        pass


async def _twice(s: Scene) -> None:
    opening = AsyncFluvio.connect(s.cluster.endpoint)
    async with opening:
        await opening


async def _iterated(s: Scene) -> None:
    async with AsyncFluvio.connect(s.cluster.endpoint) as client:
        opening: Any = client.consumer(s.topic)
        try:
            async for _ in opening:
                pass
        finally:
            await (await opening).close()


async def _not_awaited(s: Scene) -> None:
    opening: Any = AsyncFluvio.connect(s.cluster.endpoint)
    try:
        opening.producer(s.topic)
    finally:
        await (await opening).close()


async def _receive_not_awaited(s: Scene) -> None:
    async with (
        AsyncFluvio.connect(s.cluster.endpoint) as client,
        client.consumer(s.topic, consumer_id="w") as consumer,
    ):
        received: Any = consumer.receive()
        try:
            await consumer.commit(received)
        finally:
            received.close()


async def _two_readers(s: Scene) -> None:
    async with AsyncFluvio.connect(s.cluster.endpoint) as client, client.consumer(s.topic) as consumer:
        first = asyncio.ensure_future(consumer.receive())
        await asyncio.sleep(0)
        try:
            await consumer.receive()
        finally:
            first.cancel()
            await asyncio.wait([first])


async def _after_close(s: Scene) -> None:
    async with AsyncFluvio.connect(s.cluster.endpoint) as client:
        pass
    await client.admin.topics.list()


async def _result_too_early(s: Scene) -> None:
    async with AsyncFluvio.connect(s.cluster.endpoint) as client, client.producer(s.topic, linger=0.2) as producer:
        (await producer.enqueue("x")).result()


ASYNC: dict[str, tuple[Callable[[Scene], Any], type[Exception], str, str]] = {
    "no loop": (_open_elsewhere, U, "no event loop is running", "asyncio or trio"),
    "another loop": (_used_elsewhere, U, "another event loop", "connect one in each loop"),
    "another thread": (_used_in_a_thread, U, "inside a running task", "asyncio.run_coroutine_threadsafe()"),
    "with": (_with, U, "AsyncFluvio.connect() is asynchronous", "async with"),
    "with a client": (_with_client, U, "AsyncFluvio is asynchronous", "async with"),
    "async with a client for threads": (_async_with, U, "Fluvio is synchronous", "Async"),
    "async with a producer for threads": (_async_with_producer, U, "Producer is synchronous", "Async"),
    "opened twice": (_twice, U, "was awaited or entered already", "call it again"),
    "iterated unopened": (_iterated, U, "must be opened first", "async with"),
    "not awaited": (_not_awaited, AttributeError, "is not opened yet and has no 'producer'", "await it"),
    "a record that is not awaited": (_receive_not_awaited, T, "what must be a Record", "a coroutine: await it first"),
    "two readers": (_two_readers, U, "this consumer is being read already", "one reads at a time"),
    "after close": (_after_close, ClosedError, "the client is closed", ""),
    "a result that is not there": (_result_too_early, U, "not settled yet", "wait for the receipt"),
}


@pytest.mark.parametrize("name", ASYNC)
def test_what_it_says_in_coroutines(scene: Scene, name: str) -> None:
    do, cls, *words = ASYNC[name]
    with pytest.raises(cls) as raised:
        asyncio.run(do(scene))
    check(raised.value, cls, *words)


def test_two_threads_read(scene: Scene) -> None:
    with scene.client.consumer("orders") as consumer:

        def read() -> None:
            with contextlib.suppress(ClosedError):
                consumer.receive()

        thread = threading.Thread(target=read)
        thread.start()
        said: list[Exception] = []
        while not said:
            try:
                consumer.receive(timeout=0.01)
            except fluvio_cffi.FluvioTimeoutError:
                continue
            except UsageError as error:
                said.append(error)
        consumer.stop()
        thread.join()
        check(said[0], UsageError, "is being read already", "one reads at a time")
