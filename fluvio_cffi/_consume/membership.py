"""How a consumer takes part in a group: the arguments of ``consumer`` that speak of it, checked when given."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from fluvio_cffi._errors import ConfigError
from fluvio_cffi._native.calls import Slice, milliseconds
from fluvio_cffi._native.loader import CData
from fluvio_cffi._values.checks import shown, text, wrong_value
from fluvio_cffi._values.quantities import Duration, parse_duration

Listener: TypeAlias = Callable[[tuple[int, ...]], object]
"""What ``on_assigned``, ``on_revoked`` and ``on_lost`` may be: a function that takes the partitions, or, with the
``Async`` classes, a coroutine function."""

SESSION_TIMEOUT: Final = 10.0
REBALANCE_TIMEOUT: Final = 60.0
PROCESSING_TIMEOUT: Final = 300.0
_LONGEST_NAME: Final = 200
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f]")


class Membership:
    """Which group a consumer is a member of, and how.

    :ivar group: its name.
    :ivar instance: what the member is called across restarts, if it is.
    :ivar on_assigned: called once it has got partitions.
    :ivar on_revoked: called before partitions go.
    :ivar on_lost: called when partitions are gone.
    """

    __slots__ = (
        "group",
        "instance",
        "on_assigned",
        "on_lost",
        "on_revoked",
        "processing_timeout",
        "rebalance_timeout",
        "session_timeout",
    )

    def __init__(
        self,
        group: str,
        instance: str | None,
        session_timeout: float,
        rebalance_timeout: float,
        processing_timeout: float,
        on_assigned: Listener | None,
        on_revoked: Listener | None,
        on_lost: Listener | None,
    ) -> None:
        self.group: str = group
        self.instance: str | None = instance
        self.session_timeout: float = session_timeout
        self.rebalance_timeout: float = rebalance_timeout
        self.processing_timeout: float = processing_timeout
        self.on_assigned: Listener | None = on_assigned
        self.on_revoked: Listener | None = on_revoked
        self.on_lost: Listener | None = on_lost

    @classmethod
    def of(
        cls,
        group: str | None,
        instance: str | None,
        session_timeout: Duration,
        rebalance_timeout: Duration,
        processing_timeout: Duration,
        on_assigned: Listener | None,
        on_revoked: Listener | None,
        on_lost: Listener | None,
    ) -> Membership | None:
        """What the arguments say; ``None``: the consumer is no member of a group."""
        session = _between(session_timeout, "session_timeout", 1.0, 3600.0, "from 1 s to 1 h")
        rebalance = _between(rebalance_timeout, "rebalance_timeout", 0.001, 86400.0, _TO_A_DAY)
        processing = _between(processing_timeout, "processing_timeout", 0.001, 86400.0, _TO_A_DAY)
        if group is None:
            alone = {"instance": instance, "on_assigned": on_assigned, "on_revoked": on_revoked, "on_lost": on_lost}
            for name, given in alone.items():
                if given is not None:
                    raise ConfigError(f"{name} is for the members of a group: it needs a group")
            return None
        return cls(
            _name(group, "group"),
            None if instance is None else _name(instance, "instance"),
            session,
            rebalance,
            processing,
            on_assigned,
            on_revoked,
            on_lost,
        )

    def write(self, options: CData) -> tuple[Slice, Slice]:
        """Writes it into an ``flv_consumer_options_t``; what that points to."""
        group, instance = Slice(self.group), Slice(self.instance or "")
        options.group, options.instance = group.value, instance.value
        options.session_timeout_ms = milliseconds(self.session_timeout)
        options.rebalance_timeout_ms = milliseconds(self.rebalance_timeout)
        options.processing_timeout_ms = milliseconds(self.processing_timeout)
        options.revoke_waits = self.on_revoked is not None
        return group, instance


_TO_A_DAY: Final = "from 1 ms to 1 day"


def group_name(value: object) -> str:
    """The name of a group."""
    return _name(value, "group")


def _name(value: object, name: str) -> str:
    checked = text(value, name)
    size = len(checked.encode())
    if size > _LONGEST_NAME:
        raise ConfigError(f"{name} has {size} bytes: it must have 1 to {_LONGEST_NAME}")
    if _CONTROL.search(checked):
        raise ConfigError(f"{name} is {shown(checked)}: it must have no control characters")
    return checked


def _between(value: Duration, name: str, least: float, most: float, allowed: str) -> float:
    seconds = parse_duration(value, name)
    if not least <= seconds <= most:
        raise wrong_value(name, value, allowed)
    return seconds
