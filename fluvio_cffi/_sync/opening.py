# Made by tools/async_to_sync.py from fluvio_cffi/_async/opening.py: change that, and run it.
"""Opening producers and consumers: the library's first, then the object that users hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._native.calls import Slice
from fluvio_cffi._native.loader import CData, lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._native.tickets import Wakeable
from fluvio_cffi._produce.encoding import Encoding
from fluvio_cffi._produce.options import ProducerOptions

from .arrow import ArrowConsumer
from .consumer import Consumer
from .producer import Producer
from .session import Session
from .topics_consumer import TopicsConsumer
from .topics_reading import finish_all
from .watching import arrow_consumer_class, consumer_class, producer_class, topics_consumer_class


def open_producer(
    session: Session, topic: str, options: ProducerOptions, encoding: Encoding | None
) -> Producer[Any, Any]:
    """Opens a producer."""
    backend = session.backend
    backend.check()
    session.check_open()
    name = Slice(topic)
    native, alive = options.native()
    operation = backend.completions.start(
        lib.flv_producer_open,
        session.handle,
        name.value,
        native,
        timeout=session.admin_timeout,
        phase="connect",
        waiter=backend.waiter(),
    )
    del alive
    handle = (backend.finish(operation)).take("flv_producer_t *", lib.flv_producer_free)
    return producer_class()(session, handle, topic, options, encoding)


def open_consumer(session: Session, topic: str, options: ConsumerOptions) -> Consumer[Any, Any]:
    """Opens a consumer of one topic."""
    return consumer_class()(session, _handle(session, topic, options), topic, options)


def open_arrow(session: Session, topic: str, options: ConsumerOptions) -> ArrowConsumer:
    """Opens a consumer of one topic that hands out Arrow data."""
    return arrow_consumer_class()(session, _handle(session, topic, options), topic, options)


def open_topics(session: Session, options: Mapping[str, ConsumerOptions]) -> TopicsConsumer[Any, Any]:
    """Opens a consumer of several topics, at once for all of them."""
    backend = session.backend
    backend.check()
    session.check_open()
    operations: list[Operation] = []
    try:
        for topic, each in options.items():
            operations.append(_start(session, topic, each, backend.waiter()))
    except BaseException:
        for operation in operations:
            backend.completions.abandon(operation)
        raise
    finish_all(backend, operations)
    handles = {
        topic: operation.take("flv_consumer_t *", lib.flv_consumer_free)
        for topic, operation in zip(options, operations, strict=True)
    }
    return topics_consumer_class()(session, handles, options)


def _handle(session: Session, topic: str, options: ConsumerOptions) -> CData:
    """The library's consumer of one topic."""
    backend = session.backend
    backend.check()
    session.check_open()
    operation = backend.finish(_start(session, topic, options, backend.waiter()))
    return operation.take("flv_consumer_t *", lib.flv_consumer_free)


def _start(session: Session, topic: str, options: ConsumerOptions, waiter: Wakeable) -> Operation:
    """Starts to open the library's consumer of one topic."""
    name = Slice(topic)
    native, alive = options.native()
    operation = session.backend.completions.start(
        lib.flv_consumer_open,
        session.handle,
        name.value,
        native,
        timeout=session.admin_timeout,
        phase="connect",
        waiter=waiter,
    )
    del alive
    return operation
