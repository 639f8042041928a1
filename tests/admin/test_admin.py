"""Administration: each verb of each kind of objects, against a cluster of its own."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import World
from insides import spu_port
from proxy import Proxy
from smartmodule_support import MODULES

from fluvio_cffi import (
    AlreadyExistsError,
    ClusterConfig,
    ConfigError,
    ConsumerOffsetNotFoundError,
    CustomSpuSpec,
    Deduplication,
    FluvioError,
    FluvioTimeoutError,
    HomeCluster,
    HomeMirror,
    HomePartition,
    InvalidTopicError,
    LocalCluster,
    MirrorNotFoundError,
    MirrorTls,
    Offset,
    OffsetOutOfRangeError,
    PartitionAssignment,
    PartitionNotFoundError,
    PermissionDeniedError,
    ProducerRecord,
    RemoteCluster,
    SmartModuleNotFoundError,
    SmartModulePackage,
    SmartModuleParam,
    SmartModuleSpec,
    SpuGroupNotFoundError,
    SpuGroupSpec,
    SpuNotFoundError,
    TableColumn,
    TableFormatNotFoundError,
    TableFormatSpec,
    TopicNotFoundError,
    TopicSpec,
    UsageError,
)

WASM = b"\0asm\1\0\0\0"


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """What these tests make is seen by no others."""
    with LocalCluster(spus=2) as running:
        yield running


async def until(world: World, true: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """What the SPUs say of partitions comes a little late."""
    deadline = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < deadline
        await world.sleep(0.02)


# -- topics and partitions


async def test_a_topic_with_everything(world: World) -> None:
    async with world.connect() as client:
        topics, name = client.admin.topics, f"whole-{world.backend}"
        await client.admin.smartmodules.create("distinct", path=MODULES / "distinct.wasm", exist_ok=True)
        spec = TopicSpec(
            2,
            replication=2,
            ignore_rack=True,
            retention="1h",
            segment_size="1MiB",
            max_partition_size="10MiB",
            compression="zstd",
            deduplication=Deduplication("distinct", count=100, age="5m", params={"field": "id"}),
        )
        created = await topics.create(name, spec)
        assert created.spec == spec
        assert created.status.resolution == "provisioned"
        assert {partition: sorted(spus) for partition, spus in created.status.replica_map.items()} == {
            0: [5001, 5002],
            1: [5001, 5002],
        }
        assert await topics.get(name) == created
        for partition in await client.admin.partitions.list(topic=name):
            assert partition.spec.compression == "zstd"
            assert partition.spec.retention == 3600
            assert partition.spec.segment_size == 1 << 20
            assert partition.spec.max_partition_size == 10 << 20
            assert partition.spec.deduplication == spec.deduplication
            assert sorted(partition.spec.replicas) == [5001, 5002]
        async with client.producer(name) as producer:
            # Whether the SmartModule has dropped a record, nobody is told.
            assert [(await producer.send(b"same", partition=0)).offset for _ in range(2)] == [None, None]
        async with client.consumer(name, start=Offset.beginning(), stop_at_end=True) as consumer:
            assert [record.value async for record in consumer] == [b"same"]
        await topics.delete(name)
        assert await client.admin.partitions.list(topic=name) == []


async def test_a_topic_laid_out_by_hand(world: World) -> None:
    async with world.connect() as client:
        name = f"by-hand-{world.backend}"
        layout = [PartitionAssignment(0, (5002,)), PartitionAssignment(1, (5001,))]
        created = await client.admin.topics.create(name, assignment=layout)
        assert created.spec.assignment == tuple(layout)
        assert created.spec.partitions == 2
        assert created.status.replica_map == {0: (5002,), 1: (5001,)}
        assert [item.spec.leader for item in await client.admin.partitions.list(topic=name)] == [5002, 5001]
        with pytest.raises(InvalidTopicError, match="SPU 9, which is not online"):
            await client.admin.topics.create(f"{name}-2", assignment=[PartitionAssignment(0, (9,))])
        await client.admin.topics.delete(name)


async def test_partitions_are_added(world: World) -> None:
    async with world.connect() as client:
        name = f"grows-{world.backend}"
        await client.admin.topics.create(name)
        async with client.producer(name) as producer:
            grown = await client.admin.topics.add_partitions(name, 2)
            assert grown.spec.partitions == 3
            assert sorted(grown.status.replica_map) == [0, 1, 2]
            assert (await producer.send(b"there", partition=2)).partition == 2
        with pytest.raises(TopicNotFoundError):
            await client.admin.topics.add_partitions("no-such-topic", 1)
        for count in (0, -1, "2", True):
            with pytest.raises(ConfigError, match="count"):
                await client.admin.topics.add_partitions(name, count)
        await client.admin.topics.delete(name)


async def test_topics_of_the_cluster_itself(world: World) -> None:
    async with world.connect() as client:
        topics = client.admin.topics
        # Stored offsets are kept in a topic.
        assert "consumer-offset" in [topic.name for topic in await topics.list(system=True)]
        assert "consumer-offset" not in [topic.name for topic in await topics.list()]
        assert (await topics.get("consumer-offset")).spec.system
        with pytest.raises(PermissionDeniedError) as raised:
            await topics.delete("consumer-offset")
        assert raised.value.code == 12001
        assert [item.topic for item in await client.admin.partitions.list(system=True)] == ["consumer-offset"]
        name = f"own-{world.backend}"
        assert (await topics.create(name, TopicSpec(system=True))).spec.system
        await topics.delete(name, force=True)


async def test_a_mirror_topic(world: World) -> None:
    async with world.connect() as client:
        edge, other = f"edge-{world.backend}", f"other-{world.backend}"
        name = f"mirrored-{world.backend}"
        for remote in (edge, other):
            await client.admin.mirrors.create(remote, RemoteCluster())
        created = await client.admin.topics.create(name, mirror=HomeMirror([edge]))
        assert created.spec.mirror == HomeMirror([HomePartition(edge, f"{name}-0", False)])
        assert created.spec.partitions == 1
        grown = await client.admin.topics.add_mirror(name, other)
        assert isinstance(grown.spec.mirror, HomeMirror)
        assert [item.remote_cluster for item in grown.spec.mirror.partitions] == [edge, other]
        with pytest.raises(MirrorNotFoundError):
            await client.admin.topics.add_mirror(name, "no-such-cluster")
        await client.admin.topics.delete(name)
        for remote in (edge, other):
            await client.admin.mirrors.delete(remote)


async def test_partitions(world: World) -> None:
    async with world.connect() as client:
        partitions = client.admin.partitions
        name = await world.topic(client, partitions=2)
        async with client.producer(name) as producer:
            await producer.send_all([(b"k", b"v")] * 10)
        first, second = await partitions.list(topic=name)
        assert [(first.topic, first.partition), (second.topic, second.partition)] == [(name, 0), (name, 1)]
        assert first.spec.leader in (5001, 5002)
        assert first.status.resolution == "online"

        async def told() -> bool:
            ends = [item.status.leader for item in await partitions.list(topic=name)]
            return sum(end.log_end or 0 for end in ends if end is not None) == 10

        await until(world, told)
        written = next(item for item in await partitions.list(topic=name) if item.status.leader.log_end)
        assert written.status.leader.spu == written.spec.leader
        assert written.status.leader.high_watermark == 10
        assert written.status.size > 0
        assert written.status.base_offset == 0
        assert await partitions.get(name, written.partition) == written
        assert written in await partitions.list()
        assert written not in await partitions.list(system=True)
        with pytest.raises(PartitionNotFoundError) as raised:
            await partitions.get(name, 2)
        assert raised.value.topic == name and raised.value.partition == 2
        with pytest.raises(TopicNotFoundError):
            await partitions.get("no-such-topic", 0)
        assert await partitions.list(topic="no-such-topic") == []


# -- SPUs


async def test_spus(world: World) -> None:
    async with world.connect() as client:
        spus = client.admin.spus
        first = await spus.get(5001)
        assert first.spec.id == 5001
        assert first.status.resolution == "online"
        assert ":" in str(first.spec.public_endpoint)
        assert await spus.get(first.name) == first
        assert first in await spus.list()
        assert await spus.list(name_contains=first.name) == [first]
        assert await spus.list(name_contains="no such") == []
        for missing in (77, "no-such-spu"):
            with pytest.raises(SpuNotFoundError):
                await spus.get(missing)
        for bad in (-1, "", None, 1.5):
            with pytest.raises(ConfigError, match="spu"):
                await spus.get(bad)


async def test_custom_spus(world: World) -> None:
    async with world.connect() as client:
        spus = client.admin.custom_spus
        number = {"asyncio": 61, "uvloop": 62, "trio": 63, "sync": 64}[world.backend]
        name = f"extra-{world.backend}"
        spec = CustomSpuSpec(number, public_endpoint="127.0.0.1:9010", private_endpoint="127.0.0.1:9011", rack="a")
        planned = await spus.create(name, spec, dry_run=True)
        assert planned.name == name and planned.spec.id == number
        with pytest.raises(SpuNotFoundError):
            await spus.get(number)
        created = await spus.create(name, spec)
        assert created.name == name
        assert created.spec.kind == "custom"
        assert created.spec.rack == "a"
        assert str(created.spec.public_endpoint) == "127.0.0.1:9010"
        assert created.status.resolution in ("init", "offline")
        assert await spus.get(number) == await spus.get(name) == await client.admin.spus.get(number)
        assert (await spus.create(name, spec, exist_ok=True)).spec == created.spec
        for taken, again in ((name, {}), ("another", {}), ("another", {"exist_ok": True})):
            with pytest.raises(AlreadyExistsError):
                await spus.create(taken, spec, **again)
        assert [spu.name for spu in await spus.list(name_contains=name)] == [name]
        await spus.delete(number)
        for gone in (number, name):
            with pytest.raises(SpuNotFoundError):
                await spus.delete(gone)
            await spus.delete(gone, missing_ok=True)
        unnamed = await spus.create(None, spec)
        assert unnamed.name == f"custom-spu-{number}"
        await spus.delete(unnamed.name)
        with pytest.raises(ConfigError, match="CustomSpuSpec"):
            await spus.create(name, 61)


async def test_an_spu_that_leads_partitions_is_not_deleted_by_mistake(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            await client.admin.topics.create("led")
            with pytest.raises(UsageError, match="led"):
                await client.admin.custom_spus.delete(5001)
            assert (await client.admin.spus.get(5001)).status.resolution == "online"
            await client.admin.custom_spus.delete(5001, force=True)
            with pytest.raises(SpuNotFoundError):
                await client.admin.spus.get(5001)


async def test_addresses_that_spus_have_inside_of_their_network(world: World) -> None:
    """The public address of the SPU leads nowhere, its local one to the SPU."""
    with LocalCluster() as cluster, socket.socket() as nowhere:
        nowhere.bind(("127.0.0.1", 0))  # and nobody listens
        local, public = f"127.0.0.1:{spu_port(cluster)}", f"127.0.0.1:{nowhere.getsockname()[1]}"
        spec = CustomSpuSpec(5001, public_endpoint=public, private_endpoint=local, public_endpoint_local=local)
        config = ClusterConfig(cluster.endpoint, use_spu_local_address=True)
        async with world.connect(cluster.endpoint) as client:
            await client.admin.topics.create("inside")
            await client.admin.custom_spus.delete(5001, force=True)
            spu = await client.admin.custom_spus.create(None, spec)
            assert (str(spu.spec.public_endpoint), str(spu.spec.public_endpoint_local)) == (public, local)
            assert spu.status.resolution == "online"
        ways: tuple[dict[str, Any], ...] = ({"use_spu_local_address": True}, {"config": config})
        for number, keywords in enumerate(ways):
            async with world.connect_with(**({"endpoint": cluster.endpoint} | keywords)) as client:
                async with client.producer("inside") as producer:
                    assert (await producer.send(b"inside")).offset == number
                async with client.consumer("inside", start=Offset.beginning(), stop_at_end=True) as consumer:
                    assert [record.value async for record in consumer] == [b"inside"] * (number + 1)
        for keywords in ({}, {"use_spu_local_address": False}, {"config": config, "use_spu_local_address": False}):
            async with world.connect_with(**({"endpoint": cluster.endpoint} | keywords)) as client:
                producer = await client.producer("inside", delivery_timeout=0.5)
                with pytest.raises(FluvioTimeoutError, match=public) as raised:
                    await producer.send(b"outside")
                assert raised.value.outcome == "not_written"
                await producer.close()


async def test_spu_groups(world: World) -> None:
    async with world.connect() as client:
        name = f"group-{world.backend}"
        spec = SpuGroupSpec(3, min_id=100, rack="a", in_sync_replica_min=2, storage_size="10Gi", env={"A": "b"})
        group = await everything(client.admin.spu_groups, name, spec, SpuGroupNotFoundError)
        assert group.spec == spec
        assert group.status.resolution in ("init", "reserved")


async def test_table_formats(world: World) -> None:
    async with world.connect() as client:
        name = f"table-{world.backend}"
        columns = (TableColumn("id", primary_key=True, width="8"), TableColumn("who", alignment="right"))
        spec = TableFormatSpec(columns, input_format="json", smartmodule="jolt")
        table = await everything(client.admin.table_formats, name, spec, TableFormatNotFoundError)
        assert table.spec == spec


@pytest.mark.parametrize("kind", ["remote", "home"])
async def test_mirrors(world: World, kind: str) -> None:
    async with world.connect() as client:
        name = f"{kind}-{world.backend}"
        tls = MirrorTls("home.example", "ca", "cert", "key")
        spec = RemoteCluster() if kind == "remote" else HomeCluster("edge-1", "home.example:9003", client_tls=tls)
        mirror = await everything(client.admin.mirrors, name, spec, MirrorNotFoundError)
        assert mirror.spec.id == name
        if kind == "home":
            assert mirror.spec == HomeCluster("edge-1", "home.example:9003", client_tls=tls, id=name)
        assert mirror.status.connection == "offline"
        assert mirror.status.pairing_sc.resolution == "waiting"
        with pytest.raises(ConfigError, match="spec"):
            await client.admin.mirrors.create(name, name)


async def everything(kind: Any, name: str, spec: Any, missing: type[FluvioError]) -> Any:
    """Create, get, list, delete, as all kinds have them. Returns the object."""
    planned = await kind.create(name, spec, dry_run=True)
    assert planned.name == name
    with pytest.raises(missing):
        await kind.get(name)
    created = await kind.create(name, spec)
    assert created.name == name
    assert await kind.get(name) == created
    assert created in await kind.list()
    assert await kind.list(name_contains=name[1:]) == [created]
    assert await kind.list(name_contains="no such") == []
    with pytest.raises(AlreadyExistsError):
        await kind.create(name, spec)
    assert await kind.create(name, spec, exist_ok=True) == created
    await kind.delete(name)
    with pytest.raises(missing) as raised:
        await kind.delete(name)
    assert name in str(raised.value)
    await kind.delete(name, missing_ok=True)
    for bad in ("", None, 5):
        with pytest.raises(ConfigError, match="name"):
            await kind.create(bad, spec)
        with pytest.raises(ConfigError, match="name"):
            await kind.get(bad)
        with pytest.raises(ConfigError, match="name"):
            await kind.delete(bad)
    with pytest.raises(ConfigError, match="name_contains"):
        await kind.list(name_contains=5)
    return created


# -- SmartModules


async def test_smartmodules(world: World, tmp_path: Path) -> None:
    async with world.connect() as client:
        modules, name = client.admin.smartmodules, f"module-{world.backend}"
        with pytest.raises(SmartModuleNotFoundError):
            await modules.get(name)
        assert (await modules.create(name, wasm=WASM, dry_run=True)).name == name
        with pytest.raises(SmartModuleNotFoundError):
            await modules.get(name)
        created = await modules.create(name, wasm=WASM)
        assert (created.name, created.spec, created.wasm) == (name, SmartModuleSpec(), None)
        assert created.wasm_size > 0
        assert (await modules.get(name)) == created
        assert (await modules.get(name, wasm=True)).wasm == WASM
        with pytest.raises(AlreadyExistsError):
            await modules.create(name, wasm=b"\0asm other")
        assert (await modules.create(name, wasm=b"\0asm other", exist_ok=True)) == created
        file = tmp_path / "module.wasm"
        file.write_bytes(b"\0asm other")
        await modules.create(name, path=file, overwrite=True)
        assert (await modules.get(name, wasm=True)).wasm == b"\0asm other"
        await modules.create(name, wasm=bytearray(gzip.compress(WASM)), overwrite=True)
        assert (await modules.get(name, wasm=True)).wasm == WASM
        await modules.create(f"{name}-2", wasm=memoryview(WASM * 2))
        found = await modules.list(name_contains=name, wasm=True)
        assert [(item.name, item.wasm) for item in found] == [(name, WASM), (f"{name}-2", WASM * 2)]
        assert [item.wasm for item in await modules.list(name_contains=name)] == [None, None]
        for gone in (name, f"{name}-2"):
            await modules.delete(gone)
            with pytest.raises(SmartModuleNotFoundError):
                await modules.delete(gone)
            await modules.delete(gone, missing_ok=True)


async def test_a_smartmodule_with_a_package(world: World) -> None:
    async with world.connect() as client:
        modules, plain = client.admin.smartmodules, f"filter-{world.backend}"
        package = SmartModulePackage(plain, group="example", version="1.2.3", description="Passes what matches")
        spec = SmartModuleSpec(package, {"pattern": SmartModuleParam("a regular expression", optional=True)})
        created = await modules.create(None, spec, wasm=WASM)
        assert created.name == f"{plain}-example-1.2.3"
        assert created.spec == spec
        for name in (created.name, plain, f"example/{plain}", f"example/{plain}@1.2.3"):
            assert await modules.get(name) == created
        with pytest.raises(SmartModuleNotFoundError):
            await modules.get(f"example/{plain}@9.9.9")
        second = SmartModuleSpec(SmartModulePackage(plain, group="example", version="2.0.0"))
        await modules.create(None, second, wasm=WASM)
        with pytest.raises(UsageError, match=r"2\.0\.0"):
            await modules.get(plain)
        with pytest.raises(UsageError, match=r"2\.0\.0"):
            await modules.delete(plain)
        await modules.delete(f"example/{plain}@2.0.0")
        await modules.delete(plain)
        assert await modules.list(name_contains=plain) == []


MANIFEST = """
[package]
name = "NAME"
group = "example"
version = "1.2.3-beta.1"
apiVersion = "0.2.0"
description = "Passes what matches"
license = "Apache-2.0"
visibility = "public"
repository = "https://git.example/filter"
funding = "a key of a later version"

