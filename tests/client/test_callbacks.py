"""Functions that are called when records are settled."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import Any

import pytest
from conftest import World

from fluvio_cffi import AsyncReceipt, ConfigError, DeliveryError, Fluvio, FluvioError, LocalCluster, Receipt, UsageError

pytestmark = pytest.mark.timeout(60)


async def test_each_is_called_once_with_the_receipt(world: World) -> None:
    called: list[tuple[int, bytes | None, int]] = []
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for number in range(500):
                receipt = await producer.enqueue(b"%d" % number)

                def note(receipt: Any, number: int = number) -> None:
                    called.append((number, None, receipt.result().offset))

                receipt.add_done_callback(note)
    assert sorted(called) == [(number, None, number) for number in range(500)]


async def test_several_of_one_receipt_come_in_order_and_where_the_client_is(world: World) -> None:
    called: list[object] = []
    here = threading.get_ident()
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, linger=0.05) as producer:
            receipt = await producer.enqueue(b"x")
            for number in range(3):
                receipt.add_done_callback(lambda _, number=number: called.append((number, threading.get_ident())))
            await receipt.wait()
            # Before the task that waits goes on.
            assert called == [(0, here), (1, here), (2, here)]
            receipt.add_done_callback(called.append)
            if not world.is_sync:
                assert len(called) == 3, "soon, not at once"
                await world.sleep(0.01)
            assert isinstance(called[3], (AsyncReceipt, Receipt))
            assert called[3].result() == receipt.result()
    assert len(called) == 4


async def test_what_is_no_function(world: World) -> None:
    async def coroutine(_: object) -> None: ...

    async with world.connect() as client, client.producer(await world.topic(client)) as producer:
        receipt = await producer.enqueue(b"x")
        for wrong in (None, 7, coroutine):
            with pytest.raises(ConfigError, match="fn must be a plain function"):
                receipt.add_done_callback(wrong)


async def test_what_it_raises_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    called: list[object] = []

    def fail(_: object) -> None:
        called.append(1)
        raise ValueError("oh")

    async with world.connect() as client, client.producer(await world.topic(client)) as producer:
        receipt = await producer.enqueue(b"x")
        receipt.add_done_callback(fail)
        receipt.add_done_callback(called.append)
        await receipt.wait()
    assert len(called) == 2
    (record,) = [record for record in caplog.records if record.name == "fluvio_cffi"]
    assert (record.levelno, record.exc_info and record.exc_info[0]) == (logging.ERROR, ValueError)


async def test_one_that_ends_the_program(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """On trio nothing could hand it on: it must not be taken for an error of trio's own."""
    if world.backend != "trio":
        return
    called: list[object] = []

    def leave(_: object) -> None:
        raise SystemExit(3)

    async with world.connect() as client, client.producer(await world.topic(client)) as producer:
        for settled in (False, True):
            receipt = await producer.enqueue(b"x")
            if settled:
                await receipt.wait()
            receipt.add_done_callback(leave)
            receipt.add_done_callback(called.append)
            await receipt.wait()
            await world.sleep(0.02)
    assert len(called) == 2
    found = [record.exc_info[0] for record in caplog.records if record.name == "fluvio_cffi" and record.exc_info]
    assert found == [SystemExit] * 2


async def test_one_that_adds_another_one_for_ever(world: World) -> None:
    """All others go on meanwhile."""
    if world.is_sync:
        return  # called at once
    count = 0
    async with world.connect() as client, client.producer(await world.topic(client), linger=0.02) as producer:
        receipt = await producer.enqueue(b"x")
        over = False

        def again(receipt: Any) -> None:
            nonlocal count
            count += 1
            if not over and count < 100_000:
                receipt.add_done_callback(again)

        receipt.add_done_callback(again)
        await receipt.wait()
        await world.sleep(0.02)
        over = True
        assert 1 < count < 100_000


async def test_a_failure_that_it_looks_at_is_reported_to_nobody_else(world: World) -> None:
    seen: list[FluvioError] = []
    async with world.connect() as client:
        topic = await world.topic(client)
        producer = await client.producer(topic, linger=30)
        for _ in range(3):
            receipt = await producer.enqueue(b"x")
            receipt.add_done_callback(lambda receipt: seen.append(receipt.exception()))
        await producer.close(flush=False)
        assert [error.outcome for error in seen] == ["not_written"] * 3


