"""gevent: however it has patched the standard library, its greenlets and thread pools can use the synchronous classes,
or are told at once why not. Each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from fluvio_cffi import LocalCluster

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.implementation.name != "cpython", reason="gevent is tried on CPython only"),
]

PROLOGUE = """
import sys
from gevent import monkey
monkey.patch_all(PATCHES)
import gevent
from gevent.threadpool import ThreadPool
from fluvio_cffi import *

endpoint, topic = sys.argv[1:]
"""
ALL = ""
NO_THREADS = "thread=False"


def run(cluster: LocalCluster, topic: str, patches: str, code: str) -> str:
    """What a program prints that ends well."""
    program = PROLOGUE.replace("PATCHES", patches) + textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, cluster.endpoint, topic],
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert (done.returncode, done.stderr) == (0, ""), (done.stdout, done.stderr)
    return done.stdout


@pytest.mark.parametrize("patches", [ALL, NO_THREADS])
def test_greenlets(cluster: LocalCluster, patches: str) -> None:
    """While some wait, the others go on: those that use the client, and those that do not."""
    output = run(
        cluster,
        f"greenlets-{bool(patches)}".lower(),
        patches,
        """
        with Fluvio.connect(endpoint) as client:
            client.admin.topics.create(topic)
            consumer = client.consumer(topic, start=Offset.beginning(), consumer_id="g")
            got = []
            def read():
                for record in consumer:
                    got.append(record.value)
            reader = gevent.spawn(read)
            ticks = 0
            def tick():
                global ticks
                while True:
                    gevent.sleep(0.001)
                    ticks += 1
            ticker = gevent.spawn(tick)
            with client.producer(topic) as producer, \\
                    client.producer(topic, buffer_size=3_000, max_request_size=3_000) as narrow:
                def work(number):
                    for n in range(10):
                        producer.send(b"%d-%d" % (number, n), timeout=10)
                        narrow.enqueue(b"n" * 900, timeout=10)
                        consumer.lag()
                jobs = [gevent.spawn(work, number) for number in range(50)]
                jobs.append(gevent.spawn(client.admin.topics.list, timeout=10))
                gevent.joinall(jobs, raise_error=True)
                producer.send_all([b"last"] * 10)
            while len(got) < 1010:
                gevent.sleep(0.001)
            try:
                consumer.receive(timeout=1)
            except UsageError as error:
                print("second reader:", error)
            ticks = 0
            gevent.sleep(0.3)
            assert ticks > 50, ticks
            consumer.commit()
            consumer.stop()
            reader.join(10)
            ticker.kill()
            assert len(got) == len([value for value in got if value != b"n" * 900]) + 500
            consumer.close()
            try:
                with gevent.Timeout(0.05):
                    client.consumer(topic).receive()
            except gevent.Timeout:
                print("timed out")
        print("done")
        """,
    )
    assert output.startswith("second reader: this consumer is being read already")
    assert output.endswith("timed out\ndone\n")


@pytest.mark.parametrize("patches", [ALL, NO_THREADS])
def test_its_thread_pool(cluster: LocalCluster, patches: str) -> None:
    output = run(
        cluster,
        f"pool-{bool(patches)}".lower(),
        patches,
        """
        with Fluvio.connect(endpoint) as client:
            client.admin.topics.create(topic)
            with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
                pool = ThreadPool(4)
                reader = gevent.spawn(lambda: [consumer.receive(10).offset for _ in range(600)])
                for _ in range(20):
                    list(pool.map(lambda number: producer.send(b"%d" % number, timeout=10), range(30)))
                    producer.pending
                assert reader.get(timeout=10) == list(range(600))
                pool.join()
                pool.kill()
        print("done")
        """,
    )
    assert output == "done\n"


def test_a_signal(cluster: LocalCluster) -> None:
    """gevent runs its handlers in greenlets, which may wait."""
    output = run(
        cluster,
        "signal",
        ALL,
        """
        import os, signal
        with Fluvio.connect(endpoint) as client:
            client.admin.topics.create(topic)
            producer = client.producer(topic)
            consumer = client.consumer(topic, start=Offset.beginning(), consumer_id="s")
            record = consumer.receive(10) if producer.send(b"x") else None
            def handler():
                consumer.commit(record, timeout=10)
                producer.close()
                consumer.close(timeout=10)
                print("closed")
            gevent.signal_handler(signal.SIGTERM, handler)
            gevent.spawn_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
            try:
                consumer.receive()
            except ClosedError as error:
                print(error)
        """,
    )
    assert sorted(output.splitlines()) == ["closed", "the consumer is closed"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("from gevent import monkey; monkey.patch_all(select=False)", "without select=False"),
        ("import select; del select.poll", "eventlet removes it"),
    ],
)
def test_what_cannot_work_says_so(cluster: LocalCluster, code: str, words: str) -> None:
    program = f"{code}\nfrom fluvio_cffi import Fluvio\nFluvio.connect({cluster.endpoint!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=40)
    last = done.stderr.splitlines()[-1]
    assert last.startswith("fluvio_cffi.UsageError: ") and words in last, done.stderr
