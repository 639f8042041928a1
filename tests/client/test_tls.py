"""TLS: every way that works does, for the SC and the SPUs, and every way that does not says why, in time."""

from __future__ import annotations

import base64
import os
import pickle
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import strangers
from conftest import World
from insides import control, spu_port
from proxy import Proxy

from fluvio_cffi import (
    ClusterConfig,
    ConfigError,
    Fluvio,
    FluvioConnectionError,
    FluvioError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    Tls,
    TLSError,
)

TIMEOUT = 5.0


class Expired(LocalCluster):
    """A cluster whose certificates have expired."""

    def _command(self) -> list[str]:
        return [*super()._command(), "--tls-days", "0"]


@pytest.fixture(scope="module")
def server() -> Iterator[LocalCluster]:
    with LocalCluster(spus=2, tls=True) as running:
        yield running


@pytest.fixture(scope="module")
def mutual() -> Iterator[LocalCluster]:
    with LocalCluster(tls="mutual") as running:
        yield running


@pytest.fixture(scope="module")
def strange() -> Iterator[LocalCluster]:
    """Another one, whose certificates nobody knows."""
    with LocalCluster(tls="mutual") as running:
        yield running


@pytest.fixture(scope="module")
def expired() -> Iterator[LocalCluster]:
    with Expired(tls=True) as running:
        yield running


def files(cluster: LocalCluster) -> Path:
    return cluster.data_dir / "tls"


def text(path: Path) -> str:
    return path.read_text(encoding="ascii")


def identity(cluster: LocalCluster) -> dict[str, Path]:
    return {"cert": files(cluster) / "client.crt", "key": files(cluster) / "client.key"}


def sec1(pkcs8: str) -> str:
    """The key as OpenSSL wrote those of elliptic curves before: what is inside of PKCS#8, and the curve."""
    der = base64.b64decode("".join(pkcs8.split()[3:-3]))
    key = der[der.index(bytes.fromhex("306b0201010420")) :]
    curve = bytes.fromhex("a00a06082a8648ce3d030107")
    body = bytes.fromhex("3077") + key[2:39] + curve + key[39:]
    return f"-----BEGIN EC PRIVATE KEY-----\n{base64.encodebytes(body).decode()}-----END EC PRIVATE KEY-----\n"


async def round_trip(world: World, endpoint: str, tls: Tls) -> None:
    values = [b"%d" % number for number in range(200)]
    async with world.connect(endpoint, tls=tls, timeout=TIMEOUT) as client:
        topic = await world.topic(client, partitions=2)
        async with client.producer(topic) as producer:
            await producer.send_all(values)
            await producer.send(b"last")
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            assert sorted([record.value async for record in consumer]) == sorted([*values, b"last"])
        async with client.consumer(topic, consumer_id="c", start=Offset.beginning()) as consumer:
            await consumer.commit(await consumer.receive(timeout=TIMEOUT))


VERIFIED: dict[str, Callable[[LocalCluster], Tls]] = {
    "path": lambda cluster: cluster.tls,
    "text": lambda cluster: Tls.verified(text(files(cluster) / "ca.crt")),
    "domain": lambda cluster: Tls.verified(files(cluster) / "ca.crt", domain="fluvio.local"),
    "unasked": lambda cluster: Tls.verified(files(cluster) / "ca.crt", **identity(cluster)),  # type: ignore[arg-type]
    "anonymous": lambda cluster: Tls.anonymous(),
}


@pytest.mark.parametrize("way", VERIFIED)
async def test_server_certificate(world: World, server: LocalCluster, way: str) -> None:
    await round_trip(world, server.endpoint, VERIFIED[way](server))


async def test_a_name_as_host(world: World, server: LocalCluster) -> None:
    await round_trip(world, server.endpoint.replace("127.0.0.1", "localhost"), server.tls)


async def test_roots_of_the_system(world: World, server: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(files(server) / "ca.crt"))
    await round_trip(world, server.endpoint, Tls.verified())


async def test_client_certificate(world: World, mutual: LocalCluster) -> None:
    await round_trip(world, mutual.endpoint, mutual.tls)


@pytest.mark.parametrize("kind", ("PKCS#8", "SEC1"))
async def test_client_certificate_as_text(world: World, mutual: LocalCluster, kind: str) -> None:
    # PKCS#1 has its test in rust-ffi/engine/tests/tls.rs: these keys are of elliptic curves.
    key = text(files(mutual) / "client.key")
    key = key if kind == "PKCS#8" else sec1(key)
    ca, cert = (text(files(mutual) / name) for name in ("ca.crt", "client.crt"))
    await round_trip(world, mutual.endpoint, Tls.verified(ca, cert=cert, key=key))


