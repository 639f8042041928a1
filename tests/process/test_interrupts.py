"""KeyboardInterrupt at each place where it can come: after each call that the package makes, one after another.

The interpreter runs signal handlers after calls, when a function begins and when a loop goes back. A trace function
raises there, so nothing is left to chance. Whatever is interrupted, the client must work afterwards: nothing is lost,
nobody waits for ever, no room and no handle is left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from laws import native_counts, nothing_left
from places import Stepper, interrupt

from fluvio_cffi import (
    ArrowBatch,
    AsyncFluvio,
    Change,
    DeliveryError,
    Fluvio,
    FluvioError,
    LocalCluster,
    Offset,
    Record,
    RecordBatch,
    StorageError,
    TableFormat,
    Tracker,
    opentelemetry,
)
from fluvio_cffi._produce.encode import OVERHEAD
from fluvio_cffi._produce.outbox import PendingReceipts, PendingSends

pytestmark = [
    # Each place once: on CPython 3.10, beside others, that takes minutes.
    pytest.mark.timeout(300),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="knows the bytecode of CPython"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One of its own: what is listed and watched is as long as few topics make it."""
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture
def client(cluster: LocalCluster) -> Iterator[Fluvio]:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("interrupts", exist_ok=True)
        yield client


def at_each_place(client: Fluvio, call: Callable[[], object], check: Callable[[bool], None]) -> None:
    """Makes the call again and again, interrupted at one place after another, until there is none left."""
    completions = client._session.backend.completions
    at = 0
    while True:
        stepper = Stepper(at, interrupt)
        returned = False
        try:
            with stepper:
                call()
                returned = True
        except KeyboardInterrupt:
            pass
        except FluvioError:
            assert not stepper.hit
        check(returned)
        deadline = time.monotonic() + 6
        while completions._operations:
            assert time.monotonic() < deadline
            client._session.backend.look()
        assert all(ticket.done for ticket in completions.tickets.values())
        if not stepper.hit:
            break
        at += 1
    assert at
    # A ticket that is done may be left behind where the last step was interrupted.
    assert len(completions.tickets) <= 5


@pytest.mark.parametrize("how", ["enqueue", "send"])
def test_handing_over_in_an_event_loop(cluster: LocalCluster, how: str) -> None:
    """What waits in the outbox goes once, in its order, whatever ends the turn of the loop that hands it over: and its
    receipts and senders are told of their own records."""

    async def hand_over(client: AsyncFluvio, at: int) -> bool:
        topic = f"turns-{how}-{at}"
        await client.admin.topics.create(topic)
        opening = client.producer(topic, linger=0, buffer_size=5_000, max_request_size=5_000)
        async with opening as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
            intake = producer._intake
            # More than the buffer has room for.
            values = [b"%d" % number + b"x" * 400 for number in range(16)]
            owners: list[Any]
            outcomes: list[Any]
            if how == "enqueue":
                group = intake._outbox.begin(PendingReceipts, 0)
                owners = [intake._receipt(client._session.backend, intake.ledger, None) for _ in values]
                outcomes = [receipt.wait() for receipt in owners]
            else:
                group = intake._outbox.begin(PendingSends, 0)
                owners = [client._session.backend.send_future() for _ in values]
                outcomes = [asyncio.wait_for(future, 20) for future in owners]
            for owner, value in zip(owners, values, strict=True):
                group.add(owner, value, None, None, None, len(value) + OVERHEAD)
            stepper = Stepper(at, interrupt)
            with contextlib.suppress(KeyboardInterrupt), stepper:
                intake.push()
            intake.push()
            for value, outcome in zip(values, outcomes, strict=True):
                metadata = await outcome
                record = await consumer.receive(5)
                assert (record.offset, record.value) == (metadata.offset, value)
            await producer.send(b"the last")
            assert (await consumer.receive(5)).value == b"the last"
            assert producer.pending == (0, 0)
        await client.admin.topics.delete(topic)
        return stepper.hit

    async def main() -> int:
        async with AsyncFluvio.connect(cluster.endpoint) as client:
            at = 0
            while await hand_over(client, at):
                at += 1
            return at

    assert asyncio.run(main()) > 50


