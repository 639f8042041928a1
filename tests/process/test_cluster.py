"""The embedded cluster as a child process: starting, stopping, failing, and ending with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trio
from insides import control

import fluvio_cffi
from fluvio_cffi import (
    ClusterConfig,
    ConfigError,
    Fluvio,
    FluvioError,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    ProfileStore,
    UsageError,
)

RUNNERS: dict[str, Callable[[Callable[[], Awaitable[None]]], None]] = {
    "asyncio": lambda main: asyncio.run(main()),  # type: ignore[arg-type]
    "trio": trio.run,
}


@pytest.fixture(params=RUNNERS)
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    return RUNNERS[request.param]


@contextlib.contextmanager
def failing(match: str, kind: type[FluvioError] = FluvioError) -> Iterator[None]:
    """What is wrong with the program itself has no class of its own."""
    with pytest.raises(FluvioError, match=match) as raised:
        yield
    assert type(raised.value) is kind


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in the program's place."""

    def install(script: str) -> None:
        path = tmp_path / "fake-cluster"
        path.write_text("#!/bin/sh\n" + textwrap.dedent(script))
        path.chmod(0o755)
        monkeypatch.setenv("FLUVIO_CFFI_CLUSTER", str(path))

    return install


def accepts(endpoint: str) -> bool:
    host, _, port = endpoint.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether the process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


