"""Metrics for OpenTelemetry: names, units, buckets and numbers; and the programs that switch it on."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from conftest import World
from traces import Telemetry, telemetry

import fluvio_cffi
from fluvio_cffi import DeliveryUnknownError, Fluvio, FluvioTimeoutError, LocalCluster, Offset, opentelemetry
from fluvio_cffi._values.measures import BY_TOPIC, ERRORS, OF_CLIENT, at_rest, together
from fluvio_cffi.opentelemetry import _instrument

pytestmark = pytest.mark.timeout(60)

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


def of_topic(told: Telemetry, metric: str, topic: str) -> dict[tuple[str, str | None], Any]:
    """The points of a topic, by operation and error."""
    points = [point for point in told.points()[metric] if point.attributes.get("messaging.destination.name") == topic]
    found = {
        (str(point.attributes.get("messaging.operation.name")), point.attributes.get("error.type")): point
        for point in points
    }
    assert len(found) == len(points)
    return found


async def test_what_is_counted(world: World) -> None:
    with telemetry() as told, LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"one")
                await (await producer.enqueue(b"two"))
                await producer.send_all([b"three", b"four"])
                cluster.faults.fail_next(5001, "produce", 7)
                with pytest.raises(DeliveryUnknownError):
                    await producer.send(b"x")
            async with client.producer(topic, buffer_size=65_536, max_request_size=65_536) as producer:
                stalled = cluster.faults.stall(5001)
                receipt = await producer.enqueue(bytes(60_000))
                with pytest.raises(FluvioTimeoutError):
                    await producer.send(bytes(60_000), timeout=0.01)
                stalled.undo()
                await receipt
            async with client.consumer(
                topic, start=Offset.beginning(), stop_at_end=True, consumer_id="counted"
            ) as consumer:
                with opentelemetry.process(await consumer.receive()):
                    pass
                async for batch in consumer.batches(max_records=2, max_wait=None):
                    await consumer.commit(batch)
                    break
            sent = {key: point.value for key, point in of_topic(told, "messaging.client.sent.messages", topic).items()}
            # One for which there was no room was not sent.
            assert sent == {("send", None): 5, ("send", "DeliveryUnknownError"): 1}
            consumed = of_topic(told, "messaging.client.consumed.messages", topic)
            assert {key: point.value for key, point in consumed.items()} == {("receive", None): 3}
            durations = of_topic(told, "messaging.client.operation.duration", topic)
            assert durations[("send", None)].count == 4
            assert durations[("receive", None)].count == 2
            assert durations[("commit", None)].count == 1
            (processed,) = of_topic(told, "messaging.process.duration", topic).values()
            assert processed.count == 1
            assert processed.explicit_bounds == durations[("send", None)].explicit_bounds == BUCKETS
            attributes = dict(durations[("commit", None)].attributes)
            host, _, port = cluster.endpoint.rpartition(":")
            assert attributes == {
                "messaging.system": "fluvio",
                "messaging.operation.name": "commit",
                "messaging.operation.type": "settle",
                "messaging.destination.name": topic,
                "messaging.consumer.group.name": "counted",
                "server.address": host,
                "server.port": int(port),
            }
            assert "messaging.operation.type" not in dict(processed.attributes)


async def test_names_and_units(world: World) -> None:
    with telemetry() as told:
        async with world.connect() as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"x")
            async with client.consumer(topic, start=Offset.beginning()) as consumer:
                with opentelemetry.process(await consumer.receive()):
                    pass
            metrics = told.metrics()
            own = client.metrics()
    units = {name: metric.unit for name, metric in metrics.items()}
    calls = {
        "messaging.client.operation.duration": "s",
        "messaging.process.duration": "s",
        "messaging.client.sent.messages": "{message}",
        "messaging.client.consumed.messages": "{message}",
    }
    errors = {"fluvio.client.errors"} & units.keys()
    clients = {f"fluvio.client.{measure.name}": measure.unit for measure in (*BY_TOPIC, *OF_CLIENT)}
    assert units == {**calls, **clients, **dict.fromkeys(errors, "{error}")}
    assert all(metric.description for metric in metrics.values())
    (point,) = [
        point
        for point in metrics["fluvio.client.bytes_produced"].data.data_points
        if point.attributes["messaging.destination.name"] == topic
    ]
    assert point.value == own.topics[topic].bytes_produced == 1
    assert metrics["fluvio.client.requests"].data.is_monotonic
    assert not metrics["fluvio.client.lag"].data.is_monotonic


def test_every_number_of_a_client_has_a_meaning() -> None:
    """Who adds one to `Metrics` adds it here as well."""
    fields = fluvio_cffi.Metrics.__dataclass_fields__
    assert {measure.name for measure in (*BY_TOPIC, *OF_CLIENT, ERRORS)} | {"topics"} == set(fields)
    assert {measure.name for measure in BY_TOPIC} == set(fluvio_cffi.TopicMetrics.__dataclass_fields__)


def test_clients_that_are_gone_are_counted_on(cluster: LocalCluster) -> None:
    """What rises never falls; what tells how it is now is 0."""

    def produced(topic: str) -> int:
        points = told.points()["fluvio.client.records_produced"]
        return sum(point.value for point in points if point.attributes["messaging.destination.name"] == topic)

    with telemetry() as told:
        for number in range(1, 4):
            with Fluvio.connect(cluster.endpoint) as client:
                client.admin.topics.create("gone", exist_ok=True)
                with client.producer("gone") as producer:
                    producer.send(b"x")
                assert produced("gone") == number
            del client, producer
            gc.collect()
            assert produced("gone") == number
    assert "fluvio.client.records_produced" not in told.points()


def test_many_clients_that_are_gone(cluster: LocalCluster) -> None:
    """They are added up, so that a process may open any number of them."""
    with telemetry() as told:
        for _ in range(70):
            Fluvio.connect(cluster.endpoint).close()
            gc.collect(0)
        gc.collect()
        told.points()
        assert _instrument.clients.known < 40


def test_after_a_fork(cluster: LocalCluster) -> None:
    """A child has no clients yet, whatever a thread of its parent was at."""
    with telemetry() as told, Fluvio.connect(cluster.endpoint) as client:
        client.ping()
        assert told.points()["fluvio.client.requests"]
        with vars(_instrument.clients)["_lock"]:
            child = os.fork()
            if child == 0:
                os._exit(len(_instrument.clients.totals(now=True)))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert told.points()["fluvio.client.requests"]


def test_together() -> None:
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("t")
        with client.producer("t") as producer:
            producer.send(b"x")
        one = client.metrics()
    both = together(one, one)
    assert both.requests == 2 * one.requests
    assert both.topics["t"].records_produced == 2
    assert at_rest(one).lag == 0


def test_the_entry_point() -> None:
    (found,) = entry_points(group="opentelemetry_instrumentor", name="fluvio_cffi") or [None]
    if found is None:
        pytest.skip("these are the files of a checkout, not of the wheel")
    assert found.load() is opentelemetry.Instrumentor


PROGRAM = """
import sys
from fluvio_cffi import Fluvio, LocalCluster

