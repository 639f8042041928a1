"""Trackers: records for workers, who tell in any order which are done."""

from __future__ import annotations

import gc
import random
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import (
    ClosedError,
    ConfigError,
    Fluvio,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    ProducerRecord,
    Record,
    RecordFailedError,
    SmartModule,
    UsageError,
)

pytestmark = pytest.mark.timeout(60)


class Failure(Exception):
    """Of what a worker does."""


async def filled(world: World, client: Any, count: int, partitions: int = 1) -> str:
    topic = await world.topic(client, partitions=partitions)
    async with client.producer(topic) as producer:
        for partition in range(partitions):
            await producer.send_all([ProducerRecord(b"%d" % n, partition=partition) for n in range(count)])
    return topic


async def test_what_has_no_unfinished_record_before_it_is_committed(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 10)
        async with client.consumer(topic, consumer_id="prefix") as consumer:
            tracker = consumer.tracker()
            records = [await tracker.receive(timeout=10) for _ in range(8)]
            assert tracker.in_hand == 8
            await tracker.commit()
            assert await consumer.committed() == {}
            for offset, committed in ((1, {}), (0, {0: 1}), (3, {0: 1}), (4, {0: 1}), (2, {0: 4}), (2, {0: 4})):
                tracker.done(records[offset])
                await tracker.commit()
                assert await consumer.committed() == committed
            assert tracker.in_hand == 3
            assert repr(tracker).endswith(f"Tracker of {topic!r}, 3 in hand>")
        async with client.consumer(topic, consumer_id="prefix") as consumer:
            assert (await consumer.receive(timeout=10)).offset == 5


@pytest.mark.parametrize("partitions", [1, 3])
async def test_many_workers_finish_in_any_order(world: World, partitions: int) -> None:
    """Each record goes to one worker, and all are committed in the end."""
    count = 300
    async with world.connect() as client:
        topic = await filled(world, client, count, partitions)
        seen: list[tuple[int, int]] = []
        order = random.Random(1)
        options: dict[str, Any] = {"consumer_id": "pool", "stop_at_end": True}
        async with client.consumer(topic, **options) as consumer, consumer.tracker(max_in_hand=50) as tracker:
            if world.is_sync:

                def work() -> None:
                    for record in tracker.target:
                        with tracker.target.processing(record):
                            time.sleep(order.random() / 1000)
                            seen.append((record.partition, record.offset))

                with ThreadPoolExecutor(8) as pool:
                    for future in [pool.submit(work) for _ in range(8)]:
                        future.result()
            else:
                import anyio

                async def tasks() -> None:
                    async for record in tracker:
                        with tracker.processing(record):
                            await anyio.sleep(order.random() / 1000)
                            seen.append((record.partition, record.offset))

                async with anyio.create_task_group() as group:
                    for _ in range(8):
                        group.start_soon(tasks)
            await tracker.join(timeout=10)
            assert tracker.in_hand == 0
        assert sorted(seen) == [(partition, offset) for partition in range(partitions) for offset in range(count)]
        async with client.consumer(topic, consumer_id="pool") as consumer:
            assert await consumer.committed() == dict.fromkeys(range(partitions), count - 1)


async def test_several_topics(world: World) -> None:
    async with world.connect() as client:
        topics = [await filled(world, client, 150), await filled(world, client, 20)]
        options: dict[str, Any] = {"consumer_id": "both", "stop_at_end": True}
        async with client.consumer(topics, **options) as consumer, consumer.tracker() as tracker:
            records = [record async for record in tracker]
            assert len(records) == 170
            for record in reversed(records):
                if (record.topic, record.offset) != (topics[0], 60):
                    tracker.done(record)
        async with client.consumer(topics, consumer_id="both") as consumer:
            assert await consumer.committed() == {topics[0]: {0: 59}, topics[1]: {0: 19}}
            with pytest.raises(ConfigError, match="record is of topic 'other'"):
                consumer.tracker().done(Record("other", 0, 0, None, None, b""))


