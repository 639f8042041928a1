"""Topics, partitions, SPUs and the others: what is written, as tables and as documents."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_support import Run

from fluvio_cffi import Fluvio, LocalCluster

WASM = Path(__file__).parents[1] / "smartmodules"


def documents(page: str) -> dict[str, Any]:
    """The documents of docs/admin-json.md, by name."""
    text = (Path(__file__).parents[2] / "docs" / "admin-json.md").read_text(encoding="utf-8")
    return {name: json.loads(body) for name, body in re.findall(rf"```json ({page})\n(.*?)```", text, re.DOTALL)}


def test_topic_comes_and_goes(run: Run, name: str) -> None:
    made = run(
        "topic", "create", name, "-p", "2", "-r", "1", "--retention-time", "2d 10s", "--compression-type", "Zstd"
    )
    assert (made.status, made.out, made.err) == (0, f'topic "{name}" created\n', "")
    again = run("topic", "create", name)
    assert again.status == 1
    assert "already exists" in again.err
    assert run("topic", "create", name, "--exist-ok").status == 0
    assert run("topic", "create", name + "x", "--dry-run").out == f'topic "{name}x" could be created\n'
    rows = {line.split()[0]: line.split()[1:] for line in run("topic", "list").out.splitlines()}
    assert rows["NAME"] == ["PARTITIONS", "REPLICAS", "RETENTION", "COMPRESSION", "STATUS"]
    assert rows[name] == ["2", "1", "2d", "10s", "zstd", "provisioned"]
    assert name + "x" not in rows
    added = run("topic", "add-partition", name, "-c", "2").out
    assert [line.split() for line in added.splitlines()[1:]] == [["PARTITION", "SPU"], ["2", "5001"], ["3", "5001"]]
    gone = run("topic", "delete", name)
    assert (gone.status, gone.out) == (0, f'topic "{name}" deleted\n')
    assert f"\n{name} " not in run("topic", "list").out


def test_several_are_deleted(run: Run, name: str) -> None:
    run("topic", "create", name)
    stopped = run("topic", "delete", "no-such-topic", name)
    assert (stopped.status, stopped.out) == (1, "")
    assert "no-such-topic" in stopped.err
    went_on = run("topic", "delete", "-c", "no-such-topic", name)
    assert (went_on.status, went_on.out) == (1, f'topic "{name}" deleted\n')
    assert went_on.err.splitlines()[1] == "flv: 1 could not be deleted"


def test_documents_are_those_of_the_library(run: Run, name: str) -> None:
    """What docs/admin-json.md says of fields, and whether there is more, is true of what is written."""
    run("topic", "create", name)
    found = {
        "Topic": run("topic", "create", name, "--exist-ok", "-O", "json"),
        "Partition": run("partition", "list", "-t", name, "-O", "json"),
        "Spu": run("spu", "list", "-O", "json"),
        "ClusterStatus": run("status", "-O", "json"),
    }
    described = documents("Topic|Partition|Spu|ClusterStatus")
    for kind, result in found.items():
        assert result.status == 0
        document = json.loads(result.out)
        first = document[0] if isinstance(document, list) else document
        assert list(first) == list(described[kind])
        for part in ("spec", "status"):
            assert list(first.get(part, {})) == list(described[kind].get(part, {}))


def test_output_before_the_command_or_behind_it(run: Run, name: str) -> None:
    run("topic", "create", name)
    assert json.loads(run("-O", "json", "topic", "list").out) == json.loads(run("topic", "list", "-O", "JSON").out)


def test_yaml(run: Run, name: str) -> None:
    run("topic", "create", name, "-p", "2")
    as_json, as_yaml = (run("topic", "describe", name, "-O", form).out for form in ("json", "yaml"))
    assert yaml.safe_load(as_yaml) == json.loads(as_json)


def test_describe(run: Run, name: str, fluvio_client: Fluvio) -> None:
    run("topic", "create", name, "-p", "2")
    run("produce", name, "-p", "1", input=b"a\nb\n")
    run("consume", name, "-d", "-c", f"{name}-reader")
    text = run("topic", "describe", name).out
    head, partitions, consumers = text.split("\n\n")
    assert re.search(r"^Records: +2$", head, re.MULTILINE)
    assert re.search(r"^Last produced: +20\d\d-\d\d-\d\dT\S+Z \(\d+s ago\)$", head, re.MULTILINE)
    rows = [line.split() for line in partitions.splitlines()]
    assert rows[0] == ["PARTITION", "LEADER", "REPLICAS", "BEGIN", "END", "SIZE", "STATUS"]
    assert [row[:5] for row in rows[1:]] == [["0", "5001", "5001", "0", "0"], ["1", "5001", "5001", "0", "2"]]
    rows = [line.split() for line in consumers.splitlines()[1:]]
    assert [row[:4] for row in rows] == [[f"{name}-reader", "0", "-", "0"], [f"{name}-reader", "1", "1", "0"]]
    whole = json.loads(run("topic", "describe", name, "-O", "json").out)
    assert whole["offsets"] == {"0": {"begin": 0, "end": 0}, "1": {"begin": 0, "end": 2}}
    assert whole["last_produced_ms"] > 1.7e12


def test_topic_of_a_file(run: Run, name: str, tmp_path: Path, fluvio_client: Fluvio) -> None:
    """The fluvio program's files of topics; what is wrong in one is said."""
    file = tmp_path / "topic.json"
    content: dict[str, Any] = {
        "version": "0.1.0",
        "meta": {"name": name},
        "partition": {"count": 3, "max-size": "1 GB", "replication": 1, "ignore-rack-assignment": True},
        "retention": {"time": "2m", "segment-size": "2 MiB"},
        "compression": {"type": "Lz4"},
    }
    file.write_text(json.dumps(content))
    assert run("topic", "create", "--config", str(file)).status == 0
    spec = fluvio_client.admin.topics.get(name).spec
    assert (spec.partitions, spec.ignore_rack, spec.retention) == (3, True, 120)
    assert (spec.max_partition_size, spec.segment_size, spec.compression) == (10**9, 2 << 20, "lz4")
    other = tmp_path / "topic.yaml"
    other.write_text(f"meta:\n  name: {name}-b\nretention: {{time: 1h}}\npartition:\n  count: 2\n")
    assert run("topic", "create", "-c", str(other)).out == f'topic "{name}-b" created\n'
    assert fluvio_client.admin.topics.get(f"{name}-b").spec.retention == 3600
    other.write_text("meta: [")
    assert "is neither JSON nor YAML" in run("topic", "create", "-c", str(other)).err
    file.write_text(json.dumps({**content, "partitions": 3}))
    assert "has 'partitions': it must have what topics have" in run("topic", "create", "-c", str(file)).err
    file.write_text(json.dumps({**content, "retention": {"time": "soon"}}))
    assert "retention.time is 'soon'" in run("topic", "create", "-c", str(file)).err


