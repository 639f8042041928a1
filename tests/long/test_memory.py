"""Memory stays within its bounds while nothing moves (a reader that does not read, a cluster that is stopped), and does
not grow with the work that is done. Long (FLUVIO_CFFI_LONG=1)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from insides import control
from laws import long_only

from fluvio_cffi import LocalCluster

pytestmark = [long_only, pytest.mark.timeout(120)]
MIB = 1 << 20
ALLOWED = 16 * MIB

COMMON = """
import gc, os, signal, sys, time
from fluvio_cffi import *
endpoint, pid = sys.argv[1], int(sys.argv[2])

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def settled():
    last = 0
    while abs(resident() - last) > 1 << 18:
        last = resident()
        time.sleep(1)
    return last

def warm(client):
    with client.producer("warm") as producer:
        producer.send_all([b"x" * 1000] * 1000)
    with client.consumer("warm", start=Offset.beginning()) as consumer:
        consumer.receive()

client = Fluvio.connect(endpoint)
client.admin.topics.create("warm"); client.admin.topics.create("t")
if sys.argv[3:] == []:
    warm(client)
gc.collect()
"""


def grown(code: str, fault: str | None = None, seconds: float = 100) -> int:
    with LocalCluster() as cluster:
        command = [sys.executable, "-c", COMMON + textwrap.dedent(code), cluster.endpoint, str(cluster.pid)]
        if fault is not None:
            control(cluster, fault)
            command.append("no warm-up")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        finally:
            assert cluster.pid is not None
            os.kill(cluster.pid, signal.SIGCONT)
    assert done.stdout, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("size", [100, 10_000, 900_000])
@pytest.mark.parametrize("prefetch", [4, 16, 64])
def test_a_reader_that_does_not_read(size: int, prefetch: int) -> None:
    growth = grown(
        f"""
        with client.producer("t", batch_size={max(16_384, size)}) as producer:
            producer.send_all(b"x" * {size} for _ in range({200 * MIB} // {size}))
        gc.collect()
        before = settled()
        consumer = client.consumer("t", start=Offset.beginning(), prefetch={prefetch * MIB})
        consumer.receive()
        print(settled() - before, flush=True)
        os._exit(0)
        """
    )
    print(f"{size} bytes, prefetch {prefetch} MiB: grown by {growth / MIB:.1f} MiB")
    assert growth <= prefetch * MIB + ALLOWED


@pytest.mark.parametrize("size", [100, 8_300, 10_000, 900_000])
@pytest.mark.parametrize("buffer", [4, 32])
def test_a_producer_that_cannot_send(size: int, buffer: int) -> None:
    growth = grown(
        f"""
        producer = client.producer("t", buffer_size={buffer * MIB}, delivery_timeout=60)
        producer.send(b"x")
        before = settled()
        os.kill(pid, signal.SIGSTOP)
        try:
            producer.send_all((b"x" * {size} for _ in range({200 * MIB} // {size})), timeout=3)
        except FluvioTimeoutError:
            pass
        print(settled() - before, flush=True)
        os._exit(0)
        """
    )
    print(f"{size} bytes, buffer {buffer} MiB: grown by {growth / MIB:.1f} MiB")
    assert growth <= buffer * MIB + ALLOWED


# What is done again and again, and how often.
WORK = {
    "records": (
        10_000_000,
        """
        producer = client.producer("t")
        consumer = client.consumer("t", start=Offset.beginning())
        batches = consumer.batches(max_records=10_000)
        def work(count):
            for _ in range(count // 100_000):
                assert producer.send_all(b"x" * 100 for _ in range(100_000)).count == 100_000
                left = 100_000
                while left:
                    left -= len(next(batches))
        """,
    ),
    "idle reads": (
        100_000,
        """
        consumer = client.consumer("t")
        def work(count):
            for _ in range(count):
                try:
                    consumer.receive(timeout=0.0001)
                except FluvioTimeoutError:
                    pass
        """,
    ),
    "failed sends": (
        10_000,
        """
        producer = client.producer("t")
        def work(count):
            for _ in range(count):
                try:
                    producer.send(b"x")
                except FluvioError:
                    pass
                else:
                    raise AssertionError
        """,
    ),
    "reconnects": (
        1_000,
        """
        def work(count):
            for _ in range(count):
                with Fluvio.connect(endpoint) as other:
                    with other.producer("t") as producer, other.consumer("t", start=Offset.beginning()) as consumer:
                        producer.send(b"x")
                        consumer.receive(timeout=5)
        """,
    ),
}


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("what", WORK)
def test_work_that_is_done_leaves_nothing(what: str) -> None:
    """After a warm-up of a fifth the rest takes less than 4 MiB more. What the allocator keeps comes and
    goes by several: so each is the least of five looks with a little work in between."""
    count, code = WORK[what]
    growth = grown(
        textwrap.dedent(code)
        + textwrap.dedent(
            f"""
            def least():
                found = []
                for _ in range(5):
                    work({count // 100})
                    gc.collect()
                    found.append(settled())
                return min(found)

            work({count // 5})
            before = least()
            work({count - count // 5})
            print(least() - before, flush=True)
            os._exit(0)
            """
        ),
        fault="disk-full 5001 on" if what == "failed sends" else None,
        seconds=2900,
    )
    print(f"{count} {what}: grown by {growth / MIB:.1f} MiB")
    assert growth < 4 * MIB
