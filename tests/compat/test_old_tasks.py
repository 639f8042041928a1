"""Tasks of event loops on a client of threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

import fluvio_cffi
from fluvio_cffi import LocalCluster
from fluvio_cffi.compat import (
    ConsumerConfig,
    Fluvio,
    FluvioConfig,
    FluviorError,
    Offset,
    TopicProducer,
    TopicProducerConfigBuilder,
)
from fluvio_cffi.testing import read_all

SECONDS = 20


def test_a_plain_wait_in_a_running_loop(old: Fluvio, old_topic: str, run_on_loop: Any) -> None:
    async def main() -> list[int]:
        producer = old.topic_producer(old_topic)
        outputs = [await producer.async_send_string(f"{number}") for number in range(20)]
        waiting = asyncio.ensure_future(outputs[10].async_wait())
        await asyncio.sleep(0)
        found = [output.wait() for output in outputs[:10]]
        found += [await waiting]
        found += await asyncio.gather(*(output.async_wait() for output in outputs[11:]))
        return [metadata.offset() for metadata in found if metadata is not None]

    assert run_on_loop(asyncio.wait_for(main(), SECONDS)) == list(range(20))


def test_one_client_in_several_loops_and_threads(old: Fluvio, old_topic: str) -> None:
    uvloop = pytest.importorskip("uvloop")
    producer = old.topic_producer(old_topic)
    offsets: list[int] = []
    read: list[list[int]] = []

    async def tasks() -> None:
        async def one() -> None:
            metadata = await (await producer.async_send_string("task")).async_wait()
            assert metadata is not None
            offsets.append(metadata.offset())

        await asyncio.gather(*(one() for _ in range(200)))
        stream = await old.partition_consumer(old_topic, 0).async_stream(Offset.beginning())
        read.append([(await stream.__anext__()).offset() for _ in range(800)])

    def threads() -> None:
        for _ in range(200):
            metadata = producer.send_string("thread").wait()
            assert metadata is not None
            offsets.append(metadata.offset())
        stream = old.partition_consumer(old_topic, 0).stream(Offset.beginning())
        read.append([next(stream).offset() for _ in range(800)])

    works: list[Callable[[], Any]] = [
        lambda: asyncio.run(tasks()),
        lambda: asyncio.run(tasks()),
        lambda: uvloop.run(tasks()),
        threads,
    ]
    running = [threading.Thread(target=work) for work in works]
    for each in running:
        each.start()
    for each in running:
        each.join(SECONDS)
    assert sorted(offsets) == list(range(800))
    assert read == [list(range(800))] * 4


def test_a_read_that_is_cancelled_has_taken_nothing(
    old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str, run_on_loop: Any
) -> None:
    async def main() -> list[str]:
        native.admin.topics.create(f"{old_topic}-2")
        several = old.multi_topic_partition_consumer([(old_topic, 0), (f"{old_topic}-2", 0)])
        found = []
        for consumer in (old.partition_consumer(old_topic, 0), several, old.multi_partition_consumer(old_topic)):
            stream = await consumer.async_stream(Offset.end())
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(stream.__anext__(), 0.01)
            await old.topic_producer(old_topic).async_send_string("after")
            found.append((await stream.__anext__()).value_string())
        return found

    assert run_on_loop(asyncio.wait_for(main(), SECONDS)) == ["after"] * 3


def test_streams_end_and_are_closed(old: Fluvio, old_topic: str, run_on_loop: Any) -> None:
    async def main() -> None:
        await (await old.topic_producer(old_topic).async_send_string("only")).async_wait()
        ended = ConsumerConfig()
        ended.disable_continuous()
        several = old.multi_topic_partition_consumer([(old_topic, 0)])
        nothing = old.multi_topic_partition_consumer([])
        for consumer, values in ((old.partition_consumer(old_topic, 0), ["only"]), (several, ["only"]), (nothing, [])):
            stream = await consumer.async_stream_with_config(Offset.beginning(), ended)
            assert [record.value_string() async for record in stream] == values
        open_: Any = await several.async_stream(Offset.beginning())
        await open_.aclose()
        assert [record async for record in open_] == []

    run_on_loop(asyncio.wait_for(main(), SECONDS))


def small(old: Fluvio, old_topic: str) -> TopicProducer:
    """A producer whose buffer is soon full."""
    return old.topic_producer_with_config(old_topic, TopicProducerConfigBuilder().batch_queue_size(1).build())


def test_a_full_buffer_holds_up_no_other_task(old: Fluvio, old_topic: str, run_on_loop: Any) -> None:
    producer = small(old, old_topic)

    async def main() -> int:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        other = asyncio.ensure_future(others())
        outputs = await producer.async_send_all([(b"", b"x" * 50_000)] * 200)
        await producer.async_flush()
        other.cancel()
        assert len(outputs) == 200
        assert all(output.wait() for output in outputs)
        return turns

    assert run_on_loop(asyncio.wait_for(main(), SECONDS)) > 10


def test_a_cancelled_send_that_waits_for_room_is_not_sent(run_on_loop: Any) -> None:
    with LocalCluster() as cluster, fluvio_cffi.Fluvio.connect(cluster.endpoint) as native:
        native.admin.topics.create("full")
        producer = small(Fluvio.connect_with_config(FluvioConfig.new(cluster.endpoint)), "full")

        async def main() -> int:
            sent = 0
            with cluster.faults.stall(5001):
                while True:
                    sending = asyncio.ensure_future(producer.async_send(b"", b"%d" % sent + b"." * 100_000))
                    done, _ = await asyncio.wait([sending], timeout=0.2)
                    if not done:
                        break
                    sent += 1
                sending.cancel()
                await asyncio.wait([sending])
                assert sending.cancelled()
            await producer.async_flush()
            return sent

        sent = run_on_loop(asyncio.wait_for(main(), SECONDS))
        values = [int(record.value.rstrip(b".")) for record in read_all(native, "full")]
        assert values == list(range(sent))


def test_of_a_send_all_that_is_cancelled_the_first_are_sent(run_on_loop: Any) -> None:
    with LocalCluster() as cluster, fluvio_cffi.Fluvio.connect(cluster.endpoint) as native:
        native.admin.topics.create("full")
        producer = small(Fluvio.connect_with_config(FluvioConfig.new(cluster.endpoint)), "full")

        async def main() -> None:
            with cluster.faults.stall(5001):
                records = [(b"", b"%d" % number + b"." * 100_000) for number in range(100)]
                sending = asyncio.ensure_future(producer.async_send_all(records))
                done, _ = await asyncio.wait([sending], timeout=0.2)
                assert not done
                sending.cancel()
                await asyncio.wait([sending])
            await producer.async_flush()

        run_on_loop(asyncio.wait_for(main(), SECONDS))
        values = [int(record.value.rstrip(b".")) for record in read_all(native, "full")]
        assert values
        assert values == list(range(len(values)))
        assert len(values) < 100


def test_a_failure_is_raised_where_it_is_awaited(
    old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str, run_on_loop: Any
) -> None:
    producer = old.topic_producer(old_topic)
    assert producer.send_string("there").wait() is not None
    native.admin.topics.delete(old_topic)

    async def main() -> None:
        output = await producer.async_send_string("gone")
        with pytest.raises(FluviorError, match=f"Topic not found: {old_topic}"):
            await output.async_wait()
        await producer.async_send_string("nobody looks at this one")
        with pytest.raises(FluviorError, match="1 record"):
            await producer.async_flush()

    run_on_loop(asyncio.wait_for(main(), SECONDS))
