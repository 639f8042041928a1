"""Records that leave a consumer of threads one by one, in a loop: no code of the package runs for each of them, and
what is said to the consumer meanwhile holds from the next record on all the same."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import islice
from threading import Thread

import pytest

from fluvio_cffi import (
    ClosedError,
    Consumer,
    Fluvio,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    TopicsConsumer,
    UsageError,
)

pytestmark = pytest.mark.timeout(60)
COUNT = 3000


@pytest.fixture(scope="module")
def topic(cluster: LocalCluster) -> str:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("for")
        with client.producer("for") as producer:
            producer.send_all([b"%d" % number for number in range(COUNT)])
    return "for"


@pytest.fixture
def consumer(cluster: LocalCluster, topic: str) -> Iterator[Consumer]:
    with (
        Fluvio.connect(cluster.endpoint) as client,
        client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer,
    ):
        yield consumer


def offsets(records: object, count: int | None = None) -> list[int]:
    return [record.offset for record in islice(records, count)]  # type: ignore[call-overload]


def in_a_thread(call: object, *arguments: object) -> None:
    thread = Thread(target=call, args=arguments)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_all_of_them_once_and_in_order(consumer: Consumer) -> None:
    assert offsets(consumer) == list(range(COUNT))
    assert offsets(consumer) == []


def test_several_loops_batches_and_single_reads_go_on_where_the_last_ended(consumer: Consumer) -> None:
    seen: list[int] = []
    first = iter(consumer)
    while len(seen) < COUNT:
        seen += offsets(first, 3)
        seen += offsets(consumer, 5)
        seen += [consumer.receive().offset]
        seen += [next(consumer).offset]
        seen += offsets(iter(consumer), 7)
        batch = next(iter(consumer.batches(max_records=11)), None)
        seen += [] if batch is None else batch.offset_list()
        assert consumer.position() == {0: len(seen)}
        if len(seen) > COUNT - 100:
            seen += offsets(first)
    assert seen == list(range(COUNT))


@pytest.mark.parametrize("call", ["pause", "seek", "stop"])
def test_what_another_thread_says_holds_from_the_next_record_on(consumer: Consumer, call: str) -> None:
    records = iter(consumer)
    assert offsets(records, 200) == list(range(200))
    if call == "pause":
        in_a_thread(consumer.pause)
        in_a_thread(Thread(target=consumer.resume).start)
        assert offsets(records, 2) == [200, 201]
        in_a_thread(consumer.pause)
        assert consumer.position() == {0: 202}
        with pytest.raises(FluvioTimeoutError):
            consumer.receive(0)
        in_a_thread(consumer.resume)
        assert offsets(records) == list(range(202, COUNT))
    elif call == "seek":
        in_a_thread(consumer.seek, 0, 1000)
        assert offsets(records, 2) == [1000, 1001]
        in_a_thread(consumer.seek, 0, 5)
        assert offsets(records) == list(range(5, COUNT))
    else:
        in_a_thread(consumer.stop)
        assert offsets(records) == []
        assert consumer.position() == {0: 200}


def test_an_iterator_of_a_consumer_that_is_closed(cluster: LocalCluster, topic: str) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        consumer = client.consumer(topic, start=Offset.beginning(), stop_at_end=True)
        records = iter(consumer)
        assert offsets(records, 2) == [0, 1]
        consumer.close()
        assert offsets(records) == []
        with pytest.raises(ClosedError):
            iter(consumer)


def test_an_error_leaves_the_consumer_where_it_is(cluster: LocalCluster) -> None:
    """The iterator is over, and another one goes on."""
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("for-errors")
        with (
            client.producer("for-errors") as producer,
            client.consumer("for-errors", start=Offset.beginning()) as consumer,
        ):
            producer.send(b"0")
            records = iter(consumer)
            assert next(records).value == b"0"
            waiting = Thread(target=consumer.receive)
            waiting.start()
            deadline = time.monotonic() + 10
            refused: UsageError | None = None
            while refused is None:
                assert time.monotonic() < deadline
                try:
                    # Who comes first waits, and the other one is refused.
                    consumer.receive(0)
                except FluvioTimeoutError:
                    continue
                except UsageError as error:
                    refused = error
            with pytest.raises(UsageError, match=r"read"):
                next(records)
            producer.send_all([b"1", b"2"])
            waiting.join(10)
            assert list(records) == []
            assert next(iter(consumer)).value == b"2"


# -- several topics


@pytest.fixture
def several(cluster: LocalCluster, topic: str) -> Iterator[TopicsConsumer]:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("for-others", exist_ok=True)
        if client.offsets("for-others")[0][1] < COUNT:
            with client.producer("for-others") as producer:
                producer.send_all([b"%d" % number for number in range(COUNT)])
        with client.consumer([topic, "for-others"], start=Offset.beginning(), stop_at_end=True) as consumer:
            yield consumer


def test_of_several_topics_no_code_runs_for_each_record(several: TopicsConsumer) -> None:
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    records = iter(several)
    sys.setprofile(count)
    try:
        deque(islice(records, 2 * COUNT - 1), 0)
    finally:
        sys.setprofile(None)
    assert calls < COUNT
    assert len([*records]) == 1


def test_of_several_topics_loops_batches_and_single_reads_go_on_where_the_last_ended(several: TopicsConsumer) -> None:
    seen: dict[str, list[int]] = {topic: [] for topic in several.topics}
    first = iter(several)
    while True:
        read = [*islice(first, 3), *islice(several, 5), *islice(iter(several), 7)]
        if not read:
            break
        for batch in islice(several.batches(max_records=11), 1):
            read += batch
        for record in read:
            seen[record.topic].append(record.offset)
        assert several.position() == {topic: {0: len(offsets)} for topic, offsets in seen.items()}
    assert seen == {topic: list(range(COUNT)) for topic in several.topics}


@pytest.mark.parametrize("call", ["pause", "seek", "stop"])
def test_of_several_topics_what_another_thread_says_holds_from_the_next_record_on(
    several: TopicsConsumer, call: str
) -> None:
    records = iter(several)
    offsets(records, 200)
    topic = next(records).topic
    if call == "pause":
        in_a_thread(several.pause, topic)
        at = several.position()[topic]
        assert {record.topic for record in islice(records, COUNT // 2)} == {*several.topics} - {topic}
        in_a_thread(several.resume, topic)
        assert [record.offset for record in records if record.topic == topic] == list(range(at[0], COUNT))
    elif call == "seek":
        in_a_thread(several.seek, topic, 0, 5)
        assert [record.offset for record in records if record.topic == topic] == list(range(5, COUNT))
    else:
        in_a_thread(several.stop)
        assert offsets(records) == []
