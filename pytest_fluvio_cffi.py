"""Fixtures for pytest: a Fluvio cluster, topics, clients. Installed with ``fluvio_cffi``, there is nothing to set up.

All fixtures are synchronous, so that none belongs to an event loop: they work alike under anyio, pytest-asyncio,
pytest-trio, ``unittest`` and in plain tests. Nothing is loaded or started before a test asks for the first of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest

if TYPE_CHECKING:
    from fluvio_cffi import AsyncFluvio, Fluvio, LocalCluster, Opening, Tls

__all__ = ["NamedCluster"]

_ENDPOINT = "FLUVIO_CFFI_ENDPOINT"
_NAME_LENGTH = 40  # of what the test gives to the name of a topic, which has 63 characters at most
_CONNECT_SECONDS = 10.0
_DELETE_SECONDS = 10.0


class NamedCluster(NamedTuple):
    """What ``fluvio_cluster`` gives where ``--fluvio-endpoint`` names a cluster.

    :ivar endpoint: its address, for ``connect``.
    :ivar tls: how to connect to it.
    """

    endpoint: str
    tls: Tls


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("fluvio_cffi").addoption(
        "--fluvio-endpoint",
        metavar="HOST:PORT",
        help=f"use the Fluvio cluster there instead of an embedded one (default: ${_ENDPOINT})",
    )


def pytest_configure(config: pytest.Config) -> None:
    for line in (
        "fluvio_topic(**spec): what the topic of the fixture fluvio_topic is to be, such as partitions=3",
        "fluvio_own_cluster(**arguments): arguments for the LocalCluster of the fixture of that name, such as spus=2",
    ):
        config.addinivalue_line("markers", line)


def _endpoint(config: pytest.Config) -> str | None:
    """The address of somebody else's cluster, if the run is to use one."""
    endpoint: str | None = config.getoption("fluvio_endpoint") or os.environ.get(_ENDPOINT)
    return endpoint or None


def pytest_report_header(config: pytest.Config) -> str | None:
    endpoint = _endpoint(config)
    return f"fluvio: the cluster at {endpoint}, not an embedded one" if endpoint else None


def _give_up(request: pytest.FixtureRequest, reason: str) -> NoReturn:
    """Without a cluster each test would fail in the same way: one of them says so, and the run ends."""
    request.session.shouldfail = reason
    pytest.fail(reason, pytrace=False)


def _named(endpoint: str) -> NamedCluster:
    """Somebody else's cluster, if it is there."""
    from fluvio_cffi import Fluvio, Tls

    Fluvio.connect(endpoint, tls=Tls.disabled(), timeout=_CONNECT_SECONDS).close()
    return NamedCluster(endpoint, Tls.disabled())


@pytest.fixture(scope="session")
def fluvio_cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster | NamedCluster]:
    """The cluster of the run: a ``LocalCluster``, or what ``--fluvio-endpoint`` or ``FLUVIO_CFFI_ENDPOINT`` names, with
    ``endpoint`` and ``tls`` alone. Under xdist each worker has one of its own."""
    from fluvio_cffi import FluvioError, LocalCluster

    endpoint = _endpoint(request.config)
    cluster, failure = None, ""
    try:
        cluster = _named(endpoint) if endpoint else LocalCluster().start()
    except FluvioError as error:
        failure = f"no Fluvio cluster for the tests: {type(error).__name__}: {error}"
    if cluster is None:
        _give_up(request, failure)
    yield cluster
    if isinstance(cluster, LocalCluster):
        cluster.stop()


@pytest.fixture(scope="session")
def fluvio_endpoint(fluvio_cluster: LocalCluster | NamedCluster) -> str:
    """The address of the cluster, for ``connect``."""
    return fluvio_cluster.endpoint


@pytest.fixture(scope="session")
def fluvio_client(fluvio_cluster: LocalCluster | NamedCluster) -> Iterator[Fluvio]:
    """A client for threads, to arrange and to look at things with; tests of event loops may use it, too."""
    from fluvio_cffi import Fluvio

    with Fluvio.connect(fluvio_cluster.endpoint, tls=fluvio_cluster.tls) as client:
        yield client


def _check_running(request: pytest.FixtureRequest, cluster: LocalCluster | NamedCluster) -> None:
    """Without the shared cluster each later test would wait until its time is over."""
    from fluvio_cffi import LocalCluster

    if isinstance(cluster, LocalCluster) and not cluster.running:
        _give_up(request, "a test ended the shared cluster; use fluvio_own_cluster")


def _delete(client: Fluvio, topics: list[str]) -> None:
    """All that can be deleted; the first error is raised at the end."""
    from fluvio_cffi import FluvioError

    first: FluvioError | None = None
    for name in topics:
        try:
            client.admin.topics.delete(name, missing_ok=True, timeout=_DELETE_SECONDS)
        except FluvioError as error:
            first = first or error
    if first is not None:
        raise first


@pytest.fixture
def fluvio_topics(
    request: pytest.FixtureRequest, fluvio_cluster: LocalCluster | NamedCluster, fluvio_client: Fluvio
) -> Iterator[Callable[..., str]]:
    """Creates topics, and returns their names: ``fluvio_topics(partitions=3)``. It takes what ``admin.topics.create``
    takes; without a name it makes one from the test's. They are deleted after the test."""
    created: list[str] = []
    stem = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:_NAME_LENGTH].strip("-") or "test"

    def create(name: str | None = None, **spec: Any) -> str:
        name = name or f"{stem}-{os.urandom(6).hex()}"
        fluvio_client.admin.topics.create(name, **spec)
        created.append(name)
        return name

    _check_running(request, fluvio_cluster)
    yield create
    _check_running(request, fluvio_cluster)
    _delete(fluvio_client, created)


@pytest.fixture
def fluvio_topic(request: pytest.FixtureRequest, fluvio_topics: Callable[..., str]) -> str:
    """The name of a new topic, which is deleted after the test. ``@pytest.mark.fluvio_topic(partitions=3)`` says what
    it is to be."""
    marker = request.node.get_closest_marker("fluvio_topic")
    return fluvio_topics(*marker.args, **marker.kwargs) if marker else fluvio_topics()


@pytest.fixture
def fluvio_connect(fluvio_cluster: LocalCluster | NamedCluster) -> Callable[..., Opening[AsyncFluvio]]:
    """Connects in whatever event loop the test has: ``async with fluvio_connect() as client``. It takes what
    ``AsyncFluvio.connect`` takes."""
    from fluvio_cffi import AsyncFluvio

    def connect(**arguments: Any) -> Opening[AsyncFluvio]:
        arguments.setdefault("tls", fluvio_cluster.tls)
        return AsyncFluvio.connect(fluvio_cluster.endpoint, **arguments)

    return connect


@pytest.fixture
def fluvio_own_cluster(request: pytest.FixtureRequest) -> Iterator[LocalCluster]:
    """An embedded cluster that only this test has: to kill, and to break with ``faults``.
    ``@pytest.mark.fluvio_own_cluster(spus=3)`` gives ``LocalCluster`` its arguments."""
    from fluvio_cffi import LocalCluster

    marker = request.node.get_closest_marker("fluvio_own_cluster")
    with LocalCluster(*marker.args, **marker.kwargs) if marker else LocalCluster() as cluster:
        yield cluster
