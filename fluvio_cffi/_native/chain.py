"""SmartModules as the library takes them."""

from __future__ import annotations

from collections.abc import Sequence

from fluvio_cffi._values.smartmodules import KINDS, SmartModule

from .calls import Slice
from .loader import CData, ffi, lib


def native_chain(modules: Sequence[SmartModule]) -> tuple[CData, list[object]]:
    """``flv_smartmodule_t[]``, and what it points to."""
    alive: list[object] = []

    def lent(data: str | bytes) -> CData:
        kept = Slice(data)
        alive.append(kept)
        return kept.value

    chain = ffi.new("flv_smartmodule_t[]", len(modules))
    for place, module in zip(chain, modules, strict=True):
        lib.flv_smartmodule_init(ffi.addressof(place), ffi.sizeof("flv_smartmodule_t"))
        # Whoever gives a first value says that it is an aggregate.
        kind = module.kind or ("aggregate" if module.initial is not None else None)
        place.kind = 0 if kind is None else KINDS.index(kind) + 1
        place.name = lent(module.name or "")
        place.wasm = lent(module.wasm or b"")
        params = ffi.new("flv_parameter_t[]", len(module.params))
        alive.append(params)
        for param, (name, value) in zip(params, module.params.items(), strict=True):
            param.name = lent(name)
            param.value = lent(value)
        place.parameters = params
        place.parameters_len = len(module.params)
        place.initial = lent(module.initial or b"")
        if module.lookback is not None:
            place.has_lookback = 1
            place.lookback_last = module.lookback.last
            place.lookback_age_ms = module.lookback.age_ms
    return chain, alive
