"""How a program ends with work in flight and nothing closed: the right status, soon, and nothing on stderr but what is
documented."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time

import pytest
from laws import LONG, stop

from fluvio_cffi import LocalCluster

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
    if how == "sigterm":
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
            end()
            if how in ("sigint", "sigterm"):
                while True:
                    await fast.send(b"z")

        asyncio.run(main())
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
            assert "fluvio" not in errors.replace("fluvio_cffi/_wait_trio.py", ""), errors
            errors = ""
        status = STATUS[how]
        if where == "trio" and how == "sigterm" and "TrioInternalError" in errors:
            # It came out of trio's scheduler, which takes it for a bug of its own: the status is trio's too.
            errors, status = "", 1
        lines = [line for line in errors.splitlines() if WARNING not in line]
        assert process.returncode == status, errors
        assert took < 2
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
        assert time.monotonic() - begun < 2
        own.kill()
    assert process.returncode == 0
    assert [line for line in errors.splitlines() if not line.startswith("  ")] == [errors.splitlines()[0]]
    assert f"{WARNING}7 record(s) were dropped" in errors
