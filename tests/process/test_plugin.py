"""The pytest plugin, with the test runners that people use. Each run is a pytest of its own, in a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import fluvio_cffi
from fluvio_cffi import Fluvio, LocalCluster

pytestmark = pytest.mark.timeout(120)

FOLDER = Path(fluvio_cffi.__file__).parent.parent
# Of the plugins that are installed those that a run names, and no other.
ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(FOLDER)}
CLEAN = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST_", "FLUVIO_"))}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs pytest on one file of tests."""

    def run(
        tests: str, *arguments: str, plugins: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        (tmp_path / "test_it.py").write_text(textwrap.dedent(tests), encoding="utf-8")
        named = [f"-p{plugin}" for plugin in ("pytest_fluvio_cffi", *plugins)]
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-Werror",
            "-ra",
            "--strict-markers",
            "--tb=short",
            *named,
            *arguments,
        ]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={**CLEAN, **ALONE, **environment},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


def passed(result: subprocess.CompletedProcess[str], count: int) -> None:
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{count} passed" in result.stdout.splitlines()[-1]


BODY = """
    async with fluvio_connect() as client:
        async with client.producer(fluvio_topic) as producer:
            assert (await producer.send(b"one")).offset == 0
        assert [record.value for record in await aread_all(client, fluvio_topic)] == [b"one"]
"""
COROUTINE = f"async def test(fluvio_connect, fluvio_topic):{BODY}"
METHOD = (
    f"class Test:\n    async def test(self, fluvio_connect, fluvio_topic):{BODY.replace(chr(10), chr(10) + '    ')}"
)
HEAD = "import pytest\nfrom fluvio_cffi.testing import aread_all\n"


def marked(mark: str, *coroutines: str) -> str:
    """Each as a test of its own, under a mark."""
    tests = [
        f"{mark}\n{text.replace('test(', f'test_{number}(', 1).replace('Test', f'Test{number}')}"
        for number, text in enumerate(coroutines)
    ]
    return HEAD + "\n".join(tests)


# What pytest-asyncio wants to be told.
SCOPE = ("-oasyncio_default_fixture_loop_scope=function",)
# The mark, the plugin, and its arguments.
RUNNERS = {
    "anyio": ("@pytest.mark.anyio", "anyio", ()),
    "pytest-asyncio strict": ("@pytest.mark.asyncio", "pytest_asyncio.plugin", (*SCOPE, "--asyncio-mode=strict")),
    "pytest-asyncio strict, one loop for the session": (
        '@pytest.mark.asyncio(loop_scope="session")',
        "pytest_asyncio.plugin",
        (*SCOPE, "--asyncio-mode=strict"),
    ),
    "pytest-asyncio auto": ("", "pytest_asyncio.plugin", (*SCOPE, "--asyncio-mode=auto")),
    "pytest-trio": ("@pytest.mark.trio", "pytest_trio.plugin", ()),
}


@pytest.mark.parametrize("runner", RUNNERS)
def test_coroutines(run: Run, runner: str) -> None:
    """In functions and in classes; on trio as well, where the runner has it."""
    mark, plugin, arguments = RUNNERS[runner]
    backends = 2 if runner == "anyio" else 1
    passed(run(marked(mark, COROUTINE, METHOD), *arguments, plugins=(plugin,)), 2 * backends)


def test_pytest_trio_in_trio_mode(run: Run) -> None:
    tests = marked("", COROUTINE) + "\n"
    passed(run(tests, "-otrio_mode=true", plugins=("pytest_trio.plugin",)), 1)


