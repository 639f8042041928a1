"""Tests of the clients are written once, as coroutines that take the `world` fixture, and run everywhere: on asyncio,
uvloop, trio and, through :class:`Plain`, with the synchronous classes."""

from __future__ import annotations

import asyncio
import gc
import inspect
import itertools
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from insides import control

import fluvio_cffi
from fluvio_cffi import AsyncFluvio, Fluvio, LocalCluster, Offset

if TYPE_CHECKING:
    from pytest_fluvio_cffi import NamedCluster

# The first is not installed in a checkout; the others have the fixtures of the old interface and of the command line.
pytest_plugins = ["pytest_fluvio_cffi", "old_client", "cli_support"]

BACKENDS = ("asyncio", "uvloop", "trio", "sync")
AWAITED = {
    "send",
    "enqueue",
    "send_all",
    "send_arrow",
    "flush",
    "close",
    "aclose",
    "wait",
    "receive",
    "seek",
    "commit",
    "committed",
    "create",
    "get",
    "list",
    "delete",
    "add_partitions",
    "add_mirror",
    "reset",
    "status",
    "offsets",
    "ping",
    "join",
}
OURS = (
    fluvio_cffi.Fluvio,
    fluvio_cffi.Producer,
    fluvio_cffi.Consumer,
    fluvio_cffi.Receipt,
    fluvio_cffi.ArrowBatches,
    fluvio_cffi.ArrowConsumer,
    fluvio_cffi.Batches,
    fluvio_cffi.Events,
    fluvio_cffi.Admin,
    fluvio_cffi.ClusterAdmin,
    fluvio_cffi.ConsumerOffsets,
    fluvio_cffi.CustomSpus,
    fluvio_cffi.Groups,
    fluvio_cffi.Mirrors,
    fluvio_cffi.Partitions,
    fluvio_cffi.SmartModules,
    fluvio_cffi.SpuGroups,
    fluvio_cffi.Spus,
    fluvio_cffi.TableFormats,
    fluvio_cffi.Topics,
    fluvio_cffi.TopicsConsumer,
    fluvio_cffi.Tracker,
    fluvio_cffi.Watch,
)


class Plain:
    """A synchronous object that looks asynchronous; nothing of it ever suspends."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __getattr__(self, name: str) -> Any:
        target = self.target
        attribute = getattr(target, "close" if name == "aclose" else name)
        if not callable(attribute):
            return plain(attribute)
        if name in AWAITED:

            async def awaited(*args: Any, **keywords: Any) -> Any:
                return plain(attribute(*args, **keywords))

            return awaited
        if name in ("producer", "consumer"):
            return lambda *args, **keywords: PlainOpening(lambda: attribute(*args, **keywords))
        return lambda *args, **keywords: plain(attribute(*args, **keywords))

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "target":
            object.__setattr__(self, name, value)
        else:
            setattr(self.target, name, value)

    def __repr__(self) -> str:
        return repr(self.target)

    def __await__(self) -> Any:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        return self.target.wait()

    def __aiter__(self) -> Plain:
        return Plain(iter(self.target))

    async def __anext__(self) -> Any:
        try:
            return next(self.target)
        except StopIteration:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Any:
        self.target.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.target.__exit__(*error)


class PlainOpening:
    """What opens something synchronous when it is awaited or entered."""

    def __init__(self, open: Callable[[], Any]) -> None:
        self._open = open

    def __await__(self) -> Any:
        return self._now().__await__()

    async def _now(self) -> Any:
        return plain(self._open())

    async def __aenter__(self) -> Any:
        self._opened = self._open()
        self._opened.__enter__()
        return plain(self._opened)

    async def __aexit__(self, *error: Any) -> None:
        self._opened.__exit__(*error)


def plain(value: Any) -> Any:
    return Plain(value) if isinstance(value, OURS) else value


class World:
    """Where a test runs: a backend and a cluster."""

    def __init__(self, backend: str, cluster: Any) -> None:
        self.backend = backend
        self.cluster = cluster
        self._numbers = itertools.count(1)

    @property
    def is_sync(self) -> bool:
        return self.backend == "sync"

    def run(self, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        return run(self.backend, function, *args)

    def connect(self, endpoint: str | None = None, **keywords: Any) -> Any:
        endpoint = endpoint or self.cluster.endpoint
        if self.is_sync:
            return PlainOpening(lambda: Fluvio.connect(endpoint, **keywords))
        return AsyncFluvio.connect(endpoint, **keywords)

    def connect_with(self, **keywords: Any) -> Any:
        if self.is_sync:
            return PlainOpening(lambda: Fluvio.connect(**keywords))
        return AsyncFluvio.connect(**keywords)

    async def topic(self, client: Any, **spec: Any) -> str:
        """The name of a new topic."""
        name = f"t{next(self._numbers)}-{time.time_ns()}"
        await client.admin.topics.create(name, **spec)
        return name

    async def sleep(self, seconds: float) -> None:
        if self.is_sync:
            time.sleep(seconds)
        elif self.backend == "trio":
            import trio

            await trio.sleep(seconds)
        else:
            await asyncio.sleep(seconds)


async def read_all(client: Any, topic: str) -> list[bytes]:
    """The values of a topic, from its beginning to its end."""
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return [record.value async for record in consumer]


def run(backend: str, function: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Runs a coroutine function to its end on a backend."""
    if backend == "trio":
        import trio

        return trio.run(function, *args)
    if backend == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        return uvloop.run(function(*args))
    if backend == "asyncio":
        return asyncio.run(function(*args), debug=False)  # type: ignore[arg-type]
    coroutine: Any = function(*args)
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("a synchronous test suspended")


