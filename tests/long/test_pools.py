"""Pools of threads on trackers and callbacks, with the interpreter going from one to another all the time: each record
is finished once, nothing is left of them, and what is committed has nothing unfinished before it."""

from __future__ import annotations

import functools
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from laws import LONG, has_long_form, nothing_left

from fluvio_cffi import (
    ClosedError,
    Fluvio,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    ProducerRecord,
    Receipt,
    Record,
    Tracker,
)

pytestmark = pytest.mark.timeout(120)
COUNT = 60_000 if LONG else 3_000
WORKERS = 8


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


def pool(tracker: Tracker, seed: int, finished: Counter[tuple[str, int, int]]) -> None:
    """Finishes records in any order, some by another thread, and gives some back once."""
    order = random.Random(seed)
    held: list[Record] = []
    given_back: set[tuple[str, int, int]] = set()
    ended = False
    while held or not ended:
        # What a worker keeps holds up the others, who may have to wait for it.
        if not ended and len(held) < 4 and order.random() < 0.7:
            try:
                held.append(tracker.receive(timeout=0.01 if held else None))
                continue
            except FluvioTimeoutError:
                pass
            except ClosedError:
                ended = True
                continue
        if not held:
            continue
        one = held.pop(order.randrange(len(held)))
        place = (one.topic, one.partition, one.offset)
        if not ended and order.random() < 0.05 and place not in given_back:
            given_back.add(place)
            tracker.retry(one)
            continue
        finished[place] += 1
        if order.random() < 0.05:
            thread = threading.Thread(target=tracker.done, args=(one,))
            thread.start()
            thread.join()
        else:
            tracker.done(one)
        if order.random() < 0.01:
            tracker.commit()


@has_long_form
@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("several", [False, True])
@leaves_nothing
def test_a_pool_that_finishes_in_any_order(cluster: LocalCluster, several: bool) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        topics = [f"pool-{number}-{time.time_ns()}" for number in range(2 if several else 1)]
        for topic in topics:
            client.admin.topics.create(topic, partitions=2)
            with client.producer(topic) as producer:
                producer.send_all([ProducerRecord(b"x", partition=n % 2) for n in range(COUNT // len(topics))])
        finished: Counter[tuple[str, int, int]] = Counter()
        options = {"consumer_id": "pool", "stop_at_end": True}
        opened = client.consumer(topics, **options) if several else client.consumer(topics[0], **options)  # type: ignore[call-overload]
        with opened as consumer, consumer.tracker(max_in_hand=200) as tracker:
            threads = [threading.Thread(target=pool, args=(tracker, seed, finished)) for seed in range(WORKERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            # Whoever saw the end first may have left before another one gave something back.
            for record in tracker:
                finished[record.topic, record.partition, record.offset] += 1
                tracker.done(record)
            tracker.join(timeout=10)
        each = COUNT // len(topics) // 2
        everything = {
            (topic, partition, offset) for topic in topics for partition in range(2) for offset in range(each)
        }
        assert finished.keys() == everything
        assert set(finished.values()) == {1}
        for topic in topics:
            with client.consumer(topic, consumer_id="pool") as after:
                assert after.committed() == {0: each - 1, 1: each - 1}


@has_long_form
@pytest.mark.usefixtures("switching")
@leaves_nothing
def test_callbacks_of_receipts_that_threads_share(cluster: LocalCluster) -> None:
    """Each is called once, whoever adds it and whoever drains."""
    called: Counter[int] = Counter()
    lock = threading.Lock()
    with Fluvio.connect(cluster.endpoint) as client:
        topic = f"callbacks-{time.time_ns()}"
        client.admin.topics.create(topic)
        with client.producer(topic) as producer:

            def note(number: int, receipt: Receipt) -> None:
                assert receipt.done()
                with lock:
                    called[number] += 1

            def work(worker: int) -> None:
                for number in range(worker, COUNT, WORKERS):
                    receipt = producer.enqueue(b"x")
                    receipt.add_done_callback(lambda receipt, number=number: note(number, receipt))  # type: ignore[misc]
                    if number % 7 == 0:
                        receipt.wait(timeout=20)

            threads = [threading.Thread(target=work, args=(worker,)) for worker in range(WORKERS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert called == Counter(dict.fromkeys(range(COUNT), 1))
        with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            assert len([*consumer]) == COUNT
