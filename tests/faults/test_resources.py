"""When the machine has no more: an error that says so, nothing lost, and everything works again once there is more."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import World, read_all

from fluvio_cffi import (
    AsyncFluvio,
    ClusterConfig,
    ConfigError,
    Fluvio,
    FluvioTimeoutError,
    LocalCluster,
    Offset,
    ProfileStore,
    ResourceError,
    SmartModuleSpec,
    StorageError,
    Tls,
)

pytestmark = pytest.mark.timeout(60)


@contextmanager
def limited(kind: int, soft: int) -> Iterator[None]:
    """This process, and what it starts, may have no more of something than that."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


def no_descriptors() -> Any:
    """No file can be opened; what is open stays so."""
    return limited(resource.RLIMIT_NOFILE, 3)


def no_room() -> Any:
    """No file can be written: the nearest to a full disk that needs no disk."""
    return limited(resource.RLIMIT_FSIZE, 0)


def check(error: ResourceError, *numbers: int) -> None:
    """It says what has run out, and nothing of panics and bugs."""
    assert error.retriable
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.errno in numbers
    assert os.strerror(error.__cause__.errno) in str(error)
    assert not any(word in str(error) for word in ("bug", "panick", "Os {", ".rs:")), str(error)


# -- descriptors


async def test_without_descriptors_everything_waits(world: World) -> None:
    """Connections that are lost meanwhile come back; no record is lost, none comes twice."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            producer = await client.producer(topic)
            consumer = await client.consumer(topic, start=Offset.beginning())
            await producer.send(b"0")
            assert (await consumer.receive()).value == b"0"
            with no_descriptors():
                cluster.faults.reset_controller()
                cluster.faults.reset_sockets(5001)
                receipts = [await producer.enqueue(b"%d" % n) for n in range(1, 100)]
                while client.metrics().errors.get("ResourceError", 0) < 5:
                    await world.sleep(0.01)
                assert not any(receipt.done() for receipt in receipts)
            assert [(await receipt.wait()).offset for receipt in receipts] == list(range(1, 100))
            assert [int((await consumer.receive()).value) for _ in range(1, 100)] == list(range(1, 100))
            assert len(await client.admin.topics.list()) == 1
            await producer.close()
            await consumer.close()


def test_without_descriptors_nothing_new_begins(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call that opens something says why it cannot, whatever it opens, and works afterwards."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    (tmp_path / "config").write_text("")
    (tmp_path / "SmartModule.toml").write_text('[package]\nname="a"\ngroup="b"\nversion="0.1.0"\napiVersion="0.1.0"\n')
    (tmp_path / "ca.crt").write_text("")

    async def connect_async() -> None:
        async with AsyncFluvio.connect(cluster.endpoint):
            pass

    def start() -> None:
        with LocalCluster():
            pass

    loop = asyncio.new_event_loop()
    with Fluvio.connect(cluster.endpoint, admin_timeout=3) as client:
        client.admin.topics.create("descriptors", exist_ok=True)
        calls: dict[str, Callable[[], object]] = {
            "connect": lambda: Fluvio.connect(cluster.endpoint).close(),
            "connect on a loop": lambda: loop.run_until_complete(connect_async()),
            "a host's name": lambda: Fluvio.connect(cluster.endpoint.replace("127.0.0.1", "localhost")).close(),
            "certificates": lambda: Fluvio.connect(cluster.endpoint, tls=Tls.verified(tmp_path / "ca.crt")),
            "the system's certificates": lambda: Fluvio.connect(cluster.endpoint, tls=Tls.verified()),
            "profiles": ProfileStore(tmp_path / "config").list,
            "a profile": lambda: ProfileStore(tmp_path / "config").switch("x"),
            "a file": lambda: SmartModuleSpec.from_toml(tmp_path / "SmartModule.toml"),
            "code": lambda: client.admin.smartmodules.create("m", path=tmp_path / "ca.crt"),
            "a consumer": lambda: client.consumer("descriptors").close(),
            "a stored offset": lambda: client.admin.consumer_offsets.list(),
            "a cluster": start,
        }
        for what, call in calls.items():
            with no_descriptors(), pytest.raises(ResourceError) as raised:
                call()
                print(what, "works")
            check(raised.value, errno.EMFILE)
        assert os.listdir(temporary) == []
        for what in ("connect", "connect on a loop", "a host's name", "a file", "a consumer", "a cluster"):
            calls[what]()
    loop.close()


def test_a_call_in_the_middle_of_another_needs_no_descriptor(cluster: LocalCluster) -> None:
    """A handler of a signal waits while the thread that it interrupts does; and so do threads, all at once."""
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("inner", exist_ok=True)
        with client.producer("inner") as producer, client.consumer("inner") as consumer:
            producer.send(b"1")
            assert consumer.receive(timeout=10).value == b"1"
            sent: list[int | None] = []

            def handler(*_: object) -> None:
                sent.append(producer.send(b"2").offset)
                sent.append(producer.send(b"3").offset)

            before = signal.signal(signal.SIGALRM, handler)
            try:
                with no_descriptors():
                    signal.setitimer(signal.ITIMER_REAL, 0.1)
                    assert [consumer.receive(timeout=10).value for _ in range(2)] == [b"2", b"3"]
            finally:
                signal.signal(signal.SIGALRM, before)
            assert sent == [1, 2]
            with no_descriptors(), ThreadPoolExecutor(4) as pool:
                written = list(pool.map(lambda value: producer.send(value).offset, [b"4", b"5", b"6", b"7"]))
            assert {*written} == {3, 4, 5, 6}


FIRST = """
import errno, os, resource, sys
from fluvio_cffi import Fluvio, ResourceError
import fluvio_cffi; [getattr(fluvio_cffi, name) for name in fluvio_cffi.__all__]  # later, no file can be opened
import encodings.idna

