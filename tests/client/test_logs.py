"""What the library does, as Python's own `logging` shows it: levels, fields, times, and that nothing of a record or a
secret is in any line."""

from __future__ import annotations

import itertools
import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import World
from smartmodule_support import contains

from fluvio_cffi import (
    ConfigError,
    ConfigTypeError,
    Fluvio,
    LocalCluster,
    Offset,
    SmartModuleError,
    Tls,
    TopicNotFoundError,
    logs,
)
from fluvio_cffi._native import loader
from fluvio_cffi._native.lifecycle import owner
from fluvio_cffi._native.logs import logs as insides
from fluvio_cffi.testing import read_all

pytestmark = pytest.mark.timeout(60)

ROOT = "fluvio_cffi.native"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """No test leaves anything behind for others."""
    loggers = [logging.getLogger(name) for name in ("", "fluvio_cffi", ROOT, *logs.LOGGERS)]
    levels = [logger.level for logger in loggers]
    yield
    logging.disable(logging.NOTSET)
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    logs.enable()
    logs.flush(5)


def say(count: int = 1) -> None:
    """The library says so many lines, at the lowest level, about `connection`."""
    assert loader.lib.flv_debug_log(owner(), count, loader.ffi.NULL) == 0


def said(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What came, once all of it has."""
    assert logs.flush(10)
    return [record for record in caplog.records if record.name.startswith(ROOT)]


async def test_what_is_done_is_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """With nothing but a level of logging's; each line has its fields as attributes."""
    caplog.set_level(logs.TRACE, logger=ROOT)
    begun = time.time()
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            sent = await producer.send(b"value")
        async with client.consumer(topic, start=Offset.beginning(), consumer_id="me") as consumer:
            await consumer.commit(await consumer.receive(timeout=10))
        with pytest.raises(TopicNotFoundError):
            await client.admin.topics.get("no-such-topic")
    lines = {(record.name, record.msg.split(" client=")[0]): record for record in said(caplog)}

    def line(target: str, words: str) -> Any:
        return lines[f"{ROOT}.{target}", words]

    connected = line("cluster", "connected to the cluster")
    assert (connected.levelname, connected.address) == ("INFO", world.cluster.endpoint)
    assert line("connection", "connected to an SPU").spu == 5001
    assert line("admin", "a call was answered").levelname == "DEBUG"
    assert line("producer", "a producer is open").topic == topic
    answered = line("producer", "a request was answered")
    assert (answered.levelno, answered.levelname, answered.batches) == (logs.TRACE, "TRACE", 1)
    assert line("consumer", "a stream is opened").offset == sent.offset
    committed = line("consumer", "an offset is committed")
    assert (committed.partition, committed.offset, committed.consumer_id) == (0, sent.offset, "me")
    assert line("cluster", "the client is closed").client == connected.client > 0
    for record in lines.values():
        assert begun - 1 < record.created < time.time() + 1 and 0 <= record.msecs < 1000
        assert record.getMessage() == record.msg and "\n" not in record.msg


def test_levels_count_at_once(fluvio_client: Fluvio, caplog: pytest.LogCaptureFixture) -> None:
    """However they are set: of a logger, of one above it, of the root, or for all."""
    logger = logging.getLogger(f"{ROOT}.connection")
    for above in (logger, logging.getLogger(ROOT), logging.getLogger("fluvio_cffi"), logging.getLogger()):
        say()
        assert not said(caplog)
        above.setLevel(logs.TRACE)
        say(3)
        assert len(said(caplog)) == 3
        logging.disable(logging.CRITICAL)
        say()
        logging.disable(logging.NOTSET)
        logging.getLogger(f"{ROOT}.producer").setLevel(logging.DEBUG)
        say()
        assert len(said(caplog)) == 4
        above.setLevel(logging.WARNING if above.name == "root" else logging.NOTSET)
        logging.getLogger(f"{ROOT}.producer").setLevel(logging.NOTSET)
        caplog.clear()


def test_levels_are_looked_up_where_logging_does_not_tell(
    fluvio_client: Fluvio, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another `logging` may keep its caches elsewhere: then levels count within a second."""
    logs.disable()
    monkeypatch.setattr("fluvio_cffi._native.logs._have_told", lambda logger: False)
    for name in logs.LOGGERS:
        monkeypatch.setattr(logging.getLogger(name), "_cache", {})
    monkeypatch.setattr("fluvio_cffi._native.logs._LOOK_AGAIN", 10)
    logs.enable()
    logging.getLogger(ROOT).setLevel(logs.TRACE)
    deadline = time.monotonic() + 10
    while not said(caplog) and time.monotonic() < deadline:
        say()
    assert said(caplog)


def test_disable_and_enable(fluvio_client: Fluvio, caplog: pytest.LogCaptureFixture) -> None:
    logs.enable("trace")
    assert logging.getLogger(ROOT).level == logs.TRACE
    say()
    logs.disable()
    say()
    assert len(said(caplog)) == 1 and insides.reader is None
    Fluvio.connect(fluvio_client.endpoint).close()
    assert insides.reader is None
    logs.enable()
    say()
    assert len([record for record in said(caplog) if "for tests" in record.msg]) == 2
    for wrong, error in (("LOUD", ConfigError), (True, ConfigTypeError), (1.5, ConfigTypeError)):
        with pytest.raises(error, match="level "):
            logs.enable(wrong)  # type: ignore[arg-type]


def test_dropped_lines_are_counted_and_said(fluvio_client: Fluvio, caplog: pytest.LogCaptureFixture) -> None:
    """A handler that blocks holds up nobody but the lines; what is missing then is said once."""
    fluvio_client.ping()
    caplog.set_level(logs.TRACE, logger=f"{ROOT}.connection")
    before = logs.dropped()

    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if slow:
                time.sleep(slow.pop())

    slow = [1.0]
    handler = Slow()
    logging.getLogger(ROOT).addHandler(handler)
    try:
        say(20_000)
        assert fluvio_client.ping() < 1.0
        assert logs.dropped() - before > 10_000
        came = [record for record in said(caplog) if "for tests" in record.msg]
    finally:
        logging.getLogger(ROOT).removeHandler(handler)
    assert len(came) + logs.dropped() - before == 20_000
    gaps: list[logging.LogRecord] = []
    deadline = time.monotonic() + 10
    while sum(int(record.getMessage().split()[0]) for record in gaps) != 20_000 - len(came):
        assert time.monotonic() < deadline
        time.sleep(0.01)
        gaps = [record for record in said(caplog) if "were dropped" in record.msg]
    assert all((gap.name, gap.levelname) == (ROOT, "WARNING") for gap in gaps)


def test_nothing_of_records_or_secrets_is_in_any_line(caplog: pytest.LogCaptureFixture, cluster: LocalCluster) -> None:
    """Marked secrets in all that goes through the library: keys, values, parameters and words of SmartModules, TLS
    keys; while it works, and while everything fails."""
    caplog.set_level(logs.TRACE, logger=ROOT)
    mark = f"s3cret{secrets.token_hex(8)}"
    key = f"-----BEGIN PRIVATE KEY-----\n{mark}\n-----END PRIVATE KEY-----"
    tls = Tls.verified(f"-----BEGIN CERTIFICATE-----\n{mark}\n-----END CERTIFICATE-----", cert=key, key=key)
    with pytest.raises(ConfigError, match="certificate"):
        Fluvio.connect(cluster.endpoint, tls=tls, timeout=2)
    with Fluvio.connect(cluster.endpoint) as client:
        topic = f"secrets-{time.time_ns()}"
        client.admin.topics.create(topic)
        modules = contains(mark)
        with client.producer(topic) as producer:
            producer.send(mark, key=mark)
            producer.send_all([(mark, mark)] * 100)
            producer.send(f"error {mark}")
        assert len(read_all(client, topic)) == 102
        with (
            client.consumer(topic, start=Offset.beginning(), smartmodules=modules) as consumer,
            pytest.raises(SmartModuleError),
        ):
            for _ in range(102):
                consumer.receive(timeout=10)
        with client.producer(topic, smartmodules=modules) as producer, pytest.raises(SmartModuleError):
            producer.send(f"error {mark}")
    records = said(caplog)
    assert {record.name.rpartition(".")[2] for record in records} >= {"connection", "producer", "consumer", "admin"}
    for record in records:
        assert mark not in json.dumps(record.__dict__, default=repr), record.__dict__


@pytest.mark.backends("asyncio", "trio")
async def test_a_handler_may_use_structlog(backend: str, world: World) -> None:
    """`structlog` needs nothing more than its formatter: fields are in its events."""
    structlog = pytest.importorskip("structlog")
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    handler = Keep()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.add_log_level],
            processor=structlog.processors.JSONRenderer(),
        )
    )
    logger = logging.getLogger(ROOT)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        async with world.connect():
            pass
        assert logs.flush(10)
    finally:
        logger.removeHandler(handler)
    events = [json.loads(line) for line in lines]
    assert any(event["event"].startswith("connected") and event["client"] > 0 for event in events)


def test_lines_that_are_handed_on_together_are_records_of_their_own(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Each has its own fields and time, and what `logging` knows of process and thread."""
    caplog.set_level(logs.TRACE, logger=ROOT)
    with Fluvio.connect(cluster.endpoint):
        assert logs.flush(10)
        caplog.clear()
        say(300)
        say(300)
        lines = [record for record in said(caplog) if hasattr(record, "number")]
    assert [vars(record)["number"] for record in lines] == [*range(1, 301)] * 2
    assert [record.created for record in lines] == sorted(record.created for record in lines)
    for record in lines:
        assert record.getMessage().endswith(f"number={vars(record)['number']}")
        assert (record.name, record.levelno, record.levelname) == (f"{ROOT}.connection", logs.TRACE, "TRACE")
        assert (record.process, record.threadName) == (os.getpid(), "logs of fluvio_cffi")
        assert -0.001 < record.created % 1 * 1000 - record.msecs < 1.001
        assert abs(record.relativeCreated - lines[0].relativeCreated - (record.created - lines[0].created) * 1000) < 1


def test_a_logger_that_raises_costs_its_own_line_only(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger(f"{ROOT}.connection")
    is_enabled, told = logger.isEnabledFor, list[str]()
    answers = itertools.count()

    def asked(level: int) -> bool:
        if next(answers) == 3:
            raise LookupError("not this one")
        return is_enabled(level)

    caplog.set_level(logs.TRACE, logger=ROOT)
    monkeypatch.setattr(threading, "excepthook", lambda failure: told.append(str(failure.exc_value)))
    with Fluvio.connect(cluster.endpoint):
        assert logs.flush(10)
        monkeypatch.setattr(logger, "isEnabledFor", asked)
        say(10)
        lines = [record for record in said(caplog) if hasattr(record, "number")]
    assert len(lines) == 9
    assert told == ["not this one"]


def test_a_factory_of_the_programs_own_makes_each_record(
    cluster: LocalCluster, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = itertools.count()

    def factory(*arguments: Any, **keywords: Any) -> logging.LogRecord:
        record = logging.LogRecord(*arguments, **keywords)
        record.made = next(made)
        return record

    caplog.set_level(logs.TRACE, logger=ROOT)
    with Fluvio.connect(cluster.endpoint):
        assert logs.flush(10)
        monkeypatch.setattr(logging, "_logRecordFactory", factory)
        say(50)
        lines = [record for record in said(caplog) if hasattr(record, "number")]
    assert len({vars(record)["made"] for record in lines}) == len(lines) == 50
