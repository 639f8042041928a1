"""Where reading goes on, case by case as docs/delivery.md has them: no position moves that nobody asked to move."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from conftest import World
from insides import control
from smartmodule_support import MODULES

from fluvio_cffi import (
    FluvioError,
    LocalCluster,
    Offset,
    OffsetEvictedError,
    OffsetOutOfRangeError,
    ProducerRecord,
    SmartModule,
)
from fluvio_cffi._consume.options import ConsumerOptions

pytestmark = pytest.mark.timeout(60)

# The log of these tests has the offsets from FIRST to END - 1.
FIRST, END = 100, 200
EVICTED, BEYOND = OffsetEvictedError, OffsetOutOfRangeError


async def fill(client: Any, topic: str, count: int = END, **keywords: Any) -> None:
    """Records of 100 bytes in batches of a few, so that a log has many."""
    async with client.producer(topic, batch_size=1000, **keywords) as producer:
        await producer.send_all([b"%0100d" % number for number in range(count)])


@asynccontextmanager
async def log(world: World) -> AsyncIterator[tuple[LocalCluster, Any, str]]:
    """A topic whose first records retention has removed, on a cluster of its own."""
    with LocalCluster() as cluster:
        control(cluster, "lose-acks 5001 on")
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, segment_size="4KiB")
            await fill(client, topic)
            cluster.faults.evict(topic, 0, FIRST)
            yield cluster, client, topic


def lose(cluster: LocalCluster, topic: str, offset: int) -> None:
    """Takes the end of a log away, from a segment of it on, as the loss of a leader does, while the cluster is down."""
    cluster.kill()
    segments = sorted(Path(cluster.data_dir, "spu-logs-5001", f"{topic}-0").glob("*.log"))
    lost = [segment for segment in segments if int(segment.stem) >= offset]
    assert lost and len(lost) < len(segments)
    for segment in lost:
        segment.unlink()
    cluster.start()


async def outcome(consumer: Any) -> int | type[Exception]:
    """Where a consumer begins, or how it fails."""
    try:
        async with consumer as opened:
            return int((await opened.receive(timeout=10)).offset)
    except (OffsetEvictedError, OffsetOutOfRangeError) as error:
        assert error.partition == 0
        assert error.offset is not None
        if isinstance(error, OffsetEvictedError):
            assert error.next_available == FIRST
        return type(error)


@pytest.mark.parametrize("on_evicted", ["raise", "skip"])
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (Offset.at(FIRST - 1), EVICTED),
        (Offset.at(0), EVICTED),
        (Offset.at(FIRST), FIRST),
        (Offset.at(END - 1), END - 1),
        (Offset.at(END + 1), BEYOND),
        (Offset.beginning(), FIRST),
        (Offset.from_beginning(7), FIRST + 7),
        (Offset.from_end(7), END - 7),
        (Offset.from_end(END), FIRST),
    ],
    ids=str,
)
async def test_starts(world: World, start: Offset, expected: Any, on_evicted: str) -> None:
    """A start, a seek and a start of a `consumer_id` that has nothing stored mean the same."""
    if on_evicted == "skip" and expected is EVICTED:
        expected = FIRST
    async with log(world) as (_, client, topic):
        for keywords in ({}, {"stop_at_end": True}, {"consumer_id": "new"}, {"consumer_id": "new", "resume": False}):
            assert await outcome(client.consumer(topic, start=start, on_evicted=on_evicted, **keywords)) == expected
        for begin in (Offset.beginning(), Offset.at(0)):
            # Also from an error at which it stands.
            if begin == Offset.at(0) and on_evicted == "raise":
                continue
            async with client.consumer(topic, start=begin, on_evicted=on_evicted) as consumer:
                try:
                    await consumer.seek(0, start)
                    assert (await consumer.receive(timeout=10)).offset == expected
                except (OffsetEvictedError, OffsetOutOfRangeError) as error:
                    assert type(error) is expected


async def test_more_than_there_is_of_the_relative_starts_is_the_other_end(world: World) -> None:
    async with log(world) as (_, client, topic):
        for start in (Offset.end(), Offset.from_beginning(END)):
            async with client.consumer(topic, start=start) as consumer:
                assert consumer.position() == {0: END}
            async with client.consumer(topic, start=start, stop_at_end=True) as consumer:
                assert [record async for record in consumer] == []


@pytest.mark.parametrize("on_evicted", ["raise", "skip"])
@pytest.mark.parametrize("stop_at_end", [False, True])
@pytest.mark.parametrize("start", [None, Offset.end()], ids=str)
@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (0, EVICTED),
        (FIRST - 2, EVICTED),
        (FIRST - 1, FIRST),
        (150, 151),
        (END - 2, END - 1),
        (END, BEYOND),
        (5000, BEYOND),
    ],
)
@pytest.mark.backends("asyncio", "sync")
async def test_stored_offsets(
    world: World, stored: int, expected: Any, start: Offset | None, stop_at_end: bool, on_evicted: str
) -> None:
    """What is stored wins over `start`, unless it is told not to resume."""
    if on_evicted == "skip" and expected is EVICTED:
        expected = FIRST
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            await fill(client, topic, max(END, stored + 1))
            async with client.consumer(topic, consumer_id="svc") as consumer:
                await consumer.commit({0: stored})
            if stored >= END:
                # The log is lost, with the machine that had it.
                (path,) = Path(cluster.data_dir, "spu-logs-5001", f"{topic}-0").glob("*.log")
                cluster.kill()
                path.unlink()
                cluster.start()
                await fill(client, topic)
            cluster.faults.evict(topic, 0, FIRST)
            keywords = {"start": start, "stop_at_end": stop_at_end, "on_evicted": on_evicted, "consumer_id": "svc"}
            assert await outcome(client.consumer(topic, **keywords)) == expected
            async with client.consumer(topic, resume=False, **keywords) as consumer:
                assert consumer.position() == {0: FIRST if start is None else END}


async def test_a_topic_of_the_same_name_finds_what_was_stored_after_the_deletion(world: World) -> None:
    """The server hides what is stored for a deleted topic, and shows it when there is one of that name again."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            await fill(client, topic)
            async with client.consumer(topic, consumer_id="svc", commit="manual") as late:
                await late.commit({0: 10})
                await client.admin.topics.delete(topic)
                await client.admin.topics.create(topic)
                # The connection's session is that of the deleted topic.
                await late.commit({0: 150})
            assert await outcome(client.consumer(topic, consumer_id="svc")) is BEYOND


