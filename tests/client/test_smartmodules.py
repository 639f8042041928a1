"""SmartModules on consumers: what is read through them, with its place and time in the log."""

from __future__ import annotations

import json
import time
from typing import Any

import anyio
import pytest
from conftest import World
from smartmodule_support import MODULES, contains, fill, module, passing, places, read

from fluvio_cffi import (
    FluvioTimeoutError,
    Lookback,
    Offset,
    Record,
    SmartModule,
    SmartModuleError,
    SmartModuleNotFoundError,
    SmartModulePackage,
    SmartModuleSpec,
)

pytestmark = pytest.mark.timeout(120)


def values(records: list[Record]) -> list[bytes]:
    return [record.value for record in records]


# -- places and times


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("batch", [1, 100])
@pytest.mark.backends("asyncio", "sync")
async def test_a_filter_gives_each_record_with_its_place_in_the_log(target: World, codec: str, batch: int) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        count = 30 if batch == 1 else 1000
        numbers = [f"{number}{'x' if number % 11 == 0 else 'y'}" for number in range(count)]
        await fill(client, topic, numbers, batch, compression=codec)
        whole = await read(client, topic)
        assert len(whole) == count
        for start in {0, 1, batch - 1, batch, batch + batch // 2, count - 1, count}:
            got = await read(client, topic, contains("x"), start=start)
            assert places(got) == passing(whole, b"x", start), start


async def test_no_segment_is_passed_over(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, segment_size="4KiB")
        await fill(client, topic, [("x" if number in (9, 13) else "-") * 900 for number in range(14)], 1)
        assert [record.offset for record in await read(client, topic, contains("x"))] == [9, 13]
        assert await read(client, topic, contains("nothing")) == []


async def test_what_arrives_later(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with (
            client.consumer(topic, smartmodules=contains("x"), start=Offset.end()) as consumer,
            client.producer(topic) as producer,
        ):
            for value in ("x1", "no", "x2", "no"):
                await producer.send(value)
            assert [(await consumer.receive(10)).offset for _ in range(2)] == [0, 2]
            deadline = time.monotonic() + 10
            while consumer.position() != {0: 4}:
                assert time.monotonic() < deadline, consumer.position()
                await target.sleep(0.01)
            assert consumer.lag() == {0: 0}


# -- every kind


async def test_maps_keep_places(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, [str(number) for number in range(9)], 3)
        whole = await read(client, topic)
        upper = await read(client, topic, module("upper"), start=4)
        assert [(record.offset, record.timestamp) for record in upper] == [
            (record.offset, record.timestamp) for record in whole[4:]
        ]
        assert [record.key for record in upper] == [f"K{number}".encode() for number in range(4, 9)]
        half = await read(client, topic, module("even_half"))
        assert [(record.offset, record.value) for record in half] == [(n, str(n // 2).encode()) for n in range(0, 9, 2)]


async def test_a_chain(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["[1,2]", "[30]", "[4,5,6]", "[7]"], 2)
        chain = (contains(","), module("split"), module("sum"))
        assert values(await read(client, topic, *chain)) == [b"1", b"3", b"7", b"12", b"18"]
        assert len(await read(client, topic, *[module("pass")] * 20)) == 4


async def test_an_aggregate(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, [str(number) for number in range(9)], 3)
        sums = [sum(range(number + 1)) for number in range(9)]
        assert values(await read(client, topic, module("sum"))) == [str(each).encode() for each in sums]
        begun = await read(client, topic, module("sum", initial="100", kind="aggregate"), start=4)
        assert [(record.offset, int(record.value)) for record in begun] == [
            (4, 104),
            (5, 109),
            (6, 115),
            (7, 122),
            (8, 130),
        ]


async def test_modules_of_old_sdks(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, [str(number) for number in range(6)], 3)
        assert [record.offset for record in await read(client, topic, module("old_abi"), start=2)] == [2, 3, 4, 5]


async def test_a_module_of_an_old_sdk_on_several_partitions(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=4)
        async with client.producer(topic) as producer:
            for number in range(40):
                await producer.enqueue(str(number), partition=number % 4)
        # The sum begins once: no stream has read a part of it in vain.
        got = await read(client, topic, module("old_abi"), module("sum"), module("pass"))
        for partition in range(4):
            of_it = [int(record.text) for record in got if record.partition == partition]
            assert of_it == [sum(range(partition, number + 1, 4)) for number in range(partition, 40, 4)]


async def test_lookback(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["5", "9", "3", "4"], 4)
        # It is shown so many of the newest, and then passes what is larger than all.
        for lookback, passed in [(None, [0, 1]), (0, [0, 1]), (2, [0, 1]), (3, []), (Lookback(9), []), ("1h", [])]:
            got = await read(client, topic, module("max_seen", lookback=lookback))
            assert [record.offset for record in got] == passed, lookback


async def test_stored_modules(target: World) -> None:
    async with target.connect() as client:
        topic, name = await target.topic(client), f"upper-{time.time_ns()}"
        await fill(client, topic, ["a"], 1)
        await client.admin.smartmodules.create(name, path=MODULES / "upper.wasm")
        # The SPU hears of it a moment later.
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=name) as consumer:
            assert (await consumer.receive(10)).value == b"A"
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=[name, "no-such"]) as consumer:
            with pytest.raises(SmartModuleNotFoundError, match="no-such"):
                await consumer.receive(10)
        await client.admin.smartmodules.delete(name)


# -- errors


async def test_an_error_comes_after_the_records_before_it(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        lines = ["a", "b", "c", "d", "error 4", "f", "g", "error 7", "i"]
        await fill(client, topic, lines, 3)
        for chain in ([contains("")], [contains(""), module("upper")], [module("pass"), contains("")]):
            got = []
            failed = []
            async with client.consumer(
                topic, start=Offset.beginning(), stop_at_end=True, smartmodules=chain
            ) as consumer:
                while True:
                    try:
                        async for record in consumer:
                            got.append(record.offset)
                        break
                    except SmartModuleError as error:
                        failed.append((error.partition, error.offset, error.key, error.value, error.kind, error.hint))
                        assert error.offset is not None
                        assert consumer.position() == {0: error.offset}
                        await consumer.seek(error.partition, error.offset + 1)
            assert got == [0, 1, 2, 3, 5, 6, 8]
            assert failed == [
                (0, at, f"kerror {at}".encode(), f"error {at}".encode(), "filter", "value begins with error")
                for at in (4, 7)
            ]


async def test_a_trap_is_found(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        lines = [str(number) for number in range(40)]
        lines[27] = "trap"
        await fill(client, topic, lines, 10)
        async with client.consumer(
            topic, start=Offset.beginning(), stop_at_end=True, smartmodules=module("trap")
        ) as consumer:
            got = []
            with pytest.raises(SmartModuleError) as caught:
                async for record in consumer:
                    got.append(record.offset)
            assert (got, caught.value.offset, consumer.position()) == (list(range(27)), 27, {0: 27})
            await consumer.seek(0, 28)
            assert [record.offset async for record in consumer] == list(range(28, 40))


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(SmartModule(wasm=b"\0asm rubbish"), id="no module"),
        pytest.param(SmartModule(wasm=b"\x1f\x8b rubbish"), id="no gzip"),
        pytest.param(module("no_export"), id="no export"),
        pytest.param(module("unknown_import"), id="unknown import"),
        pytest.param(module("wrong_signature"), id="wrong signature"),
        pytest.param(module("contains"), id="no parameter"),
        pytest.param(module("init_trap"), id="trap in init"),
        pytest.param(module("big_memory"), id="memory"),
        pytest.param(module("look_back_trap", lookback=1), id="trap in look_back"),
        pytest.param(module("no_memory"), id="no memory"),
        pytest.param(module("bad_output", params={"how": "garbage"}), id="garbage"),
        pytest.param(module("bad_output", params={"how": "nothing"}), id="no output"),
    ],
)
@pytest.mark.backends("asyncio")
async def test_what_is_no_module(target: World, wrong: SmartModule) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["a", "b"], 2)
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=wrong) as consumer:
            with pytest.raises(SmartModuleError) as caught:
                await consumer.receive(20)
            assert (caught.value.topic, caught.value.partition, caught.value.offset) == (topic, 0, 0)
        assert len(await read(client, topic)) == 2


@pytest.mark.backends("asyncio", "sync")
async def test_no_module_harms_the_streams_beside_it(target: World) -> None:
    """Wrong lengths, negative counts, noise as records: each is an error of its own stream."""
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["a", "b"], 2)
        hows = [
            "nothing",
            "long",
            "minus",
            "short",
            "count",
            "garbage",
            "flag",
            "-1",
            "-11",
            "-22",
            "-33",
            "-44",
            "-55",
        ]
        hows += ["-7", "init-unknown", "init-silent", "init-decode", "init-encode", "init-other"]
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=module("upper")) as good:
            read_by_now = 0
            for how in hows:
                async with client.consumer(
                    topic, start=Offset.beginning(), smartmodules=module("bad_output", params={"how": how})
                ) as bad:
                    with pytest.raises(SmartModuleError) as caught:
                        await bad.receive(20)
                    assert (caught.value.partition, caught.value.offset) == (0, 0), how
                    assert caught.value.hint, how
                await fill(client, topic, ["c"], 1)
                while read_by_now < 2 + hows.index(how):
                    assert (await good.receive(20)).offset == read_by_now
                    read_by_now += 1
        for how in ("surplus", "twice", "7", "init-plus"):
            harmless = await read(client, topic, module("bad_output", params={"how": how})) if how != "twice" else []
            assert len(harmless) == (0 if how == "twice" else 2 + len(hows)), how


