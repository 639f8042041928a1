"""Signals, forks and the end of the interpreter, each in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import pytest

CONNECT = """
import asyncio, os, signal, sys, threading, time
from fluvio_cffi import *

endpoint = sys.argv[1]
"""


def python(cluster: Any, code: str, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *options, "-c", CONNECT + textwrap.dedent(code), cluster.endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def outcome(process: subprocess.Popen[str], timeout: float = 20) -> tuple[int, str, str]:
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output, errors


BLOCKING = {
    "receive": "consumer.receive()",
    "for": "next(iter(consumer))",
    "batches": "next(consumer.batches())",
    "connect": "Fluvio.connect(mute, timeout=None)",
    "send": "slow.send(b'x' * 100, timeout=None)",
    "enqueue": "fill(slow)",
    "send_all": "slow.send_all(iter(lambda: b'x' * 100, None))",
    "flush": "slow.enqueue(b'x'); slow.flush(timeout=None)",
    "wait": "slow.enqueue(b'x').wait()",
    "close": "slow.enqueue(b'x'); slow.close(timeout=None)",
}


@pytest.mark.parametrize("call", BLOCKING, ids=str)
def test_ctrl_c_in_a_blocking_call(cluster: Any, call: str) -> None:
    """KeyboardInterrupt within 250 ms; afterwards the client works, and it closes."""
    process = python(
        cluster,
        f"""
        import socket
        listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
        mute = "127.0.0.1:%d" % listener.getsockname()[1]

        def fill(producer):
            while True:
                producer.enqueue(b"x" * 1000, timeout=None)

        def interrupt():
            time.sleep(0.5)
            global sent
            sent = time.monotonic()
            os.kill(os.getpid(), signal.SIGINT)

        with Fluvio.connect(endpoint) as client:
            client.admin.topics.create("interrupted", exist_ok=True)
            consumer = client.consumer("interrupted")
            slow = client.producer(
                "interrupted", linger=30, delivery_timeout=60, buffer_size=20_000, max_request_size=20_000
            )
            if {call!r} not in ("receive", "for", "batches", "connect"):
                os.kill(int(sys.stdin.readline()), signal.SIGSTOP)
                time.sleep(0.2)  # until all of its threads stand
            threading.Thread(target=interrupt).start()
            try:
                {BLOCKING[call]}
                print("not interrupted")
            except KeyboardInterrupt:
                print("interrupted after", time.monotonic() - sent)
            os.kill({cluster.pid}, signal.SIGCONT)
            print([topic.name for topic in client.admin.topics.list(name_contains="interrupted")])
            slow.close(timeout=10) if not slow.closed else None
            consumer.close()
        """,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(f"{cluster.pid}\n")
        process.stdin.flush()
        status, output, errors = outcome(process)
    finally:
        os.kill(cluster.pid, signal.SIGCONT)
    assert output.startswith("interrupted after"), (output, errors)
    assert float(output.split()[2]) < 0.25
    assert "['interrupted']" in output
    assert status == 0, errors


def test_fork_before_the_first_connect(cluster: Any) -> None:
    status, output, errors = outcome(
        python(
            cluster,
            """
            child = os.fork()
            with Fluvio.connect(endpoint) as client:
                client.admin.topics.list()
            if child:
                assert os.waitpid(child, 0)[1] == 0
                print("both")
            """,
        )
    )
    assert (status, output) == (0, "both\n"), errors


def test_a_forked_child_is_no_member_of_a_group(cluster: Any) -> None:
    """It says nothing in the log: neither a sign of life, nor that it leaves."""
    status, output, errors = outcome(
        python(
            cluster,
            """
            with Fluvio.connect(endpoint) as client:
                client.admin.topics.create("forked-group", exist_ok=True)
                with client.producer("forked-group") as producer:
                    producer.send_all(list("abcd"))
                with client.consumer("forked-group", group="g", session_timeout=1) as consumer:
                    first, member, epoch = consumer.receive(timeout=10), consumer.member_id, consumer.epoch(0)
                    child = os.fork()
                    if child == 0:
                        for call in (
                            consumer.receive,
                            consumer.commit,
                            consumer.committed,
                            lambda: consumer.assignment,
                            lambda: consumer.close(leave=True),
                        ):
                            try:
                                call()
                                print("no error", call)
                            except ForkedError:
                                pass
                        sys.exit()
                    assert os.waitpid(child, 0)[1] == 0
                    deadline = time.monotonic() + 2
                    while time.monotonic() < deadline:
                        time.sleep(0.1)
                        assert (consumer.member_id, consumer.epoch(0)) == (member, epoch)
                    consumer.commit(first)
                    assert consumer.receive(timeout=10).offset == first.offset + 1
                    print("one")
            """,
        )
    )
    assert (status, output) == (0, "one\n"), errors


def test_fork_after_connect(cluster: Any) -> None:
    status, output, errors = outcome(
        python(
            cluster,
            """
            client = Fluvio.connect(endpoint)
            client.admin.topics.create("forked", exist_ok=True)
            producer = client.producer("forked")
            consumer = client.consumer("forked")
            child = os.fork()
            if child == 0:
                calls = [
                    client.admin.topics.list,
                    lambda: client.producer("forked"),
                    lambda: client.consumer("forked"),
                    lambda: client.state,
                    client.close,
                    lambda: producer.send(b""),
                    lambda: producer.enqueue(b""),
                    lambda: producer.send_all([b""]),
                    producer.flush,
                    producer.close,
                    consumer.receive,
                    consumer.close,
                    consumer.position,
                    lambda: Fluvio.connect(endpoint, timeout=2),
                ]
                for index, call in enumerate(calls):
                    try:
                        call()
                        print("no error", index)
                    except ForkedError:
                        pass
                print("child", flush=True)
                del client, producer, consumer, calls, call
                sys.exit(0)
            assert os.waitpid(child, 0)[1] == 0
            print("parent", producer.send(b"x").offset >= 0)
            producer.close(); consumer.close(); client.close()
            """,
            "-W",
            "error",
        )
    )
    assert (status, output) == (0, "child\nparent True\n"), errors
    assert errors == ""


WORK = """
client = Fluvio.connect(endpoint)
client.admin.topics.create("exit", exist_ok=True)
producer = client.producer("exit", linger=LINGER)
consumer = client.consumer("exit")
receipts = [producer.enqueue(b"x") for _ in range(1000)]
reader = threading.Thread(target=lambda: [None for _ in consumer], daemon=True)
reader.start()
time.sleep(0.05)
"""
ENDS = {
    "return": ("", 0, None),
    "exception": ("raise ZeroDivisionError", 1, None),
    "exit": ("sys.exit(3)", 3, None),
    "sigint": ("print('ready', flush=True); time.sleep(20)", -signal.SIGINT, signal.SIGINT),
    "sigterm": (
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5)); print('ready', flush=True); time.sleep(20)",
        5,
        signal.SIGTERM,
    ),
}


@pytest.mark.parametrize("linger", [0, 30])
@pytest.mark.parametrize("end", ENDS)
def test_the_end_with_work_in_flight(cluster: Any, end: str, linger: int) -> None:
    code, expected, number = ENDS[end]
    process = python(cluster, WORK.replace("LINGER", str(linger)) + code)
    if number is not None:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
    begun = time.monotonic()
    status, _, errors = outcome(process)
    if number is not None:
        assert time.monotonic() - begun < 2
    assert status == expected, errors
    lines = [line for line in errors.splitlines() if "RuntimeWarning: fluvio_cffi:" not in line]
    if end == "exception":
        assert lines[-1] == "ZeroDivisionError"
        assert errors.count("Traceback") == 1
    elif end == "sigint":
        assert lines[-1] == "KeyboardInterrupt"
        assert errors.count("Traceback") == 1
    else:
        assert [line for line in lines if not line.startswith("  ")] == []


@pytest.mark.parametrize("runner", ["asyncio", "trio"])
def test_an_event_loop_ends_with_work_in_flight(cluster: Any, runner: str) -> None:
    process = python(
        cluster,
        f"""
        async def main():
            client = await AsyncFluvio.connect(endpoint)
            await client.admin.topics.create("exit", exist_ok=True)
            producer = await client.producer("exit")
            main.kept = client, producer, [await producer.enqueue(b"x") for _ in range(100)]
        if {runner!r} == "trio":
            import trio
            trio.run(main)
        else:
            asyncio.run(main())
        """,
    )
    status, _, errors = outcome(process)
    assert (status, errors) == (0, "")


def test_where_an_unclosed_object_was_made(cluster: Any) -> None:
    code = """
    def here():
        return Fluvio.connect(endpoint)
    import gc
    here()
    gc.collect()
    """
    _, _, errors = outcome(python(cluster, code, "-X", "dev"))
    assert "ResourceWarning: unclosed <Fluvio" in errors
    assert "in here" in errors
    _, _, errors = outcome(python(cluster, code))
    assert errors == ""


def test_stop_in_a_signal_handler(cluster: Any) -> None:
    status, output, errors = outcome(
        python(
            cluster,
            """
            with Fluvio.connect(endpoint) as client:
                client.admin.topics.create("stopped", exist_ok=True)
                with client.consumer("stopped") as consumer:
                    signal.signal(signal.SIGALRM, lambda *_: consumer.stop())
                    signal.setitimer(signal.ITIMER_REAL, 0.3)
                    begun = time.monotonic()
                    for record in consumer:
                        pass
                    print("stopped", 0.2 < time.monotonic() - begun < 0.8)
            """,
        )
    )
    assert (status, output) == (0, "stopped True\n"), errors


def test_import_is_quick_and_takes_no_event_loop() -> None:
    """What a synchronous program does not use is not loaded, before a client connects and after."""
    code = """
    import sys
    before = set(sys.modules)
    import fluvio_cffi
    try:
        fluvio_cffi.Fluvio.connect("127.0.0.1:1", timeout=0.1)
    except fluvio_cffi.FluvioError:
        pass
    print(*{"trio", "asyncio", "subprocess", "fluvio_cffi.cluster"} & (set(sys.modules) - before))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")
