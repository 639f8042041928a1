"""Several topics that are read as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from fluvio_cffi import ClosedError, Consumer, FluvioTimeoutError, Record

from ._bridge import LATER, Bridge


class Several:
    """Consumers of one client that take turns: none waits for another one that has more."""

    __slots__ = ("_bridge", "_consumers", "_handed_out")

    def __init__(self, bridge: Bridge, consumers: Sequence[Consumer]) -> None:
        self._bridge = bridge
        self._consumers = deque(consumers)
        self._handed_out = 0

    def next(self) -> Record | None:
        """The next record; ``None``: all have come to their ends."""
        while True:
            record = self._take()
            if record is not None or not self._consumers:
                return record
            self._bridge.any_ready_now(self._consumers)

    async def async_next(self) -> Record | None:
        """The same, for tasks. One that is cancelled has taken nothing."""
        self._handed_out += 1
        if self._handed_out % LATER == 0:
            await self._bridge.rest()
        while True:
            record = self._take()
            if record is not None or not self._consumers:
                return record
            await self._bridge.any_ready(self._consumers)

    def _take(self) -> Record | None:
        """A record that is there; ``None``: none is."""
        consumers = self._consumers
        for _ in range(len(consumers)):
            consumer = consumers[0]
            try:
                record = consumer.receive(timeout=0)
            except FluvioTimeoutError:
                consumers.rotate(-1)
            except ClosedError:
                consumers.popleft()
            else:
                consumers.rotate(-1)
                return record
        return None