# -- commits


@pytest.mark.parametrize("chain", ["filter", "map", "array_map"])
@pytest.mark.backends("asyncio", "sync")
async def test_a_commit_at_any_record_loses_nothing(target: World, chain: str) -> None:
    modules = {"filter": contains("7"), "map": module("upper"), "array_map": module("split")}[chain]
    async with target.connect() as client:
        topic = await target.topic(client)
        lines = [f'["{number}a","{number}b","{number}c"]' for number in range(9)]
        if chain == "filter":
            lines = ["7" if number % 2 else "6" for number in range(9)]
        await fill(client, topic, lines, 3)
        whole = await read(client, topic, modules)
        for cut in range(1, len(whole) + 1):
            got = await crash(client, topic, modules, cut)
            # What comes again begins at or before the cut, with no record left out.
            again = values(got)
            assert again == values(whole)[len(whole) - len(again) :]
            assert len(whole) - len(again) <= cut
            if chain != "array_map":
                assert len(whole) - len(again) == cut
        assert again == [], "what was processed whole does not come again"


async def crash(client: Any, topic: str, modules: SmartModule, cut: int) -> list[Record]:
    """What is read on after a commit of the first `cut` records."""
    keywords: dict[str, Any] = {"consumer_id": f"c{cut}", "stop_at_end": True, "smartmodules": modules}
    async with client.consumer(topic, **keywords) as consumer:
        record = None
        for _ in range(cut):
            record = await consumer.receive(10)
        await consumer.commit(record)
    async with client.consumer(topic, **keywords) as consumer:
        return [record async for record in consumer]


