"""Watches: a snapshot, then every change; across cancelled reads, lost connections, and the SC going and coming."""

from __future__ import annotations

import gc
import pickle
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from campaign import together
from conftest import World
from insides import control
from laws import nothing_left
from seen import Seen

from fluvio_cffi import (
    ClosedError,
    ConfigError,
    FluvioTimeoutError,
    LocalCluster,
    SpuGroupSpec,
    TableFormatSpec,
    UsageError,
)

WASM = b"\0asm\1\0\0\0"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """What these tests make is seen by no others."""
    with LocalCluster() as running:
        yield running


async def test_a_snapshot_and_then_what_changes(world: World) -> None:
    async with world.connect() as client:
        topics, name = client.admin.topics, f"watched-{world.backend}"
        await topics.create(f"{name}-before")
        async with topics.watch() as changes:
            assert "topics" in repr(changes) and not changes.closed
            first = await changes.receive(timeout=5)
            assert first.kind == "snapshot"
            assert {f"{name}-before", "consumer-offset"} <= {item.name for item in first.items}
            assert await topics.get(f"{name}-before") in first.items
            seen = Seen(changes)
            seen.add(first)
            created = await topics.create(name)
            await seen.until(lambda seen: seen.objects.get(name) == created)
            await topics.delete(name)
            await seen.until(lambda seen: name in seen.deleted)
            assert seen.snapshots == 1
            with pytest.raises(FluvioTimeoutError) as raised:
                while True:
                    await changes.receive(timeout=0)
            assert raised.value.phase == "read"
        assert changes.closed
        await topics.delete(f"{name}-before")


async def test_without_a_block(world: World) -> None:
    async with world.connect() as client:
        watch = client.admin.topics.watch()
        async for change in watch:
            assert change.kind == "snapshot"
            break
        created = await world.topic(client)
        async for change in watch:
            if any(item.name == created for item in change.items):
                break
        await watch.close()
        await watch.aclose()
        assert [change async for change in watch] == []
        with pytest.raises(ClosedError):
            await watch.receive()
        with pytest.raises(ClosedError):
            async with watch:
                pass
        never_opened = client.admin.topics.watch()
        await never_opened.close()
        assert never_opened.closed


async def test_each_kind_is_watched(world: World) -> None:
    async with world.connect() as client:
        admin, name = client.admin, f"kind-{world.backend}"

        async def makes(kind: Any, create: Any, *others: Any) -> None:
            async with kind.watch() as changes:
                seen = Seen(changes)
                await seen.until(lambda seen: seen.snapshots)
                created = await create()
                await seen.until(lambda seen: name in seen.objects)
                assert seen.objects[name].spec == created.spec
                await kind.delete(name)
                await seen.until(lambda seen: name in seen.deleted)

        await makes(admin.spu_groups, lambda: admin.spu_groups.create(name, SpuGroupSpec(2)))
        await makes(admin.table_formats, lambda: admin.table_formats.create(name, TableFormatSpec()))
        await makes(admin.smartmodules, lambda: admin.smartmodules.create(name, wasm=WASM))
        for unwatched in (admin.custom_spus, admin.mirrors, admin.consumer_offsets):
            assert not hasattr(getattr(unwatched, "target", unwatched), "watch")


