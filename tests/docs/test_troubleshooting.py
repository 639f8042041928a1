"""Each row of the tables in docs/troubleshooting.md is a situation, brought about here; its words are compared."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import strangers
from conftest import World
from insides import control

import fluvio_cffi
from fluvio_cffi import AsyncFluvio, ClusterConfig, Fluvio, LocalCluster, Offset, ProfileStore, SmartModule, Tls

PAGE = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"
ROW = re.compile(r"^\| (?P<what>[^|]+) \| `(?P<cls>\w+)`: `(?P<words>[^|]+)` \| (?P<advice>[^|]+) \|$", re.MULTILINE)

Situation = Callable[[Any, Path], Awaitable[object]]
SITUATIONS: dict[str, Situation] = {}


class Row(NamedTuple):
    what: str
    cls: str
    words: str
    advice: str


ROWS = [Row(*match.groups()) for match in ROW.finditer(PAGE.read_text(encoding="utf-8"))]


def situation(what: str) -> Callable[[Situation], Situation]:
    def remember(function: Situation) -> Situation:
        assert what not in SITUATIONS
        SITUATIONS[what] = function
        return function

    return remember


def test_every_row_has_a_situation_and_every_situation_a_row() -> None:
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(ROWS) == len([line for line in lines if not line.startswith("| what you meet")])
    assert {row.what for row in ROWS} == SITUATIONS.keys()
    assert len(ROWS) == len(SITUATIONS) >= 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row.what)[:50])
async def test_what_the_library_says(world: World, row: Row, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLV_PROFILE_PATH", str(tmp_path / "config"))
    with pytest.raises(Exception) as raised:
        await SITUATIONS[row.what](world, tmp_path)
    error = raised.value
    said = str(error)
    assert type(error).__name__ == row.cls, said
    words = ".*".join(map(re.escape, row.words.split("…")))
    assert re.search(words, said), said
    assert len(said) <= 300


# -- connecting


@contextlib.contextmanager
def listening(first: bytes | None = None, answer: bytes | None = None) -> Iterator[str]:
    """The address of a server that says `first` to whoever connects, or gives `answer`, an empty one of which ends the
    connection; or says nothing."""
    with strangers.listen() as server, contextlib.ExitStack() as connections:

        def serve() -> None:
            while True:
                try:
                    connection = connections.enter_context(server.accept()[0])
                except OSError:
                    return
                if first is not None:
                    connection.sendall(first)
                elif answer is not None:
                    connection.recv(4096)
                    connection.sendall(answer)
                    if not answer:
                        connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield strangers.endpoint(server)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


async def refuse(world: World, endpoint: str, **keywords: Any) -> None:
    keywords.setdefault("timeout", 5)
    await world.connect(endpoint, **keywords)


@situation("the cluster is not running, or has another port")
async def _(world: World, _: Path) -> None:
    await refuse(world, strangers.nobody())


@situation("the name of the host is wrong")
async def _(world: World, _: Path) -> None:
    await refuse(world, "no-such-host.invalid:9003")


@situation("the address is a URL")
async def _(world: World, _: Path) -> None:
    await refuse(world, "http://127.0.0.1:9003")


@situation("at the address is a web server")
async def _(world: World, _: Path) -> None:
    with listening(answer=b"HTTP/1.1 400 Bad Request\r\n\r\n") as endpoint:
        await refuse(world, endpoint)


@situation("at the address is an SSH server")
async def _(world: World, _: Path) -> None:
    with listening(first=b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n") as endpoint:
        await refuse(world, endpoint)


@situation("at the address is a MySQL server")
async def _(world: World, _: Path) -> None:
    with listening(first=b"J\0\0\0\n8.0.30\0" + b"x" * 66) as endpoint:
        await refuse(world, endpoint)


@situation("at the address is something else")
async def _(world: World, _: Path) -> None:
    with listening(answer=b"\xff\xff\xff\xff\0\0\0\1") as endpoint:
        await refuse(world, endpoint)


@situation("at the address is an SPU")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client:
        (spu,) = await client.admin.spus.list()
        endpoint = spu.spec.public_endpoint
    await refuse(world, f"{endpoint.ingress[0].hostname}:{endpoint.port}")


@situation("at the address is a private port of the cluster")
async def _(world: World, _: Path) -> None:
    with listening(answer=b"") as endpoint:
        await refuse(world, endpoint)


@situation("the server accepts connections and says nothing")
async def _(world: World, _: Path) -> None:
    with listening() as endpoint:
        await refuse(world, endpoint, timeout=0.3)


@pytest.fixture(scope="module", autouse=True)
def secured() -> Iterator[None]:
    with LocalCluster(tls=True) as tls, LocalCluster(tls="mutual") as mutual:
        CLUSTERS.update(tls=tls, mutual=mutual)
        yield
        CLUSTERS.clear()


CLUSTERS: dict[str, LocalCluster] = {}


@situation("the server wants TLS, and the client does not")
async def _(world: World, _: Path) -> None:
    await refuse(world, CLUSTERS["tls"].endpoint)


@situation("the client wants TLS, and the server does not")
async def _(world: World, _: Path) -> None:
    await refuse(world, world.cluster.endpoint, tls=Tls.anonymous(), timeout=1)


@situation("the client wants TLS, and the server says nothing")
async def _(world: World, _: Path) -> None:
    with listening() as endpoint:
        await refuse(world, endpoint, tls=Tls.anonymous(), timeout=1)


@situation("the server's certificate is of a CA that is not known here")
async def _(world: World, _: Path) -> None:
    other = CLUSTERS["mutual"].data_dir / "tls" / "ca.crt"
    await refuse(world, CLUSTERS["tls"].endpoint, tls=Tls.verified(other, "fluvio.local"))


@situation("the server wants a certificate of the client")
async def _(world: World, _: Path) -> None:
    mutual = CLUSTERS["mutual"]
    await refuse(world, mutual.endpoint, tls=Tls.verified(mutual.data_dir / "tls" / "ca.crt", "fluvio.local"))


# -- profiles


@situation("there is no home directory, as in a container with a user that nobody knows")
async def _(world: World, _: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FLV_PROFILE_PATH")

        def nobody() -> Path:
            raise RuntimeError("Could not determine home directory.")

        patch.setattr(Path, "home", nobody)
        assert repr(ProfileStore()) == "ProfileStore()"
        ProfileStore().list()


@situation("there is no profile file")
async def _(world: World, directory: Path) -> None:
    with pytest.raises(fluvio_cffi.ConfigError) as read:
        ClusterConfig.load()
    assert "does not exist; give an endpoint" in str(read.value)
    await world.connect_with()


@situation("the profile file has no current profile")
async def _(world: World, directory: Path) -> None:
    store = ProfileStore()
    store.add("dev", ClusterConfig("127.0.0.1:9003"))
    store.add("gone", ClusterConfig("127.0.0.1:9003"), current=True)
    store.delete("gone")
    with pytest.raises(fluvio_cffi.ConfigError, match=r"has no current profile; name one \(it has: 'dev'\), or give"):
        ClusterConfig.load()
    await world.connect_with()


@situation("the profile file lacks the profile")
async def _(world: World, directory: Path) -> None:
    ProfileStore().add("dev", ClusterConfig("127.0.0.1:9003"))
    with pytest.raises(fluvio_cffi.ConfigError, match="has no profile 'prod'; it has: 'dev'"):
        ClusterConfig.load("prod")
    await world.connect_with(profile="prod")


@situation("the profile file cannot be read")
async def _(world: World, directory: Path) -> None:
    (directory / "config").mkdir()
    with pytest.raises(fluvio_cffi.ConfigError, match="cannot be read"):
        ClusterConfig.load()
    await world.connect_with()


@situation("the profile file is damaged")
async def _(world: World, directory: Path) -> None:
    (directory / "config").write_text("version =\n")
    with pytest.raises(fluvio_cffi.ConfigError, match="is not one in line"):
        ClusterConfig.load()
    await world.connect_with()


# -- producing and consuming


@contextlib.asynccontextmanager
async def one_of_its_own(world: World, **keywords: Any) -> Any:
    """A cluster, a client of it, and the name of a topic with one record."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint, **keywords) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"x")
            yield cluster, client, topic


