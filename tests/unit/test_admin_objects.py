"""Administrative objects as values: from their documents and back, compared, pickled, checked when they are made."""

# What a caller makes is checked: with types that are wrong.
# mypy: disable-error-code="arg-type, dict-item, list-item"

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fluvio_cffi
from fluvio_cffi import (
    Change,
    ClusterStatus,
    ConfigError,
    ConsumerOffset,
    CustomSpuSpec,
    Deduplication,
    Endpoint,
    HomeCluster,
    HomeMirror,
    HomePartition,
    HomeSpu,
    IngressAddress,
    Mirror,
    MirrorTls,
    Partition,
    PartitionAssignment,
    PublicEndpoint,
    RemoteCluster,
    RemoteMirror,
    RemotePartition,
    SmartModuleInfo,
    SmartModulePackage,
    SmartModuleParam,
    SmartModuleSpec,
    Spu,
    SpuGroup,
    SpuGroupSpec,
    TableColumn,
    TableFormat,
    TableFormatSpec,
    Topic,
    TopicSpec,
)
from fluvio_cffi._admin.document import from_document, to_document

DOCUMENTATION = (Path(__file__).resolve().parents[2] / "docs" / "admin-json.md").read_text(encoding="utf-8")
EXAMPLES: dict[str, Any] = {
    name: json.loads(text) for name, text in re.findall(r"^```json (\S+)\n(.*?)^```$", DOCUMENTATION, re.M | re.S)
}
OBJECTS: list[Any] = [
    Topic, Partition, Spu, SpuGroup, SmartModuleInfo, TableFormat, Mirror, ConsumerOffset, ClusterStatus,
]  # fmt: skip
DOCUMENTED = {SmartModuleInfo: "SmartModule"}
PEM = "-----BEGIN PRIVATE KEY-----\nsecret"


def example(cls: Any) -> Any:
    return EXAMPLES[DOCUMENTED.get(cls, cls.__name__)]


def without_nulls(document: Any) -> Any:
    if isinstance(document, dict):
        return {key: without_nulls(value) for key, value in document.items() if value is not None}
    return [without_nulls(item) for item in document] if isinstance(document, list) else document


@pytest.mark.parametrize("cls", OBJECTS)
def test_an_object_is_what_its_document_says(cls: Any) -> None:
    """All of it, and nothing else: every documented field has its place, and every place a documented field."""
    document = example(cls)
    item = from_document(cls, document)
    assert to_document(item) == without_nulls(document)
    # A later version says more: that is passed over.
    assert from_document(cls, {**document, "new": 1}) == item


def test_what_a_topic_mirrors_and_what_a_cluster_status_holds() -> None:
    topic = example(Topic)
    for name, mirror in (
        ("TopicMirror.home", HomeMirror([HomePartition("edge-1", "orders-0", False)])),
        ("TopicMirror.remote", RemoteMirror("home", (HomeSpu(5001, "custom-spu-5001", "home.example:9010"),))),
    ):
        document = {**topic, "spec": {**topic["spec"], "mirror": EXAMPLES[name]}}
        item = from_document(Topic, document)
        assert item.spec.mirror == mirror
        assert to_document(item) == without_nulls(document)
    kept = {"0": {"home": {"remote_cluster": "edge-1", "remote_replica": "orders-0", "source": True}}}
    kept["1"] = {"remote": {"home_cluster": "h", "home_spu_key": "k", "home_spu_id": 1, "home_spu_endpoint": "e:1", "target": False}}  # noqa: E501  # fmt: skip
    item = from_document(Topic, {**topic, "status": {**topic["status"], "mirror_map": kept}})
    assert item.status.mirror_map == {
        0: HomePartition("edge-1", "orders-0", True),
        1: RemotePartition("h", "k", 1, "e:1"),
    }
    document = {**example(ClusterStatus), "spus": [example(Spu)], "offline_partitions": [example(Partition)]}
    status = from_document(ClusterStatus, document)
    assert status.spus == (from_document(Spu, example(Spu)),)
    assert status.offline_partitions[0].spec.replicas == (5001, 5002)


def test_what_the_cluster_says_is_not_judged() -> None:
    document = example(Topic)
    item = from_document(Topic, {**document, "spec": {**document["spec"], "partitions": 0}})
    assert item.spec.partitions == 0


