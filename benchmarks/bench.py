"""Compares fluvio_cffi with the official Fluvio client, on one embedded cluster; see README.md beside this file."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import report
from contestants import HOSTS, Contestant, Failure, installed_hosts, official, official_batches, ours
from measures import MEASURES, SIZE, Amounts, Bench, Measure

from fluvio_cffi import LocalCluster


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    def names(known: Sequence[str]) -> Any:
        def parse_names(text: str) -> list[str]:
            given = text.split(",")
            if unknown := sorted(set(given) - set(known)):
                raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
            return given

        return parse_names

    measures = [measure.name for measure in MEASURES]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--official", type=Path, required=True, metavar="PROGRAM", help="the built example `official`")
    parser.add_argument("--records", type=int, default=1_000_000, help="records of a bulk run [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contestant in each measure [%(default)s]")
    parser.add_argument(
        "--interval", type=int, default=50, metavar="MS", help="between records, end to end [%(default)s]"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the records, 3 rounds, fewer samples")
    parser.add_argument("--measures", type=names(measures), default=measures, help=f"some of {','.join(measures)}")
    parser.add_argument("--hosts", type=names(HOSTS), help=f"some of {','.join(HOSTS)} [those that are installed]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--check", action="store_true", help="fail if an aim is missed")
    options = parser.parse_args(arguments)
    if options.quick:
        options.records //= 10
        options.rounds = min(options.rounds, 3)
    if options.records < 1 or options.rounds < 1:
        parser.error("--records and --rounds must be at least 1")
    if not options.official.is_file():
        parser.error(f"{options.official} does not exist: make bench builds it")
    return options


def surroundings(options: argparse.Namespace, amounts: Amounts) -> dict[str, Any]:
    return {
        "fluvio_cffi": version("fluvio_cffi"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "records": amounts.records,
        "size": SIZE,
        "interval_ms": amounts.interval_ms,
        "rounds": options.rounds,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def interleaved(
    bench: Bench, measure: Measure, contestants: Sequence[Contestant], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """A B C, B C A, C A B, ...: what the machine does meanwhile meets all alike."""
    runs: dict[str, list[dict[str, float]]] = {contestant.name: [] for contestant in contestants}
    with bench.backlog(measure) as backlog:
        for number in range(rounds):
            shift = number % len(contestants)
            for contestant in [*contestants[shift:], *contestants[:shift]]:
                progress(f"{measure.name}, round {number + 1} of {rounds}: {contestant.name}")
                runs[contestant.name].append(bench.run(measure, contestant, backlog))
    progress("")
    return runs


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    amounts = Amounts(options.records, 500 if options.quick else 5000, 25 if options.quick else 60, options.interval)
    facts = surroundings(options, amounts)
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    base = official(options.official)
    hosts = [ours(host) for host in (options.hosts or installed_hosts())]
    found: dict[str, Any] = {}
    missed: list[str] = []
    with contextlib.ExitStack() as stack:
        benches: dict[bool, Bench] = {}
        for measure in MEASURES:
            if measure.name not in options.measures:
                continue
            real = measure.write_like_real
            if real not in benches:
                cluster = stack.enter_context(LocalCluster(write_like_real=real))
                benches[real] = Bench(cluster.endpoint, base, amounts)
            contestants = [base, *hosts]
            if measure.name == "consume-batches":
                contestants.insert(1, official_batches(options.official))
            runs = interleaved(benches[real], measure, contestants, options.rounds)
            table = report.rows(measure, amounts, runs)
            print("", *report.lines(measure, table), sep="\n", flush=True)
            found[measure.name] = report.document(measure, table, runs)
            missed += report.misses(measure, table)
    if options.json:
        options.json.write_text(json.dumps({"surroundings": facts, "measures": found}, indent=1) + "\n")
    print("", *(f"missed: {text}" for text in missed) if missed else ("all aims reached",), sep="\n")
    return 1 if missed and options.check else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit(130)
