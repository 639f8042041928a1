"""Records without a key go where they can be written; all others stay where they belong."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from conftest import World
from insides import control, spu_port
from laws import LONG, has_long_form
from proxy import between

from fluvio_cffi import FluvioError, FluvioTimeoutError, LocalCluster, Offset, Partitioner, StorageError

pytestmark = [pytest.mark.timeout(60), pytest.mark.backends("asyncio", "trio", "sync")]
DELIVERIES = ["at_least_once", "at_most_once"]


@pytest.fixture
def two() -> Iterator[LocalCluster]:
    """Partition 0 of a topic is led by SPU 5001, partition 1 by 5002."""
    with LocalCluster(spus=2) as cluster:
        yield cluster


@contextlib.contextmanager
def killed(cluster: LocalCluster, topic: str) -> Iterator[None]:
    cluster.kill_spu(5001)
    yield
    cluster.start_spu(5001)


@contextlib.contextmanager
def killed_unseen(cluster: LocalCluster, topic: str) -> Iterator[None]:
    """The controller does not tell of it."""
    silent = cluster.faults.stall_controller()
    with killed(cluster, topic):
        yield
    silent.undo()


@contextlib.contextmanager
def moved_unseen(cluster: LocalCluster, topic: str) -> Iterator[None]:
    """Its leader says that it is not."""
    silent = cluster.faults.stall_controller()
    cluster.faults.move(topic, 0, 5002)
    yield
    silent.undo()


@contextlib.contextmanager
def somewhere_else(cluster: LocalCluster, topic: str) -> Iterator[None]:
    """Its leader's address is wrong, and nobody serves at the old one."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        control(cluster, f"advertise 5001 127.0.0.1 {closed.getsockname()[1]}")
        refusing = cluster.faults.refuse(5001)
        cluster.faults.reset_sockets(5001)
        yield
        refusing.undo()
        control(cluster, f"advertise 5001 127.0.0.1 {spu_port(cluster)}")


Outage = Callable[[LocalCluster, str], AbstractContextManager[None]]


async def logs(client: Any, topic: str) -> dict[tuple[int, int], bytes]:
    """What is where."""
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return {(record.partition, record.offset): record.value async for record in consumer}


async def comes_back(producer: Any) -> None:
    """Records without a key go to both partitions again."""
    begun = time.monotonic()
    while (await producer.send(b"back")).partition != 0:
        assert time.monotonic() - begun < 10


def check(log: dict[tuple[int, int], bytes], sent: dict[bytes, Any]) -> None:
    """Each record is there once, where its metadata says."""
    counted = Counter(log.values())
    for value, meta in sent.items():
        assert counted[value] == 1, value
        assert log[meta.partition, meta.offset] == value


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("outage", [killed, killed_unseen, moved_unseen, somewhere_else])
async def test_an_outage(world: World, two: LocalCluster, outage: Outage, delivery: str) -> None:
    async with world.connect(two.endpoint, request_timeout=2) as client:
        topic = await world.topic(client, partitions=2)
        sent: dict[bytes, Any] = {}
        async with client.producer(topic, delivery=delivery) as producer:
            for number in range(4):
                value = b"before %d" % number
                sent[value] = await producer.send(value)
            assert {meta.partition for meta in sent.values()} == {0, 1}
            with outage(two, topic):
                begun = time.monotonic()
                waiting = {b"at that moment %d" % n: await producer.enqueue(b"at that moment %d" % n) for n in range(4)}
                own = await producer.enqueue(b"own", partition=0)
                refused = 0
                for number in range(20):
                    value = b"send %d" % number
                    try:
                        sent[value] = await producer.send(value)
                    except FluvioError as error:
                        # What a leader has refused goes elsewhere, but not with at_most_once.
                        assert (delivery, outage, error.outcome) == ("at_most_once", moved_unseen, "not_written")
                        refused += 1
                        continue
                    assert sent[value].partition == 1
                receipts = {b"enqueue %d" % n: await producer.enqueue(b"enqueue %d" % n) for n in range(20)}
                for value, receipt in receipts.items():
                    sent[value] = await receipt.wait()
                values = [b"send_all %d" % number for number in range(1000)]
                sent.update(zip(values, await producer.send_all(values), strict=True))
                for value, receipt in waiting.items():
                    try:
                        sent[value] = await receipt.wait()
                    except FluvioError as error:
                        assert (delivery, outage, error.outcome) == ("at_most_once", moved_unseen, "not_written")
                        refused += 1
                assert {meta.partition for value, meta in sent.items() if not value.startswith(b"before")} == {1}
                assert time.monotonic() - begun < 5
                assert refused < 5
                assert not own.done() or delivery == "at_most_once"
            try:
                sent[b"own"] = await own.wait()
                assert sent[b"own"].partition == 0
            except FluvioError as error:
                assert (delivery, outage, error.outcome) == ("at_most_once", moved_unseen, "not_written")
            await comes_back(producer)
        check(await logs(client, topic), sent)
        metrics = client.metrics()
        assert (metrics.duplicates_possible, metrics.records_buffered, metrics.bytes_buffered) == (0, 0, 0)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_all_are_away(world: World, two: LocalCluster, delivery: str, first: int) -> None:
    """Records wait, and the first that comes gets them; but for those that belong elsewhere."""
    async with world.connect(two.endpoint) as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic, delivery=delivery) as producer:
            for id in (5001, 5002):
                two.kill_spu(id)
            receipts = {}
            for number in range(50):
                receipts[b"%d" % number] = await producer.enqueue(b"%d" % number)
            own = {}
            for number in range(3):
                own[b"own %d" % number] = await producer.enqueue(b"own %d" % number, partition=1 - first)
                receipts[b"more %d" % number] = await producer.enqueue(b"more %d" % number)
            with pytest.raises(FluvioTimeoutError):
                await producer.flush(0.2)
            two.start_spu(5001 + first)
            sent = {value: await receipt.wait() for value, receipt in receipts.items()}
            assert {meta.partition for meta in sent.values()} == {first}
            assert [meta.offset for meta in sent.values()] == list(range(len(sent)))
            assert not any(receipt.done() for receipt in own.values())
            two.start_spu(5002 - first)
            sent.update({value: await receipt.wait() for value, receipt in own.items()})
            assert [sent[value].partition for value in own] == [1 - first] * 3
        check(await logs(client, topic), sent)


