"""What is shown of objects, and which names there are for what signatures say."""

from __future__ import annotations

import ast
import builtins
import collections.abc
import inspect
import os
import re
import threading
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import World

import fluvio_cffi
from fluvio_cffi import Fluvio, LocalCluster, Offset

pytestmark = pytest.mark.timeout(30)


async def test_a_repr_tells_the_state(world: World) -> None:
    async with world.connect() as client:
        async_ = "" if world.is_sync else "Async"
        name = f"<{async_}Fluvio {client.endpoint}, "
        assert repr(client) == f"{name}connected>"
        assert repr(client.admin) == f"<{async_}Admin of {client!r}>"
        assert repr(client.admin.topics) == f"<{async_}Topics of {client!r}>"
        assert repr(client.admin.consumer_offsets) == f"<{async_}ConsumerOffsets of {client!r}>"
        topic = await world.topic(client, partitions=2)

        producer = await client.producer(topic, linger=30)
        assert repr(producer) == f"<{async_}Producer for {topic!r}, 0 pending>"
        for _ in range(3):
            await producer.enqueue(b"x", partition=0)
        assert repr(producer) == f"<{async_}Producer for {topic!r}, 3 pending>"
        await producer.close()
        assert repr(producer) == f"<{async_}Producer for {topic!r}, closed>"

        consumer = await client.consumer(topic, consumer_id="shown", start=Offset.beginning())
        assert repr(consumer) == f"<{async_}Consumer of {topic!r}, consumer_id='shown', at {{0: 0, 1: 0}}>"
        assert repr(consumer.batches()) == f"<{async_}Batches of {consumer!r}>"
        await consumer.receive()
        assert repr(consumer).endswith("at {0: 1, 1: 0}>")
        consumer.stop()
        assert repr(consumer).endswith("stopped>")
        await consumer.close()
        assert repr(consumer) == f"<{async_}Consumer of {topic!r}, consumer_id='shown', closed>"

        wide = await world.topic(client, partitions=20)
        async with client.consumer(wide, start=Offset.beginning()) as consumer:
            assert repr(consumer).endswith("at {0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, ...}>")
    assert repr(client) == f"{name}closed>"


def test_a_repr_without_the_cluster() -> None:
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("shown")
        events = client.events()
        events.receive()
        cluster.faults.kill_controller()
        while client.state != "reconnecting":
            events.receive()
        assert repr(client) == f"<Fluvio {cluster.endpoint}, reconnecting>"
        assert "reconnecting" in repr(client.admin.topics)


def test_a_repr_in_the_child_of_a_fork(cluster: LocalCluster) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("shown-forked", exist_ok=True)
        with client.producer("shown-forked") as producer, client.consumer("shown-forked") as consumer:
            child = os.fork()
            if child == 0:
                shown = [repr(each) for each in (client, client.admin, client.admin.topics, producer, consumer)]
                os._exit(0 if all("inherited through a fork" in each for each in shown) else 1)
            assert os.waitpid(child, 0)[1] == 0


HANDLES = [
    item
    for item in (getattr(fluvio_cffi, name) for name in fluvio_cffi.__all__)
    if not getattr(item, "_is_protocol", False)
    if isinstance(item, type) and not issubclass(item, (BaseException, tuple)) and item is not fluvio_cffi.Partitioner
]


@pytest.mark.parametrize("item", HANDLES, ids=lambda item: item.__name__)
def test_every_class_has_a_repr_of_its_own(item: Any) -> None:
    assert item.__repr__ is not object.__repr__


def annotated() -> Iterator[tuple[str, str]]:
    """Where something is said of a type, and what, of all that is public."""
    for name in fluvio_cffi.__all__:
        item = getattr(fluvio_cffi, name)
        members = vars(item) if isinstance(item, type) else {name: item}
        # What the library makes itself has no public constructor.
        made = isinstance(item, type) and "Made by" in (item.__doc__ or "")
        for each, member in members.items():
            function = getattr(member, "__func__", getattr(member, "fget", member))
            if inspect.isfunction(function) and (not each.startswith("_") or (each == "__init__" and not made)):
                for parameter, kind in function.__annotations__.items():
                    yield f"{name}.{each}: {parameter}", str(kind)
        if isinstance(item, type):
            for field, kind in vars(item).get("__annotations__", {}).items():
                if not field.startswith("_"):
                    yield f"{name}.{field}", getattr(kind, "__forward_arg__", str(kind))


def test_every_type_in_a_signature_can_be_imported() -> None:
    everywhere: Any = [fluvio_cffi, builtins, collections.abc, typing]
    # Of a module, variables of types, and what is made by the library only.
    known = {"os.PathLike", "builtins.list", "dt.datetime", "AbstractContextManager", "Path", "T", "ItemT", "Self"}
    known |= {"K", "V", "KeyIn", "ValueIn", "codecs.Codec"}
    missing = {}
    for place, kind in annotated():
        for name in re.findall(r"[A-Za-z_][\w.]*", re.sub(r"'[^']*'|\"[^\"]*\"", "", kind)):
            if name not in known and not any(hasattr(module, name) for module in everywhere):
                missing[name] = place
    private = {
        "ActiveFaults",
        "AsyncBackend",
        "SyncBackend",
        "CData",
        "Columns",
        "ConnectOptions",
        "ConsumerOptions",
        "ProducerOptions",
        "Ledger",
    }
    assert {name: place for name, place in missing.items() if name not in private} == {}
    for name in ("Bytes", "Codec", "Compression", "Duration", "Isolation", "Partitioning", "Size", "Timeout"):
        assert name in fluvio_cffi.__all__
    # They can be used as types are.
    assert isinstance("10MiB", fluvio_cffi.Size) and isinstance(None, fluvio_cffi.Timeout)
    assert isinstance(5, fluvio_cffi.Size | None)


async def test_from_end_counts_in_each_partition(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        async with client.producer(topic) as producer:
            for partition, count in ((0, 5), (1, 1)):
                for number in range(count):
                    await producer.send(str(number), partition=partition)
        for start, expected in (
            (Offset.from_end(2), [(0, "3"), (0, "4"), (1, "0")]),
            (Offset.from_beginning(2), [(0, "2"), (0, "3"), (0, "4")]),
        ):
            async with client.consumer(topic, start=start, stop_at_end=True) as consumer:
                assert sorted([(record.partition, record.text) async for record in consumer]) == expected
    assert "each partition" in (Offset.from_end.__doc__ or "")


def test_the_hook_for_exceptions_in_threads_is_left_alone(cluster: LocalCluster) -> None:
    before = threading.excepthook
    Fluvio.connect(cluster.endpoint).close()
    assert threading.excepthook is before


def test_words_for_threads_speak_of_no_tasks() -> None:
    """The synchronous classes are made from the asynchronous ones, with the words of threads."""
    words = re.compile(r"\b(tasks?|await|awaitable|coroutines?|event loop)\b", re.IGNORECASE)
    said = [
        f"{path.name}: {node.value}"
        for path in (Path(fluvio_cffi.__file__).parent / "_sync").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and words.search(node.value)
    ]
    assert not said
