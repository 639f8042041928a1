"""Calls as spans. What goes wrong here is logged, and never reaches the program that is watched."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, ParamSpec

from opentelemetry import context as contexts
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer, set_span_in_context

from fluvio_cffi._consume.batch import ReadTogether
from fluvio_cffi._errors import (
    ClosedError,
    ConfigError,
    DeliveryError,
    FluvioError,
    FluvioTimeoutError,
    RecordTooLargeError,
    UsageError,
)
from fluvio_cffi._lifetime import logger
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._observing import Processed, Received, Settled
from fluvio_cffi._produce.delivery import SendResult, result_spans
from fluvio_cffi._values.codecs import Codec
from fluvio_cffi._values.records import Record

from . import _names as names
from ._context import links, senders
from ._instruments import Instruments

P = ParamSpec("P")
_SECOND: Final = 1e9


def safe(function: Callable[P, None]) -> Callable[P, None]:
    """What it raises, say in a span processor of the program, is logged."""

    @functools.wraps(function)
    def guarded(*arguments: P.args, **keywords: P.kwargs) -> None:
        try:
            function(*arguments, **keywords)
        except Exception:
            logger.exception("a span or a metric could not be made")

    return guarded


class Clock:
    """When something began, and how long it has taken since."""

    __slots__ = ("_begun", "begun")

    def __init__(self) -> None:
        self.begun: int = time.time_ns()
        self._begun = time.perf_counter_ns()

    @property
    def passed(self) -> int:
        """Nanoseconds."""
        return time.perf_counter_ns() - self._begun


def settle(span: Span, error: BaseException | None) -> str | None:
    """The status of a span whose operation is over; the error as metrics have it.

    A cancelled operation has not failed: nobody wants to know any more.
    """
    if isinstance(error, Exception):
        kind = type(error).__name__
        span.set_attribute(names.ERROR, kind)
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, f"{kind}: {error}")
        return kind
    if error is not None:
        span.set_attribute(names.CANCELLED, True)
    return None


class Watched:
    """What the spans of one producer, or of one consumer, have in common."""

    def __init__(
        self, tracer: Tracer, instruments: Instruments, endpoint: str, topics: Sequence[str], group: str | None
    ) -> None:
        self.tracer: Tracer = tracer
        self.instruments: Instruments = instruments
        self.topics: Sequence[str] = topics
        self.common: names.Attributes = names.server(endpoint)
        if len(topics) == 1:
            self.common[names.DESTINATION] = topics[0]
        if group is not None:
            self.common[names.GROUP] = group

    def name(self, operation: str, topic: object) -> str:
        """The name of a span."""
        return operation if topic is None else f"{operation} {topic}"


# -- producers


class WatchedProducer(Watched):
    """A producer."""

    def sending(self, batch: bool = False) -> SendCall:
        """See :class:`ProducerObserver`."""
        return SendCall(self, batch)


class SendCall:
    """A call that sends: its span is current until it returns, and ends with the acknowledgement."""

    __slots__ = ("_attributes", "_batch", "_clock", "_count", "_failed", "_goes_on", "_span", "_token", "_watched")

    def __init__(self, watched: WatchedProducer, batch: bool) -> None:
        self._watched = watched
        self._batch = batch
        self._clock = Clock()
        self._attributes: names.Attributes = {**names.operation("send", "send"), **watched.common}
        self._span: Span = INVALID_SPAN
        self._token: Any = None
        self._goes_on = False
        # Of a batch: how many records were sent, and how many of them failed.
        self._count = 0
        self._failed = 0

    def __enter__(self) -> SendCall:
        self._begin()
        return self

    @safe
    def _begin(self) -> None:
        watched = self._watched
        self._span = watched.tracer.start_span(
            watched.name("send", watched.topics[0]),
            kind=SpanKind.PRODUCER,
            attributes=self._attributes,
            start_time=self._clock.begun,
        )
        self._token = contexts.attach(set_span_in_context(self._span))

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        if self._token is not None:
            contexts.detach(self._token)
        if error is not None or not self._goes_on:
            self._end(error)

    @safe
    def acknowledged(self, metadata: RecordMetadata) -> None:
        """See :class:`Sending`."""
        self._span.set_attributes(names.place(metadata.topic, metadata.partition, metadata.offset))

    @safe
    def all_acknowledged(self, result: SendResult) -> None:
        """See :class:`Sending`."""
        self._count = len(result)
        self._span.set_attribute(names.MESSAGE_COUNT, self._count)
        self._span.set_attributes(names.places(result_spans(result)))

    def goes_on(self) -> Callable[[Settled], None]:
        """See :class:`Sending`."""
        self._goes_on = True
        return self._settled

    def _settled(self, outcome: Settled) -> None:
        if isinstance(outcome, RecordMetadata):
            self.acknowledged(outcome)
            self._end(None)
        else:
            self._end(outcome)

    @safe
    def _end(self, error: BaseException | None) -> None:
        if isinstance(error, DeliveryError) and isinstance(error.result, SendResult):
            self.all_acknowledged(error.result)
            self._failed = error.count
        passed = self._clock.passed
        kind = settle(self._span, error)
        self._span.end(self._clock.begun + passed)
        instruments = self._watched.instruments
        instruments.operation(passed / _SECOND, self._attributes, kind)
        if self._batch:
            instruments.sent(self._count - self._failed, self._attributes, None)
            instruments.sent(self._failed, self._attributes, kind)
        elif error is None or _was_tried(error):
            instruments.sent(1, self._attributes, kind)


def _was_tried(error: BaseException) -> bool:
    """Whether it was tried to send the record: it may not be counted otherwise."""
    if isinstance(error, FluvioTimeoutError):
        return error.phase != "enqueue"
    return isinstance(error, FluvioError) and not isinstance(error, (ConfigError, RecordTooLargeError, UsageError))


# -- consumers


class WatchedConsumer(Watched):
    """A consumer."""

    def reading(self) -> ReadCall:
        """See :class:`ConsumerObserver`."""
        return ReadCall(self)

    def committing(self, what: Processed) -> Block:
        """See :class:`ConsumerObserver`."""
        attributes = {**names.operation("commit", "settle"), **self.common, **_committed(what)}
        name = self.name("commit", attributes.get(names.DESTINATION))
        return Block(self.tracer, name, SpanKind.CLIENT, attributes, self.instruments.operation)

    def processing(self, record: Received, sent: Iterable[Context] = ()) -> Block:
        """See :class:`ConsumerObserver`.

        :param sent: the contexts of those who sent it, beside those that CloudEvents carry.
        """
        return processing(self.tracer, self.instruments, self.common, record, sent)


class ReadCall:
    """A call that reads: its span is made when it is over, and began when it did. So it has all that it is to have from
    its beginning on, as samplers want it."""

    __slots__ = ("_clock", "_over", "_watched")

    def __init__(self, watched: WatchedConsumer) -> None:
        self._watched = watched
        self._over = False
        self._clock = Clock()

    def __enter__(self) -> ReadCall:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        # So `receive` says that there is no more.
        if error is not None and not self._over and not isinstance(error, ClosedError):
            self._failed(error)

    @safe
    def received(self, what: Received, codec: Codec[Any] | None) -> None:
        """See :class:`Reading`."""
        self._over = True
        watched = self._watched
        attributes = {**names.operation("receive", "receive"), **watched.common, names.DESTINATION: what.topic}
        passed = self._clock.passed
        span = watched.tracer.start_span(
            watched.name("receive", what.topic),
            kind=SpanKind.CLIENT,
            attributes={**attributes, **names.contents(what)},
            links=links(senders(what, codec)),
            start_time=self._clock.begun,
        )
        span.end(self._clock.begun + passed)
        watched.instruments.operation(passed / _SECOND, attributes, None)
        watched.instruments.consumed(len(what) if isinstance(what, ReadTogether) else 1, attributes)

    @safe
    def _failed(self, error: BaseException) -> None:
        watched = self._watched
        attributes = {**names.operation("receive", "receive"), **watched.common}
        passed = self._clock.passed
        span = watched.tracer.start_span(
            watched.name("receive", watched.common.get(names.DESTINATION)),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=self._clock.begun,
        )
        if isinstance(error, FluvioTimeoutError):
            # There was nothing: that is no failure.
            span.set_attribute(names.TIMED_OUT, True)
            kind = None
        else:
            kind = settle(span, error)
        span.end(self._clock.begun + passed)
        watched.instruments.operation(passed / _SECOND, attributes, kind)


def _committed(what: Processed) -> names.Attributes:
    """What is committed, as far as the caller has named it."""
    if isinstance(what, (Record, ReadTogether)):
        return names.contents(what)
    if isinstance(what, Mapping) and len(what) == 1 and isinstance(topic := next(iter(what)), str):
        return {names.DESTINATION: topic}
    return {}


def processing(
    tracer: Tracer,
    instruments: Instruments,
    common: names.Attributes,
    what: Received,
    sent: Iterable[Context],
) -> Block:
    """The block in which a program processes something."""
    attributes = {**names.operation("process", "process"), **common, names.DESTINATION: what.topic}
    return Block(
        tracer,
        f"process {what.topic}",
        SpanKind.CONSUMER,
        attributes,
        instruments.processing,
        {**attributes, **names.contents(what)},
        [*sent, *senders(what)],
    )


class Block(AbstractContextManager[Span]):
    """A block that is a span, and current in it."""

    __slots__ = ("_arguments", "_attributes", "_clock", "_ended", "_span", "_token")

    def __init__(
        self,
        tracer: Tracer,
        name: str,
        kind: SpanKind,
        attributes: names.Attributes,
        ended: Callable[[float, names.Attributes, str | None], None],
        more: names.Attributes | None = None,
        sent: Iterable[Context] = (),
    ) -> None:
        """
        :param attributes: of the span, and of the duration that `ended` is told.
        :param more: of the span alone, in place of these.
        """
        self._arguments = (tracer, name, kind, attributes if more is None else more, sent)
        self._attributes = {name: attributes[name] for name in attributes if name in _OF_METRICS}
        self._ended = ended
        self._span: Span = INVALID_SPAN
        self._token: Any = None

    def __enter__(self) -> Span:
        self._begin()
        return self._span

    @safe
    def _begin(self) -> None:
        tracer, name, kind, attributes, sent = self._arguments
        self._clock = Clock()
        self._span = tracer.start_span(
            name, kind=kind, attributes=attributes, links=links(sent), start_time=self._clock.begun
        )
        self._token = contexts.attach(set_span_in_context(self._span))

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None:
        if self._token is not None:
            contexts.detach(self._token)
            self._end(error)

    @safe
    def _end(self, error: BaseException | None) -> None:
        passed = self._clock.passed
        kind = settle(self._span, error)
        self._span.end(self._clock.begun + passed)
        self._ended(passed / _SECOND, self._attributes, kind)


_OF_METRICS: Final = frozenset(
    [
        names.SYSTEM,
        names.OPERATION_NAME,
        names.OPERATION_TYPE,
        names.DESTINATION,
        names.GROUP,
        names.SERVER_ADDRESS,
        names.SERVER_PORT,
    ]
)
