"""What is measured, and what is aimed at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from contestants import BATCHES, HOSTS, OFF, OFFICIAL, PEER, PLAIN, SHARED, TRACED

MIB = 1 << 20
MODULES = Path(__file__).parent.parent / "tests" / "smartmodules"
SIZE = 100
LOOPS = ("asyncio", "uvloop", "trio")
# `write`: into an empty topic, read back by the official client. `read`: a topic that all contestants read, written by
# the official client. `pair`: an empty topic; the run checks itself. `growth`: `count` records and ten times as many;
# the figure is how much longer these take. The others have no topic, or one of their own.
Kind = Literal["write", "read", "pair", "growth", "stalled-consumer", "stalled-producer", "start", "cluster", "wheel"]


@dataclass(frozen=True)
class Target:
    """`figure` (else that of the measure) of each of `of` must be at most or at least `bound`: itself, as a multiple of
    that of `against`, or, with `above`, less that figure of the same run. `goal`: where it is to go from there."""

    text: str
    of: tuple[str, ...]
    bound: float
    goal: float | None = None
    at_least: bool = False
    against: str | None = None
    figure: str | None = None
    above: str | None = None


@dataclass(frozen=True)
class Measure:
    """`figure`: the name in the result of a run that counts, or "rate": records per second."""

    name: str
    title: str
    kind: Kind
    who: tuple[str, ...]
    spec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    figure: str = "rate"
    unit: str = "records/s"
    # A part of the rounds that --rounds asks for.
    rounds: float = 1.0
    write_like_real: bool = False
    targets: tuple[Target, ...] = ()
    # Other figures to show: title and name in the result.
    beside: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_rate(self) -> bool:
        return self.figure == "rate"


@dataclass(frozen=True)
class Amounts:
    """How much each run does."""

    records: int = 1_000_000
    sends: int = 5_000
    task_sends: int = 300_000
    intervals: int = 45
    interval_ms: int = 50
    health: int = 500_000
    backlog: int = 100 * MIB
    # Of bench-full.
    cell: int = 100_000_000
    most: int = 10_000_000
    consumers: int = 1000
    partitions: int = 1000
    quiet: float = 25


# At least this multiple of as many tasks of the official client, and where it is to go.
TASKS: dict[int, dict[str, tuple[float, float | None]]] = {
    1000: {"asyncio": (0.5, 0.8), "uvloop": (0.65, 0.9), "trio": (0.4, 0.6)},
    100: {"asyncio": (0.8, None), "uvloop": (1.0, None)},
}
PERCENTILES = {"p90": "p90_us", "p99": "p99_us", "p99.9": "p999_us"}
PEAK = {"peak MiB": "peak_mib"}


def times(factor: float, of: tuple[str, ...], against: str, text: str, goal: float | None = None) -> Target:
    return Target(text, of, factor, goal, at_least=True, against=against)


def _arrow(amounts: Amounts) -> list[Measure]:
    """The bulk measures with columns in place of objects, beside the others with what they have."""
    spec = {"count": amounts.records, "size": SIZE, "partitions": 1, "by": "arrow"}
    return [
        Measure(
            "produce-arrow",
            "bulk produce of one column of a table, until all are acknowledged, one partition",
            "write",
            (OFFICIAL, PLAIN, *HOSTS),
            {**spec, "verb": "produce"},
            rounds=0.8,
            targets=(times(0.9, HOSTS, PLAIN, "send_arrow against the plain loop"),),
        ),
        Measure(
            "consume-arrow",
            "bulk consume as Arrow data, the number of every value summed by Arrow, one partition",
            "read",
            (OFFICIAL, BATCHES, PLAIN, *HOSTS),
            {**spec, "verb": "consume"},
            rounds=0.8,
            targets=(
                times(8, HOSTS, OFFICIAL, "consume as Arrow data, against the official client"),
                times(0.7, HOSTS, PLAIN, "consume as Arrow data, against the plain loop"),
            ),
        ),
    ]


def _tracing(by: str, amounts: Amounts) -> Measure:
    """Without and with spans."""
    return Measure(
        f"tracing-{by}",
        f"bulk consume by {by} in a process that can trace, one partition",
        "read",
        ("sync", OFF, TRACED),
        {"verb": "consume", "by": by, "count": amounts.records, "size": SIZE, "partitions": 1},
        rounds=0.8,
        targets=(Target(f"processor time, by {by}, tracing off", (OFF,), 1.05, against="sync", figure="cpu_seconds"),),
    )


def table(amounts: Amounts) -> list[Measure]:
    """The measures of ``make bench``."""
    records = {"count": amounts.records, "size": SIZE}
    found: list[Measure] = []
    for partitions in (1, 3):
        place = "one partition" if partitions == 1 else "three partitions"
        spec = {**records, "partitions": partitions}
        rounds = 1.0 if partitions == 1 else 0.8
        alone = (BATCHES, PLAIN) if partitions == 1 else ()
        found += [
            Measure(
                f"produce-{partitions}",
                f"bulk produce, until all are acknowledged, {place}",
                "write",
                (OFFICIAL, *alone[1:], PEER, *HOSTS),
                {**spec, "verb": "produce"},
                rounds=rounds,
                targets=(
                    times(4, HOSTS, OFFICIAL, f"bulk produce, {place}, against the official client", 6),
                    times(12, HOSTS, PEER, f"bulk produce, {place}, against PyPI fluvio", 16),
                ),
            ),
            Measure(
                f"batches-{partitions}",
                f"bulk consume by batches, all values taken, {place}",
                "read",
                (OFFICIAL, *alone, PEER, *HOSTS),
                {**spec, "verb": "consume", "by": "batches"},
                rounds=rounds,
                targets=(
                    times(4, HOSTS, OFFICIAL, f"consume by batches, {place}, against the official client", 6),
                    times(15, HOSTS, PEER, f"consume by batches, {place}, against PyPI fluvio", 20),
                ),
            ),
            Measure(
                f"records-{partitions}",
                f"bulk consume record by record, {place}",
                "read",
                (OFFICIAL, *HOSTS),
                {**spec, "verb": "consume", "by": "records"},
                rounds=0.8,
                targets=(
                    times(2, ("sync",), OFFICIAL, f"single records, {place}, with `for`", 2.5),
                    times(1.5, LOOPS, OFFICIAL, f"single records, {place}, with `async for`", 2),
                ),
            ),
        ]
    found += _arrow(amounts)
    found += [_through(module, amounts) for module in ("contains", "upper")]
    found += [_tracing(by, amounts) for by in ("batches", "records")]
    one = {"verb": "send", "size": SIZE, "count": amounts.sends, "tasks": 1}
    found.append(
        Measure(
            "latency",
            "one record sent and acknowledged, one in flight",
            "write",
            (OFFICIAL, PEER, *HOSTS),
            one,
            figure="p50_us",
            unit="µs (p50)",
            targets=(Target("acked send p50", ("asyncio",), 0.7, 0.55, against=OFFICIAL),),
            beside=PERCENTILES,
        )
    )
    found.append(
        Measure(
            "end-to-end",
            f"from send to another client, a record every {amounts.interval_ms} ms, the cluster writes as the real one",
            "pair",
            (OFFICIAL, SHARED, *HOSTS),
            {"verb": "end-to-end", "size": SIZE, "count": amounts.intervals, "interval_ms": amounts.interval_ms},
            figure="p50_us",
            unit="µs (p50)",
            rounds=0.6,
            write_like_real=True,
            targets=(Target("end to end p50, µs", ("asyncio",), 1000, 600),),
            beside=PERCENTILES,
        )
    )
    found += [_tasks(tasks, amounts) for tasks in TASKS]
    found.append(_health(amounts))
    for verb in ("produce", "consume"):
        found.append(_growth(verb, amounts.records // 10, 12.0, 11.0))
    bound = 32 * MIB
    for name, kind, title in (
        ("stalled-consumer", "stalled-consumer", "a consumer that is not read, prefetch 32 MiB"),
        ("stalled-producer", "stalled-producer", "a producer whose cluster stands still, buffer 32 MiB"),
    ):
        found.append(
            Measure(
                name,
                f"memory of {title}",
                kind,  # type: ignore[arg-type]
                ("sync",),
                {"verb": name, "size": 1000, "count": amounts.backlog // 1000, "bound": bound},
                figure="above_mib",
                unit="MiB above",
                rounds=0.6,
                targets=(Target(f"memory of a {name.replace('-', ' ')} above its bound, MiB", ("sync",), 16, 8),),
                beside={"grown MiB": "grown_mib"},
            )
        )
    found += [
        Measure(
            "import",
            "import, on top of asyncio",
            "start",
            ("asyncio",),
            figure="import_ms",
            unit="ms",
            targets=(Target("import, ms", ("asyncio",), 50, 25),),
            beside={"CPU ms": "import_cpu_ms"},
        ),
        Measure(
            "connect",
            "first connect of a process, on loopback",
            "start",
            ("asyncio",),
            figure="connect_ms",
            unit="ms",
            targets=(Target("connect, ms", ("asyncio",), 10, 5),),
        ),
        Measure(
            "cluster",
            "embedded cluster, from exec until it is ready",
            "cluster",
            ("cluster",),
            figure="ready_ms",
            unit="ms",
            targets=(Target("cluster ready, ms", ("cluster",), 50, 10),),
        ),
        Measure(
            "wheel",
            "the wheel, cluster included",
            "wheel",
            ("wheel",),
            figure="megabytes",
            unit="MB",
            rounds=0,
            targets=(Target("wheel, MB", ("wheel",), 8),),
        ),
    ]
    return found


def _through(module: str, amounts: Amounts) -> Measure:
    return Measure(
        f"through-{module}",
        f"bulk consume by batches through the SmartModule `{module}`, one partition",
        "read",
        (OFFICIAL, BATCHES, PEER, "asyncio", "sync"),
        {
            "verb": "consume",
            "by": "batches",
            "through": module,
            "wasm": str(MODULES / f"{module}.wasm"),
            "size": SIZE,
            "count": amounts.records,
            "partitions": 1,
        },
        rounds=0.6,
        targets=(times(1, ("asyncio", "sync"), OFFICIAL, f"through `{module}`, against the official client"),),
        beside={"cluster CPU ns": "cluster_ns", **PEAK},
    )


def _tasks(tasks: int, amounts: Amounts) -> Measure:
    targets = tuple(
        times(bound, (host,), OFFICIAL, f"{tasks:,} tasks that send and await, {host}", goal)
        for host, (bound, goal) in TASKS.get(tasks, {}).items()
    )
    count = max(amounts.task_sends * min(tasks, 100) // 100 // tasks, 2) * tasks
    return Measure(
        f"tasks-{tasks}",
        f"{tasks:,} tasks, each sending and awaiting",
        "write",
        (OFFICIAL, *LOOPS),
        {"verb": "send", "size": SIZE, "count": count, "tasks": tasks, "lanes": tasks},
        rounds=0.6,
        targets=targets,
        beside=PERCENTILES,
    )


def _health(amounts: Amounts) -> Measure:
    works = ("produce", "enqueue", "records", "batches")
    targets = [
        Target(f"loop's callbacks p99 while it does {work}, ms", ("asyncio",), 1, figure=f"{work}_callbacks_ms")
        for work in works
    ]
    targets += [
        Target(
            f"ticker lag p99 above control while it does {work}, ms",
            LOOPS,
            2,
            figure=f"{work}_lag_ms",
            above="control_lag_ms",
        )
        for work in works
    ]
    return Measure(
        "health",
        "the event loop at full load: how late a task runs that wants to run every millisecond",
        "pair",
        LOOPS,
        {"verb": "health", "size": SIZE, "count": amounts.health},
        figure="batches_lag_ms",
        unit="ms (p99)",
        rounds=0.6,
        targets=tuple(targets),
        beside={
            "control": "control_lag_ms",
            **{work: f"{work}_lag_ms" for work in works[:-1]},
            **{f"cb {work}": f"{work}_callbacks_ms" for work in works},
        },
    )


def _growth(verb: str, least: int, bound: float, goal: float | None = None, rounds: float = 1.0) -> Measure:
    most = least * 10
    return Measure(
        f"growth-{verb}" if rounds == 1.0 else f"growth-{verb}-{most}",
        f"{verb}: time for {most:,} records as a multiple of that for {least:,}",
        "growth",
        ("asyncio",),
        {"verb": verb, "by": "batches", "size": SIZE, "count": least, "lazy": True},
        figure="growth",
        unit="times",
        rounds=rounds,
        targets=(Target(f"{verb}: {most:,} records against {least:,}, times", ("asyncio",), bound, goal),),
        beside={"peak MiB": "peak_mib", "MiB more": "peak_grown_mib"},
    )


def full(amounts: Amounts) -> list[Measure]:
    """What ``make bench-full`` measures beyond that."""
    ours = ("asyncio",)
    found: list[Measure] = []

    def both(name: str, title: str, who: tuple[str, ...], **spec: Any) -> None:
        for direction, kind, verb in (("produce", "write", "produce"), ("consume", "read", "consume")):
            found.append(
                Measure(
                    f"{direction}-{name}",
                    f"{direction}, {title}",
                    kind,  # type: ignore[arg-type]
                    (OFFICIAL, *who),
                    {**spec, "verb": verb, "by": "batches"},
                    rounds=0.6,
                    targets=(times(1, who, OFFICIAL, f"{direction}, {title}"),),
                    beside=PEAK,
                )
            )

    for size in (10, 100, 1024, 10240):
        for codec in ("none", "lz4", "zstd"):
            count = max(amounts.cell // size, 1)
            both(f"{size}-{codec}", f"{size} B, {codec}", ours, size=size, codec=codec, count=count)
    for partitions in (1, 3):
        both(
            f"keys-{partitions}",
            f"{SIZE} B, with keys, partitions: {partitions}",
            ("asyncio", "sync"),
            size=SIZE,
            count=amounts.records,
            keys=True,
            partitions=partitions,
        )
    found += [_tasks(tasks, amounts) for tasks in (1, 10)]
    found.append(
        Measure(
            "percentiles",
            "latency of acknowledged sends, one in flight, 1 KiB",
            "write",
            (OFFICIAL, PEER, *HOSTS),
            {"verb": "send", "size": 1024, "count": amounts.sends * 4, "tasks": 1},
            figure="p50_us",
            unit="µs (p50)",
            rounds=0.6,
            beside={**PERCENTILES, "max": "max_us"},
        )
    )
    for verb in ("produce", "consume"):
        found.append(_growth(verb, amounts.most // 10, 12.0, rounds=0.6))
    found.append(
        Measure(
            "many-partitions",
            f"{amounts.partitions:,} partitions of one topic, one consumer, by batches",
            "read",
            (OFFICIAL, "asyncio", "sync"),
            {
                "verb": "consume",
                "by": "batches",
                "size": SIZE,
                "count": amounts.records,
                "partitions": amounts.partitions,
            },
            rounds=0.6,
        )
    )
    for prefetch in ("64KiB", "1MiB", "16MiB"):
        for by in ("records", "batches"):
            found.append(
                Measure(
                    f"fairness-{prefetch}-{by}",
                    f"from send to a reader by {by} with {amounts.records:,} records waiting on another partition, "
                    f"prefetch {prefetch}",
                    "pair",
                    LOOPS,
                    {
                        "verb": "fairness",
                        "by": by,
                        "prefetch": prefetch,
                        "size": SIZE,
                        "count": amounts.records,
                        "intervals": amounts.intervals * 3,
                        "interval_ms": amounts.interval_ms,
                        "partitions": 2,
                    },
                    figure="p99_us",
                    unit="µs (p99)",
                    rounds=0.2,
                    targets=(Target(f"a quiet partition's p99 beside a backlog, {by}, {prefetch}, µs", LOOPS, 50_000),),
                    beside={"p50": "p50_us", "max": "max_us", "backlog records/s": "backlog_rate"},
                )
            )
    found.append(
        Measure(
            "idle",
            f"{amounts.consumers:,} idle consumers of one client: share of a core",
            "pair",
            LOOPS,
            # Long enough for the probes of quiet streams, one in 10 s.
            {"verb": "idle", "size": SIZE, "count": amounts.consumers, "seconds": amounts.quiet},
            figure="share",
            unit="%",
            rounds=0.6,
            targets=(Target("idle consumers, % of a core", LOOPS, 5),),
        )
    )
    return found