async def test_no_more_are_taken_than_may_be_in_hand(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        async with client.consumer(topic, consumer_id="bounded") as consumer:
            tracker = consumer.tracker(max_in_hand=5)
            records = [await tracker.receive(timeout=10) for _ in range(5)]
            with pytest.raises(FluvioTimeoutError, match="5 records were taken and not done") as late:
                await tracker.receive(timeout=0.1)
            assert late.value.phase == "read"
            # The oldest one holds up all others.
            for record in records[1:]:
                tracker.done(record)
            with pytest.raises(FluvioTimeoutError):
                await tracker.receive(timeout=0.05)
            tracker.done(records[0])
            assert [(await tracker.receive(timeout=10)).offset for _ in range(5)] == [5, 6, 7, 8, 9]


async def test_whoever_waits_for_room_goes_on_when_another_thread_is_done(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 10)
        async with client.consumer(topic, consumer_id="room") as consumer:
            tracker = consumer.tracker(max_in_hand=1)
            for offset in range(10):
                record = await tracker.receive(timeout=10)
                assert record.offset == offset
                done = (tracker.target if world.is_sync else tracker).done
                timer = threading.Timer(0.02, done, (record,))
                timer.start()
            await tracker.join(timeout=10)
            timer.join()


@pytest.mark.parametrize("waiting", [False, True])
async def test_what_is_tried_again_is_handed_out_again(world: World, waiting: bool) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 3)
        async with client.consumer(topic, consumer_id="again") as consumer:
            tracker = consumer.tracker()
            records = [await tracker.receive(timeout=10) for _ in range(3)]
            tracker.done(records[0])
            tracker.done(records[2])
            tracker.retry(records[2])  # it is done
            if waiting:
                # Whoever asks for a record waits already, and there is no new one.
                retry = (tracker.target if world.is_sync else tracker).retry
                timer = threading.Timer(0.1, retry, (records[1],))
                timer.start()
                assert await tracker.receive(timeout=10) == records[1]
                timer.join()
            else:
                tracker.retry(records[1])
                assert tracker.in_hand == 0
                assert await tracker.receive(timeout=0) == records[1]
            assert tracker.in_hand == 1
            with pytest.raises(FluvioTimeoutError):
                await tracker.receive(timeout=0.05)
            tracker.done(records[1])
            await tracker.commit()
            assert await consumer.committed() == {0: 2}


async def test_what_is_done_before_it_comes_again_does_not_come(world: World) -> None:
    """Say a watchdog gives up on a worker that is only slow."""
    async with world.connect() as client:
        topic = await filled(world, client, 3)
        async with client.consumer(topic, consumer_id="slow") as consumer:
            tracker = consumer.tracker()
            records = [await tracker.receive(timeout=10) for _ in range(3)]
            for _ in range(3):
                tracker.retry(records[0])
                tracker.retry(records[1])
            assert tracker.in_hand == 1
            tracker.done(records[0])
            assert tracker.in_hand == 1
            with pytest.raises(FluvioTimeoutError, match="1 records are not done"):
                await tracker.join(timeout=0.05)
            assert await tracker.receive(timeout=5) == records[1]
            assert tracker.in_hand == 2
            with pytest.raises(FluvioTimeoutError):
                await tracker.receive(timeout=0.05)


async def test_whoever_waits_for_all_goes_on_when_the_last_one_is_given_back(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 1)
        async with client.consumer(topic, consumer_id="last") as consumer:
            tracker = consumer.tracker()
            record = await tracker.receive(timeout=10)
            tracker.stop()
            timer = threading.Timer(0.1, (tracker.target if world.is_sync else tracker).retry, (record,))
            timer.start()
            await tracker.join(timeout=20)
            timer.join()


@pytest.mark.parametrize("by", ["retry", "fail"])
async def test_whoever_begins_to_wait_for_room_in_the_middle_of_it(world: World, by: str) -> None:
    """It says that it waits, and then looks whether it is called; whoever calls does it the other way round."""
    async with world.connect() as client:
        topic = await filled(world, client, 2)
        async with client.consumer(topic, consumer_id="middle") as consumer:
            tracker = consumer.tracker(max_in_hand=1)
            record = await tracker.receive(timeout=10)
            inside: Any = tracker.target if world.is_sync else tracker
            called: list[bool] = []
            wake = inside._tracking.wake_room  # noqa: SLF001

            def looks() -> None:
                called.append(inside._reader.called_away)  # noqa: SLF001
                wake()

            inside._tracking.wake_room = looks  # noqa: SLF001
            tracker.retry(record) if by == "retry" else tracker.fail(record, OSError("oh"))
            assert called[0]


