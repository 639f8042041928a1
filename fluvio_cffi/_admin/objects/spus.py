"""SPUs: the servers that hold partitions."""

from __future__ import annotations

from typing import Literal, TypeAlias

from fluvio_cffi._admin.checks import I32, U16, address, assign, optional_text
from fluvio_cffi._admin.value import value
from fluvio_cffi._errors import ConfigError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import choice, instance, number, several, text

SpuResolution: TypeAlias = Literal["online", "offline", "init"]
SpuKind: TypeAlias = Literal["managed", "custom"]
Encryption: TypeAlias = Literal["plaintext", "ssl"]


@value()
class IngressAddress:
    """A host under which an SPU is reached: by name, or else by number."""

    hostname: str | None = None
    ip: str | None = None

    def __post_init__(self) -> None:
        for name in ("hostname", "ip"):
            if getattr(self, name) is not None:
                text(getattr(self, name), name)


@value()
class PublicEndpoint:
    """Where clients reach an SPU.

    :param port: from 1 to 65535.
    :param ingress: the hosts; the first one counts.
    :param encryption: ``"plaintext"`` or ``"ssl"``.
    """

    port: int
    ingress: tuple[IngressAddress, ...]
    encryption: Encryption = "plaintext"

    def __post_init__(self) -> None:
        number(self.port, "port", 1, U16)
        assign(self, ingress=several(self.ingress, "ingress", IngressAddress))
        if not self.ingress:
            raise ConfigError("ingress is empty: it must name the host of the public endpoint")
        choice(self.encryption, "encryption", ("plaintext", "ssl"))

    def __str__(self) -> str:
        first = self.ingress[0] if self.ingress else IngressAddress()
        return f"{first.hostname or first.ip or ''}:{self.port}"


@value()
class Endpoint:
    """Where other servers, or clients inside of its network, reach an SPU.

    :param port: from 1 to 65535.
    :param host: a name or a number.
    :param encryption: ``"plaintext"`` or ``"ssl"``.
    """

    port: int
    host: str
    encryption: Encryption = "plaintext"

    def __post_init__(self) -> None:
        number(self.port, "port", 1, U16)
        text(self.host, "host")
        choice(self.encryption, "encryption", ("plaintext", "ssl"))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _endpoint(value: Endpoint | str, name: str) -> Endpoint:
    if isinstance(value, str):
        host, port = address(value, name)
        return Endpoint(port, host)
    instance(value, name, Endpoint, str)
    return value


def _public_endpoint(value: PublicEndpoint | str, name: str) -> PublicEndpoint:
    if isinstance(value, str):
        host, port = address(value, name)
        return PublicEndpoint(port, (IngressAddress(host),))
    instance(value, name, PublicEndpoint, str)
    return value


@value()
class SpuSpec:
    """What an SPU is configured to be.

    :ivar id: its number.
    :ivar kind: ``"managed"``: the cluster runs it; ``"custom"``: it was registered.
    :ivar public_endpoint: where clients reach it.
    :ivar private_endpoint: where other SPUs reach it.
    :ivar public_endpoint_local: where clients reach it that use local addresses.
    :ivar rack: where it stands.
    """

    id: int
    kind: SpuKind
    public_endpoint: PublicEndpoint
    private_endpoint: Endpoint
    public_endpoint_local: Endpoint | None
    rack: str | None


@value()
class SpuStatus:
    """How an SPU is: ``"online"``, ``"offline"`` or ``"init"`` (it was never seen)."""

    resolution: SpuResolution


@value()
class Spu:
    """A server of the cluster: a streaming processing unit, which holds partitions."""

    name: str
    spec: SpuSpec
    status: SpuStatus


@value(init=False)
class CustomSpuSpec:
    """An SPU that the cluster does not run by itself and that is registered therefore.

    :param id: its number, which no other SPU has.
    :param public_endpoint: where clients reach it; a ``str`` is ``"host:port"``, without encryption.
    :param private_endpoint: where other SPUs reach it; a ``str`` as well.
    :param public_endpoint_local: where clients reach it that use local addresses; a ``str`` as well.
    :param rack: where it stands.
    """

    id: int
    public_endpoint: PublicEndpoint
    private_endpoint: Endpoint
    public_endpoint_local: Endpoint | None
    rack: str | None

    def __init__(
        self,
        id: int,
        *,
        public_endpoint: PublicEndpoint | str,
        private_endpoint: Endpoint | str,
        public_endpoint_local: Endpoint | str | None = None,
        rack: str | None = None,
    ) -> None:
        local = public_endpoint_local
        assign(
            self,
            id=number(id, "id", 0, I32),
            public_endpoint=_public_endpoint(public_endpoint, "public_endpoint"),
            private_endpoint=_endpoint(private_endpoint, "private_endpoint"),
            public_endpoint_local=None if local is None else _endpoint(local, "public_endpoint_local"),
            rack=optional_text(rack, "rack"),
        )


publish(__name__)
