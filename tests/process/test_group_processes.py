"""Groups whose members are processes, while processes, the cluster and the topic suffer."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import group_worker
import pytest
from group_worker import IN_HAND, now
from laws import LONG, has_long_form

from fluvio_cffi import Fluvio, LocalCluster

SECONDS = 1800.0 if LONG else 40.0
SESSION = 4.0
SPU = 5001
BACKENDS = ("asyncio", "uvloop", "trio", "threads")
PATIENCE = 60.0


def until(condition: Callable[[], bool]) -> None:
    """Waits for it."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.05)


class Handed(NamedTuple):
    """A record, as a process was handed it."""

    at: int
    worker: int
    partition: int
    offset: int
    epoch: int


class Worker:
    """A member in a process of its own.

    :ivar stopped: when, and for how many seconds, it could do nothing.
    """

    def __init__(self, number: int, endpoint: str, topic: str, folder: Path) -> None:
        self.number = number
        self.journal = folder / f"worker-{number}"
        self.errors = folder / f"worker-{number}.errors"
        self.stopped: list[tuple[int, float]] = []
        self.killed = False
        backend = BACKENDS[number % len(BACKENDS)]
        arguments = [backend, endpoint, topic, "workers", str(SESSION), str(self.journal)]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen([sys.executable, group_worker.__file__, *arguments], stderr=errors)

    def lines(self) -> Iterator[list[str]]:
        if self.journal.exists():
            # Of one that was killed the last line may be cut.
            for line in self.journal.read_text().splitlines(keepends=True):
                if line.endswith("\n"):
                    yield line.split()

    def joined(self) -> bool:
        assert self.process.poll() is None, self.errors.read_text()
        return any(words[0] == "joined" for words in self.lines())

    def kill(self) -> None:
        self.killed = True
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float) -> None:
        self.stopped.append((now(), seconds))
        os.kill(self.process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self.process.pid, signal.SIGCONT)

    def leave(self) -> None:
        self.process.terminate()
        status = self.process.wait(PATIENCE)
        assert status == 0, self.errors.read_text()


