"""The examples that are services: each is started, used and stopped as its users do it."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fluvio_cffi
from fluvio_cffi import Fluvio, LocalCluster, NotFoundError
from fluvio_cffi.testing import read_all, wait_until_committed

pytestmark = pytest.mark.timeout(90)

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
FOLDER = str(Path(fluvio_cffi.__file__).parent.parent)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def call(url: str, body: bytes | None = None) -> tuple[int, Any]:
    """The status and the document of an answer; with a body it is a POST."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def until(url: str, expected: tuple[int, Any]) -> None:
    """Waits until a service answers so."""
    deadline = time.monotonic() + 30
    while True:
        try:
            found = call(url)
        except (urllib.error.URLError, ConnectionError) as error:
            found = (0, error)
        if found == expected:
            return
        assert time.monotonic() < deadline, found
        time.sleep(0.02)


@contextlib.contextmanager
def running(*command: str, folder: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(EXAMPLES), FOLDER)), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def ended(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    """Asks a service to end; what it has said meanwhile."""
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert "Traceback" not in said, said
    return said


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="FastAPI is tried on CPython only")
def test_fastapi(tmp_path: Path, fluvio_own_cluster: LocalCluster) -> None:
    cluster, port = fluvio_own_cluster, free_port()
    url = f"http://127.0.0.1:{port}"
    command = ("-m", "uvicorn", "fastapi_app:app", "--port", str(port), "--log-level", "warning")
    with running(*command, folder=tmp_path, FLUVIO_ENDPOINT=cluster.endpoint) as process:
        until(f"{url}/health", (200, {"cluster": "connected"}))
        assert call(f"{url}/orders", b'{"id": "o-1", "amount": 5}') == (200, {"partition": 0, "offset": 0})
        assert call(f"{url}/orders", b'{"id": "o-1", "amount": 7}') == (200, {"partition": 0, "offset": 1})
        until(f"{url}/orders/o-1", (200, {"total": 12}))
        with cluster.faults.kill_controller():
            until(f"{url}/health", (503, {"detail": "reconnecting"}))
            with cluster.faults.stall(5001):
                status = call(f"{url}/orders", b'{"id": "o-2", "amount": 1}')
                assert status == (503, {"detail": "the order is pending"})
        until(f"{url}/health", (200, {"cluster": "connected"}))
        until(f"{url}/orders/o-2", (200, {"total": 1}))
        assert ended(process) == ""
    assert process.returncode in (0, -signal.SIGTERM)


def test_starlette_on_trio(tmp_path: Path, fluvio_endpoint: str) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = ("-m", "hypercorn", "--worker-class", "trio", "--bind", f"127.0.0.1:{port}", "starlette_trio:app")
    topic = f"words-{os.urandom(4).hex()}"
    with running(*command, folder=tmp_path, FLUVIO_ENDPOINT=fluvio_endpoint, FLUVIO_TOPIC=topic) as process:
        until(f"{url}/health", (200, {"cluster": "connected"}))
        assert call(f"{url}/words", b"hello") == (200, {"partition": 0, "offset": 0})
        until(f"{url}/words", (200, ["hello"]))
        ended(process)
    assert process.returncode == 0


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="Django is tried on CPython only")
def test_django(tmp_path: Path, fluvio_endpoint: str, fluvio_client: Fluvio) -> None:
    with running(str(EXAMPLES / "django_view.py"), fluvio_endpoint, "0", folder=tmp_path) as process:
        assert process.stdout is not None
        port = process.stdout.readline().split()[1]
        for offset in range(2):
            assert call(f"http://127.0.0.1:{port}/click", b"here") == (200, {"partition": 0, "offset": offset})
        assert ended(process, signal.SIGINT).endswith("ended\n")
    assert process.returncode == 0
    assert [record.value for record in read_all(fluvio_client, "clicks")] == [b"here", b"here"]
    fluvio_client.admin.topics.delete("clicks")


