"""Where reading begins, what is stored, and when. The test has written ten records into the first topic."""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

import fluvio
from fluvio import Offset, OffsetManagementStrategy
from told import eventually, leave, say, tell, topic

client = fluvio.Fluvio.connect()
AUTO, MANUAL, NONE = OffsetManagementStrategy.AUTO, OffsetManagementStrategy.MANUAL, OffsetManagementStrategy.NONE


def open_(consumer: str | None = None, strategy: Any = None, start: Any = None) -> Any:
    builder = fluvio.ConsumerConfigExtBuilder(topic())
    builder.disable_continuous()
    if consumer is not None:
        builder.offset_consumer(consumer)
    if strategy is not None:
        builder.offset_strategy(strategy)
    if start is not None:
        builder.offset_start(start)
    return client.consumer_with_config(builder.build())


def stored(consumer: str) -> list[int]:
    return [each.offset for each in client.consumer_offsets() if (each.consumer_id, each.topic) == (consumer, topic())]


def first(stream: Any) -> int | None:
    record = next(stream, None)
    return None if record is None else record.offset()


# Starts.
tell("beginning is preset", lambda: first(open_()))
for label, start in {
    "beginning": Offset.beginning(),
    "from_beginning": Offset.from_beginning(3),
    "from_beginning beyond": Offset.from_beginning(30),
    "end": Offset.end(),
    "from_end": Offset.from_end(4),
    "from_end beyond": Offset.from_end(40),
    "absolute": Offset.absolute(7),
    "absolute at the end": Offset.absolute(10),
}.items():
    tell(label, partial(first, open_(start=start)))
tell("a negative offset", lambda: Offset.absolute(-1))
tell("beyond, to the end", lambda: first(open_(start=Offset.absolute(1000))))


def beyond() -> None:
    """What is said then has other words here."""
    try:
        first(client.partition_consumer(topic(), 0).stream(Offset.absolute(1000)))
    except Exception as error:
        say("beyond, on and on", [type(error).__name__, "1000" in str(error)])


beyond()

# By hand: the mark is the last that was handed out, and the flush stores the mark.
stream = open_("hand", MANUAL)
tell("commit before all", stream.offset_commit)
tell("flush before all", stream.offset_flush)
tell("nothing is stored", lambda: stored("hand"))
next(stream), next(stream)
tell("commit", stream.offset_commit)
tell("committed is not stored", lambda: stored("hand"))
next(stream)
tell("flush", stream.offset_flush)
tell("what was committed is stored", lambda: stored("hand"))
next(stream)
tell("flush without a commit", stream.offset_flush)
tell("stays", lambda: stored("hand"))
del stream
gc.collect()
tell("goes on after it", lambda: first(open_("hand", MANUAL)))
tell("whatever the strategy", lambda: first(open_("hand", NONE)))
tell("begins there whatever is stored", lambda: first(open_("hand", MANUAL, Offset.absolute(7))))
tell("beginning", lambda: first(open_("hand", MANUAL, Offset.beginning())))
tell("end", lambda: first(open_("hand", MANUAL, Offset.end())))
tell("a distance counts from what is stored", lambda: first(open_("hand", MANUAL, Offset.from_beginning(2))))
tell("and backwards", lambda: first(open_("hand", MANUAL, Offset.from_end(1))))
tell("and not behind the end", lambda: first(open_("hand", MANUAL, Offset.from_beginning(99))))
tell("and not before the first", lambda: first(open_("hand", MANUAL, Offset.from_end(9))))
back = open_("hand", MANUAL, Offset.absolute(0))
next(back)
tell("commit backwards", back.offset_commit)
tell("flush backwards", back.offset_flush)
tell("stored backwards", lambda: stored("hand"))

# By itself: what was yielded.
stream = open_("auto", AUTO)
next(stream), next(stream), next(stream)
tell("flush by itself", stream.offset_flush)
tell("all that was yielded", lambda: stored("auto"))
del stream
gc.collect()
stream = open_("auto", AUTO)
tell("goes on", lambda: first(stream))
del stream
gc.collect()
eventually("dropped: what was yielded", lambda: stored("auto"), [3])
eventually("dropped at its end", lambda: (sum(1 for _ in open_("auto", AUTO)), gc.collect(), stored("auto"))[2], [9])

# Not at all.
stream = open_("none", NONE)
next(stream)
tell("commit without a strategy", stream.offset_commit)
tell("flush without a strategy", stream.offset_flush)
tell("a strategy without an id", lambda: open_(None, MANUAL))

# What is stored is listed, and forgotten.
(offset,) = [each for each in client.consumer_offsets() if (each.consumer_id, each.topic) == ("auto", topic())]
tell("attributes", lambda: [offset.consumer_id, offset.topic == topic(), offset.partition, offset.offset])
tell("modified_time", lambda: 1_600_000_000 < offset.modified_time < 16_000_000_000)
tell("delete", lambda: client.delete_consumer_offset("auto", topic(), 0))
tell("delete again", lambda: client.delete_consumer_offset("auto", topic(), 0))
tell("begins anew", lambda: first(open_("auto", AUTO)))
leave()
