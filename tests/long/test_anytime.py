"""Threads that run as they like, with the interpreter going from one to another all the time, and real signals: whoever
calls, and whenever, the others go on."""

from __future__ import annotations

import contextlib
import functools
import gc
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import World
from laws import LONG, nothing_left

from fluvio_cffi import (
    ClosedError,
    Consumer,
    Fluvio,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    Producer,
    UsageError,
)

pytestmark = pytest.mark.timeout(120)
SECONDS = 20.0 if LONG else 2.0
LIMIT = 10.0


@pytest.fixture
def switching() -> Iterator[None]:
    """The interpreter goes from thread to thread at almost every place where it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def leaves_nothing(test: Callable[..., None]) -> Callable[..., None]:
    """A test whose objects are all gone when it is over."""

    @functools.wraps(test)
    def run(*args: Any, **keywords: Any) -> None:
        with nothing_left():
            test(*args, **keywords)

    return run


class Crowd:
    """Threads that make a call again and again, until the crowd is told to end."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.counts: dict[str, int] = {}
        self.failures: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def add(self, name: str, call: Callable[[], object]) -> None:
        def work() -> None:
            while not self.over.is_set():
                try:
                    call()
                except BaseException as error:
                    self.failures.append(error)
                    return
                self.counts[name] = self.counts.get(name, 0) + 1

        self._threads.append(threading.Thread(target=work, name=name, daemon=True))

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(2 * LIMIT)
        assert not [thread.name for thread in self._threads if thread.is_alive()]
        for failure in self.failures:
            raise failure
        assert all(self.counts.get(thread.name) for thread in self._threads), self.counts


def topic_of(client: Any, name: str) -> str:
    topic = f"{name}-{time.time_ns()}"
    client.admin.topics.create(topic)
    return topic


def governs(consumer: Any) -> None:
    """Pauses and resumes, and lets the reader come to something in between."""
    consumer.pause(0)
    consumer.resume(0)
    time.sleep(0.002)


def looks(consumer: Any) -> None:
    position = consumer.position().get(0, 0)
    assert position <= consumer.position().get(0, 0), "a position went back"
    assert consumer.lag().get(0, 0) >= 0
    assert consumer.assignment == (0,)


@pytest.mark.usefixtures("switching")
@leaves_nothing
def test_threads_that_do_everything_at_once(cluster: LocalCluster) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        topic = topic_of(client, "crowd")
        with (
            client.producer(topic) as producer,
            client.producer(topic, buffer_size=3_000, max_request_size=3_000) as narrow,
            client.consumer(topic, start=Offset.beginning(), consumer_id="crowd") as consumer,
        ):
            read: list[int] = []

            def reads(timeout: float) -> None:
                # Of two who read, one is told so at once.
                with contextlib.suppress(UsageError, FluvioTimeoutError):
                    read.append(consumer.receive(timeout).offset)

            crowd = Crowd()
            crowd.add("reader", lambda: reads(LIMIT))
            crowd.add("other reader", lambda: reads(0))
            crowd.add("governor", lambda: governs(consumer))
            crowd.add("monitor", lambda: looks(consumer))
            crowd.add("committer", lambda: consumer.commit(timeout=LIMIT))
            crowd.add("sender", lambda: producer.send(b"x", timeout=LIMIT))
            crowd.add("other sender", lambda: producer.send_all([b"x"] * 3, timeout=LIMIT))
            for number in range(3):
                crowd.add(f"narrow {number}", lambda: narrow.enqueue(b"x" * 900, timeout=LIMIT))
            crowd.add("flusher", lambda: narrow.flush(LIMIT))
            crowd.add("administrator", lambda: client.admin.topics.list(name_contains=topic, timeout=LIMIT))
            with crowd:
                time.sleep(SECONDS)
            producer.flush()
            narrow.flush()
            assert producer.pending == narrow.pending == (0, 0)
            last = producer.send(b"last").offset
            assert last is not None
            while len(read) <= last:
                read.append(consumer.receive(LIMIT).offset)
            assert sorted(read) == list(range(last + 1))
            assert consumer.position() == {0: last + 1}


