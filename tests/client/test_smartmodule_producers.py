"""SmartModules on producers, and topics that drop what they have already."""

from __future__ import annotations

import random
import time
import warnings
from typing import Any

import pytest
from conftest import World
from smartmodule_support import MODULES, contains, fill, module, read

from fluvio_cffi import (
    Deduplication,
    DeliveryError,
    LocalCluster,
    Offset,
    SmartModule,
    SmartModuleError,
    SmartModuleNotFoundError,
    StorageError,
)

pytestmark = pytest.mark.timeout(120)


async def test_what_is_dropped_has_no_offset(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic, smartmodules=contains("x")) as producer:
            meta = await producer.send("x1", key="k")
            assert (meta.topic, meta.partition, meta.offset) == (topic, 0, None)
            assert meta.timestamp > 0
            receipt = await producer.enqueue("no")
            assert (await receipt.wait(10)).offset is None
            assert "offset" not in repr(receipt)
            result = await producer.send_all(["x2", "no", "x3"])
            assert [each.offset for each in result] == [None] * 3
            assert (result.count, result[2] in result) == (3, True)
        records = await read(client, topic)
        assert [(record.value, record.timestamp) for record in records] == [(b"x1", None), (b"x2", None), (b"x3", None)]


async def test_one_batch_a_request(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client, partitions=3)
        before = client.metrics().requests
        async with client.producer(topic, smartmodules=module("pass"), linger=60) as producer:
            for partition in range(3):
                await producer.enqueue("a", partition=partition)
            await producer.flush()
        assert client.metrics().requests - before >= 3
        assert len(await read(client, topic)) == 3


@pytest.mark.backends("asyncio", "sync")
async def test_a_batch_size_that_was_chosen_stays(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        lines = ["x" * 1000] * 200
        requests = []
        sizes: list[dict[str, Any]] = [{"batch_size": 16_384}, {}]
        for keywords in sizes:
            before = client.metrics().requests
            async with client.producer(topic, linger=0.5, smartmodules=module("pass"), **keywords) as producer:
                await producer.send_all(lines)
            requests.append(client.metrics().requests - before)
        assert requests[0] >= 13 > 3 >= requests[1]


async def test_a_multiplied_batch_is_read(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        await fill(client, topic, ["plain"], 1)
        async with client.producer(topic, smartmodules=module("split"), linger=60) as producer:
            for line in ("[1,2]", "[3,4]"):
                await producer.enqueue(line)
            await producer.flush()
        await fill(client, topic, ["plain"], 1)
        whole = await read(client, topic)
        assert [(r.offset, r.value) for r in whole] == [
            (0, b"plain"),
            *[(1, str(number).encode()) for number in (1, 2, 3, 4)],
            (3, b"plain"),
        ]
        for cut in range(1, len(whole) + 1):
            keywords: dict[str, Any] = {"consumer_id": f"c{cut}", "stop_at_end": True}
            async with client.consumer(topic, **keywords) as consumer:
                record = None
                for _ in range(cut):
                    record = await consumer.receive(10)
                await consumer.commit(record)
            async with client.consumer(topic, **keywords) as consumer:
                left = [record.value async for record in consumer]
            begins = {1: 1, 2: 1, 3: 1, 4: 1, 5: 5, 6: 6}[cut]
            assert left == [record.value for record in whole[begins:]], cut
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, consumer_id="b") as consumer:
            async for batch in consumer.batches(max_records=3):
                await consumer.commit(batch)
                assert (await consumer.committed())[0] == batch.last_offsets[0]


async def test_an_error_names_the_record(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic, smartmodules=contains("x"), linger=0.05) as producer:
            with pytest.raises(DeliveryError) as caught:
                await producer.send_all(["x1", "x2", "error", "x3"])
            errors = caught.value.result.errors  # type: ignore[union-attr]
            assert set(errors) == {0, 1, 2, 3}
            error = errors[0]
            assert isinstance(error, SmartModuleError)
            assert (error.record_index, error.value, error.outcome, error.offset) == (2, b"error", "not_written", None)
            assert caught.value.errors[0].record_index == 2  # type: ignore[attr-defined]
            with pytest.raises(SmartModuleError) as alone:
                await producer.send("error", key="k")
            assert (alone.value.record_index, alone.value.key) == (0, b"k")
            # Other batches are not affected.
            await producer.send("x4")
        assert [record.value for record in await read(client, topic)] == [b"x4"]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(module("trap"), id="trap"),
        pytest.param(module("no_export"), id="no export"),
        pytest.param(module("contains"), id="no parameter"),
        pytest.param(module("hog", params={"init": "20000"}), id="memory"),
        pytest.param(module("bad_output", params={"how": "garbage"}), id="garbage"),
        pytest.param(SmartModule(wasm=b"\0asm rubbish"), id="no module"),
    ],
)
@pytest.mark.backends("asyncio")
async def test_what_fails_writes_nothing(target: World, wrong: SmartModule) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic, smartmodules=wrong) as producer:
            with pytest.raises(SmartModuleError) as caught:
                await producer.send("trap")
            assert (caught.value.outcome, caught.value.retriable) == ("not_written", False)
        assert await read(client, topic) == []


