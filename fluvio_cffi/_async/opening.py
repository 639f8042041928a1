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

from .arrow import AsyncArrowConsumer
from .consumer import AsyncConsumer
from .producer import AsyncProducer
from .session import AsyncSession
from .topics_consumer import AsyncTopicsConsumer
from .topics_reading import finish_all
from .watching import arrow_consumer_class, consumer_class, producer_class, topics_consumer_class


async def open_producer(
    session: AsyncSession, topic: str, options: ProducerOptions, encoding: Encoding | None
) -> AsyncProducer[Any, Any]:
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
    handle = (await backend.finish(operation)).take("flv_producer_t *", lib.flv_producer_free)
    return producer_class()(session, handle, topic, options, encoding)


async def open_consumer(session: AsyncSession, topic: str, options: ConsumerOptions) -> AsyncConsumer[Any, Any]:
    """Opens a consumer of one topic."""
    return consumer_class()(session, await _handle(session, topic, options), topic, options)


async def open_arrow(session: AsyncSession, topic: str, options: ConsumerOptions) -> AsyncArrowConsumer:
    """Opens a consumer of one topic that hands out Arrow data."""
    return arrow_consumer_class()(session, await _handle(session, topic, options), topic, options)


async def open_topics(session: AsyncSession, options: Mapping[str, ConsumerOptions]) -> AsyncTopicsConsumer[Any, Any]:
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
    await finish_all(backend, operations)
    handles = {
        topic: operation.take("flv_consumer_t *", lib.flv_consumer_free)
        for topic, operation in zip(options, operations, strict=True)
    }
    return topics_consumer_class()(session, handles, options)


async def _handle(session: AsyncSession, topic: str, options: ConsumerOptions) -> CData:
    """The library's consumer of one topic."""
    backend = session.backend
    backend.check()
    session.check_open()
    operation = await backend.finish(_start(session, topic, options, backend.waiter()))
    return operation.take("flv_consumer_t *", lib.flv_consumer_free)


def _start(session: AsyncSession, topic: str, options: ConsumerOptions, waiter: Wakeable) -> Operation:
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
