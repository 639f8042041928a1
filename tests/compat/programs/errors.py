"""What goes wrong, and in which words."""

from __future__ import annotations

import os
from pathlib import Path

import fluvio
from fluvio import ConsumerConfig, FluvioAdmin, FluvioConfig, Offset, SmartModuleKind
from told import leave, say, tell, topic

client = fluvio.Fluvio.connect()
admin = FluvioAdmin.connect()

say("FluviorError", [fluvio.FluviorError.__mro__[1].__name__, fluvio.FluviorError.__mro__[2].__name__])
tell("producer of no topic", lambda: client.topic_producer("missing"))
tell("consumer of no topic", lambda: client.consumer_with_config(fluvio.ConsumerConfigExtBuilder("missing").build()))
tell("consumers are made of anything", lambda: client.partition_consumer("missing", 0))
tell("several, too", lambda: client.multi_partition_consumer("missing"))
tell("no partition", lambda: client.partition_consumer(topic(), 7).stream(Offset.beginning()))
tell("no topic", lambda: client.multi_partition_consumer("missing").stream(Offset.beginning()))


def of_partition() -> None:
    builder = fluvio.ConsumerConfigExtBuilder(topic())
    builder.partition(9)
    client.consumer_with_config(builder.build())


tell("no such partition", of_partition)

# SmartModules.
config = ConsumerConfig()
tell("neither path nor name", config.smartmodule)
tell("both", lambda: config.smartmodule(name="foo", path="bar"))
tell("no kind", lambda: config.smartmodule(kind="foobar"))
tell("no file", lambda: config.smartmodule(path="does_not_exist.wasm", kind=SmartModuleKind.Filter))
tell("a name", lambda: config.smartmodule(name="does-not-exist"))
stream = tell("it is looked for later", lambda: client.partition_consumer(topic(), 0).stream_with_config)
tell(
    "and not found", lambda: next(client.partition_consumer(topic(), 0).stream_with_config(Offset.beginning(), config))
)

# Arguments.
builder = fluvio.TopicProducerConfigBuilder()
tell("a str for a number", lambda: builder.linger("5"))
tell("a float for a number", lambda: builder.linger(5.0))
tell("a number for a compression", lambda: builder.compression(1))
tell("a str for bytes", lambda: ConsumerConfig().smartmodule(name="x", aggregate="1"))
consumer = fluvio.ConsumerConfigExtBuilder(topic())
tell("a str for a partition", lambda: consumer.partition("1"))
tell("a number for an offset", lambda: consumer.offset_start(1))
tell("a number for a strategy", lambda: consumer.offset_strategy(1))
tell("methods return nothing", lambda: consumer.max_bytes(1000))

# Administration.
tell("create again", lambda: admin.create_topic(topic()))
tell("delete what is not there", lambda: admin.delete_topic("missing"))
tell("delete no SmartModule", lambda: admin.delete_smartmodule("missing"))
tell("create from no file", lambda: admin.create_smartmodule("missing", "/missing", False))

# Profiles.
for label, text in {"empty": "", "no current": 'version = "2.0"\n[profile]\n[cluster]\n', "no": None}.items():
    path = Path(os.environ["FLV_PROFILE_PATH"]).with_name(f"{topic()}-{label.replace(' ', '-')}")
    if text is not None:
        path.write_text(text, encoding="utf-8")
    os.environ["FLV_PROFILE_PATH"] = str(path)
    tell(f"{label} profile: connect", fluvio.Fluvio.connect)
    tell(f"{label} profile: load", FluvioConfig.load)
    tell(f"{label} profile: administration", FluvioAdmin.connect)
tell("anything is a configuration", lambda: FluvioConfig.new("anything"))
leave()
