"""Several consumers share the partitions of a topic: python examples/sharing_asyncio.py [ENDPOINT]

Each reads partitions of its own, and all commit under one consumer id: offsets are kept by partition. The consumers may
as well be in processes or on machines of their own. Who reads what is for you to say: a consumer id is not a group.
"""

from __future__ import annotations

import asyncio
import sys

from fluvio_cffi import AsyncFluvio

PARTITIONS = 6
MEMBERS = 3


async def member(endpoint: str, number: int) -> None:
    mine = range(number, PARTITIONS, MEMBERS)
    seen = 0
    async with (
        AsyncFluvio.connect(endpoint) as client,
        client.consumer("shares", partitions=mine, consumer_id="members", stop_at_end=True) as consumer,
    ):
        async for batch in consumer.batches():
            seen += len(batch)
            await consumer.commit(batch)
    print("member", number, "has read", seen, "records of partitions", list(mine))


async def main(endpoint: str) -> None:
    async with AsyncFluvio.connect(endpoint) as client:
        await client.admin.topics.create("shares", partitions=PARTITIONS, exist_ok=True)
        async with client.producer("shares") as producer:
            await producer.send_all((f"key {n}", f"item {n}") for n in range(3000))
    await asyncio.gather(*(member(endpoint, number) for number in range(MEMBERS)))


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003"))
