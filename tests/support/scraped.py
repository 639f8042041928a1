"""What Prometheus gets when it scrapes a registry, as text and parsed."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families


def exposed(registry: CollectorRegistry) -> str:
    """The text."""
    return generate_latest(registry).decode()


def parsed(text: str) -> list[Any]:
    """Its families."""
    return [*text_string_to_metric_families(text)]


def strictly(registry: CollectorRegistry) -> list[Any]:
    """The families of the other format, OpenMetrics, of which the parser takes nothing that is not as it should be."""
    text = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
    return [*parser.text_string_to_metric_families(text.decode())]  # type: ignore[no-untyped-call]
