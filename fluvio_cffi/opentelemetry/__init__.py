"""OpenTelemetry: calls of producers and consumers as spans and metrics, by its conventions for messaging.

>>> from fluvio_cffi import opentelemetry
>>> opentelemetry.instrument()
>>> for record in consumer:
...     with opentelemetry.process(record, consumer=consumer):
...         handle(record)

Producers and consumers that are opened after :func:`instrument` are watched; all others cost what they cost without.
It needs ``opentelemetry-api``: ``pip install 'fluvio_cffi[otel]'``. To see anything, a program also needs an SDK and
an exporter, as for any other library.
"""

from __future__ import annotations

from fluvio_cffi._extras import need

need("opentelemetry.trace", "opentelemetry-api", "otel", __name__)

from ._context import extract, inject  # noqa: E402
from ._instrument import Instrumentor, instrument, process, uninstrument  # noqa: E402

__all__ = ["Instrumentor", "extract", "inject", "instrument", "process", "uninstrument"]