def test_specs_are_sent_as_documented() -> None:
    def documented(method: str) -> Any:
        return without_nulls(EXAMPLES[method]["spec"])

    assert to_document(TopicSpec()) == documented("topics.create")
    assert (
        to_document(CustomSpuSpec(5001, public_endpoint="broker.example:9010", private_endpoint="10.0.0.7:9011"))
        == documented("custom_spus.create")
    )  # fmt: skip
    assert to_document(SpuGroupSpec()) == documented("spu_groups.create")
    assert (
        to_document(SmartModuleSpec(SmartModulePackage("filter", group="example"), {"pattern": SmartModuleParam()}))
        == documented("smartmodules.create")
    )  # fmt: skip
    assert to_document(TableFormatSpec()) == documented("table_formats.create")
    assert {"remote": to_document(RemoteCluster())} == documented("mirrors.create")
    dedup = Deduplication("dedup-filter", count=1000, age="1m", params={"field": "id"})
    assert to_document(dedup) == example(Topic)["spec"]["deduplication"]


VALUES: list[Any] = [
    *(from_document(cls, example(cls)) for cls in OBJECTS if cls is not SmartModuleInfo),
    from_document(SmartModuleInfo, {**example(SmartModuleInfo), "wasm": b"code"}),
    TopicSpec(3, retention="7d", segment_size="1MiB", deduplication=Deduplication("d", count=5, age="5m")),
    TopicSpec(assignment=[PartitionAssignment(0, (5001,))]),
    TopicSpec(mirror=HomeMirror(["edge-1", "edge-2"], source=True)),
    TopicSpec(mirror=RemoteMirror("home", (HomeSpu(1, "k", "e"),), target=True)),
    CustomSpuSpec(7, public_endpoint="a:1", private_endpoint="b:2", public_endpoint_local="c:3", rack="r"),
    PublicEndpoint(1, (IngressAddress("a"), IngressAddress(ip="1.2.3.4")), "ssl"),
    Endpoint(1, "a"),
    SpuGroupSpec(3, env={"A": "b"}, storage_size="10Gi"),
    SmartModuleSpec(SmartModulePackage("n", group="g"), {"p": SmartModuleParam("what", True)}),
    TableFormatSpec((TableColumn("a.b", alignment="left"),), input_format="json"),
    HomeCluster("edge-1", "home:9003", client_tls=MirrorTls("d", PEM, PEM, PEM)),
    RemoteCluster("edge-1"),
    Change("updated", (from_document(Topic, example(Topic)),)),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen_compare_and_pickle(value: Any) -> None:
    for twin in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert twin == value
        assert hash(twin) == hash(value)
        assert repr(twin) == repr(value)
    assert sum(value == other for other in VALUES) == 1
    assert not hasattr(value, "__dict__")
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)
    assert type(value).__module__ == "fluvio_cffi"
    assert getattr(fluvio_cffi, type(value).__name__) is type(value)


def test_no_secret_is_shown() -> None:
    item = from_document(Mirror, example(Mirror))
    assert isinstance(item.spec, HomeCluster) and item.spec.client_tls is not None
    assert item.spec.client_tls.client_key.startswith("-----BEGIN PRIVATE KEY")
    assert "PRIVATE" not in repr(item) and "home.example" in repr(item)
    with pytest.raises(ConfigError) as raised:
        MirrorTls("d", PEM, PEM, PEM.encode())
    assert "client_key" in str(raised.value) and "secret" not in str(raised.value)


def test_endpoints_are_shown_as_addresses() -> None:
    spec = CustomSpuSpec(1, public_endpoint="broker.example:9010", private_endpoint="[::1]:9011")
    assert str(spec.public_endpoint) == "broker.example:9010"
    assert str(PublicEndpoint(1, (IngressAddress(ip="10.0.0.1"),))) == "10.0.0.1:1"
    assert str(spec.private_endpoint) == "[::1]:9011"
    assert spec.public_endpoint.encryption == "plaintext"


ENDPOINTS = {"public_endpoint": "a:1", "private_endpoint": "b:2"}