kind, endpoint = getattr(resource, sys.argv[1]), sys.argv[2]
if kind == resource.RLIMIT_NPROC and os.geteuid() == 0:
    # It binds everybody but root. A user that nobody else is has this process alone.
    user = 60_000 + os.getpid() % 5_000
    os.setresuid(user, user, 0)
before = resource.getrlimit(kind)
have = len(os.listdir("/proc/self/fd" if kind == resource.RLIMIT_NOFILE else "/proc/self/task"))
refused = 0
for more in range(40):
    resource.setrlimit(kind, (max(have + more - 2, 1), before[1]))
    try:
        client = Fluvio.connect(endpoint, timeout=5)
    except ResourceError as error:
        refused += 1
        assert error.__cause__.errno in (errno.EMFILE, errno.EAGAIN), error
        assert not any(word in str(error) for word in ("bug", "panic", "Os {", ".rs:")), error
    else:
        break
print(refused, "refused")
resource.setrlimit(kind, before)
with client, Fluvio.connect(endpoint) as other:
    client.admin.topics.create("first-" + sys.argv[1].lower().replace("_", "-"), exist_ok=True)
    with client.producer("first-" + sys.argv[1].lower().replace("_", "-")) as producer:
        print("written", producer.send(b"x").offset >= 0)
"""


@pytest.mark.parametrize("kind", ["RLIMIT_NOFILE", "RLIMIT_NPROC"])
@pytest.mark.parametrize("workers", [1, 2])
def test_the_library_starts_once_there_is_enough(cluster: LocalCluster, kind: str, workers: int) -> None:
    """With one descriptor, or one thread, more at each attempt: whatever fails, the next attempt can succeed."""
    configure = (
        f"from fluvio_cffi._native.loader import ffi, lib\nassert lib.flv_runtime_configure({workers}, ffi.NULL) == 0\n"
    )
    command = [sys.executable, "-c", configure + FIRST, kind, cluster.endpoint]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    refused, written = result.stdout.splitlines()
    assert int(refused.split()[0]) >= 3
    assert written == "written True"


MEMORY = """
import resource, sys, time
from fluvio_cffi import Fluvio, Offset

with Fluvio.connect(sys.argv[1]) as client:
    with client.consumer(sys.argv[2], start=Offset.beginning()) as consumer:
        assert consumer.receive().value == b"small"
        kilobytes = next(line for line in open("/proc/self/status") if line.startswith("VmData:")).split()[1]
        before = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, ((int(kilobytes) << 10) + (12 << 20), before[1]))
        print("ready", flush=True)
        while not client.metrics().errors.get("ResourceError"):
            time.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_DATA, before)
        print([len(consumer.receive().value) for _ in range(2)])
