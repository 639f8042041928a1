"""Several topics that are read as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fluvio_cffi import Consumer, FluvioTimeoutError

from ._bridge import LATER, Bridge, Holder


class Several:
    """Consumers of one client that take turns: none waits for another one that has more."""

    __slots__ = ("_bridge", "_consumers", "_handed_out")

    def __init__(self, bridge: Bridge, consumers: Sequence[Consumer]) -> None:
        self._bridge = bridge
        self._consumers = deque(consumers)
        self._handed_out = 0

    def hold(self, holder: Holder) -> bool:
        """Gives the holder the next record; false: all have come to their ends."""
        while not self._take(holder):
            if not self._consumers:
                return False
            self._bridge.any_ready_now(self._consumers)
        return True

    async def hold_later(self, holder: Holder) -> bool:
        """The same, for tasks. One that is cancelled has taken nothing."""
        self._handed_out += 1
        if self._handed_out % LATER == 0:
            await self._bridge.rest()
        while not self._take(holder):
            if not self._consumers:
                return False
            await self._bridge.any_ready(self._consumers)
        return True

    def _take(self, holder: Holder) -> bool:
        """Whether a record was there."""
        bridge, consumers = self._bridge, self._consumers
        for _ in range(len(consumers)):
            consumer = consumers[0]
            try:
                if bridge.hold(consumer, holder) or bridge.hold_now(consumer, holder, 0):
                    consumers.rotate(-1)
                    return True
                consumers.popleft()
            except FluvioTimeoutError:
                consumers.rotate(-1)
        return False