PLAIN = """
    import unittest
    import pytest
    from fluvio_cffi import Fluvio, LocalCluster, Offset
    from fluvio_cffi.testing import read_all, wait_until_committed

    def test_threads(fluvio_client, fluvio_topic):
        with fluvio_client.producer(fluvio_topic) as producer:
            producer.send(b"one")
        assert [record.value for record in read_all(fluvio_client, fluvio_topic)] == [b"one"]

    def test_endpoint(fluvio_endpoint, fluvio_cluster):
        assert isinstance(fluvio_cluster, LocalCluster)
        with Fluvio.connect(fluvio_endpoint) as client:
            assert client.state == "connected"

    @pytest.mark.fluvio_topic(partitions=3, retention="1h")
    def test_marked(fluvio_client, fluvio_topic):
        spec = fluvio_client.admin.topics.get(fluvio_topic).spec
        assert (spec.partitions, spec.retention) == (3, 3600)

    def test_several(fluvio_client, fluvio_topics):
        names = [fluvio_topics(partitions=2), fluvio_topics(), fluvio_topics("orders")]
        assert len(set(names)) == 3 and names[2] == "orders"
        fluvio_client.admin.topics.delete(names[1])  # what is gone already does not matter

    def test_nothing_is_left(fluvio_client):
        assert fluvio_client.admin.topics.list() == []

    @pytest.mark.fluvio_own_cluster(spus=2)
    def test_own(fluvio_own_cluster, fluvio_endpoint):
        assert fluvio_own_cluster.endpoint != fluvio_endpoint
        fluvio_own_cluster.kill_spu(5002)
        fluvio_own_cluster.kill()

    def test_committed(fluvio_client, fluvio_topic):
        with fluvio_client.producer(fluvio_topic) as producer:
            producer.send_all([b"a", b"b"])
        with fluvio_client.consumer(fluvio_topic, consumer_id="it") as consumer:
            consumer.receive(timeout=5)
            consumer.commit(timeout=5)
        wait_until_committed(fluvio_client, "it", fluvio_topic, {0: 0})
        with pytest.raises(TimeoutError, match="within 0.1 s: stored is {0: 0}"):
            wait_until_committed(fluvio_client, "it", fluvio_topic, {0: 1}, timeout=0.1)

    class InClass(unittest.TestCase):
        @pytest.fixture(autouse=True)
        def fluvio(self, fluvio_client, fluvio_topic):
            self.client, self.topic = fluvio_client, fluvio_topic

        def test_it(self):
            with self.client.producer(self.topic) as producer:
                self.assertEqual(producer.send(b"x").offset, 0)

    @pytest.mark.parametrize("name", ["ü[a/b]", "x" * 100, "-", "UPPER case_1"])
    def test_names(fluvio_topic, name):
        assert len(fluvio_topic) <= 63
"""
PLAIN_COUNT = 12


def test_plain_tests(run: Run) -> None:
    passed(run(PLAIN), PLAIN_COUNT)


def test_under_xdist(run: Run) -> None:
    """Each worker has a cluster of its own."""
    passed(run(PLAIN, "-n2", plugins=("xdist.plugin",)), PLAIN_COUNT)


def test_in_any_order(run: Run) -> None:
    passed(run(PLAIN.replace("list() == []", "list() is not None"), plugins=("pytest_randomly",)), 12)


def test_another_cluster(run: Run, cluster: LocalCluster) -> None:
    tests = """
    def test_it(fluvio_cluster, fluvio_client, fluvio_topic, fluvio_own_cluster):
        print("topic", fluvio_topic, fluvio_cluster)
        assert fluvio_client.endpoint == fluvio_cluster.endpoint != fluvio_own_cluster.endpoint
    """
    for arguments, environment in (
        (["--fluvio-endpoint", cluster.endpoint], {}),
        ([], {"FLUVIO_CFFI_ENDPOINT": cluster.endpoint}),
    ):
        result = run(tests, "-s", *arguments, **environment)
        passed(result, 1)
        assert f"fluvio: the cluster at {cluster.endpoint}, not an embedded one\n" in result.stdout
        topic = result.stdout.partition("topic ")[2].split()[0]
        with Fluvio.connect(cluster.endpoint) as client:
            assert topic not in [each.name for each in client.admin.topics.list()]