@situation("the SC can be reached and an SPU cannot, as it is registered under a name of its own network; a producer")
async def _(world: World, _: Path) -> None:
    async with one_of_its_own(world) as (cluster, _, topic):
        control(cluster, "advertise 5001 spu-0.spus.invalid 9005")
        async with world.connect(cluster.endpoint) as client:
            producer = await client.producer(topic, delivery_timeout=1)
            try:
                await producer.send(b"x")
            finally:
                await producer.close(flush=False)


@situation("the same; a consumer")
async def _(world: World, _: Path) -> None:
    async with one_of_its_own(world) as (cluster, _, topic):
        control(cluster, "advertise 5001 spu-0.spus.invalid 9005")
        async with world.connect(cluster.endpoint, admin_timeout=1) as client:
            await client.consumer(topic, start=Offset.beginning())


# Seconds within which an attempt to connect has failed, on a busy machine, too.
ATTEMPTED = 2


@contextlib.asynccontextmanager
async def spu_down(world: World, **keywords: Any) -> Any:
    """A consumer and a producer that have worked, and whose SPU is down."""
    async with (
        one_of_its_own(world) as (cluster, client, topic),
        client.consumer(topic, start=Offset.beginning(), consumer_id="w") as consumer,
    ):
        assert (await consumer.receive(timeout=10)).offset == 0
        await consumer.commit()
        producer = await client.producer(topic, **keywords)
        await producer.send(b"x")
        await consumer.receive(timeout=10)
        cluster.kill_spu(5001)
        try:
            yield consumer, producer
        finally:
            # What was never sent is dropped.
            with contextlib.suppress(fluvio_cffi.DeliveryError):
                await producer.close(flush=False)


