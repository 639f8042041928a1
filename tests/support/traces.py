"""Spans and metrics that the SDK has kept, as text and numbers that tests compare."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from conftest import World
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from fluvio_cffi import opentelemetry


class Telemetry:
    """What was exported."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.meters = MeterProvider([self.reader])
        self.tracer = self.tracers.get_tracer("test")

    def spans(self) -> list[ReadableSpan]:
        """Those that have ended, in the order in which they began."""
        return sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    def tree(self, *hidden: str) -> list[str]:
        """All spans, each a line, those within others indented: name, kind, status, attributes, and links to spans.

        :param hidden: names of attributes that differ from run to run.
        """
        spans = self.spans()
        names = {span.context.span_id: span.name for span in spans if span.context}
        by_parent: dict[int | None, list[ReadableSpan]] = {}
        for span in spans:
            by_parent.setdefault(span.parent.span_id if span.parent else None, []).append(span)
        lines: list[str] = []

        def show(parent: int | None, depth: int) -> None:
            for span in by_parent.get(parent, []):
                lines.append("  " * depth + line(span, names, hidden))
                assert span.context is not None
                show(span.context.span_id, depth + 1)

        show(None, 0)
        return lines

    def points(self) -> dict[str, list[Any]]:
        """The data points of each metric."""
        data = self.reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found[metric.name] = [*metric.data.data_points]
        return found

    def metrics(self) -> dict[str, Any]:
        """The metrics, by name."""
        data = self.reader.get_metrics_data()
        assert data is not None
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}


ALWAYS = {
    "messaging.system",
    "messaging.operation.name",
    "messaging.operation.type",
    "messaging.destination.name",
    "server.address",
    "server.port",
}


def line(span: ReadableSpan, names: dict[int, str], hidden: tuple[str, ...]) -> str:
    """A span in one line. What all of them have is checked, and left out."""
    attributes = dict(span.attributes or {})
    if span.instrumentation_scope is not None and span.instrumentation_scope.name == "fluvio_cffi":
        assert attributes["messaging.system"] == "fluvio"
        assert span.name.split()[0] == attributes["messaging.operation.name"]
        assert " ".join(span.name.split()[1:]) == attributes.get("messaging.destination.name", "")
    shown = sorted(
        f"{name.removeprefix('messaging.')}={value}"
        for name, value in attributes.items()
        if name not in ALWAYS and name not in hidden
    )
    links = [f"-> {names.get(link.context.span_id, 'elsewhere')}" for link in span.links]
    events = [f"!{event.attributes['exception.type']!s}" for event in span.events if event.attributes]
    return " ".join([span.name, span.kind.name, span.status.status_code.name, *shown, *events, *links])


@contextmanager
def telemetry() -> Iterator[Telemetry]:
    """Everything that is opened in the block is watched."""
    made = Telemetry()
    opentelemetry.instrument(tracer_provider=made.tracers, meter_provider=made.meters)
    try:
        yield made
    finally:
        opentelemetry.uninstrument()
        made.tracers.shutdown()
        made.meters.shutdown()


def current_name() -> str:
    """The name of the current span."""
    return getattr(trace.get_current_span(), "name", "")


def bare(consumer: Any) -> Any:
    """What the user of a client has, of whichever kind it is."""
    return getattr(consumer, "target", consumer)


async def cancelled_after(world: World, seconds: float, function: Any) -> None:
    """Calls something, and cancels it."""
    if world.backend == "trio":
        import trio

        with trio.move_on_after(seconds):
            await function()
    else:
        import asyncio

        task = asyncio.ensure_future(function())
        await asyncio.sleep(seconds)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
