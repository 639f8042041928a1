"""Any call may come in the middle of any other one: at each place where a signal handler or a finalizer may run.

A trace function stands in for them: at one place of the outer call after another it makes the inner one. Both must do
what they would have done one after the other, in one order or the other; neither waits for ever, nothing is lost, and
nothing is left behind. A read in the middle of a read of the same object raises UsageError at once.

A run makes a sample of all the triples (outer call, place, inner call); all of them with FLUVIO_CFFI_LONG=1.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import anyio
import pytest
from conftest import World
from laws import LONG, nothing_left
from places import Stepper

from fluvio_cffi import (
    ClosedError,
    Consumer,
    Events,
    Fluvio,
    FluvioError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    Producer,
    RecordMetadata,
    TableFormat,
    UsageError,
    Watch,
)

pytestmark = [
    pytest.mark.timeout(3600 if LONG else 120),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="knows the bytecode of CPython"),
]
# How many places of an outer call an inner one is made at, in a sample.
SAMPLE: Final = 3
# Seconds that a call may take, at most, and what its time-out is: nobody must wait for that.
SLOW: Final = 2.5
LIMIT: Final = 5.0
RECORDS: Final = 4_000

Event = tuple[str, Any]
"""What a call has seen of a consumer: ("read", offset), ("seek", offset), ("position", offset)."""


class Stage:
    """A client, what it has open, and what is known of that."""

    def __init__(self, endpoint: str, name: str) -> None:
        self.endpoint = endpoint
        self.name = name
        self.log_topic = f"log-{name}"
        self.live_topic = f"live-{name}"
        self.numbers = itertools.count()
        # Where the records are that were sent, and what they are; the offsets that were read as they came.
        self.sent: dict[int, bytes] = {}
        self.came: list[int] = []
        # What the watch has told of.
        self.formats: set[str] = set()
        # Where `log` goes on.
        self.expected = 0
        self.last = ""
        self.client = Fluvio.connect(endpoint)
        for topic in (self.log_topic, self.live_topic):
            self.client.admin.topics.create(topic)
        # In small batches, so that they are taken a few at a time.
        with self.client.producer(self.log_topic, batch_size=200) as producer:
            producer.send_all([b"%d" % number for number in range(RECORDS)])
        self._open()

    def value(self) -> bytes:
        """Another value."""
        return b"%d" % next(self.numbers)

    def note(self, value: bytes, metadata: RecordMetadata) -> None:
        """It was acknowledged."""
        assert metadata.offset is not None and metadata.offset not in self.sent
        self.sent[metadata.offset] = value

    def check(self) -> None:
        """Nothing is left of the calls. What they have closed is opened again."""
        if self.client.closed:
            self.client = Fluvio.connect(self.endpoint)
        self._open()
        # All the room is there.
        value = self.value().ljust(2_800)
        last = self.narrow.send(value, timeout=LIMIT)
        self.note(value, last)
        while not self.came or self.came[-1] != last.offset:
            self.came.append(self.live.receive(timeout=LIMIT).offset)
        for producer in (self.producer, self.narrow):
            if producer.pending != (0, 0):
                producer.flush(LIMIT)
            assert producer.pending == (0, 0)
            assert all(place.left for place in producer._intake.queue.waiting)
            assert producer._intake.submitter.idle
            # A record that nobody waited for is settled in the library before somebody has looked.
            settled_by = time.monotonic() + LIMIT
            while producer._ledger.submitted != producer._ledger.settled:
                assert time.monotonic() < settled_by
                self.client._session.backend.look()
        for consumer in (self.log, self.live):
            assert not consumer._subscription.reading
        for reader in (self.watch, self.events):
            assert not reader._reading
        if self.expected > RECORDS - 50:
            self.log.seek(0, 0)
            self.expected = 0
        backend = self.client._session.backend
        completions = backend.completions
        deadline = time.monotonic() + LIMIT
        while completions._operations:
            assert time.monotonic() < deadline, list(completions._operations.values())
            backend.look()
        assert backend._leader is None and not backend._parked
        assert not completions.undone and not completions._inside and not completions.tickets
        assert not any(catch.busy for catch in completions._catches)

    def check_all(self) -> None:
        """All that was acknowledged is where it was said to be, and all came once, in order."""
        with self.client.consumer(self.live_topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            values = {record.offset: record.value for record in consumer}
        assert {offset: values.get(offset) for offset in self.sent} == self.sent
        assert sorted(self.came) == list(range(self.came[0], self.came[0] + len(self.came)))

    def __enter__(self) -> Stage:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        del self.producer, self.narrow, self.log, self.live, self.watch, self.events, self.client

    def _open(self) -> None:
        """Opens what is closed."""
        client = self.client
        if self._is_closed("producer"):
            self.producer: Producer = client.producer(self.live_topic)
        if self._is_closed("narrow"):
            self.narrow: Producer = client.producer(self.live_topic, buffer_size=3_000, max_request_size=3_000)
        if self._is_closed("log"):
            self.log: Consumer = client.consumer(
                self.log_topic, start=Offset.at(self.expected), resume=False, consumer_id=self.name
            )
        if self._is_closed("live"):
            start = Offset.at(max(self.came) + 1) if self.came else Offset.beginning()
            self.live: Consumer = client.consumer(self.live_topic, start=start)
        if self._is_closed("watch"):
            self.watch: Watch[TableFormat] = client.admin.table_formats.watch()
            self.formats.update(item.name for item in self.watch.receive(LIMIT).items)
        if self._is_closed("events"):
            self.events: Events = client.events()
            assert self.events.receive(LIMIT).kind == "connected"

    def _is_closed(self, name: str) -> bool:
        thing = getattr(self, name, None)
        if name == "events":
            return thing is None or thing._session is not self.client._session
        if name == "log" and thing is not None and thing._subscription.stopped:
            thing.close()
        return thing is None or thing.closed


class Call(NamedTuple):
    """A call, or a few.

    :ivar make: makes it, and notes what it saw.
    :ivar uses: the objects that it needs.
    :ivar reads: the one that it reads.
    :ivar closes: those that it closes.
    """

    make: Callable[[Stage, list[Event]], object]
    uses: frozenset[str]
    reads: str | None
    closes: frozenset[str]


CALLS: dict[str, Call] = {}


def call(
    *uses: str, reads: str | None = None, closes: Sequence[str] = ()
) -> Callable[[Callable[[Stage, list[Event]], object]], Callable[[Stage, list[Event]], object]]:
    def register(make: Callable[[Stage, list[Event]], object]) -> Callable[[Stage, list[Event]], object]:
        objects = {"client", *uses} | ({reads} if reads is not None else set())
        CALLS[make.__name__] = Call(make, frozenset(objects), reads, frozenset(closes))
        return make

    return register


EVERYTHING = ("client", "producer", "narrow", "log", "live", "watch", "events")


@call("producer")
def send(stage: Stage, seen: list[Event]) -> None:
    value = stage.value()
    stage.note(value, stage.producer.send(value, timeout=LIMIT))


@call("producer")
def enqueue_and_wait(stage: Stage, seen: list[Event]) -> None:
    value = stage.value()
    receipt = stage.producer.enqueue(value, key="k", timeout=LIMIT)
    metadata = receipt.wait(timeout=LIMIT)
    assert receipt.done() and receipt.result() == metadata and receipt.exception() is None
    stage.note(value, metadata)


@call("narrow")
def enqueue_without_room(stage: Stage, seen: list[Event]) -> None:
    values = [stage.value().ljust(1_000) for _ in range(4)]
    receipts = [stage.narrow.enqueue(value, timeout=LIMIT) for value in values]
    for value, receipt in zip(values, receipts, strict=True):
        stage.note(value, receipt.wait(timeout=LIMIT))


@call("narrow")
def send_all_without_room(stage: Stage, seen: list[Event]) -> None:
    values = [stage.value().ljust(700) for _ in range(6)]
    for value, metadata in zip(values, stage.narrow.send_all(values, timeout=LIMIT), strict=True):
        stage.note(value, metadata)


@call("producer")
def send_all(stage: Stage, seen: list[Event]) -> None:
    pairs = [("k", stage.value()), ("l", stage.value())]
    for (_, value), metadata in zip(pairs, stage.producer.send_all(pairs, timeout=LIMIT), strict=True):
        stage.note(value, metadata)


@call("producer")
def flush(stage: Stage, seen: list[Event]) -> None:
    value = stage.value()
    receipt = stage.producer.enqueue(value, timeout=LIMIT)
    stage.producer.flush(timeout=LIMIT)
    stage.note(value, receipt.result())


@call("producer", closes=("producer",))
def close_producer(stage: Stage, seen: list[Event]) -> None:
    stage.producer.close(timeout=LIMIT)


@call()
def open_producer(stage: Stage, seen: list[Event]) -> None:
    value = stage.value()
    with stage.client.producer(stage.live_topic) as producer:
        stage.note(value, producer.send(value, timeout=LIMIT))


@call("producer", "narrow")
def pending(stage: Stage, seen: list[Event]) -> None:
    for producer in (stage.producer, stage.narrow):
        assert producer.pending.records >= 0 and producer.topic == stage.live_topic
        assert repr(producer) and producer.closed in (False, True)


@call(reads="log")
def receive(stage: Stage, seen: list[Event]) -> None:
    seen.append(("read", stage.log.receive(timeout=LIMIT).offset))


@call(reads="log")
def iterate(stage: Stage, seen: list[Event]) -> None:
    for record in stage.log:
        seen.append(("read", record.offset))
        break


@call(reads="log")
def batches(stage: Stage, seen: list[Event]) -> None:
    for batch in stage.log.batches(max_records=3, max_wait=0):
        seen.extend(("read", offset) for offset in batch.offset_list())
        break


@call("producer", reads="live")
def receive_what_comes(stage: Stage, seen: list[Event]) -> None:
    value = stage.value()
    receipt = stage.producer.enqueue(value, timeout=LIMIT)
    stage.came.append(stage.live.receive(timeout=LIMIT).offset)
    stage.note(value, receipt.wait(timeout=LIMIT))


@call("log")
def seek(stage: Stage, seen: list[Event]) -> None:
    stage.log.seek(0, 100, timeout=LIMIT)
    seen.append(("seek", 100))


@call("log")
def pause_and_resume(stage: Stage, seen: list[Event]) -> None:
    stage.log.pause(0)
    stage.log.resume(0)


@call("log")
def position(stage: Stage, seen: list[Event]) -> None:
    seen.append(("position", stage.log.position()[0]))
    assert stage.log.lag()[0] > 0
    assert stage.log.assignment == (0,)


@call("log")
def commit(stage: Stage, seen: list[Event]) -> None:
    stage.log.commit(timeout=LIMIT)
    stage.log.commit({0: 7}, timeout=LIMIT)


@call("log")
def committed(stage: Stage, seen: list[Event]) -> None:
    assert stage.log.committed(timeout=LIMIT).get(0, 0) >= 0


@call("log", closes=("log",))
def stop(stage: Stage, seen: list[Event]) -> None:
    stage.log.stop()


@call("log", closes=("log",))
def close_consumer(stage: Stage, seen: list[Event]) -> None:
    stage.log.close(timeout=LIMIT)


@call()
def open_consumer(stage: Stage, seen: list[Event]) -> None:
    with stage.client.consumer(stage.log_topic, start=Offset.beginning()) as consumer:
        assert consumer.receive(timeout=LIMIT).offset == 0


@call()
def connect(stage: Stage, seen: list[Event]) -> None:
    with Fluvio.connect(stage.endpoint, timeout=LIMIT) as client:
        assert client.state == "connected"


@call()
def metrics(stage: Stage, seen: list[Event]) -> None:
    assert stage.client.metrics().records_produced >= 0
    assert stage.client.state in ("connected", "closed") and repr(stage.client)


@call()
def list_topics(stage: Stage, seen: list[Event]) -> None:
    topics = stage.client.admin.topics.list(name_contains=stage.log_topic, timeout=LIMIT)
    assert stage.log_topic in [topic.name for topic in topics]


@call(reads="watch")
def change_and_watch(stage: Stage, seen: list[Event]) -> None:
    name = f"{stage.name}-{next(stage.numbers)}"
    stage.client.admin.table_formats.create(name, timeout=LIMIT)
    while name not in stage.formats:
        try:
            change = stage.watch.receive(timeout=1)
        except FluvioTimeoutError:
            # The other call may have seen it, after this one has looked.
            assert name in stage.formats
        else:
            stage.formats.update(item.name for item in change.items)


@call("watch", closes=("watch",))
def close_watch(stage: Stage, seen: list[Event]) -> None:
    stage.watch.close(timeout=LIMIT)


@call()
def open_watch(stage: Stage, seen: list[Event]) -> None:
    with stage.client.admin.spus.watch() as changes:
        assert changes.receive(timeout=LIMIT).kind == "snapshot"


@call(reads="events")
def next_events(stage: Stage, seen: list[Event]) -> None:
    kind = stage.client.events().receive(timeout=LIMIT).kind
    # What the client went through before it was closed, in the middle of this call, is passed over.
    assert kind == "connected" or (kind == "closed" and stage.client.state == "closed")
    with contextlib.suppress(FluvioTimeoutError):
        stage.events.receive(timeout=0.001)


@call(*EVERYTHING[1:], closes=EVERYTHING)
def close_client(stage: Stage, seen: list[Event]) -> None:
    stage.client.close(timeout=LIMIT)


def fits(at: int, first: Sequence[Event], second: Sequence[Event], end: int | None) -> bool:
    """Whether the reader, which was at `at`, may have seen all of this in some order of the two, and be at `end`."""
    if not first and not second:
        return end is None or at == end
    for events, rest in ((first, second), (second, first)):
        if not events:
            continue
        (kind, offset), *after = events
        here = offset + 1 if kind == "read" else offset
        if (kind == "seek" or offset == at) and (
            fits(here, after, rest, end) if events is first else fits(here, rest, after, end)
        ):
            return True
    return False


def make(stage: Stage, outer: Call, inner: Call, at: int, elsewhere: bool = False) -> bool:
    """Makes the inner call at that place of the outer one; false if that does not get there.

    :param elsewhere: in another thread, for which it waits.
    """
    first: list[Event] = []
    second: list[Event] = []
    inner_error: Exception | None = None
    outer_error: Exception | None = None
    crashes: list[BaseException] = []
    spent = 0.0

    def come() -> None:
        nonlocal inner_error, spent
        begun = time.monotonic()
        try:
            inner.make(stage, second)
        except FluvioError as error:
            inner_error = error
        except BaseException as error:
            crashes.append(error)
        spent = time.monotonic() - begun

    def come_elsewhere() -> None:
        thread = threading.Thread(target=come, daemon=True)
        thread.start()
        thread.join(4 * LIMIT)
        assert not thread.is_alive(), "the inner call waits for ever"

    stepper = Stepper(at, come_elsewhere if elsewhere else come, finalizers=True)
    begun = time.monotonic()
    try:
        with stepper:
            outer.make(stage, first)
    except FluvioError as error:
        outer_error = error
    stage.last = f"at place {at}, {stepper.where}"
    for crash in crashes:
        raise crash
    assert spent < SLOW, "the inner call has waited for the outer one"
    assert time.monotonic() - begun - spent < SLOW, "the outer call was forgotten"
    if outer_error is not None and not (isinstance(outer_error, ClosedError) and inner.closes & outer.uses):
        raise outer_error
    if inner_error is not None:
        second_reader = type(inner_error) is UsageError and outer.reads == inner.reads is not None
        if not second_reader and not (isinstance(inner_error, ClosedError) and outer.closes & inner.uses):
            raise inner_error
    closed = outer.closes | (inner.closes if stepper.hit else frozenset())
    end = None if closed & {"log", "client"} else stage.log.position()[0]
    assert fits(stage.expected, first, second, end), (stage.expected, first, second, end)
    stage.expected = 0 if end is None else end
    stage.check()
    return stepper.hit


@pytest.mark.parametrize("name", CALLS)
def test_any_call_in_the_middle_of_any_other_one(cluster: LocalCluster, name: str) -> None:
    walk(cluster, name, elsewhere=False)


@pytest.mark.parametrize("name", CALLS)
def test_any_call_of_another_thread_while_one_does_not_go_on(cluster: LocalCluster, name: str) -> None:
    """A signal handler may wait for a thread: that must not need the call in whose middle the handler came."""
    walk(cluster, name, elsewhere=True)


def walk(cluster: LocalCluster, name: str, elsewhere: bool) -> None:
    outer = CALLS[name]
    triples = 0
    with nothing_left(), Stage(cluster.endpoint, f"{name.replace('_', '-')}-{int(elsewhere)}") as stage:
        places = count_places(stage, outer)
        for inner_name, inner in CALLS.items():
            if name == "pause_and_resume" and inner.reads == "log":
                # It would rightly wait for ever.
                continue
            pair = f"{name} {inner_name} {elsewhere}"
            for at in range(places) if LONG and not elsewhere else sample(pair, places, elsewhere):
                try:
                    triples += make(stage, outer, inner, at, elsewhere)
                except Exception as error:
                    raise AssertionError(f"{inner_name} in {name}, {stage.last}: {error!r}") from error
        stage.check_all()
    print(f"{name}{', another thread' if elsewhere else ''}: {places} places, {triples} triples")
    assert triples


def count_places(stage: Stage, outer: Call) -> int:
    """How many places the call has, at most."""
    most = 0
    for _ in range(5):
        stepper = Stepper(sys.maxsize, lambda: None, finalizers=True)
        with stepper:
            outer.make(stage, [])
        most = max(most, sys.maxsize - stepper.left)
        stage.expected = 0 if outer.closes & {"log", "client"} else stage.log.position()[0]
        stage.check()
    return most


def sample(pair: str, places: int, few: bool = False) -> list[int]:
    """Some places, always the same ones."""
    count = (10 if LONG else 1) if few else SAMPLE
    return sorted({zlib.crc32(f"{pair} {number}".encode()) % places for number in range(count)})


# -- the methods of the `Async` classes that are plain


class AsyncStage:
    """The same on an event loop, with what the plain methods are of."""

    def __init__(self, world: World, client: Any, topic: str) -> None:
        self.world = world
        self.client = client
        self.topic = topic
        self.expected = 0

    async def open(self) -> None:
        client = self.client
        self.producer = await client.producer(self.topic)
        self.log = await self.consumer()
        self.settled = await self.producer.enqueue(b"settled")
        await self.settled.wait()
        await self.producer.flush()

    async def consumer(self) -> Any:
        start = Offset.at(self.expected)
        return await self.client.consumer(self.topic, start=start, resume=False, consumer_id="calls")

    async def check(self) -> None:
        """Nothing is left of the calls. A consumer that was stopped is opened again."""
        await self.producer.flush(LIMIT)
        assert self.producer.pending == (0, 0)
        subscription = self.log._subscription
        assert not subscription.reading and subscription.waiting is None
        if subscription.stopped:
            await self.log.close()
            self.log = await self.consumer()
        if self.expected > RECORDS - 50:
            await self.log.seek(0, 0)
            self.expected = 0
        completions = self.client._session.backend.completions
        with anyio.fail_after(LIMIT):
            while completions._operations or completions.tickets:
                await self.world.sleep(0)
        assert not completions.undone and not completions._inside

    async def close(self) -> None:
        await self.producer.close()
        await self.log.close()


async def a_send(stage: AsyncStage, seen: list[Event]) -> None:
    assert (await stage.producer.send(b"x", timeout=LIMIT)).topic == stage.topic


async def a_send_in_short(stage: AsyncStage, seen: list[Event]) -> None:
    assert (await stage.producer.send(b"x")).topic == stage.topic


async def a_enqueue(stage: AsyncStage, seen: list[Event]) -> None:
    receipts = [await stage.producer.enqueue(b"x") for _ in range(5)]
    for receipt in receipts:
        assert await receipt == receipt.result()


async def a_send_all(stage: AsyncStage, seen: list[Event]) -> None:
    assert (await stage.producer.send_all([b"x", ("k", b"y")], timeout=LIMIT)).count == 2


async def a_receive(stage: AsyncStage, seen: list[Event]) -> None:
    seen.append(("read", (await stage.log.receive(LIMIT)).offset))


async def a_iterate(stage: AsyncStage, seen: list[Event]) -> None:
    async for record in stage.log:
        seen.append(("read", record.offset))
        break


async def a_batches(stage: AsyncStage, seen: list[Event]) -> None:
    async for batch in stage.log.batches(max_records=3, max_wait=0):
        seen.extend(("read", offset) for offset in batch.offset_list())
        break


async def a_seek(stage: AsyncStage, seen: list[Event]) -> None:
    await stage.log.seek(0, 100, timeout=LIMIT)
    seen.append(("seek", 100))


async def a_commit(stage: AsyncStage, seen: list[Event]) -> None:
    await stage.log.commit({0: 7}, timeout=LIMIT)
    assert (await stage.log.committed(timeout=LIMIT))[0] == 7


async def a_administration(stage: AsyncStage, seen: list[Event]) -> None:
    assert await stage.client.admin.topics.get(stage.topic, timeout=LIMIT)
    async with stage.client.admin.spus.watch() as changes:
        assert (await changes.receive(LIMIT)).kind == "snapshot"


def p_position(stage: AsyncStage, seen: list[Event]) -> None:
    seen.append(("position", stage.log.position()[0]))
    assert stage.log.lag()[0] > 0
    assert stage.log.assignment == (0,)


def p_stop(stage: AsyncStage, seen: list[Event]) -> None:
    stage.log.stop()


def p_pause_and_resume(stage: AsyncStage, seen: list[Event]) -> None:
    stage.log.pause(0)
    stage.log.resume(0)


def p_pending(stage: AsyncStage, seen: list[Event]) -> None:
    assert stage.producer.pending.records >= 0 and not stage.producer.closed and repr(stage.producer)


def p_state(stage: AsyncStage, seen: list[Event]) -> None:
    assert stage.client.metrics().records_produced > 0
    assert stage.client.state == "connected" and repr(stage.client)


def p_receipt(stage: AsyncStage, seen: list[Event]) -> None:
    assert stage.settled.done() and stage.settled.exception() is None and repr(stage.settled)
    assert stage.settled.result().topic == stage.topic


AWAITED = (
    a_send,
    a_send_in_short,
    a_enqueue,
    a_send_all,
    a_receive,
    a_iterate,
    a_batches,
    a_seek,
    a_commit,
    a_administration,
)
PLAIN = (p_position, p_stop, p_pause_and_resume, p_pending, p_state, p_receipt)


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_plain_calls_in_the_middle_of_awaited_ones(world: World) -> None:
    triples = 0
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, batch_size=200) as producer:
            await producer.send_all([b"%d" % number for number in range(RECORDS)])
        stage = AsyncStage(world, client, topic)
        await stage.open()
        for outer, inner in itertools.product(AWAITED, PLAIN):
            places = await count_awaited_places(stage, outer)
            for at in range(places) if LONG else sample(f"{outer.__name__} {inner.__name__}", places):
                try:
                    triples += await make_awaited(stage, outer, inner, at)
                except Exception as error:
                    raise AssertionError(f"{inner.__name__} in {outer.__name__} at place {at}: {error!r}") from error
        await stage.close()
    print(f"{world.backend}: {triples} triples")
    assert triples


async def make_awaited(stage: AsyncStage, outer: Any, inner: Any, at: int) -> bool:
    """Makes the plain call at that place of the awaited one; false if that does not get there."""
    first: list[Event] = []
    second: list[Event] = []
    failures: list[Exception] = []

    def come() -> None:
        try:
            inner(stage, second)
        except Exception as error:
            failures.append(error)

    stepper = Stepper(at, come, finalizers=True)
    begun = time.monotonic()
    try:
        with stepper:
            await outer(stage, first)
    except ClosedError:
        assert inner is p_stop
    assert time.monotonic() - begun < SLOW, f"the outer call was forgotten: {stepper.where}"
    assert not failures, (failures, stepper.where)
    end = None if inner is p_stop and stepper.hit else stage.log.position()[0]
    assert fits(stage.expected, first, second, end), (stage.expected, first, second, end, stepper.where)
    stage.expected = 0 if end is None else end
    await stage.check()
    return stepper.hit


async def count_awaited_places(stage: AsyncStage, outer: Any) -> int:
    """How many places the call has, at most."""
    most = 0
    for _ in range(3):
        stepper = Stepper(sys.maxsize, lambda: None, finalizers=True)
        with stepper:
            await outer(stage, [])
        most = max(most, sys.maxsize - stepper.left)
        stage.expected = stage.log.position()[0]
        await stage.check()
    return most