@pytest.mark.parametrize("how", ["send", "enqueue", "send_all", "send_arrow", "flush", "close"])
def test_sending(client: Fluvio, how: str) -> None:
    import pyarrow

    table = pyarrow.table({"value": [b"x" * 500] * 20})
    producer = client.producer("interrupts", buffer_size=5_000, max_request_size=5_000)
    before = native_counts()["errors"]

    def call() -> None:
        if how == "send":
            producer.send(b"x", timeout=5)
        elif how == "enqueue":
            for _ in range(4):
                producer.enqueue(b"x" * 2_000, timeout=5)
        elif how == "send_all":
            producer.send_all([b"x" * 500] * 20, timeout=5)
        elif how == "send_arrow":
            producer.send_arrow(table, timeout=5)
        elif how == "flush":
            producer.enqueue(b"x")
            producer.flush()
        else:
            producer.enqueue(b"x")
            producer.close()

    def check(returned: bool) -> None:
        nonlocal producer
        if how == "close":
            producer.close()
            producer = client.producer("interrupts")
            return
        producer.flush(5)
        assert producer.pending == (0, 0)
        assert all(place.left for place in producer._intake.queue.waiting)
        # All the room is there again.
        producer.send(b"x" * 4_800, timeout=5)

    at_each_place(client, call, check)
    producer.close()
    assert native_counts()["errors"] == before
    gc.collect()
    assert native_counts()["arrow_readers"] == 0


def test_reading_arrow(client: Fluvio) -> None:
    """What was not returned is still there, and comes once; no memory of the library is left behind."""
    client.admin.topics.create("interrupts-arrow")
    with client.producer("interrupts-arrow") as producer:
        producer.send_all([b"%d" % number for number in range(1000)])
    consumer = client.consumer("interrupts-arrow", start=Offset.beginning(), format="arrow")
    found: list[ArrowBatch] = []
    got: list[int] = []

    def call() -> None:
        for batch in consumer.batches(max_records=2, max_wait=0):
            found.append(batch)
            break
        batch.__arrow_c_stream__(), batch.__arrow_c_array__()

    def check(returned: bool) -> None:
        got.extend(batch.last_offsets[0] for batch in found)
        found.clear()
        following = next(iter(consumer.batches(max_records=1, max_wait=0)))
        assert following.last_offsets == {0: got[-1] + 1 if got else 0}
        got.append(following.last_offsets[0])
        assert consumer.position() == {0: got[-1] + 1}
        if len(got) > 600:
            consumer.seek(0, 0)
            got.clear()

    at_each_place(client, call, check)
    consumer.close()
    gc.collect()
    # What was read ahead.
    assert native_counts()["arrows"] <= 1


@pytest.mark.parametrize("how", ["send", "send_all"])
def test_sending_in_the_middle_of_another_call(client: Fluvio, how: str) -> None:
    """What only one may use at a time is in use already: nothing that is used instead stays claimed."""
    producer = client.producer("interrupts", linger=0.2)
    claimed = (producer._intake.submitter._structs, client._session.backend.completions._catches)

    def call() -> None:
        if how == "send":
            producer.enqueue(b"x", timeout=5)
        else:
            producer.send_all([b"x"] * 3, timeout=5)

    def check(returned: bool) -> None:
        assert not any(one.busy for others in claimed for one in others[1:])
        producer.flush(5)

    for first, *_ in claimed:
        first.busy = True
    # Others are made once.
    call()
    check(True)
    at_each_place(client, call, check)
    assert all(len(others) == 2 for others in claimed)
    for first, *_ in claimed:
        first.busy = False
    producer.close()


@pytest.mark.parametrize("how", ["send", "send_all"])
def test_failures_are_told(how: str) -> None:
    """Whatever the place, a record that failed raises from the call or is told at the flush."""
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("full")
        cluster.faults.disk_full(5001)
        with client.producer("full") as producer:
            before = native_counts()["errors"]
            ledger = producer._ledger
            raised = 0
            told = 0

            def call() -> None:
                nonlocal raised
                try:
                    if how == "send":
                        producer.send(b"x", timeout=5)
                    else:
                        producer.send_all([b"x", b"y"], timeout=5)
                except (StorageError, DeliveryError):
                    raised += 1 if how == "send" else 2
                    raise

            def check(returned: bool) -> None:
                nonlocal told
                assert not returned
                try:
                    producer.flush(5)
                except DeliveryError as error:
                    told += error.count
                assert producer.pending == (0, 0)
                assert told + raised >= ledger.submitted

            at_each_place(client, call, check)
            assert raised
            assert ledger.settled >= ledger.submitted
        assert native_counts()["errors"] == before


