"""What a watch has told, put together."""

from __future__ import annotations

import time
from typing import Any

from fluvio_cffi import Change


class Seen:
    """What a watch has told: for each object its latest state."""

    def __init__(self, watch: Any) -> None:
        self.watch = watch
        self.objects: dict[str, Any] = {}
        self.snapshots = 0
        self.deleted: set[str] = set()

    def add(self, change: Change[Any]) -> None:
        names = {item.name: item for item in change.items}
        if change.kind == "snapshot":
            self.snapshots += 1
            self.deleted |= self.objects.keys() - names.keys()
            self.objects = names
        elif change.kind == "updated":
            self.objects |= names
            self.deleted -= names.keys()
        else:
            assert change.kind == "deleted"
            self.deleted |= names.keys()
            for name in names:
                self.objects.pop(name, None)

    async def until(self, true: Any, seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not true(self):
            self.add(await self.watch.receive(timeout=max(0.0, deadline - time.monotonic())))
