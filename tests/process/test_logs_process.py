"""The thread that hands the library's lines to `logging`: at the end of programs, after forks, beside greenlets, in
several interpreters, and with handlers of all kinds. Each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from laws import LONG, has_long_form

from fluvio_cffi import LocalCluster

RUNS = 200 if LONG else 5

pytestmark = pytest.mark.timeout(60 + 2 * RUNS)

PROLOGUE = """
import logging, os, sys, threading, time
from fluvio_cffi import *
from fluvio_cffi import logs
from fluvio_cffi._native.lifecycle import owner
from fluvio_cffi._native.loader import ffi, lib
from fluvio_cffi._native.logs import logs as insides

endpoint, topic = sys.argv[1:]
root = logging.getLogger("fluvio_cffi.native")

def say(count=1):
    assert lib.flv_debug_log(owner(), count, ffi.NULL) == 0

class Handler(logging.Handler):
    def __init__(self, emit):
        super().__init__()
        self.emit = emit

def client_and_topic():
    client = Fluvio.connect(endpoint)
    client.admin.topics.create(topic, exist_ok=True)
    return client
"""


def run(cluster: LocalCluster, code: str, *, topic: str = "logs", before: str = "", stderr: str = "") -> str:
    """What a program prints that ends well."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", before + PROLOGUE + textwrap.dedent(code), cluster.endpoint, topic],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert (stderr in done.stderr) if stderr else not done.stderr, (done.stdout, done.stderr)
    return done.stdout


def test_nothing_begins_with_the_import(cluster: LocalCluster) -> None:
    run(
        cluster,
        """
        logs.enable()
        assert logs.flush() and logs.dropped() == 0
        assert threading.active_count() == 1
        assert not [name for name in logging.root.manager.loggerDict if name.startswith("fluvio_cffi.native.")]
        Fluvio.connect(endpoint).close()
        assert threading.active_count() == 2
        """,
    )


def test_warnings_come_by_themselves(cluster: LocalCluster) -> None:
    """To wherever `logging` was told to bring them; where it was told nothing, as of other libraries, nothing."""
    code = """
        client_and_topic().close()
        try:
            Fluvio.connect("127.0.0.1:9", timeout=0.3, wait=True)
        except FluvioError:
            pass
        logs.flush()
        """
    told = "logging.basicConfig()\n" + textwrap.dedent(code)
    run(cluster, told, stderr="an attempt has failed, and is repeated client=2 reason=")
    run(cluster, "logs.disable()\n" + told)
    run(cluster, code)


@has_long_form
def test_the_end_of_a_program(cluster: LocalCluster) -> None:
    """With everything under way, at the lowest level: what was said last still comes, before the handlers are closed;
    also to a handler that blocks, which is not waited for long."""
    code = """
        lines = []
        root.setLevel(logs.TRACE)
        class Last(logging.Handler):
            def emit(self, record):
                lines.append(record.getMessage())
            def close(self):
                print(sum("for tests" in line for line in lines), flush=True)
        handler = Last()
        root.addHandler(handler)
        client = client_and_topic()
        producer = client.producer(topic)
        def send():
            while True:
                producer.send(b"x")
        def fill():
            while True:
                producer.send_all([b"y" * 100] * 1000)
        threading.Thread(target=send, daemon=True).start()
        threading.Thread(target=fill, daemon=True).start()
        producer.send(b"z")
        if how == "quick":
            assert logs.flush(10) or logs.dropped()
        root.setLevel(logging.WARNING)
        logging.getLogger("fluvio_cffi.native.connection").setLevel(logs.TRACE)
        while not logs.flush(10):
            pass
        if how == "blocks":
            handler.emit = lambda record: time.sleep(5)
        say(7)
        """
    for number in range(RUNS):
        how = ("quick", "blocks")[number % 5 == 4]
        printed = run(cluster, f"how = {how!r}\n" + textwrap.dedent(code), topic="logs-end")
        assert how == "blocks" or printed == "7\n"


def test_handlers(cluster: LocalCluster) -> None:
    """One that raises, one that logs, one that uses the client, one that ends the thread it thinks it is in."""
    printed = run(
        cluster,
        """
        failures = []
        threading.excepthook = lambda args: failures.append(args.exc_type.__name__)
        client = client_and_topic()
        connection = logging.getLogger("fluvio_cffi.native.connection")
        logging.getLogger("elsewhere").setLevel(logging.DEBUG)
        connection.setLevel(logs.TRACE)
        producer = client.producer(topic)
        lines = []

        def raises(record):
            raise ZeroDivisionError
        def leaves(record):
            raise SystemExit
        def logs_itself(record):
            logging.getLogger("elsewhere").debug("heard %s", record.getMessage())
            connection.debug("and said more") if record.levelno == logs.TRACE else None
            assert not logs.flush(1)
        def uses_the_client(record):
            producer.send(record.getMessage())
        for emit in (raises, leaves, logs_itself, uses_the_client, lines.append):
            handler = Handler(emit)
            connection.addHandler(handler)
            say(3)
            assert logs.flush(20)
            connection.removeHandler(handler)
        print(failures, len(lines), [len(read_all(client, topic)) >= 3])
        client.close()
        """,
        before="from fluvio_cffi.testing import read_all\n",
        topic="logs-handlers",
    )
    assert printed == "['ZeroDivisionError', 'ZeroDivisionError', 'ZeroDivisionError', " + (
        "'SystemExit', 'SystemExit', 'SystemExit'] 3 [True]\n"
    )