async def test_room_of_records_that_share_the_first_offset(world: World) -> None:
    """They free room though there is no offset before them that could be stored."""
    split = SmartModule(path=Path(__file__).parent.parent / "smartmodules" / "split.wasm")
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b'["a", "b", "c"]')
        options: dict[str, Any] = {"consumer_id": "first", "smartmodules": split, "stop_at_end": True}
        async with client.consumer(topic, start=Offset.beginning(), **options) as consumer:
            tracker = consumer.tracker(max_in_hand=1)
            values: list[bytes] = []
            for _ in range(3):
                record = await tracker.receive(timeout=10)
                values.append(record.value)
                timer = threading.Timer(0.05, (tracker.target if world.is_sync else tracker).done, (record,))
                timer.start()
            assert values == [b"a", b"b", b"c"]
            await tracker.join(timeout=10)
            await tracker.commit()
            assert await consumer.committed() == {0: 0}


async def test_what_is_dropped_while_a_read_waits_is_committed(world: World) -> None:
    modules = Path(__file__).parent.parent / "smartmodules"
    contains = SmartModule(path=modules / "contains.wasm", params={"needle": "x"})
    options: dict[str, Any] = {"consumer_id": "waits", "commit": "auto", "auto_commit_interval": 0.02}
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=contains, **options) as consumer:
            tracker = consumer.tracker()
            async with client.producer(topic) as producer:
                await producer.send("x")
            tracker.done(await tracker.receive(timeout=10))

            def send_more() -> None:
                with Fluvio.connect(world.cluster.endpoint) as another, another.producer(topic) as producer:
                    producer.send_all(["no"] * 10)

            timer = threading.Timer(0.2, send_more)
            timer.start()
            with pytest.raises(FluvioTimeoutError):
                await tracker.receive(timeout=1)
            timer.join()
            deadline = time.monotonic() + 10
            while await consumer.committed() != {0: 10} and time.monotonic() < deadline:
                await world.sleep(0.02)
            assert await consumer.committed() == {0: 10}


async def test_what_is_done_in_the_middle_of_a_note_is_not_taken_back(world: World) -> None:
    """Of two threads the one that has passed less may tell the library last."""
    options: dict[str, Any] = {"consumer_id": "notes", "commit": "auto", "auto_commit_interval": 60}
    async with world.connect() as client:
        topic = await filled(world, client, 10)
        async with client.consumer(topic, **options) as consumer:
            tracker = consumer.tracker()
            records = [await tracker.receive(timeout=10) for _ in range(9)]
            inside: Any = tracker.target if world.is_sync else tracker
            (subscription,) = inside._subscriptions.values()  # noqa: SLF001

            class Late:
                def __init__(self, commits: Any) -> None:
                    self._commits = commits

                def note(self, partition: int, offset: int) -> None:
                    if offset == 3:
                        for record in records[4:8]:
                            tracker.done(record)
                    self._commits.note(partition, offset)

                def __getattr__(self, name: str) -> Any:
                    return getattr(self._commits, name)

            subscription.commits = Late(subscription.commits)
            for record in records[:4]:
                tracker.done(record)
        async with client.consumer(topic, consumer_id="notes") as consumer:
            assert await consumer.committed() == {0: 7}


@pytest.mark.parametrize("several", [False, True])
async def test_the_consumer_of_a_tracker_is_not_forgotten(world: World, several: bool) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 1)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            consumer = await client.consumer([topic] if several else topic, consumer_id="kept")
            tracker = consumer.tracker()
            del consumer
            gc.collect()
            assert (await tracker.receive(timeout=10)).offset == 0
            assert not [warning for warning in caught if warning.category is ResourceWarning]