async def test_a_commit_of_all_passes_what_was_dropped(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["x", "y", "y", "x", "y", "y"], 2)
        async with client.consumer(topic, consumer_id="c", stop_at_end=True, smartmodules=contains("x")) as consumer:
            records = [record async for record in consumer]
            await consumer.commit(records[0])
            assert await consumer.committed() == {0: 0}
            await consumer.commit()
            assert await consumer.committed() == {0: 5}


async def test_a_pause_within_a_group(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["[" + ",".join(map(str, range(3000))) + "]"] * 2, 1)
        async with client.consumer(
            topic, start=Offset.beginning(), stop_at_end=True, smartmodules=module("split")
        ) as consumer:
            got = [(await consumer.receive(10)).value for _ in range(10)]
            consumer.pause(0)
            consumer.resume(0)
            got += [record.value async for record in consumer]
        assert got == [str(number).encode() for number in range(3000)] * 2


@pytest.mark.parametrize("size", [1, 4])
async def test_a_group_whose_batch_begins_before_the_start(target: World, size: int) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        lines = [json.dumps([f"{number}.{part}" for part in range(size)]) for number in range(600)]
        await fill(client, topic, lines, 600)
        expected = [f"{number}.{part}" for number in range(300, 600) for part in range(size)]
        keywords: dict[str, Any] = {"stop_at_end": True, "smartmodules": module("split"), "consumer_id": "c"}
        for pause in (1, 250, len(expected) - 1):
            async with client.consumer(topic, start=Offset.at(300), **keywords) as consumer:
                got = [(await consumer.receive(10)).text for _ in range(pause)]
                assert consumer.position() == {0: 300}
                consumer.pause(0)
                consumer.resume(0)
                got += [record.text async for record in consumer]
                assert (got, consumer.position()) == (expected, {0: 600})
        async with client.consumer(topic, start=Offset.at(300), **keywords) as consumer:
            await consumer.commit(await consumer.receive(10))
            assert await consumer.committed() == {0: 299}
        async with client.consumer(topic, **keywords) as consumer:
            assert [record.text async for record in consumer] == expected