@situation("an SPU is down; `seek`")
async def _(world: World, _: Path) -> None:
    async with spu_down(world) as (consumer, _):
        await consumer.seek(0, Offset.beginning(), timeout=ATTEMPTED)


@situation("an SPU is down; `commit`")
async def _(world: World, _: Path) -> None:
    async with spu_down(world) as (consumer, _):
        await consumer.commit(timeout=ATTEMPTED)


@situation("an SPU is down; `receive(timeout=...)`")
async def _(world: World, _: Path) -> None:
    async with spu_down(world) as (consumer, _):
        await consumer.receive(timeout=ATTEMPTED)


@situation("no record comes")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client, client.consumer(await world.topic(client)) as consumer:
        await consumer.receive(timeout=0.05)


@situation("an SPU is down; `receipt.wait(timeout=...)`")
async def _(world: World, _: Path) -> None:
    async with spu_down(world) as (_, producer):
        receipt = await producer.enqueue(b"y")
        try:
            await receipt.wait(timeout=ATTEMPTED)
        except fluvio_cffi.FluvioTimeoutError as late:
            assert (late.outcome, late.retriable, late.receipt is not None) == ("pending", False, True)
            raise


@situation("an SPU is down; `flush(timeout=...)`")
async def _(world: World, _: Path) -> None:
    async with spu_down(world) as (_, producer):
        await producer.enqueue(b"y")
        await producer.flush(timeout=ATTEMPTED)


@situation("an SPU is down, and the buffer is full")
async def _(world: World, _: Path) -> None:
    async with spu_down(world, max_request_size=1024, buffer_size=1024) as (_, producer):
        await producer.enqueue(b"y" * 900)
        try:
            await producer.enqueue(b"y" * 900, timeout=ATTEMPTED)
        except fluvio_cffi.FluvioTimeoutError as late:
            assert (late.outcome, late.retriable) == ("not_written", True)
            raise


@situation("the SC is away")
async def _(world: World, _: Path) -> None:
    async with one_of_its_own(world) as (cluster, client, _):
        cluster.faults.kill_controller()
        await client.admin.topics.list(timeout=0.5)


@situation("the topic does not exist")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client:
        await client.producer("nowhere")


@situation("the partition does not exist")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            with pytest.raises(fluvio_cffi.PartitionNotFoundError) as sent:
                await producer.send(b"x", partition=9)
        with pytest.raises(fluvio_cffi.PartitionNotFoundError) as read:
            await client.consumer(topic, partitions=9)
        assert str(sent.value) == str(read.value)
        raise read.value


@situation("a record is too large")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client, client.producer(await world.topic(client)) as producer:
        await producer.send(b"x" * (2 << 20))


@situation("a record of many is too large")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client, client.producer(await world.topic(client)) as producer:
        await producer.send_all([b"x", b"y", b"x" * (2 << 20), b"z"])


@situation("a dict is sent")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client, client.producer(await world.topic(client)) as producer:
        await producer.send({"amount": 7})


@situation("offsets are committed without a `consumer_id`")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client, client.consumer(await world.topic(client)) as consumer:
        await consumer.commit()


@situation("there are fewer SPUs than replicas")
async def _(world: World, _: Path) -> None:
    async with world.connect() as client:
        await world.topic(client, replication=3)


async def read_through(world: World, module: SmartModule) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"error in a needle")
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=module) as consumer:
            await consumer.receive(timeout=10)