def test_others_that_wait_for_room(client: Fluvio) -> None:
    """A thread that is granted room while the main thread is interrupted gets it."""
    producer = client.producer("interrupts", buffer_size=3_000, max_request_size=3_000)
    over = threading.Event()
    steps = 0

    def work() -> None:
        nonlocal steps
        while not over.is_set():
            producer.enqueue(b"x" * 2_000, timeout=10)
            steps += 1

    other = threading.Thread(target=work)
    other.start()

    def call() -> None:
        for _ in range(3):
            producer.enqueue(b"y" * 2_000, timeout=10)

    def check(returned: bool) -> None:
        before = steps
        while steps == before:
            # Nobody helps: the other thread must come on by itself.
            assert other.is_alive()
            over.wait(0.001)

    try:
        for at in range(400):
            stepper = Stepper(at, interrupt)
            try:
                with stepper:
                    call()
            except KeyboardInterrupt:
                pass
            check(not stepper.hit)
    finally:
        over.set()
        other.join()
    producer.flush(5)
    assert all(place.left for place in producer._intake.queue.waiting)
    producer.send(b"x" * 2_500, timeout=5)
    producer.close()


@pytest.mark.parametrize("group", [None, "us"])
@pytest.mark.parametrize("how", ["receive", "for", "batches", "commit", "committed", "seek"])
def test_reading(client: Fluvio, how: str, group: str | None) -> None:
    read_interrupted(client, how, group, f"interrupts-{how}-{group}".lower())


def read_interrupted(client: Fluvio, how: str, group: str | None, topic: str) -> None:
    """What was not returned is still there, and comes once."""
    client.admin.topics.create(topic)
    with client.producer(topic) as producer:
        producer.send_all([b"%d" % number for number in range(3000)])
    identity = "me" if group is None else None
    consumer = client.consumer(topic, start=Offset.beginning(), consumer_id=identity, group=group)
    got: list[int] = []
    found: list[Record | RecordBatch] = []

    def call() -> None:
        if how == "receive":
            found.append(consumer.receive(timeout=5))
        elif how == "for":
            for record in consumer:
                found.append(record)
                break
        elif how == "batches":
            for batch in consumer.batches(max_records=2, max_wait=0):
                found.append(batch)
                break
        elif how == "commit":
            consumer.commit({0: 7})
        elif how == "committed":
            assert consumer.committed() in ({}, {0: -1}, {0: 7})
        else:
            consumer.seek(0, 5)

    def check(returned: bool) -> None:
        for item in found:
            got.extend([item.offset] if isinstance(item, Record) else item.offset_list())
        found.clear()
        record = consumer.receive(timeout=5)
        got.append(record.offset)
        if how in ("receive", "for", "batches"):
            assert got == list(range(len(got)))
        elif how == "seek" and returned:
            assert record.offset == 5
        assert consumer.position() == {0: record.offset + 1}

    at_each_place(client, call, check)
    consumer.close()


@pytest.mark.parametrize("how", ["receive", "for", "batches"])
def test_reading_that_is_watched(client: Fluvio, how: str) -> None:
    """The same: what watches is told of a record before that leaves."""
    opentelemetry.instrument()
    try:
        read_interrupted(client, how, None, f"interrupts-watched-{how}")
    finally:
        opentelemetry.uninstrument()