async def test_an_error_where_an_aggregate_is_not_the_last(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        for batch in (["1", "2", "3"], ["4", "x", "6"], ["7", "8"]):
            await fill(client, topic, batch, len(batch))
        got, failed = [], []
        chain = (module("sum"), module("upper"))
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, smartmodules=chain) as consumer:
            while True:
                try:
                    async for record in consumer:
                        got.append((record.offset, record.text))
                    break
                except SmartModuleError as error:
                    assert error.offset is not None
                    failed.append((error.offset, error.value))
                    await consumer.seek(error.partition, error.offset + 1)
        assert failed == [(4, b"x")]
        assert got == [(0, "1"), (1, "3"), (2, "6"), (3, "10"), (5, "6"), (6, "13"), (7, "21")]


async def test_a_trap_where_an_aggregate_is_not_the_last(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        for batch in (["1", "2"], ["3", "trap"], ["5", "6"]):
            await fill(client, topic, batch, len(batch))
        chain = (module("trap"), module("sum"), module("upper"))
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, smartmodules=chain) as consumer:
            with pytest.raises(SmartModuleError) as caught:
                await consumer.receive(10)
            # Which record it was is not known: nothing was read, and nothing is passed over.
            assert (caught.value.offset, consumer.position()) == (0, {0: 0})
            assert "cannot go on" not in str(caught.value)
            await consumer.seek(0, 4)
            assert [record.text async for record in consumer] == ["5", "11"]


async def test_an_error_in_the_midst_where_an_aggregate_is_not_the_last(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        chain = (module("sum"), module("upper"))
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=chain) as consumer:
            await fill(client, topic, ["1"], 1)
            assert (await consumer.receive(10)).text == "1"
            await fill(client, topic, ["2", "x", "3"], 3)
            # The value is lost with the stream, and so it is not the place of the record that is named.
            with pytest.raises(SmartModuleError, match=r"ended at offset 1, .* cannot go on") as caught:
                await consumer.receive(10)
            assert (caught.value.offset, caught.value.hint) == (1, None)
            await consumer.seek(0, 1)
            assert (await consumer.receive(10)).text == "2"
            with pytest.raises(SmartModuleError) as caught:
                await consumer.receive(10)
            assert (caught.value.offset, caught.value.value) == (2, b"x")
            await consumer.seek(0, 3)
            assert (await consumer.receive(10)).text == "3"


# -- more of what the server does


async def test_kinds_and_initial_values_that_do_not_fit_change_nothing(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["a", "b"], 2)
        for wrong in (module("upper", kind="filter"), module("upper", kind="aggregate", initial="5")):
            assert values(await read(client, topic, wrong)) == [b"A", b"B"]


async def test_packages(target: World) -> None:
    async with target.connect() as client:
        topic, name = await target.topic(client), f"p{time.time_ns()}"
        await fill(client, topic, ["a"], 1)
        package = SmartModulePackage(name=name, group="g", version="1.0.0", api_version="0.1.0")
        spec = SmartModuleSpec(package=package)
        await client.admin.smartmodules.create(spec=spec, path=MODULES / "upper.wasm")
        for called in (name, f"g/{name}", f"g/{name}@1.0.0"):
            assert values(await read(client, topic, SmartModule(called))) == [b"A"]
        with pytest.raises(SmartModuleNotFoundError):
            await read(client, topic, SmartModule(f"g/{name}@2.0.0"))


