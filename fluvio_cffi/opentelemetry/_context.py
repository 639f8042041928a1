"""How the context of a trace goes with a record, which has no headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, Final

from opentelemetry import propagate
from opentelemetry.context import Context
from opentelemetry.trace import Link, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from fluvio_cffi._consume.batch import RecordBatch
from fluvio_cffi._observing import Received
from fluvio_cffi._values.codecs import Codec
from fluvio_cffi._values.records import Record
from fluvio_cffi.codecs import CloudEvent, CloudEvents

# What the extension "distributed tracing" of CloudEvents asks for.
_W3C: Final = TraceContextTextMapPropagator()
# What an SDK keeps of the links of a span, if it is not told otherwise.
_MOST_LINKS: Final = 128


def inject(carrier: MutableMapping[str, str] | None = None) -> dict[str, str]:
    """The context of the current span, as text to be put into a record, in a field of one's own.

    :param carrier: is filled, too, if it is given.
    :returns: by the propagators that are set for the process: with ``traceparent``, if a span is current.
    """
    found: dict[str, str] = {}
    propagate.inject(found)
    if carrier is not None:
        carrier.update(found)
    return found


def extract(carrier: Mapping[str, str] | None) -> Context:
    """The context that :func:`inject` has put into a record: for :func:`process`, whose span is linked to it.

    :param carrier: what was in the record; ``None``, or something without a context, is an empty one.
    """
    return propagate.extract({} if carrier is None else carrier, context=Context())


def of_event() -> dict[str, str]:
    """What an event gets of the current span: the extensions ``traceparent`` and ``tracestate``."""
    found: dict[str, str] = {}
    _W3C.inject(found)
    return found


def links(contexts: Iterable[Context]) -> list[Link]:
    """Links to the spans of these contexts, as far as they have one."""
    spans = [get_current_span(context).get_span_context() for context in contexts]
    return [Link(span) for span in spans if span.is_valid][:_MOST_LINKS]


def senders(what: Received, codec: Codec[Any] | None = None) -> list[Context]:
    """The contexts in which records were sent, as far as CloudEvents carry them. Arrow data is not looked into.

    :param codec: of values that are not decoded yet.
    """
    event_codec: CloudEvents[Any] | None = None
    if isinstance(codec, CloudEvents):
        event_codec = codec  # pyright: ignore[reportUnknownVariableType]
    elif codec is not None:
        return []
    records: Iterable[Record[Any, Any]] = [what] if isinstance(what, Record) else ()
    if isinstance(what, RecordBatch):
        batch: RecordBatch[Any, Any] = what  # pyright: ignore[reportUnknownVariableType]
        records = batch[:_MOST_LINKS]
    return [context for record in records if (context := _sender(record.value, event_codec)) is not None]


def _sender(value: object, codec: CloudEvents[Any] | None) -> Context | None:
    if codec is not None and isinstance(value, bytes):
        try:
            value = codec.decode(value)
        except Exception:
            # The consumer says so to whom it concerns.
            return None
    if not isinstance(value, CloudEvent):
        return None
    extensions: Mapping[str, object] = value.extensions
    carrier = {name: text for name in ("traceparent", "tracestate") if isinstance(text := extensions.get(name), str)}
    return _W3C.extract(carrier, context=Context()) if carrier else None