@pytest.fixture(scope="session")
def cluster(fluvio_cluster: LocalCluster | NamedCluster) -> LocalCluster:
    """A cluster that all tests share; they make topics of their own. It loses what a real one may lose."""
    if not isinstance(fluvio_cluster, LocalCluster):
        pytest.fail("this test needs an embedded cluster: --fluvio-endpoint is for those with the fixture `target`")
    control(fluvio_cluster, "lose-acks 5001 on")
    return fluvio_cluster


@pytest.fixture
def fluvio_client(cluster: LocalCluster) -> Iterator[Fluvio]:
    """As the plugin's, for one test: a client of the whole run would take the panics that are made for others."""
    with Fluvio.connect(cluster.endpoint) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_is_forgotten() -> Iterator[None]:
    """What is forgotten unclosed says so within the test that forgot it."""
    yield
    gc.collect()


@pytest.fixture
def world(backend: str, cluster: LocalCluster) -> World:
    return World(backend, cluster)


@pytest.fixture
def target(backend: str, fluvio_cluster: LocalCluster | NamedCluster) -> World:
    """Like `world`, but where ``--fluvio-endpoint`` says."""
    return World(backend, fluvio_cluster)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("backends")
        metafunc.parametrize("backend", marker.args if marker else BACKENDS)


def pytest_configure(config: pytest.Config) -> None:
    # How long an example takes is the machine's business; whole tests have a time limit.
    hypothesis.settings.register_profile("fluvio_cffi", deadline=None)
    hypothesis.settings.load_profile("fluvio_cffi")
    config.addinivalue_line("markers", "backends(*names): run the test on these only")
    config.addinivalue_line("markers", "long: has a long form (laws.has_long_form), which `make test-long` runs")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # As in a job in the background, where the programs that the tests start would not hear it either.
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name == "long":
            item.add_marker("long")


def pytest_collection_finish() -> None:
    """What is there before the first test is no test's: looking through it after each one took longer than most."""
    if hasattr(gc, "freeze"):
        gc.collect()
        gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    backend = pyfuncitem.funcargs["backend"]
    assert isinstance(backend, str)
    run(backend, lambda: pyfuncitem.obj(**arguments))
    return True


# A test that is skipped has found nothing out: any other reason than these fails the run.
ALLOWED_SKIPS = [
    "long: set FLUVIO_CFFI_LONG=1",
    "these are the files of a checkout, not of the wheel",
    # What only some systems and interpreters have.
    "is done on Linux only",
    "programs are linked with the library on Linux and macOS only",
    "the table is of 64-bit platforms",
    "knows the bytecode of CPython",
    "gevent is tried on CPython only",
    "codecs are tried on CPython only",
    "Arrow data is for CPython only",
    "FastAPI is tried on CPython only",
    "Django is tried on CPython only",
    "reads ELF files",
    "the hard limit is ",
    "no valgrind here",
    "one who watches is enough",
    "no zsh here",
    "no fish here",
    "this Python cannot be embedded",
    "PyInstaller cannot be installed",
    "the tarball for C: run make test-c-sdk",
    "no pkg-config here",
    "no cmake here",
    "interpreters with a GIL of their own came with Python 3.12",
]
if sys.implementation.name != "cpython":
    ALLOWED_SKIPS.append("could not import 'uvloop'")
if sys.version_info >= (3, 14) or sys.implementation.name != "cpython":
    ALLOWED_SKIPS.append("needs fluvio ")


def reasons(reporter: pytest.TerminalReporter) -> set[str]:
    """Why tests were skipped that should not have been."""
    skipped = [report.longrepr for report in reporter.stats.get("skipped", ())]
    told = {repr_[2].removeprefix("Skipped: ") for repr_ in skipped if isinstance(repr_, tuple)}
    return {reason for reason in told if not reason.startswith(tuple(ALLOWED_SKIPS))}


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and reasons(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for reason in sorted(reasons(terminalreporter)):
        terminalreporter.write_line(f"not a reason to skip (see ALLOWED_SKIPS in conftest.py): {reason}", red=True)
