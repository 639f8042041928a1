"""What is sent, and what it is when it is read."""

from __future__ import annotations

from functools import partial

import fluvio
from told import leave, say, tell, topic

client = fluvio.Fluvio.connect()
producer = client.topic_producer(topic())


def read(name: str, **how: bool) -> list[fluvio.Record]:
    builder = fluvio.ConsumerConfigExtBuilder(name)
    builder.disable_continuous(**how)
    return list(client.consumer_with_config(builder.build()))


# Bytes, and what else may be given for them.
for label, value in {
    "bytes": b"b",
    "bytearray": bytearray(b"ba"),
    "memoryview": memoryview(b"mv"),
    "list": [0, 255],
    "tuple": (1, 2),
    "range": range(3),
    "empty": [],
    "too large a number": [256],
    "negative": [-1],
    "str": "text",
    "None": None,
    "int": 3,
    "generator": (number for number in (1, 2)),
}.items():
    tell(f"send {label}", partial(producer.send, b"key", value))
    tell(f"send {label} as key", partial(producer.send, value, b"value"))
tell("send_string", lambda: producer.send_string("text ü"))
tell("send_string bytes", lambda: producer.send_string(b"bytes"))
tell("send_all", lambda: producer.send_all([(b"k", b"v"), ([1], [2])]))
tell("send_all of a generator", lambda: producer.send_all(pair for pair in [(b"g", b"g")]))
tell("send_all empty", lambda: producer.send_all([]))
tell("send_all with a str", lambda: producer.send_all([(b"a", b"b"), ("x", b"2")]))
tell("send_all of too few", lambda: producer.send_all([(b"a",)]))
tell("flush", producer.flush)

# What became of it is told once.
output = producer.send_string("once")
metadata = output.wait()
tell("offset", metadata.offset)
tell("partition_id", metadata.partition_id)
tell("wait again", output.wait)

for record in read(topic()):
    say("record", [record.offset(), record.key().decode("latin-1"), record.value().decode("latin-1")])
first = read(topic())[0]
tell("value is", first.value)
tell("key is", first.key)
tell("key_string", first.key_string)
tell("value_string", first.value_string)
tell("timestamp", lambda: first.timestamp() > 1_600_000_000_000)
tell("value_string of no text", lambda: next(r for r in read(topic()) if r.value() == b"\0\xff").value_string())

# The test has written this one, without a key.
(keyless,) = read(topic(1))
tell("no key", keyless.key)
tell("no key_string", keyless.key_string)

# Without a key of its own text goes to one partition, since the key is empty, and not absent.
three = client.topic_producer(topic(2))
tell("partitions of text", lambda: len({three.send_string(str(n)).wait().partition_id() for n in range(12)}))
tell("partitions of keys", lambda: [three.send(b"%d" % n, b"").wait().partition_id() for n in range(12)])

# A builder is changed in place, and returns a copy.
builder = fluvio.TopicProducerConfigBuilder()
copy = builder.set_specific_partitioner(2)
builder.set_specific_partitioner(1)
for label, each in (("builder", builder), ("copy", copy)):
    config = each.linger(1).batch_size(1000).max_request_size(100_000).batch_queue_size(10).timeout(5000).build()
    fixed = client.topic_producer_with_config(topic(2), config)
    fixed.send_string(f"by the {label}")
    fixed.flush()


def written(partition: int) -> list[str]:
    ended = fluvio.ConsumerConfig()
    ended.disable_continuous()
    stream = client.partition_consumer(topic(2), partition).stream_with_config(fluvio.Offset.beginning(), ended)
    return [value for value in (record.value_string() for record in stream) if value.startswith("by")]


tell("where they went", lambda: [written(partition) for partition in range(3)])
for name in ("None_", "Gzip", "Snappy", "Lz4", "Zstd"):
    config = fluvio.TopicProducerConfigBuilder().compression(getattr(fluvio.Compression, name)).build()
    packed = client.topic_producer_with_config(topic(), config)
    tell(f"sent as {name}", partial(packed.send, b"", b"x" * 1000))
    packed.flush()
tell("all are read", lambda: sum(record.value() == b"x" * 1000 for record in read(topic())))

tell("numbers", lambda: [int(each) for each in (fluvio.Compression.Gzip, fluvio.Isolation.ReadUncommitted)])
tell("equal numbers", lambda: [fluvio.Compression.Zstd == 4, fluvio.DeliverySemantic.AtLeastOnce == 1])
tell("shown", lambda: [repr(fluvio.Compression.None_), str(fluvio.DeliverySemantic.AtMostOnce)])
tell("strategies", lambda: fluvio.OffsetManagementStrategy.AUTO == fluvio.OffsetManagementStrategy.MANUAL)
tell("no Offset", lambda: fluvio.Offset())
tell("no ConsumerConfigExt", lambda: fluvio.ConsumerConfigExt())
tell("no TopicProducerConfig", lambda: fluvio.TopicProducerConfig())
leave()
