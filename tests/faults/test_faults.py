"""`LocalCluster.faults`: each of them does what it says, ends when it is to end, and refuses what it cannot do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from fluvio_cffi import (
    ConfigError,
    Fault,
    Faults,
    Fluvio,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    StorageError,
    UsageError,
)
from fluvio_cffi.testing import read_all

pytestmark = pytest.mark.timeout(60)

SPU = 5001
SHORT = 0.4


@pytest.fixture(scope="module")
def own() -> Iterator[LocalCluster]:
    with LocalCluster(spus=2) as cluster:
        yield cluster


@pytest.fixture
def client(own: LocalCluster) -> Iterator[Fluvio]:
    with Fluvio.connect(own.endpoint) as client:
        yield client


def led_by_the_first(client: Fluvio, request: pytest.FixtureRequest) -> str:
    """A topic of one partition, which the first SPU leads."""
    name: str = request.node.name.replace("_", "-").replace("[", "-").strip("]-")
    client.admin.topics.create(name)
    if client.admin.partitions.get(name, 0).spec.leader != SPU:
        client.admin.topics.delete(name)
        client.admin.topics.create(name)
    assert client.admin.partitions.get(name, 0).spec.leader == SPU
    return name


@pytest.fixture
def topic(client: Fluvio, request: pytest.FixtureRequest) -> str:
    return led_by_the_first(client, request)


def written(client: Fluvio, topic: str, timeout: float = 10) -> float:
    """Sends a record on a connection of its own; how long it took."""
    with client.producer(topic) as producer:
        begun = time.monotonic()
        producer.send(b"x", timeout=timeout)
        return time.monotonic() - begun


def test_delay(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with own.faults.delay(SPU, SHORT):
        assert written(client, topic) >= SHORT
    assert written(client, topic) < SHORT


def test_stall(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with client.producer(topic) as producer:
        producer.send(b"before")
        with own.faults.stall(SPU):
            receipt = producer.enqueue(b"meanwhile")
            with pytest.raises(FluvioTimeoutError):
                receipt.wait(timeout=SHORT)
        assert receipt.wait(timeout=10).offset == 1


def test_refuse(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with client.producer(topic) as producer:
        with own.faults.refuse(SPU):
            own.faults.reset_sockets(SPU)
            receipt = producer.enqueue(b"meanwhile")
            with pytest.raises(FluvioTimeoutError):
                receipt.wait(timeout=SHORT)
        assert receipt.wait(timeout=10).offset == 0


def test_drop_after(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with client.producer(topic) as producer:
        producer.send_all(b"%d" % number for number in range(1000))
    before = client.metrics()
    with own.faults.drop_after(SPU, 5000):
        assert [record.text for record in read_all(client, topic)] == [str(number) for number in range(1000)]
    assert client.metrics().reconnects > before.reconnects


def test_disk_full(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with own.faults.disk_full(SPU), client.producer(topic) as producer, pytest.raises(StorageError):
        producer.send(b"x", key="k")
    own.kill_spu(SPU)
    own.start_spu(SPU)
    written(client, topic)


def online(client: Fluvio, topic: str) -> bool:
    """Whether the controller says that a topic's partitions are online."""
    return all(each.status.resolution == "online" for each in client.admin.partitions.list(topic=topic))


def test_delay_reports(own: LocalCluster, client: Fluvio) -> None:
    with own.faults.delay_reports(SPU, 1000):
        client.admin.topics.create("unreported")
        assert not online(client, "unreported")
        written(client, "unreported")
        assert not online(client, "unreported")
    assert online(client, "unreported")
    client.admin.topics.delete("unreported")


