"""Every wait ends: each call, while the cluster is silent, half-open or refuses, ends by its time-out plus 0.5 s."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from conftest import World
from proxy import Mode, Proxy, between
from strangers import stranger

from fluvio_cffi import FluvioConnectionError, FluvioError, FluvioTimeoutError, LocalCluster, Offset
from fluvio_cffi._consume.options import ConsumerOptions

pytestmark = [pytest.mark.timeout(60), pytest.mark.backends("asyncio", "trio", "sync")]
LIMIT = 0.3
# What has no time-out of its own; also what a loaded machine may take to get everything ready.
OPENING = 1.5
GRACE = 0.5
BAD: list[Mode] = ["silent", "half-open", "refuse"]


@pytest.fixture(scope="module")
def own() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture
def proxies(own: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Proxy, Proxy]]:
    """Between clients and their cluster; consumers ask after 0.2 s of silence, instead of 10 s, whether it is there."""
    native = ConsumerOptions.native

    def probing(options: ConsumerOptions) -> Any:
        made, alive = native(options)
        made.probe_ms = 200
        return made, alive

    monkeypatch.setattr(ConsumerOptions, "native", probing)
    with between(own) as proxies:
        yield proxies


class Opened:
    """A client with one of each, connected through the proxies, with something in flight to the SPU."""

    def __init__(self, client: Any, topic: str, producer: Any, consumer: Any, full: Any) -> None:
        self.client = client
        self.topic = topic
        self.producer = producer
        self.consumer = consumer
        self.full = full


@contextlib.asynccontextmanager
async def opened(world: World, sc: Proxy) -> AsyncIterator[Opened]:
    client = await world.connect(sc.endpoint, request_timeout=OPENING, admin_timeout=OPENING)
    try:
        topic = await world.topic(client)
        producer = await client.producer(topic, delivery_timeout=20)
        full = await client.producer(topic, buffer_size=2_000, max_request_size=2_000)
        consumer = await client.consumer(topic, start=Offset.beginning(), consumer_id="me")
        for one in (producer, full):
            await one.send(b"x")
            assert (await consumer.receive(timeout=5)).value == b"x"
        yield Opened(client, topic, producer, consumer, full)
    finally:
        with contextlib.suppress(FluvioError):
            await client.close(timeout=0.1)


async def fill(it: Opened) -> Any:
    """No room is left."""
    with pytest.raises(FluvioTimeoutError):
        while True:
            await it.full.enqueue(b"x" * 900, timeout=0)
    return await it.full.enqueue(b"x" * 900, timeout=LIMIT)


async def receipt(it: Opened) -> Any:
    return await (await it.producer.enqueue(b"y")).wait(LIMIT)


async def batch(it: Opened) -> Any:
    return await it.consumer.batches(max_records=1, max_wait=LIMIT).__anext__()


CALLS: dict[str, Callable[[Opened], Awaitable[Any]]] = {
    "send": lambda it: it.producer.send(b"y", timeout=LIMIT),
    "enqueue": fill,
    "wait": receipt,
    "send_all": lambda it: it.producer.send_all([b"y"] * 1000, timeout=LIMIT),
    "receive": lambda it: it.consumer.receive(timeout=LIMIT),
    "commit": lambda it: it.consumer.commit({0: 0}, timeout=LIMIT),
    "committed": lambda it: it.consumer.committed(timeout=LIMIT),
    "seek": lambda it: it.consumer.seek(0, 0, timeout=LIMIT),
    "open a producer": lambda it: it.client.producer("nowhere"),
    "open a consumer": lambda it: it.client.consumer(it.topic, start=Offset.beginning()),
    "topics.list": lambda it: it.client.admin.topics.list(timeout=LIMIT),
    "topics.get": lambda it: it.client.admin.topics.get(it.topic, timeout=LIMIT),
    "topics.create": lambda it: it.client.admin.topics.create("other", timeout=LIMIT),
    "topics.delete": lambda it: it.client.admin.topics.delete(it.topic, timeout=LIMIT),
}


@contextlib.contextmanager
def ends(limit: float = LIMIT) -> Iterator[None]:
    begun = time.monotonic()
    yield
    spent = time.monotonic() - begun
    assert spent < limit + GRACE, f"it took {spent:.3f} s"


@pytest.mark.parametrize("mode", BAD)
async def test_each_call(world: World, proxies: tuple[Proxy, Proxy], mode: Mode) -> None:
    """It raises that its time is over, when it is over, and when the peer is well again everything goes on."""
    sc, _ = proxies
    async with opened(world, sc) as it:
        for one in proxies:
            one.become(mode)
        late: dict[str, float] = {}
        for name, call in CALLS.items():
            begun = time.monotonic()
            with pytest.raises(FluvioTimeoutError):
                await call(it)
            spent = time.monotonic() - begun
            if spent > (OPENING if name.startswith("open a") else LIMIT) + GRACE:
                late[name] = spent
        assert not late
        with ends(), contextlib.suppress(FluvioError):
            await it.producer.flush(timeout=LIMIT)
        for one in proxies:
            one.become("forward")
        assert (await it.producer.send(b"last", timeout=10)).offset > 1
        while (await it.consumer.receive(timeout=10)).value != b"last":
            pass
        assert any(topic.name == it.topic for topic in await it.client.admin.topics.list(timeout=10))


@pytest.mark.parametrize("mode", BAD)
async def test_connecting(world: World, own: LocalCluster, mode: Mode) -> None:
    with Proxy(own.endpoint, stranger()) as proxy:
        proxy.become(mode)
        # Nobody waits for a cluster that was never there.
        with ends(), pytest.raises(FluvioConnectionError if mode == "refuse" else FluvioTimeoutError):
            await world.connect(proxy.endpoint, timeout=LIMIT)


@pytest.mark.parametrize("mode", BAD)
async def test_closing(world: World, proxies: tuple[Proxy, Proxy], mode: Mode) -> None:
    """With records in flight: they are dropped, and named."""
    async with opened(world, proxies[0]) as it:
        for one in proxies:
            one.become(mode)
        receipts = [await it.producer.enqueue(b"y") for _ in range(10)]
        with ends(), contextlib.suppress(FluvioError):
            await it.consumer.close(timeout=LIMIT)
        with ends(), contextlib.suppress(FluvioError):
            await it.producer.close(timeout=LIMIT)
        assert all(one.done() for one in receipts)
        with ends(), contextlib.suppress(FluvioError):
            await it.client.close(timeout=LIMIT)
        assert it.client.closed


@pytest.mark.backends("asyncio", "uvloop", "trio")
@pytest.mark.parametrize("mode", BAD)
async def test_a_cancelled_block(world: World, proxies: tuple[Proxy, Proxy], mode: Mode) -> None:
    """It is left at once."""
    with anyio.CancelScope() as scope:
        async with (
            world.connect(proxies[0].endpoint) as client,
            client.consumer(topic := await world.topic(client)),
            client.producer(topic) as producer,
        ):
            await producer.send(b"x")
            for one in proxies:
                one.become(mode)
            await producer.enqueue(b"y")
            scope.cancel()
            begun = time.monotonic()
            await anyio.sleep(5)
    assert time.monotonic() - begun < 0.2


@pytest.mark.parametrize("mode", ["silent", "half-open"])
async def test_a_reader_notices_a_silent_peer(world: World, proxies: tuple[Proxy, Proxy], mode: Mode) -> None:
    """Within the probe's interval (0.2 s) and the time that a request may take (1 s): it connects anew."""
    async with world.connect(proxies[0].endpoint, request_timeout=1) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
            await producer.send(b"0")
            assert (await consumer.receive(timeout=5)).value == b"0"
            known = proxies[1].connections
            proxies[1].become(mode)
            begun = time.monotonic()
            while proxies[1].connections == known:
                with contextlib.suppress(FluvioTimeoutError):
                    await consumer.receive(timeout=0.02)
            assert time.monotonic() - begun < 1.2 + GRACE
            proxies[1].become("forward")
            await producer.send(b"1")
            assert (await consumer.receive(timeout=5)).value == b"1"