CONTAINS = Path(__file__).resolve().parents[1] / "smartmodules" / "contains.wasm"


@situation("a SmartModule fails on a record")
async def _(world: World, _: Path) -> None:
    await read_through(world, SmartModule(path=CONTAINS, params={"needle": "needle"}))


@situation("a SmartModule lacks a parameter")
async def _(world: World, _: Path) -> None:
    await read_through(world, SmartModule(path=CONTAINS))


@situation("a SmartModule is not in the cluster")
async def _(world: World, _: Path) -> None:
    await read_through(world, SmartModule("nowhere"))


# -- programs


@situation("`cffi` is missing, or of another machine")
async def _(world: World, directory: Path) -> None:
    package = Path(fluvio_cffi.__file__).parent
    shutil.copytree(package, directory / "fluvio_cffi", ignore=shutil.ignore_patterns("bin", "*.so", "__pycache__"))
    program = (
        f"import sys; sys.path.insert(0, {str(directory)!r})\n"
        "try: import fluvio_cffi\n"
        "except ImportError as error: print(error); print(repr(error.__cause__))"
    )
    # Without site-packages there is no cffi.
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    said, cause = ended.stdout.splitlines()
    assert "_cffi_backend" in cause and cause.startswith("ModuleNotFoundError")
    raise ImportError(said)


@situation("a client is used after a fork")
async def _(world: World, directory: Path) -> None:
    async with world.connect() as client:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                try:
                    client.state  # noqa: B018
                except fluvio_cffi.ForkedError as error:
                    os.write(writing, str(error).encode())
            os._exit(0)
        os.close(writing)
        os.waitpid(child, 0)
        with open(reading, "rb") as said:
            raise fluvio_cffi.ForkedError(said.read().decode())


async def in_another_thread(work: Callable[[], object]) -> None:
    failure: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    raise failure[0]


async def elsewhere(awaited: bool) -> None:
    """Uses a client in another loop, or outside of any, in another thread."""
    async with AsyncFluvio.connect(SHARED[0]) as client:

        def use() -> object:
            if awaited:
                return asyncio.run(client.admin.topics.list())
            return client.admin.topics.list().send(None)

        await in_another_thread(use)


SHARED: list[str] = []


@situation("a client is used in another event loop")
async def _(world: World, directory: Path) -> None:
    SHARED[:] = [world.cluster.endpoint]
    await in_another_thread(lambda: asyncio.run(elsewhere(awaited=True)))


@situation("a client is used in another thread than its loop's")
async def _(world: World, directory: Path) -> None:
    SHARED[:] = [world.cluster.endpoint]
    await in_another_thread(lambda: asyncio.run(elsewhere(awaited=False)))


async def forgetting_await(endpoint: str) -> None:
    async with AsyncFluvio.connect(endpoint) as client:
        topic = f"forgotten-{os.urandom(8).hex()}"
        await client.admin.topics.create(topic)
        said = ""
        with pytest.warns(RuntimeWarning, match="never awaited or entered"):
            try:
                await client.consumer(topic).receive()  # type: ignore[attr-defined]
            except AttributeError as error:
                said = str(error)
            gc.collect()
        raise AttributeError(said)


@situation("`await` is forgotten")
async def _(world: World, directory: Path) -> None:
    await in_another_thread(lambda: asyncio.run(forgetting_await(world.cluster.endpoint)))


@situation("`with` is used in place of `async with`")
async def _(world: World, directory: Path) -> None:
    with AsyncFluvio.connect(world.cluster.endpoint):  # type: ignore[attr-defined]
        pass


async def entering(endpoint: str) -> None:
    client = Fluvio.connect(endpoint)
    try:
        async with client:  # type: ignore[attr-defined]
            pass
    finally:
        client.close()


@situation("`async with` is used with `Fluvio`")
async def _(world: World, directory: Path) -> None:
    await in_another_thread(lambda: asyncio.run(entering(world.cluster.endpoint)))


@situation("`async with tracker.processing(...)`")
async def _(world: World, directory: Path) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            await producer.send(b"x")
        async with client.consumer(topic, consumer_id="workers") as consumer, consumer.tracker() as tracker:
            record = await tracker.receive(timeout=10)
            async with getattr(tracker, "target", tracker).processing(record):
                pass


@situation("something is used after it was closed")
async def _(world: World, directory: Path) -> None:
    async with world.connect() as client:
        producer = await client.producer(await world.topic(client))
        await producer.close()
        await producer.send(b"x")
