"""What a server does with SmartModules, through the client, on the embedded cluster and with ``--fluvio-endpoint`` on
any other: what is behind the high watermark, lookback, names, restarts, topics that drop what they have already. The
other checks are in the test_smartmodule files beside this one."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from conftest import World
from smartmodule_support import MODULES, contains, fill, module, read

from fluvio_cffi import (
    AlreadyExistsError,
    Deduplication,
    FluvioTimeoutError,
    LocalCluster,
    Lookback,
    Offset,
    RecordTooLargeError,
    SmartModule,
    SmartModuleError,
    SmartModuleNotFoundError,
    SmartModulePackage,
    SmartModuleSpec,
)

pytestmark = [pytest.mark.timeout(120), pytest.mark.backends("asyncio", "sync")]

# -- 16: what is not replicated


async def test_nothing_behind_the_high_watermark_is_run(world: World) -> None:
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, replication=2)
            async with client.producer(topic, isolation="read_committed") as producer:
                for value in ("x0", "-", "x2", "9"):
                    await producer.send(value)
            leader = (await client.admin.partitions.get(topic, 0)).spec.leader
            cluster.kill_spu(10_003 - leader)
            async with client.producer(topic) as producer:
                for value in ("x4", "-", "x6"):
                    await producer.send(value)
            for chain, committed, all_of_it in (
                ([contains("x")], [0, 2], [0, 2, 4, 6]),
                ([module("pass")], [0, 1, 2, 3], [*range(7)]),
            ):
                for isolation, expected in (("read_committed", committed), ("read_uncommitted", all_of_it)):
                    async with client.consumer(
                        topic, start=Offset.beginning(), isolation=isolation, smartmodules=chain
                    ) as consumer:
                        got = [(await consumer.receive(10)).offset for _ in expected]
                        assert got == expected
                        with pytest.raises(FluvioTimeoutError):
                            await consumer.receive(0.1)
            # Lookback ends there for both.
            for isolation in ("read_committed", "read_uncommitted"):
                assert await told(client, topic, Lookback(last=2), isolation=isolation) == ["x2", "9"]


# -- 17 and 18: lookback


async def told(client: Any, topic: str, lookback: Any, **keywords: Any) -> list[str] | None:
    """The values that a module is shown before the first record; `None`: it is not asked to look back."""
    describes = module("describe", lookback=lookback)
    async with client.consumer(topic, start=Offset.beginning(), smartmodules=describes, **keywords) as consumer:
        text = (await consumer.receive(10)).text
    back = re.search(r" back\(base=0 time=0 n=\d+:(.*?)\)", text)
    return None if back is None else re.findall(r"=([^ ]*)", back[1])


async def test_lookback_by_count_sees_one_segment(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, segment_size="4KiB")
        # Four a segment, and two in the last one.
        await fill(client, topic, [f"{number}".ljust(900) for number in range(10)], 1)
        assert await told(client, topic, None) is None
        seen = {last: await told(client, topic, last) for last in (0, 1, 2, 3, 4, 6, 10, 99, (1 << 63) - 1)}
        numbers = {last: None if values is None else [int(value) for value in values] for last, values in seen.items()}
        whole = [0, 1, 2, 3]
        assert numbers == {
            0: [],
            1: [9],
            2: [8, 9],
            3: [7],
            4: [6, 7],
            6: [4, 5, 6, 7],
            10: whole,
            99: whole,
            (1 << 63) - 1: whole,
        }


async def test_lookback_says_what_it_cannot(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["4", "text"], 2)
        # The module refuses a text.
        with pytest.raises(SmartModuleError, match="not a number") as caught:
            await read(client, topic, module("max_seen", lookback=1))
        assert (caught.value.offset, caught.value.value) == (0, None)
        # A module that has none is not asked.
        assert len(await read(client, topic, module("pass", lookback=1))) == 2


@pytest.mark.backends("sync")
async def test_lookback_by_age(target: World) -> None:
    young = 4.0
    async with target.connect() as client:
        batches = {"old": ["1", "2"], "both": ["1", "2"], "lone": ["1"], "young": []}
        topics = {name: await target.topic(client) for name in batches}
        for name, values in batches.items():
            if values:
                await fill(client, topics[name], values, 2)
        await target.sleep(young + 0.2)
        begun = time.monotonic()
        await fill(client, topics["both"], ["3", "4", "5"], 3)
        await fill(client, topics["young"], ["6", "7"], 2)
        seen = {
            name: await told(client, topic, Lookback(age=young)) for name, topic in topics.items() if name != "lone"
        }
        newest = {name: await told(client, topic, Lookback(last=1, age=young)) for name, topic in topics.items()}
        of_all = await told(client, topics["both"], Lookback(last=99, age=young))
        if time.monotonic() - begun > young - 0.5:
            pytest.fail("the machine was too slow: what was young is old")
        assert seen == {"old": [], "both": ["3", "4", "5"], "young": ["6", "7"]}
        assert newest == {"old": [], "both": ["5"], "lone": [], "young": ["7"]}
        assert of_all == ["3", "4", "5"]
        assert await told(client, topics["both"], "1h") == ["1", "2", "3", "4", "5"]


async def test_lookback_by_age_misses_what_is_alone_in_its_batch(target: World) -> None:
    """As docs/smartmodules.md warns."""
    async with target.connect() as client:
        alone, pair, six = [await target.topic(client) for _ in range(3)]
        await fill(client, alone, ["1"], 1)
        with pytest.raises(SmartModuleError, match="Offset -1 is evicted"):
            await told(client, alone, "1h")
        await fill(client, pair, ["1", "2", "3"], 3)
        await fill(client, pair, ["4"], 1)
        assert await told(client, pair, "1h") == ["1", "2", "3"]
        await fill(client, six, [*"123456"], 1)
        assert await told(client, six, "1h") == ["1", "3", "5"]
        assert await told(client, six, Lookback(last=2, age="1h")) == ["5", "6"]


# -- 19: names


async def test_names_of_packages(target: World) -> None:
    async with target.connect() as client:
        topic, name, plain = await target.topic(client), f"p{time.time_ns()}", f"q{time.time_ns()}"
        await fill(client, topic, ["2"], 1)
        modules = client.admin.smartmodules
        await modules.create(plain, path=MODULES / "upper.wasm")
        for version, code in (("1.2.0", "even_half"), ("1.0.0", "pass")):
            package = SmartModulePackage(name=name, group="g", version=version, api_version="0.1.0")
            await modules.create(spec=SmartModuleSpec(package=package), path=MODULES / f"{code}.wasm")

        async def through(called: str) -> str:
            return (await read(client, topic, SmartModule(called)))[0].text

        lowest, newest = "2", "1"
        for called, expected in {
            name: lowest,
            f"g/{name}": lowest,
            f"g/{name}@1.0.0": lowest,
            f"g/{name}@1.2.0": newest,
            f"g/{name}@v1.2.0": newest,
            plain: lowest,
            f"any/{plain}": lowest,
            f"any/{plain}@7.0.0": lowest,
        }.items():
            assert await through(called) == expected, called
        for unknown in (f"g/{name}@2.0.0", f"h/{name}", f"{name}-g-1.0.0", "a/b/c"):
            with pytest.raises(SmartModuleNotFoundError):
                await through(unknown)
        for wrong in (f"g/{name}@x", f"g/{name}@^1.0"):
            with pytest.raises(SmartModuleError, match="error parsing SmartModule name"):
                await through(wrong)


async def test_a_running_stream_keeps_its_code(target: World) -> None:
    async with target.connect() as client:
        topic, name = await target.topic(client), f"m{time.time_ns()}"
        modules = client.admin.smartmodules
        await modules.create(name, path=MODULES / "upper.wasm")
        with pytest.raises(AlreadyExistsError):
            await modules.create(name, path=MODULES / "pass.wasm")
        async with (
            client.consumer(topic, start=Offset.beginning(), smartmodules=name) as consumer,
            client.producer(topic) as producer,
        ):
            await producer.send("a")
            assert (await consumer.receive(10)).text == "A"
            await modules.delete(name)
            await producer.send("b")
            assert (await consumer.receive(10)).text == "B"
            await modules.create(name, path=MODULES / "pass.wasm")
            await producer.send("c")
            assert (await consumer.receive(10)).text == "C"
        deadline = time.monotonic() + 10
        while [record.text for record in await read(client, topic, SmartModule(name))] != ["a", "b", "c"]:
            assert time.monotonic() < deadline
            await target.sleep(0.05)


async def test_a_module_is_found_as_soon_as_it_is_there(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["a"], 1)
        for number in range(3):
            name = f"n{number}-{time.time_ns()}"
            await client.admin.smartmodules.create(name, path=MODULES / "upper.wasm")
            assert [record.text for record in await read(client, topic, SmartModule(name))] == ["A"]


# -- 20 and 21: producers


async def test_producers_look_back_and_chain(target: World) -> None:
    async with target.connect() as client:
        topic, name = await target.topic(client), f"upper-{time.time_ns()}"
        await fill(client, topic, ["5", "9"], 2)
        async with client.producer(topic, smartmodules=module("max_seen", lookback=9), linger=60) as producer:
            for value in ("7", "10", "3", "12"):
                await producer.enqueue(value)
            await producer.flush()
        await client.admin.smartmodules.create(name, path=MODULES / "upper.wasm")
        async with client.producer(topic, smartmodules=[contains("x"), name]) as producer:
            assert [each.offset for each in await producer.send_all(["ax", "b"])] == [None, None]
        whole = await read(client, topic)
        assert [record.text for record in whole] == ["5", "9", "10", "12", "AX"]
        assert [record.timestamp is None for record in whole] == [False, False, True, True, True]
        offsets = [record.offset for record in whole]
        assert offsets == sorted(set(offsets)) and offsets[-1] == 6


async def test_what_modules_make_too_large_is_not_written(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, segment_size="1MiB")
        async with client.producer(topic, smartmodules=module("huge", params={"times": "2000"})) as producer:
            with pytest.raises(RecordTooLargeError) as caught:
                await producer.send("x" * 1000)
            assert (caught.value.code, caught.value.outcome) == (10, "not_written")
        assert await read(client, topic) == []


async def test_a_codec_that_the_topic_refuses_is_told_after_the_modules(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, compression="gzip")
        async with client.producer(topic, smartmodules=module("pass"), compression="gzip") as producer:
            assert (await producer.send("kept")).offset is None
        assert [record.text for record in await read(client, topic)] == ["kept"]


# -- 22: what producers' modules have stored


async def test_a_log_with_holes_and_shared_offsets_is_read_as_it_is_stored(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic, smartmodules=contains("x"), linger=60) as producer:
            for value in ("a", "x1", "b", "x3", "c"):
                await producer.enqueue(value)
            await producer.flush()
        async with client.producer(topic, smartmodules=module("split"), linger=60) as producer:
            for value in ("[1,2,3]", "[4]"):
                await producer.enqueue(value)
            await producer.flush()
        whole = [(record.offset, record.text) for record in await read(client, topic)]
        assert whole == [(1, "x1"), (3, "x3"), (5, "1"), (5, "2"), (5, "3"), (5, "4")]
        # The same again through a module: offset and order stay.
        again = [(record.offset, record.text) for record in await read(client, topic, module("upper"))]
        assert again == [(offset, text.upper()) for offset, text in whole]


# -- 23: topics that drop what they have already


async def distinct(target: World, client: Any, spec: SmartModuleSpec | None = None, **bounds: Any) -> str:
    name = f"distinct-{time.time_ns()}"
    await client.admin.smartmodules.create(name, path=MODULES / "distinct.wasm")
    return await target.topic(client, deduplication=Deduplication(smartmodule=name, **bounds))


async def test_deduplication_wants_a_module_that_is_there(target: World) -> None:
    async with target.connect() as client:
        with pytest.raises(SmartModuleError, match="not loaded") as caught:
            await target.topic(client, deduplication=Deduplication(smartmodule="no-such", count=3))
        assert caught.value.code == 10000
        name = f"d{time.time_ns()}"
        package = SmartModulePackage(name=name, group="g", version="1.0.0", api_version="0.1.0")
        await client.admin.smartmodules.create(spec=SmartModuleSpec(package=package), path=MODULES / "distinct.wasm")
        with pytest.raises(SmartModuleError, match="not loaded"):
            await target.topic(client, deduplication=Deduplication(smartmodule=name, count=3))
        topic = await target.topic(client, deduplication=Deduplication(smartmodule=f"g/{name}@1.0.0", count=3))
        async with client.producer(topic) as producer:
            await producer.send_all(["a", "a"])
        assert [record.text for record in await read(client, topic)] == ["a"]


async def test_the_window_of_a_deduplicated_topic(target: World) -> None:
    async with target.connect() as client:
        topic = await distinct(target, client, count=4)
        async with client.producer(topic) as producer:
            for value in ("a", "b", "a", "a", "b", *"cdef", "a"):
                assert (await producer.send(value)).offset is None
        whole = await read(client, topic)
        assert [record.text for record in whole] == [*"abcdef", "a"]
        assert all(record.timestamp is None for record in whole)


async def test_what_is_sent_again_after_it_was_too_large_is_dropped(target: World) -> None:
    """The filter has remembered it. docs/smartmodules.md warns of that."""
    async with target.connect() as client:
        name = f"distinct-{time.time_ns()}"
        await client.admin.smartmodules.create(name, path=MODULES / "distinct.wasm")
        topic = await target.topic(client, segment_size="64KiB", deduplication=Deduplication(smartmodule=name, count=9))
        async with client.producer(topic, max_request_size="2MiB") as producer:
            with pytest.raises(RecordTooLargeError):
                await producer.send("a" * 100_000, key="k")
            await producer.send("a", key="k")
            await producer.send("b", key="other")
        assert [record.text for record in await read(client, topic)] == ["b"]


@pytest.mark.parametrize(("bounds", "kept"), [({"count": 3}, ["c", "d"]), ({"count": 3, "age": "1h"}, [])])
async def test_what_a_deduplicated_topic_knows_after_a_restart(
    world: World, bounds: dict[str, Any], kept: list[str]
) -> None:
    """The window is read from the log, by offsets and not by records; what the filter has passed has no time."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await distinct(world, client, **bounds)
            async with client.producer(topic, linger=60) as producer:
                for value in ("a", "b", "c", "b", "d"):
                    await producer.enqueue(value)
                await producer.flush()
            cluster.kill_spu(5001)
            cluster.start_spu(5001)
            async with client.producer(topic) as producer:
                for value in ("d", "c", "a"):
                    await producer.send(value)
            first = [record.text for record in await read(client, topic)][4:]
            assert first == [value for value in ("d", "c", "a") if value not in kept]


