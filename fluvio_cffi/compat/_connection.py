"""A connected client, which lives as long as anything of it does, and says nothing when it is dropped unclosed."""

from __future__ import annotations

import fluvio_cffi
from fluvio_cffi import ClusterConfig, Consumer, Producer

from ._bridge import Bridge


class Connection:
    """A client, and where tasks wait for it."""

    __slots__ = ("bridge", "client")

    def __init__(self, client: fluvio_cffi.Fluvio) -> None:
        self.client = client
        self.bridge = Bridge(client)

    @classmethod
    def open(cls, config: ClusterConfig | None) -> Connection:
        """Connects.

        :param config: how; ``None``: as the current profile says.
        """
        return cls(fluvio_cffi.Fluvio.connect(config=config))

    def leave(self, left: fluvio_cffi.Fluvio | Producer | Consumer) -> None:
        """Gives something up that nobody holds any more, as a block does that is left by a generator's end: at once,
        and the library goes on with what was accepted for one second."""
        if not self.bridge.forked:
            left.__exit__(GeneratorExit, GeneratorExit(), None)

    def __del__(self) -> None:
        if hasattr(self, "bridge"):
            self.leave(self.client)