@pytest.mark.backends("asyncio")
async def test_who_only_looks_on_notices_a_dead_connection(
    world: World, own: LocalCluster, proxies: tuple[Proxy, Proxy]
) -> None:
    """It says nothing itself that would not come back, so it asks after 5 s of silence, and waits for the answer as
    long."""
    async with world.connect(proxies[0].endpoint) as client, world.connect(proxies[0].endpoint) as other:
        topic = await world.topic(client)
        async with other.consumer(topic, group="watched"):
            pass  # so that there is a log
        async with client.admin.groups.watch("watched", topic) as changes:
            first = await changes.receive(timeout=5)
            assert first.items[0].members == ()
            proxies[1].become("dropped")
            async with other.consumer(topic, group="watched"):
                begun = time.monotonic()
                while not (await changes.receive(timeout=30)).items[0].members:
                    pass
                assert time.monotonic() - begun < 20


async def test_slow(world: World, proxies: tuple[Proxy, Proxy]) -> None:
    """A slow peer is no dead one."""
    async with world.connect(proxies[0].endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"x")
            proxies[1].become("slow")
            await producer.send_all([b"%04d" % number for number in range(1000)])
            async with client.consumer(topic, start=Offset.at(1), stop_at_end=True) as consumer:
                assert [int(record.value) async for record in consumer] == list(range(1000))


async def test_cut(world: World, proxies: tuple[Proxy, Proxy]) -> None:
    """Replies that are cut anywhere lose nothing and repeat nothing."""
    async with world.connect(proxies[0].endpoint) as client:
        topic = await world.topic(client)
        async with client.producer(topic, batch_size=200) as producer:
            await producer.send_all([b"%04d" % number for number in range(3000)])
        proxies[1].become("cut")
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, max_bytes=500) as consumer:
            assert [int(record.value) async for record in consumer] == list(range(3000))
        assert proxies[1].connections > 10