@pytest.mark.parametrize("cause", ["endpoint", "program"])
def test_without_a_cluster_one_test_says_so(run: Run, cause: str) -> None:
    tests = """
    import pytest
    @pytest.mark.parametrize("number", range(50))
    def test_it(fluvio_topic, number): pass
    """
    if cause == "endpoint":
        result = run(tests, "--fluvio-endpoint", "127.0.0.1:1")
        said = "no Fluvio cluster for the tests: FluvioConnectionError: connection to 127.0.0.1:1"
    else:
        result = run(tests, FLUVIO_CFFI_CLUSTER="/does/not/exist")
        said = "no Fluvio cluster for the tests: ConfigError: the cluster program '/does/not/exist' does not exist"
    assert result.returncode != 0
    assert said in result.stdout
    assert "1 error" in result.stdout.splitlines()[-1]
    assert "During handling" not in result.stdout


@pytest.mark.parametrize("first", ["fluvio_topic", "fluvio_client"])
def test_who_ends_the_shared_cluster_is_told(run: Run, first: str) -> None:
    tests = f"""
    def test_first(fluvio_cluster, {first}):
        fluvio_cluster.kill()
    def test_second(fluvio_topic): pass
    def test_third(fluvio_topic): pass
    """
    begun = time.monotonic()
    result = run(tests)
    assert time.monotonic() - begun < 25
    assert "a test ended the shared cluster; use fluvio_own_cluster" in result.stdout
    assert "1 passed, 1 error" in result.stdout.splitlines()[-1]


def test_who_starts_the_shared_cluster_again_may_end_it(run: Run) -> None:
    tests = """
    def test_first(fluvio_cluster, fluvio_topic):
        fluvio_cluster.kill()
        fluvio_cluster.start()
    def test_second(fluvio_topic): pass
    """
    passed(run(tests), 2)


def test_a_topic_that_cannot_be_deleted_leaves_no_other(run: Run) -> None:
    tests = """
    def test_first(fluvio_client, fluvio_topics):
        topic = fluvio_topics()
        with fluvio_client.producer(topic) as producer:
            producer.send(b"x")
        with fluvio_client.consumer(topic, consumer_id="it") as consumer:
            consumer.receive(timeout=5)
            consumer.commit(timeout=5)
        fluvio_topics("consumer-offset", exist_ok=True)  # the cluster's own
        fluvio_topics()
    def test_second(fluvio_client):
        assert fluvio_client.admin.topics.list() == []
    """
    result = run(tests)
    assert "2 passed, 1 error" in result.stdout.splitlines()[-1], result.stdout
    assert "'consumer-offset'" in result.stdout or '"consumer-offset"' in result.stdout


def test_nothing_is_loaded_or_started_unasked(run: Run) -> None:
    tests = """
    import sys
    def test_it():
        assert [name for name in sys.modules if name.startswith("fluvio_cffi")] == []
    """
    passed(run(tests), 1)


def test_what_is_installed(run: Run) -> None:
    """The name under which pytest finds it."""
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\npytest_fluvio_cffi = "pytest_fluvio_cffi"' in project
    result = run("def test_it(): pass", "--fixtures", "--markers")
    assert "@pytest.mark.fluvio_topic(**spec)" in result.stdout


def test_importing_it_imports_nothing_else() -> None:
    program = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        "import pytest_fluvio_cffi\n"
        "print(sorted(set(sys.modules) - before - {'pytest_fluvio_cffi'}))\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**CLEAN, "PYTHONPATH": str(FOLDER)},
    )
    assert ended.stdout == "[]\n"


def test_kill_9_leaves_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import json, time\n"
        "def test_it(fluvio_cluster, fluvio_own_cluster):\n"
        "    print(json.dumps([fluvio_cluster.pid, fluvio_own_cluster.pid]), flush=True)\n"
        "    time.sleep(60)\n",
        encoding="utf-8",
    )
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s", "-q", "-ppytest_fluvio_cffi"],
        cwd=tmp_path,
        env={**CLEAN, **ALONE},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        pids: list[int] = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < deadline, "a cluster is left"
        time.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
