"""The runs of a measure: topics and backlogs, rounds, and who reads back what was written."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from contestants import HERE, Contestant, Failure, ours
from measures import Measure

from fluvio_cffi import Fluvio, LocalCluster

Result = dict[str, float]


class Skip(Exception):
    """A measure that is not possible here, and why."""


class Bench:
    """Runs measures on one cluster: `cluster`, or whatever is at `endpoint`."""

    def __init__(
        self,
        endpoint: str,
        cluster: LocalCluster | None,
        referee: Contestant,
        wheel: Path | None,
        progress: Callable[[str], None],
    ) -> None:
        self._endpoint = endpoint
        self._cluster = cluster
        self._referee = referee
        self._wheel = wheel
        self._progress = progress
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def _topic(self, partitions: int = 1) -> Generator[str]:
        """An empty topic, deleted afterwards."""
        name = f"bench-{os.getpid()}-{next(self._numbers)}"
        with Fluvio.connect(self._endpoint) as client:
            client.admin.topics.create(name, partitions=partitions)
        try:
            yield name
        finally:
            with Fluvio.connect(self._endpoint) as client:
                client.admin.topics.delete(name)

    def rounds(
        self, measure: Measure, contestants: Sequence[Contestant], rounds: int
    ) -> tuple[dict[str, list[Result]], list[str]]:
        """A B C, B C A, C A B, ...: what the machine does meanwhile meets all alike. The results, and what failed: who
        failed once does not go on."""
        runs: dict[str, list[Result]] = {contestant.name: [] for contestant in contestants}
        failures: list[str] = []
        with contextlib.ExitStack() as backlogs:
            known: dict[int, str] = {}
            for number in range(rounds):
                shift = number % len(contestants)
                for contestant in [*contestants[shift:], *contestants[:shift]]:
                    if contestant.name not in runs:
                        continue
                    self._progress(f"{measure.name}, round {number + 1} of {rounds}: {contestant.name}")
                    spec = self._spec(measure, contestant)
                    try:
                        if measure.kind == "read":
                            count = spec["count"]
                            if count not in known:
                                known[count] = backlogs.enter_context(self._backlog(spec))
                            before = self._cluster_seconds()
                            result = contestant.run({**spec, "topic": known[count]})
                            result["cluster_ns"] = (self._cluster_seconds() - before) / count * 1e9
                        else:
                            result = self._run(measure, contestant, spec)
                    except Failure as failure:
                        failures.append(f"{measure.name}: {failure}")
                        del runs[contestant.name]
                    else:
                        if measure.is_rate:
                            result["rate"] = spec["count"] / result["seconds"]
                        runs[contestant.name].append(result)
        return runs, failures

    def _cluster_seconds(self) -> float:
        """The processor time that the cluster has taken, if it is ours."""
        if self._cluster is None or not sys.platform.startswith("linux"):
            return 0.0
        fields = Path(f"/proc/{self._cluster.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _spec(self, measure: Measure, contestant: Contestant) -> dict[str, Any]:
        spec = {**measure.spec, "addr": self._endpoint}
        if "count" in spec:
            spec["count"] = max(int(spec["count"] * contestant.share), 10)
        return spec

    @contextlib.contextmanager
    def _backlog(self, spec: Mapping[str, Any], writer: Contestant | None = None) -> Generator[str]:
        """A topic to read, written by the official client."""
        with self._topic(spec.get("partitions", 1)) as topic:
            (writer or self._referee).run({**spec, "verb": "produce", "topic": topic})
            yield topic

    def _run(self, measure: Measure, contestant: Contestant, spec: Mapping[str, Any]) -> Result:
        if measure.kind == "start":
            start = Contestant(contestant.name, [*contestant.command[:1], str(HERE / "start.py")])
            return start.run({**spec, "verb": "start"})
        if measure.kind == "cluster":
            return _cluster()
        if measure.kind == "wheel":
            if self._wheel is None:
                raise Skip("no wheel was named (--wheel)")
            return {"megabytes": self._wheel.stat().st_size / 1e6}
        if measure.kind == "growth":
            return self._growth(contestant, spec)
        if measure.kind == "stalled-consumer":
            with self._backlog(spec) as topic:
                return contestant.run({**spec, "topic": topic})
        if measure.kind == "stalled-producer":
            if self._cluster is None:
                raise Skip("only a cluster of our own can be stopped")
            # Another one: nobody else is to notice.
            with LocalCluster() as cluster:
                with Fluvio.connect(cluster.endpoint) as client:
                    client.admin.topics.create("stalled")
                return contestant.run({**spec, "addr": cluster.endpoint, "topic": "stalled", "pid": cluster.pid})
        with self._topic(spec.get("partitions", 1)) as topic:
            result = contestant.run({**spec, "topic": topic})
            if measure.kind == "write":
                # Whoever wrote it, the official client reads it back.
                self._referee.run({**spec, "verb": "consume", "topic": topic})
            return result

    def _growth(self, contestant: Contestant, spec: Mapping[str, Any]) -> Result:
        """The same with `count` records and with ten times as many."""
        found: list[Result] = []
        for count in (spec["count"], spec["count"] * 10):
            larger = {**spec, "count": count}
            # Written by ourselves: the official client would need gigabytes for it.
            topic = self._backlog(larger, ours("sync")) if spec["verb"] == "consume" else self._topic()
            with topic as name:
                found.append(contestant.run({**larger, "topic": name}))
                if spec["verb"] == "produce":
                    ours("sync").run({**larger, "verb": "consume", "topic": name})
        small, large = found
        return {
            "growth": large["seconds"] / small["seconds"],
            "seconds": large["seconds"],
            "peak_mib": large["peak_mib"],
            "peak_grown_mib": large["peak_mib"] - small["peak_mib"],
        }


def _cluster() -> Result:
    begun = time.perf_counter()
    with LocalCluster():
        return {"ready_ms": (time.perf_counter() - begun) * 1000}
