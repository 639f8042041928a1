"""Python inside another program: interpreters that begin and end while the process goes on, side by side as well, with
work in flight. Their end is not the library's."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
import time
from itertools import permutations
from pathlib import Path

import c_support
import pytest
from c_support import Toolchain
from laws import LONG, has_long_form

from fluvio_cffi import Fluvio, LocalCluster, Offset

SOURCE = Path(__file__).with_name("programs") / "embed.c"
ROUNDS = 25 if LONG else 4
NOTHING = (
    "queues 0 operations 0 clients 0 producers 0 consumers 0 errors 0 owners 0 inner 0 0 0 connections 0 descriptors 0"
)

pytestmark = pytest.mark.timeout(900 if LONG else 120)


class Host:
    """The program ``embed.c``, with the Python that runs the tests inside."""

    def __init__(self, folder: Path, endpoint: str) -> None:
        self.toolchain = Toolchain(folder)
        self.endpoint = endpoint
        libraries, version = sysconfig.get_config_var("LIBDIR"), sysconfig.get_config_var("LDVERSION")
        name = f"libpython{version}." + ("dylib" if sys.platform == "darwin" else "so")
        if not Path(libraries, name).exists():
            pytest.skip(f"this Python cannot be embedded: there is no {name}")
        include = sysconfig.get_path("include")
        self.options = (f"-isystem{include}", f"-L{libraries}", f"-Wl,-rpath,{libraries}", f"-lpython{version}", "-ldl")
        self.program = self.toolchain.compile(SOURCE, "-std=gnu11", after=self.options)

    def needs_rounds(self) -> None:
        """Skips the test where that is too much for Python itself, as for CPython 3.12.1."""
        if self._run(*["init", "run", "import asyncio", "finish"] * 2).returncode < 0:
            pytest.skip("this Python cannot be embedded in rounds: importing asyncio twice is too much for it")

    def __call__(self, *steps: str, timeout: float = 60) -> str:
        """Does the steps, with ``ENDPOINT`` in code standing for the cluster's; returns what was printed. Nothing is to
        be said on standard error."""
        ended = self._run(*steps, timeout=timeout)
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
        return ended.stdout

    def _run(self, *steps: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        variables = {
            **self.toolchain.environment,
            "PYTHONHOME": sys.base_prefix,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        arguments = [textwrap.dedent(step).replace("ENDPOINT", repr(self.endpoint)) for step in steps]
        return subprocess.run(
            [self.program, *arguments], capture_output=True, text=True, timeout=timeout, env=variables
        )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory, cluster: LocalCluster) -> Host:
    return Host(tmp_path_factory.mktemp("embedding"), cluster.endpoint)


@pytest.fixture
def topic(cluster: LocalCluster) -> str:
    name = f"embedded-{time.time_ns()}"
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create(name)
    return name


def values(cluster: LocalCluster, topic: str) -> list[bytes]:
    with (
        Fluvio.connect(cluster.endpoint) as client,
        client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer,
    ):
        return [record.value for record in consumer]


LIBRARY = str(c_support.native_library())

# What a round leaves behind.
TIDY = """
    import asyncio
    from fluvio_cffi import *
    with Fluvio.connect(ENDPOINT) as client, client.producer(TOPIC) as producer:
        producer.send_all([b"sync"] * 10)

    async def main():
        async with AsyncFluvio.connect(ENDPOINT) as client, client.producer(TOPIC) as producer:
            await producer.send_all([b"async"] * 10)

    asyncio.run(main())
    """
# Everything is open, with operations under way: records wait for company, a read waits, a call of the administration.
# No threads: CPython itself does not survive any that are left when it begins again.
BUSY = """
    import asyncio
    from fluvio_cffi import *
    client = Fluvio.connect(ENDPOINT)
    producer = client.producer(TOPIC, linger=60)
    receipts = [producer.enqueue(b"sync") for _ in range(10)]
    consumer = client.consumer(TOPIC, consumer_id="busy", commit="auto")
    watch = client.admin.topics.watch()

    async def main():
        global left
        other = await AsyncFluvio.connect(ENDPOINT)
        waiting = await other.producer(TOPIC, linger=60)
        reading = await other.consumer(TOPIC)
        tasks = [asyncio.create_task(work) for work in (reading.receive(), other.admin.topics.list())]
        left = other, waiting, reading, tasks, [await waiting.enqueue(b"async") for _ in range(10)]
        await asyncio.sleep(0)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda loop, context: None)  # it has a word for tasks that it leaves
    loop.run_until_complete(main())
    """


@has_long_form
@pytest.mark.parametrize("code", [TIDY, BUSY], ids=["tidy", "busy"])
@pytest.mark.parametrize("where", [(), ("elsewhere", "4")], ids=["one thread", "threads"])
def test_rounds(host: Host, cluster: LocalCluster, topic: str, code: str, where: tuple[str, ...]) -> None:
    host.needs_rounds()
    code = code.replace("TOPIC", repr(topic))
    rounds = [step for _ in range(ROUNDS) for step in (*where, "init", "run", code, "finish")]
    assert host(*rounds, "left", LIBRARY, timeout=800 if LONG else 60) == f"left: {NOTHING}\n"
    assert sorted(values(cluster, topic)) == sorted([b"sync", b"async"] * 10 * ROUNDS)


# A client of its own; one record is written, others wait for company.
OPEN = """
    from time import monotonic
    from fluvio_cffi import *
    client = Fluvio.connect(ENDPOINT)
    producer, slow = client.producer(TOPIC), client.producer(TOPIC, linger=60)
    producer.send(NAME)
    waiting = [slow.enqueue(NAME) for _ in range(3)]
    """
GO_ON = """
    producer.send(NAME + "!")
    Fluvio.connect(ENDPOINT).close()
    assert not any(receipt.done() for receipt in waiting)
    """


@pytest.mark.parametrize("order", list(permutations("abc")), ids="".join)
def test_sub_interpreters_end_in_any_order(
    host: Host, cluster: LocalCluster, topic: str, order: tuple[str, ...]
) -> None:
    """Each ends with what it has open, and waits for no records but its own."""

    def said(code: str, name: str) -> str:
        return code.replace("TOPIC", repr(topic)).replace("NAME", repr(name))

    steps = ["init", "run", said(OPEN, "main")]
    for name in "abc":
        steps += ["new", name, "run", said(OPEN, name)]
    left = ["main", "a", "b", "c"]
    for name in order:
        steps += ["end", name]
        left.remove(name)
        for other in left:
            steps += ["in", other, "run", said(GO_ON, other)]
    steps += ["in", "main", "finish", "left", LIBRARY]
    begun = time.monotonic()
    assert host(*steps) == f"left: {NOTHING}\n"
    assert time.monotonic() - begun < 30
    wanted = ["main", "a", "b", "c"] * 4
    for ended in range(1, 4):
        wanted += [f"{name}!" for name in ("main", *order[ended:])]
    assert sorted(values(cluster, topic)) == sorted(name.encode() for name in wanted)


def test_interpreters_hear_of_their_own_clients(host: Host) -> None:
    """In the log, which a thread of each brings; it ends with its interpreter."""
    listen = """
        import logging
        from fluvio_cffi import Fluvio, logs
        clients = set()
        class Keep(logging.Handler):
            def emit(self, record):
                clients.add(record.client)
        logging.getLogger("fluvio_cffi.native").addHandler(Keep())
        logging.getLogger("fluvio_cffi.native").setLevel(logging.DEBUG)
        """
    connect = "Fluvio.connect(ENDPOINT).close()"
    tell = "assert logs.flush(10); print(sorted(clients))"
    steps = ["init", "run", listen, "run", connect, "new", "a", "run", listen, "run", connect]
    steps += ["new", "b", "run", listen, "run", connect, "run", tell]
    steps += ["in", "a", "run", connect, "run", tell, "end", "a", "in", "b", "end", "b"]
    steps += ["in", "main", "run", connect, "run", tell, "finish", "left", LIBRARY]
    assert host(*steps) == f"[3]\n[2, 4]\n[1, 5]\nleft: {NOTHING}\n"


def test_a_fork_in_the_host(host: Host, cluster: LocalCluster, topic: str) -> None:
    """The child of a process that had connected says so, and ends; the parent goes on."""
    opened = OPEN.replace("TOPIC", repr(topic)).replace("NAME", "'before'")
    child = """
        from time import monotonic
        begun = monotonic()
        for use in (lambda: producer.send(b"child"), lambda: Fluvio.connect(ENDPOINT), client.close):
            try:
                use()
            except ForkedError as error:
                assert "fork" in str(error), error
            else:
                assert use == client.close
        assert monotonic() - begun < 5
        """
    parent = "producer.send(b'after'); slow.close(timeout=5)"
    host("init", "run", opened, "fork", "run", child, "finish", "parent", "run", parent, "finish")
    assert values(cluster, topic) == [b"before", b"after", b"before", b"before", b"before"]


def test_a_fork_where_an_earlier_interpreter_had_connected(host: Host) -> None:
    """The library knows it, this interpreter does not."""
    host.needs_rounds()
    child = """
        try:
            Fluvio.connect(ENDPOINT)
        except ForkedError as error:
            assert "connect only after the fork" in str(error), error
        else:
            raise AssertionError("connected")
        """
    connect = "from fluvio_cffi import *; Fluvio.connect(ENDPOINT).close()"
    earlier = ("init", "run", connect, "finish")
    host(*earlier, "init", "run", "from fluvio_cffi import *", "fork", "run", child, "parent", "run", connect, "finish")


def test_a_library_that_the_host_has(host: Host, cluster: LocalCluster, topic: str) -> None:
    """A handle of the program stands for what it is linked with, statically or not."""
    program = host.toolchain.compile(SOURCE, "-std=gnu11", after=(*host.options, "-Wl,--no-as-needed"))
    linked = object.__new__(Host)
    linked.__dict__.update(host.__dict__, program=program)
    code = TIDY.replace("TOPIC", repr(topic))
    where = "from fluvio_cffi._native import loader; print('dlopen' in repr(loader.lib) or loader.lib)"
    printed = linked("init", "handle", "run", code, "run", where, "finish")
    assert LIBRARY not in printed
    assert len(values(cluster, topic)) == 20


@pytest.mark.parametrize("given", ["'libfluvio_cffi.so'", "0", "True"])
def test_a_handle_that_is_none(given: str) -> None:
    code = f"import sys; sys.fluvio_cffi_library = {given}; import fluvio_cffi"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    wanted = f"ImportError: sys.fluvio_cffi_library is {given}: it must be a handle of dlopen, as a number\n"
    assert ended.stderr.endswith(wanted)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="interpreters with a GIL of their own came with Python 3.12")
def test_an_interpreter_with_its_own_gil() -> None:
    code = f"""
import sys
try:
    import _interpreters as interpreters
    made = interpreters.create("isolated")
except ImportError:
    import _xxsubinterpreters as interpreters
    made = interpreters.create(isolated=True)
interpreters.run_string(made, '''
import sys
sys.path[:] = {sys.path!r}
try:
    import fluvio_cffi
except ImportError as error:
    print(error)
''')
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert ended.stdout.startswith("fluvio_cffi cannot be imported in a sub-interpreter with a GIL of its own"), ended
