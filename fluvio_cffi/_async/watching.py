"""Of which classes producers and consumers are opened: others where somebody watches them, which then are loaded."""

from __future__ import annotations

from typing import Any

from fluvio_cffi import _observing
from fluvio_cffi._exports import loading

from .arrow import AsyncArrowConsumer
from .consumer import AsyncConsumer
from .producer import AsyncProducer
from .topics_consumer import AsyncTopicsConsumer


def producer_class() -> type[AsyncProducer[Any, Any]]:
    """The class of a producer that is opened now."""
    if _observing.observer is None:
        return AsyncProducer
    with loading("what watches producers"):
        from .observed_producer import AsyncObservedProducer
    return AsyncObservedProducer


def consumer_class() -> type[AsyncConsumer[Any, Any]]:
    """The class of a consumer that is opened now."""
    if _observing.observer is None:
        return AsyncConsumer
    with loading("what watches consumers"):
        from .observed_consumer import AsyncObservedConsumer
    return AsyncObservedConsumer


def arrow_consumer_class() -> type[AsyncArrowConsumer]:
    """The class of a consumer of Arrow data that is opened now."""
    if _observing.observer is None:
        return AsyncArrowConsumer
    with loading("what watches consumers"):
        from .observed_arrow import AsyncObservedArrowConsumer
    return AsyncObservedArrowConsumer


def topics_consumer_class() -> type[AsyncTopicsConsumer[Any, Any]]:
    """The class of a consumer of several topics that is opened now."""
    if _observing.observer is None:
        return AsyncTopicsConsumer
    with loading("what watches consumers"):
        from .observed_topics import AsyncObservedTopicsConsumer
    return AsyncObservedTopicsConsumer
