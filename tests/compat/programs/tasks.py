"""Tasks: what is awaited, and what may block in between. The test has written ten records into the first topic."""

from __future__ import annotations

import asyncio

import fluvio
from fluvio import ConsumerConfig, Offset
from told import leave, say, tell, tell_awaited, topic

client = fluvio.Fluvio.connect()
ended = ConsumerConfig()
ended.disable_continuous()


async def produce() -> None:
    producer = client.topic_producer(topic(1))
    output = await tell_awaited("async_send", lambda: producer.async_send(b"key", b"value"))
    metadata = await tell_awaited("async_wait", lambda: output.async_wait())
    tell("offset", metadata.offset)
    tell("partition_id", metadata.partition_id)
    await tell_awaited("async_wait again", lambda: output.async_wait())
    tell("wait after async_wait", output.wait)
    outputs = await tell_awaited("async_send_all", lambda: producer.async_send_all([(b"a", b"b"), (b"c", b"d")]))
    tell("wait in the loop", outputs[0].wait().offset)
    await tell_awaited("async_send_string", lambda: producer.async_send_string("text"))
    await tell_awaited("async_flush", lambda: producer.async_flush())
    await tell_awaited("a str", lambda: producer.async_send("k", b"v"))


async def consume() -> None:
    single = client.partition_consumer(topic(), 0)
    several = client.multi_partition_consumer(topic())
    topics = client.multi_topic_partition_consumer([(topic(), 0), (topic(2), 0)])
    stream = await single.async_stream(Offset.beginning())
    tell("__anext__", lambda: None)
    say("records", [(await stream.__anext__()).value_string() for _ in range(3)])
    stream = await single.async_stream_with_config(Offset.from_beginning(8), ended)
    say("records with a config", [(await stream.__anext__()).value_string() for _ in range(2)])
    stream = await several.async_stream(Offset.from_end(2))
    say("records of several", [(await stream.__anext__()).value_string() for _ in range(2)])
    stream = await topics.async_stream(Offset.beginning())
    say("records of topics", sorted([(await stream.__anext__()).value_string() for _ in range(12)]))
    count = 0
    async for record in await several.async_stream_with_config(Offset.beginning(), ConsumerConfig()):
        count += record.offset()
        if record.offset() == 9:
            break
    say("async for", count)
    await tell_awaited("no topic", lambda: client.multi_partition_consumer("missing").async_stream(Offset.beginning()))


async def in_another_loop() -> None:
    producer = client.topic_producer(topic(1))
    await producer.async_flush()
    output = await producer.async_send_string("another loop")
    metadata = await output.async_wait()
    say("another loop", metadata.offset())


asyncio.run(produce())
asyncio.run(consume())
asyncio.run(in_another_loop())
say(
    "threads",
    [
        each.value_string()
        for each in client.partition_consumer(topic(2), 0).stream_with_config(Offset.beginning(), ended)
    ],
)
leave()