async def test_what_has_a_place_keeps_it(world: World, two: LocalCluster) -> None:
    """By its key, by the partition that is said, by a partitioner of one's own."""
    async with world.connect(two.endpoint) as client:
        topic = await world.topic(client, partitions=2)
        by_key = client.producer(topic)
        async with by_key as producer, client.producer(topic, partitioner=Partitioner.fixed(0)) as fixed:
            keys = [b"%d" % number for number in range(20)]
            places = {key: (await producer.send(b"x", key=key)).partition for key in keys}
            assert set(places.values()) == {0, 1}
            await fixed.send(b"x")
            two.kill_spu(5001)
            receipts = {key: await producer.enqueue(b"y", key=key) for key in keys}
            said = await producer.enqueue(b"y", partition=0)
            own = await fixed.enqueue(b"y")
            for key, receipt in receipts.items():
                if places[key] == 1:
                    assert (await receipt.wait()).partition == 1
            with pytest.raises(FluvioTimeoutError):
                await producer.flush(0.3)
            two.start_spu(5001)
            assert {key: (await receipt.wait()).partition for key, receipt in receipts.items()} == places
            assert ((await said.wait()).partition, (await own.wait()).partition) == (0, 0)


async def test_a_server_that_falls_silent(world: World, two: LocalCluster) -> None:
    """It is avoided after a second; what it may have got stays, the rest leaves when the connection is given up."""
    with between(two, 5001) as (sc, spu):
        async with world.connect(sc.endpoint, request_timeout=2) as client:
            topic = await world.topic(client, partitions=2)
            async with client.producer(topic) as producer:
                receipts = [await producer.enqueue(b"%d" % number) for number in range(4)]
                assert {(await receipt.wait()).partition for receipt in receipts} | {
                    (await producer.send(b"back")).partition for _ in range(3)
                } == {0, 1}
                spu.become("silent")
                begun = time.monotonic()
                late = []
                number = len(receipts)
                while time.monotonic() - begun < 8:
                    receipts.append(await producer.enqueue(b"%d" % number))
                    number += 1
                    try:
                        await receipts[-1].wait(0.3)
                        await world.sleep(0.02)
                    except FluvioTimeoutError:
                        late.append(time.monotonic() - begun)
                assert len(late) < 6
                assert all(when < 2.5 for when in late)
                # One was under way, and nobody knows.
                assert sum(not receipt.done() for receipt in receipts) == 1
                spu.become("forward")
                sent = {b"%d" % number: await receipt.wait() for number, receipt in enumerate(receipts)}
                await comes_back(producer)
            log = await logs(client, topic)
            for value, meta in sent.items():
                assert log[meta.partition, meta.offset] == value
            copies = Counter(value for value in log.values() if value != b"back")
            assert len(copies) == len(receipts)
            assert copies.total() - len(copies) <= client.metrics().duplicates_possible == 1


async def test_a_disk_that_is_full(world: World, two: LocalCluster) -> None:
    async with world.connect(two.endpoint) as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic) as producer:
            full = two.faults.disk_full(5001)
            places = []
            for _ in range(20):
                try:
                    places.append((await producer.send(b"x")).partition)
                except StorageError as error:
                    assert error.outcome == "not_written"
                    places.append(-1)
            # The first that meets it, and one that is told that it will stay so.
            assert places.count(-1) == 2
            assert set(places[-14:]) == {1}
            full.undo()
            two.kill_spu(5001)
            two.start_spu(5001)
            await comes_back(producer)


@has_long_form
@pytest.mark.timeout(300)
@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_one_after_the_other_goes_and_comes(world: World, delivery: str) -> None:
    """Under load: nothing that is acknowledged is missing or elsewhere, nothing is there twice that may not be."""
    rounds = 12 if LONG else 3
    with LocalCluster(spus=3) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, partitions=3)
            sent: dict[bytes, Any] = {}
            unknown = 0
            async with client.producer(topic, delivery=delivery, max_in_flight=2) as producer:
                for round in range(rounds):
                    id = 5001 + round % 3
                    receipts = {}
                    for number in range(3000):
                        value = b"%d %d" % (round, number)
                        receipts[value] = await producer.enqueue(value)
                        if number == 1000:
                            cluster.kill_spu(id)
                    cluster.start_spu(id)
                    for value, receipt in receipts.items():
                        try:
                            sent[value] = await receipt.wait()
                        except FluvioError as error:
                            assert (delivery, error.outcome) == ("at_most_once", "unknown")
                            unknown += 1
            assert producer.pending == (0, 0)
            assert len(sent) + unknown == 3000 * rounds
            log = await logs(client, topic)
            for value, meta in sent.items():
                assert log[meta.partition, meta.offset] == value
            copies = Counter(log.values())
            assert copies.total() - len(copies) <= client.metrics().duplicates_possible
            assert len(copies) <= len(sent) + unknown