# -- what does not work


async def refused(world: World, endpoint: str, tls: Tls | None, kind: type[FluvioError], *words: str) -> FluvioError:
    begun = time.monotonic()
    with pytest.raises(kind) as raised:
        await world.connect(endpoint, tls=tls, timeout=TIMEOUT)
    assert time.monotonic() - begun < TIMEOUT
    for word in words:
        assert word in str(raised.value)
    assert raised.value == pickle.loads(pickle.dumps(raised.value))
    error: FluvioError = raised.value
    return error


async def test_unknown_ca(world: World, server: LocalCluster, strange: LocalCluster) -> None:
    tls = Tls.verified(files(strange) / "ca.crt")
    error = await refused(world, server.endpoint, tls, TLSError, server.endpoint, "not signed by a CA that is trusted")
    assert not error.retriable


async def test_ca_that_the_system_does_not_know(world: World, server: LocalCluster) -> None:
    await refused(world, server.endpoint, Tls.verified(), TLSError, "not signed by a CA that is trusted")


async def test_expired(world: World, expired: LocalCluster) -> None:
    await refused(world, expired.endpoint, expired.tls, TLSError, "has expired")


async def test_wrong_name(world: World, server: LocalCluster) -> None:
    tls = Tls.verified(files(server) / "ca.crt", domain="elsewhere.example")
    await refused(world, server.endpoint, tls, TLSError, "for another name", "elsewhere.example", "localhost")


async def test_missing_client_certificate(world: World, mutual: LocalCluster) -> None:
    tls = Tls.verified(files(mutual) / "ca.crt")
    await refused(world, mutual.endpoint, tls, TLSError, "wants a certificate of the client", "cert and key")


async def test_client_certificate_of_another_ca(world: World, mutual: LocalCluster, strange: LocalCluster) -> None:
    tls = Tls.verified(files(mutual) / "ca.crt", **identity(strange))  # type: ignore[arg-type]
    await refused(world, mutual.endpoint, tls, TLSError, "does not accept the certificate of the client")


async def test_key_of_another_certificate(world: World, mutual: LocalCluster, strange: LocalCluster) -> None:
    other = files(strange) / "client.key"
    tls = Tls.verified(files(mutual) / "ca.crt", cert=files(mutual) / "client.crt", key=other)
    await refused(world, mutual.endpoint, tls, ConfigError, str(other), "does not belong to the certificate")


@pytest.mark.parametrize("tls", (Tls.anonymous(), Tls.verified(domain="fluvio.local")), ids=lambda tls: tls.policy)
async def test_plain_server(world: World, tls: Tls) -> None:
    """It is silent, and takes the handshake for the beginning of a long request: so it is asked without."""
    begun = time.monotonic()
    words = ("this is a Fluvio SC without TLS", "connect without tls=")
    await refused(world, world.cluster.endpoint, tls, TLSError, *words)
    assert time.monotonic() - begun < 3


async def test_plain_spu(world: World) -> None:
    """The SC has TLS, and the SPU that it names has not."""
    with LocalCluster(tls=True) as cluster, LocalCluster() as other:
        control(cluster, f"advertise 5001 127.0.0.1 {spu_port(other)}")
        async with world.connect(cluster.endpoint, tls=cluster.tls) as client:
            topic = await world.topic(client)
            async with client.producer(topic, delivery_timeout=3) as producer:
                with pytest.raises(FluvioTimeoutError, match=r"SPU 5001: connection to .* a Fluvio SPU without TLS"):
                    await producer.send(b"x")


async def test_slow_handshake(world: World, server: LocalCluster) -> None:
    """While a server with TLS is slow it is asked without, too: that does no harm."""
    with Proxy(server.endpoint) as proxy:
        proxy.become("half-open")

        def go_on() -> None:
            while proxy.connections < 2:
                time.sleep(0.01)
            proxy.become("forward")

        thread = threading.Thread(target=go_on, daemon=True)
        thread.start()
        await round_trip(world, proxy.endpoint, server.tls)
        thread.join()


@pytest.mark.parametrize("answer", (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""), ids=("other", "end"))
async def test_server_of_another_kind(world: World, answer: bytes) -> None:
    with listening(answer) as endpoint:
        kind = TLSError if answer else FluvioConnectionError
        await refused(world, endpoint, Tls.anonymous(), kind, "connect without tls=")