@pytest.mark.usefixtures("switching")
@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_threads_that_ask_an_event_loop(world: World) -> None:
    """What is marked "any thread" in the Async classes really is."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with (
            client.producer(topic) as producer,
            client.consumer(topic, start=Offset.beginning(), consumer_id="crowd") as consumer,
        ):
            receipt = await producer.enqueue(b"x")
            crowd = Crowd()
            crowd.add("monitor", lambda: looks(consumer))
            crowd.add("governor", lambda: governs(consumer))
            crowd.add("pending", lambda: producer.pending)
            crowd.add("state", lambda: (client.state, client.metrics(), repr(client)))
            crowd.add("receipt", lambda: receipt.done() and receipt.result())
            read: list[int] = []
            with crowd:
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    await producer.send(b"x")
                    await producer.send_all([b"y", b"z"])
                    read.append((await consumer.receive(LIMIT)).offset)
                    async for batch in consumer.batches(max_records=2, max_wait=0):
                        read.extend(batch.offset_list())
                        break
            await producer.flush()
            last = (await producer.send(b"last")).offset
            while read[-1] != last:
                read.append((await consumer.receive(LIMIT)).offset)
            assert read == list(range(last + 1))


class Signals:
    """Signals for the main thread, at random moments. Their handler makes one of the calls; another signal may come in
    its middle."""

    def __init__(self, calls: list[Callable[[], object]]) -> None:
        self.calls = calls
        self.made = 0
        self.failures: list[BaseException] = []
        self._dice = random.Random(1)
        self._depth = 0
        self._over = threading.Event()
        self._sender = threading.Thread(target=self._send)

    def _send(self) -> None:
        dice = random.Random(2)
        while not self._over.wait(dice.random() * 0.002):
            # A handful that wait at a time is enough.
            if self._depth < 4:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    def _come(self, *_: object) -> None:
        self._depth += 1
        try:
            self._dice.choice(self.calls)()
            self.made += 1
        except BaseException as error:
            self.failures.append(error)
        finally:
            self._depth -= 1

    def __enter__(self) -> Signals:
        self._before = signal.signal(signal.SIGUSR1, self._come)
        self._sender.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._sender.join()
        signal.signal(signal.SIGUSR1, self._before)
        for failure in self.failures:
            raise failure
        assert self.made


@leaves_nothing
def test_signals_whose_handler_calls(cluster: LocalCluster) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        topic = topic_of(client, "signals")
        with (
            client.producer(topic) as producer,
            client.producer(topic, buffer_size=3_000, max_request_size=3_000) as narrow,
            client.consumer(topic, start=Offset.beginning(), consumer_id="signals") as consumer,
        ):

            def opens() -> None:
                with client.consumer(topic, start=Offset.beginning()) as other:
                    other.receive(LIMIT)

            def reads() -> None:
                with pytest.raises(UsageError) if consumer._subscription.reading else contextlib.nullcontext():
                    consumer.lag()
                    if consumer._subscription.reading:
                        consumer.receive(LIMIT)

            def pauses() -> None:
                consumer.pause(0)
                consumer.resume(0)

            def enqueues() -> None:
                narrow.enqueue(b"s" * 900, timeout=LIMIT)
                narrow.flush(LIMIT)

            calls: list[Callable[[], object]] = [
                lambda: consumer.commit(timeout=LIMIT),
                lambda: consumer.committed(timeout=LIMIT),
                pauses,
                lambda: looks(consumer),
                lambda: producer.send(b"s", timeout=LIMIT),
                enqueues,
                lambda: producer.send_all([b"s"] * 3, timeout=LIMIT),
                lambda: client.admin.topics.get(topic, timeout=LIMIT),
                lambda: (client.state, client.metrics(), producer.pending),
                opens,
                reads,
            ]
            read: list[int] = []
            with Signals(calls):
                end = time.monotonic() + SECONDS
                while time.monotonic() < end:
                    producer.send(b"x")
                    narrow.enqueue(b"x" * 900, timeout=LIMIT)
                    read.append(consumer.receive(LIMIT).offset)
                    for batch in consumer.batches(max_records=3, max_wait=0):
                        read.extend(batch.offset_list())
                        break
            narrow.flush()
            last = producer.send(b"last").offset
            while read[-1] != last:
                read.append(consumer.receive(LIMIT).offset)
            assert read == list(range(last + 1))
            assert producer.pending == narrow.pending == (0, 0)


@pytest.mark.parametrize("how", ["consumer", "client"])
@leaves_nothing
def test_a_handler_that_closes_what_is_waited_for(cluster: LocalCluster, how: str) -> None:
    """As on SIGTERM: it commits and closes, and the read that waits ends."""
    with Fluvio.connect(cluster.endpoint) as client:
        topic = topic_of(client, "closes")
        producer = client.producer(topic)
        consumer = client.consumer(topic, start=Offset.beginning(), consumer_id="closes")
        producer.send(b"x")
        record = consumer.receive(LIMIT)
        over = 0.0

        def close(*_: object) -> None:
            nonlocal over
            consumer.commit(record, timeout=LIMIT)
            producer.enqueue(b"bye")
            producer.close(timeout=LIMIT)
            (consumer if how == "consumer" else client).close(timeout=LIMIT)
            over = time.monotonic()

        before = signal.signal(signal.SIGUSR1, close)
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        try:
            with pytest.raises(ClosedError):
                consumer.receive()
            assert time.monotonic() - over < 0.15, "the read was not told"
        finally:
            timer.join()
            signal.signal(signal.SIGUSR1, before)


@leaves_nothing
def test_a_handler_that_waits_for_a_thread(cluster: LocalCluster) -> None:
    """The main thread leads those who wait, and does not go on before the other thread is through."""
    with Fluvio.connect(cluster.endpoint) as client:
        topic = topic_of(client, "joins")
        with (
            client.producer(topic) as producer,
            client.consumer(topic, start=Offset.end()) as consumer,
            client.consumer(topic, start=Offset.beginning()) as other,
        ):
            stop = threading.Event()
            values: list[bytes] = []

            def work() -> None:
                while not stop.is_set():
                    time.sleep(0.01)
                for number in range(5):
                    receipt = producer.enqueue(b"%d" % number)
                    while not receipt.done():
                        time.sleep(0.001)
                    values.append(other.receive(LIMIT).value)
                producer.send(b"last")

            worker = threading.Thread(target=work)
            worker.start()

            def handler(*_: object) -> None:
                stop.set()
                worker.join(LIMIT)

            before = signal.signal(signal.SIGUSR1, handler)
            timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
            timer.start()
            try:
                assert consumer.receive(LIMIT).value == b"0"
            finally:
                timer.join()
                signal.signal(signal.SIGUSR1, before)
            assert not worker.is_alive()
            assert values == [b"%d" % number for number in range(5)]


@leaves_nothing
def test_finalizers_that_call(cluster: LocalCluster) -> None:
    """The garbage collector runs them wherever it likes: here, very often."""

    class Closes:
        """Closes what it has when it is found in a circle that nobody refers to."""

        def __init__(self, consumer: Consumer, producer: Producer) -> None:
            self.consumer = consumer
            self.producer = producer
            self.circle = self

        def __del__(self) -> None:
            try:
                self.producer.send(b"f", timeout=LIMIT)
                self.consumer.close(timeout=LIMIT)
                closed.append(self.consumer.closed)
            except BaseException as error:
                failures.append(error)

    closed: list[bool] = []
    failures: list[BaseException] = []
    before = gc.get_threshold()
    with Fluvio.connect(cluster.endpoint) as client:
        topic = topic_of(client, "finalizers")
        with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
            # Of what is garbage itself, the library's part may be gone before its finalizer runs.
            consumers: list[Consumer] = []
            gc.set_threshold(30, 2, 2)
            try:
                offset = -1
                for _ in range(200 if LONG else 40):
                    consumers.append(client.consumer(topic))
                    Closes(consumers[-1], producer)
                    for _ in range(5):
                        producer.send(b"x")
                        record = consumer.receive(LIMIT)
                        assert record.offset == offset + 1
                        offset = record.offset
            finally:
                gc.set_threshold(*before)
            gc.collect()
            assert not failures
            assert closed and all(closed)