@pytest.mark.parametrize("on_evicted", ["raise", "skip"])
@pytest.mark.parametrize("meanwhile", ["paused", "reconnecting"])
async def test_retention_overtakes_a_reader(world: World, meanwhile: str, on_evicted: str) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            await fill(client, topic)
            # Nothing is read ahead but one batch.
            keywords = {"prefetch": 1, "max_bytes": 1, "on_evicted": on_evicted}
            async with client.consumer(topic, start=Offset.beginning(), **keywords) as consumer:
                record = await consumer.receive()
                if meanwhile == "paused":
                    consumer.pause(0)
                    cluster.faults.evict(topic, 0, FIRST)
                    consumer.resume(0)
                else:
                    refusing = cluster.faults.refuse(5001)
                    cluster.faults.reset_sockets(5001)
                    cluster.faults.evict(topic, 0, FIRST)
                    refusing.undo()
                with pytest.raises(OffsetEvictedError) if on_evicted == "raise" else nullcontext() as caught:
                    while record.offset < FIRST:
                        following = await consumer.receive(timeout=10)
                        assert following.offset in (record.offset + 1, FIRST)
                        record = following
                if caught is not None:
                    assert caught.value.offset == record.offset + 1
                    assert caught.value.next_available == FIRST
                    await consumer.seek(0, caught.value.next_available)
                    assert (await consumer.receive(timeout=10)).offset == FIRST
                else:
                    assert record.offset == FIRST


