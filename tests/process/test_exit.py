"""How a program ends with work in flight and nothing closed: the right status, soon, and nothing on stderr but what is
documented."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from laws import LONG, has_long_form, stop

from fluvio_cffi import Fluvio, LocalCluster, Offset

pytestmark = pytest.mark.timeout(30 + 50 * 4)
RUNS = 50 if LONG else 2
WARNING = "RuntimeWarning: fluvio_cffi: "

COMMON = """
import asyncio, os, signal, sys, threading, time
from fluvio_cffi import *
endpoint, how = sys.argv[1:]

def leave(*_):
    raise SystemExit(5)

def ready():
    if how == "sigterm" and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, leave)
    print("ready", flush=True)

def end():
    ready()
    if how == "exception":
        raise ZeroDivisionError("on purpose")
    if how == "exit":
        sys.exit(3)
"""

# Records are waiting, in flight and being acknowledged; reads wait; a call of the administration is under way.
PROGRAMS = {
    "sync": """
        client = Fluvio.connect(endpoint)
        client.admin.topics.create("t", exist_ok=True)
        slow, fast = client.producer("t", linger=30), client.producer("t")
        consumer = client.consumer("t")
        receipts = [producer.enqueue(b"x" * 100) for producer in (slow, fast) for _ in range(500)]

        def read():
            for record in consumer:
                pass

        def send():
            while True:
                fast.send_all([b"y" * 100] * 1000)

        def ask():
            while True:
                client.admin.topics.list()

        for work in (read, send, ask):
            threading.Thread(target=work, daemon=True).start()
        receipts[-1].wait(5)
        end()
        if how in ("sigint", "sigterm"):
            while True:
                fast.send(b"z")
        """,
    "asyncio": """
        async def main():
            client = await AsyncFluvio.connect(endpoint)
            await client.admin.topics.create("t", exist_ok=True)
            slow, fast = await client.producer("t", linger=30), await client.producer("t")
            consumer = await client.consumer("t")
            receipts = [await producer.enqueue(b"x" * 100) for producer in (slow, fast) for _ in range(500)]

            async def read():
                async for record in consumer:
                    pass

            async def send():
                while True:
                    await fast.send_all([b"y" * 100] * 1000)

            async def ask():
                while True:
                    await client.admin.topics.list()

            main.tasks = [asyncio.create_task(work()) for work in (read, send, ask)]
            for task in main.tasks:
                # The handler's SystemExit may hit any task, and asyncio wants it to be looked at.
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
            main.kept = client, slow, fast, consumer, receipts
            await receipts[-1].wait(5)
            if how == "sigterm":
                # What a handler of signal.signal raises can end a step of asyncio's own, and leave a task that nothing
                # wakes: its documentation says so.
                asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, asyncio.current_task().cancel)
            end()
            if how in ("sigint", "sigterm"):
                while True:
                    await fast.send(b"z")

        try:
            asyncio.run(main())
        except asyncio.CancelledError:
            sys.exit(5)
        """,
    "trio": """
        import trio

        async def main():
            client = await AsyncFluvio.connect(endpoint)
            await client.admin.topics.create("t", exist_ok=True)
            slow, fast = await client.producer("t", linger=30), await client.producer("t")
            consumer = await client.consumer("t")
            receipts = [await producer.enqueue(b"x" * 100) for producer in (slow, fast) for _ in range(500)]
            main.kept = client, slow, fast, consumer, receipts

            async def read():
                async for record in consumer:
                    pass

            async def send():
                while True:
                    await fast.send_all([b"y" * 100] * 1000)

            async def ask():
                while True:
                    await client.admin.topics.list()

            async with trio.open_nursery() as nursery:
                for work in (read, send, ask):
                    nursery.start_soon(work)
                await receipts[-1].wait(5)
                end()
                if how in ("sigint", "sigterm"):
                    while True:
                        await fast.send(b"z")
                nursery.cancel_scope.cancel()

        try:
            trio.run(main)
        except BaseException as error:
            while getattr(error, "exceptions", None):
                error = error.exceptions[0]
            raise error from None
        """,
}
STATUS = {"return": 0, "exception": 1, "exit": 3, "sigint": -signal.SIGINT, "sigterm": 5}
LAST = {"exception": "ZeroDivisionError: on purpose", "sigint": "KeyboardInterrupt"}


@has_long_form
@pytest.mark.parametrize("how", STATUS)
@pytest.mark.parametrize("where", PROGRAMS)
def test_with_work_in_flight(cluster: LocalCluster, where: str, how: str) -> None:
    code = COMMON + textwrap.dedent(PROGRAMS[where])
    for _ in range(RUNS):
        command = [sys.executable, "-c", code, cluster.endpoint, how]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n", process.stderr.read()  # type: ignore[union-attr]
                begun = time.monotonic()
                if how == "sigint":
                    process.send_signal(signal.SIGINT)
                elif how == "sigterm":
                    process.send_signal(signal.SIGTERM)
                _, errors = process.communicate(timeout=20)
                took = time.monotonic() - begun
            finally:
                process.kill()
        if where == "trio" and how == "sigterm" and "abandoned" in errors:
            # The handler's SystemExit came out of trio's own loop, which breaks trio: all but its status is trio's.
            assert "fluvio" not in errors.replace("fluvio_cffi/_backends/trio.py", ""), errors
            errors = ""
        status = STATUS[how]
        if where == "trio" and how == "sigterm" and "TrioInternalError" in errors:
            # It came out of trio's scheduler, which takes it for a bug of its own: the status is trio's too.
            errors, status = "", 1
        lines = [line for line in errors.splitlines() if WARNING not in line]
        assert process.returncode == status, errors
        assert took < 5
        if how in LAST:
            # The traceback, and nothing after it.
            assert lines[0].startswith("Traceback (most recent call last)"), errors
            assert lines[-1].startswith(LAST[how]), errors
            assert "Exception ignored" not in errors
            assert "never retrieved" not in errors
        else:
            assert lines == [], errors
        # What was waiting 30 s for company has got its chance; the cluster is there, so nothing is dropped for good.
        assert errors.count(WARNING) <= 1


def test_what_is_dropped_is_named(cluster: LocalCluster) -> None:
    """The cluster does not answer: a second later it is over, with the warning."""
    code = """
    client = Fluvio.connect(endpoint)
    client.admin.topics.create("t", exist_ok=True)
    producer = client.producer("t")
    producer.send(b"x")
    print("ready", flush=True)
    input()
    receipts = [producer.enqueue(b"y") for _ in range(7)]
    """
    with LocalCluster() as own:
        command = [sys.executable, "-c", COMMON + textwrap.dedent(code), own.endpoint, str(own.pid)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                stop(own.pid)
                begun = time.monotonic()
                _, errors = process.communicate("\n", timeout=20)
            finally:
                process.kill()
        # With room for a busy machine; far from the 30 s of one that answers.
        assert time.monotonic() - begun < 10
        own.kill()
    assert process.returncode == 0
    assert [line for line in errors.splitlines() if not line.startswith("  ")] == [errors.splitlines()[0]]
    assert f"{WARNING}7 record(s) were dropped" in errors


# -- who has the last word


def ended(code: str, *arguments: str, start: str = "") -> tuple[int, str, str]:
    """How a program ends: its status, and what it says. `start` is run before anything is imported."""
    command = [sys.executable, "-c", start + COMMON + textwrap.dedent(code), *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return result.returncode, result.stdout, result.stderr


def logged(cluster: LocalCluster, topic: str) -> list[str]:
    with (
        Fluvio.connect(cluster.endpoint) as client,
        client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer,
    ):
        return [record.text for record in consumer]


HANDLER = """
import logging, logging.config