async def test_a_record_that_fails_stops_all_workers(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 300)
        async with client.consumer(topic, consumer_id="fails") as consumer:
            with pytest.raises(Failure, match="oh"):
                async with consumer.tracker() as tracker:
                    async for record in tracker:
                        with tracker.processing(record):
                            if record.offset == 123:
                                raise Failure("oh")
            assert await consumer.committed() == {0: 122}
            with pytest.raises(RecordFailedError, match=r"offset 123 .* has failed with Failure") as failed:
                await tracker.join()
            assert (failed.value.topic, failed.value.partition, failed.value.offset) == (topic, 0, 123)
            assert isinstance(failed.value.__cause__, Failure)
        async with client.consumer(topic, consumer_id="fails") as consumer:
            assert (await consumer.receive(timeout=10)).offset == 123


async def test_a_failure_wakes_who_waits_for_a_record(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 1)
        async with client.consumer(topic, consumer_id="wakes") as consumer:
            tracker = consumer.tracker()
            record = await tracker.receive(timeout=10)
            fail = (tracker.target if world.is_sync else tracker).fail
            timer = threading.Timer(0.1, fail, (record, OSError("oh")))
            timer.start()
            with pytest.raises(RecordFailedError, match="failed with OSError"):
                await tracker.receive(timeout=20)
            timer.join()


async def test_automatic_commits_follow_what_is_done(world: World) -> None:
    options: dict[str, Any] = {"consumer_id": "auto", "commit": "auto", "auto_commit_interval": 0.02}
    async with world.connect() as client:
        topic = await filled(world, client, 100)
        async with client.consumer(topic, **options) as consumer:
            first = await consumer.receive(timeout=10)
            tracker = consumer.tracker()
            # What was read before counts as processed when the next read begins, as ever.
            records = [await tracker.receive(timeout=10) for _ in range(20)]
            assert records[0].offset == first.offset + 1
            for record in records[:10]:
                tracker.done(record)
            deadline = time.monotonic() + 20
            while await consumer.committed() != {0: 10} and time.monotonic() < deadline:
                await world.sleep(0.02)
            assert await consumer.committed() == {0: 10}
            await world.sleep(0.1)
            tracker.done(records[10])
            tracker.done(records[12])
        # The close commits what was done meanwhile.
        async with client.consumer(topic, consumer_id="auto") as consumer:
            assert await consumer.committed() == {0: 11}


async def test_nothing_else_reads_or_seeks_then(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 10)
        async with client.consumer(topic) as consumer:
            with pytest.raises(UsageError, match="without a consumer_id"):
                consumer.tracker()
        async with client.consumer(topic, consumer_id="alone") as consumer:
            for wrong in (0, "5", None):
                with pytest.raises(ConfigError, match="max_in_hand"):
                    consumer.tracker(max_in_hand=wrong)
            tracker = consumer.tracker()
            with pytest.raises(UsageError, match="one reads at a time"):
                await consumer.receive(timeout=1)
            with pytest.raises(UsageError, match="one reads at a time"):
                consumer.tracker()
            with pytest.raises(UsageError, match="a tracker hands out the records"):
                await consumer.seek(0, 5)
            with pytest.raises(UsageError, match="use the tracker's commit"):
                await consumer.commit()
            await tracker.receive(timeout=10)
            with pytest.raises(ConfigError, match="record must be Record"):
                tracker.done(7)
            with pytest.raises(UsageError, match="one reads at a time"):
                async for _ in consumer:
                    pass


async def test_stop_ends_it_and_what_is_in_hand_may_be_finished(world: World) -> None:
    async with world.connect() as client:
        topic = await filled(world, client, 50)
        async with client.consumer(topic, consumer_id="stops") as consumer:
            async with consumer.tracker() as tracker:
                records = [await tracker.receive(timeout=10) for _ in range(5)]
                tracker.stop()
                assert [record async for record in tracker] == []
                with pytest.raises(ClosedError, match="stopped"):
                    await tracker.receive()
                with pytest.raises(FluvioTimeoutError, match="5 records are not done"):
                    await tracker.join(timeout=0.05)
                for record in records:
                    tracker.done(record)
                await tracker.join(timeout=5)
            assert await consumer.committed() == {0: 4}
        with pytest.raises(ClosedError):
            await tracker.receive()


