"""The command line as a person has it: on a terminal."""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cli_support import Run, flv, on_terminal, started

from fluvio_cffi import Fluvio, LocalCluster

CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def topic(fluvio_client: Fluvio, name: str) -> Iterator[str]:
    fluvio_client.admin.topics.create(name)
    yield name
    fluvio_client.admin.topics.delete(name, missing_ok=True)


def whole(child: Any) -> str:
    """All that it writes to its end."""
    child.expect(pexpect.EOF)
    child.close()
    text: str = child.before.replace("\r\n", "\n")
    return text


def test_table_at_80_columns(name: str) -> None:
    """Golden: colours where there may be some, and a name that is too long is cut."""
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("orders", partitions=3, retention="7d")
        client.admin.topics.create("a" * 40)
        child = on_terminal("-c", cluster.endpoint, "topic", "list")
        shown = whole(child)
        assert child.exitstatus == 0
        golden = (
            "NAME                   PARTITIONS  REPLICAS  RETENTION  COMPRESSION  STATUS\n"
            "aaaaaaaaaaaaaaaaaaaa…           1         1  -          any          provisioned\n"
            "orders                          3         1  7d         any          provisioned\n"
        )
        assert CONTROL.sub("", shown) == golden
        assert max(map(len, golden.splitlines())) == 80
        assert "\x1b[32mprovisioned\x1b[0m" in shown
        listing = ("-c", cluster.endpoint, "topic", "list")
        assert whole(on_terminal(*listing, NO_COLOR="1")) == golden
        assert whole(on_terminal(*listing, TERM="dumb")) == golden
        piped = flv("-c", cluster.endpoint, "topic", "list").stdout.decode()
        assert "a" * 40 in piped
        assert "\x1b" not in piped


def test_help_at_80_columns() -> None:
    shown = whole(on_terminal("consume", "--help"))
    assert shown.startswith("Usage: flv consume [OPTIONS] TOPIC...\n")
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_consume_is_stopped(topic: str, cluster: LocalCluster, fluvio_client: Fluvio, number: signal.Signals) -> None:
    """By Ctrl-C, or by a service manager: quietly, and how far it came is stored."""
    with fluvio_client.producer(topic) as producer:
        producer.send_all([b"one", b"two"])
    child = on_terminal("-c", cluster.endpoint, "consume", topic, "-c", f"{topic}-id")
    child.expect("one\r\ntwo\r\n")
    if number == signal.SIGINT:
        child.sendintr()
    else:
        child.kill(number)
    left = whole(child)
    assert (child.exitstatus, left) == (128 + number, "")
    (stored,) = fluvio_client.admin.consumer_offsets.list(consumer_id=f"{topic}-id")
    assert (stored.offset, stored.lag) == (1, 0)


def test_ctrl_c_ends_everything_that_waits(topic: str, cluster: LocalCluster) -> None:
    """Without a traceback, and with the status that shells expect."""
    waiting = {
        ("topic", "watch"): "-- all",
        ("events",): "provisioned",
        ("top", "-i", "60s"): "",
        ("consumer", "lag", "--watch"): "",
        ("status", "--watch"): "Cluster:",
        ("consume", topic): "Consuming records of ",
        ("produce", topic): "> ",
    }
    children = {what: on_terminal("-c", cluster.endpoint, *what) for what in waiting}
    for what, sign in waiting.items():
        child = children[what]
        child.expect_exact(sign or ("\x1b" if what[0] == "top" else "\n"))
        child.sendintr()
        left = whole(child)
        assert child.exitstatus == 130, (what, left)
        assert "Traceback" not in left
        assert "Aborted" not in left


def test_produce_line_by_line(topic: str, cluster: LocalCluster, run: Run) -> None:
    child = on_terminal("-c", cluster.endpoint, "produce", topic)
    for line in ("first", "second"):
        child.expect_exact("> ")
        child.sendline(line)
        child.expect_exact("Ok!")
        assert run("consume", topic, "-T", "1", "-d").out == f"{line}\n"
    child.expect_exact("> ")
    child.sendeof()
    whole(child)
    assert child.exitstatus == 0


def test_progress_is_for_terminals(topic: str, cluster: LocalCluster, tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b"line\n" * 200)
    given = ("-c", cluster.endpoint, "produce", topic, "-f", str(file), "--rate", "200")
    shown = whole(on_terminal(*given))
    assert len(re.findall(r"\r[\d,]+ records, ", shown)) >= 2
    assert re.search(r"\r\x1b\[K200 records, 800 B, acknowledged in [\d.]+ s \(.*/s\)\n$", shown)
    piped = flv(*given)
    assert (piped.returncode, piped.stdout, piped.stderr) == (0, b"", b"")


