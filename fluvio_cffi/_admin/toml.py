"""What a ``SmartModule.toml`` says, as the library reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from fluvio_cffi._errors import ConfigError
from fluvio_cffi._native.calls import Slice, copy_buffer
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._values.files import contents


def smartmodule_document(path: str | os.PathLike[str]) -> Mapping[str, Any]:
    """The document of the spec.

    :raises ConfigError: the file cannot be read, or is no ``SmartModule.toml``.
    """
    toml, buffer, error = Slice(contents(path)), ffi.new("flv_buffer_t **"), ffi.new("flv_error_t **")
    try:
        raise_status(lib.flv_smartmodule_spec(toml.value, buffer, error), error)
    except ConfigError as cause:
        raise ConfigError(f"path is {str(path)!r}: {cause}") from cause
    answer = ffi.gc(buffer[0], lib.flv_buffer_free)
    document: Mapping[str, Any] = json.loads(copy_buffer(answer))
    return document