class Handler(logging.Handler):
    def __init__(self, client, topic):
        super().__init__()
        self.producer = client.producer(topic, linger=10)

    def emit(self, record):
        self.producer.enqueue(self.format(record), timeout=0)
"""


CLOSE = "def close(self): super().close(); self.producer.close(timeout=10)"


@pytest.mark.parametrize(
    ("how", "configured"),
    [
        (CLOSE, False),
        (CLOSE, True),
        ("def flush(self): self.producer.flush(timeout=10)", False),
        ("def close(self): super().close(); self.producer.enqueue('late'); self.producer.close(timeout=10)", False),
        ("", False),
    ],
)
def test_a_log_handler_gets_its_time(cluster: LocalCluster, how: str, configured: bool) -> None:
    """Its client's cluster is away for longer than the library would wait by itself."""
    code = (
        HANDLER
        + (f"    {how}\n" if how else "")
        + f"""
with LocalCluster() as away, Fluvio.connect(away.endpoint) as admin:
    admin.admin.topics.create("logs")
    client = Fluvio.connect(away.endpoint)
    if {configured}:
        logging.config.dictConfig({{"version": 1, "disable_existing_loggers": False}})
    log = logging.getLogger("app")
    log.addHandler(Handler(client, "logs"))
    away.kill() if {bool(how)} else None
    threading.Timer(1.5, away.start).start() if {bool(how)} else None
    for n in range(100):
        log.warning("line %d", n)
    kept, away.stop = away.stop, lambda: None  # it is to outlive the block

def look():
    with Fluvio.connect(away.endpoint) as other:
        with other.consumer("logs", start=Offset.beginning(), stop_at_end=True) as consumer:
            print(sum(1 for record in consumer))
    kept()

import fluvio_cffi._native.lifecycle
fluvio_cffi._native.lifecycle.at_end.insert(0, look)
"""
    )
    status, output, errors = ended(code, cluster.endpoint, "")
    assert (status, errors) == (0, "")
    assert int(output) == 100 + ("late" in how)


