"""Numbers of partitions, as callers give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from fluvio_cffi._errors import ConfigError

from .checks import number, wrong_type


def numbers(partitions: Iterable[int] | int | None) -> tuple[int, ...]:
    """The numbers of partitions that are given as ``partitions``; none: all."""
    if partitions is None:
        return ()
    if isinstance(partitions, int):
        partitions = (partitions,)
    elif isinstance(partitions, (str, bytes, Mapping)) or not isinstance(partitions, Iterable):
        raise wrong_type("partitions", "one or several numbers of partitions", cast("object", partitions))
    found = tuple(dict.fromkeys(number(item, "a partition", 0, (1 << 31) - 1) for item in partitions))
    if not found:
        raise ConfigError("partitions is empty: leave it out for all of them")
    return found
