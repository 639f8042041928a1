"""`fluvio_cffi.testing`: how long a test waits for a commit, and what it is told then."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import World

from fluvio_cffi import ConfigError, ConfigTypeError, Fluvio, FluvioTimeoutError, LocalCluster
from fluvio_cffi.testing import await_until_committed, wait_until_committed

pytestmark = pytest.mark.timeout(60)


def test_a_cluster_that_is_away_is_the_cause() -> None:
    said = r"within 0\.5 s: stored is nothing; the last attempt: "
    with (
        LocalCluster() as cluster,
        Fluvio.connect(cluster.endpoint) as client,
        cluster.faults.kill_controller(),
        pytest.raises(FluvioTimeoutError, match=said) as raised,
    ):
        wait_until_committed(client, "it", "t", {0: 0}, timeout=0.5)
    assert isinstance(raised.value.__cause__, FluvioTimeoutError)


WRONG: list[tuple[Any, Any, type[ConfigError], str]] = [
    ([0], 5, ConfigTypeError, "offsets must be a mapping of partitions to offsets, such as {0: 41}, not a list"),
    ({}, 5, ConfigError, "offsets is empty: it must have at least one partition, such as {0: 41}"),
    ({"0": 1}, 5, ConfigTypeError, "a partition in offsets must be an int, not '0'"),
    ({0: None}, 5, ConfigTypeError, "offsets[0] must be an int, not None"),
    ({0: -1}, 5, ConfigError, "offsets[0] is -1: it must be from 0 to 9223372036854775807"),
    ({0: 1}, float("nan"), ConfigError, "timeout is nan: it must be a finite number of seconds, not negative"),
]


@pytest.mark.parametrize(("offsets", "timeout", "error", "said"), WRONG, ids=lambda value: str(value)[:40])
async def test_wrong_arguments(world: World, offsets: Any, timeout: Any, error: type[ConfigError], said: str) -> None:
    with Fluvio.connect(world.cluster.endpoint) as client, pytest.raises(error) as raised:
        wait_until_committed(client, "it", "t", offsets, timeout)
    assert str(raised.value) == said
    async with world.connect() as own:
        with pytest.raises(error) as raised:
            await await_until_committed(own, "it", "t", offsets, timeout)
    assert str(raised.value) == said