@pytest.mark.parametrize("stop_at_end", [False, True])
async def test_a_log_that_lost_its_end(world: World, stop_at_end: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that was further raises; one that was not is told once it waits for what will not come."""
    native = ConsumerOptions.native

    def probing(options: ConsumerOptions) -> Any:
        made, alive = native(options)
        made.probe_ms = 100
        return made, alive

    monkeypatch.setattr(ConsumerOptions, "native", probing)
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, segment_size="4KiB")
            await fill(client, topic)
            start = {"start": Offset.beginning(), "prefetch": 1, "max_bytes": 1, "stop_at_end": stop_at_end}
            async with client.consumer(topic, **start) as behind, client.consumer(topic, **start) as ahead:
                assert (await behind.receive()).offset == 0
                while (await ahead.receive()).offset < 150:
                    pass
                lose(cluster, topic, 100)
                with pytest.raises(OffsetOutOfRangeError):
                    while True:
                        await ahead.receive(timeout=20)
                if stop_at_end:
                    last = 0
                    with pytest.raises(OffsetOutOfRangeError, match="ended at 200"):
                        while True:
                            last = (await behind.receive(timeout=20)).offset
                    assert 90 <= last < 140


async def test_a_partition_that_appears_later(world: World) -> None:
    """Where something is stored of it, reading goes on after that; else at its first offset."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.consumer(topic, consumer_id="svc") as old, client.consumer(topic) as plain:
                # It hears of new partitions from a controller that says nothing now.
                async with world.connect(cluster.endpoint) as other:
                    cluster.faults.reset_controller()
                    await other.admin.topics.add_partitions(topic, 1)
                    async with other.producer(topic) as producer:
                        for number in range(5):
                            await producer.send(b"%d" % number, partition=1)
                assert [(await plain.receive(timeout=10)).offset for _ in range(5)] == list(range(5))
                assert [(await old.receive(timeout=10)).offset for _ in range(5)] == list(range(5))


@pytest.mark.parametrize(
    ("to", "offset", "cls"),
    [
        (Offset.at(FIRST - 1), FIRST - 1, OffsetEvictedError),
        (Offset.at(END + 1), END + 1, OffsetOutOfRangeError),
        (Offset.from_beginning(END), FIRST + END, OffsetOutOfRangeError),
        (Offset.from_end(END), 0, OffsetEvictedError),
    ],
)
async def test_a_reset_moves_only_to_what_exists(world: World, to: Offset, offset: int, cls: type[FluvioError]) -> None:
    async with log(world) as (_, client, topic):
        reset = client.admin.consumer_offsets.reset
        with pytest.raises(cls, match=f"the offset to go on at is {offset}: "):
            await reset(consumer_id="svc", topic=topic, partition=0, to=to)
        assert await client.admin.consumer_offsets.list(consumer_id="svc") == []


async def test_a_commit_beyond_the_end_is_refused(world: World) -> None:
    async with log(world) as (_, client, topic), client.consumer(topic, consumer_id="svc") as consumer:
        for offset in (END, END + 1, 1 << 40):
            with pytest.raises(OffsetOutOfRangeError, match=f"{offset}.* below {END}, where partition") as caught:
                await consumer.commit({0: offset})
            assert (caught.value.partition, caught.value.offset) == (0, offset)
        assert await consumer.committed() == {}
        # What came since it was opened is known to its leader.
        await fill(client, topic, 10)
        await consumer.commit({0: END + 9})
        assert await consumer.committed() == {0: END + 9}


@pytest.mark.parametrize("by", ["record", "batch", "all", "auto"])
async def test_a_commit_of_what_was_processed_never_goes_back(world: World, by: str) -> None:
    """A worker that was suspended for a while finds that another one has gone on for it."""
    async with log(world) as (_, client, topic):
        suspended_options = {"commit": "auto", "auto_commit_interval": 0.05} if by == "auto" else {}
        async with (
            client.consumer(topic, consumer_id="pool", start=Offset.beginning(), **suspended_options) as suspended,
            client.consumer(topic, consumer_id="pool", start=Offset.beginning()) as other,
        ):

            async def process() -> None:
                record = await suspended.receive()
                if by == "record":
                    await suspended.commit(record)
                elif by == "all":
                    await suspended.commit()
                elif by == "batch":
                    async for batch in suspended.batches(max_records=1):
                        await suspended.commit(batch)
                        break

            await process()
            await world.sleep(1.1)
            await other.commit({0: END - 20})
            # Its own memory is too old by now.
            await process()
            await process()
            await world.sleep(0.3)
            assert await other.committed() == {0: END - 20}
            # Told a number, it is stored.
            await suspended.commit({0: FIRST})
            assert await other.committed() == {0: FIRST}
            if by == "auto":
                return
            await other.commit({0: END - 20})
            # Whoever seeks backwards wants to go back.
            await suspended.seek(0, FIRST)
            await process()
            assert (await other.committed())[0] in (FIRST, FIRST + 1)


async def test_leaving_commits_nothing_less_than_what_is_stored(world: World) -> None:
    pool = {"consumer_id": "pool", "start": Offset.beginning()}
    async with log(world) as (_, client, topic), client.consumer(topic, **pool) as other:
        async with client.consumer(topic, commit="auto", auto_commit_interval=60, **pool) as consumer:
            await consumer.receive()
            await consumer.receive()
            await other.commit({0: 150})
            await world.sleep(1.1)
        assert await other.committed() == {0: 150}


@pytest.mark.parametrize("prefetch", ["16MiB", "256KiB", "1KiB"])
@pytest.mark.parametrize("how", ["records", "batches", "slowly"])
async def test_a_backlog_does_not_hold_up_other_partitions(world: World, how: str, prefetch: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic) as producer:
            await producer.send_all(ProducerRecord(b"x" * 100, partition=0) for _ in range(40_000))
            async with client.consumer(topic, start=Offset.beginning(), prefetch=prefetch) as consumer:
                await reads_fairly(world, consumer, producer, how)


async def reads_fairly(world: World, consumer: Any, producer: Any, how: str) -> None:
    """Within 2,000 records of others and what was in hand, or 20 ms of work; here with something to spare."""
    most = 500 if how == "slowly" else 3_000
    pause = 0.001 if how == "slowly" else 0.0002
    read = others = 0
    begun = 0.0
    sent: int | None = None
    async for item in consumer.batches(max_records=100) if how == "batches" else consumer:
        records = item if how == "batches" else [item]
        if sent is not None and any(record.partition == 1 and record.offset >= sent for record in records):
            assert others <= most or time.monotonic() - begun < 0.05
            return
        read += len(records)
        others += len(records)
        if sent is not None and (how != "records" or read % 100 == 0):
            time.sleep(pause)
        if sent is None and read >= 5_000:
            sent = (await producer.send(b"urgent", partition=1)).offset
            # Until it has arrived, or lies in the socket.
            deadline = time.monotonic() + 0.3
            while consumer.lag().get(1, 0) == 0 and time.monotonic() < deadline:
                await world.sleep(0.001)
            others = 0
            begun = time.monotonic()
    raise AssertionError("the other partition's record never came")


@pytest.mark.parametrize("module", [None, "pass"])
async def test_the_end_is_where_the_log_ended_whatever_comes_later(world: World, module: str | None) -> None:
    """What lies behind it is in the same replies, and is not read: no position and no commit counts it."""
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send_all([b"x" * 1000] * 3000)
            options: dict[str, Any] = {"stop_at_end": True, "prefetch": 400_000, "max_bytes": 150_000}
            if module is not None:
                options["smartmodules"] = SmartModule(path=MODULES / f"{module}.wasm")
                options["max_bytes"] = 1 << 20
            async with client.consumer(topic, consumer_id=topic, start=Offset.beginning(), **options) as consumer:
                assert (await consumer.receive()).offset == 0
                for _ in range(100):
                    await producer.send_all([b"y" * 1000] * 7)
                assert [record.offset async for record in consumer] == [*range(1, 3000)]
                assert consumer.position() == {0: 3000}
                await consumer.commit()
                assert await consumer.committed() == {0: 2999}
        async with client.consumer(topic, consumer_id=topic) as consumer:
            assert (await consumer.receive(timeout=5)).offset == 3000
