"""The objects of a cluster, as administration shows them and takes them: frozen, comparable, picklable.

What the cluster keeps as a *spec* is what was asked for, a *status* is what became of it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Generic, Literal, TypeAlias, TypeVar

from ._check import choice, flag, instance, kind, number, several, shown, text, wrong_type, wrong_value
from ._document import from_document, named
from ._errors import ConfigError, ConfigTypeError
from ._ffi import Slice, copy_buffer, ffi, lib
from ._hub import raise_status
from ._options import contents
from ._types import Compression, Duration, Size, parse_duration, parse_size

ItemT = TypeVar("ItemT")

ChangeKind: TypeAlias = Literal["snapshot", "updated", "deleted"]
TopicResolution: TypeAlias = Literal[
    "init", "pending", "insufficient_resources", "invalid_config", "provisioned", "deleting"
]
PartitionResolution: TypeAlias = Literal[
    "offline", "online", "leader_offline", "election_leader_found", "out_of_storage"
]
SpuResolution: TypeAlias = Literal["online", "offline", "init"]
SpuKind: TypeAlias = Literal["managed", "custom"]
Encryption: TypeAlias = Literal["plaintext", "ssl"]
SpuGroupResolution: TypeAlias = Literal["init", "invalid", "reserved"]
TableFormatResolution: TypeAlias = Literal["init", "invalid", "running", "pending", "failed"]
Alignment: TypeAlias = Literal["left", "right", "center"]
Color: TypeAlias = Literal["blue", "yellow", "green"]
Visibility: TypeAlias = Literal["private", "public"]
PairingResolution: TypeAlias = Literal["waiting", "successful", "failed", "disabled", "unauthorized"]
ConnectionStatus: TypeAlias = Literal["offline", "online"]

_U16: Final = (1 << 16) - 1
_U32: Final = (1 << 32) - 1
_I32: Final = (1 << 31) - 1
_U64: Final = (1 << 64) - 1


# -- what a caller makes is checked


def _optional_text(value: object, name: str) -> str | None:
    return None if value is None else text(value, name, empty=True)


def _size(value: Size | None, name: str, most: int) -> int | None:
    if value is None:
        return None
    size = parse_size(value, name)
    if size > most:
        raise wrong_value(name, value, f"at most {most} bytes")
    return size


def _seconds(value: Duration | None, name: str) -> int | None:
    if value is None:
        return None
    seconds = parse_duration(value, name)
    if not 1 <= seconds <= _U32:
        raise wrong_value(name, value, "at least one second and at most 136 years")
    return int(seconds)


def _texts(value: Mapping[str, str], name: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise wrong_type(name, "a mapping of str to str", value)
    for key, item in value.items():
        text(key, f"a key of {name}")
        text(item, f"{name}[{shown(key)}]", empty=True)
    return dict(value)


def _set(instance: object, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(instance, name, value)


# -- topics


@dataclass(frozen=True, slots=True)
class PartitionAssignment:
    """Which SPUs hold a partition of a topic that is laid out by hand; the first is the preferred leader."""

    partition: int
    replicas: tuple[int, ...]

    def __post_init__(self) -> None:
        number(self.partition, "partition", 0, _U32)
        _set(self, replicas=several(self.replicas, "replicas", int))
        for spu in self.replicas:
            number(spu, "an SPU in replicas", 0, _I32)


@dataclass(frozen=True, slots=True, init=False)
class Deduplication:
    """How a topic drops records that were there already.

    :param smartmodule: the name of the SmartModule that finds the repeats.
    :param count: among how many of the last records, at least 1.
    :param age: and of how many seconds at most, or text such as ``"5m"``; ``None``: of any age.
    :param params: what the SmartModule is given besides.
    """

    smartmodule: str
    count: int
    age: float | None = field(metadata=named("age_ms", units=1000))
    params: Mapping[str, str] = field(hash=False)

    def __init__(
        self, smartmodule: str, *, count: int, age: Duration | None = None, params: Mapping[str, str] | None = None
    ) -> None:
        _set(
            self,
            smartmodule=text(smartmodule, "smartmodule"),
            count=number(count, "count", 1, _U64),
            age=None if age is None else parse_duration(age, "age"),
            params=_texts({} if params is None else params, "params"),
        )


@dataclass(frozen=True, slots=True)
class HomePartition:
    """A partition of a home cluster that mirrors one of a remote cluster.

    :param remote_cluster: the remote cluster's name.
    :param remote_replica: the mirrored partition there, as ``topic-partition``; ``None``, only when a topic is created:
        partition 0 of the topic of the same name.
    :param source: whether records go from here to the remote cluster, rather than from there to here; ``None``, only
        when a topic is created: as for the topic.
    """

    _tag: ClassVar[str] = "home"

    remote_cluster: str
    remote_replica: str | None = None
    source: bool | None = None

    def __post_init__(self) -> None:
        text(self.remote_cluster, "remote_cluster")
        if self.remote_replica is not None:
            text(self.remote_replica, "remote_replica")


@dataclass(frozen=True, slots=True)
class RemotePartition:
    """A partition of a remote cluster that mirrors one of its home cluster.

    :ivar home_cluster: the home cluster's id.
    :ivar home_spu_key: the key of the SPU that holds it there.
    :ivar home_spu_id: its id.
    :ivar home_spu_endpoint: its address.
    :ivar target: whether records come from the home cluster to here, rather than go there.
    """

    _tag: ClassVar[str] = "remote"

    home_cluster: str
    home_spu_key: str
    home_spu_id: int
    home_spu_endpoint: str
    target: bool = False


@dataclass(frozen=True, slots=True, init=False)
class HomeMirror:
    """What a topic of a home cluster mirrors: it has one partition for each remote cluster.

    :param partitions: what each partition mirrors; a ``str`` is the name of a remote cluster.
    :param source: whether records go from here to the remote clusters, rather than from there to here.
    """

    _tag: ClassVar[str] = "home"

    partitions: tuple[HomePartition, ...]
    source: bool

    def __init__(self, partitions: Sequence[HomePartition | str], *, source: bool = False) -> None:
        if isinstance(partitions, str):
            raise wrong_type("partitions", "several HomePartition or names", partitions)
        made = [HomePartition(item) if isinstance(item, str) else item for item in partitions]
        _set(self, partitions=several(made, "partitions", HomePartition), source=flag(source, "source"))


@dataclass(frozen=True, slots=True)
class HomeSpu:
    """An SPU of a home cluster, as a remote cluster knows it.

    :param id: its number there.
    :param key: its name there.
    :param endpoint: its ``host:port``.
    """

    id: int
    key: str
    endpoint: str

    def __post_init__(self) -> None:
        number(self.id, "id", 0, _I32)
        text(self.key, "key")
        text(self.endpoint, "endpoint")


@dataclass(frozen=True, slots=True)
class RemoteMirror:
    """What a topic of a remote cluster mirrors: it has one partition for each SPU of the home cluster that takes its
    records.

    :param home_cluster: the home cluster's name.
    :param home_spus: the SPUs there.
    :param target: whether records come from the home cluster to here, rather than go there.
    """

    _tag: ClassVar[str] = "remote"

    home_cluster: str
    home_spus: tuple[HomeSpu, ...]
    target: bool = False

    def __post_init__(self) -> None:
        text(self.home_cluster, "home_cluster")
        _set(self, home_spus=several(self.home_spus, "home_spus", HomeSpu), target=flag(self.target, "target"))


@dataclass(frozen=True, slots=True, init=False)
class TopicSpec:
    """What a topic is to be.

    :param partitions: how many partitions.
    :param replication: how many SPUs hold each.
    :param ignore_rack: whether replicas may share a rack.
    :param assignment: which SPUs hold which partition; then `partitions` and `replication` follow from it.
    :param mirror: it mirrors topics of other clusters; then its partitions follow from that.
    :param retention: how long records are kept, at least: seconds or text such as ``"7d"``; ``None``: the cluster's
        default. Kept as whole seconds.
    :param segment_size: bytes of one file of the log; ``None``: the cluster's default.
    :param max_partition_size: bytes of one partition, at most, about; ``None``: the cluster's default.
    :param compression: which codecs producers may use: ``"any"``, or the only one that is allowed.
    :param deduplication: how repeated records are dropped; ``None``: they are kept.
    :param system: whether it is one of the cluster's own.
    """

    partitions: int
    replication: int
    ignore_rack: bool
    assignment: tuple[PartitionAssignment, ...] | None
    mirror: HomeMirror | RemoteMirror | None
    retention: int | None = field(metadata=named("retention_seconds"))
    segment_size: int | None
    max_partition_size: int | None
    compression: Compression
    deduplication: Deduplication | None
    system: bool

    def __init__(
        self,
        partitions: int = 1,
        *,
        replication: int = 1,
        ignore_rack: bool = False,
        assignment: Sequence[PartitionAssignment] | None = None,
        mirror: HomeMirror | RemoteMirror | None = None,
        retention: Duration | None = None,
        segment_size: Size | None = None,
        max_partition_size: Size | None = None,
        compression: Compression = "any",
        deduplication: Deduplication | None = None,
        system: bool = False,
    ) -> None:
        number(partitions, "partitions", 1, _U32)
        number(replication, "replication", 1, _U32)
        choice(compression, "compression", ("any", "none", "gzip", "snappy", "lz4", "zstd"))
        if assignment is not None and mirror is not None:
            raise ConfigError("assignment and mirror are both given: a topic has one of them")
        if mirror is not None:
            instance(mirror, "mirror", HomeMirror, RemoteMirror)
        if deduplication is not None:
            instance(deduplication, "deduplication", Deduplication)
        _set(
            self,
            partitions=partitions,
            replication=replication,
            ignore_rack=flag(ignore_rack, "ignore_rack"),
            assignment=None if assignment is None else several(assignment, "assignment", PartitionAssignment),
            mirror=mirror,
            retention=_seconds(retention, "retention"),
            segment_size=_size(segment_size, "segment_size", _U32),
            max_partition_size=_size(max_partition_size, "max_partition_size", _U64),
            compression=compression,
            deduplication=deduplication,
            system=flag(system, "system"),
        )


@dataclass(frozen=True, slots=True)
class TopicStatus:
    """What became of a topic.

    :ivar resolution: ``"init"``, ``"pending"``, ``"insufficient_resources"``, ``"invalid_config"``,
        ``"provisioned"`` or ``"deleting"``.
    :ivar reason: why, in the cluster's words.
    :ivar replica_map: for each partition the SPUs that hold it.
    :ivar mirror_map: for each partition that mirrors one of another cluster, which.
    """

    resolution: TopicResolution
    reason: str = ""
    replica_map: Mapping[int, tuple[int, ...]] = field(default_factory=dict[int, "tuple[int, ...]"], hash=False)
    mirror_map: Mapping[int, HomePartition | RemotePartition] = field(
        default_factory=dict[int, "HomePartition | RemotePartition"], hash=False
    )


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the cluster."""

    name: str
    spec: TopicSpec
    status: TopicStatus


