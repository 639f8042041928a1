"""A pool of trio tasks shares the records of a topic: python examples/workers_trio.py [ENDPOINT]

Each task takes the next record and says when it is done, in any order. What has no unfinished record before it is
committed, so that what is committed never runs ahead of the work: after a crash what was not finished comes again.
"""

from __future__ import annotations

import random
import sys

import trio

from fluvio_cffi import AsyncFluvio, AsyncTracker

WORKERS = 8


class Count:
    done = 0


async def work(tracker: AsyncTracker, count: Count) -> None:
    async for record in tracker:
        with tracker.processing(record):
            await trio.sleep(random.random() / 500)  # a database, a web service, ...
            count.done += 1


async def main(endpoint: str) -> None:
    async with AsyncFluvio.connect(endpoint) as client:
        await client.admin.topics.create("trio-work", partitions=2, exist_ok=True)
        async with client.producer("trio-work") as producer:
            await producer.send_all(f"item {n}" for n in range(1000))

        count = Count()
        async with client.consumer("trio-work", consumer_id="workers", stop_at_end=True) as consumer:
            async with consumer.tracker(max_in_hand=100) as tracker, trio.open_nursery() as nursery:
                for _ in range(WORKERS):
                    nursery.start_soon(work, tracker, count)
            print(count.done, "records processed, committed:", await consumer.committed())


trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003")