"""


def test_without_memory_for_a_batch_it_waits(cluster: LocalCluster) -> None:
    """A small batch that unpacks to a large one."""
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("memory")
        with client.producer("memory", compression="zstd", max_request_size="32MiB", batch_size=1) as producer:
            producer.send(b"small")
            command = [sys.executable, "-c", MEMORY, cluster.endpoint, "memory"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                try:
                    assert process.stdout is not None
                    assert process.stdout.readline() == "ready\n"
                    producer.send(bytes(30 << 20))
                    producer.send(b"last")
                    output, errors = process.communicate(timeout=30)
                finally:
                    process.kill()
    assert (process.returncode, errors) == (0, "")
    assert output == f"{[30 << 20, 4]}\n"


# -- room


def test_without_room_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    store = ProfileStore(tmp_path / "config")
    with no_room(), pytest.raises(ResourceError, match="cannot be written") as raised:
        store.add("one", ClusterConfig("127.0.0.1:9003"))
    check(raised.value, errno.EFBIG)
    store.add("one", ClusterConfig("127.0.0.1:9003"))
    assert [profile.name for profile in store.list()] == ["one"]

    with no_room(), pytest.raises(ResourceError, match="did not start") as raised:
        LocalCluster().start()
    check(raised.value, errno.EFBIG)
    assert os.listdir(tmp_path) == ["config"]
    with LocalCluster():
        pass


def test_a_cluster_without_room(tmp_path: Path) -> None:
    """What cannot be written is refused; what was written before is there, and nothing else."""
    with LocalCluster(tmp_path) as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("kept")
        with client.producer("kept", batch_size=1000) as producer:
            producer.send_all([b"x" * 100] * 100)
            with client.consumer("kept", consumer_id="reader", stop_at_end=True) as consumer:
                consumer.commit({0: 10})
                journal = (tmp_path / "consumer-offsets.jsonl").stat().st_size
                # In the middle of the next line, and of the next batch.
                resource.prlimit(cluster.pid, resource.RLIMIT_FSIZE, (journal + 20, resource.RLIM_INFINITY))
                for offset in (20, 30):
                    with pytest.raises(StorageError):
                        consumer.commit({0: offset})
                with pytest.raises(StorageError) as refused:
                    producer.send(b"x" * 500)
                assert refused.value.outcome == "not_written"
                assert refused.value.code == 72
                resource.prlimit(cluster.pid, resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
                with pytest.raises(StorageError, match="nothing was done"):
                    client.admin.topics.create("refused", partitions=3)
                assert [topic.name for topic in client.admin.topics.list()] == ["kept"]
                resource.prlimit(cluster.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                consumer.commit({0: 40})
        client.admin.topics.create("refused", partitions=3)
        cluster.restart()
        with client.producer("kept") as producer:
            producer.send(b"last")
        with client.consumer("kept", start=Offset.beginning(), stop_at_end=True) as consumer:
            assert [record.value for record in consumer] == [b"x" * 100] * 100 + [b"last"]
        assert client.admin.consumer_offsets.get(consumer_id="reader", topic="kept", partition=0).offset == 40


# -- the cluster's descriptors


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_cluster_takes_what_the_system_allows() -> None:
    soft, hard = 1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 2 * soft:
        pytest.skip(f"the hard limit is {hard}")
    with limited(resource.RLIMIT_NOFILE, soft), LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("wide", partitions=1200)
        assert len(client.admin.partitions.list(topic="wide")) == 1200


def test_a_topic_that_is_too_wide_is_refused_alone() -> None:
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("narrow", partitions=3)
        with client.producer("narrow") as producer:
            producer.send(b"before", partition=0)
            resource.prlimit(cluster.pid, resource.RLIMIT_NOFILE, (128, 128))
            for _ in range(2):
                with pytest.raises(StorageError, match="nothing was done: Too many open files"):
                    client.admin.topics.create("wide", partitions=1000)
                with pytest.raises(StorageError, match="nothing was done: Too many open files"):
                    client.admin.topics.add_partitions("narrow", 1000)
                # Also one after another there remains room for those who connect.
                with pytest.raises(StorageError, match="Too many open files"):
                    for number in range(150):
                        client.admin.topics.create(f"single-{number}")
                with Fluvio.connect(cluster.endpoint) as other:
                    for topic in other.admin.topics.list(name_contains="single-"):
                        other.admin.topics.delete(topic.name)
            assert [topic.name for topic in client.admin.topics.list()] == ["narrow"]
            assert client.admin.topics.get("narrow").spec.partitions == 3
            producer.send(b"after", partition=0)
            producer.send(b"after", partition=2)
        client.admin.topics.create("wide", partitions=20)
        with client.producer("wide") as producer:
            producer.send(b"works", partition=19)


def test_a_cluster_without_descriptors_waits_for_some() -> None:
    """Who connects then gets in when others leave; meanwhile nothing spins."""
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("served")
        with client.producer("served") as producer:
            producer.send(b"one")
            before = resource.prlimit(cluster.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(cluster.pid, resource.RLIMIT_NOFILE, (3, before[1]))
            used = processor_time(cluster.pid)
            with pytest.raises(FluvioTimeoutError):
                Fluvio.connect(cluster.endpoint, timeout=1)
            assert processor_time(cluster.pid) - used < 0.3
            assert producer.send(b"two").offset == 1
            said = Path(f"/proc/{cluster.pid}/fd/2").stat().st_size
            assert said < 1000
            resource.prlimit(cluster.pid, resource.RLIMIT_NOFILE, before)
            Fluvio.connect(cluster.endpoint).close()


@pytest.mark.backends("sync")
async def test_old_segments_are_not_kept_open(world: World) -> None:
    """As many files are open as there are partitions, however much is in them."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, segment_size="4KiB")
            values = [b"%04d" % n * 100 for n in range(200)]
            async with client.producer(topic, batch_size=1000) as producer:
                await producer.send_all(values)
            logs = next(cluster.data_dir.glob(f"spu-logs-*/{topic}-0"))
            assert len(list(logs.glob("*.log"))) > 10
            names = [os.readlink(link) for link in Path(f"/proc/{cluster.pid}/fd").iterdir()]
            assert sum(name.startswith(str(logs)) for name in names) == 1
            assert await read_all(client, topic) == values
            cluster.restart()
            assert await read_all(client, topic) == values