@pytest.mark.parametrize(
    "make, named",
    [
        (lambda: TopicSpec(0), "partitions is 0"),
        (lambda: TopicSpec(True), "partitions must be an int"),
        (lambda: TopicSpec(1 << 32), "partitions"),
        (lambda: TopicSpec(replication=0), "replication"),
        (lambda: TopicSpec(retention="soon"), "retention"),
        (lambda: TopicSpec(retention=0.5), "retention"),
        (lambda: TopicSpec(retention="200y"), "retention"),
        (lambda: TopicSpec(segment_size="5GiB"), "segment_size"),
        (lambda: TopicSpec(max_partition_size=-1), "max_partition_size"),
        (lambda: TopicSpec(compression="brotli"), "compression"),
        (lambda: TopicSpec(assignment=[(0, (1,))]), "assignment"),
        (lambda: TopicSpec(assignment=[], mirror=HomeMirror(["a"])), "are both given"),
        (lambda: TopicSpec(mirror="edge-1"), "mirror"),
        (lambda: TopicSpec(deduplication=5), "deduplication"),
        (lambda: PartitionAssignment(-1, ()), "partition"),
        (lambda: PartitionAssignment(0, ("a",)), "replicas"),
        (lambda: PartitionAssignment(0, (-1,)), "replicas"),
        (lambda: Deduplication("d", count=0), "count"),
        (lambda: Deduplication("", count=1), "smartmodule"),
        (lambda: Deduplication("d", count=1, age="x"), "age"),
        (lambda: Deduplication("d", count=1, params={"a": 1}), r"params\['a'\]"),
        (lambda: Deduplication("d", count=1, params=["a"]), "params"),
        (lambda: HomeMirror("edge-1"), "partitions"),
        (lambda: HomeMirror([5]), "partitions"),
        (lambda: HomePartition(""), "remote_cluster"),
        (lambda: RemoteMirror("", ()), "home_cluster"),
        (lambda: RemoteMirror("h", ["a"]), "home_spus"),
        (lambda: CustomSpuSpec(-1, **ENDPOINTS), "id"),
        (lambda: CustomSpuSpec(1 << 31, **ENDPOINTS), "id"),
        (lambda: CustomSpuSpec(1, public_endpoint="a", private_endpoint="b:1"), "public_endpoint is 'a'"),
        (lambda: CustomSpuSpec(1, public_endpoint="a:1", private_endpoint="b:0"), "private_endpoint is 'b:0'"),
        (lambda: CustomSpuSpec(1, public_endpoint="a:1", private_endpoint=":5"), "private_endpoint"),
        (lambda: CustomSpuSpec(1, public_endpoint="a:1", private_endpoint="b:65536"), "private_endpoint"),
        (lambda: CustomSpuSpec(1, public_endpoint=Endpoint(1, "a"), private_endpoint="b:1"), "public_endpoint"),
        (lambda: CustomSpuSpec(1, rack=5, **ENDPOINTS), "rack"),
        (lambda: Endpoint(0, "a"), "port"),
        (lambda: Endpoint(1, ""), "host"),
        (lambda: Endpoint(1, "a", "tls"), "encryption"),
        (lambda: PublicEndpoint(1, ()), "ingress"),
        (lambda: PublicEndpoint(1, ("a",)), "ingress"),
        (lambda: SpuGroupSpec(0), "replicas"),
        (lambda: SpuGroupSpec(1 << 16), "replicas"),
        (lambda: SpuGroupSpec(min_id=-1), "min_id"),
        (lambda: SpuGroupSpec(in_sync_replica_min=0), "in_sync_replica_min"),
        (lambda: SpuGroupSpec(env={"A": None}), "env"),
        (lambda: SmartModulePackage("", group="g"), "name"),
        (lambda: SmartModulePackage("n", group=""), "group"),
        (lambda: SmartModulePackage("n", group="g", visibility="secret"), "visibility"),
        (lambda: SmartModuleSpec("n"), "package"),
        (lambda: SmartModuleSpec(None, {"p": SmartModuleParam()}), "package"),
        (lambda: SmartModuleSpec(SmartModulePackage("n", group="g"), {"p": "x"}), "params"),
        (lambda: TableColumn(""), "key_path"),
        (lambda: TableColumn("a", alignment="middle"), "alignment"),
        (lambda: TableColumn("a", header_bg_color="red"), "header_bg_color"),
        (lambda: TableFormatSpec(["a"]), "columns"),
        (lambda: TableFormatSpec(input_format="yaml"), "input_format"),
        (lambda: RemoteCluster(""), "id"),
        (lambda: HomeCluster("", "h:1"), "remote_id"),
        (lambda: HomeCluster("e", "h"), "public_endpoint"),
        (lambda: HomeCluster("e", "h:1", client_tls="pem"), "client_tls"),
    ],
)
def test_what_a_caller_makes_is_checked(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        make()
