"""What the tests of the old package's interface have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

import fluvio_cffi
from fluvio_cffi import ClusterConfig, LocalCluster, ProfileStore
from fluvio_cffi.compat import Fluvio, FluvioConfig

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run_on_loop(request: pytest.FixtureRequest) -> Run:
    """Runs a coroutine on a loop of its own."""
    if request.param == "asyncio":
        return asyncio.run
    run: Run = pytest.importorskip("uvloop").run
    return run


@pytest.fixture
def native(cluster: LocalCluster) -> Iterator[fluvio_cffi.Fluvio]:
    """A client of this library, to arrange and to look."""
    with fluvio_cffi.Fluvio.connect(cluster.endpoint) as client:
        yield client


@pytest.fixture
def old_config(cluster: LocalCluster) -> FluvioConfig:
    return FluvioConfig.new(cluster.endpoint)


@pytest.fixture
def old(old_config: FluvioConfig) -> Fluvio:
    """A client of the old package, which is never closed."""
    return Fluvio.connect_with_config(old_config)


@pytest.fixture
def old_topic(native: fluvio_cffi.Fluvio, request: pytest.FixtureRequest) -> str:
    """A new topic."""
    name = f"compat-{abs(hash(request.node.nodeid)) % 10**12}"
    native.admin.topics.create(name)
    return name


@pytest.fixture(scope="module")
def profile_file(cluster: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile file that names the cluster."""
    path = tmp_path_factory.mktemp("profile") / "config"
    ProfileStore(path).add("local", ClusterConfig(cluster.endpoint))
    return path