def test_replicas_by_hand(run: Run, name: str, tmp_path: Path, fluvio_client: Fluvio) -> None:
    file = tmp_path / "replicas.json"
    file.write_text('[{"id": 0, "replicas": [5001]}, {"id": 1, "replicas": [5001]}]')
    assert run("topic", "create", name, "-f", str(file)).status == 0
    assert fluvio_client.admin.topics.get(name).spec.assignment is not None
    both = run("topic", "create", name, "-f", str(file), "-p", "2")
    assert (both.status, "one of them" in both.err) == (2, True)


def test_smartmodules(run: Run, name: str) -> None:
    made = run("smartmodule", "create", name, "--wasm-file", str(WASM / "upper.wasm"))
    assert (made.status, made.out) == (0, f'smartmodule "{name}" created\n')
    listed = run("sm", "list", "--filter", name)
    assert [line.split()[0] for line in listed.out.splitlines()] == ["SMARTMODULE", name]
    (document,) = json.loads(run("sm", "list", "--filter", name, "-O", "json").out)
    assert list(document) == list(documents("SmartModule")["SmartModule"])
    run("topic", "create", name)
    run("produce", name, input=b"one\ntwo\n")
    assert run("consume", name, "-B", "-d", "--sm", name).out == "ONE\nTWO\n"
    assert run("smartmodule", "delete", name).out == f'smartmodule "{name}" deleted\n'
    refused = run("smartmodule", "create", name, "--wasm-file", __file__)
    assert refused.status == 1
    assert "WebAssembly" in refused.err


def test_smartmodule_is_tried_without_a_cluster(run: Run) -> None:
    given = ("smartmodule", "test", "--wasm-file", str(WASM / "contains.wasm"), "-e", "needle=b")
    tried = run(*given, "-v", input=b"abc\nxyz\nb\n", cluster="127.0.0.1:1")
    assert (tried.status, tried.out, tried.err) == (0, "abc\nb\n", "2 records came out, of 3\n")
    assert run(*given, "--text", "xyz", cluster=None).out == ""