async def test_memory(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["a", "grow 20000", "b"], 1)
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=module("hog")) as consumer:
            assert (await consumer.receive(20)).offset == 0
            with pytest.raises(SmartModuleError) as caught:
                await consumer.receive(20)
            assert caught.value.offset == 1
            await consumer.seek(0, 2)
            assert (await consumer.receive(20)).offset == 2


async def test_several_partitions(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=3)
        async with client.producer(topic) as producer:
            for number in range(300):
                await producer.enqueue(f"{number}{'x' if number % 7 == 0 else 'y'}", partition=number % 3)
        whole = await read(client, topic)
        got = await read(client, topic, contains("x"))
        for partition in range(3):
            assert places([record for record in got if record.partition == partition]) == passing(
                [record for record in whole if record.partition == partition], b"x"
            )


async def test_automatic_commits(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["x", "y", "y", "x", "y", "y"], 2)
        keywords: dict[str, Any] = {"consumer_id": "c", "commit": "auto", "smartmodules": contains("x")}
        async with client.consumer(topic, stop_at_end=True, **keywords) as consumer:
            assert [batch.offset_list() async for batch in consumer.batches(max_wait=None)] == [[0, 3]]
        async with client.consumer(topic, consumer_id="c") as consumer:
            assert await consumer.committed() == {0: 5}


@pytest.mark.backends("asyncio", "trio")
async def test_a_read_that_waits_stores_what_is_dropped(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        chain = contains("x")
        options: Any = {"consumer_id": topic, "smartmodules": chain, "start": Offset.beginning()}
        async with (
            client.consumer(topic, commit="auto", auto_commit_interval=0.05, **options) as consumer,
            client.consumer(topic, consumer_id=topic) as other,
        ):
            await fill(client, topic, ["x", "-"], 2)
            first = await consumer.receive(10)
            got: list[Record] = []

            async def wait() -> None:
                got.append(await consumer.receive(30))

            async def watch() -> None:
                for number in range(3):
                    await fill(client, topic, ["-"] * 10, 10)
                    deadline = time.monotonic() + 20
                    while await other.committed() != {0: 11 + 10 * number}:
                        assert time.monotonic() < deadline, await other.committed()
                        await target.sleep(0.02)
                await fill(client, topic, ["x"], 1)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                tasks.start_soon(watch)
            assert (first.offset, got[0].offset) == (0, 32)


@pytest.mark.parametrize("how", ["commit", "after a seek", "auto", "auto, in time"])
async def test_what_a_filter_drops_is_processed(target: World, how: str) -> None:
    """Also where nothing passes at all, and however soon the SPU has answered."""
    async with target.connect() as client:
        topic = await target.topic(client, partitions=2)
        async with client.producer(topic) as producer:
            for partition in range(2):
                for _ in range(30):
                    await producer.enqueue(b"x", partition=partition)
        options: Any = {"consumer_id": topic, "smartmodules": contains("nothing"), "start": Offset.beginning()}
        if how.startswith("auto"):
            options.update(commit="auto", auto_commit_interval=3600)
        for _ in range(5):
            async with client.consumer(topic, stop_at_end=how != "auto, in time", **options) as consumer:
                if how == "auto, in time":
                    moved = False
                    while not moved:
                        with pytest.raises(FluvioTimeoutError):
                            await consumer.receive(timeout=0.05)
                        moved = consumer.position() == {0: 30, 1: 30}
                else:
                    assert [record async for record in consumer] == []
                if how == "after a seek":
                    await consumer.seek(0, 10)
                    assert [record async for record in consumer] == []
                if not how.startswith("auto"):
                    await consumer.commit()
            async with client.consumer(topic, consumer_id=topic) as consumer:
                assert await consumer.committed() == {0: 29, 1: 29}
            for partition in range(2):
                await client.admin.consumer_offsets.delete(consumer_id=topic, topic=topic, partition=partition)