[[params]]
name = "pattern"
description = "a regular expression"

[[params]]
name = "größe"
optional = true

[transform]
uses = "something"
"""


async def test_a_smartmodule_with_a_manifest(world: World, tmp_path: Path) -> None:
    """As the official tools take a package from the file beside its source."""
    name = f"toml-{world.backend}"
    file, code = tmp_path / "SmartModule.toml", tmp_path / "filter.wasm"
    file.write_text(MANIFEST.replace("NAME", name), encoding="utf-8")
    code.write_bytes(WASM)
    spec = SmartModuleSpec.from_toml(file)
    assert spec == SmartModuleSpec(
        SmartModulePackage(
            name,
            group="example",
            version="1.2.3-beta.1",
            api_version="0.2.0",
            description="Passes what matches",
            license="Apache-2.0",
            visibility="public",
            repository="https://git.example/filter",
        ),
        {"pattern": SmartModuleParam("a regular expression"), "größe": SmartModuleParam(optional=True)},
    )
    async with world.connect() as client:
        modules = client.admin.smartmodules
        created = await modules.create(spec=spec, path=code)
        assert (created.name, created.spec) == (f"{name}-example-1.2.3-beta.1", spec)
        assert await modules.get(f"example/{name}@1.2.3-beta.1") == created
        assert await modules.list(name_contains=name) == [created]
        await modules.delete(created.name)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "missing field `package`"),
        ("package = 5", "no SmartModule.toml, in line 1: .*Package"),
        ("[package", "line 1"),
        ("\xff", "UTF-8"),
        (MANIFEST.replace("NAME", ""), 'package.name is "": it must'),
        (MANIFEST.replace("NAME", "a@b"), 'package.name is "a@b"'),
        (MANIFEST.replace('"example"', "5"), "line 4: .*integer"),
        (MANIFEST.replace("1.2.3-beta.1", "1.2"), "line 5: "),
        (MANIFEST.replace('"public"', '"all"'), "line 9: .*`all`.*`private`"),
        (MANIFEST.replace("apiVersion", "api_version"), "apiVersion"),
        (MANIFEST.replace("größe", "pattern"), 'params has "pattern" twice'),
        (MANIFEST.replace('name = "pattern"', ""), "missing field `name`"),
    ],
)
def test_what_is_no_manifest(text: str, named: str, tmp_path: Path) -> None:
    file = tmp_path / "SmartModule.toml"
    file.write_bytes(text.encode("latin-1" if text == "\xff" else "utf-8"))
    with pytest.raises(ConfigError, match=named) as raised:
        SmartModuleSpec.from_toml(file)
    assert str(file) in str(raised.value)


def test_no_file_of_a_manifest(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml", None):
        with pytest.raises(ConfigError, match="path ") as raised:
            SmartModuleSpec.from_toml(path)  # type: ignore[arg-type]
        assert str(path) in str(raised.value)


async def test_what_is_no_smartmodule(world: World, tmp_path: Path) -> None:
    async with world.connect() as client:
        create = client.admin.smartmodules.create
        for arguments, named in (
            ({}, "wasm or path"),
            ({"wasm": WASM, "path": tmp_path}, "wasm or path"),
            ({"wasm": "text"}, "bytes"),
            ({"wasm": b""}, "empty"),
            ({"path": tmp_path / "missing.wasm"}, "missing.wasm"),
            ({"path": 5.5}, "path"),
        ):
            with pytest.raises(ConfigError, match=named):
                await create("nothing", **arguments)
        with pytest.raises(ConfigError, match="name is not given"):
            await create(wasm=WASM)
        with pytest.raises(ConfigError, match="SmartModuleSpec"):
            await create("nothing", {}, wasm=WASM)
        with pytest.raises(SmartModuleNotFoundError):
            await client.admin.smartmodules.get("nothing")


# -- stored offsets


async def test_consumer_offsets(world: World) -> None:
    async with world.connect() as client:
        offsets, billing = client.admin.consumer_offsets, f"billing-{world.backend}"
        topic = await world.topic(client, partitions=2)
        key = {"consumer_id": billing, "topic": topic, "partition": 0}
        with pytest.raises(ConsumerOffsetNotFoundError):
            await offsets.get(**key)
        async with client.producer(topic) as producer:
            for number in range(10):
                await producer.send(b"%d" % number, partition=0)
        async with client.consumer(topic, consumer_id=billing) as consumer:
            await consumer.commit({0: 3})
        stored = await offsets.get(**key)
        assert (stored.consumer_id, stored.topic, stored.partition, stored.offset) == (billing, topic, 0, 3)
        assert stored.lag == 6
        assert abs(stored.modified / 1000 - time.time()) < 60
        # Nothing was ever committed of the other partition, and it is not left out for that.
        never = replace(stored, partition=1, offset=None, modified=None, lag=0)
        assert await offsets.list(consumer_id=billing) == [stored, never]
        assert await offsets.list(consumer_id=billing, topic=topic) == [stored, never]
        assert await offsets.list(topic=topic) == [stored, never]
        assert [item for item in await offsets.list() if item.topic == topic] == [stored, never]
        assert await offsets.list(consumer_id="nobody") == []
        nothing = [replace(never, consumer_id="nobody", partition=0, lag=10), replace(never, consumer_id="nobody")]
        assert await offsets.list(consumer_id="nobody", topic=topic) == nothing
        assert await offsets.list(topic="no-such-topic") == []
        assert await offsets.list(consumer_id=billing, topic="no-such-topic") == []

        async def begins_at(consumer_id: str) -> bytes:
            async with client.consumer(topic, partitions=0, consumer_id=consumer_id) as consumer:
                value: bytes = (await consumer.receive(timeout=5)).value
                return value

        for to, begins, lag in (
            (Offset.beginning(), b"0", 10),
            (Offset.at(5), b"5", 5),
            (7, b"7", 3),
            (Offset.from_beginning(2), b"2", 8),
            (Offset.from_end(1), b"9", 1),
        ):
            reset = await offsets.reset(**key, to=to)
            assert (reset.offset, reset.lag) == (int(begins) - 1, lag)
            assert await begins_at(billing) == begins
        assert (await offsets.reset(**key, to=Offset.end())).lag == 0
        with pytest.raises(OffsetOutOfRangeError):
            await offsets.reset(**key, to=11)
        # Nobody ever committed here, and nothing was ever written.
        empty = {"consumer_id": billing, "topic": topic, "partition": 1}
        assert (await offsets.reset(**empty, to=Offset.beginning())).offset == -1
        assert [item.partition for item in await offsets.list(consumer_id=billing)] == [0, 1]
        with pytest.raises(PartitionNotFoundError):
            await offsets.reset(consumer_id=billing, topic=topic, partition=2, to=0)
        with pytest.raises(TopicNotFoundError):
            await offsets.reset(consumer_id=billing, topic="no-such-topic", partition=0, to=0)
        await offsets.delete(**key)
        with pytest.raises(ConsumerOffsetNotFoundError):
            await offsets.delete(**key)
        await offsets.delete(**key, missing_ok=True)
        assert [item.offset for item in await offsets.list(consumer_id=billing)] == [None, -1]
        with pytest.raises(ConsumerOffsetNotFoundError):
            await offsets.get(**key)
        await offsets.delete(**empty)
        assert await offsets.list(consumer_id=billing) == []
        assert await begins_at(billing) == b"0"
        for bad, named in (
            ({"consumer_id": ""}, "consumer_id"),
            ({"consumer_id": "x" * 256}, "consumer_id"),
            ({"topic": None}, "topic"),
            ({"partition": -1}, "partition"),
        ):
            with pytest.raises(ConfigError, match=named):
                await offsets.get(**{**key, **bad})
        with pytest.raises(ConfigError, match="offset"):
            await offsets.reset(**key, to="beginning")


async def test_the_lag_of_what_was_never_committed(world: World) -> None:
    """From the beginning of the log, in each partition: also one that was added, or is without a leader."""
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client, partitions=2)
            async with client.producer(topic) as producer:
                await producer.send_all([ProducerRecord(b"x", partition=n % 2) for n in range(20)])
            cluster.faults.evict(topic, 1, 4)
            async with client.consumer(topic, consumer_id="worker", partitions=0) as consumer:
                await consumer.commit({0: 9})
            await client.admin.topics.add_partitions(topic, 1)

            async def listed() -> list[tuple[int, int | None, int | None]]:
                found = await client.admin.consumer_offsets.list(consumer_id="worker")
                return [(item.partition, item.offset, item.lag) for item in found]

            assert await listed() == [(0, 9, 0), (1, None, 6), (2, None, 0)]
            cluster.kill_spu(5002)
            assert await listed() == [(0, 9, 0), (1, None, None), (2, None, 0)]


# -- the cluster


async def test_the_status_of_a_cluster(world: World) -> None:
    with LocalCluster(spus=2) as cluster:
        async with world.connect(cluster.endpoint) as client:
            await client.admin.topics.create("here", partitions=2)
            status = await client.admin.cluster.status()
            assert status.endpoint == cluster.endpoint
            assert status.platform_version == client.platform_version
            assert [spu.spec.id for spu in status.spus] == [5001, 5002]
            assert status.spus_online == 2
            assert status.topics == 2 and status.partitions == 3
            assert status.offline_partitions == status.under_replicated_partitions == ()
            cluster.kill_spu(5002)

            async def offline() -> bool:
                status = await client.admin.cluster.status()
                return status.spus_online == 1 and len(status.offline_partitions) == 1

            await until(world, offline)
            cluster.start_spu(5002)

            async def online() -> bool:
                status = await client.admin.cluster.status()
                return status.spus_online == 2 and not status.offline_partitions

            await until(world, online)


# -- what is refused, and what takes too long


async def test_names_are_refused_before_anything_is_sent(world: World) -> None:
    """The SC answers nothing, and still they are refused at once."""
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint) as client:
            admin = client.admin
            spu = CustomSpuSpec(9, public_endpoint="a:1", private_endpoint="b:1")
            silent = cluster.faults.stall_controller()
            begun = time.monotonic()
            for name in ("UPPER", "with space", "-lead", "trail-", "under_score", "dot.ted", "x" * 64, "umlaut-ä"):
                with pytest.raises(InvalidTopicError) as raised:
                    await admin.topics.create(name)
                assert name in str(raised.value)
            create: Callable[[str], Awaitable[object]]
            for create in (
                lambda name: admin.custom_spus.create(name, spu),
                lambda name: admin.spu_groups.create(name),
                lambda name: admin.table_formats.create(name),
                lambda name: admin.mirrors.create(name, RemoteCluster()),
                lambda name: admin.smartmodules.create(name, wasm=WASM),
            ):
                for name in ("a/b", "a\nb", "x" * 256):
                    with pytest.raises(ConfigError, match="name"):
                        await create(name)
            bads: tuple[tuple[dict[str, Any], str], ...] = (
                ({"retention": 5}, "retention is 5 s: .* at least 10 s"),
                ({"segment_size": 10}, "segment_size is 10: .* at least 1024"),
                ({"max_partition_size": 10}, "max_partition_size is 10: .* at least 2048"),
                ({"segment_size": "2MiB", "max_partition_size": "1MiB"}, "at least segment_size, which is 2097152"),
            )
            for bad, said in bads:
                with pytest.raises(InvalidTopicError, match=said):
                    await admin.topics.create("fine", **bad)
            assert time.monotonic() - begun < 5
            silent.undo()
            assert await admin.topics.list() == []


async def test_more_replicas_than_spus_are_refused_at_once(world: World) -> None:
    async with world.connect() as client:
        begun = time.monotonic()
        with pytest.raises(InvalidTopicError):
            await client.admin.topics.create(f"replicated-{world.backend}", replication=3)
        assert time.monotonic() - begun < 5
        with pytest.raises(TopicNotFoundError):
            await client.admin.topics.get(f"replicated-{world.backend}")


async def test_a_topic_that_is_not_ready_in_time_exists(world: World) -> None:
    with LocalCluster() as cluster, Proxy(cluster.endpoint) as sc:
        async with world.connect(sc.endpoint) as client:
            topics = client.admin.topics
            sc.before(b"slow", lambda: cluster.kill_spu(5001))
            with pytest.raises(FluvioTimeoutError, match='"slow" was created and exists, but is not ready') as raised:
                await topics.create("slow", timeout=1.0)
            assert (raised.value.phase, raised.value.topic, raised.value.retriable) == ("admin", "slow", False)
            assert (await topics.get("slow")).status.resolution != "provisioned"
            cluster.start_spu(5001)
            same = await topics.create("slow", exist_ok=True)
            assert same.name == "slow"
            async with client.producer("slow") as producer:
                assert (await producer.send(b"there")).offset == 0
            sc.before(b"bare", lambda: cluster.kill_spu(5001))
            # Whoever does not want it to be ready is not told of time-outs.
            assert (await topics.create("bare", wait_ready=False)).name == "bare"


async def test_more_partitions_that_are_not_ready_in_time(world: World) -> None:
    with LocalCluster() as cluster, Proxy(cluster.endpoint) as sc:
        async with world.connect(sc.endpoint) as client:
            topics = client.admin.topics
            await topics.create("grows")
            sc.before(b"grows", lambda: cluster.kill_spu(5001))
            with pytest.raises(FluvioTimeoutError, match='"grows" has its new partitions, but is not ready') as raised:
                await topics.add_partitions("grows", 1, timeout=1.0)
            assert (raised.value.phase, raised.value.topic) == ("admin", "grows")
            assert (await topics.get("grows")).spec.partitions == 2


async def test_a_call_ends_in_time_and_the_next_one_works(world: World) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint, admin_timeout=0.5) as client:
            silent = cluster.faults.stall_controller()
            call: Callable[[], Awaitable[object]]
            for call in (
                lambda: client.admin.topics.list(),
                lambda: client.admin.topics.create("late", timeout=0.2),
                lambda: client.admin.topics.delete("late", timeout=0.2),
                lambda: client.admin.spus.get(5001, timeout=0),
                lambda: client.admin.smartmodules.create("late", wasm=WASM, timeout=0.2),
            ):
                begun = time.monotonic()
                with pytest.raises(FluvioTimeoutError) as raised:
                    await call()
                assert raised.value.phase == "admin"
                assert time.monotonic() - begun < 2
            silent.undo()
            assert (await client.admin.spus.get(5001, timeout=10)).spec.id == 5001