async def test_a_filter_that_refuses_its_parameters_is_told_of(target: World) -> None:
    """The server creates the topic, and serves it nowhere."""
    async with target.connect() as client:
        name = f"distinct-{time.time_ns()}"
        await client.admin.smartmodules.create(name, path=MODULES / "distinct.wasm")
        topic = f"refused-{time.time_ns()}"
        # It takes at most 4096.
        deduplication = Deduplication(smartmodule=name, count=9999)
        await client.admin.topics.create(topic, deduplication=deduplication, wait_ready=False)
        async with client.producer(topic, delivery_timeout=2) as producer:
            with pytest.raises(FluvioTimeoutError, match="SmartModule is missing or refuses"):
                await producer.send("a")


# -- 24: restarts


async def test_state_begins_anew_and_nothing_is_lost_or_doubled(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            chains = {
                "filter": [contains("x")],
                "stateful": [module("counter")],
                "aggregate": [module("sum")],
            }
            got: dict[str, list[Any]] = {}
            numbers = [str(number) for number in range(1, 6)]
            for name, chain in chains.items():
                topic = await world.topic(client)
                values = [f"x{number}" for number in numbers] if name == "filter" else numbers
                async with (
                    client.consumer(topic, start=Offset.beginning(), smartmodules=chain) as consumer,
                    client.producer(topic) as producer,
                ):
                    for value in values:
                        await producer.send(value)
                        got.setdefault(name, []).append(await consumer.receive(20))
                        cluster.kill_spu(5001)
                        cluster.start_spu(5001)
                assert [record.offset for record in got[name]] == [0, 1, 2, 3, 4]
            assert [record.text for record in got["filter"]] == ["x1", "x2", "x3", "x4", "x5"]
            # Each call is the first of its stream.
            assert [record.text for record in got["stateful"]] == [f"1.1:{number}" for number in numbers]
            assert [record.text for record in got["aggregate"]] == ["1", "3", "6", "10", "15"]
