"""Administration of topics."""

from __future__ import annotations

import pytest
from conftest import World

from fluvio_cffi import (
    AlreadyExistsError,
    ConfigError,
    FluvioTimeoutError,
    InvalidTopicError,
    TopicNotFoundError,
    TopicSpec,
)


async def test_create_get_list_delete(world: World) -> None:
    async with world.connect() as client:
        topics = client.admin.topics
        name = f"admin-{world.backend}"
        topic = await topics.create(name, partitions=3, retention="7d")
        try:
            assert topic.name == name
            assert topic.spec.partitions == 3
            assert topic.spec.retention == 604800
            assert topic.spec.compression == "any"
            assert topic.status.resolution == "provisioned"
            assert sorted(topic.status.replica_map) == [0, 1, 2]
            assert await topics.get(name) == topic
            assert topic in await topics.list()
            assert await topics.list(name_contains=name) == [topic]
            assert await topics.list(name_contains="no such") == []
            assert topic not in await topics.list(system=True)
            with pytest.raises(AlreadyExistsError):
                await topics.create(name)
            same = await topics.create(name, TopicSpec(5), exist_ok=True)
            assert same.spec.partitions == 3
        finally:
            await topics.delete(name)
        with pytest.raises(TopicNotFoundError) as raised:
            await topics.get(name)
        assert name in str(raised.value)
        with pytest.raises(TopicNotFoundError):
            await topics.delete(name)
        await topics.delete(name, missing_ok=True)


async def test_a_dry_run_creates_nothing(world: World) -> None:
    async with world.connect() as client:
        await client.admin.topics.create("dry", dry_run=True)
        with pytest.raises(TopicNotFoundError):
            await client.admin.topics.get("dry")


async def test_bad_arguments(world: World) -> None:
    async with world.connect() as client:
        topics = client.admin.topics
        with pytest.raises(ConfigError, match="has all of that in it"):
            await topics.create("x", TopicSpec(), partitions=2)
        for name in ("", 5, None):
            with pytest.raises(ConfigError, match="name"):
                await topics.create(name)
        with pytest.raises(InvalidTopicError, match="not a valid name!"):
            await topics.create("not a valid name!")
        with pytest.raises(FluvioTimeoutError) as raised:
            await topics.create(f"too-late-{world.backend}", timeout=0)
        assert raised.value.phase == "admin"
        assert isinstance(await topics.list(), list)


async def test_a_create_without_time_creates_nothing(world: World) -> None:
    async with world.connect() as client:
        topics = client.admin.topics
        names = [f"no-time-{world.backend}-{number}" for number in range(10)]
        for name in names:
            with pytest.raises(FluvioTimeoutError):
                await topics.create(name, timeout=0)
        # What had been sent would be there before this one.
        last = await world.topic(client)
        there = {topic.name for topic in await topics.list()}
        assert last in there
        assert there.isdisjoint(names)