async def test_partitions_spus_and_the_cluster(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            await client.admin.topics.create("moves")
            async with (
                client.admin.partitions.watch() as partitions,
                client.admin.spus.watch() as spus,
                client.admin.cluster.watch() as whole,
            ):
                first = await partitions.receive(timeout=5)
                assert {(item.topic, item.partition) for item in first.items} == {("consumer-offset", 0), ("moves", 0)}
                assert [spu.status.resolution for spu in (await spus.receive(timeout=5)).items] == ["online"]
                (status,) = (await whole.receive(timeout=5)).items
                assert (status.spus_online, status.topics, status.offline_partitions) == (1, 2, ())
                async with client.producer("moves") as producer:
                    await producer.send(b"on")

                async def told(watch: Any, true: Any) -> None:
                    deadline = time.monotonic() + 10
                    while True:
                        change = await watch.receive(timeout=max(0.0, deadline - time.monotonic()))
                        if any(true(item) for item in change.items):
                            return

                await told(
                    partitions,
                    lambda item: item.topic == "moves" and item.status.leader and item.status.leader.log_end == 1,
                )
                cluster.kill_spu(5001)
                await told(spus, lambda spu: spu.status.resolution == "offline")
                await told(whole, lambda status: status.spus_online == 0 and len(status.offline_partitions) == 2)
                cluster.start_spu(5001)
                await told(spus, lambda spu: spu.status.resolution == "online")
                await told(whole, lambda status: status.spus_online == 1 and not status.offline_partitions)


async def test_a_read_that_ends_early_takes_nothing(world: World) -> None:
    async with world.connect() as client, client.admin.topics.watch() as changes:
        seen = Seen(changes)
        made: list[str] = []
        for number in range(8):
            made.append(await world.topic(client))
            for wait in (0, 0.001, 0.01, 0.03):
                try:
                    if world.is_sync or number % 2:
                        seen.add(await changes.receive(timeout=wait))
                    else:
                        with anyio.move_on_after(wait):
                            seen.add(await changes.receive())
                except FluvioTimeoutError:
                    continue
        await seen.until(lambda seen: set(made) <= seen.objects.keys())
        assert seen.snapshots == 1


async def test_one_reads_at_a_time(world: World) -> None:
    async with world.connect() as client, client.admin.topics.watch() as changes:
        await changes.receive(timeout=5)
        ended: list[str] = []

        async def read() -> None:
            while True:
                try:
                    await changes.receive(timeout=20)
                except ClosedError:
                    break
                except UsageError:
                    # The other one was quicker.
                    await world.sleep(0.001)
            ended.append("read")

        async def disturb() -> None:
            deadline = time.monotonic() + 5
            while True:
                try:
                    await changes.receive(timeout=0)
                except FluvioTimeoutError:
                    assert time.monotonic() < deadline
                    await world.sleep(0.01)
                except UsageError:
                    break
            await changes.close()
            ended.append("closed")

        await together(world, read, disturb)
        assert sorted(ended) == ["closed", "read"]


async def test_a_watch_ends_with_its_client(world: World) -> None:
    client = await world.connect()
    changes = client.admin.topics.watch()
    await changes.receive(timeout=5)

    async def read() -> None:
        start = time.monotonic()
        assert all([change.kind == "updated" async for change in changes])
        assert time.monotonic() - start < 10

    async def close() -> None:
        await world.sleep(0.05)
        await client.close()

    await together(world, read, close)
    assert changes.closed
    with pytest.raises(ClosedError):
        await client.admin.topics.watch().receive()


async def test_bad_uses(world: World) -> None:
    async with world.connect() as client, client.admin.topics.watch() as changes:
        with pytest.raises(ConfigError, match="timeout"):
            await changes.receive(timeout="soon")
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(getattr(changes, "target", changes))


async def test_the_connection_is_lost(world: World) -> None:
    """A fresh snapshot, which also has what happened meanwhile."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client, client.admin.topics.watch() as changes:
            seen = Seen(changes)
            await seen.until(lambda seen: seen.snapshots == 1)
            for snapshots, hit in enumerate(("sc reset", "sc kill"), 2):
                await client.admin.topics.create(f"gone-{snapshots}")
                await seen.until(lambda seen, name=f"gone-{snapshots}": name in seen.objects)
                control(cluster, hit)
                if hit == "sc kill":
                    with pytest.raises(FluvioTimeoutError):
                        while True:
                            seen.add(await changes.receive(timeout=0.3))
                    control(cluster, "sc start")
                await seen.until(lambda seen, snapshots=snapshots: seen.snapshots >= snapshots)
                assert f"gone-{snapshots}" in seen.objects
                await client.admin.topics.delete(f"gone-{snapshots}")
                await seen.until(lambda seen, name=f"gone-{snapshots}": name in seen.deleted)


async def test_the_cluster_is_killed_and_started_again(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client, client.admin.topics.watch() as changes:
            seen = Seen(changes)
            await client.admin.topics.create("stays")
            await seen.until(lambda seen: "stays" in seen.objects)
            cluster.kill()
            cluster.start()
            await seen.until(lambda seen: seen.snapshots == 2)
            assert "stays" in seen.objects
            await client.admin.topics.create("new", timeout=10)
            await seen.until(lambda seen: "new" in seen.objects)


async def test_what_is_not_read_does_not_pile_up(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client, client.admin.table_formats.watch() as changes:
            await changes.receive(timeout=5)
            for number in range(350):
                await client.admin.table_formats.create(f"t{number}")
            for number in range(300):
                await client.admin.table_formats.delete(f"t{number}")
            for number in range(350, 800):
                await client.admin.table_formats.create(f"t{number}")
            seen = Seen(changes)
            await seen.until(lambda seen: seen.objects.keys() == {f"t{number}" for number in range(300, 800)})
            assert seen.snapshots >= 1


async def test_a_forgotten_watch_leaves_nothing(world: World) -> None:
    async with world.connect() as client:
        async for _ in client.admin.topics.watch():
            break
        gc.collect()
        with nothing_left():
            async for _ in client.admin.topics.watch():
                break
            watch = client.admin.topics.watch()
            await watch.receive(timeout=5)
            await watch.close()
            del watch, _
