"""What is logged when things go wrong: lost connections, resent and refused requests, takeovers, time-outs, stalls,
rebalances. At the levels that come by themselves it says what happened and why."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fluvio_cffi import DeliveryUnknownError, Fluvio, FluvioTimeoutError, LocalCluster, Offset, StorageError, logs

pytestmark = pytest.mark.timeout(90)

ROOT = "fluvio_cffi.native"
SPU = 5001


@pytest.fixture(scope="module")
def own() -> Iterator[LocalCluster]:
    with LocalCluster(spus=2) as cluster:
        yield cluster


@pytest.fixture
def client(own: LocalCluster) -> Iterator[Fluvio]:
    with Fluvio.connect(own.endpoint, request_timeout=2) as client:
        yield client


@pytest.fixture
def topic(client: Fluvio) -> str:
    """A topic of one partition, which the first SPU leads."""
    while True:
        name = f"t{time.time_ns()}"
        client.admin.topics.create(name)
        if client.admin.partitions.get(name, 0).spec.leader == SPU:
            return name


class Heard:
    """What was logged, of which each look takes what it finds."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        self._caplog = caplog

    def until(self, target: str, words: str, seconds: float = 15.0, **fields: object) -> Any:
        """The first line about `target` that begins so, and has these fields; the test fails without one."""
        deadline = time.monotonic() + seconds
        while True:
            logs.flush(1)
            for record in self._caplog.records:
                begins = record.name == f"{ROOT}.{target}" and record.getMessage().startswith(words)
                if begins and fields.items() <= vars(record).items():
                    return record
            assert time.monotonic() < deadline, [record.getMessage() for record in self._caplog.records]
            time.sleep(0.01)


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> Heard:
    caplog.set_level(logging.INFO, logger=ROOT)
    return Heard(caplog)


def test_a_lost_connection_and_what_is_sent_again(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    with client.producer(topic) as producer:
        producer.send(b"before")
        with own.faults.stall(SPU):
            receipt = producer.enqueue(b"meanwhile")
            lost = heard.until("producer", "the connection is lost: its requests are sent again")
            assert (lost.levelname, lost.topic, lost.spu, lost.sent) == ("WARNING", topic, SPU, 1)
            assert "did not answer a produce request within 2 s" in lost.reason
        assert receipt.wait(20).offset == 1
        again = heard.until("producer", "connected again")
        assert (again.levelname, again.spu) == ("INFO", SPU)


def test_what_may_be_sent_once_is_given_up(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    with client.producer(topic, delivery="at_most_once") as producer:
        producer.send(b"before")
        own.faults.drop_after(SPU, 0)
        with own.faults.stall(SPU), pytest.raises(DeliveryUnknownError):
            producer.send(b"meanwhile", timeout=20)
        failed = heard.until("producer", "records were not delivered")
        assert (failed.levelname, failed.records, failed.outcome) == ("WARNING", 1, "Unknown")
        assert "did not answer" in failed.reason


def test_a_refused_request(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    own.faults.fail_next(SPU, "produce", 3000)
    with client.producer(topic) as producer:
        producer.send(b"again")
        refused = heard.until("producer", "the SPU has refused batches: they are sent again")
        assert (refused.levelname, refused.topic, refused.partition, refused.spu) == ("WARNING", topic, 0, SPU)
        own.faults.fail_next(SPU, "produce", 56)
        with pytest.raises(StorageError):
            producer.send(b"for good")
        failed = heard.until("producer", "records were not delivered")
        assert (failed.levelname, failed.outcome) == ("WARNING", "NotWritten")


def test_another_leader(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
        producer.send(b"before")
        own.faults.move(topic, 0, 5002)
        moved = heard.until("cluster", "another SPU leads a partition")
        assert (moved.levelname, moved.topic, moved.partition, moved.spu) == ("INFO", topic, 0, 5002)
        taken = heard.until("producer", "a partition is taken over")
        assert (taken.levelname, taken.topic, taken.partition, taken.spu) == ("INFO", topic, 0, SPU)
        producer.send(b"after")
        assert [consumer.receive(timeout=20).value for _ in range(2)] == [b"before", b"after"]


def test_an_spu_that_is_away(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    with own.faults.refuse(SPU), client.producer(topic, delivery_timeout=3) as producer:
        with pytest.raises(FluvioTimeoutError):
            producer.send(b"x", timeout=20)
        refused = heard.until("connection", "no connection to an SPU")
        assert (refused.levelname, refused.spu) == ("WARNING", SPU)
        late = heard.until("producer", "records were not delivered")
        assert "was not acknowledged within the delivery time-out of 3 s" in late.reason


def test_reading_after_a_lost_connection(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    with client.producer(topic) as producer:
        producer.send_all([b"x"] * 10)
    own.faults.drop_after(SPU, 200)
    with client.consumer(topic, start=Offset.beginning()) as consumer:
        assert len([consumer.receive(timeout=20) for _ in range(10)]) == 10
    lost = heard.until("consumer", "the connection is lost")
    assert (lost.levelname, lost.topic, lost.spu, lost.partitions) == ("WARNING", topic, SPU, 1)
    assert heard.until("consumer", "connected again").levelname == "INFO"


def test_a_stream_that_is_refused(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    own.faults.fail_next(SPU, "stream", 6)
    with client.producer(topic) as producer:
        producer.send(b"x")
    with client.consumer(topic, start=Offset.beginning()) as consumer:
        assert consumer.receive(timeout=20).value == b"x"
    refused = heard.until("consumer", "the SPU does not serve a partition")
    assert (refused.levelname, refused.topic, refused.partition) == ("WARNING", topic, 0)


def test_the_controller_goes_and_comes_back(own: LocalCluster, client: Fluvio, heard: Heard) -> None:
    with own.faults.kill_controller():
        away = heard.until("cluster", "the SC is away, and is dialled again")
        assert (away.levelname, away.address) == ("WARNING", own.endpoint) and away.reason
    back = heard.until("cluster", "the SC is back")
    assert (back.levelname, back.client) == ("INFO", away.client)


def test_a_call_that_takes_too_long(own: LocalCluster, client: Fluvio, heard: Heard) -> None:
    with own.faults.stall_controller(), pytest.raises(FluvioTimeoutError):
        client.admin.topics.list(timeout=1)
    late = heard.until("admin", "a call has failed")
    assert (late.levelname, late.call) == ("WARNING", "listing topics")
    assert "did not answer within 1 s" in late.reason


def test_members_of_groups(own: LocalCluster, client: Fluvio, topic: str, heard: Heard) -> None:
    with client.consumer(topic, group="g") as consumer:
        joined = heard.until("group", "the group is joined")
        assert (joined.levelname, joined.group, joined.topic) == ("INFO", "g", topic)
        assert consumer.assignment is not None
        changed = heard.until("group", "the member's partitions change")
        assert (changed.levelname, changed.partition, changed.change) == ("INFO", 0, "assigned")
    # Closed in order: nothing was lost.
    changed = heard.until("group", "the member's partitions change", change="given up")
    assert (changed.levelname, changed.partition) == ("INFO", 0)
