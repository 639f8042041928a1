"""A service that ends in order on SIGTERM and Ctrl-C: python examples/shutdown_trio.py [ENDPOINT]

The signal ends reading. What is in hand is finished, its results are acknowledged, and only then it is committed; the
blocks close in order. Nothing is lost, and nothing is done twice.
"""

from __future__ import annotations

import signal
import sys

import trio

from fluvio_cffi import AsyncConsumer, AsyncFluvio


async def stop_on_signals(consumer: AsyncConsumer) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        print("ready", flush=True)
        async for _ in signals:
            consumer.stop()


async def main(endpoint: str) -> None:
    async with AsyncFluvio.connect(endpoint) as client:
        for topic in ("trio-requests", "trio-replies"):
            await client.admin.topics.create(topic, exist_ok=True)
        async with (
            client.producer("trio-replies") as producer,
            client.consumer("trio-requests", consumer_id="service") as consumer,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(stop_on_signals, consumer)
            async for batch in consumer.batches(max_wait=0.01):
                await producer.send_all(record.text.upper() for record in batch)
                await consumer.commit(batch)
                print(len(batch), "answered", flush=True)
            nursery.cancel_scope.cancel()
    print("ended in order")


trio.run(main, sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003")
