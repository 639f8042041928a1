"""Switching it on and off, and the block in which a program processes records."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.metrics import MeterProvider, get_meter
from opentelemetry.trace import INVALID_SPAN, Span, Tracer, TracerProvider, get_tracer

from fluvio_cffi import __version__, _observing
from fluvio_cffi._async.session import sessions as loop_sessions
from fluvio_cffi._consume.arrow import ArrowBatch
from fluvio_cffi._consume.batch import ReadTogether, RecordBatch
from fluvio_cffi._native.loader import CData
from fluvio_cffi._sync.session import sessions as thread_sessions
from fluvio_cffi._values.checks import wrong_type
from fluvio_cffi._values.records import Record

from . import _names as names
from ._clients import Clients
from ._context import of_event
from ._instruments import Instruments
from ._spans import WatchedConsumer, WatchedProducer, processing

clients: Final = Clients()
os.register_at_fork(after_in_child=clients.forget)
# Instruments cannot be taken away from a meter provider, so each gets them once.
_instruments: Final[list[tuple[MeterProvider | None, Instruments]]] = []


class Watch:
    """Watches whatever is opened, for one call of :func:`instrument`."""

    def __init__(self, tracer: Tracer, instruments: Instruments) -> None:
        self.tracer: Tracer = tracer
        self.instruments: Instruments = instruments

    def client(self, session: object, endpoint: str, handle: CData) -> None:
        """See :class:`Observer`."""
        clients.add(session, endpoint, handle)

    def producer(self, endpoint: str, topic: str) -> WatchedProducer:
        """See :class:`Observer`."""
        return WatchedProducer(self.tracer, self.instruments, endpoint, [topic], None)

    def consumer(self, endpoint: str, topics: Sequence[str], group: str | None) -> WatchedConsumer:
        """See :class:`Observer`."""
        return WatchedConsumer(self.tracer, self.instruments, endpoint, topics, group)


_watch: Watch | None = None


def instrument(*, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None) -> None:
    """Watch the producers and consumers that are opened from now on, of all clients of the process, and what clients
    count by themselves. ``CloudEvents`` that are encoded from now on carry the context of the current span.

    Again, it takes the place of what was before. Any thread.

    :param tracer_provider: makes spans; left out: the one that is set for the process, also if that is done later.
    :param meter_provider: the same for metrics.
    """
    global _watch
    _rest()
    tracer = get_tracer(names.SCOPE, __version__, tracer_provider, names.SCHEMA_URL)
    watch = _watch = Watch(tracer, _instruments_of(meter_provider))
    for sessions in (loop_sessions, thread_sessions):
        for session in sessions:
            watch.client(session, session.endpoint, session.handle)
    _observing.observe(watch, of_event)


def uninstrument() -> None:
    """Producers and consumers that are opened from now on are not watched, and the numbers of clients are not told any
    more. Those that are watched are so until they are closed. Any thread; again, nothing happens."""
    global _watch
    _observing.observe(None, None)
    _rest()
    _watch = None


def _rest() -> None:
    for _, instruments in _instruments:
        instruments.active = False


def _instruments_of(provider: MeterProvider | None) -> Instruments:
    for known, instruments in _instruments:
        if known is provider:
            instruments.active = True
            return instruments
    made = Instruments(get_meter(names.SCOPE, __version__, provider, names.SCHEMA_URL), clients)
    _instruments.append((provider, made))
    return made


def process(
    record_or_batch: Record[Any, Any] | RecordBatch[Any, Any] | ArrowBatch,
    *,
    consumer: object = None,
    sent: Context | Iterable[Context] = (),
) -> AbstractContextManager[Span]:
    """A block in which the program processes a record, or a batch: a span of kind CONSUMER, which is current in it, so
    that what else the program does there belongs to it. It is linked to the spans that sent the records, as far as
    these carry their contexts. Without :func:`instrument` it is a plain block.

    :param record_or_batch: what was read; it may be Arrow data.
    :param consumer: who has read it: then the span also names the group (or the ``consumer_id``) and the cluster.
    :param sent: the context of who sent it, or several of them, from :func:`extract`; those of ``CloudEvents`` are
        found without that.
    :raises ConfigError: it is neither a record nor a batch.
    """
    if not isinstance(record_or_batch, (Record, ReadTogether)):
        raise wrong_type("record_or_batch", "a Record or a RecordBatch", record_or_batch)
    contexts = [sent] if isinstance(sent, Context) else [*sent]
    watched: object = getattr(consumer, "_observer", None)
    if isinstance(watched, WatchedConsumer):
        return watched.processing(record_or_batch, contexts)
    watch = _watch
    if watch is None:
        return nullcontext(INVALID_SPAN)
    return processing(watch.tracer, watch.instruments, {}, record_or_batch, contexts)


class Instrumentor:
    """What the program ``opentelemetry-instrument`` calls, by the entry point ``opentelemetry_instrumentor``."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """Nothing beside this package."""
        return ()

    def instrument(self, **options: Any) -> None:
        """:func:`instrument`; what else it is given does not matter."""
        instrument(
            tracer_provider=options.get("tracer_provider"),
            meter_provider=options.get("meter_provider"),
        )

    def uninstrument(self, **options: Any) -> None:
        """:func:`uninstrument`."""
        uninstrument()
