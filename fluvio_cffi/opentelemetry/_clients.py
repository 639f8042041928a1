"""What the clients of this process count by themselves."""

from __future__ import annotations

import itertools
import threading
import time
import weakref
from typing import Final, NamedTuple

from fluvio_cffi._lifetime import logger
from fluvio_cffi._native.loader import CData
from fluvio_cffi._native.metrics import read_metrics
from fluvio_cffi._values.measures import at_rest, together
from fluvio_cffi._values.metrics import Metrics

# Of one collection, all instruments ask within this time.
_SECONDS: Final = 0.05
_MOST_GONE: Final = 64


class _Client(NamedTuple):
    """One client: the library's, or, once that is gone, what it had counted."""

    endpoint: str
    handle: CData
    metrics: Metrics | None


class Clients:
    """All clients. Those that are gone go on to be counted: what rises may never fall."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: weakref.WeakSet[object] = weakref.WeakSet()
        # A finalizer may come at any time, so it only puts one entry in the place of another, in one step.
        self._clients: dict[int, _Client] = {}
        self._numbers = itertools.count()
        self._totals: dict[str, Metrics] = {}
        self._counted = float("-inf")

    def add(self, session: object, endpoint: str, handle: CData) -> None:
        """One more; again, nothing happens.

        :param session: lives as long as anything of the client.
        """
        if session not in self._known:
            self._known.add(session)
            number = next(self._numbers)
            self._clients[number] = _Client(endpoint, handle, None)
            weakref.finalize(session, self._end, number).atexit = False

    def forget(self) -> None:
        """In a child of the process there are none of them. A thread that counted them may have had the lock."""
        self._lock = threading.Lock()
        self._clients = {}
        self._totals = {}

    @property
    def known(self) -> int:
        """How many there are to be added up."""
        return len(self._clients)

    def totals(self, now: bool = False) -> dict[str, Metrics]:
        """What was counted by the clients of each cluster, together, by its address.

        :param now: at this moment; else it may be some milliseconds old.
        """
        with self._lock:
            if now or time.monotonic() - self._counted > _SECONDS:
                self._totals = self._count()
                self._counted = time.monotonic()
            return self._totals

    def _count(self) -> dict[str, Metrics]:
        totals: dict[str, Metrics] = {}
        gone = {number: client for number, client in [*self._clients.items()] if client.metrics is not None}
        if len(gone) > _MOST_GONE:
            self._unite(gone)
        for client in [*self._clients.values()]:
            _add(totals, client)
        return totals

    def _unite(self, gone: dict[int, _Client]) -> None:
        """One entry for all that are gone, of each cluster."""
        united: dict[str, Metrics] = {}
        for client in gone.values():
            _add(united, client)
        for number in gone:
            del self._clients[number]
        for endpoint, metrics in united.items():
            self._clients[next(self._numbers)] = _Client(endpoint, None, metrics)

    def _end(self, number: int) -> None:
        client = self._clients.get(number)
        if client is not None:
            try:
                self._clients[number] = client._replace(metrics=at_rest(read_metrics(client.handle)), handle=None)
            except Exception as error:
                del self._clients[number]
                logger.debug("what a client has counted cannot be read: %s", error)


def _add(totals: dict[str, Metrics], client: _Client) -> None:
    metrics = read_metrics(client.handle) if client.metrics is None else client.metrics
    before = totals.get(client.endpoint)
    totals[client.endpoint] = metrics if before is None else together(before, metrics)
