"""SmartModules on consumers while SPUs go and come back: each record once, in order, with its place in the log."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import World, plain, run
from laws import LONG, has_long_form, long_only
from smartmodule_support import MODULES, Place, contains, fill, module, passing, places, read

from fluvio_cffi import (
    Fluvio,
    LocalCluster,
    Offset,
    Record,
    SmartModule,
    SmartModuleError,
    SmartModuleKind,
    SmartModuleNotFoundError,
    SmartModulePackage,
    SmartModuleSpec,
)

pytestmark = pytest.mark.timeout(1800 if LONG else 120)

# -- one in a thousand

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
ONE_IN = 1000
COUNT = 100_000 if LONG else 2_200
KILLS = 20 if LONG else 2
Log = tuple[LocalCluster, str, list[Place]]


@pytest.fixture(scope="module")
def own() -> Iterator[LocalCluster]:
    """A cluster whose SPU may be killed."""
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module", params=[(codec, batch) for codec in CODECS for batch in (1, 1000)], ids=str)
def log(own: LocalCluster, request: pytest.FixtureRequest) -> Log:
    """A log of many segments, in batches of one record or of a thousand, and what passes of a plain reading."""
    codec, batch = request.param
    topic = f"{codec}-{batch}"
    with Fluvio.connect(own.endpoint) as client:
        client.admin.topics.create(topic, segment_size="64KiB")
        lines = [f"{number:06}{'x' if number % ONE_IN == 777 else '.'}" for number in range(COUNT)]
        if batch == 1:
            with client.producer(topic, batch_size=1, compression=codec) as producer:
                producer.send_all(lines)
        else:
            run("sync", lambda: fill(plain(client), topic, lines, batch, compression=codec))
        with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            whole = list(consumer)
    assert len(whole) == COUNT
    return own, topic, passing(whole, b"x")


@has_long_form
@pytest.mark.backends("asyncio", "trio", "sync")
async def test_one_in_a_thousand(backend: str, log: Log) -> None:
    cluster, topic, expected = log
    async with World(backend, cluster).connect() as client:
        for start in (0, 777, 778, COUNT * 5 // 8):
            passed = [place for place in expected if place[0] >= start]
            assert places(await read(client, topic, contains("x"), start=start)) == passed


@has_long_form
@pytest.mark.backends("asyncio", "trio", "sync")
async def test_one_in_a_thousand_while_the_spu_is_killed(backend: str, log: Log) -> None:
    cluster, topic, expected = log
    expected = [place for place in expected if place[0] >= 500]
    got: list[Record] = []
    killed = 0
    async with (
        World(backend, cluster).connect() as client,
        client.consumer(topic, start=Offset.at(500), stop_at_end=True, smartmodules=contains("x")) as consumer,
    ):
        async for record in consumer:
            got.append(record)
            if len(got) % max(1, len(expected) // KILLS) == 1 or KILLS == 2:
                cluster.kill_spu(5001)
                cluster.start_spu(5001)
                killed += 1
    assert places(got) == expected
    assert killed >= KILLS


# -- what is left, and what goes on


@has_long_form
@long_only
@pytest.mark.backends("asyncio")
async def test_streams_leave_nothing(world: World) -> None:
    with LocalCluster() as cluster:

        def resident(process: int) -> int:
            return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096

        async def open_and_close(client: Any, topic: str, count: int) -> tuple[int, int]:
            for _ in range(count):
                assert len(await read(client, topic, contains("x"), module("upper"))) == 1
            assert cluster.pid is not None
            return resident(os.getpid()), resident(cluster.pid)

        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            await fill(client, topic, ["x", "y"], 2)
            before = await open_and_close(client, topic, 200)
            after = await open_and_close(client, topic, 1000)
            print(
                "1,000 streams grew client and cluster by",
                [(b - a) >> 10 for a, b in zip(before, after, strict=True)],
                "KiB",
            )
            assert all(b - a < 8 << 20 for a, b in zip(before, after, strict=True))


@pytest.mark.backends("asyncio")
async def test_an_aggregate_goes_on_from_its_last_value(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with (
                client.consumer(topic, start=Offset.beginning(), smartmodules=module("sum")) as consumer,
                client.producer(topic) as producer,
            ):
                for number in range(5):
                    await producer.send(str(number))
                    assert (await consumer.receive(10)).value == str(sum(range(number + 1))).encode()
                    cluster.kill_spu(5001)
                    cluster.start_spu(5001)


@pytest.mark.backends("asyncio")
async def test_an_aggregate_that_cannot_go_on_raises(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            chain = (module("sum"), module("upper"))
            async with (
                client.consumer(topic, start=Offset.beginning(), smartmodules=chain) as consumer,
                client.producer(topic) as producer,
            ):
                await producer.send("1")
                assert (await consumer.receive(10)).value == b"1"
                cluster.kill_spu(5001)
                cluster.start_spu(5001)
                with pytest.raises(SmartModuleError, match="cannot go on"):
                    await consumer.receive(20)
                await consumer.seek(0, 0)
                assert (await consumer.receive(10)).value == b"1"


@pytest.mark.parametrize("name", ["total", "g/total", "g/total@1.1.0", "plain", "any/plain", "any/plain@7.0.0"])
@pytest.mark.backends("asyncio", "sync")
async def test_a_stored_aggregate_is_known_as_one(world: World, name: str) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            modules = client.admin.smartmodules
            await modules.create("plain", path=MODULES / "sum.wasm")
            # SPUs take the lowest version where none is named.
            for version, code in (("1.2.0", "upper"), ("1.0.0", "sum"), ("1.1.0", "sum")):
                package = SmartModulePackage(name="total", group="g", version=version, api_version="0.1.0")
                await modules.create(spec=SmartModuleSpec(package=package), path=MODULES / f"{code}.wasm")
            async with (
                client.consumer(topic, start=Offset.beginning(), smartmodules=name) as consumer,
                client.producer(topic) as producer,
            ):
                for number, total in ((1, b"1"), (2, b"3")):
                    await producer.send(str(number))
                    assert (await consumer.receive(10)).value == total
                    cluster.kill_spu(5001)
                    cluster.start_spu(5001)


async def test_a_stored_module_that_may_be_an_aggregate_does_not_begin_anew(world: World) -> None:
    """It was not there when reading began, so nobody has seen its code."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            kinds: list[tuple[SmartModuleKind | None, bool]] = [(None, False), ("filter", True), ("aggregate", True)]
            for number, (kind, goes_on) in enumerate(kinds):
                topic, name = await world.topic(client), f"late{number}"
                await fill(client, topic, ["1"], 1)
                late = SmartModule(name, kind=kind)
                code = "pass" if kind == "filter" else "sum"
                async with client.consumer(topic, start=Offset.beginning(), smartmodules=late) as consumer:
                    with pytest.raises(SmartModuleNotFoundError):
                        await consumer.receive(10)
                    await client.admin.smartmodules.create(name, path=MODULES / f"{code}.wasm")
                    await consumer.seek(0, 0)
                    assert (await consumer.receive(10)).text == "1"
                    cluster.kill_spu(5001)
                    cluster.start_spu(5001)
                    await fill(client, topic, ["2"], 1)
                    if goes_on:
                        assert (await consumer.receive(20)).text == ("2" if kind == "filter" else "3")
                        continue
                    with pytest.raises(SmartModuleError, match=r"may be an aggregate.* give its kind") as caught:
                        await consumer.receive(20)
                    assert (caught.value.partition, caught.value.offset) == (0, 1)
                    await consumer.seek(0, 1)
                    assert (await consumer.receive(10)).text == "2"