# -- partitions


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """How far one SPU is with a partition.

    :ivar spu: its id.
    :ivar high_watermark: the offset after the last record that is replicated; ``None``: not known.
    :ivar log_end: the offset after the last record of its log; ``None``: not known.
    """

    spu: int
    high_watermark: int | None
    log_end: int | None


@dataclass(frozen=True, slots=True)
class PartitionSpec:
    """How a partition is to be kept. What it has of its topic is described at :class:`TopicSpec`.

    :ivar leader: the id of the SPU that leads it.
    :ivar replicas: the ids of the SPUs that hold it.
    :ivar mirror: the partition of another cluster that it mirrors.
    """

    leader: int
    replicas: tuple[int, ...]
    mirror: HomePartition | RemotePartition | None
    retention: int | None = field(metadata=named("retention_seconds"))
    segment_size: int | None
    max_partition_size: int | None
    compression: Compression
    deduplication: Deduplication | None
    system: bool


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How a partition is.

    :ivar resolution: ``"online"``, ``"offline"``, ``"leader_offline"`` (no new leader could be found),
        ``"election_leader_found"`` or ``"out_of_storage"`` (it can be read, not written).
    :ivar leader: how far its leader is; ``None``: it has not said so yet.
    :ivar replicas: how far those of its followers are that are alive.
    :ivar live_replicas: the cluster's own count of them, which not every version keeps.
    :ivar size: bytes of the leader's log; ``None``: not known.
    :ivar base_offset: the first offset that the log still holds.
    :ivar is_being_deleted: whether it is about to go.

    What the SPUs say arrives up to a second late: for exact ends use a consumer.
    """

    resolution: PartitionResolution
    leader: ReplicaStatus | None
    replicas: tuple[ReplicaStatus, ...]
    live_replicas: int
    size: int | None
    base_offset: int
    is_being_deleted: bool


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition of a topic of the cluster."""

    topic: str
    partition: int
    spec: PartitionSpec
    status: PartitionStatus


