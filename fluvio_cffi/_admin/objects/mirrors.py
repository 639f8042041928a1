"""Mirrors: the other clusters that a cluster exchanges records with."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from fluvio_cffi._admin.checks import address
from fluvio_cffi._admin.document import named, tagged
from fluvio_cffi._admin.value import value
from fluvio_cffi._errors import ConfigTypeError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import instance, kind, text

PairingResolution: TypeAlias = Literal["waiting", "successful", "failed", "disabled", "unauthorized"]
ConnectionStatus: TypeAlias = Literal["offline", "online"]


@value()
class MirrorTls:
    """How a remote cluster proves itself to its home cluster: PEM texts."""

    domain: str
    ca_cert: str = field(repr=False)
    client_cert: str = field(repr=False)
    client_key: str = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("domain", "ca_cert", "client_cert", "client_key"):
            # Not shown: it may be a key in the wrong place.
            if not isinstance(getattr(self, name), str):
                raise ConfigTypeError(f"{name} must be a str, not {kind(getattr(self, name))}")


@tagged("remote")
@value()
class RemoteCluster:
    """A cluster that sends its records here.

    :param id: what it calls itself; ``None``, only when it is registered: as the mirror is called.
    """

    id: str | None = None

    def __post_init__(self) -> None:
        if self.id is not None:
            text(self.id, "id")


@tagged("home")
@value()
class HomeCluster:
    """The cluster to which this one sends its records.

    :param remote_id: what this one is called there.
    :param public_endpoint: ``"host:port"`` of its SC.
    :param client_tls: how this one proves itself there.
    :param id: its name; ``None``, only when it is registered: as the mirror is called.
    """

    remote_id: str
    public_endpoint: str
    client_tls: MirrorTls | None = field(default=None, kw_only=True)
    id: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        text(self.remote_id, "remote_id")
        address(text(self.public_endpoint, "public_endpoint"), "public_endpoint")
        if self.client_tls is not None:
            instance(self.client_tls, "client_tls", MirrorTls)
        if self.id is not None:
            text(self.id, "id")


@value()
class Pairing:
    """How far two clusters have come to know each other.

    :ivar resolution: ``"waiting"``, ``"successful"``, ``"failed"``, ``"disabled"`` or ``"unauthorized"``.
    :ivar reason: why it failed.
    """

    resolution: PairingResolution
    reason: str | None = None


@value()
class MirrorStatus:
    """How the link to another cluster is.

    :ivar connection: ``"online"`` or ``"offline"``.
    :ivar pairing_sc: how far the SCs have come.
    :ivar pairing_spu: how far the SPUs have come.
    :ivar last_seen: when the other cluster was heard of last, milliseconds since the epoch; ``None``: never.
    """

    connection: ConnectionStatus
    pairing_sc: Pairing
    pairing_spu: Pairing
    last_seen: int | None = field(metadata=named("last_seen_ms"))


@value()
class Mirror:
    """Another cluster that this one mirrors, or is mirrored by."""

    name: str
    spec: RemoteCluster | HomeCluster
    status: MirrorStatus


publish(__name__)
