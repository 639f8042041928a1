# Made by tools/async_to_sync.py from fluvio_cffi/_async/watching.py: change that, and run it.
"""Of which classes producers and consumers are opened: others where somebody watches them, which then are loaded."""

from __future__ import annotations

from typing import Any

from fluvio_cffi import _observing
from fluvio_cffi._exports import loading

from .arrow import ArrowConsumer
from .consumer import Consumer
from .producer import Producer
from .topics_consumer import TopicsConsumer


def producer_class() -> type[Producer[Any, Any]]:
    """The class of a producer that is opened now."""
    if _observing.observer is None:
        return Producer
    with loading("what watches producers"):
        from .observed_producer import ObservedProducer
    return ObservedProducer


def consumer_class() -> type[Consumer[Any, Any]]:
    """The class of a consumer that is opened now."""
    if _observing.observer is None:
        return Consumer
    with loading("what watches consumers"):
        from .observed_consumer import ObservedConsumer
    return ObservedConsumer


def arrow_consumer_class() -> type[ArrowConsumer]:
    """The class of a consumer of Arrow data that is opened now."""
    if _observing.observer is None:
        return ArrowConsumer
    with loading("what watches consumers"):
        from .observed_arrow import AsyncObservedArrowConsumer
    return AsyncObservedArrowConsumer


def topics_consumer_class() -> type[TopicsConsumer[Any, Any]]:
    """The class of a consumer of several topics that is opened now."""
    if _observing.observer is None:
        return TopicsConsumer
    with loading("what watches consumers"):
        from .observed_topics import ObservedTopicsConsumer
    return ObservedTopicsConsumer
