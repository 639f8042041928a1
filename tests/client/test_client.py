"""Clients: connecting, closing, being forgotten, being used from the wrong place."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
import time
import warnings
from typing import Any

import pytest
from campaign import together
from conftest import World
from insides import session_of
from laws import nothing_left
from strangers import endpoint, listen, nobody

from fluvio_cffi import (
    AsyncFluvio,
    ClosedError,
    Fluvio,
    FluvioConnectionError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    UsageError,
)


async def test_connect_and_close(world: World) -> None:
    async with world.connect() as client:
        assert client.endpoint == world.cluster.endpoint
        assert client.platform_version
        assert client.state == "connected"
        assert not client.closed
    assert client.state == "closed"
    assert client.closed
    await client.close()
    await client.aclose()
    for use in (client.admin.topics.list(), client.producer("t"), client.consumer("t")):
        with pytest.raises(ClosedError):
            await use


async def test_await_instead_of_a_block(world: World) -> None:
    client = await world.connect()
    assert client.state == "connected"
    await client.close()
    async with await world.connect() as client:
        pass
    assert client.closed


async def test_nobody_listens(world: World) -> None:
    where = nobody()
    begun = time.monotonic()
    with pytest.raises(FluvioConnectionError, match=where) as raised:
        await world.connect(where, timeout=2)
    assert time.monotonic() - begun < 2.5
    assert raised.value.retriable
    assert isinstance(raised.value.__cause__, ConnectionRefusedError)


async def test_nobody_answers(world: World) -> None:
    with listen() as mute:
        begun = time.monotonic()
        with pytest.raises(FluvioTimeoutError) as raised:
            await world.connect(endpoint(mute), timeout=0.3)
        assert time.monotonic() - begun < 0.8
        assert raised.value.phase == "connect"


async def test_closing_the_client_closes_what_it_opened(world: World) -> None:
    client = await world.connect()
    topic = await world.topic(client)
    producer = await client.producer(topic)
    consumer = await client.consumer(topic)
    receipt = await producer.enqueue(b"last words")
    await client.close()
    assert receipt.done()
    assert (await receipt).offset == 0
    assert producer.closed
    assert consumer.closed
    for use in (producer.send(b""), producer.flush(), consumer.receive()):
        with pytest.raises(ClosedError):
            await use
    await producer.close()
    await consumer.close()


async def test_clients_cannot_be_pickled(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer, client.consumer(topic) as consumer:
            receipt = await producer.enqueue(b"")
            for thing in (client, producer, consumer, receipt):
                with pytest.raises(TypeError, match="cannot pickle"):
                    pickle.dumps(getattr(thing, "target", thing))


@pytest.mark.backends("asyncio", "sync", "trio")
async def test_an_unclosed_client_warns(world: World) -> None:
    client: Any = await world.connect()
    topic = await world.topic(client)
    producer: Any = await client.producer(topic)
    with pytest.warns(ResourceWarning, match="unclosed <.*Producer"):
        producer = None
        gc.collect()
    consumer: Any = await client.consumer(topic)
    with pytest.warns(ResourceWarning, match="unclosed <.*Consumer"):
        consumer = None
        gc.collect()
    with pytest.warns(ResourceWarning, match="unclosed <.*Fluvio"):
        client = None
        gc.collect()
    assert producer is consumer is client
    await world.sleep(0.01)


async def test_the_error_of_the_block_goes_through(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.enqueue(b"x")
                raise ZeroDivisionError
    async with (
        world.connect() as client,
        client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer,
    ):
        assert [record.value async for record in consumer] == [b"x"]


def test_another_loop(cluster: Any) -> None:
    async def open_client() -> AsyncFluvio:
        return await AsyncFluvio.connect(cluster.endpoint)

    async def use(client: AsyncFluvio) -> None:
        with pytest.raises(UsageError, match="another event loop"):
            await client.admin.topics.list()
        with pytest.raises(UsageError, match="another event loop"):
            await client.close()

    client: Any = asyncio.run(open_client())
    asyncio.run(use(client))
    with pytest.warns(ResourceWarning, match="unclosed"):
        client = None
        gc.collect()


def test_another_trio_run(cluster: Any) -> None:
    import trio

    async def open_client() -> AsyncFluvio:
        return await AsyncFluvio.connect(cluster.endpoint)

    async def use(client: AsyncFluvio) -> None:
        with pytest.raises(UsageError, match="another trio run"):
            await client.admin.topics.list()

    client: Any = trio.run(open_client)
    trio.run(use, client)
    with pytest.warns(ResourceWarning, match="unclosed"):
        client = None
        gc.collect()


def test_another_thread(cluster: Any) -> None:
    async def main() -> None:
        async with AsyncFluvio.connect(cluster.endpoint) as client:
            said: list[BaseException] = []

            def elsewhere() -> None:
                try:
                    client.admin.topics.list().send(None)
                except BaseException as error:
                    said.append(error)

            thread = threading.Thread(target=elsewhere)
            thread.start()
            await asyncio.to_thread(thread.join)
            assert isinstance(said[0], UsageError)

    asyncio.run(main())


def test_a_loop_that_is_closed_with_clients_open(cluster: Any) -> None:
    async def main() -> tuple[Any, ...]:
        client = await AsyncFluvio.connect(cluster.endpoint)
        await client.admin.topics.create("closed-loop", exist_ok=True)
        producer = await client.producer("closed-loop")
        return client, producer, await producer.enqueue(b"x")

    def close_the_loop() -> None:
        kept: Any = asyncio.run(main())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del kept
            gc.collect()

    close_the_loop()
    with nothing_left():
        for _ in range(3):
            close_the_loop()

    async def again() -> None:
        async with AsyncFluvio.connect(cluster.endpoint) as client:
            assert (await client.admin.topics.get("closed-loop")).name == "closed-loop"

    asyncio.run(again())


def test_several_clients_on_a_loop_share_a_host(cluster: Any) -> None:
    async def main() -> None:
        async with AsyncFluvio.connect(cluster.endpoint) as first:
            async with AsyncFluvio.connect(cluster.endpoint) as second:
                assert session_of(first).backend is session_of(second).backend
                await asyncio.gather(*[client.admin.topics.list() for client in (first, second) * 10])
            await first.admin.topics.list()
        loop = asyncio.get_running_loop()
        assert not loop.remove_reader(session_of(first).backend.completions.descriptor)

    asyncio.run(main())


def test_a_sync_client_is_for_all_threads(cluster: Any) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("threads", exist_ok=True)
        with client.producer("threads") as producer:
            offsets: list[int] = []

            def work() -> None:
                for _ in range(50):
                    offset = producer.send(b"x").offset
                    assert offset is not None
                    offsets.append(offset)

            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert sorted(offsets) == list(range(min(offsets), min(offsets) + 400))


@pytest.mark.parametrize("what", ["list", "producer", "consumer"])
async def test_a_call_that_waits_ends_with_its_client(world: World, what: str) -> None:
    """Also when it was the last client, so that nobody looks at completions any more."""
    with LocalCluster() as silent:
        client = await world.connect(silent.endpoint)
        silent.faults.stall_controller()
        begun = threading.Event()

        async def call() -> None:
            waits = {
                "list": lambda: client.admin.topics.list(),
                "producer": lambda: client.producer("unknown"),
                "consumer": lambda: client.consumer("unknown"),
            }
            begun.set()
            with pytest.raises(ClosedError):
                await waits[what]()

        async def close() -> None:
            while not begun.is_set():
                await world.sleep(0.01)
            await world.sleep(0.05)
            await client.close()

        start = time.monotonic()
        await together(world, call, close)
        assert time.monotonic() - start < 5
