"""What is sent through the old interface: none of it is lost unseen."""

from __future__ import annotations

import asyncio
import time

import pytest

import fluvio_cffi
from fluvio_cffi import LocalCluster, RecordTooLargeError
from fluvio_cffi.compat import (
    Compression,
    DeliverySemantic,
    Fluvio,
    FluvioConfig,
    FluviorError,
    Isolation,
    ProduceOutput,
    TopicProducer,
    TopicProducerConfigBuilder,
)
from fluvio_cffi.testing import read_all


def test_what_a_dropped_producer_had_accepted_is_sent() -> None:
    with LocalCluster() as cluster, fluvio_cffi.Fluvio.connect(cluster.endpoint) as native:
        native.admin.topics.create("dropped")
        config = FluvioConfig.new(cluster.endpoint)
        producer: TopicProducer | None = Fluvio.connect_with_config(config).topic_producer("dropped")
        assert producer is not None
        with cluster.faults.stall(5001):
            for number in range(10):
                producer.send_string(f"{number}")
            producer = None
            # The time that matters is the second that the library gives to what is dropped otherwise.
            time.sleep(1.5)
        with native.consumer("dropped", start=fluvio_cffi.Offset.beginning()) as consumer:
            assert [consumer.receive(timeout=20).text for _ in range(10)] == [f"{number}" for number in range(10)]


def test_failures_that_nobody_waits_for_are_raised_by_flush(
    old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str
) -> None:
    producer = old.topic_producer(old_topic)
    assert producer.send_string("there").wait() is not None
    native.admin.topics.delete(old_topic)
    waited = producer.send_string("gone")
    producer.send_string("gone, too")
    with pytest.raises(FluviorError, match=f"Topic not found: {old_topic}"):
        waited.wait()
    assert waited.wait() is None
    with pytest.raises(FluviorError, match="1 record") as raised:
        producer.flush()
    assert isinstance(raised.value.__cause__, fluvio_cffi.DeliveryError)
    producer.flush()


def test_a_record_that_is_too_large_disturbs_nothing(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    config = TopicProducerConfigBuilder().max_request_size(2000).build()
    producer = old.topic_producer_with_config(old_topic, config)
    producer.send_string("before")
    with pytest.raises(FluviorError, match="max_request_size is 2000") as raised:
        producer.send(b"", b"x" * 3000)
    assert isinstance(raised.value.__cause__, RecordTooLargeError)
    producer.send_string("after")
    producer.flush()
    assert [record.text for record in read_all(native, old_topic)] == ["before", "after"]


def test_send_all_has_an_output_for_each_record(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    native.admin.topics.add_partitions(old_topic, 2)
    records = [(b"%d" % (number % 7), b"%d" % number) for number in range(3000)]
    found = [output.wait() for output in old.topic_producer(old_topic).send_all(records)]
    places = {(record.partition, record.offset): (record.key, record.value) for record in read_all(native, old_topic)}
    assert [places[each.partition_id(), each.offset()] for each in found if each is not None] == records
    fixed = TopicProducerConfigBuilder().set_specific_partitioner(2).build()
    outputs = old.topic_producer_with_config(old_topic, fixed).send_all(records[:100])
    assert {each.partition_id() for output in outputs if (each := output.wait())} == {2}


def test_send_all_sends_what_comes_before_a_record_that_is_too_large(
    old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str
) -> None:
    config = TopicProducerConfigBuilder().max_request_size(2000).build()
    producer = old.topic_producer_with_config(old_topic, config)
    records = [(b"", b"%d" % number) for number in range(30)]
    records[20] = (b"", b"x" * 3000)
    with pytest.raises(FluviorError, match="record 20: the record has 3000 bytes"):
        producer.send_all(records)
    with pytest.raises(FluviorError, match="record 20: the record has 3000 bytes"):
        asyncio.run(producer.async_send_all(records))
    producer.flush()
    assert [int(record.value) for record in read_all(native, old_topic)] == [*range(20), *range(20)]


def test_every_option(old: Fluvio, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    """Also numbers that only the old package takes."""
    for largest in (0, (1 << 64) - 1):
        builder = TopicProducerConfigBuilder().batch_size(largest).max_request_size(largest).linger(largest)
        builder = builder.batch_queue_size(largest).timeout(largest).compression(Compression.Lz4)
        for delivery in DeliverySemantic:
            for isolation in Isolation:
                config = builder.delivery_semantic(delivery).isolation(isolation).linger(0).build()
                outputs = old.topic_producer_with_config(old_topic, config).send_all([(b"key", b"value"), (b"", b"")])
                assert all(isinstance(output, ProduceOutput) and output.wait() for output in outputs)
    assert [record.key for record in read_all(native, old_topic)] == [b"key", b""] * 8