@has_long_form
def test_full_load_at_the_lowest_level(cluster: LocalCluster) -> None:
    """Eight threads that produce and read, and eight that only talk, while levels change: no deadlock, every line is
    handed on or counted as dropped, and memory is bounded."""
    printed = run(
        cluster,
        f"""
        import resource
        each = {1_000_000 if LONG else 100_000} // 8
        """
        + """
        came = 0
        def count(record):
            global came
            came += "for tests" in record.getMessage()
        client = client_and_topic()
        root.setLevel(logs.TRACE)
        handler = Handler(count)
        root.addHandler(handler)
        end = threading.Event()
        def produce():
            with client.producer(topic) as producer:
                while not end.is_set():
                    producer.send_all([b"x" * 100] * 1000)
                    producer.send(b"y")
        def consume():
            with client.consumer(topic, start=Offset.beginning()) as consumer:
                while not end.is_set():
                    consumer.receive_many(1000, timeout=0.01) if hasattr(consumer, "receive_many") else None
                    for batch in consumer.batches(max_wait=0.01):
                        if end.is_set():
                            break
        def change_levels():
            while not end.is_set():
                logging.getLogger("fluvio_cffi.native.admin").setLevel(logging.DEBUG)
                logging.getLogger("fluvio_cffi.native.admin").setLevel(logging.NOTSET)
                time.sleep(0.001)
        load = [threading.Thread(target=work) for work in [produce] * 4 + [consume] * 4 + [change_levels]]
        for thread in load:
            thread.start()
        time.sleep(0.5)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        talkers = [threading.Thread(target=say, args=(each,)) for _ in range(8)]
        for thread in talkers:
            thread.start()
        for thread in talkers:
            thread.join()
        end.set()
        for thread in load:
            thread.join()
        assert logs.flush(30)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10
        print(came > 0, came + logs.dropped() >= 8 * each, grown < 300)

        # And exactly, where nobody else talks.
        client.close()
        assert logs.flush(30)
        came, dropped = 0, logs.dropped()
        talkers = [threading.Thread(target=say, args=(each,)) for _ in range(8)]
        for thread in talkers:
            thread.start()
        for thread in talkers:
            thread.join()
        assert logs.flush(30)
        print(came + logs.dropped() - dropped == 8 * each)
        """,
        topic="logs-load",
    )
    assert printed == "True True True\nTrue\n"


FORK = """
lines = []
root.setLevel(logging.INFO)
root.addHandler(Handler(lines.append))

def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
            sys.stdout.flush()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0

def connect():
    client_and_topic().close()
    assert logs.flush(10) and threading.active_count() == 2
    assert any("connected to the cluster" in line.getMessage() for line in lines)
"""


def test_forks(cluster: LocalCluster) -> None:
    """A child that connects has a thread of its own; one of a process that had connected has none, ends well, and its
    loggers can be used."""
    run(
        cluster,
        FORK
        + textwrap.dedent(
            """
            def orphan():
                try:
                    Fluvio.connect(endpoint)
                except ForkedError:
                    pass
                root.setLevel(logs.TRACE)
                root.info("from the child")
                logs.enable("DEBUG")
                logs.disable()
                assert logs.flush() and logs.dropped() == 0 and threading.active_count() == 1
                sys.exit(0)

            logs.enable()
            in_child(connect)
            in_child(connect)
            connect()
            child = os.fork()
            if child == 0:
                orphan()
            assert os.waitpid(child, 0)[1] == 0
            connect()
            """
        ),
        before="import warnings\nwarnings.filterwarnings('ignore', '.*fork')\n",
    )


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="gevent is tried on CPython only")
@pytest.mark.parametrize("patches", ["", "thread=False", "select=False, thread=False"])
def test_gevent(cluster: LocalCluster, patches: str) -> None:
    """Where threads are greenlets, it is one: its handlers have their turn when others wait."""
    run(
        cluster,
        """
        lines = []
        root.setLevel(logs.TRACE)
        root.addHandler(Handler(lambda record: lines.append(record.getMessage())))
        with client_and_topic() as client, client.producer(topic) as producer:
            producer.send(b"x")
        say(5000)
        assert logs.flush(10)
        assert sum("for tests" in line for line in lines) + logs.dropped() == 5000
        assert any("a request was answered" in line for line in lines)
        """,
        before=f"from gevent import monkey\nmonkey.patch_all({patches})\n",
    )