async def test_a_module_of_the_cluster(target: World) -> None:
    async with target.connect() as client:
        topic, name = await target.topic(client), f"upper-{time.time_ns()}"
        await client.admin.smartmodules.create(name, path=MODULES / "upper.wasm")
        async with client.producer(topic, smartmodules=[name]) as producer:
            await producer.send("a")
        assert [record.value for record in await read(client, topic)] == [b"A"]
        await client.admin.smartmodules.delete(name)
        async with client.producer(topic, smartmodules="no-such") as producer:
            with pytest.raises(SmartModuleNotFoundError) as caught:
                await producer.send("a")
            assert caught.value.outcome == "not_written"


async def test_a_missing_module_is_waited_for_once(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            modules = client.admin.smartmodules
            async with client.producer(topic, smartmodules="late") as producer:
                begun = time.monotonic()
                for _ in range(4):
                    with pytest.raises(SmartModuleNotFoundError):
                        await producer.send("a")
                # Two seconds for the first one only.
                assert time.monotonic() - begun < 6
                await modules.create("late", path=MODULES / "upper.wasm")
                await producer.send("b")
                # It is known now, so it is waited for again.
                await modules.delete("late")
                receipt = await producer.enqueue("c")
                await modules.create("late", path=MODULES / "upper.wasm")
                await receipt
            assert [record.text for record in await read(client, topic)] == ["B", "C"]


async def test_a_module_of_an_old_sdk(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        async with client.producer(topic, smartmodules=module("old_abi"), max_in_flight=1) as producer:
            await producer.send("a")
            await producer.send("b")
        assert [record.value for record in await read(client, topic)] == [b"a", b"b"]


@pytest.mark.backends("sync")
async def test_large_code_is_better_stored(target: World) -> None:
    async with target.connect() as client:
        topic = await target.topic(client)
        noise = SmartModule(wasm=b"\0asm" + random.Random(1).randbytes(100_000))
        with pytest.warns(ResourceWarning, match=r"admin\.smartmodules\.create"):
            async with client.producer(topic, smartmodules=noise):
                pass
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            async with client.producer(topic, smartmodules=module("upper")):
                pass


# -- topics that deduplicate


async def deduplicated(target: World, client: Any, **bounds: Any) -> str:
    name = f"distinct-{time.time_ns()}"
    await client.admin.smartmodules.create(name, path=MODULES / "distinct.wasm")
    return await target.topic(client, deduplication=Deduplication(smartmodule=name, **bounds))


async def test_what_is_there_is_dropped(target: World) -> None:
    async with target.connect() as client:
        topic = await deduplicated(target, client, count=100)
        async with client.producer(topic) as producer:
            for value in ("a", "b", "a"):
                assert (await producer.send(value)).offset is None
            result = await producer.send_all(["b", "c", "c", "d"])
            assert [each.offset for each in result] == [None] * 4
        assert [record.value for record in await read(client, topic)] == [b"a", b"b", b"c", b"d"]


async def test_the_verdict_of_the_filter_is_not_the_end(target: World) -> None:
    async with target.connect() as client:
        topic = await deduplicated(target, client, count=100)
        async with client.producer(topic) as producer:
            await producer.send("a")
            with pytest.raises(StorageError, match="deduplicates") as caught:
                await producer.send("error")
            assert (caught.value.code, caught.value.outcome) == (56, "not_written")
            await producer.send("b")
        assert [record.value for record in await read(client, topic)] == [b"a", b"b"]


async def test_the_filter_remembers_what_came_before_its_verdict(target: World) -> None:
    async with target.connect() as client:
        topic = await deduplicated(target, client, count=100)
        async with client.producer(topic, linger=0.1) as producer:
            with pytest.raises(DeliveryError, match="drops them if they are sent again"):
                await producer.send_all(["a", "b", "error"])
            await producer.send_all(["a", "b", "c"])
        assert [record.value for record in await read(client, topic)] == [b"c"]


@pytest.mark.backends("asyncio")
async def test_a_resend_does_no_harm(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await deduplicated(world, client, count=1000)
            async with client.producer(topic, linger=0.001) as producer:
                for number in range(200):
                    await producer.enqueue(str(number))
                    if number % 70 == 35:
                        cluster.kill_spu(5001)
                        cluster.start_spu(5001)
                await producer.flush()
            got = [int(record.value) for record in await read(client, topic)]
            assert sorted(got) == list(range(200))
            assert client.metrics().duplicates_possible == 0
