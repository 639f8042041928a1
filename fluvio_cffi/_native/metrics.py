"""Reads the metrics of a client."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from fluvio_cffi._values.metrics import Metrics, TopicMetrics

from .calls import text_of
from .errors import class_of, from_native, raise_status
from .loader import CData, ffi, lib

_NUMBERS: Final = tuple(item.name for item in fields(Metrics) if item.name not in ("errors", "topics"))
_NUMBERS_OF_TOPIC: Final = tuple(item.name for item in fields(TopicMetrics))
# Most clients have no more topics.
_CAPACITY: Final = 16


def read_metrics(client: CData) -> Metrics:
    """The metrics of a client's handle."""
    native = ffi.new("flv_metrics_t *")
    native.struct_size = ffi.sizeof("flv_metrics_t")
    error = ffi.new("flv_error_t **")
    status = lib.flv_client_metrics(client, native, error)
    if status != lib.FLV_STATUS_OK:
        raise from_native(status, error[0])
    errors: dict[str, int] = {}
    for status, count in enumerate(native.errors):
        if count:
            name = class_of(status).__name__
            errors[name] = errors.get(name, 0) + count
    return Metrics(errors=errors, topics=_topics(client), **{name: getattr(native, name) for name in _NUMBERS})


def _topics(client: CData) -> dict[str, TopicMetrics]:
    error = ffi.new("flv_error_t **")
    count = ffi.new("size_t *")
    capacity = _CAPACITY
    while True:
        found = ffi.new("flv_topic_metrics_t[]", capacity)
        raise_status(lib.flv_client_topic_metrics(client, found, capacity, count, error), error)
        if count[0] <= capacity:
            return {
                text_of(topic.topic): TopicMetrics(**{name: getattr(topic, name) for name in _NUMBERS_OF_TOPIC})
                for topic in found[0 : count[0]]
            }
        capacity = count[0]
