"""The tree of errors: that it is complete, pickles, compares, and is made from what the library says."""

from __future__ import annotations

import copy
import errno
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import World

import fluvio_cffi
from fluvio_cffi import LocalCluster, ProfileStore, Tls, _errors
from fluvio_cffi._errors import FluvioError, fresh
from fluvio_cffi._failures import brief
from fluvio_cffi._native.errors import _CLASSES, from_native
from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._values import checks as _check

CLASSES = [item for item in vars(_errors).values() if isinstance(item, type) and issubclass(item, FluvioError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    assert _errors.__doc__ is not None
    drawn: list[tuple[str, str]] = []
    path: list[tuple[int, str]] = []
    for line in _errors.__doc__.splitlines():
        match = re.match(r"^ {4}([ │├└─]*)(\w+Error)\b", line)
        if match is None:
            continue
        depth = len(match[1])
        while path and path[-1][0] >= depth:
            path.pop()
        if path:
            drawn.append((match[2], path[-1][1]))
        path.append((depth, match[2]))
    real = [(item.__name__, item.__bases__[0].__name__) for item in CLASSES if item is not FluvioError]
    assert sorted(drawn) == sorted(real)


def test_all_are_exported() -> None:
    for item in CLASSES:
        assert getattr(fluvio_cffi, item.__name__) is item
        assert item.__module__ == "fluvio_cffi"
        assert item.__doc__


def test_builtin_bases() -> None:
    assert issubclass(fluvio_cffi.ConfigError, ValueError)
    assert issubclass(fluvio_cffi.ConfigTypeError, (fluvio_cffi.ConfigError, TypeError))
    assert issubclass(fluvio_cffi.FluvioTimeoutError, TimeoutError)
    assert issubclass(fluvio_cffi.FluvioConnectionError, ConnectionError)
    assert issubclass(fluvio_cffi.ClosedError, fluvio_cffi.UsageError)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_pickle_compare_and_show(cls: type[FluvioError]) -> None:
    error = cls("what happened", retriable=True, topic="t", outcome="unknown")
    error.offset = 7
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(twin) is cls
        assert twin == error
        assert hash(twin) == hash(error)
        assert str(twin) == "what happened"
        assert (twin.retriable, twin.topic, twin.outcome, twin.offset) == (True, "t", "unknown", 7)
    assert error != cls("what happened")
    assert error != FluvioError("what happened") or cls is FluvioError
    assert "what happened" in repr(error)
    again = fresh(error)
    assert again == error
    assert again is not error


async def test_what_the_operating_system_says_is_the_cause(world: World, tmp_path: Path) -> None:
    missing = tmp_path / "ca.crt"
    with LocalCluster() as cluster:
        with pytest.raises(fluvio_cffi.ConfigError, match=r"ca\.crt") as config:
            await world.connect(cluster.endpoint, tls=Tls.verified(missing))
        assert isinstance(config.value.__cause__, FileNotFoundError)
        async with world.connect(cluster.endpoint) as client:
            assert await client.admin.topics.list() == []
            away = cluster.faults.kill_controller()
            with pytest.raises(fluvio_cffi.FluvioTimeoutError, match="refused") as late:
                await client.admin.topics.list(timeout=0.2)
            with pytest.raises(fluvio_cffi.FluvioConnectionError, match="refused") as refused:
                await world.connect(cluster.endpoint, wait=False)
            for raised in (late.value, refused.value):
                assert isinstance(raised.__cause__, ConnectionRefusedError)
                assert isinstance(fresh(raised).__cause__, ConnectionRefusedError)
                assert raised.__cause__.errno == errno.ECONNREFUSED
            away.undo()
            with pytest.raises(fluvio_cffi.TopicNotFoundError) as answered:
                await client.admin.topics.get("missing")
            assert answered.value.__cause__ is None
    with pytest.raises(fluvio_cffi.ConfigError) as unreadable:
        ProfileStore(tmp_path).list()
    assert isinstance(unreadable.value.__cause__, IsADirectoryError)


def test_only_what_cannot_write_twice_is_retriable() -> None:
    retriable = {cls.__name__ for cls in CLASSES if cls("").retriable}
    assert retriable == {"FluvioConnectionError", "FluvioTimeoutError", "NotLeaderError", "ResourceError"}
    for outcome, expected in (("not_written", True), ("unknown", False), ("pending", False)):
        error = fluvio_cffi.FluvioTimeoutError("", outcome=outcome)  # type: ignore[arg-type]
        assert error.retriable is expected


def test_every_status_has_a_class() -> None:
    statuses = {name: getattr(lib, name) for name in dir(lib) if name.startswith("FLV_STATUS_")}
    none = {"FLV_STATUS_" + name for name in ("OK", "EMPTY", "END", "CHANGED", "UNKNOWN")}
    assert {name for name, status in statuses.items() if status not in _CLASSES} == none
    assert {_CLASSES.get(status, FluvioError) for status in statuses.values()} <= set(CLASSES)


def test_a_status_without_an_error() -> None:
    late = from_native(lib.FLV_STATUS_TIMEOUT, ffi.NULL, "read")
    assert isinstance(late, fluvio_cffi.FluvioTimeoutError)
    assert late.phase == "read"
    assert type(from_native(12345, ffi.NULL)) is FluvioError


def test_an_error_of_the_library() -> None:
    error = ffi.new("flv_error_t **")
    options = ffi.new("flv_client_options_t *")
    lib.flv_client_options_init(options, ffi.sizeof("flv_client_options_t"))
    queue = ffi.new("flv_queue_t **")
    assert lib.flv_queue_new(queue, error) == 0
    number = ffi.new("uint64_t *")
    status = lib.flv_client_connect(ffi.NULL, -1, queue[0], 1, number, error)
    assert status != 0
    raised = from_native(status, error[0], "connect")
    assert isinstance(raised, (fluvio_cffi.ConfigError, fluvio_cffi.UsageError))
    assert str(raised)
    lib.flv_queue_free(queue[0])


def test_keyword_attributes() -> None:
    cases: list[tuple[Any, dict[str, Any]]] = [
        (fluvio_cffi.OffsetEvictedError, {"next_available": 5}),
        (fluvio_cffi.CommitFencedError, {"fenced": {3: 17}}),
        (fluvio_cffi.DeliveryError, {"count": 3, "errors": (FluvioError("x"),)}),
        (fluvio_cffi.SmartModuleError, {"module": "m", "key": b"k", "hint": "h"}),
        (fluvio_cffi.FluvioTimeoutError, {"phase": "flush"}),
    ]
    for cls, keywords in cases:
        error = pickle.loads(pickle.dumps(cls("x", **keywords)))
        for name, value in keywords.items():
            assert getattr(error, name) == value


@pytest.mark.parametrize("outcome", ("pending", "not_written"))
async def test_a_time_out_of_send_all_says_whether_it_may_be_repeated(world: World, outcome: str) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            producer = await client.producer(topic, max_request_size=1024, buffer_size=1024)
            cluster.kill_spu(5001)
            if outcome == "not_written":
                await producer.enqueue(b"x" * 900)
            with pytest.raises(fluvio_cffi.FluvioTimeoutError) as late:
                await producer.send_all([b"x" * 600] * 3, timeout=0.3)
            assert (late.value.outcome, late.value.retriable) == (outcome, outcome == "not_written")
            with pytest.raises(fluvio_cffi.DeliveryError):
                await producer.close(flush=False)


async def test_pause_and_resume_without_arguments(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, partitions=3)
        async with client.producer(topic) as producer, client.consumer(topic) as consumer:
            consumer.pause()
            for partition in range(3):
                await producer.send(b"x", partition=partition)
            with pytest.raises(fluvio_cffi.FluvioTimeoutError):
                await consumer.receive(timeout=0.1)
            consumer.resume()
            assert {(await consumer.receive(timeout=10)).partition for _ in range(3)} == {0, 1, 2}


def test_the_library_after_its_end() -> None:
    program = (
        "import fluvio_cffi\n"
        "from fluvio_cffi._native.loader import ffi, lib\n"
        "lib.flv_runtime_shutdown(0, ffi.NULL)\n"
        "try: fluvio_cffi.Fluvio.connect('127.0.0.1:1')\n"
        "except fluvio_cffi.ClosedError as error: print(error)\n"
    )
    root = Path(fluvio_cffi.__file__).parent.parent
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=root)
    assert "the interpreter is ending" in ended.stdout


def test_a_message_is_short() -> None:
    assert brief("x" * 300) == "x" * 300
    long = brief(f"what happened {'x' * 5000}; what to do")
    assert len(long) == 300
    assert long.startswith("what happened ") and long.endswith("; what to do")


@pytest.mark.parametrize("value", ("x" * 1000, b"x" * 1000, 10**5000, [b"x"] * 1000, {"x": 1}, None, object), ids=type)
def test_what_messages_show_of_a_value_is_short(value: object) -> None:
    assert len(_check.shown(value)) < 80
    assert "xxx" not in _check.shown(value) or isinstance(value, str)
