"""A worker of a group: python examples/group_trio.py NAME [ENDPOINT]

Start it in three terminals, as one, two and three: they share the partitions of a topic, to which each also sends a
record now and then. Kill one with `kill -9`: after 3 seconds the others have its partitions. Ctrl-C ends one in order,
and they have them at once. Those of `group_asyncio.py` may take part: it is the same group.
"""

from __future__ import annotations

import signal
import sys

import trio

from fluvio_cffi import AsyncConsumer, AsyncFluvio, CommitFencedError

TOPIC = "group-work"


async def feed(client: AsyncFluvio, name: str) -> None:
    async with client.producer(TOPIC) as producer:
        for number in range(1_000_000):
            await producer.send(f"{name}'s {number}", key=f"{name} {number}")
            await trio.sleep(0.2)


async def stop_on_signal(consumer: AsyncConsumer, task_status: trio.TaskStatus[None]) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for _ in signals:
            consumer.stop()


async def main(name: str, endpoint: str) -> None:
    def say(*words: object) -> None:
        print(f"{name}:", *words, flush=True)

    async with AsyncFluvio.connect(endpoint) as client:
        await client.admin.topics.create(TOPIC, partitions=6, exist_ok=True)
        async with (
            client.consumer(
                TOPIC,
                group="workers",
                session_timeout=3,
                on_assigned=lambda partitions: say("has got", *partitions),
                on_revoked=lambda partitions: say("gives up", *partitions),
                on_lost=lambda partitions: say("has lost", *partitions),
            ) as consumer,
            trio.open_nursery() as nursery,
        ):
            await nursery.start(stop_on_signal, consumer)
            nursery.start_soon(feed, client, name)
            async for batch in consumer.batches(max_wait=0.01):
                say("works on", *(record.text for record in batch))
                try:
                    await consumer.commit(batch)
                except CommitFencedError as error:
                    say("was too slow for", *error.fenced)
            nursery.cancel_scope.cancel()
    say("ended in order")


arguments = sys.argv[1:]
trio.run(main, arguments[0] if arguments else "one", arguments[1] if len(arguments) > 1 else "127.0.0.1:9003")
