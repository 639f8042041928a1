"""What clients count, as Prometheus reads it."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import World
from prometheus_client import CollectorRegistry
from scraped import exposed, parsed, strictly

from fluvio_cffi import AlreadyExistsError, ConfigError, Fluvio, LocalCluster, Offset, prometheus

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def scraped(registry: CollectorRegistry) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What a scrape gives, by name and labels; what Prometheus reads is valid in both formats."""
    families = parsed(exposed(registry))
    assert len({family.name for family in families}) == len(families)
    assert all(family.documentation for family in families)
    assert strictly(registry) or not families
    samples = [sample for family in families for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples)
    return found


def of(found: dict[Any, float], name: str, **labels: str) -> float | None:
    return found.get((name, frozenset(labels.items())))


async def test_the_text(world: World, registry: CollectorRegistry) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            await client.admin.topics.create("orders")
            async with client.producer("orders") as producer:
                await producer.send_all([b"one", b"two"])
            async with client.consumer("orders", start=Offset.beginning(), stop_at_end=True) as consumer:
                assert len([record async for record in consumer]) == 2
            with pytest.raises(AlreadyExistsError):
                await client.admin.topics.create("orders")
            prometheus.register(client, registry=registry, labels={"service": "shop"})
            lines = exposed(registry).splitlines()
            own = client.metrics()
    where = f'{{endpoint="{cluster.endpoint}",service="shop"'
    wanted = [
        "# HELP fluvio_client_connected Whether the client sees its cluster.",
        "# TYPE fluvio_client_connected gauge",
        f"fluvio_client_connected{where}}} 1.0",
        "# HELP fluvio_client_records_produced_total Records that were acknowledged.",
        "# TYPE fluvio_client_records_produced_total counter",
        f'fluvio_client_records_produced_total{where},topic="orders"}} 2.0',
        f'fluvio_client_bytes_produced_total{where},topic="orders"}} 6.0',
        f'fluvio_client_records_consumed_total{where},topic="orders"}} 2.0',
        f"fluvio_client_requests_total{where}}} {float(own.requests)}",
        "# TYPE fluvio_client_lag gauge",
        f"fluvio_client_lag{where}}} 0.0",
        "# TYPE fluvio_client_errors_total counter",
        f'fluvio_client_errors_total{{endpoint="{cluster.endpoint}",error="AlreadyExistsError",service="shop"}} 1.0',
    ]
    assert [line for line in wanted if line not in lines] == []


def test_several_clients(cluster: LocalCluster, registry: CollectorRegistry) -> None:
    with Fluvio.connect(cluster.endpoint) as one, Fluvio.connect(cluster.endpoint) as other:
        prometheus.register(one, registry=registry, labels={"client": "one"})
        second = prometheus.register(other, registry=registry, labels={"client": "other"})
        with pytest.raises(ConfigError, match="for another client in this registry"):
            prometheus.register(other, registry=registry, labels={"client": "one"})
        one.ping()
        found = scraped(registry)
        for client in ("one", "other"):
            assert of(found, "fluvio_client_connected", client=client, endpoint=cluster.endpoint) == 1
        second.unregister()
        second.unregister()
        found = scraped(registry)
        assert of(found, "fluvio_client_connected", client="other", endpoint=cluster.endpoint) is None
        assert of(found, "fluvio_client_connected", client="one", endpoint=cluster.endpoint) == 1
        prometheus.register(other, registry=registry, labels={"client": "other"})
        assert of(scraped(registry), "fluvio_client_connected", client="other", endpoint=cluster.endpoint) == 1


def test_the_last_one_takes_all_with_it(cluster: LocalCluster, registry: CollectorRegistry) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        collector = prometheus.register(client, registry=registry)
        assert collector.labels == {"endpoint": cluster.endpoint}
        alone = {family.name for family in collector.collect()}
        assert alone == {family.name for family in registry.collect()}
        collector.unregister()
        assert exposed(registry) == ""
        # The names are free again.
        prometheus.register(client, registry=registry).unregister()


async def test_a_closed_client(world: World, registry: CollectorRegistry) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"x")
        collector = prometheus.register(client, registry=registry)
    found = scraped(registry)
    where = {"endpoint": world.cluster.endpoint}
    assert of(found, "fluvio_client_connected", **where) == 0
    assert of(found, "fluvio_client_records_produced_total", topic=topic, **where) == 1
    assert of(found, "fluvio_client_records_buffered", **where) == 0
    collector.unregister()


def test_a_cluster_that_is_away(registry: CollectorRegistry) -> None:
    cluster = LocalCluster()
    with cluster, Fluvio.connect(cluster.endpoint) as client:
        prometheus.register(client, registry=registry)
        assert of(scraped(registry), "fluvio_client_connected", endpoint=cluster.endpoint) == 1
        events = client.events()
        cluster.kill()
        while next(iter(events)).kind != "reconnecting":
            pass
        found = scraped(registry)
        assert of(found, "fluvio_client_connected", endpoint=client.endpoint) == 0


def test_scraped_by_many_threads(cluster: LocalCluster, registry: CollectorRegistry) -> None:
    """While clients come and go: no scrape fails, and none has a metric twice."""
    failures: list[BaseException] = []
    over = threading.Event()

    def scrape() -> None:
        try:
            while not over.is_set():
                scraped(registry)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=scrape) for _ in range(4)]
    for thread in threads:
        thread.start()
    with Fluvio.connect(cluster.endpoint) as client:
        for number in range(40):
            prometheus.register(client, registry=registry, labels={"number": str(number)})
        collectors = [prometheus.register(client, registry=registry, labels={"again": str(n)}) for n in range(20)]
        for collector in collectors:
            collector.unregister()
    over.set()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="is done on Linux only")
def test_after_a_fork(cluster: LocalCluster, registry: CollectorRegistry) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        prometheus.register(client, registry=registry)
        child = os.fork()
        if child == 0:
            samples = [sample for family in registry.collect() for sample in family.samples]
            os._exit(len(samples))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_wrong_arguments(fluvio_client: Fluvio, registry: CollectorRegistry) -> None:
    wrong: Any = "127.0.0.1:9003"
    with pytest.raises(ConfigError, match="client must be a Fluvio or an AsyncFluvio"):
        prometheus.register(wrong, registry=registry)
    for label in ("1st", "with-dash", "__own", "topic", "error", "endpoint"):
        with pytest.raises(ConfigError, match="a label is "):
            prometheus.register(fluvio_client, registry=registry, labels={label: "x"})
    with pytest.raises(ConfigError, match=r"labels\['a'\] must be a str"):
        prometheus.register(fluvio_client, registry=registry, labels={"a": wrong.__len__()})
    assert exposed(registry) == ""


def test_the_registry_may_go(fluvio_client: Fluvio) -> None:
    registry = CollectorRegistry()
    prometheus.register(fluvio_client, registry=registry)
    families: Iterator[Any] = iter(registry.collect())
    assert next(families).name == "fluvio_client_connected"
    del registry, families
    gc.collect()
