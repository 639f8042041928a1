"""Consumer groups: what their members read, own and commit."""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any

import anyio
import pytest
from conftest import World

from fluvio_cffi import (
    ClosedError,
    CommitFencedError,
    Fluvio,
    FluvioTimeoutError,
    MemberFencedError,
    Offset,
    PartitionNotFoundError,
    ProducerRecord,
    Record,
    UsageError,
)

PATIENCE = 20.0
SOON = 0.05
GROUP = "billing"


async def produce(client: Any, topic: str, count: int, partitions: int) -> None:
    async with client.producer(topic) as producer:
        for partition in range(partitions):
            await producer.send_all([ProducerRecord(b"%d" % number, partition=partition) for number in range(count)])


async def read(consumer: Any, seconds: float = SOON) -> list[Record]:
    """What can be read, until nothing comes for so long."""
    records: list[Record] = []
    while True:
        try:
            records.append(await consumer.receive(timeout=seconds))
        except FluvioTimeoutError:
            return records


async def read_until(done: Callable[[], bool], *consumers: Any) -> list[list[Record]]:
    """Reads with all of them, until it is done; what each has read."""
    deadline = time.monotonic() + PATIENCE
    records: list[list[Record]] = [[] for _ in consumers]
    while not done():
        assert time.monotonic() < deadline, [consumer.assignment for consumer in consumers]
        for number, consumer in enumerate(consumers):
            records[number] += await read(consumer)
    return records


def shared(partitions: int, *consumers: Any) -> Callable[[], bool]:
    """Whether they own all partitions, each about as many."""

    def done() -> bool:
        owned: list[Sequence[int]] = [consumer.assignment for consumer in consumers]
        lengths = [len(each) for each in owned]
        return (
            sorted(partition for each in owned for partition in each) == [*range(partitions)]
            and max(lengths) - min(lengths) <= 1
        )

    return done


def numbers(records: Sequence[Record]) -> list[tuple[int, int]]:
    return sorted((record.partition, record.offset) for record in records)


async def test_members_share_the_partitions(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=4)
        await produce(client, topic, 10, 4)
        async with client.consumer(topic, group=GROUP) as one:
            first = await read_until(shared(4, one), one)
            while len(first[0]) < 40:
                first[0] += await read(one)
            await one.commit()
            async with client.consumer(topic, group=GROUP) as two:
                await read_until(shared(4, one, two), one, two)
                assert one.member_id != two.member_id
                await produce(client, topic, 10, 4)
                one_read, two_read = await read(one, 0.5), await read(two, 0.5)
                assert numbers(one_read + two_read) == [(p, n) for p in range(4) for n in range(10, 20)]
                assert {record.partition for record in one_read} == set(one.assignment)
                await two.commit()
                await one.commit()
            # Who closes leaves: the other has all again, and nothing that was committed comes again.
            again = await read_until(shared(4, one), one)
            assert again == [[]]
            assert (await one.committed()) == dict.fromkeys(range(4), 19)
        async with client.consumer(topic, group="another") as other:
            records = await read_until(shared(4, other), other)
            while len(records[0]) < 80:
                records[0] += await read(other)


async def test_batches_commit_under_their_epoch(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=2)
        await produce(client, topic, 100, 2)
        async with client.consumer(topic, group=GROUP) as consumer:
            seen: list[tuple[int, int]] = []
            async for batch in consumer.batches(max_records=30):
                assert batch.epochs == {partition: consumer.epoch(partition) for partition in batch.last_offsets}
                assert pickle.loads(pickle.dumps(batch)).epochs == batch.epochs
                seen += numbers(batch)
                await consumer.commit(batch)
                if len(seen) == 200:
                    break
            assert sorted(seen) == [(p, n) for p in range(2) for n in range(100)]
            assert (await consumer.committed()) == {0: 99, 1: 99}
            assert consumer.generation >= 0
            assert f"group={GROUP!r}" in repr(consumer)
            with pytest.raises(PartitionNotFoundError, match=r"partition 7 of .* is not owned by this member"):
                consumer.epoch(7)


