"""Compares fluvio_cffi with the official Fluvio client and others, on one cluster; see README.md beside this file."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import measures
import picture
import report
from contestants import HOSTS, PEER, PEER_PACKAGE, Contestant, Failure, installed_hosts, ours, peer, rust, tracing
from measures import SIZE, Amounts, Measure
from runs import Bench, Skip

from fluvio_cffi import LocalCluster, __version__

AMOUNTS = {
    "normal": Amounts(),
    "quick": Amounts(100_000, 500, 20_000, 25, 50, 100_000, 70 << 20, 10_000_000, 1_000_000, 200, 100, 12),
    "smoke": Amounts(1_000, 50, 2_000, 10, 5, 4_000, 40 << 20, 20_000, 10_000, 20, 10, 1),
}
ROUNDS = {"normal": 5, "quick": 3, "smoke": 1}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rust", type=Path, required=True, metavar="PROGRAM", help="the built example `contestants`")
    parser.add_argument("--endpoint", metavar="HOST:PORT", help="measure on this cluster, not on an embedded one")
    parser.add_argument("--full", action="store_true", help="all that make bench-full measures, too")
    amounts = parser.add_mutually_exclusive_group()
    amounts.add_argument(
        "--quick", dest="amounts", action="store_const", const="quick", help="a tenth of all, 3 rounds"
    )
    amounts.add_argument("--smoke", dest="amounts", action="store_const", const="smoke", help="only whether it works")
    parser.add_argument("--rounds", type=int, help=f"runs of each contestant in each measure [{ROUNDS['normal']}]")
    parser.add_argument("--measures", metavar="NAMES", help="only those whose names begin with one of these")
    parser.add_argument("--hosts", help=f"some of {','.join(HOSTS)} [those that are installed]")
    parser.add_argument("--peer", type=Path, metavar="FOLDER", help=f"where {PEER_PACKAGE} is, or is to be, installed")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="whose size is taken")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the main results, as SVG")
    parser.add_argument("--check", action="store_true", help="fail if a target is missed")
    options = parser.parse_args(arguments)
    options.amounts = options.amounts or "normal"
    options.rounds = ROUNDS[options.amounts] if options.rounds is None else options.rounds
    options.hosts = options.hosts.split(",") if options.hosts else installed_hosts()
    if unknown := sorted(set(options.hosts) - set(HOSTS)):
        parser.error(f"--hosts: {', '.join(unknown)}: not one of {', '.join(HOSTS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    if not options.rust.is_file():
        parser.error(f"{options.rust} does not exist: make bench builds it")
    return options


def chosen(options: argparse.Namespace) -> list[Measure]:
    amounts = AMOUNTS[options.amounts]
    found = measures.table(amounts) + (measures.full(amounts) if options.full else [])
    if options.measures:
        begins = tuple(options.measures.split(","))
        found = [measure for measure in found if measure.name.startswith(begins)]
    return found


def processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def surroundings(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "fluvio_cffi": __version__,
        "official": "fluvio 0.50.1 (Rust)",
        "peer": f"{PEER_PACKAGE} (PyPI)",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "load_before": os.getloadavg()[0],
        "cluster": options.endpoint or "embedded",
        "amounts": options.amounts,
        "size": SIZE,
        "rounds": options.rounds,
    }


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def contestants(options: argparse.Namespace, wanted: Sequence[Measure]) -> dict[str, Contestant]:
    found = [*rust(options.rust), *map(ours, options.hosts)]
    if "sync" in options.hosts:
        found += tracing()
    if options.peer is not None and any(PEER in measure.who for measure in wanted):
        progress(f"looking for {PEER_PACKAGE}")
        try:
            found.append(peer(options.peer))
        except Failure as failure:
            progress("")
            print(f"without {PEER}: {failure}")
    # Those that have no program of their own.
    found += [Contestant(name, ()) for name in ("cluster", "wheel")]
    return {contestant.name: contestant for contestant in found}


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    # A thousand consumers have a socket each; the cluster has them as well.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 1 << 16), hard))
    facts = surroundings(options)
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    wanted = chosen(options)
    takers = contestants(options, wanted)
    found: dict[str, Any] = {}
    judged: list[report.Verdict] = []
    failures: list[str] = []
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        benches: dict[bool, Bench] = {}
        for measure in wanted:
            real = measure.write_like_real and options.endpoint is None
            if real not in benches:
                cluster = None
                if options.endpoint is None:
                    cluster = stack.enter_context(LocalCluster(write_like_real=real))
                endpoint = options.endpoint or cluster.endpoint  # type: ignore[union-attr]
                benches[real] = Bench(endpoint, cluster, takers["official"], options.wheel, progress)
            who = [takers[name] for name in measure.who if name in takers]
            if not who:
                continue
            try:
                runs, failed = benches[real].rounds(measure, who, max(round(options.rounds * measure.rounds), 1))
            except Skip as reason:
                print("", measure.title, f"  skipped: {reason}", sep="\n", flush=True)
                continue
            finally:
                progress("")
            failures += failed
            judged += report.verdicts(measure, runs)
            print("", *report.lines(measure, runs), *(f"  FAILED: {text}" for text in failed), sep="\n", flush=True)
            found[measure.name] = report.document(measure, runs)
    facts["seconds"] = round(time.monotonic() - begun)
    missed = [verdict for verdict in judged if verdict.met is False]
    print("", f"targets (the worst of those that each is for), after {facts['seconds']} s", sep="\n")
    print(*(verdict.line() for verdict in judged), sep="\n")
    print(*(f"FAILED: {text}" for text in failures), sep="\n", end="\n" if failures else "")
    document = {"surroundings": facts, "measures": found, "failures": failures}
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    if options.picture:
        options.picture.parent.mkdir(parents=True, exist_ok=True)
        options.picture.write_text(picture.draw(document))
    return 1 if failures or (missed and options.check) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        sys.exit(f"\n{failure}")
    except KeyboardInterrupt:
        sys.exit(130)
