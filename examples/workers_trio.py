"""Several trio tasks share the records of a topic: python examples/workers_trio.py [ENDPOINT]

One task reads batches, and each batch is spread over the workers. It is committed when all have finished, so that what
is committed never runs ahead of the work: after a crash what was not finished comes again.
"""

from __future__ import annotations

import sys

import trio

from fluvio_cffi import AsyncFluvio, Record

WORKERS = 8


async def work(records: list[Record]) -> None:
    await trio.sleep(0.001 * len(records))  # a database, a web service, ...


async def main(endpoint: str) -> None:
    async with AsyncFluvio.connect(endpoint) as client:
        await client.admin.topics.create("trio-work", partitions=2, exist_ok=True)
        async with client.producer("trio-work") as producer:
            await producer.send_all(f"item {n}" for n in range(1000))

        done = 0
        async with client.consumer("trio-work", consumer_id="workers", stop_at_end=True) as consumer:
            async for batch in consumer.batches(max_records=200):
                async with trio.open_nursery() as nursery:  # left when all have finished
                    for n in range(WORKERS):
                        nursery.start_soon(work, list(batch[n::WORKERS]))
                await consumer.commit(batch)
                done += len(batch)
            print(done, "records processed, committed:", await consumer.committed())


trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003")
