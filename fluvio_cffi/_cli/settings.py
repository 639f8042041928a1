"""What the options before a command say: which cluster, and how to write."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import IO

from fluvio_cffi import ConfigError, Fluvio, ProfileStore, Tls

LOCAL = "127.0.0.1:9003"


class Failure(Exception):
    """Something that a command could not do, in words for whoever called it."""


@dataclass
class Settings:
    """The options of the program itself.

    :ivar program: how it was called.
    :ivar cluster: ``host:port`` of the cluster's SC.
    :ivar output: ``"table"``, ``"json"`` or ``"yaml"``.
    """

    program: str
    cluster: str | None = None
    profile: str | None = None
    tls: bool = False
    client_cert: str | None = None
    client_key: str | None = None
    ca_cert: str | None = None
    domain: str | None = None
    output: str = "table"

    @property
    def name(self) -> str:
        """What stands before an error."""
        return "fluvio_cffi" if " " in self.program else self.program

    @property
    def endpoint(self) -> str | None:
        """The cluster's address; ``None``: the profile has it. Where there is no file of profiles, it is the address
        of an embedded cluster."""
        if self.cluster is None and self.profile is None and "FLV_PROFILE_PATH" not in os.environ:
            return None if ProfileStore().path.exists() else LOCAL
        return self.cluster

    def policy(self) -> Tls | None:
        """How connections are protected; ``None``: as the profile says."""
        if not self.tls:
            if self.ca_cert or self.client_cert or self.client_key or self.domain:
                raise ConfigError("certificates are given without --tls: they belong together")
            return None
        if not (self.ca_cert or self.client_cert or self.client_key or self.domain):
            return Tls.anonymous()
        return Tls.verified(self.ca_cert, domain=self.domain, cert=self.client_cert, key=self.client_key)

    def connect(self, timeout: float = 10.0, *, wait: bool | None = None) -> Fluvio:
        """A client of the cluster."""
        return Fluvio.connect(
            self.endpoint,
            profile=self.profile,
            tls=self.policy(),
            client_id=os.environ.get("FLUVIO_CLIENT_ID", "flv"),
            timeout=timeout,
            wait=wait,
        )


def colours(stream: IO[str]) -> bool:
    """Whether what is written there may have colours: https://no-color.org."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def note(text: str) -> None:
    """Say something that belongs to no output."""
    print(text, file=sys.stderr, flush=True)
