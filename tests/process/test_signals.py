"""Ctrl-C: in each blocking call, and in event loops. Each in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from laws import LONG, has_long_form

from fluvio_cffi import LocalCluster

pytestmark = pytest.mark.timeout(60)
RUNS = 10 if LONG else 1

PROLOGUE = '''
import asyncio, os, signal, socket, sys, threading, time
from fluvio_cffi import *

endpoint, cluster_pid = sys.argv[1], int(sys.argv[2])

class interrupted:
    """SIGINT comes once the main thread has been blocked for a while; KeyboardInterrupt within 250 ms of that."""
    def __init__(self, delay=0.05):
        self.delay = delay
    def __enter__(self):
        threading.Thread(target=self.interrupt).start()
    def interrupt(self):
        time.sleep(self.delay)
        self.sent = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)
    def __exit__(self, kind, error, traceback):
        late = time.monotonic() - self.sent
        assert kind is KeyboardInterrupt, f"not interrupted but {kind}: {error}"
        assert late < 0.25, f"late by {late}"
        print("late by", late)
        return True

def status(path):
    with open(path) as file:
        return file.read().rpartition(")")[2].split()[0]

def stopped():
    os.kill(cluster_pid, signal.SIGSTOP)
    # Until the last of its threads has noticed.
    tasks = f"/proc/{cluster_pid}/task"
    while any(status(f"{tasks}/{task}/stat") != "T" for task in os.listdir(tasks)):
        time.sleep(0.001)

def goes_on():
    os.kill(cluster_pid, signal.SIGCONT)

def fill(producer):
    while producer.pending.bytes + 1024 <= 20_000:
        receipts.append(producer.enqueue(b"x" * 1000, timeout=None))

receipts = []
'''

# What is interrupted, and what must hold afterwards, when the cluster goes on.
BLOCKING = {
    "connect": ("stopped(); CALL", "Fluvio.connect(endpoint, timeout=None)", "Fluvio.connect(endpoint).close()"),
    "producer": (
        "lonely = Fluvio.connect(endpoint); stopped(); CALL",
        "lonely.producer('nowhere')",
        "lonely.producer('s').close(); lonely.close()",
    ),
    "consumer": (
        "stopped(); CALL",
        "client.consumer('s', start=Offset.beginning())",
        "client.consumer('s').close()",
    ),
    "send": ("stopped(); CALL", "producer.send(b'y', timeout=None)", "producer.send(b'z')"),
    "enqueue": (
        "stopped(); fill(producer); CALL",
        "producer.enqueue(b'never' * 1000, timeout=None)",
        "[receipt.wait(5) for receipt in receipts]; assert_absent(b'never' * 1000)",
    ),
    "wait": (
        "stopped(); receipts.append(producer.enqueue(b'x')); CALL",
        "receipts[0].wait()",
        "receipts[0].wait(5); producer.flush()",
    ),
    "send_all": (
        "stopped(); CALL",
        "producer.send_all(iter(lambda: b'x' * 100, None))",
        "producer.flush(); assert producer.pending == (0, 0)",
    ),
    "send_all_waiting": (
        "stopped(); CALL",
        "producer.send_all([b'x'] * 100)",
        "producer.flush(); assert producer.pending == (0, 0)",
    ),
    "flush": (
        "stopped(); receipts.append(producer.enqueue(b'x')); CALL",
        "producer.flush(timeout=None)",
        "producer.flush(); assert receipts[0].done()",
    ),
    "close": (
        "stopped(); receipts.append(producer.enqueue(b'x')); CALL",
        "producer.close(timeout=None)",
        "assert producer.closed",
    ),
    "block": (
        "stopped(); receipts.append(producer.enqueue(b'x')); CALL",
        "producer.__exit__(None, None, None)",
        "assert producer.closed",
    ),
    "receive": ("CALL", "consumer.receive()", "producer.send(b'r'); assert consumer.receive(5).value == b'r'"),
    "receive_with_a_limit": (
        "CALL",
        "consumer.receive(timeout=20)",
        "producer.send(b'r'); assert consumer.receive(5).value == b'r'",
    ),
    "for": ("CALL", "[None for _ in consumer]", "producer.send(b'r'); assert next(iter(consumer)).value == b'r'"),
    "batches": (
        "CALL",
        "next(consumer.batches())",
        "producer.send(b'r'); assert next(consumer.batches()).value_list() == [b'r']",
    ),
    "batches_filling": (
        "producer.send(b'r'); CALL",
        "next(consumer.batches(max_wait=None))",
        "assert next(consumer.batches()).value_list() == [b'r']",
    ),
    "create": (
        "stopped(); CALL",
        "client.admin.topics.create('other')",
        "client.admin.topics.create('other', exist_ok=True)",
    ),
    "list": ("stopped(); CALL", "client.admin.topics.list()", "client.admin.topics.list()"),
    "get": ("stopped(); CALL", "client.admin.topics.get('s')", "client.admin.topics.get('s')"),
    "delete": (
        "client.admin.topics.create('gone', exist_ok=True); stopped(); CALL",
        "client.admin.topics.delete('gone')",
        "client.admin.topics.delete('gone', missing_ok=True)",
    ),
    "client_close": (
        "other = Fluvio.connect(endpoint); p = other.producer('s'); stopped(); p.enqueue(b'x'); CALL",
        "other.close(timeout=None)",
        "assert other.closed and p.closed",
    ),
}

EPILOGUE = """
with Fluvio.connect(endpoint) as client:
    client.admin.topics.create("s", exist_ok=True)
    small = {"buffer_size": 20_000, "max_request_size": 20_000}
    with client.producer("s", **small) as producer, client.consumer("s") as consumer:
        def assert_absent(value):
            with client.consumer("s", start=Offset.beginning(), stop_at_end=True) as again:
                assert all(record.value != value for record in again)
        FIRST
        goes_on()
        THEN
        # All of it works.
        if not producer.closed:
            producer.send(b"last", timeout=5)
            while consumer.receive(5).value != b"last":
                pass
        client.admin.topics.list()
