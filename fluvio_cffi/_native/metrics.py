"""Reads the metrics of a client."""

from __future__ import annotations

from dataclasses import fields

from fluvio_cffi._values.metrics import Metrics

from .errors import class_of, from_native
from .loader import CData, ffi, lib

_NUMBERS = tuple(item.name for item in fields(Metrics) if item.name != "errors")


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
    return Metrics(errors=errors, **{name: getattr(native, name) for name in _NUMBERS})