# -- SPUs


@dataclass(frozen=True, slots=True)
class IngressAddress:
    """A host under which an SPU is reached: by name, or else by number."""

    hostname: str | None = None
    ip: str | None = None

    def __post_init__(self) -> None:
        for name in ("hostname", "ip"):
            if getattr(self, name) is not None:
                text(getattr(self, name), name)


@dataclass(frozen=True, slots=True)
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
        number(self.port, "port", 1, _U16)
        _set(self, ingress=several(self.ingress, "ingress", IngressAddress))
        if not self.ingress:
            raise ConfigError("ingress is empty: it must name the host of the public endpoint")
        choice(self.encryption, "encryption", ("plaintext", "ssl"))

    def __str__(self) -> str:
        first = self.ingress[0] if self.ingress else IngressAddress()
        return f"{first.hostname or first.ip or ''}:{self.port}"


@dataclass(frozen=True, slots=True)
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
        number(self.port, "port", 1, _U16)
        text(self.host, "host")
        choice(self.encryption, "encryption", ("plaintext", "ssl"))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _address(value: str, name: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= _U16:
        raise wrong_value(name, value, '"host:port"')
    return host, int(port)


def _endpoint(value: Endpoint | str, name: str) -> Endpoint:
    if isinstance(value, str):
        host, port = _address(value, name)
        return Endpoint(port, host)
    instance(value, name, Endpoint, str)
    return value


def _public_endpoint(value: PublicEndpoint | str, name: str) -> PublicEndpoint:
    if isinstance(value, str):
        host, port = _address(value, name)
        return PublicEndpoint(port, (IngressAddress(host),))
    instance(value, name, PublicEndpoint, str)
    return value


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class SpuStatus:
    """How an SPU is: ``"online"``, ``"offline"`` or ``"init"`` (it was never seen)."""

    resolution: SpuResolution


@dataclass(frozen=True, slots=True)
class Spu:
    """A server of the cluster: a streaming processing unit, which holds partitions."""

    name: str
    spec: SpuSpec
    status: SpuStatus


@dataclass(frozen=True, slots=True, init=False)
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
        _set(
            self,
            id=number(id, "id", 0, _I32),
            public_endpoint=_public_endpoint(public_endpoint, "public_endpoint"),
            private_endpoint=_endpoint(private_endpoint, "private_endpoint"),
            public_endpoint_local=None if local is None else _endpoint(local, "public_endpoint_local"),
            rack=_optional_text(rack, "rack"),
        )


@dataclass(frozen=True, slots=True)
class SpuGroupSpec:
    """SPUs of one kind, which a cluster on Kubernetes starts by itself.

    :param replicas: how many SPUs.
    :param min_id: the number of the first one.
    :param rack: the rack they stand in.
    :param in_sync_replica_min: how many replicas must have a record before it counts as committed.
    :param log_dir: where each keeps its logs.
    :param storage_size: how much room each has for them, such as ``"10Gi"``.
    :param env: their environment variables.
    """

    replicas: int = 1
    min_id: int = field(default=0, kw_only=True)
    rack: str | None = field(default=None, kw_only=True)
    in_sync_replica_min: int | None = field(default=None, kw_only=True)
    log_dir: str | None = field(default=None, kw_only=True)
    storage_size: str | None = field(default=None, kw_only=True)
    env: Mapping[str, str] = field(default_factory=dict[str, str], kw_only=True, hash=False)

    def __post_init__(self) -> None:
        number(self.replicas, "replicas", 1, _U16)
        number(self.min_id, "min_id", 0, _I32)
        if self.in_sync_replica_min is not None:
            number(self.in_sync_replica_min, "in_sync_replica_min", 1, _U16)
        for name in ("rack", "log_dir", "storage_size"):
            _optional_text(getattr(self, name), name)
        _set(self, env=_texts(self.env, "env"))


@dataclass(frozen=True, slots=True)
class SpuGroupStatus:
    """What became of a group: ``"init"``, ``"invalid"`` (`reason` says why) or ``"reserved"``."""

    resolution: SpuGroupResolution
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SpuGroup:
    """A group of SPUs."""

    name: str
    spec: SpuGroupSpec
    status: SpuGroupStatus


# -- SmartModules


@dataclass(frozen=True, slots=True)
class SmartModulePackage:
    """What a SmartModule is called where SmartModules are shared. A cluster stores it as ``name-group-version``.

    :param name: its name.
    :param group: whose it is.
    :param version: its version, such as ``"0.1.0"``.
    :param api_version: the version of the SmartModule interface that it was built for.
    """

    name: str
    group: str = field(kw_only=True)
    version: str = field(default="0.1.0", kw_only=True)
    api_version: str = field(default="0.1.0", kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    license: str | None = field(default=None, kw_only=True)
    repository: str | None = field(default=None, kw_only=True)
    visibility: Visibility = field(default="private", kw_only=True)

    def __post_init__(self) -> None:
        for name in ("name", "group", "version", "api_version"):
            text(getattr(self, name), name)
        for name in ("description", "license", "repository"):
            _optional_text(getattr(self, name), name)
        choice(self.visibility, "visibility", ("private", "public"))


@dataclass(frozen=True, slots=True)
class SmartModuleParam:
    """A parameter that a SmartModule takes."""

    description: str | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        _optional_text(self.description, "description")
        _set(self, optional=flag(self.optional, "optional"))


@dataclass(frozen=True, slots=True)
class SmartModuleSpec:
    """What a SmartModule says about itself.

    :param package: what it is called where SmartModules are shared.
    :param params: the parameters that it takes, by their names; only with a `package`.
    """

    package: SmartModulePackage | None = None
    params: Mapping[str, SmartModuleParam] = field(default_factory=dict[str, SmartModuleParam], hash=False)

    def __post_init__(self) -> None:
        if self.package is not None:
            instance(self.package, "package", SmartModulePackage)
        if not isinstance(self.params, Mapping):
            raise wrong_type("params", "a mapping of str to SmartModuleParam", self.params)
        for name, param in self.params.items():
            text(name, "a key of params")
            instance(param, f"params[{shown(name)}]", SmartModuleParam)
        if self.params and self.package is None:
            raise ConfigError("params are given without a package: only a package can have them")
        _set(self, params=dict(self.params))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> SmartModuleSpec:
        """What a ``SmartModule.toml`` says, the file that ``smdk`` puts beside the source of a SmartModule.

        It is read at once. Keys that are not of a package or its parameters are passed over.

        :param path: where the file is.
        :raises ConfigError: the file cannot be read, or is no ``SmartModule.toml``.
        """
        text = contents(path)
        toml, buffer, error = Slice(text), ffi.new("flv_buffer_t **"), ffi.new("flv_error_t **")
        try:
            raise_status(lib.flv_smartmodule_spec(toml.value, buffer, error), error)
        except ConfigError as cause:
            raise ConfigError(f"path is {str(path)!r}: {cause}") from cause
        answer = ffi.gc(buffer[0], lib.flv_buffer_free)
        return from_document(cls, json.loads(copy_buffer(answer)))


@dataclass(frozen=True, slots=True)
class SmartModuleInfo:
    """A SmartModule of the cluster.

    :ivar name: as what it is stored.
    :ivar spec: what it says about itself.
    :ivar wasm_size: bytes of its code as it is stored, usually compressed.
    :ivar wasm: its code; ``None``: it was not asked for.
    """

    name: str
    spec: SmartModuleSpec
    wasm_size: int
    wasm: bytes | None = field(default=None, repr=False)


# -- table formats


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table format.

    :param key_path: which field of a record it shows.
    :param header_label: what stands above it; ``None``: the key path.
    :param width: how wide it is.
    :param alignment: ``"left"``, ``"right"`` or ``"center"``.
    :param format: how values are written.
    :param display: whether it is shown.
    :param primary_key: whether it tells rows apart.
    :param header_text_color: ``"blue"``, ``"yellow"`` or ``"green"``.
    :param header_bg_color: the same, behind it.
    """

    key_path: str
    header_label: str | None = field(default=None, kw_only=True)
    width: str | None = field(default=None, kw_only=True)
    alignment: Alignment | None = field(default=None, kw_only=True)
    format: str | None = field(default=None, kw_only=True)
    display: bool | None = field(default=None, kw_only=True)
    primary_key: bool | None = field(default=None, kw_only=True)
    header_text_color: Color | None = field(default=None, kw_only=True)
    header_bg_color: Color | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        text(self.key_path, "key_path")
        for name in ("header_label", "width", "format"):
            _optional_text(getattr(self, name), name)
        if self.alignment is not None:
            choice(self.alignment, "alignment", ("left", "right", "center"))
        for name in ("header_text_color", "header_bg_color"):
            if getattr(self, name) is not None:
                choice(getattr(self, name), name, ("blue", "yellow", "green"))


@dataclass(frozen=True, slots=True)
class TableFormatSpec:
    """How records are shown as a table.

    :param columns: its columns.
    :param input_format: what records are: ``"json"``.
    :param smartmodule: the name of a SmartModule that they pass through before.
    """

    columns: tuple[TableColumn, ...] | None = None
    input_format: Literal["json"] | None = field(default=None, kw_only=True)
    smartmodule: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.columns is not None:
            _set(self, columns=several(self.columns, "columns", TableColumn))
        if self.input_format is not None:
            choice(self.input_format, "input_format", ("json",))
        _optional_text(self.smartmodule, "smartmodule")


@dataclass(frozen=True, slots=True)
class TableFormatStatus:
    """What became of a table format."""

    resolution: TableFormatResolution
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A table format of the cluster."""

    name: str
    spec: TableFormatSpec
    status: TableFormatStatus


# -- mirrors


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class RemoteCluster:
    """A cluster that sends its records here.

    :param id: what it calls itself; ``None``, only when it is registered: as the mirror is called.
    """

    _tag: ClassVar[str] = "remote"

    id: str | None = None

    def __post_init__(self) -> None:
        if self.id is not None:
            text(self.id, "id")


@dataclass(frozen=True, slots=True)
class HomeCluster:
    """The cluster to which this one sends its records.

    :param remote_id: what this one is called there.
    :param public_endpoint: ``"host:port"`` of its SC.
    :param client_tls: how this one proves itself there.
    :param id: its name; ``None``, only when it is registered: as the mirror is called.
    """

    _tag: ClassVar[str] = "home"

    remote_id: str
    public_endpoint: str
    client_tls: MirrorTls | None = field(default=None, kw_only=True)
    id: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        text(self.remote_id, "remote_id")
        _address(text(self.public_endpoint, "public_endpoint"), "public_endpoint")
        if self.client_tls is not None:
            instance(self.client_tls, "client_tls", MirrorTls)
        if self.id is not None:
            text(self.id, "id")


@dataclass(frozen=True, slots=True)
class Pairing:
    """How far two clusters have come to know each other.

    :ivar resolution: ``"waiting"``, ``"successful"``, ``"failed"``, ``"disabled"`` or ``"unauthorized"``.
    :ivar reason: why it failed.
    """

    resolution: PairingResolution
    reason: str | None = None


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Mirror:
    """Another cluster that this one mirrors, or is mirrored by."""

    name: str
    spec: RemoteCluster | HomeCluster
    status: MirrorStatus


# -- stored offsets


@dataclass(frozen=True, slots=True)
class ConsumerOffset:
    """How far a consumer has come in a partition.

    :ivar consumer_id: the consumer's id.
    :ivar topic: the topic's name.
    :ivar partition: the partition's number.
    :ivar offset: the offset of the record that was processed last, after which reading goes on; -1: at the very
        beginning; ``None``: nothing is stored of this partition.
    :ivar modified: when it was stored, milliseconds since the epoch, exact to the second; ``None``: nothing is.
    :ivar lag: how many records follow it in the log; where nothing is stored, how many there are. ``None``: the
        partition's leader does not answer.
    """

    consumer_id: str
    topic: str
    partition: int
    offset: int | None
    modified: int | None = field(metadata=named("modified_ms"))
    lag: int | None


# -- the cluster


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """How the cluster is.

    :ivar endpoint: ``host:port`` of its SC.
    :ivar platform_version: its version.
    :ivar spus: its SPUs, by name.
    :ivar spus_online: how many of them are online.
    :ivar topics: how many topics it has, its own included.
    :ivar partitions: how many partitions they have.
    :ivar size: bytes of all leaders' logs, as far as they are known.
    :ivar offline_partitions: those that cannot be used.
    :ivar under_replicated_partitions: those of which a replica's SPU is not online, or is behind the high watermark.
    """

    endpoint: str
    platform_version: str
    spus: tuple[Spu, ...]
    spus_online: int
    topics: int
    partitions: int
    size: int
    offline_partitions: tuple[Partition, ...]
    under_replicated_partitions: tuple[Partition, ...]


# -- what a watch tells


@dataclass(frozen=True, slots=True)
class Change(Generic[ItemT]):
    """What a watch tells.

    :ivar kind: ``"snapshot"``: these are all that there are; ``"updated"``: these are new or have changed;
        ``"deleted"``: these are gone, as they were last.
    :ivar items: the objects.
    """

    kind: ChangeKind
    items: tuple[ItemT, ...]