def test_table_formats(run: Run, name: str, tmp_path: Path) -> None:
    file = tmp_path / "format.json"
    columns = [{"keyPath": "b.c", "headerLabel": "Inner"}, {"keyPath": "a"}]
    file.write_text(json.dumps({"name": name, "inputFormat": "JSON", "columns": columns}))
    assert run("tf", "create", "-c", str(file)).out == f'table format "{name}" created\n'
    run("topic", "create", name)
    run("produce", name, input=b'{"a": 1, "b": {"c": "x"}}\nno json\n{"a": 22}\n')
    shown = run("consume", name, "-B", "-d", "-O", "table", "--table-format", name)
    assert shown.out == "Inner  a\nx      1\n-      22\n"
    assert shown.err == f"{name}[0]@1 is no JSON object\n"
    plain = run("consume", name, "-B", "-d", "-O", "table", "--suppress-unknown")
    assert (plain.out, plain.err) == ('A   B\n1   {"c": "x"}\n22  -\n', "")
    assert run("table-format", "delete", name).status == 0


def test_spus_are_registered(run: Run) -> None:
    made = run(
        "cluster", "spu", "register", "-i", "7001", "-p", "127.0.0.1:7005", "-v", "127.0.0.1:7006", "--rack", "b"
    )
    assert made.out == 'SPU "custom-spu-7001" registered\n'
    line = next(line for line in run("spu", "list", "--custom").out.splitlines() if "7001" in line)
    assert line.split() == ["7001", "custom-spu-7001", "init", "custom", "b", "127.0.0.1:7005", "127.0.0.1:7006"]
    assert run("spu", "unregister", "--id", "7001").out == 'SPU "7001" unregistered\n'
    assert run("spu", "unregister").status == 2


def test_other_clusters(run: Run, name: str) -> None:
    assert run("remote", "register", name).out == f'remote cluster "{name}" registered\n'
    assert name in run("remote", "list").out
    assert run("home", "status").out == "No home cluster found\n"
    assert run("remote", "unregister", name).status == 0


def test_profiles(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster) -> None:
    monkeypatch.setenv("FLV_PROFILE_PATH", str(tmp_path / "config"))
    assert run("profile", cluster=None).err == "flv: no profile is the current one\n"
    assert run("profile", "add", "here", cluster.endpoint, "local", cluster=None).out == 'switched to profile "here"\n'
    assert run("--tls", "profile", "add", "there", "127.0.0.1:1", cluster=None).status == 0
    assert run("profile", cluster=None).out == "there\n"
    assert "127.0.0.1:1" in run("topic", "list", cluster=None).err
    assert run("--profile", "here", "topic", "list", cluster=None).status == 0
    assert run("profile", "switch", "here", cluster=None).status == 0
    assert run("topic", "list", cluster=None).status == 0
    assert run("profile", "rename", "there", "away", cluster=None).status == 0
    listed = json.loads(run("profile", "list", "-O", "json", cluster=None).out)
    assert listed == [
        {"name": "away", "current": False, "endpoint": "127.0.0.1:1", "tls": "anonymous"},
        {"name": "here", "current": True, "endpoint": cluster.endpoint, "tls": "disabled"},
    ]
    assert run("profile", "list", cluster=None).out.splitlines()[2].split()[:2] == ["*", "here"]
    assert json.loads(run("profile", "export", cluster=None).out)["endpoint"] == cluster.endpoint
    assert run("profile", "delete", "away", cluster=None).status == 0
    unknown = run("--profile", "away", "topic", "list", cluster=None)
    assert (unknown.status, "has no profile" in unknown.err) == (1, True)
    assert "profile add NAME HOST:PORT" in unknown.err


