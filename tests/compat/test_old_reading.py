"""What is read through the old interface: all of it, and what is lost is said."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from places import Stepper, interrupt

import fluvio_cffi
from fluvio_cffi import LocalCluster
from fluvio_cffi.compat import (
    ConsumerConfig,
    ConsumerConfigExtBuilder,
    ConsumerIterator,
    Fluvio,
    FluvioConfig,
    FluviorError,
    Offset,
    OffsetManagementStrategy,
    Record,
    SmartModuleKind,
)
from fluvio_cffi.compat._wrapper import inner_of
from fluvio_cffi.testing import wait_until_committed

MODULES = Path(__file__).parents[1] / "smartmodules"


def fill(native: fluvio_cffi.Fluvio, topic: str, count: int, batch_size: int | None = None) -> None:
    with native.producer(topic, batch_size=batch_size) as producer:
        producer.send_all([b"%d" % number for number in range(count)])


def builder_of(old_topic: str) -> ConsumerConfigExtBuilder:
    builder = ConsumerConfigExtBuilder(old_topic)
    builder.disable_continuous()
    return builder


def ended() -> ConsumerConfig:
    config = ConsumerConfig()
    config.disable_continuous()
    return config


def test_nothing_is_lost_where_a_reply_cuts_a_batch(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    fill(native, old_topic, 5000, batch_size=10_000)
    builder = builder_of(old_topic)
    builder.max_bytes(1000)
    stream = old.consumer_with_config(builder.build())
    assert [int(record.value_string()) for record in stream] == list(range(5000))
    builder.max_bytes(-1)
    assert sum(1 for _ in old.consumer_with_config(builder.build())) == 5000


def test_a_start_beyond_the_end_ends_with_a_warning(old: Fluvio, old_topic: str) -> None:
    stream = old.partition_consumer(old_topic, 0).stream_with_config(Offset.absolute(10), ended())
    with pytest.warns(RuntimeWarning, match="reading ended, as in the package fluvio, .* offset 10 ") as warned:
        assert list(stream) == []
    assert warned[0].filename == __file__


def test_records_that_retention_removed_are_named(
    old: Fluvio, native: fluvio_cffi.Fluvio, cluster: LocalCluster, old_topic: str
) -> None:
    fill(native, old_topic, 20)
    builder = builder_of(old_topic)
    builder.offset_consumer(old_topic)
    builder.offset_strategy(OffsetManagementStrategy.MANUAL)
    stream = old.consumer_with_config(builder.build())
    next(stream)
    stream.offset_commit()
    stream.offset_flush()
    cluster.faults.evict(old_topic, 0, 15)
    with pytest.warns(RuntimeWarning, match="reading goes on with what there is") as warned:
        stream = old.consumer_with_config(builder.build())
    assert warned[0].filename == __file__
    assert [record.offset() for record in stream] == [15, 16, 17, 18, 19]
    builder.offset_start(Offset.absolute(3))
    with pytest.raises(FluviorError, match="3"):
        old.consumer_with_config(builder.build())


def test_a_stream_may_be_read_by_another_thread(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    fill(native, old_topic, 3)
    stream = old.partition_consumer(old_topic, 0).stream(Offset.beginning())
    found = [next(stream).value_string()]
    reader = threading.Thread(target=lambda: found.extend(next(stream).value_string() for _ in range(2)))
    reader.start()
    reader.join(20)
    assert found == ["0", "1", "2"]


def test_several_topics_take_turns(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    native.admin.topics.create(f"{old_topic}-2", partitions=2)
    for name in (old_topic, f"{old_topic}-2"):
        fill(native, name, 20_000)
    consumer = old.multi_topic_partition_consumer([(old_topic, 0), (f"{old_topic}-2", 0), (f"{old_topic}-2", 1)])
    inner = [inner_of(record) for record in consumer.stream_with_config(Offset.beginning(), ended())]
    topics = [record.topic for record in inner]
    assert len(topics) == 40_000
    # None waits until another one has come to its end.
    assert topics.index(f"{old_topic}-2") < 20_000
    assert topics.index(old_topic) < 20_000
    for place in {(record.topic, record.partition) for record in inner}:
        offsets = [record.offset for record in inner if (record.topic, record.partition) == place]
        assert offsets == list(range(len(offsets)))


def test_several_topics_are_waited_for(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    native.admin.topics.create(f"{old_topic}-2")
    stream = old.multi_topic_partition_consumer([(old_topic, 0), (f"{old_topic}-2", 0)]).stream(Offset.beginning())
    for name in (old_topic, f"{old_topic}-2", old_topic):
        sender = threading.Timer(0.1, old.topic_producer(name).send_string, [name])
        sender.start()
        assert next(stream).value_string() == name
        sender.join()


def test_a_dropped_consumer_has_stored_what_it_yielded(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    fill(native, old_topic, 10)
    builder = builder_of(old_topic)
    builder.offset_consumer(old_topic)
    builder.offset_strategy()
    stream: ConsumerIterator | None = old.consumer_with_config(builder.build())
    assert stream is not None
    assert [next(stream).offset() for _ in range(4)] == [0, 1, 2, 3]
    stream = None
    wait_until_committed(native, old_topic, old_topic, {0: 3})


def test_what_a_smartmodule_fails_of_is_raised(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    with native.producer(old_topic) as producer:
        producer.send_all([b"one", b"trap", b"two"])
    config = ended()
    config.smartmodule(path=str(MODULES / "trap.wasm"))
    stream = old.partition_consumer(old_topic, 0).stream_with_config(Offset.beginning(), config)
    assert next(stream).value_string() == "one"
    with pytest.raises(Exception, match="SmartModule") as raised:
        next(stream)
    assert type(raised.value) is Exception
    assert isinstance(raised.value.__cause__, fluvio_cffi.SmartModuleError)


def test_smartmodules(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    with native.producer(old_topic) as producer:
        producer.send_all([b"one", b"two"])
    config = ended()
    config.smartmodule(path=str(MODULES / "upper.wasm"), kind=SmartModuleKind.Map)
    config.smartmodule(path=str(MODULES / "contains.wasm"), params={"needle": "W"})
    stream = old.partition_consumer(old_topic, 0).stream_with_config(Offset.beginning(), config)
    assert [(record.offset(), record.value_string()) for record in stream] == [(1, "TWO")]
    config = ended()
    config.smartmodule(path=str(MODULES / "sum.wasm"), aggregate=list(b"5"))
    with native.producer(old_topic) as producer:
        producer.send_all([b"1", b"2"])
    stream = old.partition_consumer(old_topic, 0).stream_with_config(Offset.from_end(2), config)
    assert [record.value_string() for record in stream] == ["6", "8"]


def test_nothing_need_be_closed(old_config: FluvioConfig, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    """Whoever holds what came of a record holds the producer, and that the client."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        connect = partial(Fluvio.connect_with_config, old_config)
        outputs = [connect().topic_producer(old_topic).send_string(f"{number}") for number in range(5)]
        assert [metadata.offset() for output in outputs if (metadata := output.wait())] == list(range(5))
        connect().topic_producer(old_topic).send_string("dropped")
        stream = connect().partition_consumer(old_topic, 0).stream(Offset.beginning())
        assert [next(stream).value_string() for _ in range(6)][5] == "dropped"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="knows the bytecode of CPython")
@pytest.mark.parametrize("which", ["consumer", "stream", "topics"])
def test_an_interrupt_at_any_place_loses_no_record(
    old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str, which: str
) -> None:
    fill(native, old_topic, 2)
    native.admin.topics.create(f"{old_topic}-2")

    def opened() -> Iterator[Record]:
        if which == "consumer":
            return old.consumer_with_config(builder_of(old_topic).build())
        if which == "stream":
            return old.partition_consumer(old_topic, 0).stream_with_config(Offset.beginning(), ended())
        topics = old.multi_topic_partition_consumer([(old_topic, 0), (f"{old_topic}-2", 0)])
        return topics.stream_with_config(Offset.beginning(), ended())

    at = 0
    while True:
        stream = opened()
        records: list[Record] = []
        stepper = Stepper(at, interrupt)
        with suppress(KeyboardInterrupt), stepper:
            records += (next(stream),)
        records += stream
        assert [record.offset() for record in records] == [0, 1], stepper.where
        if not stepper.hit:
            break
        at += 1
    assert at > 10
