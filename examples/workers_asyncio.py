"""A pool of asyncio tasks shares the records of a topic: python examples/workers_asyncio.py [ENDPOINT]

Each task takes the next record and says when it is done, in any order. What has no unfinished record before it is
committed, so that what is committed never runs ahead of the work: after a crash what was not finished comes again.
"""

from __future__ import annotations

import asyncio
import random
import sys

from fluvio_cffi import AsyncFluvio, AsyncTracker

WORKERS = 8


async def work(tracker: AsyncTracker) -> int:
    done = 0
    async for record in tracker:
        with tracker.processing(record):
            await asyncio.sleep(random.random() / 500)  # a database, a web service, ...
            done += 1
    return done


async def main(endpoint: str) -> None:
    async with AsyncFluvio.connect(endpoint) as client:
        await client.admin.topics.create("work", partitions=2, exist_ok=True)
        async with client.producer("work") as producer:
            await producer.send_all(f"item {n}" for n in range(1000))

        async with client.consumer("work", consumer_id="workers", stop_at_end=True) as consumer:
            async with consumer.tracker(max_in_hand=100) as tracker:
                done = sum(await asyncio.gather(*[work(tracker) for _ in range(WORKERS)]))
            print(done, "records processed, committed:", await consumer.committed())


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003"))