def test_a_record_does_nothing_to_the_terminal(topic: str, cluster: LocalCluster, fluvio_client: Fluvio) -> None:
    """It could move the cursor, or make the terminal answer. In a pipe it stays as it is."""
    with fluvio_client.producer(topic) as producer:
        producer.send(b"\x1b]0;title\x07\x1b[2Jtab\tnext\nline \xc2\x9b31m \xff", key=b"\x1b[1m")
    given = ("-c", cluster.endpoint, "consume", topic, "-B", "-d")
    shown = whole(on_terminal(*given, NO_COLOR="1"))
    assert shown.endswith("�]0;title��[2Jtab\tnext\nline �31m �\n")
    assert "\x1b" not in whole(on_terminal(*given, "-k", NO_COLOR="1"))
    assert b"\x1b[2J" in flv(*given).stdout


def test_top_follows_the_size_of_the_terminal(topic: str, cluster: LocalCluster, fluvio_client: Fluvio) -> None:
    child = on_terminal("-c", cluster.endpoint, "top", "-i", "200ms", columns=100)
    child.expect_exact("PRODUCED/s")
    with fluvio_client.producer(topic) as producer:
        producer.send_all([b"x"] * 1000)
    child.expect(rf"{topic} +1,000 +")
    for rows, columns in ((10, 40), (50, 160), (3, 20)):
        child.setwinsize(rows, columns)
        child.expect_exact("SPUs" if columns > 60 else cluster.endpoint[:12])
        child.expect_exact("\x1b[")
    child.sendintr()
    left = whole(child)
    assert (child.exitstatus, "Traceback" in left) == (130, False)
    # The screen that was there before is back.
    assert "\x1b[?1049l" in left


def test_top_waits_for_a_cluster_that_is_away(tmp_path: Path) -> None:
    """What was seen last stays, with what is wrong; then it goes on."""
    with LocalCluster(data_dir=tmp_path) as cluster:
        port = int(cluster.endpoint.rpartition(":")[2])
        child = on_terminal("-c", cluster.endpoint, "top", "-i", "100ms", columns=100)
        child.expect_exact("1 of 1 SPUs online")
        cluster.kill()
        child.expect_exact("no answer for")
        child.expect("Fluvio(Connection|Timeout)Error")
        with LocalCluster(data_dir=tmp_path, port=port), Fluvio.connect(cluster.endpoint) as client:
            client.admin.topics.create("again")
            child.expect_exact("again")
            child.sendintr()
            left = whole(child)
    assert (child.exitstatus, "Traceback" in left) == (130, False)


@pytest.mark.parametrize("form", ["table", "json"])
def test_events(name: str, cluster: LocalCluster, fluvio_client: Fluvio, form: str) -> None:
    """What is there at first, what comes, and what goes; to a pipe, too, at once."""
    given = ("-c", cluster.endpoint, "events", "--only", "topics", "-O", form)
    signs = ("consumer-offset", f"{name} provisioned", f"{name} deleted")
    if form == "json":
        signs = (
            '"kind": "snapshot"',
            f'"updated", "items": [{{"name": "{name}"',
            f'"deleted", "items": [{{"name": "{name}"',
        )
    with started(*given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines: Iterator[str] = iter(process.stdout or ())
        fluvio_client.admin.topics.get("consumer-offset")
        next(line for line in lines if signs[0] in line)
        fluvio_client.admin.topics.create(name)
        next(line for line in lines if signs[1] in line)
        fluvio_client.admin.topics.delete(name)
        next(line for line in lines if signs[2] in line)
        process.send_signal(signal.SIGINT)
        assert (process.wait(30), process.stderr and process.stderr.read()) == (130, "")


def test_system_topics_are_asked_for(cluster: LocalCluster) -> None:
    child = on_terminal("-c", cluster.endpoint, "topic", "delete", "--system", "consumer-offset")
    child.expect("The cluster may need them")
    child.sendline("n")
    assert "deleted" not in whole(child)
    assert child.exitstatus == 130


def test_output_that_nobody_reads(topic: str, cluster: LocalCluster, fluvio_client: Fluvio) -> None:
    """``flv ... | head -1``: quiet, whatever the command."""
    with fluvio_client.producer(topic) as producer:
        producer.send_all([b"x" * 100] * 50_000)
    for what in (
        ("consume", topic, "-B", "-d"),
        ("topic", "list"),
        ("--help",),
        ("consume", topic, "-B", "-O", "json"),
    ):
        with started("-c", cluster.endpoint, *what, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert (process.wait(30), process.stderr.read()) == (0, b""), what
