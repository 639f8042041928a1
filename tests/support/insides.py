"""What the tests look at inside the package, by name. Those that are about an inside look there themselves:
pyproject.toml lists them."""

from __future__ import annotations

from typing import Any

from fluvio_cffi import LocalCluster


def spu_port(cluster: LocalCluster) -> int:
    """Where the first SPU of a cluster listens."""
    return cluster._spu_port


def control(cluster: LocalCluster, line: str) -> None:
    """Does to a cluster what a line says that `faults` has no method for: see rust-ffi/cluster/src/control.rs."""
    cluster._control(line)


def session_of(client: Any) -> Any:
    """What the objects of a client share."""
    return client._session
