"""A service that ends in order on SIGTERM and Ctrl-C: python examples/shutdown_asyncio.py [ENDPOINT]

The signal ends reading. What is in hand is finished, its results are acknowledged, and only then it is committed; the
blocks close in order. Nothing is lost, and nothing is done twice.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from fluvio_cffi import AsyncFluvio


async def main(endpoint: str) -> None:
    async with AsyncFluvio.connect(endpoint) as client:
        for topic in ("requests", "replies"):
            await client.admin.topics.create(topic, exist_ok=True)
        async with (
            client.producer("replies") as producer,
            client.consumer("requests", consumer_id="service") as consumer,
        ):
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, consumer.stop)
            print("ready", flush=True)
            async for batch in consumer.batches(max_wait=0.01):
                await producer.send_all(record.text.upper() for record in batch)
                await consumer.commit(batch)
                print(len(batch), "answered", flush=True)
    print("ended in order")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003"))