@pytest.mark.parametrize("several", [False, True])
def test_making_a_tracker(client: Fluvio, several: bool) -> None:
    """A tracker that nobody has got does not keep the consumer."""
    topic = f"interrupts-tracker-{several}".lower()
    client.admin.topics.create(topic)
    with client.producer(topic) as producer:
        producer.send_all([b"x"] * 3000)
    made: list[Tracker] = []
    options: dict[str, Any] = {"start": Offset.beginning(), "consumer_id": topic, "commit": "auto"}
    consumer: Any = client.consumer([topic] if several else topic, **options)

    def check(_: bool) -> None:
        made.clear()
        consumer.receive(timeout=5)
        consumer.commit()

    at_each_place(client, lambda: made.append(consumer.tracker()), check)
    # What was read counts as before.
    last = consumer.receive(timeout=5).offset
    consumer.close()
    with client.consumer(topic, consumer_id=topic) as consumer:
        assert consumer.committed() == {0: last - 1}


@pytest.mark.usefixtures("client")
def test_connecting(cluster: LocalCluster) -> None:
    """A client that nobody got is given up."""
    with nothing_left():
        connect_at_each_place(cluster)


def connect_at_each_place(cluster: LocalCluster) -> None:
    at = 0
    while True:
        stepper = Stepper(at, interrupt)
        # Perhaps there was a client already; the interruption holds it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            try:
                with stepper:
                    client = Fluvio.connect(cluster.endpoint)
            except KeyboardInterrupt:
                pass
        if not stepper.hit:
            break
        at += 1
    client.close()
    del client
    assert at > 20


@pytest.mark.parametrize("how", ["receive", "for"])
def test_watching(client: Fluvio, how: str) -> None:
    """A change that was not returned is still there, and comes once."""
    formats = client.admin.table_formats
    with formats.watch() as changes:
        assert changes.receive(timeout=5).kind == "snapshot"
        made: list[str] = []
        got: list[str] = []
        found: list[Change[TableFormat]] = []

        def make() -> None:
            made.append(f"{how}-{len(made)}")
            formats.create(made[-1])

        def call() -> None:
            if how == "receive":
                found.append(changes.receive(timeout=5))
            else:
                for change in changes:
                    found.append(change)
                    break

        def check(returned: bool) -> None:
            while True:
                for change in found:
                    assert change.kind == "updated"
                    got.extend(item.name for item in change.items)
                found.clear()
                if got[-1:] == made[-1:]:
                    break
                found.append(changes.receive(timeout=5))
            assert got == made
            make()

        make()
        at_each_place(client, call, check)
        for name in made:
            formats.delete(name)


@pytest.mark.parametrize("how", ["open", "close", "block"])
def test_a_watch_that_is_opened_and_closed(client: Fluvio, how: str) -> None:
    with nothing_left():
        opened = [client.admin.topics.watch() for _ in range(2)]

        def call() -> None:
            if how == "open":
                opened[0].receive(timeout=5)
            elif how == "close":
                opened[0].close()
            else:
                with client.admin.topics.watch() as changes:
                    changes.receive(timeout=5)

        def check(returned: bool) -> None:
            opened[0].close()
            opened[0] = client.admin.topics.watch()
            if how == "close":
                opened[0].receive(timeout=5)

        check(False)
        at_each_place(client, call, check)
        opened.clear()


@pytest.mark.parametrize("how", ["list", "create", "delete", "status", "code"])
def test_administration(client: Fluvio, how: str) -> None:
    modules = client.admin.smartmodules
    modules.create("interrupts", wasm=b"\0asm code", exist_ok=True)

    def call() -> None:
        if how == "list":
            assert "interrupts" in [topic.name for topic in client.admin.topics.list()]
        elif how == "create":
            assert client.admin.table_formats.create("interrupts", exist_ok=True).name == "interrupts"
        elif how == "delete":
            client.admin.table_formats.delete("interrupts", missing_ok=True)
        elif how == "status":
            assert client.admin.cluster.status().spus_online == 1
        else:
            assert modules.get("interrupts", wasm=True).wasm == b"\0asm code"

    def check(returned: bool) -> None:
        found = [table.name for table in client.admin.table_formats.list(name_contains="interrupts")]
        if returned and how in ("create", "delete"):
            assert found == (["interrupts"] if how == "create" else [])
        # The next one is to do something again.
        if how == "create":
            client.admin.table_formats.delete("interrupts", missing_ok=True)
        elif how == "delete":
            client.admin.table_formats.create("interrupts", exist_ok=True)

    at_each_place(client, call, check)
    client.admin.table_formats.delete("interrupts", missing_ok=True)
