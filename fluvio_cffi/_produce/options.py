"""Arguments of ``producer`` and ``consumer``: checked when given, and as the library takes them."""

from __future__ import annotations

import warnings
import zlib
from typing import Final

from fluvio_cffi._native.calls import milliseconds
from fluvio_cffi._native.chain import native_chain
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._values.checks import choice, number, wrong_type, wrong_value
from fluvio_cffi._values.quantities import Duration, Size, limit, parse_duration, parse_size
from fluvio_cffi._values.records import ISOLATIONS, Codec, Delivery, Isolation, Partitioning
from fluvio_cffi._values.smartmodules import SmartModule, SmartModuleChain, chain_of

# Bytes, compressed, of code that is better stored in the cluster.
_LARGE: Final = 64 << 10
_DELIVERIES: Final = ("at_least_once", "at_most_once")
_COMPRESSIONS: Final = {
    None: lib.FLV_COMPRESSION_TOPIC,
    "none": lib.FLV_COMPRESSION_NONE,
    "gzip": lib.FLV_COMPRESSION_GZIP,
    "snappy": lib.FLV_COMPRESSION_SNAPPY,
    "lz4": lib.FLV_COMPRESSION_LZ4,
    "zstd": lib.FLV_COMPRESSION_ZSTD,
}


class ProducerOptions:
    """How to produce."""

    __slots__ = (
        "_compression",
        "_delivery",
        "_isolation",
        "_linger",
        "_max_in_flight",
        "batch_size",
        "buffer_size",
        "delivery_timeout",
        "max_request_size",
        "partitioner",
        "smartmodules",
    )

    def __init__(
        self,
        batch_size: Size | None,
        linger: Duration,
        compression: Codec | None,
        max_request_size: Size,
        buffer_size: Size,
        max_in_flight: int,
        isolation: Isolation,
        delivery: Delivery,
        delivery_timeout: Duration,
        partitioner: Partitioning | None,
        smartmodules: SmartModuleChain,
    ) -> None:
        if partitioner is not None and not callable(partitioner):
            raise wrong_type("partitioner", "callable, such as Partitioner.fixed(0)", partitioner)
        self.partitioner: Partitioning | None = partitioner
        self._linger = parse_duration(linger, "linger")
        if self._linger > 60:
            raise wrong_value("linger", linger, "at most 60 s")
        if compression is not None:
            choice(compression, "compression", tuple(name for name in _COMPRESSIONS if name is not None))
        self._compression = _COMPRESSIONS[compression]
        self.max_request_size: int = number(
            parse_size(max_request_size, "max_request_size"), "max_request_size", 1024, 32 << 20
        )
        self.buffer_size: int = number(
            parse_size(buffer_size, "buffer_size"), "buffer_size", self.max_request_size, 1 << 40
        )
        self._max_in_flight = number(max_in_flight, "max_in_flight", 1, 1000)
        self._isolation = choice(isolation, "isolation", ISOLATIONS)
        self._delivery = choice(delivery, "delivery", _DELIVERIES)
        self.delivery_timeout: float = limit(delivery_timeout, "delivery_timeout")
        self.smartmodules: tuple[SmartModule, ...] = chain_of(smartmodules)
        if batch_size is None:
            # The server compiles SmartModules for each batch.
            batch_size = 16_384 if not self.smartmodules else 256 << 10
        self.batch_size: int = number(parse_size(batch_size, "batch_size"), "batch_size", 1, 32 << 20)
        for module in self.smartmodules:
            _warn_if_large(module)

    def native(self) -> tuple[CData, list[object]]:
        """``flv_producer_options_t *`` and what it points to."""
        options = ffi.new("flv_producer_options_t *")
        lib.flv_producer_options_init(options, ffi.sizeof("flv_producer_options_t"))
        options.batch_size = self.batch_size
        options.linger_us = int(self._linger * 1_000_000)
        options.compression = self._compression
        options.max_request_size = self.max_request_size
        options.buffer_size = self.buffer_size
        options.max_in_flight = self._max_in_flight
        options.isolation = self._isolation
        options.delivery = self._delivery
        options.delivery_timeout_ms = milliseconds(self.delivery_timeout)
        chain, alive = native_chain(self.smartmodules)
        if self.smartmodules:
            options.smartmodules = chain
            options.smartmodules_len = len(self.smartmodules)
        return options, [chain, alive]


def _warn_if_large(module: SmartModule) -> None:
    """Code that is not stored in the cluster goes with each request."""
    if module.wasm is None or len(module.wasm) <= _LARGE:
        return
    size = len(zlib.compress(module.wasm)) if module.wasm.startswith(b"\0asm") else len(module.wasm)
    if size > _LARGE:
        warnings.warn(
            f"{module!r} goes with each request, {size} bytes: store it by admin.smartmodules.create, and use its name",
            ResourceWarning,
            stacklevel=4,
        )