print("done")
"""


@pytest.fixture
def own() -> Iterator[LocalCluster]:
    """A cluster that may be stopped."""
    with LocalCluster() as running:
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError, TypeError):
                os.kill(running.pid, signal.SIGCONT)


def run(cluster: LocalCluster, code: str, send: int | None = None) -> tuple[int, str, str]:
    """The exit status of a program, and what it printed. It is sent `send` when it prints its first line."""
    command = [
        sys.executable,
        "-W",
        "error",
        "-c",
        PROLOGUE + textwrap.dedent(code),
        cluster.endpoint,
        str(cluster.pid),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            if send is not None:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                process.send_signal(send)
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    return process.returncode, output, errors


@has_long_form
@pytest.mark.parametrize("call", BLOCKING, ids=str)
def test_in_each_blocking_call(own: LocalCluster, call: str) -> None:
    first, blocking, then = BLOCKING[call]
    block = ";".join(part for part in first.split(";") if part.strip() != "CALL")
    steps = f"{block}\n        with interrupted(): {blocking}" if block else f"with interrupted(): {blocking}"
    for _ in range(RUNS):
        status, output, errors = run(own, EPILOGUE.replace("FIRST", steps).replace("THEN", then))
        assert (status, errors) == (0, ""), (output, errors)
        assert output.endswith("done\n")


def test_in_a_thread_that_waits_for_others(own: LocalCluster) -> None:
    """The main thread is parked while another one drains: it is interrupted all the same, and both go on."""
    status, output, errors = run(
        own,
        """
        with Fluvio.connect(endpoint) as client:
            client.admin.topics.create("a"); client.admin.topics.create("b")
            with client.consumer("a") as a, client.consumer("b") as b, client.producer("a") as pa, \\
                    client.producer("b") as pb:
                got = []
                other = threading.Thread(target=lambda: got.append(a.receive().value))
                other.start()
                with interrupted(0.2):
                    b.receive()
                pa.send(b"for a"); other.join(5)
                pb.send(b"for b")
                print(got, b.receive(5).value)
        """,
    )
    assert (status, errors) == (0, "")
    assert output.endswith("[b'for a'] b'for b'\n")


@has_long_form
@pytest.mark.parametrize("buffer_size", [3_000, 1_000_000])
def test_at_random_moments(own: LocalCluster, buffer_size: int) -> None:
    """Many signals in a loop of sends and reads, wherever they hit: what was accepted arrives once."""
    status, output, errors = run(
        own,
        f"""
        import random
        dice = random.Random(1)
        def hit(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, hit)
        hits = sent = 0
        sure, perhaps, got = set(), set(), []
        with Fluvio.connect(endpoint) as client:
            client.admin.topics.create("random", exist_ok=True)
            producer = client.producer("random", buffer_size={buffer_size}, max_request_size=3_000)
            consumer = client.consumer("random", start=Offset.beginning())
            batches = consumer.batches(max_records=3, max_wait=0)
            while hits < {2000 if LONG else 300}:
                sent += 1
                value = (b"%d" % sent).ljust(1000, b".")
                returned = False
                try:
                    try:
                        signal.setitimer(signal.ITIMER_REAL, dice.random() * 0.001 + 1e-5)
                        if dice.randrange(2):
                            producer.send(value, timeout=None)
                        else:
                            for _ in range(3):
                                producer.enqueue(b"", timeout=None)
                            producer.enqueue(value, timeout=None)
                        returned = True
                        # No calls here: the signal may come after any, and what it returned would be ours to lose.
                        for found in dice.choice((consumer, batches)):
                            got += [found]
                            break
                    finally:
                        signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    hits += 1
                (sure if returned else perhaps).add(value)
            producer.flush(5)
            assert producer.pending == (0, 0), producer.pending
            # No room was lost, nor does anybody stand in the way.
            producer.send(b"x" * 2_500, timeout=5)
            with client.consumer("random", start=Offset.beginning(), stop_at_end=True) as again:
                log = [record.value for record in again]
            got = [record for found in got for record in (found if isinstance(found, RecordBatch) else [found])]
            got = [record.value for record in got]
            while len(got) < len(log):
                got.append(consumer.receive(5).value)
            assert got == log, "lost or repeated on the way"
            log = [value for value in log if len(value) == 1000]
            assert len(set(log)) == len(log), "repeated"
            assert sure <= set(log) <= sure | perhaps, "lost or invented"
            producer.close(); consumer.close()
        print("done", hits)
        """,
    )
    assert (status, errors) == (0, ""), (output, errors)
    assert output.startswith("done")


@pytest.mark.parametrize("runner", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("work", ["reading", "sending", "waiting"])
def test_in_an_event_loop(own: LocalCluster, runner: str, work: str) -> None:
    """The runner raises KeyboardInterrupt, the blocks are left, and what was accepted is sent."""
    pytest.importorskip(runner)
    status, output, errors = run(
        own,
        f"""
        import {runner}
        async def main():
            async with AsyncFluvio.connect(endpoint) as client:
                await client.admin.topics.create("c", exist_ok=True)
                async with client.producer("c") as producer, client.consumer("c", start=Offset.beginning()) as consumer:
                    first = await producer.enqueue(b"first")
                    print("ready", flush=True)
                    if {work!r} == "reading":
                        async for record in consumer:
                            pass
                    elif {work!r} == "sending":
                        while True:
                            await producer.send(b"x")
                    else:
                        await {"trio.sleep(20)" if runner == "trio" else "asyncio.sleep(20)"}
        begun = time.monotonic()
        try:
            {"trio.run(main)" if runner == "trio" else f"{runner}.run(main())"}
        except KeyboardInterrupt:
            print("interrupted")
        assert time.monotonic() - begun < 5
        with Fluvio.connect(endpoint) as client, client.consumer("c", start=Offset.beginning()) as consumer:
            print(consumer.receive(5).value)
        """,
        signal.SIGINT,
    )
    assert (status, errors) == (0, ""), (output, errors)
    assert output == "interrupted\nb'first'\n"
