"""The programs of docs/patterns.md, killed at each of their lines and started again, keep what the page promises."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fluvio_cffi import Fluvio, LocalCluster
from fluvio_cffi.testing import read_all

pytestmark = pytest.mark.timeout(600)

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "patterns.md").read_text(encoding="utf-8")
PROGRAMS: dict[str, str] = dict(
    re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)

# Runs a program and says how often each of its lines is run; or kills it when it is about to run one for the nth time.
KILLER = """
import collections, json, os, signal, sys
path, line, times = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
seen = collections.Counter()
def trace(frame, event, argument):
    if frame.f_code.co_filename != path:
        return None
    if event == "line":
        seen[frame.f_lineno] += 1
        if frame.f_lineno == line and seen[line] == times:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace
program = compile(open(path).read(), path, "exec")
sys.settrace(trace)
exec(program, {"__name__": "__main__"})
print(json.dumps(seen))
"""
VALUES = [str(number) for number in range(1, 9)]


class Trial:
    """A program of the page, with topics and a folder of its own."""

    def __init__(self, client: Fluvio, folder: Path, program: str, topics: dict[str, str]) -> None:
        self.client = client
        self.topics = topics
        self.folder = folder
        folder.mkdir()
        for name in topics.values():
            client.admin.topics.create(name)
        for plain, name in topics.items():
            program = program.replace(f'"{plain}"', f'"{name}"')
        self.path = folder / "program.py"
        self.path.write_text(program.replace("127.0.0.1:9003", client.endpoint), encoding="utf-8")

    def run(self) -> dict[int, int]:
        """Runs it to its end; how often each line was run."""
        ended = self._run(0, 0)
        assert ended.returncode == 0
        counts: dict[str, int] = json.loads(ended.stdout)
        return {int(line): count for line, count in counts.items()}

    def run_until(self, line: int, times: int) -> None:
        """Runs it until it is killed at a line."""
        assert self._run(line, times).returncode == -signal.SIGKILL

    def _run(self, line: int, times: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLER, str(self.path), str(line), str(times)]
        return subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, text=True, timeout=60, check=False)

    def database(self, name: str, query: str) -> list[tuple[object, ...]]:
        database = sqlite3.connect(self.folder / name)
        try:
            return database.execute(query).fetchall()
        finally:
            database.close()

    def fill(self, topic: str, keyed: bool = False) -> None:
        with self.client.producer(self.topics[topic]) as producer:
            producer.send_all([(value, value) if keyed else value for value in VALUES])


def exactly_once(trial: Trial) -> Callable[[], None]:
    trial.fill("payments")

    def check() -> None:
        assert [str(row[0]) for row in trial.database("bank.db", "SELECT amount FROM payment")] == VALUES

    return check


def outbox(trial: Trial) -> Callable[[], None]:
    database = sqlite3.connect(trial.folder / "shop.db")
    with database:
        database.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, body TEXT, sent INTEGER DEFAULT 0)")
        database.executemany("INSERT INTO outbox (body) VALUES (?)", [(value,) for value in VALUES])
    database.close()

    def check() -> None:
        found = [record.text for record in read_all(trial.client, trial.topics["orders"])]
        assert list(dict.fromkeys(found)) == VALUES, "first occurrences are all there, in order"
        assert len(found) <= len(VALUES) + 3, "at most the rows of one round come twice"
        assert trial.database("shop.db", "SELECT count(*) FROM outbox WHERE NOT sent") == [(0,)]

    return check


def repeats(trial: Trial) -> Callable[[], None]:
    trial.fill("orders", keyed=True)
    trial.fill("orders", keyed=True)

    def check() -> None:
        rows = trial.database("warehouse.db", "SELECT id, body FROM shipped ORDER BY id")
        assert rows == [(int(value), value) for value in VALUES]

    return check


def dead_letters(trial: Trial) -> Callable[[], None]:
    with trial.client.producer(trial.topics["numbers"]) as producer:
        producer.send_all(["1", "two", "3"])

    def check() -> None:
        assert trial.database("numbers.db", "SELECT value FROM number ORDER BY value") == [(1,), (3,)]
        letters: list[Any] = [record.json() for record in read_all(trial.client, trial.topics["dead-letters"])]
        assert {(letter["offset"], letter["value"]) for letter in letters} == {(1, "dHdv")}
        assert letters[0]["error"] == "ValueError" and letters[0]["message"].startswith("invalid literal")

    return check


def pool(trial: Trial) -> Callable[[], None]:
    trial.fill("jobs")

    def check() -> None:
        assert [row[0] for row in trial.database("jobs.db", "SELECT id FROM job ORDER BY id")] == sorted(VALUES)

    return check


TRIALS: dict[str, tuple[Callable[[Trial], Callable[[], None]], tuple[str, ...]]] = {
    "Exactly once into a database": (exactly_once, ("payments",)),
    "Outbox": (outbox, ("orders",)),
    "An idempotent consumer": (repeats, ("orders",)),
    "Retries, and dead letters": (dead_letters, ("numbers", "dead-letters")),
    "A pool of workers": (pool, ("jobs",)),
}


def test_every_program_is_tried() -> None:
    assert PROGRAMS.keys() == TRIALS.keys()
    assert PAGE.count("\n```python\n") == len(PROGRAMS)


@pytest.mark.parametrize("name", TRIALS)
def test_killed_at_each_line(name: str, cluster: LocalCluster, tmp_path: Path) -> None:
    """Each line from the connect on, the time it is run that lies in the middle of all."""
    prepare, topics = TRIALS[name]
    program = PROGRAMS[name]
    connect = 1 + next(number for number, line in enumerate(program.splitlines()) if "Fluvio.connect" in line)
    with Fluvio.connect(cluster.endpoint) as client:

        def trial(number: int) -> tuple[Trial, Callable[[], None]]:
            label = f"{number}-{os.urandom(4).hex()}"
            trial = Trial(client, tmp_path / label, program, {topic: f"{topic}-{label}" for topic in topics})
            return trial, prepare(trial)

        undisturbed, check = trial(0)
        counts = undisturbed.run()
        check()
        undisturbed.run()  # with nothing left to do
        check()
        lines = [line for line in sorted(counts) if line >= connect]
        assert len(lines) > 8
        for line in lines:
            killed, check = trial(line)
            killed.run_until(line, (counts[line] + 1) // 2)
            killed.run()
            check()