def test_lose_reports(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with own.faults.lose_reports(SPU), own.faults.delay_reports(SPU, SHORT):
        client.admin.topics.create("gone")
        client.admin.topics.delete("gone")
        client.admin.topics.create("unheard")
        time.sleep(2 * SHORT)
        assert not online(client, "unheard")
        written(client, "unheard")
        deadline = time.monotonic() + 10
        while not online(client, "unheard"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    client.admin.topics.delete("unheard")


def test_delay_partitions(own: LocalCluster, client: Fluvio) -> None:
    with own.faults.delay_partitions(SPU, SHORT):
        begun = time.monotonic()
        client.admin.topics.create("late")
        assert time.monotonic() - begun >= SHORT
        client.admin.topics.delete("late")


@pytest.mark.parametrize("fault", ["stall_controller", "kill_controller"])
def test_controller(own: LocalCluster, client: Fluvio, topic: str, fault: str) -> None:
    begin: Callable[[], Fault] = getattr(own.faults, fault)
    with begin():
        with pytest.raises(FluvioTimeoutError):
            client.admin.topics.list(timeout=SHORT)
        written(client, topic)  # the SPUs go on
    assert topic in [each.name for each in client.admin.topics.list(timeout=10)]


def test_fail_next(own: LocalCluster, client: Fluvio, topic: str) -> None:
    before = client.metrics().retries
    own.faults.fail_next(SPU, "produce", 3000)
    written(client, topic)
    assert client.metrics().retries == before + 1


def test_move_and_evict(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with client.producer(topic) as producer:
        producer.send_all([b"a", b"b", b"c"])
    own.faults.move(topic, 0, SPU + 1)
    assert client.admin.partitions.get(topic, 0).spec.leader == SPU + 1
    own.faults.evict(topic, 0, 2)
    assert [record.value for record in read_all(client, topic)] == [b"c"]
    with pytest.raises(UsageError, match=r"leads .* already"):
        own.faults.move(topic, 0, SPU + 1)
    with pytest.raises(UsageError, match="not within"):
        own.faults.evict(topic, 0, 99)
    with pytest.raises(UsageError, match="there is no partition"):
        own.faults.evict(topic, 7, 0)


def test_resets(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with client.consumer(topic, start=Offset.beginning()) as consumer:
        written(client, topic)
        assert consumer.receive(timeout=10).offset == 0
        own.faults.reset_sockets(SPU)
        own.faults.reset_controller()
        written(client, topic)
        assert consumer.receive(timeout=10).offset == 1


def test_of_two_of_a_kind_the_other_one_goes_on(own: LocalCluster, client: Fluvio, topic: str) -> None:
    with own.faults.delay(SPU, SHORT):
        with own.faults.delay(SPU, 0.001):
            assert written(client, topic) < SHORT
        assert written(client, topic) >= SHORT
    assert written(client, topic) < SHORT
    with own.faults.stall_controller() as first:
        second = own.faults.stall_controller()
        first.undo()
        with pytest.raises(FluvioTimeoutError):
            client.admin.topics.list(timeout=SHORT)
        second.undo()
        client.admin.topics.list(timeout=10)


def test_threads_that_end_faults_of_one_kind_leave_none(own: LocalCluster, client: Fluvio, topic: str) -> None:
    for _ in range(50):
        threads = [threading.Thread(target=own.faults.stall(SPU).undo) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert repr(own.faults) == "<Faults []>"
        client.offsets(topic, timeout=5)


def test_the_end_of_the_cluster_is_the_end_of_its_faults() -> None:
    with LocalCluster() as cluster, ExitStack() as faults:
        stalled = faults.enter_context(cluster.faults.stall_controller())
        assert repr(stalled) == "<Fault 'sc stall on'>"
        assert repr(cluster.faults) == "<Faults ['sc stall on']>"
        cluster.kill()
        assert repr(stalled) == "<Fault 'sc stall on', undone>"
        assert repr(cluster.faults) == "<Faults []>"
        cluster.start()
        assert repr(stalled) == "<Fault 'sc stall on', undone>"
        with cluster.faults.stall_controller():
            stalled.undo()  # of the first life: nothing to undo
            with pytest.raises(FluvioTimeoutError):
                Fluvio.connect(cluster.endpoint, timeout=SHORT)
        faults.enter_context(cluster.faults.delay(SPU, 1))
        cluster.kill()
    with pytest.raises(UsageError, match="not running"):
        cluster.faults.fail_next(SPU, "produce", 3000)
    with pytest.raises(ConfigError, match=r"spu is 5002: it must be 5001$"):
        cluster.faults.stall(SPU + 1)


CASES: list[tuple[str, Callable[[Faults], object], str]] = [
    ("spu", lambda it: it.stall(5003), "spu is 5003: it must be from 5001 to 5002"),
    ("spu of a wrong type", lambda it: it.stall("5001"), "spu must be an int, not '5001'"),  # type: ignore[arg-type]
    ("seconds", lambda it: it.delay(SPU, -1), "seconds is -1: it must be more than 0 and at most 3600"),
    ("seconds of reports", lambda it: it.delay_reports(SPU, 0), "seconds is 0: it must be more than 0 and at most"),
    ("seconds of partitions", lambda it: it.delay_partitions(SPU, 9999), "seconds is 9999: it must be more than 0"),
    ("spu of reports", lambda it: it.lose_reports(1), "spu is 1: it must be from 5001 to 5002"),
    ("no seconds", lambda it: it.delay(SPU, float("nan")), "seconds is nan: it must be more than 0"),
    ("seconds of a wrong type", lambda it: it.delay(SPU, "1"), "seconds must be a number"),  # type: ignore[arg-type]
    ("nbytes", lambda it: it.drop_after(SPU, -1), "nbytes is -1: it must be from 0"),
    ("connections", lambda it: it.drop_after(SPU, 1, 0), "connections is 0: it must be from 1"),
    (
        "request",
        lambda it: it.fail_next(SPU, "write", 6),  # type: ignore[arg-type]
        "request is 'write': it must be 'produce' or 'fetch' or 'stream' or 'offsets'",
    ),
    ("code", lambda it: it.fail_next(SPU, "fetch", 12345), "code is 12345: it must be the number of an error of the"),
    ("success", lambda it: it.fail_next(SPU, "fetch", 0), "code is 0: it must be the number of an error of the"),
    ("code out of range", lambda it: it.fail_next(SPU, "fetch", 10**6), "code is 1000000: it must be from -32768 to"),
    ("topic", lambda it: it.move("a b", 0, SPU), "topic is 'a b': it must be the name of one"),
    ("partition", lambda it: it.evict("a", -1, 0), "partition is -1: it must be from 0"),
    ("offset", lambda it: it.evict("a", 0, -1), "offset is -1: it must be from 0"),
]


@pytest.mark.parametrize(("call", "said"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_wrong_arguments(own: LocalCluster, call: Callable[[Any], object], said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        call(own.faults)
    assert str(raised.value).startswith(said)
