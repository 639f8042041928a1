"""What is measured. Each measure is prepared, run and checked in the same way for every contestant."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator
from dataclasses import dataclass

from contestants import Contestant

from fluvio_cffi import Fluvio

SIZE = 100


@dataclass(frozen=True)
class Amounts:
    """How much each run does."""

    records: int
    sends: int
    intervals: int
    interval_ms: int


@dataclass(frozen=True)
class Measure:
    """`unit` says which figure counts: records per second, or the median in microseconds.

    `at_least`: the least ratio to the official client that is aimed at; `at_most`: the most microseconds on asyncio.
    """

    name: str
    title: str
    unit: str = "records/s"
    write_like_real: bool = False
    at_least: float | None = None
    at_most: float | None = None

    @property
    def more_is_better(self) -> bool:
        return self.unit == "records/s"

    def figure(self, result: dict[str, float], amounts: Amounts) -> float:
        return amounts.records / result["seconds"] if self.more_is_better else result["p50_us"]


MEASURES = (
    Measure("produce", "bulk produce, until all are acknowledged", at_least=2.0),
    Measure("consume-batches", "bulk consume by batches, all values taken", at_least=2.0),
    Measure("consume-records", "bulk consume record by record"),
    Measure("latency", "one record sent and acknowledged, one in flight", "µs (p50)"),
    Measure(
        "end-to-end",
        "from send to another client, a record now and then, the cluster writing as the real one does",
        "µs (p50)",
        write_like_real=True,
        at_most=1000.0,
    ),
)


class Bench:
    """Runs measures on one cluster."""

    def __init__(self, endpoint: str, referee: Contestant, amounts: Amounts) -> None:
        self._endpoint = endpoint
        self._referee = referee
        self._amounts = amounts
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def topic(self) -> Generator[str]:
        """An empty topic, deleted afterwards."""
        name = f"bench-{next(self._numbers)}"
        with Fluvio.connect(self._endpoint) as client:
            client.admin.topics.create(name)
        try:
            yield name
        finally:
            with Fluvio.connect(self._endpoint) as client:
                client.admin.topics.delete(name)

    @contextlib.contextmanager
    def backlog(self, measure: Measure) -> Generator[str | None]:
        """For measures of reading: a topic that all contestants read, written by the official client."""
        if not measure.name.startswith("consume"):
            yield None
            return
        with self.topic() as topic:
            self._referee.run("produce", self._endpoint, topic, self._amounts.records, SIZE)
            yield topic

    def run(self, measure: Measure, contestant: Contestant, backlog: str | None) -> dict[str, float]:
        """One run. What was written is read back by the official client, not by the one that wrote it."""
        amounts = self._amounts
        if backlog is not None:
            return contestant.run(measure.name, self._endpoint, backlog, amounts.records, SIZE)
        with self.topic() as topic:
            if measure.name == "end-to-end":
                return contestant.run(measure.name, self._endpoint, topic, amounts.intervals, amounts.interval_ms)
            count = amounts.records if measure.name == "produce" else amounts.sends
            result = contestant.run(measure.name, self._endpoint, topic, count, SIZE)
            self._referee.run("consume-records", self._endpoint, topic, count, SIZE)
            return result