def test_consumers(run: Run, name: str) -> None:
    run("topic", "create", name, "-p", "2")
    run("produce", name, "-p", "0", input=b"a\nb\nc\n")
    identity = f"{name}-id"
    run("consume", name, "-d", "-n", "2", "-c", identity)
    rows = [line.split() for line in run("consumer", "list", identity).out.splitlines()]
    assert rows[0] == ["CONSUMER", "TOPIC", "PARTITION", "OFFSET", "LAG", "LAST", "SEEN"]
    assert [row[:5] for row in rows[1:]] == [[identity, name, "0", "1", "1"], [identity, name, "1", "-", "0", "-"][:5]]
    assert [line.split() for line in run("consumer", "lag", identity).out.splitlines()[1:]] == [
        [identity, name, "2", "1"]
    ]
    reset = run("consumer", "reset", identity, "-t", name, "--to", "beginning")
    assert reset.status == 0
    assert run("consume", name, "-d", "-c", identity).out == "a\nb\nc\n"
    assert run("consumer", "reset", identity, "-t", name, "-p", "0", "--to", "-1").status == 0
    assert run("consume", name, "-d", "-c", identity).out == "c\n"
    deleted = run("consumer", "delete", identity)
    assert deleted.out.splitlines() == [
        f'consumer "{identity}" of topic "{name}", partition {partition}, deleted' for partition in (0, 1)
    ]
    assert run("consumer", "delete", identity).err == f'flv: nothing is stored of consumer "{identity}"\n'
    assert run("consumer", "reset", identity, "-t", name, "--to", "soon").status == 2


def test_groups(run: Run, name: str) -> None:
    run("topic", "create", name, "-p", "2")
    listed = run("group", "list", "-t", name)
    assert listed.out == "No groups found\n"
    for partition in ("0", "1"):
        run("produce", name, "-p", partition, input=b"a\n")
    assert run("consume", name, "--group", "readers", "-n", "2").out == "a\na\n"
    assert [line.split()[:2] for line in run("group", "list", "-t", name).out.splitlines()[1:]] == [["readers", name]]
    group = json.loads(run("group", "describe", "readers", name, "-O", "json").out)
    assert [partition["committed"] for partition in group["partitions"]] == [0, 0]
    assert run("group", "describe", "readers", name).out.startswith("Group:      readers\n")
    assert run("group", "reset", "readers", name, "--to", "beginning").status == 0
    assert run("consume", name, "--group", "readers", "-n", "2").out == "a\na\n"
    assert run("group", "delete", "readers", name).out == f'group "readers" of topic "{name}" deleted\n'


def test_status(run: Run) -> None:
    shown = run("status", "--check")
    assert (shown.status, "SPUs online:      1 of 1" in shown.out) == (0, True)
    assert re.fullmatch(r"\S+ answered in [\d.]+ ms\n", run("ping").out)
    assert json.loads(run("version", "-j").out)["cluster"] is not None
    assert json.loads(run("version", "-j", cluster="127.0.0.1:1").out)["cluster"] is None
    assert run("cluster", "status").out.startswith("Cluster: ")


def test_status_of_a_cluster_that_lacks_something(run: Run, name: str) -> None:
    with LocalCluster(spus=2) as cluster:
        run("topic", "create", name, "-p", "2", cluster=cluster.endpoint)
        cluster.kill_spu(5002)
        with Fluvio.connect(cluster.endpoint) as client, client.admin.cluster.watch() as changes:
            next(
                change for change in changes if change.items[0].spus_online == 1 and change.items[0].offline_partitions
            )
        shown = run("status", "--check", cluster=cluster.endpoint)
        assert (shown.status, "SPUs online:      1 of 2" in shown.out) == (1, True)
        assert re.search(rf"^{name} +\d +5002", shown.out, re.MULTILINE)
        described = run("topic", "describe", name, cluster=cluster.endpoint)
        assert (described.status, "offline" in described.out) == (0, True)


def test_bench(run: Run) -> None:
    for what in ("produce", "consume"):
        found = json.loads(run("bench", what, "-n", "2000", "--clients", "2", "-O", "json").out)
        assert found["records_per_second"] > 0
    found = json.loads(run("bench", "latency", "-n", "20", "-O", "json").out)
    assert found["acknowledged"]["p50"] <= found["end_to_end"]["p99"]
    assert "bench-" not in run("topic", "list").out
    assert run("bench", "produce", "-n", "1000").out.startswith("Produced:  1,000 records of 100 bytes in ")


def test_top(run: Run, name: str) -> None:
    run("topic", "create", name)
    (line,) = run("top", "-n", "1", "-i", "100ms", "-O", "json").out.splitlines()
    assert {"topic": name, "records": 0, "size": 0, "produced": 0.0} in json.loads(line)["topics"]
    assert "PRODUCED/s" in run("top", "-n", "1", "-i", "100ms").out
