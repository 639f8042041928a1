"""The part of the demo in which processes share a topic: one is killed, and the others take over."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Final

from fluvio_cffi import Fluvio, NotFoundError

PARTITIONS: Final = 6
WORKERS: Final = 3
SESSION: Final = 2.0
PATIENCE: Final = 30.0
GROUP: Final = "demo"
TOPIC: Final = "processes"


def work(endpoint: str) -> None:
    """What each process does, until it is told to end."""
    with Fluvio.connect(endpoint) as client, client.consumer(TOPIC, group=GROUP, session_timeout=SESSION) as consumer:

        def stop(number: int, frame: object) -> None:
            consumer.stop()

        signal.signal(signal.SIGTERM, stop)
        for batch in consumer.batches():
            consumer.commit(batch)


class Workers:
    """Processes that share the topic, and a client that looks at them."""

    def __init__(self, endpoint: str, client: Fluvio) -> None:
        self.client = client
        context = multiprocessing.get_context("spawn")
        self.processes: list[BaseProcess] = [context.Process(target=work, args=(endpoint,)) for _ in range(WORKERS)]

    def start(self) -> None:
        for process in self.processes:
            process.start()

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.join(PATIENCE)

    def shares(self) -> list[int]:
        """How many partitions each of those that are in the group has."""
        try:
            group = self.client.admin.groups.get(GROUP, TOPIC)
        except NotFoundError:
            return []
        return sorted(Counter(part.owner for part in group.partitions if part.owner is not None).values())

    def lag(self) -> int:
        """How many records are not processed."""
        return sum(part.lag or 0 for part in self.client.admin.groups.get(GROUP, TOPIC).partitions)

    def wait(self, shares: list[int]) -> float:
        """How long it takes until they have that many partitions."""
        return _wait(lambda: self.shares() == shares)


def _wait(condition: Callable[[], bool]) -> float:
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > PATIENCE:
            raise SystemExit("the group did not settle in time")
        time.sleep(0.01)
    return time.monotonic() - started


def groups_part(endpoint: str) -> None:
    """Three processes, then two, then one, while records come."""
    with Fluvio.connect(endpoint) as client:
        client.admin.topics.create(TOPIC, partitions=PARTITIONS)
        workers = Workers(endpoint, client)
        over = threading.Event()
        sent = 0

        def produce() -> None:
            nonlocal sent
            with client.producer(TOPIC) as producer:
                while not over.wait(0.001):
                    producer.enqueue(b"%d" % sent, key=b"%d" % sent)
                    sent += 1

        producing = threading.Thread(target=produce)
        workers.start()
        producing.start()
        try:
            workers.wait([2, 2, 2])
            print(f"  {WORKERS} processes share {PARTITIONS} partitions", flush=True)
            workers.processes[0].kill()
            took = workers.wait([3, 3])
            print(f"  one is killed: the others have its partitions after {took:.1f} s (session_timeout={SESSION:g})")
            workers.processes[1].terminate()
            took = workers.wait([6])
            print(f"  one ends in order: the last one has all after {took * 1e3:,.0f} ms", flush=True)
        finally:
            over.set()
            producing.join()
        _wait(lambda: workers.lag() == 0)
        workers.stop()
    print(f"  {sent:,} records came meanwhile, and each was processed")