def test_hooks_of_all_kinds_find_the_library_open(cluster: LocalCluster) -> None:
    """Registered before logging, before the package, and after it: each of them produces and reads."""
    start = """
import atexit
box = []

def early(name):
    producer = box[0].producer("hooks")
    print(name, producer.send(name).offset >= 0, threading.excepthook is threading.__excepthook__)
    producer.close()

atexit.register(early, "before logging")
import logging
atexit.register(early, "before the package")
"""
    code = """
    client = Fluvio.connect(endpoint)
    client.admin.topics.create("hooks", exist_ok=True)
    box.append(client)
    atexit.register(early, "after the package")
    """
    status, output, errors = ended(code, cluster.endpoint, "", start=start)
    assert (status, errors) == (0, "")
    assert output.splitlines() == [
        f"{name} True True" for name in ("after the package", "before the package", "before logging")
    ]
    assert logged(cluster, "hooks") == ["after the package", "before the package", "before logging"]


SLOW = """
client = Fluvio.connect(endpoint)
client.admin.topics.create("patient", exist_ok=True)
producer = client.producer("patient", linger=60)
print("ready", flush=True)
input()
for n in range(10):
    producer.enqueue(str(n))
"""


@pytest.mark.parametrize("timeout", ["10", "'5s'", "0", "None"])
def test_how_long_the_end_waits(timeout: str) -> None:
    with LocalCluster() as own:
        code = COMMON + textwrap.dedent(SLOW) + f"set_exit_timeout({timeout})\n"
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", code, own.endpoint, ""]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                assert process.stdin is not None and process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                stop(own.pid)
                process.stdin.write("\n")
                process.stdin.close()
                begun = time.monotonic()
                if timeout == "0":
                    assert process.wait(10) == 0
                    assert time.monotonic() - begun < 1
                    assert f"{WARNING}10 record(s) were dropped at exit: not acknowledged within 0 s" in (
                        process.stderr.read() if process.stderr else ""
                    )
                else:
                    with pytest.raises(subprocess.TimeoutExpired):
                        process.wait(1.5)
                    os.kill(own.pid, signal.SIGCONT)
                    assert process.wait(10) == 0
                    assert process.stderr is not None
                    assert process.stderr.read() == ""
            finally:
                os.kill(own.pid, signal.SIGCONT)
                process.kill()
        if timeout != "0":
            assert logged(own, "patient") == [str(n) for n in range(10)]


def test_ctrl_c_ends_a_long_wait() -> None:
    with LocalCluster() as own:
        code = COMMON + textwrap.dedent(SLOW) + "set_exit_timeout(None)\nprint('ending', flush=True)\n"
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", code, own.endpoint, ""]
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                assert process.stdin is not None and process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                stop(own.pid)
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "ending\n"
                time.sleep(0.5)  # until it waits; were it earlier, it would be the program that is interrupted
                process.send_signal(signal.SIGINT)
                process.wait(5)
            finally:
                os.kill(own.pid, signal.SIGCONT)
                process.kill()


@pytest.mark.parametrize("value", ["-1", "'soon'", "float('nan')"])
def test_no_time(cluster: LocalCluster, value: str) -> None:
    status, _, errors = ended(f"set_exit_timeout({value})", cluster.endpoint, "")
    assert status == 1
    assert "ConfigError: seconds" in errors


def test_what_was_processed_is_committed(cluster: LocalCluster) -> None:
    code = """
    client = Fluvio.connect(endpoint)
    client.admin.topics.create("read", exist_ok=True)
    with client.producer("read") as producer:
        producer.send_all(["a", "b", "c"])
    consumer = client.consumer("read", consumer_id="leaver", commit="auto", auto_commit_interval=60)
    for record in consumer:
        if record.text == "c":
            break
    """
    assert ended(code, cluster.endpoint, "") == (0, "", "")
    with Fluvio.connect(cluster.endpoint) as client:
        stored = client.admin.consumer_offsets.get(consumer_id="leaver", topic="read", partition=0)
        assert stored.offset == 1, "the record in hand does not count"


def test_what_was_given_up_gets_its_chance_too(cluster: LocalCluster) -> None:
    """A producer whose client was collected, and one that was collected itself."""
    code = """
    import gc, warnings
    warnings.simplefilter("ignore", ResourceWarning)
    client = Fluvio.connect(endpoint)
    client.admin.topics.create("collected", exist_ok=True)
    one, other = client.producer("collected", linger=0.5), client.producer("collected", linger=0.5)
    one.enqueue("one")
    other.enqueue("other")
    del other
    one._session = None
    del client
    gc.collect()
    """
    status, _, errors = ended(code, cluster.endpoint, "")
    assert status == 0, errors
    assert sorted(logged(cluster, "collected")) == ["one", "other"]


def test_without_descriptors_it_ends_as_well(cluster: LocalCluster) -> None:
    code = """
    import resource
    client = Fluvio.connect(endpoint)
    client.admin.topics.create("poor", exist_ok=True)
    producer, other = client.producer("poor", linger=60), client.producer("poor", linger=60)
    producer.enqueue("first")
    producer.flush()
    producer.enqueue("last")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    other.enqueue("never connected") if how == "lost" else None
    """
    assert ended(code, cluster.endpoint, "") == (0, "", "")
    assert logged(cluster, "poor") == ["first", "last"]
    status, _, errors = ended(code, cluster.endpoint, "lost")
    assert status == 0
    assert f"{WARNING}1 record(s) were dropped at exit" in errors