@pytest.fixture
def leftovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """The temporary folders of the clusters of this test: those of others come and go in the usual place."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return lambda: os.listdir(place)


# -- in order


def test_runs_while_in_the_block() -> None:
    with LocalCluster() as cluster:
        assert cluster.running
        assert accepts(cluster.endpoint)
        assert alive(cluster.pid)
        pid, data_dir = cluster.pid, cluster.data_dir
        assert data_dir.is_dir()
        assert f"pid {pid}" in repr(cluster)
    assert (cluster.running, alive(pid)) == (False, False)
    assert not accepts(cluster.endpoint)
    assert not data_dir.exists()
    with pytest.raises(UsageError, match="not running"):
        _ = cluster.pid


def test_async_block(run: Callable[[Callable[[], Awaitable[None]]], None]) -> None:
    async def main() -> None:
        async with LocalCluster() as cluster:
            assert accepts(cluster.endpoint)
        assert not cluster.running
        assert not accepts(cluster.endpoint)

    run(main)


def test_start_and_stop_without_a_block() -> None:
    cluster = LocalCluster()
    with pytest.raises(UsageError, match="not been started"):
        _ = cluster.endpoint
    assert cluster.start() is cluster
    with pytest.raises(UsageError, match="running already"):
        cluster.start()
    assert cluster.running
    cluster.stop()
    cluster.stop()
    assert not cluster.running


def test_ready_quickly() -> None:
    times = []
    for _ in range(5):
        started = time.monotonic()
        with LocalCluster():
            times.append(time.monotonic() - started)
    assert min(times) < 0.2


def test_kill_keeps_files_and_ports(tmp_path: Path) -> None:
    with LocalCluster(tmp_path / "data") as cluster:
        endpoint, pid = cluster.endpoint, cluster.pid
        cluster.kill()
        assert not alive(pid)
        assert cluster.endpoint == endpoint
        assert not accepts(endpoint)
        cluster.start()
        assert cluster.endpoint == endpoint
        assert cluster.pid != pid
        assert accepts(endpoint)
        cluster.restart()
        assert accepts(endpoint)
    assert (tmp_path / "data").is_dir(), "a directory that was given is not removed"


def test_kill_keeps_a_temporary_directory_until_the_stop() -> None:
    with LocalCluster() as cluster:
        data_dir = cluster.data_dir
        cluster.kill()
        assert data_dir.is_dir()
        cluster.start()
        assert cluster.data_dir == data_dir
    assert not data_dir.exists()


def test_takes_the_port_it_is_given() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with LocalCluster(port=port) as cluster:
        assert cluster.endpoint == f"127.0.0.1:{port}"


def test_second_cluster_on_a_directory_is_refused(tmp_path: Path) -> None:
    with LocalCluster(tmp_path):
        second = LocalCluster(tmp_path)
        with failing(r"did not start: exit status [1-9]\d*: .*"):
            second.start()
        assert not second.running
    with LocalCluster(tmp_path):
        pass


def test_listens_on_loopback_only() -> None:
    with LocalCluster() as cluster:
        assert cluster.endpoint.startswith("127.0.0.1:")
        table = Path(f"/proc/{cluster.pid}/net/tcp").read_text().splitlines()[1:]
        ports = {f"{int(cluster.endpoint.rpartition(':')[2]):04X}"}
        listening = [
            row.split()[1] for row in table if row.split()[3] == "0A" and row.split()[1].split(":")[1] in ports
        ]
    assert listening
    assert all(address.startswith("0100007F:") for address in listening)


def test_profile(tmp_path: Path) -> None:
    with LocalCluster() as cluster:
        text = cluster.profile_toml()
    if sys.version_info >= (3, 11):
        import tomllib

        profile = tomllib.loads(text)
        name = profile["profile"][profile["current_profile"]]["cluster"]
        assert profile["cluster"][name]["endpoint"] == cluster.endpoint
        assert profile["cluster"][name]["tls"] == {"tls_policy": "disabled"}
    assert f'endpoint = "{cluster.endpoint}"' in text


@pytest.mark.parametrize(
    "arguments",
    [
        {"port": -1},
        {"port": 65536},
        {"port": True},
        {"port": "1"},
        {"host": ""},
        {"spus": 0},
        {"spus": 1001},
        {"spus": True},
        {"spus": "2"},
    ],
)
def test_bad_arguments(arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        LocalCluster(**arguments)  # type: ignore[arg-type]


# -- several SPUs, and what can happen to them


def spu_endpoints(cluster: LocalCluster) -> list[str]:
    """Where the SPUs listen, as the cluster remembers it."""
    ports = json.loads((cluster.data_dir / "ports.json").read_text())
    return [f"127.0.0.1:{port}" for port in [ports["spu"], *ports.get("more", [])]]


def test_several_spus() -> None:
    with LocalCluster(spus=3) as cluster, Fluvio.connect(cluster.endpoint) as client:
        endpoints = spu_endpoints(cluster)
        assert len(set(endpoints)) == 3
        assert all(map(accepts, endpoints))
        client.admin.topics.create("spread", partitions=6)
        with client.producer("spread") as producer:
            results = producer.send_all([(b"key %d" % n, b"%d" % n) for n in range(600)])
        assert {result.partition for result in results} == set(range(6))
        with client.consumer("spread", start=Offset.beginning(), stop_at_end=True) as consumer:
            assert sorted(int(record.value) for record in consumer) == list(range(600))
        leaders = [
            sorted(path.name for path in cluster.data_dir.glob(f"spu-logs-{id}/spread-*")) for id in (5001, 5002, 5003)
        ]
        assert leaders == [["spread-0", "spread-3"], ["spread-1", "spread-4"], ["spread-2", "spread-5"]]
        cluster.restart()
        assert spu_endpoints(cluster) == endpoints


def test_spu_is_killed_and_started(tmp_path: Path) -> None:
    with LocalCluster(tmp_path, spus=2) as cluster, Fluvio.connect(cluster.endpoint) as client:
        first, second = spu_endpoints(cluster)
        client.admin.topics.create("t")
        with client.producer("t") as producer:
            assert producer.send(b"before").offset == 0
            host, _, port = first.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=5) as held:
                # ApiVersions: a connection that has been answered is one that was accepted.
                held.sendall(bytes.fromhex("00000017 0012 0000 00000001 0000 0005302e302e30 00016c 000178"))
                assert held.recv(4)
                cluster.kill_spu(5001)
                with pytest.raises(ConnectionResetError):
                    while held.recv(4096):
                        pass
            assert not accepts(first)
            assert accepts(second) and accepts(cluster.endpoint)
            cluster.start_spu(5001)
            assert accepts(first)
            assert producer.send(b"after").offset == 1
        with client.consumer("t", start=Offset.beginning(), stop_at_end=True) as consumer:
            assert [record.value for record in consumer] == [b"before", b"after"]
        with pytest.raises(UsageError, match="SPU 5001 is up already"):
            cluster.start_spu(5001)
        with pytest.raises(UsageError, match="there is no SPU 5003"):
            cluster.kill_spu(5003)
        with pytest.raises(UsageError, match="is a number"):
            cluster.kill_spu("5001")  # type: ignore[arg-type]


def test_commands() -> None:
    with LocalCluster() as cluster:
        refusing = cluster.faults.refuse(5001)
        control(cluster, "  refuse 5001 off ")
        with pytest.raises(UsageError, match='unknown command "nonsense"'):
            control(cluster, "nonsense")
        for line in ("", "stall 5001 on\nstall 5001 off", 5):
            with pytest.raises(UsageError, match="one line of text"):
                control(cluster, line)  # type: ignore[arg-type]
        cluster.kill()
        with pytest.raises(UsageError, match="not running"):
            control(cluster, "refuse 5001 on")
        cluster.start()
        control(cluster, "refuse 5001 on")
        os.kill(cluster.pid, signal.SIGKILL)
        wait_until(lambda: not cluster.running)
        for _ in range(2):
            with failing("the cluster has ended: exit status -9"):
                control(cluster, "refuse 5001 off")
        # Killed with the program.
        refusing.undo()


def test_commands_of_several_threads() -> None:
    with LocalCluster(spus=4) as cluster, ThreadPoolExecutor(4) as threads:

        def repeat(id: int) -> None:
            for _ in range(20):
                cluster.kill_spu(id)
                with pytest.raises(UsageError, match=f"SPU {id} is down already"):
                    cluster.kill_spu(id)
                cluster.start_spu(id)

        list(threads.map(repeat, range(5001, 5005)))


def test_command_that_is_not_answered(fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    # The answer to one that was given up is not taken for that of the next one.
    fake(
        """
        echo 'ready 127.0.0.1:1 spu=127.0.0.1:2 spu=127.0.0.1:3'
        read line; read line
        echo 'error the first'; echo ok
        read line; echo 'error the third'
        cat >/dev/null
        """
    )
    with LocalCluster() as cluster:
        monkeypatch.setattr("fluvio_cffi.cluster.CONTROL_TIMEOUT", 0.1)
        with failing(r"did not answer 'one' within 0\.1 s", FluvioTimeoutError):
            control(cluster, "one")
        monkeypatch.undo()
        control(cluster, "two")
        with pytest.raises(UsageError, match="the third"):
            control(cluster, "three")


# -- out of order


def test_program_that_is_not_there(leftovers: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUVIO_CFFI_CLUSTER", "/does/not/exist")
    with pytest.raises(ConfigError, match="correct FLUVIO_CFFI_CLUSTER"):
        LocalCluster().start()
    assert not leftovers()


def test_program_that_cannot_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "text"
    path.write_text("no program")
    monkeypatch.setenv("FLUVIO_CFFI_CLUSTER", str(path))
    with failing("cannot be run"):
        LocalCluster().start()


def test_program_that_fails_says_why(
    fake: Callable[[str], None],
    leftovers: Callable[[], list[str]],
    run: Callable[[Callable[[], Awaitable[None]]], None],
) -> None:
    fake("echo 'the disk is full' >&2; exit 3")
    with failing("exit status 3: the disk is full"):
        LocalCluster().start()

    async def main() -> None:
        with failing("exit status 3: the disk is full"):
            async with LocalCluster():
                pass

    run(main)
    assert not leftovers()


def test_program_that_is_never_ready(
    fake: Callable[[str], None],
    run: Callable[[Callable[[], Awaitable[None]]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fluvio_cffi.cluster.START_TIMEOUT", 0.2)
    fake("echo 'still waiting' >&2; echo 'starting'; exec sleep 60")
    with failing(r"not ready within 0\.2 s: still waiting", FluvioTimeoutError):
        LocalCluster().start()

    async def main() -> None:
        with failing(r"not ready within 0\.2 s: still waiting", FluvioTimeoutError):
            async with LocalCluster():
                pass

    run(main)


def test_program_that_does_not_stop_is_killed(
    fake: Callable[[str], None],
    run: Callable[[Callable[[], Awaitable[None]]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fluvio_cffi.cluster.STOP_TIMEOUT", 0.2)
    fake("echo 'a line before'; echo 'ready 127.0.0.1:1 spu=127.0.0.1:2'; exec sleep 60")
    cluster = LocalCluster().start()
    pid = cluster.pid
    cluster.stop()
    assert not alive(pid)

    async def main() -> None:
        async with LocalCluster() as cluster:
            pid = cluster.pid
        assert not alive(pid)

    run(main)


def test_program_that_ends_by_itself() -> None:
    with LocalCluster() as cluster:
        os.kill(cluster.pid, signal.SIGKILL)
        wait_until(lambda: not cluster.running)
        cluster.start()
        assert accepts(cluster.endpoint)


def test_cancelled_start_leaves_nothing(fake: Callable[[str], None], leftovers: Callable[[], list[str]]) -> None:
    fake("exec sleep 60")
    pids: list[int] = []

    async def under_asyncio() -> None:
        cluster = LocalCluster()
        task = asyncio.ensure_future(cluster.__aenter__())
        await asyncio.sleep(0.1)
        pids.append(cluster.pid)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    async def under_trio() -> None:
        cluster = LocalCluster()
        with trio.move_on_after(0.1) as scope:
            async with cluster:
                raise AssertionError("it cannot have started")
        assert scope.cancelled_caught

    asyncio.run(under_asyncio())
    trio.run(under_trio)
    assert not alive(pids[0])
    assert not leftovers()


def test_cancelled_block_stops_the_cluster() -> None:
    clusters: list[LocalCluster] = []
    pids: list[int] = []

    async def under_trio() -> None:
        with trio.move_on_after(0.2):
            async with LocalCluster() as cluster:
                clusters.append(cluster)
                pids.append(cluster.pid)
                await trio.sleep_forever()

    async def under_asyncio() -> None:
        async def main() -> None:
            async with LocalCluster() as cluster:
                clusters.append(cluster)
                pids.append(cluster.pid)
                await asyncio.sleep(3600)

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(main(), 0.2)

    trio.run(under_trio)
    asyncio.run(under_asyncio())
    assert len(clusters) == 2
    # By their processes: a port that is free again may be another program's by now.
    assert not any(cluster.running for cluster in clusters)
    assert not any(alive(pid) for pid in pids)


def test_loop_goes_on_while_it_starts_and_stops(fake: Callable[[str], None]) -> None:
    fake("sleep 0.3; echo 'ready 127.0.0.1:1 spu=127.0.0.1:2'; cat >/dev/null; sleep 0.3")

    async def main() -> int:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        ticker = asyncio.ensure_future(tick())
        async with LocalCluster():
            pass
        ticker.cancel()
        return ticks

    assert asyncio.run(main()) >= 10


def test_unstopped_cluster_warns_and_ends() -> None:
    cluster = LocalCluster().start()
    pid, data_dir = cluster.pid, cluster.data_dir
    with pytest.warns(ResourceWarning, match="unstopped cluster"):
        del cluster
        gc.collect()
    assert not alive(pid)
    assert not data_dir.exists()


# -- the parent

PARENT = """
import os, sys, time
from fluvio_cffi import LocalCluster
cluster = LocalCluster().start()
print(cluster.pid, cluster.data_dir, flush=True)
"""


def parent(rest: str) -> tuple[subprocess.Popen[str], int, Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT + rest], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    pid, data_dir = line.split()
    return process, int(pid), Path(data_dir)


@pytest.mark.parametrize("rest", ["", "sys.exit(0)", "del cluster\nsys.exit(0)"])
def test_ends_with_a_parent_that_exits(rest: str) -> None:
    process, pid, data_dir = parent(rest)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    wait_until(lambda: not alive(pid))
    assert not data_dir.exists()


def test_clients_end_before_it_does(tmp_path: Path) -> None:
    # What a producer still holds at the end of the program gets to the cluster that ends with the same program.
    process, pid, _ = parent(
        "from fluvio_cffi import Fluvio, Offset\n"
        f"cluster.stop()\ncluster = LocalCluster({str(tmp_path)!r}).start()\n"
        "client = Fluvio.connect(cluster.endpoint)\n"
        "client.admin.topics.create('late')\n"
        "producer = client.producer('late', linger=0.5)\n"
        "for n in range(100):\n"
        "    producer.enqueue(b'%d' % n)\n"
    )
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    wait_until(lambda: not alive(pid))
    with (
        LocalCluster(tmp_path) as cluster,
        Fluvio.connect(cluster.endpoint) as client,
        client.consumer("late", start=Offset.beginning(), stop_at_end=True) as consumer,
    ):
        assert [record.text for record in consumer] == [str(n) for n in range(100)]


def test_ends_with_a_parent_that_is_killed() -> None:
    process, pid, _ = parent("time.sleep(60)")
    assert alive(pid)
    process.kill()
    process.communicate()
    wait_until(lambda: not alive(pid))


def test_ends_with_its_parent_although_children_live_on() -> None:
    # Neither a program started meanwhile nor a fork may hold the cluster's pipe open.
    process, pid, _ = parent(
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '60'], close_fds=False)\n"
        "fork = os.fork()\n"
        "if fork == 0:\n"
        "    time.sleep(60)\n"
        "print(child.pid, fork, flush=True)\n"
        "time.sleep(60)\n"
    )
    assert process.stdout is not None
    children = [int(word) for word in process.stdout.readline().split()]
    try:
        process.kill()
        process.wait()
        wait_until(lambda: not alive(pid))
        assert all(alive(child) for child in children)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
        process.communicate()


def test_child_of_a_fork_does_not_touch_the_cluster() -> None:
    with LocalCluster() as cluster:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                cluster.stop()
                status = 0 if not cluster.running else 2
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        assert cluster.running
        assert cluster.data_dir.is_dir()
        assert accepts(cluster.endpoint)


# -- python -m fluvio_cffi


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "fluvio_cffi", *arguments]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_foreground(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        command("cluster", "--data-dir", str(tmp_path / "data"), "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.communicate()[1]
    endpoint = line.split()[1].rstrip(",")
    assert line.startswith("ready ")
    assert str(tmp_path / "data") in line
    assert accepts(endpoint)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert (process.returncode, errors) == (0, "")
    assert not accepts(endpoint)


@pytest.mark.parametrize("tls", [(), ("--tls",), ("--tls", "mutual")], ids=lambda tls: "-".join(tls) or "plain")
def test_foreground_with_a_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: tuple[str, ...]) -> None:
    """Programs that look for a profile find it, also the one of an earlier start; another cluster's is left alone."""
    monkeypatch.setenv("FLV_PROFILE_PATH", str(tmp_path / "config"))
    arguments = ("cluster", "--data-dir", str(tmp_path / "data"), "--port", "0", "--profile", "dev", *tls)
    for _ in range(2):
        with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            endpoint = process.stdout.readline().split()[1].rstrip(",")
            with Fluvio.connect() as client:
                assert client.endpoint == endpoint
                client.admin.topics.create("found", exist_ok=True)
            process.terminate()
    ProfileStore().add("prod", ClusterConfig("fluvio.example:9003"))
    refused = subprocess.run(
        command(*arguments[: -2 - len(tls)], "--profile", "prod"),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr.startswith("fluvio_cffi: the profile 'prod' is that of another cluster, fluvio.example:9003")
    assert [profile.config.endpoint for profile in ProfileStore().list() if profile.config][1] == "fluvio.example:9003"


def test_foreground_says_why_it_cannot(tmp_path: Path) -> None:
    with LocalCluster(tmp_path):
        result = subprocess.run(
            command("cluster", "--data-dir", str(tmp_path)), capture_output=True, text=True, timeout=20, check=False
        )
    assert result.returncode == 1
    assert result.stderr.startswith("fluvio_cffi: the cluster did not start")
    assert "Traceback" not in result.stderr


def test_no_directory_is_not_the_current_one(tmp_path: Path) -> None:
    """A variable of a shell that is not set."""
    with pytest.raises(ConfigError, match="data_dir is empty"):
        LocalCluster("")
    result = subprocess.run(
        command("cluster", "--data-dir", "", "--port", "0"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(fluvio_cffi.__file__).parent.parent)},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (result.returncode, result.stderr) == (
        1,
        "fluvio_cffi: data_dir is empty: it must have at least one character\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_foreground_ends_when_its_cluster_does() -> None:
    process = subprocess.Popen(
        command("cluster", "--port", "0"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline(), process.communicate()[1]
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "ended by itself" in errors


def test_version() -> None:
    import fluvio_cffi

    result = subprocess.run(command("--version"), capture_output=True, text=True, timeout=20, check=True)
    assert result.stdout.strip() == f"fluvio_cffi {fluvio_cffi.__version__}"


def test_help() -> None:
    result = subprocess.run(command("--help"), capture_output=True, text=True, timeout=20, check=True)
    assert "un an embedded cluster" in result.stdout
    assert result.stderr == ""