with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
    client.admin.topics.create("auto")
    with client.producer("auto") as producer:
        producer.send(b"x")
        print(type(producer).__name__)
"""


def test_opentelemetry_instrument(tmp_path: Path) -> None:
    """The program of OpenTelemetry finds it by itself, by what the installed package says of itself."""
    checkout = Path(fluvio_cffi.__file__).parent.parent
    # As an installed package has it.
    info = tmp_path / "fluvio_cffi-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fluvio_cffi\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_instrumentor]\nfluvio_cffi = fluvio_cffi.opentelemetry:Instrumentor\n"
    )
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = subprocess.run(
        [
            *(sys.executable, "-c", "from opentelemetry.instrumentation.auto_instrumentation import run; run()"),
            *("--traces_exporter", "console", "--metrics_exporter", "none", "--logs_exporter", "none"),
            *(sys.executable, "program.py"),
        ],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{tmp_path}:{checkout}"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert ran.returncode == 0, ran.stderr
    assert "ObservedProducer" in ran.stdout, ran.stdout + ran.stderr


WITHOUT = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("opentelemetry", "prometheus_client"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Nothing())
import fluvio_cffi

for module in ("opentelemetry", "prometheus"):
    try:
        __import__(f"fluvio_cffi.{module}")
    except ImportError as error:
        print(error)
"""


def test_without_the_packages() -> None:
    """The package does not need them, and says which ones these modules do."""
    environment = {"PYTHONPATH": str(Path(fluvio_cffi.__file__).parent.parent)}
    ran = subprocess.run([sys.executable, "-c", WITHOUT], env=environment, capture_output=True, text=True, timeout=50)
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == [
        "fluvio_cffi.opentelemetry needs the package opentelemetry-api, which is not installed: "
        "pip install 'fluvio_cffi[otel]'",
        "fluvio_cffi.prometheus needs the package prometheus-client, which is not installed: "
        "pip install 'fluvio_cffi[prometheus]'",
    ]