# -- names of files


def test_directories_of_any_name(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff name"))
    with LocalCluster(folder, tls="mutual") as cluster, Fluvio.connect(cluster.endpoint, tls=cluster.tls) as client:
        client.admin.topics.create("named")
        with client.producer("named") as producer:
            producer.send(b"kept")
        with pytest.raises(ConfigError, match="not UTF-8"):
            cluster.profile_toml()
        with pytest.raises(ConfigError, match="not UTF-8"):
            ProfileStore(tmp_path / "config").add("it", ClusterConfig(cluster.endpoint, cluster.tls))
    store = ProfileStore(folder / "config")
    store.add("one", ClusterConfig("127.0.0.1:9003"))
    assert [profile.name for profile in store.list()] == ["one"]
    with (
        LocalCluster(folder) as cluster,
        Fluvio.connect(cluster.endpoint) as client,
        client.consumer("named", start=Offset.beginning(), stop_at_end=True) as consumer,
    ):
        assert [record.value for record in consumer] == [b"kept"]
    command: list[str | bytes] = [sys.executable, "-m", "fluvio_cffi", "cluster", "--port", "0", "--data-dir"]
    command.append(os.fsencode(folder))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        line = process.stdout.readline()
        assert os.fsencode(folder) in line, process.stderr.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0


# -- temporary directories

OWNER = """
import os, signal, sys, time
from fluvio_cffi import LocalCluster
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may ignore it, as nohup does
cluster = LocalCluster().start()
print(cluster.data_dir, cluster.pid, flush=True)
"""


def owner(code: str = "") -> tuple[subprocess.Popen[str], Path, int]:
    command = [sys.executable, "-c", OWNER + textwrap.dedent(code) + "\ntime.sleep(60)"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder, pid = process.stdout.readline().split()
    return process, Path(folder), int(pid)


def gone(folder: Path, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not folder.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_temporary_files_go_with_a_parent_that_is_killed(number: signal.Signals) -> None:
    process, folder, _ = owner()
    with process:
        assert folder.is_dir()
        process.send_signal(number)
        process.wait()
        assert gone(folder)


def test_temporary_files_that_nobody_could_remove_go_with_the_next_start() -> None:
    """The cluster is killed, and then its parent: nobody is left. Those of the living stay."""
    living, kept, _ = owner("cluster.kill()\nprint('killed', flush=True)")
    dead, folder, _ = owner("cluster.kill()\nprint('killed', flush=True)")
    orphan, ending, stopped = owner()
    try:
        for process in (living, dead):
            assert process.stdout is not None
            assert process.stdout.readline() == "killed\n"
        os.kill(stopped, signal.SIGSTOP)
        for process in (dead, orphan):
            process.kill()
            process.wait()
        assert folder.is_dir()
        with LocalCluster() as cluster:
            assert gone(folder)
            assert cluster.data_dir.is_dir()
        assert kept.is_dir()
        assert ending.is_dir(), "its cluster lives"
        os.kill(stopped, signal.SIGCONT)
        assert gone(ending)
    finally:
        os.kill(stopped, signal.SIGCONT) if ending.exists() else None
        for process in (living, dead, orphan):
            process.kill()
            process.communicate()
    with LocalCluster():
        assert gone(kept)


def test_temporary_files_survive_a_restart_and_a_kill() -> None:
    cluster = LocalCluster().start()
    folder = cluster.data_dir

    def kill_and_start() -> None:
        cluster.kill()
        cluster.start()

    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("restarted")
        for way in (cluster.restart, kill_and_start):
            with client.producer("restarted") as producer:
                producer.send(b"x")
            way()
            assert cluster.data_dir == folder
            assert [topic.name for topic in client.admin.topics.list()] == ["restarted"]
    cluster.stop()
    assert not folder.exists()


def test_a_cluster_of_a_shell_removes_its_files() -> None:
    from fluvio_cffi.cluster import program

    for number in (signal.SIGTERM, signal.SIGKILL):
        command = [program(), "--port", "0"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"ready ")
            links = [os.readlink(link) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
            folder = next(Path(link).parent for link in links if link.endswith("/owner"))
            process.send_signal(number)
            process.wait(10)
        if number == signal.SIGKILL:
            assert folder.is_dir()
            with LocalCluster():
                assert gone(folder)
        assert gone(folder)