async def test_a_cancelled_worker_loses_nothing(world: World) -> None:
    if world.is_sync:
        return
    import anyio

    count = 2_000
    async with world.connect() as client:
        topic = await filled(world, client, count)
        options: dict[str, Any] = {"consumer_id": "cancelled", "stop_at_end": True}
        seen: list[int] = []
        times = random.Random(2)
        async with client.consumer(topic, **options) as consumer, consumer.tracker(max_in_hand=40) as tracker:
            ended = False

            async def work() -> None:
                nonlocal ended
                async for record in tracker:
                    seen.append(record.offset)
                    tracker.done(record)
                    if times.random() < 0.1:
                        await anyio.sleep(0)
                ended = True

            while not ended:
                with anyio.move_on_after(times.random() / 500):
                    async with anyio.create_task_group() as group:
                        for _ in range(4):
                            group.start_soon(work)
            assert sorted(seen) == [*range(count)]
            assert tracker.in_hand == 0


async def test_left_by_cancellation_it_waits_for_nothing(world: World) -> None:
    if world.is_sync:
        return
    import anyio

    async with world.connect() as client:
        topic = await filled(world, client, 5)
        begun = time.monotonic()
        options: dict[str, Any] = {"consumer_id": "left", "commit": "auto"}
        with anyio.move_on_after(0.2):
            async with client.consumer(topic, **options) as consumer, consumer.tracker() as tracker:
                for _ in range(3):
                    tracker.done(await tracker.receive())
                await anyio.sleep(20)
        assert time.monotonic() - begun < 5
        deadline = time.monotonic() + 20
        async with client.consumer(topic, consumer_id="left") as consumer:
            while await consumer.committed() != {0: 2} and time.monotonic() < deadline:
                await anyio.sleep(0.02)
            assert await consumer.committed() == {0: 2}


def test_interrupted_in_the_middle_of_a_read(cluster: LocalCluster) -> None:
    """Ctrl-C comes at some place of each read: no record is lost, and none is passed over."""
    import _thread

    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("tracker-interrupts")
        with client.producer("tracker-interrupts") as producer:
            producer.send_all([b"%d" % n for n in range(3_000)])
        with client.consumer("tracker-interrupts", consumer_id="me", stop_at_end=True) as consumer:
            tracker = consumer.tracker(max_in_hand=100)
            seen: list[int] = []
            over = threading.Event()

            def interrupt() -> None:
                while not over.wait(0.002):
                    _thread.interrupt_main()

            thread = threading.Thread(target=interrupt)
            thread.start()
            ended = False
            deadline = time.monotonic() + 30
            while not ended and time.monotonic() < deadline:
                try:
                    record = tracker.receive(timeout=20)
                    try:
                        seen.append(record.offset)
                    finally:
                        while True:
                            try:
                                tracker.done(record)
                                break
                            except KeyboardInterrupt:
                                continue
                except KeyboardInterrupt:
                    continue
                except ClosedError:
                    ended = True
            while True:
                try:
                    over.set()
                    thread.join()
                    break
                except KeyboardInterrupt:
                    continue
            # The test itself may be interrupted between the return and its own note.
            assert len(seen) > 2_000
            assert seen == sorted(seen)
            processed = seen[-1] if tracker.in_hand == 0 else -1
            tracker.commit()
            committed = consumer.committed().get(0, -1)
            assert committed <= seen[-1]
            assert processed in (-1, committed)
            assert set(range(committed + 1)) <= set(seen)


async def test_what_smartmodules_drop_is_processed_too(world: World) -> None:
    """Where nothing is held that is not done, what lies before the next record is committed, and no more."""
    modules = Path(__file__).parent.parent / "smartmodules"
    contains = SmartModule(path=modules / "contains.wasm", params={"needle": "x"})
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all(["no", "x", "no", "x", "no"])
        options: dict[str, Any] = {"consumer_id": "drops", "smartmodules": contains, "stop_at_end": True}
        async with client.consumer(topic, **options) as consumer, consumer.tracker() as tracker:
            first, second = [record async for record in tracker]
            assert (first.offset, second.offset) == (1, 3)
            tracker.done(first)
            await tracker.commit()
            assert await consumer.committed() == {0: 1}
            tracker.done(second)
            await tracker.commit()
            assert await consumer.committed() == {0: 4}
