"""Groups as administration sees them."""

from __future__ import annotations

import time
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import (
    FluvioTimeoutError,
    GroupNotEmptyError,
    GroupNotFoundError,
    Offset,
    OffsetOutOfRangeError,
    PartitionNotFoundError,
    ProducerRecord,
)

PATIENCE = 20.0
GROUP = "nightly"


async def worked(target: World, client: Any, partitions: int = 2, count: int = 5) -> str:
    """A topic, all of which a group has read and committed that has no members any more."""
    topic = await target.topic(client, partitions=partitions)
    async with client.producer(topic) as producer:
        for partition in range(partitions):
            await producer.send_all([ProducerRecord(b"%d" % number, partition=partition) for number in range(count)])
    async with client.consumer(topic, group=GROUP, stop_at_end=True) as consumer:
        assert len([record async for record in consumer]) == partitions * count
        await consumer.commit()
    return topic


async def test_get_and_list(target: World) -> None:
    async with target.connect(client_id="batch-job") as client:
        groups = client.admin.groups
        topic = await worked(target, client)
        with pytest.raises(GroupNotFoundError, match=r'group "other" on topic .* does not exist: list the groups'):
            await groups.get("other", topic)
        group = await groups.get(GROUP, topic)
        assert (group.group, group.topic, group.members) == (GROUP, topic, ())
        assert [(part.partition, part.owner, part.committed, part.end, part.lag) for part in group.partitions] == [
            (0, None, 4, 5, 0),
            (1, None, 4, 5, 0),
        ]
        async with client.consumer(topic, group=GROUP, session_timeout=3) as consumer:
            with pytest.raises(FluvioTimeoutError):
                await consumer.receive(timeout=0.5)
            group = await groups.get(GROUP, topic)
            [member] = group.members
            assert (member.id, member.client_id, member.partitions) == (consumer.member_id, "batch-job", (0, 1))
            assert (member.session_timeout, member.instance) == (3, None)
            assert 0 <= member.silent < PATIENCE
            assert [part.epoch for part in group.partitions] == [consumer.epoch(0), consumer.epoch(1)]
            assert group.generation == consumer.generation
        [summary] = await groups.list(topic)
        assert (summary.group, summary.topic, summary.members, summary.partitions) == (GROUP, topic, 0, 2)
        assert summary in await groups.list()
        assert await groups.list("nowhere") == []


async def test_reset(target: World) -> None:
    async with target.connect() as client:
        groups = client.admin.groups
        topic = await worked(target, client)
        before = await groups.get(GROUP, topic)
        group = await groups.reset(GROUP, topic, {1: Offset.at(3)})
        assert [part.committed for part in group.partitions] == [4, 2]
        assert group.generation > before.generation
        group = await groups.reset(GROUP, topic, Offset.beginning())
        assert [part.committed for part in group.partitions] == [-1, -1]
        with pytest.raises(OffsetOutOfRangeError, match="the offset to go on at is 6"):
            await groups.reset(GROUP, topic, 6)
        with pytest.raises(PartitionNotFoundError):
            await groups.reset(GROUP, topic, {2: 0})
        with pytest.raises(GroupNotFoundError):
            await groups.reset("other", topic, 0)
        async with client.consumer(topic, group=GROUP, stop_at_end=True) as consumer:
            assert len([record async for record in consumer]) == 10


async def test_only_groups_without_members_are_changed(target: World) -> None:
    async with target.connect() as client:
        groups = client.admin.groups
        topic = await worked(target, client)
        async with client.consumer(topic, group=GROUP, session_timeout=1) as consumer:
            with pytest.raises(GroupNotEmptyError, match=r"has members that are at work .*: stop them first"):
                await groups.reset(GROUP, topic, 0)
            with pytest.raises(GroupNotEmptyError):
                await groups.delete(GROUP, topic)
            assert consumer.member_id is not None
        await groups.delete(GROUP, topic)
        with pytest.raises(GroupNotFoundError):
            await groups.get(GROUP, topic)
        with pytest.raises(GroupNotFoundError):
            await groups.delete(GROUP, topic)
        await groups.delete(GROUP, topic, missing_ok=True)
        assert await groups.list(topic) == []
        # A group of that name begins anew.
        async with client.consumer(topic, group=GROUP, stop_at_end=True) as consumer:
            assert len([record async for record in consumer]) == 10


async def test_a_silent_member_is_put_out(target: World) -> None:
    async with target.connect() as client:
        topic = await worked(target, client)
        consumer = await client.consumer(topic, group=GROUP, instance="gone", session_timeout=1)
        await consumer.close()  # with an instance it stays in the group
        assert len((await client.admin.groups.get(GROUP, topic)).members) == 1
        begun = time.monotonic()
        group = await client.admin.groups.reset(GROUP, topic, 2)
        assert group.members == ()
        assert [part.committed for part in group.partitions] == [1, 1]
        assert time.monotonic() - begun < PATIENCE


async def test_watch(target: World) -> None:
    async with target.connect() as client:
        topic = await worked(target, client)
        async with client.admin.groups.watch(GROUP, topic) as changes:
            first = await changes.receive(timeout=PATIENCE)
            assert first.kind == "snapshot"
            assert first.items[0].members == ()
            async with client.consumer(topic, group=GROUP):
                while not (await changes.receive(timeout=PATIENCE)).items[0].members:
                    pass
            while (await changes.receive(timeout=PATIENCE)).items[0].members:
                pass
        # One that is still to come is empty.
        async with client.admin.groups.watch("other", topic) as changes:
            assert (await changes.receive(timeout=PATIENCE)).items[0].partitions == ()