def test_a_worker_under_systemd(tmp_path: Path, fluvio_endpoint: str, fluvio_client: Fluvio) -> None:
    fluvio_client.admin.topics.create("tasks")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, fluvio_client.producer("tasks") as producer:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(30)
        command = (str(EXAMPLES / "worker_systemd.py"), fluvio_endpoint)
        with running(*command, folder=tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
            assert process.stdout is not None
            assert manager.recv(100) == b"READY=1"
            producer.send("one")
            assert process.stdout.readline() == "done: one\n"
            wait_until_committed(fluvio_client, "worker", "tasks", {0: 0})
            assert ended(process) == "ended in order\n"
            assert manager.recv(100) == b"STOPPING=1"
        assert process.returncode == 0
    fluvio_client.admin.topics.delete("tasks")


def test_processes(tmp_path: Path, fluvio_endpoint: str) -> None:
    with running("-Werror", str(EXAMPLES / "processes.py"), fluvio_endpoint, folder=tmp_path) as process:
        said, _ = process.communicate(timeout=60)
    assert said == "3000 records of 3 processes\n"


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="Arrow data is for CPython only")
def test_topic_to_parquet(tmp_path: Path, fluvio_client: Fluvio, fluvio_endpoint: str) -> None:
    """Each run has what came after the last one."""
    import pyarrow.parquet

    fluvio_client.admin.topics.create("to-parquet", partitions=2)
    for run in range(2):
        with fluvio_client.producer("to-parquet") as producer:
            producer.send_all(f"{run} {number}" for number in range(3000))
        command = [str(EXAMPLES / "topic_to_parquet.py"), fluvio_endpoint, "to-parquet", f"{run}.parquet"]
        with running("-Werror", *command, folder=tmp_path) as process:
            said, _ = process.communicate(timeout=60)
        assert said == f"3000 records in {run}.parquet\n"
        values = pyarrow.parquet.read_table(tmp_path / f"{run}.parquet")["value"].to_pylist()
        assert sorted(values) == sorted(f"{run} {number}".encode() for number in range(3000))


def test_notebook() -> None:
    """Cell by cell, in one event loop, as a kernel does it; each prints what the notebook shows."""
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    names: dict[str, Any] = {"__name__": "__main__"}

    async def run() -> None:
        for cell in notebook["cells"]:
            if cell["cell_type"] != "code":
                continue
            code = compile("".join(cell["source"]), "cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                result = eval(code, names)
                if inspect.isawaitable(result):
                    await result
            assert printed.getvalue() == "".join("".join(output["text"]) for output in cell["outputs"])

    asyncio.run(run(), debug=False)


def test_the_demo_of_a_group(tmp_path: Path, fluvio_own_cluster: LocalCluster) -> None:
    code = (
        "import sys; from fluvio_cffi._cli.group_demo import groups_part\n"
        "if __name__ == '__main__': groups_part(sys.argv[1])\n"
    )
    program = tmp_path / "demo_of_a_group.py"
    program.write_text(code)
    with running(str(program), fluvio_own_cluster.endpoint, folder=tmp_path) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    lines = said.splitlines()
    assert lines[0] == "  3 processes share 6 partitions"
    assert lines[1].startswith("  one is killed: the others have its partitions after ")
    assert lines[2].startswith("  one ends in order: the last one has all after ")
    assert lines[3].endswith(" records came meanwhile, and each was processed")


def test_workers_of_a_group(tmp_path: Path, fluvio_own_cluster: LocalCluster) -> None:
    """Of three one is killed, and the others take over; one ends in order, and the last one has all."""
    endpoint = fluvio_own_cluster.endpoint

    def worker(program: str, name: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        return running(str(EXAMPLES / program), name, endpoint, folder=tmp_path)

    with (
        worker("group_asyncio.py", "one") as one,
        worker("group_trio.py", "two") as two,
        worker("group_asyncio.py", "three") as three,
        Fluvio.connect(endpoint) as client,
    ):

        def owners() -> list[int]:
            try:
                group = client.admin.groups.get("workers", "group-work")
            except NotFoundError:
                return []
            return sorted(len(member.partitions) for member in group.members)

        def wait_for(expected: list[int]) -> None:
            deadline = time.monotonic() + 30
            while owners() != expected:
                assert time.monotonic() < deadline, owners()
                time.sleep(0.05)

        wait_for([2, 2, 2])
        three.kill()
        wait_for([3, 3])
        said = ended(two, signal.SIGINT)
        assert said.startswith("two: has got ")
        assert "two: works on " in said
        assert said.endswith("two: ended in order\n")
        wait_for([6])
        assert ended(one).endswith("one: ended in order\n")
        assert (one.returncode, two.returncode) == (0, 0)
