"""A member of a group in a process of its own: python group_worker.py BACKEND ENDPOINT TOPIC GROUP SESSION JOURNAL

It writes a line into its journal for whatever happens: ``handed``, ``done``, ``assigned``, ``revoked``, ``lost``,
``fenced``, each with the time of a clock that all processes of the machine share. On SIGTERM it ends in order.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any

from fluvio_cffi import AsyncConsumer, AsyncFluvio, CommitFencedError, Consumer, Fluvio, FluvioTimeoutError, Record

IN_HAND = 50
"""Records that are handed out and not committed, of all partitions, at most."""
WORK = 0.0002
"""Seconds of work on each."""


class Journal:
    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(self, what: str, *words: object, at: int | None = None) -> None:
        line = " ".join(map(str, (what, now() if at is None else at, *words)))
        os.write(self._file, f"{line}\n".encode())

    def handed(self, records: Iterable[Record], epochs: dict[int, int]) -> None:
        moment = now()
        for record in records:
            self.write("handed", record.partition, record.offset, epochs[record.partition], at=moment)

    def done(self, record: Record) -> None:
        time.sleep(WORK)
        self.write("done", record.partition, record.offset)


def now() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def options(journal: Journal, group: str, session: float) -> dict[str, Any]:
    return {
        "group": group,
        "session_timeout": session,
        "on_assigned": lambda partitions: journal.write("assigned", *partitions),
        "on_lost": lambda partitions: journal.write("lost", *partitions),
    }


async def by_batches(endpoint: str, topic: str, journal: Journal, **keywords: Any) -> None:
    async def revoked(partitions: tuple[int, ...]) -> None:
        journal.write("revoked", *partitions)

    async with (
        AsyncFluvio.connect(endpoint, wait=True) as client,
        client.consumer(topic, on_revoked=revoked, **keywords) as consumer,
    ):
        signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
        journal.write("joined", consumer.member_id)
        async for batch in consumer.batches(max_records=IN_HAND, max_wait=0.02):
            journal.handed(batch, batch.epochs)
            for record in batch:
                journal.done(record)
            try:
                await consumer.commit(batch)
            except CommitFencedError as error:
                journal.write("fenced", *error.fenced)


async def commit(consumer: AsyncConsumer, journal: Journal) -> None:
    """What was handed out; of what somebody else has by now, say since this one waited for more, nothing is stored."""
    try:
        await consumer.commit()
    except CommitFencedError as error:
        journal.write("fenced", *error.fenced)


async def one_by_one(endpoint: str, topic: str, journal: Journal, **keywords: Any) -> None:
    async with (
        AsyncFluvio.connect(endpoint, wait=True) as client,
        client.consumer(topic, **keywords) as consumer,
    ):
        signal.signal(signal.SIGTERM, lambda *_: consumer.stop())
        journal.write("joined", consumer.member_id)
        count = 0
        async for record in consumer:
            journal.handed([record], {record.partition: consumer.epoch(record.partition)})
            journal.done(record)
            count += 1
            if count % IN_HAND == 0:
                await commit(consumer, journal)
        await commit(consumer, journal)


def in_a_thread(endpoint: str, topic: str, journal: Journal, **keywords: Any) -> None:
    def commit_now() -> None:
        try:
            consumer.commit()
        except CommitFencedError as error:
            journal.write("fenced", *error.fenced)

    def revoked(partitions: tuple[int, ...]) -> None:
        commit_now()

    consumer: Consumer
    with (
        Fluvio.connect(endpoint, wait=True) as client,
        client.consumer(topic, on_revoked=revoked, **keywords) as consumer,
    ):
        ended: list[bool] = []
        signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
        journal.write("joined", consumer.member_id)
        count = 0
        while not ended:
            try:
                record = consumer.receive(timeout=0.2)
            except FluvioTimeoutError:
                continue
            journal.handed([record], {record.partition: consumer.epoch(record.partition)})
            journal.done(record)
            count += 1
            if count % IN_HAND == 0:
                commit_now()
        commit_now()


def main(backend: str, endpoint: str, topic: str, group: str, session: str, path: str) -> None:
    journal = Journal(path)
    keywords = options(journal, group, float(session))
    if backend == "asyncio":
        asyncio.run(by_batches(endpoint, topic, journal, **keywords))
    elif backend == "uvloop":
        import uvloop

        uvloop.run(one_by_one(endpoint, topic, journal, **keywords))
    elif backend == "trio":
        import trio

        trio.run(lambda: one_by_one(endpoint, topic, journal, **keywords))
    else:
        in_a_thread(endpoint, topic, journal, **keywords)
    journal.write("ended")


if __name__ == "__main__":
    main(*sys.argv[1:])