async def test_a_failure_that_it_does_not_look_at_is_reported(world: World) -> None:
    called: list[object] = []
    async with world.connect() as client:
        topic = await world.topic(client)
        producer = await client.producer(topic, linger=30)
        receipt = await producer.enqueue(b"x")
        receipt.add_done_callback(called.append)
        with pytest.raises(DeliveryError, match="1 record"):
            await producer.close(flush=False)
        assert len(called) == 1


async def test_it_is_called_though_the_task_that_sent_is_gone(world: World) -> None:
    called: list[object] = []
    async with world.connect() as client:
        topic = await world.topic(client)
        producer = await client.producer(topic, linger=0.05)
        receipt = await producer.enqueue(b"x")
        receipt.add_done_callback(lambda receipt: called.append(receipt.result().offset))
        receipt.add_done_callback(called.append)
        del receipt
        await producer.close()
    assert called[0] == 0
    assert len(called) == 2


@pytest.mark.parametrize("settled", [False, True])
async def test_from_another_thread(world: World, settled: bool) -> None:
    called: list[int] = []
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic, linger=0.0 if settled else 0.2) as producer:
            receipt = await producer.enqueue(b"x")
            if settled:
                await receipt.wait()
            add = receipt.target.add_done_callback if world.is_sync else receipt.add_done_callback
            thread = threading.Thread(target=add, args=(lambda _: called.append(threading.get_ident()),))
            thread.start()
            thread.join()
            await receipt.wait()
            await world.sleep(0.05)
            where = thread.ident if world.is_sync and settled else threading.get_ident()
            assert called == [where]


async def test_it_may_call_what_does_not_wait(world: World) -> None:
    """Also another callback, in the middle of the first."""
    called: list[object] = []
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            receipt = await producer.enqueue(b"x")

            def again(receipt: Any) -> None:
                called.append(producer.pending)
                client.metrics()
                receipt.add_done_callback(called.append)

            receipt.add_done_callback(again)
            await receipt.wait()
            await world.sleep(0.02)
            assert len(called) == 2


def test_one_that_waits_itself(cluster: LocalCluster) -> None:
    """In threads a callback may even wait for what the same thread drains."""
    offsets: list[int | None] = []
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("waits-itself", exist_ok=True)
        with client.producer("waits-itself") as producer:

            def more(receipt: Receipt) -> None:
                offsets.append(receipt.result().offset)
                if len(offsets) < 5:
                    following = producer.enqueue(b"more")
                    following.add_done_callback(more)
                    following.wait(timeout=10)

            producer.enqueue(b"first").add_done_callback(more)
            producer.flush()
    assert len(offsets) == 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_in_a_child(cluster: LocalCluster) -> None:
    code = f"""
import os, warnings
from fluvio_cffi import Fluvio, ForkedError
# From CPython 3.12 on a fork beside threads warns.
warnings.simplefilter("ignore", DeprecationWarning)
with Fluvio.connect({cluster.endpoint!r}) as client:
    client.admin.topics.create("callback-fork", exist_ok=True)
    with client.producer("callback-fork", linger=0.3) as producer:
        receipt = producer.enqueue(b"x")
        called = []
        receipt.add_done_callback(called.append)
        child = os.fork()
        if child == 0:
            try:
                receipt.add_done_callback(called.append)
            except ForkedError:
                os._exit(7 + len(called))
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        receipt.wait()
    assert called == [receipt]
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


async def test_what_is_not_settled_stays_so(world: World) -> None:
    async with world.connect() as client, client.producer(await world.topic(client), linger=0.2) as producer:
        receipt = await producer.enqueue(b"x")
        receipt.add_done_callback(lambda receipt: receipt.result())
        with pytest.raises(UsageError, match="not settled yet"):
            receipt.result()


def test_at_the_end_of_the_program(cluster: LocalCluster) -> None:
    """Nobody closes anything, or waits: it is called all the same, and may send once more."""
    code = f"""
from fluvio_cffi import Fluvio
client = Fluvio.connect("{cluster.endpoint}")
client.admin.topics.create("callbacks-at-exit")
producer = client.producer("callbacks-at-exit", linger=0.2)

def again(receipt):
    print("first at", receipt.result().offset, flush=True)
    producer.enqueue("b").add_done_callback(lambda receipt: print("then at", receipt.result().offset, flush=True))

producer.enqueue("a").add_done_callback(again)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "first at 0\nthen at 1\n", "")
