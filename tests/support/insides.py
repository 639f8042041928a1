"""What the tests look at inside the package, by name. Those that are about an inside look there themselves:
pyproject.toml lists them."""

from __future__ import annotations

from typing import Any

from fluvio_cffi import LocalCluster


def spu_port(cluster: LocalCluster) -> int:
    """Where the first SPU of a cluster listens."""
    return cluster._spu_port


def session_of(client: Any) -> Any:
    """What the objects of a client share."""
    return client._session
