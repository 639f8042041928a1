"""A connected client, which lives as long as anything of it does."""

from __future__ import annotations

import fluvio_cffi
from fluvio_cffi import ClusterConfig

from ._bridge import Bridge, excuse


class Connection:
    """A client, and where tasks wait for it. It need not be closed, nor what is opened with it: whatever nobody refers
    to any more is closed by the library, which goes on for one second with what was accepted."""

    __slots__ = ("bridge", "client")

    def __init__(self, client: fluvio_cffi.Fluvio) -> None:
        self.client: fluvio_cffi.Fluvio = client
        self.bridge: Bridge = Bridge(client)
        excuse(client)

    @classmethod
    def open(cls, config: ClusterConfig) -> Connection:
        """Connects."""
        return cls(fluvio_cffi.Fluvio.connect(config=config))