async def test_plain_client(world: World, server: LocalCluster) -> None:
    await refused(world, server.endpoint, None, TLSError, server.endpoint, "this is a TLS server", "connect with tls=")


GARBAGE = "-----BEGIN CERTIFICATE-----\nnot base64: !\n-----END CERTIFICATE-----\n"
SECRET = "MHcCAQEEIKJhbGxlcyBnZWhlaW0="
ENCRYPTED = f"-----BEGIN ENCRYPTED PRIVATE KEY-----\n{SECRET}\n-----END ENCRYPTED PRIVATE KEY-----\n"
DAMAGED = f"-----BEGIN PRIVATE KEY-----\n{SECRET}\nthe end is missing\n"


async def test_garbage(world: World, mutual: LocalCluster, tmp_path: Path) -> None:
    (tmp_path / "garbage").write_bytes(os.urandom(100))
    ca, cert, garbage = files(mutual) / "ca.crt", files(mutual) / "client.crt", tmp_path / "garbage"
    for tls, *words in (
        (Tls.verified(GARBAGE), "ca", "damaged"),
        (Tls.verified("no PEM\nat all"), "ca", "no PEM certificate"),
        (Tls.verified(garbage), "ca", "no PEM certificate", str(garbage)),
        (Tls.verified(tmp_path / "nothing"), "ca", "cannot be read", "nothing"),
        (Tls.verified(ca, cert=GARBAGE, key=files(mutual) / "client.key"), "cert", "damaged"),
        (Tls.verified(ca, cert=cert, key=garbage), "key", "no PEM private key"),
        (Tls.verified(ca, cert=cert, key=cert), "key", "no PEM private key", "PKCS#8, SEC1 or PKCS#1"),
        (Tls.verified(ca, cert=cert, key=ENCRYPTED), "key", "is encrypted"),
        (Tls.verified(ca, cert=cert, key=DAMAGED), "key", "damaged"),
    ):
        error = await refused(world, mutual.endpoint, tls, ConfigError, "tls", *words)
        assert SECRET not in str(error)
        assert SECRET not in repr(tls)


def test_arguments() -> None:
    for arguments in (
        {"cert": "a"},
        {"key": "b"},
        {"ca": ""},
        {"ca": 7},
        {"ca": b"x"},
        {"domain": ""},
        {"domain": 7},
    ):
        with pytest.raises(ConfigError, match="|".join(arguments)):
            Tls.verified(**arguments)
    with pytest.raises(ConfigError, match="policy"):
        Tls("perhaps")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="verified"):
        Tls("disabled", ca="x")
    for tls in ("verified", True):
        with pytest.raises(ConfigError, match=r"Tls\.verified"):
            Fluvio.connect("127.0.0.1:1", tls=tls)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mutual"):
        LocalCluster(tls="both")  # type: ignore[arg-type]


def test_nothing_shows_a_secret(mutual: LocalCluster) -> None:
    key = text(files(mutual) / "client.key")
    body = key.split("\n")[1]
    tls = Tls.verified("/etc/ca.pem", domain="d", cert=text(files(mutual) / "client.crt"), key=key)
    assert repr(tls) == "Tls.verified(ca='/etc/ca.pem', cert=<PEM text>, key=<PEM text>, domain='d')"
    for shown in (repr(tls), str(tls), f"{tls}", repr(ClusterConfig("h:1", tls)), repr([tls])):
        assert body not in shown
    with pytest.raises(ConfigError) as raised:
        Fluvio.connect(mutual.endpoint, tls=tls, timeout=TIMEOUT)
    assert body not in str(raised.value)
    assert "/etc/ca.pem" in str(raised.value)
    assert pickle.loads(pickle.dumps(tls)) == tls
    assert hash(Tls.anonymous()) == hash(Tls.anonymous())
    assert repr(Tls.disabled()) == "Tls.disabled()"


async def test_an_spu_that_is_not_accepted(world: World, server: LocalCluster) -> None:
    """The SC's certificate has the name, the SPUs' have not."""
    domain = "custom-spu-5001.localhost"
    tls = Tls.verified(files(server) / "ca.crt", domain=domain)
    async with world.connect(server.endpoint, tls=tls) as client:
        topic = await world.topic(client)
        async with client.producer(topic, delivery_timeout=1) as producer:
            with pytest.raises(
                FluvioTimeoutError,
                match=r"not sent; the last attempt: SPU 500\d: TLS with .* for another name",
            ) as raised:
                await producer.send(b"x")
            assert raised.value.outcome == "not_written"
        with pytest.raises(TLSError, match=rf"for another name than \"custom-spu-500\d\.{domain}\""):
            await client.consumer(topic)


