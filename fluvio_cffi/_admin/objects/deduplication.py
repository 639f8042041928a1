"""How topics drop records that were there already."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from fluvio_cffi._admin.checks import U64, assign, texts
from fluvio_cffi._admin.document import named
from fluvio_cffi._admin.value import value
from fluvio_cffi._check import number, text
from fluvio_cffi._types import Duration, parse_duration


@value(init=False)
class Deduplication:
    """How a topic drops records that were there already.

    :param smartmodule: the name of the SmartModule that finds the repeats.
    :param count: among how many of the last records, at least 1.
    :param age: and of how many seconds at most, or text such as ``"5m"``; ``None``: of any age.
    :param params: what the SmartModule is given besides.
    """

    smartmodule: str
    count: int
    age: float | None = field(metadata=named("age_ms", units=1000))
    params: Mapping[str, str] = field(hash=False)

    def __init__(
        self, smartmodule: str, *, count: int, age: Duration | None = None, params: Mapping[str, str] | None = None
    ) -> None:
        assign(
            self,
            smartmodule=text(smartmodule, "smartmodule"),
            count=number(count, "count", 1, U64),
            age=None if age is None else parse_duration(age, "age"),
            params=texts({} if params is None else params, "params"),
        )
