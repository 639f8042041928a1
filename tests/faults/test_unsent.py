"""What no server has seen a byte of was not written: it goes again, whatever the delivery, or its error says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from conftest import World, read_all
from endings import hearing
from insides import spu_port
from proxy import Ending, Proxy, between

from fluvio_cffi import ClosedError, DeliveryError, FluvioError, FluvioTimeoutError, LocalCluster

pytestmark = pytest.mark.timeout(60)
DELIVERIES = ["at_least_once", "at_most_once"]
SIZE = 1 << 20


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def own(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    with LocalCluster(tls=request.param) as cluster:
        yield cluster


@pytest.fixture
def proxies(own: LocalCluster) -> Iterator[tuple[Proxy, Proxy]]:
    with between(own) as proxies:
        yield proxies


def connect(world: World, cluster: LocalCluster, sc: Proxy, **keywords: Any) -> Any:
    return world.connect(sc.endpoint, tls=cluster.tls, **keywords)


@pytest.mark.parametrize("delivery", DELIVERIES)
@pytest.mark.parametrize("how", get_args(Ending))
async def test_a_connection_that_has_ended_while_it_was_idle(
    world: World, own: LocalCluster, proxies: tuple[Proxy, Proxy], how: Ending, delivery: str
) -> None:
    """Whoever watches it, and whoever writes: nobody hears of it."""
    sc, spu = proxies
    async with connect(world, own, sc) as client:
        topic = await world.topic(client)
        expected: list[bytes] = []

        async def warm(producer: Any, count: int) -> None:
            for _ in range(count):
                await producer.send(b"warm")
                expected.append(b"warm")
            with hearing(spu.port) as heard:
                spu.end(how)
                heard()

        for compression in (None, "gzip"):
            async with client.producer(topic, delivery=delivery, compression=compression) as producer:
                for count in (1, 2, 20):
                    await warm(producer, count)
                    await producer.send(b"send")
                    await warm(producer, count)
                    await (await producer.enqueue(b"enqueue")).wait()
                    await warm(producer, count)
                    await producer.send_all([b"send_all"] * 3)
                    expected += [b"send", b"enqueue", *[b"send_all"] * 3]
        assert sorted(await read_all(client, topic)) == sorted(expected)
        metrics = client.metrics()
        assert (metrics.retries, metrics.duplicates_possible) == (0, 0)


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_an_spu_that_was_killed_meanwhile(world: World, delivery: str) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic, delivery=delivery) as producer:
                for count in (1, 20):
                    for _ in range(count):
                        await producer.send(b"warm")
                    with hearing(spu_port(cluster)) as heard:
                        cluster.kill_spu(5001)
                        heard()
                    receipts = [await producer.enqueue(b"%d" % number) for number in range(10)]
                    cluster.start_spu(5001)
                    for receipt in receipts:
                        await receipt.wait()
            values = [value for value in await read_all(client, topic) if value != b"warm"]
            assert values == [b"%d" % number for number in range(10)] * 2


async def stuff(producer: Any, count: int) -> list[Any]:
    """Receipts of so many records, of which the kernel takes some, one of them in part, and no more."""
    return [await producer.enqueue(b"%03d" % number + b"x" * SIZE) for number in range(count)]


def options(**keywords: Any) -> dict[str, Any]:
    return {"max_request_size": 2 * SIZE, "buffer_size": 64 * SIZE, "max_in_flight": 32, **keywords}


async def outcomes(receipts: list[Any]) -> list[FluvioError | None]:
    found: list[FluvioError | None] = []
    for receipt in receipts:
        try:
            await receipt.wait(20)
            found.append(None)
        except FluvioError as error:
            found.append(error)
    return found


async def numbers(client: Any, topic: str) -> list[int]:
    return [int(value[:3]) for value in await read_all(client, topic) if value != b"warm"]


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_server_that_reads_no_more(
    world: World, own: LocalCluster, proxies: tuple[Proxy, Proxy], delivery: str
) -> None:
    """What it may have read is unknown, or goes again; the rest was not sent, and goes."""
    sc, spu = proxies
    async with connect(world, own, sc, request_timeout=0.5) as client:
        topic = await world.topic(client)
        async with client.producer(topic, **options(delivery=delivery)) as producer:
            await producer.send(b"warm")
            spu.become("half-open")
            before = spu.connections
            receipts = await stuff(producer, 24)
            while spu.connections == before:
                await world.sleep(0.01)
            spu.become("forward")
            found = await outcomes(receipts)
        sent = await numbers(client, topic)
        metrics = client.metrics()
    begun = sum(error is not None for error in found)
    if delivery == "at_most_once":
        # The kernel has room for a few megabytes.
        assert 0 < begun < 12
        assert [error is not None for error in found] == [True] * begun + [False] * (24 - begun)
        assert {error.outcome for error in found if error is not None} == {"unknown"}
        assert [number for number in sent if number >= begun] == list(range(begun, 24))
        assert (metrics.retries, metrics.duplicates_possible) == (0, 0)
    else:
        assert begun == 0
        assert 0 < metrics.duplicates_possible < 12
        assert metrics.retries == metrics.duplicates_possible
        assert sorted(set(sent)) == list(range(24))
        assert len(sent) <= 24 + metrics.duplicates_possible


@pytest.mark.parametrize("end", ["time-out", "close"])
@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_a_server_that_reads_no_more_at_all(
    world: World, own: LocalCluster, proxies: tuple[Proxy, Proxy], delivery: str, end: str
) -> None:
    """Each error says which it is, and nothing that was not written is in the log later."""
    sc, spu = proxies
    async with connect(world, own, sc, request_timeout=0.6) as client:
        topic = await world.topic(client)
        producer = await client.producer(topic, **options(delivery=delivery, delivery_timeout=1.5))
        await producer.send(b"warm")
        spu.become("half-open")
        receipts = await stuff(producer, 24)
        if end == "time-out":
            found = await outcomes(receipts)
            await producer.close()
        else:
            with pytest.raises(DeliveryError):
                await producer.close(flush=False)
            found = await outcomes(receipts)
        spu.become("forward")
        sent = await numbers(client, topic)
    assert None not in found
    unknown = [error for error in found if error is not None and error.outcome == "unknown"]
    unsent = [error for error in found if error is not None and error.outcome == "not_written"]
    assert found == [*unknown, *unsent]
    assert 0 < len(unknown) < 12
    assert not any(error.retriable for error in unknown)
    if end == "time-out":
        assert all(isinstance(error, FluvioTimeoutError) and error.phase == "delivery" for error in unsent)
        assert all(error.retriable for error in unsent)
    else:
        assert all(isinstance(error, ClosedError) for error in unsent)
    assert set(sent) <= set(range(len(unknown)))


@pytest.mark.parametrize("delivery", DELIVERIES)
async def test_an_spu_that_stays_away(world: World, delivery: str) -> None:
    """A time-out of what was not sent may be tried again."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic, delivery=delivery, delivery_timeout=0.5) as producer:
                await producer.send(b"warm")
                with hearing(spu_port(cluster)) as heard:
                    cluster.kill_spu(5001)
                    heard()
                with pytest.raises(FluvioTimeoutError, match="it was not sent") as late:
                    await producer.send(b"x", timeout=10)
                assert (late.value.phase, late.value.outcome, late.value.retriable) == ("delivery", "not_written", True)
                with pytest.raises(FluvioTimeoutError) as late:
                    await (await producer.enqueue(b"x")).wait()
                assert (late.value.outcome, late.value.retriable) == ("not_written", True)
                with pytest.raises(DeliveryError) as failed:
                    await producer.send_all([b"x"] * 3)
                assert (failed.value.count, failed.value.outcome, failed.value.retriable) == (3, "not_written", True)
                cluster.start_spu(5001)
                # The next attempt to connect may come later than a record is given time for.
                while True:
                    try:
                        await producer.send(b"y")
                        break
                    except FluvioTimeoutError as again:
                        assert (again.outcome, again.retriable) == ("not_written", True)
            assert await read_all(client, topic) == [b"warm", b"y"]