# -- sockets


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """Something that is no TLS server: answers the first bytes with these and ends; None: says nothing."""
    kept = []
    with strangers.listen() as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                kept.append(connection)
                if answer is not None:
                    connection.recv(4096)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield strangers.endpoint(listener)
        finally:
            # A close alone does not end an accept.
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in kept:
                connection.close()


async def test_the_handshake_is_within_the_time_out(world: World) -> None:
    with listening(None) as endpoint:
        begun = time.monotonic()
        with pytest.raises(FluvioTimeoutError, match="speaks no TLS"):
            await world.connect(endpoint, tls=Tls.anonymous(), timeout=0.6)
        assert time.monotonic() - begun < 0.6


async def test_large_records(world: World, server: LocalCluster) -> None:
    values = [os.urandom(3_000_000) for _ in range(4)]
    async with world.connect(server.endpoint, tls=server.tls) as client:
        topic = await world.topic(client)
        async with client.producer(topic, max_request_size="4MiB") as producer:
            await producer.send_all(values)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            assert [record.value async for record in consumer] == values


async def test_killed_and_started_again(world: World) -> None:
    with LocalCluster(tls="mutual") as cluster:
        tls = cluster.tls
        async with world.connect(cluster.endpoint, tls=tls) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer:
                await producer.send(b"before")
                cluster.kill()
                receipt = await producer.enqueue(b"meanwhile")
                cluster.start()
                await receipt.wait()
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                assert [record.value async for record in consumer] == [b"before", b"meanwhile"]
        assert cluster.tls == tls


async def test_reset_connections(world: World, server: LocalCluster) -> None:
    """Sockets that are reset, and cut in the middle of a reply, lose nothing."""
    values = [b"%d" % number for number in range(2000)]
    async with world.connect(server.endpoint, tls=server.tls) as client:
        topic = await world.topic(client)
        async with client.producer(topic) as producer:
            for start in range(0, len(values), 500):
                await producer.send_all(values[start : start + 500])
                for spu in (5001, 5002):
                    server.faults.reset_sockets(spu)
        for spu in (5001, 5002):
            server.faults.drop_after(spu, 20000)
        async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
            read = [record.value async for record in consumer]
        assert list(dict.fromkeys(read)) == values


def test_end_to_end_is_quick() -> None:
    """What arrives is acknowledged at once: else each record would take 40 ms from a server that writes in pieces."""
    with (
        LocalCluster(tls=True, write_like_real=True) as cluster,
        Fluvio.connect(cluster.endpoint, tls=cluster.tls) as client,
    ):
        client.admin.topics.create("quick")
        with client.producer("quick") as producer, client.consumer("quick") as consumer:
            taken = []
            for _ in range(21):
                begun = time.monotonic()
                producer.send(b"x")
                consumer.receive(timeout=TIMEOUT)
                taken.append(time.monotonic() - begun)
                time.sleep(0.05)
    assert statistics.median(taken) < 0.03


FORK = """
import logging, os, sys, warnings
from fluvio_cffi import Fluvio, ForkedError, Tls
warnings.simplefilter("ignore", DeprecationWarning)
endpoint, ca = sys.argv[1:]
with Fluvio.connect(endpoint, tls=Tls.verified(ca)) as client:
    client.admin.topics.create("fork", exist_ok=True)
    with client.producer("fork") as producer:
        producer.send(b"before")
        child = os.fork()
        if child == 0:
            try:
                producer.send(b"no")
            except ForkedError:
                logging.disable()  # of the blocks that cannot be left in order
                sys.exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        producer.send(b"after")
        print(client.metrics().reconnects, client.state)
"""


def test_a_child_says_nothing(server: LocalCluster) -> None:
    """A forked child closes the inherited sockets without a word: the parent's connections go on."""
    run = subprocess.run(
        [sys.executable, "-c", FORK, server.endpoint, str(files(server) / "ca.crt")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "0 connected\n"


def test_in_the_foreground(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fluvio_cffi", "cluster", "--port", "0", "--data-dir", str(tmp_path), "--tls"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        endpoint = re.findall(r"ready (\S+),", running.stdout.readline())[0]
        with Fluvio.connect(endpoint, tls=Tls.verified(tmp_path / "tls" / "ca.crt")) as client:
            assert client.state == "connected"
        running.terminate()
    assert running.returncode == 0


def test_keys_are_their_owners(mutual: LocalCluster) -> None:
    for name in ("ca", "client", "server"):
        assert (files(mutual) / f"{name}.key").stat().st_mode & 0o777 == 0o600