async def test_start_is_for_what_was_never_committed(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await produce(client, topic, 3, 1)
        async with client.consumer(topic, group=GROUP, start=Offset.end()) as consumer:
            assert await read(consumer, 0.5) == []
            await produce(client, topic, 2, 1)
            assert numbers(await read(consumer, 0.5)) == [(0, 3), (0, 4)]
        # Where to begin was committed before the first record: so nothing is passed over that came meanwhile.
        async with client.consumer(topic, group=GROUP, start=Offset.end()) as consumer:
            assert numbers(await read(consumer, 0.5)) == [(0, 3), (0, 4)]


async def test_stop_at_end(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=3)
        await produce(client, topic, 5, 3)
        async with client.consumer(topic, group=GROUP, stop_at_end=True, commit="auto") as consumer:
            records = [record async for record in consumer]
        assert len(records) == 15
        async with client.consumer(topic, group=GROUP, stop_at_end=True) as consumer:
            assert [record async for record in consumer] == []


async def test_auto_commits_what_the_next_read_has_passed(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await produce(client, topic, 5, 1)
        async with client.consumer(topic, group=GROUP, commit="auto") as consumer:
            assert (await consumer.receive(timeout=PATIENCE)).offset == 0
            assert (await consumer.receive(timeout=PATIENCE)).offset == 1
        async with client.consumer(topic, group=GROUP, commit="auto", auto_commit_interval=0.02) as consumer:
            assert (await consumer.receive(timeout=PATIENCE)).offset == 1
            assert (await consumer.receive(timeout=PATIENCE)).offset == 2
            deadline = time.monotonic() + PATIENCE
            while await consumer.committed() != {0: 1}:
                assert time.monotonic() < deadline
                await target.sleep(0.01)


def told(target: World, into: list[Any], name: str, then: Callable[[Any], Awaitable[None]] | None = None) -> Any:
    """A function to be told; a coroutine function where there can be one."""
    if target.is_sync:

        def plainly(partitions: tuple[int, ...]) -> None:
            into.append((name, partitions))
            if then is not None:
                with pytest.raises(StopIteration):
                    then(partitions).send(None)  # type: ignore[attr-defined]

        return plainly

    async def later(partitions: tuple[int, ...]) -> None:
        into.append((name, partitions))
        await target.sleep(0.001)
        if then is not None:
            await then(partitions)

    return later


async def test_who_is_told(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=2)
        await produce(client, topic, 3, 2)
        said: list[Any] = []

        async def commit(partitions: tuple[int, ...]) -> None:
            await one.commit()

        one = await client.consumer(
            topic,
            group=GROUP,
            on_assigned=told(target, said, "assigned"),
            on_revoked=told(target, said, "revoked", commit),
            on_lost=told(target, said, "lost"),
        )
        # Nothing is called but in the middle of a read.
        await target.sleep(0.5)
        assert said == []
        records = await read_until(shared(2, one), one)
        while len(records[0]) < 6:
            records[0] += await read(one)
        assert said == [("assigned", (0, 1))]
        said.clear()
        async with client.consumer(topic, group=GROUP) as two:
            both = await read_until(shared(2, one, two), one, two)
            [(what, gone)] = said
            assert (what, gone) == ("revoked", two.assignment)
            # What was committed before it went does not come again.
            assert both == [[], []]
            said.clear()
        assert await read_until(shared(2, one), one) == [[]]
        assert said == [("assigned", gone)]
        await one.close()
        assert len(said) == 1


async def test_what_a_function_raises_the_read_raises(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await produce(client, topic, 1, 1)

        def fails(partitions: tuple[int, ...]) -> None:
            raise RuntimeError(f"no room for {partitions}")

        async with client.consumer(topic, group=GROUP, on_assigned=fails) as consumer:
            with pytest.raises(RuntimeError, match=r"no room for \(0,\)"):
                await consumer.receive(timeout=PATIENCE)
            assert (await consumer.receive(timeout=PATIENCE)).offset == 0


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_a_function_whose_read_is_cancelled_is_called_again(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await produce(client, topic, 1, 1)
        calls = []

        async def slowly(partitions: tuple[int, ...]) -> None:
            calls.append(partitions)
            if len(calls) == 1:
                await target.sleep(PATIENCE)

        async with client.consumer(topic, group=GROUP, on_assigned=slowly) as consumer:
            with anyio.move_on_after(PATIENCE):
                while not calls:
                    with anyio.move_on_after(0.2):
                        await consumer.receive()
            assert (await consumer.receive(timeout=PATIENCE)).offset == 0
            assert calls == [(0,), (0,)]


async def test_a_read_in_such_a_function_is_a_second_one(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        failures: list[UsageError] = []

        async def again(partitions: tuple[int, ...]) -> None:
            try:
                await consumer.receive(timeout=0)
            except UsageError as error:
                failures.append(error)

        consumer = await client.consumer(topic, group=GROUP, on_assigned=told(target, [], "", again))
        await read_until(lambda: bool(failures), consumer)
        assert "being read already" in str(failures[0])
        await consumer.close()


async def test_commits_of_what_has_gone_are_fenced(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=2)
        lost: list[Any] = []
        one = await client.consumer(
            topic, group=GROUP, rebalance_timeout=0.2, on_lost=lambda partitions: lost.append(partitions)
        )
        await read_until(shared(2, one), one)
        await produce(client, topic, 3, 2)
        batches = one.batches(max_wait=0.5)
        batch = await batches.__anext__()
        assert set(batch.epochs) == {0, 1}
        # It does not come back for more, so the other one gets its share after the `rebalance_timeout`.
        async with client.consumer(topic, group=GROUP) as two:
            await read_until(lambda: len(two.assignment) == 1, two)
            (gone,) = two.assignment
            with pytest.raises(CommitFencedError, match=f"has given partition {gone} of") as fenced:
                await one.commit(batch)
            assert fenced.value.fenced == {gone: 2}
            assert fenced.value.topic == topic
            assert not fenced.value.retriable
            record = next(record for record in batch if record.partition == gone)
            with pytest.raises(CommitFencedError):
                await one.commit(record)
            with pytest.raises(CommitFencedError):
                await one.commit({gone: 2})
            stored = await two.committed()
            assert stored[1 - gone] == 2
            assert stored.get(gone, -1) == -1
            await read(one)
            assert lost == [(gone,)]
            assert client.metrics().commits_fenced >= 2
        # It comes back, and a commit of what was handed out before is still none of this owner.
        await read_until(shared(2, one), one)
        assert one.epoch(gone) > record.partition.epoch
        with pytest.raises(CommitFencedError):
            await one.commit(record)
        await one.close()


async def test_who_does_not_come_back_leaves(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await produce(client, topic, 3, 1)
        async with (
            client.consumer(topic, group=GROUP, processing_timeout=0.3) as slow,
            client.consumer(topic, group=GROUP) as other,
        ):
            (record,) = [await slow.receive(timeout=PATIENCE)]
            before = slow.member_id
            records: list[Record] = []
            while not records:
                records += await read(other)
            assert records[0].offset == 0
            with pytest.raises(CommitFencedError):
                await slow.commit(record)
            # It joins again when it reads.
            await read_until(lambda: slow.member_id is not None, slow, other)
            assert slow.member_id != before


async def test_an_instance_comes_back(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=2)
        await produce(client, topic, 4, 2)
        async with client.consumer(topic, group=GROUP) as other:
            old = await client.consumer(topic, group=GROUP, instance="one", session_timeout=1)
            await read_until(shared(2, other, old), other, old)
            mine = old.assignment
            await old.commit()
            await old.close()
            # It does not leave by closing: nobody else gets what it has.
            await read(other, 0.3)
            assert len(other.assignment) == 1
            new = await client.consumer(topic, group=GROUP, instance="one", session_timeout=1)
            await read_until(lambda: new.assignment == mine, new, other)
            assert len(other.assignment) == 1
            newest = await client.consumer(topic, group=GROUP, instance="one", session_timeout=1)
            with pytest.raises(MemberFencedError, match="one"):
                await read_until(lambda: False, new)
            with pytest.raises(MemberFencedError):
                await new.commit({mine[0]: 0})
            await new.close()
            await newest.close(leave=True)
            await read_until(shared(2, other), other)


async def test_an_epoch_rises(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        epochs = []
        for _ in range(3):
            async with client.consumer(topic, group=GROUP) as consumer:
                await read_until(shared(1, consumer), consumer)
                epochs.append(consumer.epoch(0))
        assert epochs == sorted(set(epochs))


async def test_added_partitions_are_shared_too(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.consumer(topic, group=GROUP) as consumer:
            await read_until(shared(1, consumer), consumer)
            await client.admin.topics.add_partitions(topic, 2)
            await produce(client, topic, 1, 3)
            records = await read_until(shared(3, consumer), consumer)
            while len(records[0]) < 3:
                records[0] += await read(consumer)
            assert numbers(records[0]) == [(0, 0), (1, 0), (2, 0)]


async def test_seek_pause_and_lag(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await produce(client, topic, 5, 1)
        async with client.consumer(topic, group=GROUP) as consumer:
            assert (await consumer.receive(timeout=PATIENCE)).offset == 0
            assert consumer.lag() == {0: 4}
            await consumer.seek(0, 3)
            assert (await consumer.receive(timeout=PATIENCE)).offset == 3
            consumer.pause()
            assert await read(consumer) == []
            consumer.resume()
            assert (await consumer.receive(timeout=PATIENCE)).offset == 4
            await consumer.commit({0: 1})
        async with client.consumer(topic, group=GROUP) as consumer:
            assert (await consumer.receive(timeout=PATIENCE)).offset == 2
            consumer.stop()
            with pytest.raises(ClosedError, match="stopped"):
                await consumer.receive(timeout=PATIENCE)


async def test_who_has_no_group(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.consumer(topic) as consumer:
            with pytest.raises(UsageError, match="opened without a group"):
                _ = consumer.member_id
            with pytest.raises(UsageError, match="opened without a group"):
                _ = consumer.generation
            with pytest.raises(UsageError, match="opened without a group"):
                consumer.epoch(0)
            with pytest.raises(UsageError, match="opened without a group"):
                await consumer.close(leave=True)


async def test_events_and_metrics(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        events = client.events()
        async with client.consumer(topic, group=GROUP) as consumer:
            await read_until(shared(1, consumer), consumer)
            while (event := await events.receive(timeout=PATIENCE)).kind != "joined":
                pass
            assert (event.topic, event.group) == (topic, GROUP)
            assert client.metrics().rebalances >= 1


def test_a_loop_needs_no_python_code_for_each_record(fluvio_endpoint: str) -> None:
    """As without a group: what passes between the library and the loop is an iterator of the interpreter's own."""
    with Fluvio.connect(fluvio_endpoint) as client:
        topic = f"loop-{uuid.uuid4().hex[:8]}"
        client.admin.topics.create(topic)
        with client.producer(topic) as producer:
            producer.send_all(b"%d" % number for number in range(100))
        with client.consumer(topic, group=GROUP, stop_at_end=True) as consumer:
            records = iter(consumer)
            assert type(records) is chain
            assert [record.offset for record in records] == [*range(100)]