class Trial:
    """A topic that is produced to all the time, and the workers that share it."""

    def __init__(self, cluster: LocalCluster, client: Fluvio, folder: Path, partitions: int) -> None:
        self.cluster = cluster
        self.client = client
        self.folder = folder
        self.topic = "shared"
        self.partitions = partitions
        self.workers: list[Worker] = []
        self.over = threading.Event()
        self.many = threading.Event()
        self.failures: list[BaseException] = []
        client.admin.topics.create(self.topic, partitions=partitions)

    # -- what goes on

    def produce(self) -> None:
        """Two hundred records a second, and now and then many at once."""
        try:
            with self.client.producer(self.topic, delivery_timeout=PATIENCE) as producer:
                for number in itertools.count():
                    producer.enqueue(b"%d" % number, partition=number % self.partitions)
                    if not self.many.is_set() and self.over.wait(0.005):
                        return
        except BaseException as failure:
            self.failures.append(failure)

    def join(self) -> None:
        """One more worker."""
        self.workers.append(Worker(len(self.workers), self.cluster.endpoint, self.topic, self.folder))

    @property
    def living(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.process.poll() is None]

    def ready(self) -> bool:
        return all(worker.joined() for worker in self.living)

    # -- what it suffers

    def kill_worker(self) -> None:
        random.choice(self.living).kill()
        self.join()

    def stop_worker_shortly(self) -> None:
        random.choice(self.living).stop(SESSION / 4)

    def stop_worker_long(self) -> None:
        """In the middle of its work, with records in hand and more that were read ahead."""
        self.many.set()
        time.sleep(0.2)
        self.many.clear()
        random.choice(self.living).stop(SESSION * 3)

    def change_workers(self) -> None:
        random.choice(self.living).leave()
        self.join()

    def kill_spu(self) -> None:
        self.cluster.kill_spu(SPU)
        time.sleep(0.3)
        self.cluster.start_spu(SPU)

    def kill_controller(self) -> None:
        away = self.cluster.faults.kill_controller()
        time.sleep(0.5)
        away.undo()

    def stall_log(self) -> None:
        """Longer than a session: nobody may be evicted for it."""
        with self.cluster.faults.stall(SPU):
            time.sleep(SESSION * 1.2)

    def add_partitions(self) -> None:
        if self.partitions < 40:
            self.client.admin.topics.add_partitions(self.topic, 2)
            self.partitions += 2

    # -- what is to be

    def settled(self) -> bool:
        """Whether the partitions are shared evenly by those who live."""
        group = self.client.admin.groups.get("workers", self.topic)
        counts = Counter(partition.owner for partition in group.partitions)
        return (
            len(group.members) == len(self.living)
            and None not in counts
            and len(counts) == len(group.members)
            and max(counts.values()) - min(counts.values()) <= 1
        )

    def missing(self) -> set[tuple[int, int]]:
        """What nobody has processed."""
        ends = self.client.offsets(self.topic).items()
        missing = {(partition, offset) for partition, bounds in ends for offset in range(*bounds)}
        for worker in self.workers:
            missing -= {(int(line[2]), int(line[3])) for line in worker.lines() if line[0] == "done"}
        return missing

    def check(self) -> None:
        assert not self.failures
        handed: defaultdict[int, list[Handed]] = defaultdict(list)
        for worker in self.workers:
            for what, at, *numbers in worker.lines():
                if what == "handed":
                    partition, offset, epoch = map(int, numbers)
                    handed[partition].append(Handed(int(at), worker.number, partition, offset, epoch))
                elif what == "lost":
                    self._check_lost(worker, int(at))
        for records in handed.values():
            self._check_order(sorted(records))

    def _check_order(self, handed: list[Handed]) -> None:
        """One owner after the other, each in order, and nothing repeated but what was in somebody's hand."""
        epoch, reached = -1, -1
        for record in handed:
            assert record.epoch >= epoch, f"handed under a lease that others had followed: {record}, after {epoch}"
            assert record.offset <= reached + 1, f"passed over: {record}, after {reached}"
            if record.epoch > epoch:
                assert record.offset > reached - 2 * IN_HAND, f"more repeated than was in hand: {record}, {reached}"
            epoch, reached = record.epoch, max(reached, record.offset)

    def _check_lost(self, worker: Worker, at: int) -> None:
        """Only who was stopped for a session may lose anything."""
        assert any(
            seconds > SESSION and begun < at < begun + (seconds + PATIENCE) * 1e9 for begun, seconds in worker.stopped
        ), f"worker {worker.number} was evicted, though it gave signs of life: stopped {worker.stopped}"


@pytest.fixture
def trial(tmp_path: Path) -> Iterator[Trial]:
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        trial = Trial(cluster, client, tmp_path, partitions=12)
        try:
            yield trial
        finally:
            trial.over.set()
            for worker in trial.living:
                worker.kill()


@has_long_form
@pytest.mark.timeout(SECONDS + 4 * PATIENCE)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="is done on Linux only")
def test_processes_share_a_topic(trial: Trial) -> None:
    """Whatever happens to them, each record is processed, none by one whose lease has ended, in order."""
    suffer: list[Callable[[], Any]] = [
        trial.stop_worker_shortly,
        trial.kill_worker,
        trial.change_workers,
        trial.kill_spu,
        trial.add_partitions,
        trial.stop_worker_long,
        trial.kill_controller,
        trial.stall_log,
    ]
    for _ in range(5):
        trial.join()
    producing = threading.Thread(target=trial.produce)
    producing.start()
    try:
        until(trial.ready)
        begun = time.monotonic()
        for number in itertools.count():
            suffer[number % len(suffer)]()
            until(trial.ready)
            over = time.monotonic() - begun > SECONDS if LONG else number + 1 == len(suffer)
            if over:
                break
    finally:
        trial.over.set()
        producing.join()
    until(trial.settled)
    until(lambda: not trial.missing())
    for worker in trial.living:
        worker.leave()
    trial.check()
