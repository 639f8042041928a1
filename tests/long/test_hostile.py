"""Servers and clients that lie.

`liar.py` stands between clients and a good cluster, and mutates, cuts, repeats, delays and makes up what the SC and the
SPU answer, for each session as its seed says. Whatever it sends, every call ends in time and with an error of the
library's own that is no bug of its; memory is bounded, no descriptor and no thread is left, and a good server works
afterwards.

The other way round the cluster is sent requests that are mutated: it goes on serving others, within bounds.

A few hundred sessions of each normally, 20,000 with FLUVIO_CFFI_LONG=1. A session alone:
``PYTHONPATH=tests:tests/support python tests/long/test_hostile.py BACKEND SEED``.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import itertools
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import World, read_all
from insides import control, spu_port
from laws import LONG, nothing_left
from liar import Liar, framed
from smartmodule_support import contains, module

import fluvio_cffi
from fluvio_cffi import FluvioError, InternalError, LocalCluster, Offset, RemoteCluster

pytestmark = pytest.mark.timeout(7200 if LONG else 180)

SESSIONS = {"asyncio": 8_000, "trio": 6_000, "sync": 6_000} if LONG else {"asyncio": 160, "trio": 120, "sync": 120}
AT_ONCE = 24
LIMIT = 0.5
GRACE = 2.0
MIB = 1 << 20
PEAK = 400 * MIB
LEFT = 64 * MIB
TOPICS = ("lies-0", "lies-1")


@contextlib.contextmanager
def liar(cluster: LocalCluster, requests: str = os.devnull) -> Iterator[str]:
    """Where the liar before `cluster` listens for clients."""
    spu = f"127.0.0.1:{spu_port(cluster)}"
    command = [sys.executable, str(Path(__file__).parents[1] / "support" / "liar.py"), cluster.endpoint, spu, requests]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdin is not None
        sc, spu = process.stdout.readline().split()
        control(cluster, f"advertise 5001 127.0.0.1 {spu}")
        try:
            yield f"127.0.0.1:{sc}"
        finally:
            process.stdin.close()


class Memory:
    """What a process has of it, watched by a thread."""

    def __init__(self, process: int | None = None) -> None:
        self._process = process or os.getpid()
        self.base = self.peak = self.now()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def now(self) -> int:
        return int(Path(f"/proc/{self._process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.peak = max(self.peak, self.now())

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()


class Sessions:
    """What became of the calls of all sessions."""

    def __init__(self, world: World, endpoint: str) -> None:
        self.world = world
        self.endpoint = endpoint
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0

    async def call(self, seed: int, name: str, function: Callable[[], Awaitable[Any]], limit: float = LIMIT) -> Any:
        """What a call gives, if it gives something. It must end within `limit`, and not in a bug."""
        begun = time.monotonic()
        try:
            value = await function()
            outcome = "fine"
        except InternalError as error:
            self.wrong.append(f"session {seed}, {name}: {error}")
            value, outcome = None, "InternalError"
        except (FluvioError, StopAsyncIteration) as error:
            value, outcome = None, type(error).__name__
        except Exception as error:
            self.wrong.append(f"session {seed}, {name}: {error!r}")
            value, outcome = None, repr(type(error))
        spent = time.monotonic() - begun - limit
        if spent > GRACE:
            self.wrong.append(f"session {seed}, {name}: it took {spent:.1f} s more than {limit} s")
        self.slowest = max(self.slowest, spent)
        self.outcomes[outcome] += 1
        return value

    async def one(self, seed: int) -> None:
        choose = random.Random(seed)

        async def call(name: str, function: Callable[[], Awaitable[Any]], limit: float = LIMIT) -> Any:
            return await self.call(seed, name, function, limit)

        async def connect() -> Any:
            return await self.world.connect(
                self.endpoint,
                client_id=f"liar-{seed}",
                timeout=2 * LIMIT,
                request_timeout=LIMIT / 2,
                admin_timeout=LIMIT,
            )

        client = await call("connect", connect, 2 * LIMIT)
        if client is None:
            return
        for _ in range(choose.randint(1, 3)):
            await choose.choice([self.lists, self.changes, self.produces, self.consumes, self.watches])(
                call, client, choose
            )
        await call("client.close", lambda: client.close(timeout=LIMIT))

    async def lists(self, call: Any, client: Any, choose: random.Random) -> None:
        admin = client.admin
        kinds = [
            admin.topics,
            admin.partitions,
            admin.spus,
            admin.custom_spus,
            admin.spu_groups,
            admin.smartmodules,
            admin.table_formats,
            admin.mirrors,
            admin.consumer_offsets,
        ]
        for kind in choose.sample(kinds, 3):
            await call(f"list {kind!r}", lambda kind=kind: kind.list(timeout=LIMIT))
        await call("cluster.status", lambda: admin.cluster.status(timeout=LIMIT))

    async def changes(self, call: Any, client: Any, choose: random.Random) -> None:
        topics = client.admin.topics
        name = f"made-{choose.randrange(4)}"
        await call("create", lambda: topics.create(name, exist_ok=True, timeout=LIMIT))
        await call("get", lambda: topics.get(name, timeout=LIMIT))
        await call("dry run", lambda: topics.create("dry", dry_run=True, timeout=LIMIT))
        await call("delete", lambda: topics.delete(name, missing_ok=True, timeout=LIMIT))

    async def produces(self, call: Any, client: Any, choose: random.Random) -> None:
        producer = await call(
            "open a producer", lambda: client.producer(choose.choice(TOPICS), delivery_timeout=LIMIT), 2 * LIMIT
        )
        if producer is None:
            return
        for _ in range(choose.randint(1, 4)):
            await call("send", lambda: producer.send(b"sent", key=b"key", timeout=LIMIT))
        receipt = await call("enqueue", lambda: producer.enqueue(b"enqueued", timeout=LIMIT))
        if receipt is not None:
            await call("wait", lambda: receipt.wait(LIMIT))
        await call("send_all", lambda: producer.send_all([b"x" * 50] * 100, timeout=LIMIT))
        await call("flush", lambda: producer.flush(timeout=LIMIT))
        await call("producer.close", lambda: producer.close(timeout=LIMIT))

    async def consumes(self, call: Any, client: Any, choose: random.Random) -> None:
        options: dict[str, Any] = {"start": choose.choice([Offset.beginning(), Offset.from_end(20), Offset.at(3)])}
        if choose.random() < 0.5:
            options["consumer_id"] = f"id-{choose.randrange(5)}"
        if choose.random() < 0.2:
            options["stop_at_end"] = True
        if choose.random() < 0.4:
            options["smartmodules"] = choose.choice(
                [contains("x"), [module("counter"), module("pass")], module("split")]
            )
        topic = choose.choice(TOPICS)
        # Stored offsets, then the start offsets.
        consumer = await call("open a consumer", lambda: client.consumer(topic, **options), 4 * LIMIT)
        if consumer is None:
            return
        for _ in range(choose.randint(1, 6)):
            await call("receive", lambda: consumer.receive(timeout=LIMIT / 2))
        await call("seek", lambda: consumer.seek(0, Offset.beginning(), timeout=LIMIT))
        await call("receive", lambda: consumer.receive(timeout=LIMIT / 2))
        if "consumer_id" in options:
            await call("commit", lambda: consumer.commit({0: 1}, timeout=LIMIT))
            await call("committed", lambda: consumer.committed(timeout=LIMIT))

        async def look() -> Any:
            return consumer.position(), consumer.lag(), client.metrics(), client.state

        await call("position", look)
        await call("consumer.close", lambda: consumer.close(timeout=LIMIT))

    async def watches(self, call: Any, client: Any, choose: random.Random) -> None:
        admin = client.admin
        watch = choose.choice([admin.topics, admin.partitions, admin.spus, admin.smartmodules]).watch()
        for _ in range(choose.randint(1, 3)):
            # The first read opens it.
            await call("watch", lambda: watch.receive(timeout=LIMIT / 2), 2 * LIMIT)
        await call("watch.close", lambda: watch.close(timeout=LIMIT))

    async def many(self, seeds: range) -> None:
        """All of them, some at once: as tasks, or as threads."""
        waiting = iter(seeds)
        if not self.world.is_sync:
            import anyio

            async def work() -> None:
                for seed in waiting:
                    await self.one(seed)

            async with anyio.create_task_group() as tasks:
                for _ in range(AT_ONCE):
                    tasks.start_soon(work)
            return

        lock = threading.Lock()

        def thread() -> None:
            while True:
                with lock:
                    seed = next(waiting, None)
                if seed is None:
                    return
                self.world.run(self.one, seed)

        threads = [threading.Thread(target=thread) for _ in range(AT_ONCE)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()

    def report(self) -> str:
        counted = ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common())
        return f"{sum(self.outcomes.values())} calls: {counted}; the slowest {self.slowest:.2f} s after its time"


async def prepare(world: World) -> None:
    client = await world.connect()
    for topic in TOPICS:
        await client.admin.topics.create(topic, partitions=2, exist_ok=True, timeout=10)
        async with client.producer(topic) as producer:
            await producer.send_all([b"x" * 100] * 500)
    await client.close()


async def works(world: World) -> None:
    """A good server: what is sent comes back."""
    client = await world.connect()
    topic = await world.topic(client)
    async with client.producer(topic) as producer:
        await producer.send_all([b"%d" % number for number in range(1000)])
    assert await read_all(client, topic) == [b"%d" % number for number in range(1000)]
    await client.close()


@pytest.mark.backends("asyncio", "trio", "sync")
def test_sessions(world: World) -> None:
    count = SESSIONS[world.backend]
    # Each backend has seeds of its own.
    first = 1_000_000 * (1 + list(SESSIONS).index(world.backend))
    with LocalCluster() as cluster:
        own = World(world.backend, cluster)
        own.run(prepare, own)
        with liar(cluster) as endpoint:
            sessions = Sessions(own, endpoint)
            own.run(sessions.many, range(first, first + 20))
            with nothing_left(), Memory() as memory:
                own.run(sessions.many, range(first + 20, first + count))
        control(cluster, f"advertise 5001 127.0.0.1 {spu_port(cluster)}")
        left = memory.now() - memory.base
        print(f"{count} sessions on {world.backend}, {sessions.report()}")
        print(f"memory: {(memory.peak - memory.base) // MIB} MiB more at most, {left // MIB} MiB left")
        assert not sessions.wrong, "\n".join(itertools.islice(sessions.wrong, 20))
        assert memory.peak - memory.base < PEAK
        assert left < LEFT
        own.run(works, own)


# -- requests


class Requests:
    """Requests that a client has sent, mutated."""

    # Whatever makes things: more of them than anybody wants is no matter of broken requests.
    MAKING = (1001, 1006)
    SC_SPU = ("sc", "spu")

    def __init__(self, cluster: LocalCluster, recorded: Path) -> None:
        self.cluster = cluster
        self.ports = {"sc": int(cluster.endpoint.rpartition(":")[2]), "spu": spu_port(cluster)}
        self.recorded: dict[str, list[bytes]] = {"sc": [], "spu": []}
        for line in recorded.read_text().splitlines():
            role, digits = line.split()
            self.recorded[role].append(bytes.fromhex(digits))

    def mutated(self, choose: random.Random, role: str) -> bytes:
        """The bytes of a request, its length among them."""
        frame = choose.choice(self.recorded[role])
        liar = Liar(str(choose.random()))
        lies = [liar.flip, liar.number, liar.number, liar.cut, liar.longer, liar.length, liar.noise]
        if role == "sc" and struct.unpack(">H", frame[:2])[0] in self.MAKING:
            return framed(frame[: choose.randrange(len(frame))])
        return b"".join(piece for piece in choose.choice(lies)(frame) if isinstance(piece, bytes))

    def session(self, seed: int) -> None:
        """A few requests on one connection, some of them mutated, and a moment for what they do."""
        choose = random.Random(seed)
        role = choose.choice(self.SC_SPU)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.ports[role]), 5) as connection:
            connection.settimeout(0.05)
            for _ in range(choose.randint(1, 4)):
                honest = choose.random() < 0.3
                frame = choose.choice(self.recorded[role])
                connection.sendall(framed(frame) if honest else self.mutated(choose, role))
            if choose.random() < 0.3:
                connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass

    def many(self, seeds: range) -> None:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(self.session, seeds))


def descriptors_of(process: int) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


@pytest.mark.backends("sync")
def test_requests(world: World, tmp_path: Path) -> None:
    with LocalCluster() as cluster:
        own = World("sync", cluster)
        own.run(prepare, own)
        with liar(cluster, str(tmp_path / "requests")) as endpoint:
            own.run(everything, own, endpoint)
        control(cluster, f"advertise 5001 127.0.0.1 {spu_port(cluster)}")
        requests = Requests(cluster, tmp_path / "requests")
        assert cluster.pid is not None
        requests.many(range(100))
        own.run(works, own)
        opened = descriptors_of(cluster.pid)
        pieces = [range(first, first + 500) for first in range(100, 20_000 if LONG else 1_600, 500)]
        with Memory(cluster.pid) as memory:
            for seeds in pieces:
                requests.many(seeds)
                begun = time.monotonic()
                own.run(works, own)
                assert time.monotonic() - begun < 5
        left = memory.now() - memory.base
        more = f"{(memory.peak - memory.base) // MIB} MiB more at most, {left // MIB} MiB left"
        print(f"{500 * len(pieces)} sessions of requests; memory of the cluster: {more}")
        assert memory.peak - memory.base < PEAK
        assert left < LEFT
        # Topics that `works` has made have files.
        assert descriptors_of(cluster.pid) <= opened + 4 * len(pieces) + 20


async def everything(world: World, endpoint: str) -> None:
    """Each kind of request once."""
    client = await world.connect(endpoint, client_id="record")
    admin = client.admin
    await admin.topics.create("made-0", partitions=2)
    await admin.topics.add_partitions("made-0", 1)
    async with client.producer("made-0") as producer:
        await producer.send_all([b"x" * 100] * 100)
        await producer.send(b"value", key=b"key", partition=0)
    async with client.consumer("made-0", start=Offset.beginning(), consumer_id="me") as consumer:
        await consumer.receive(timeout=5)
        await consumer.commit({0: 0})
        await consumer.committed()
    await admin.consumer_offsets.delete(consumer_id="me", topic="made-0", partition=0)
    kinds = [admin.topics, admin.partitions, admin.spus, admin.custom_spus, admin.spu_groups, admin.smartmodules]
    for kind in (*kinds, admin.table_formats, admin.mirrors, admin.consumer_offsets):
        await kind.list()
    await admin.smartmodules.create("module", wasm=b"\0asm\1\0\0\0")
    await admin.smartmodules.delete("module")
    await admin.mirrors.create("mirror", RemoteCluster())
    await admin.mirrors.delete("mirror")
    async with admin.topics.watch() as changes:
        await changes.receive(timeout=5)
    await admin.topics.delete("made-0")
    await client.close()


def main(backend: str, seed: str) -> None:
    with LocalCluster() as cluster:
        world = World(backend, cluster)
        world.run(prepare, world)
        with liar(cluster) as endpoint:
            sessions = Sessions(world, endpoint)
            world.run(sessions.one, int(seed))
        print(sessions.report())
        print(*sessions.wrong, sep="\n")


if __name__ == "__main__":
    print(fluvio_cffi.__version__)
    main(*sys.argv[1:])
