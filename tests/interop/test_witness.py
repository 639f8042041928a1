"""The client `fluvio` 0.21.0 of PyPI as a witness: each of the two reads all that the other has written. The official
Rust client bears the same witness in rust-ffi/engine/tests/witness.rs."""

from __future__ import annotations

import contextlib
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from smartmodule_support import MODULES
from witness import needs_witness

from fluvio_cffi import Fluvio, LocalCluster, Offset, SmartModule

PAGE = Path(__file__).parents[2] / "docs" / "group-log.md"
PROGRAM = Path(__file__).parents[1] / "support" / "pypi_fluvio.py"
CODECS = {"none": "None_", "gzip": "Gzip", "snappy": "Snappy", "lz4": "Lz4", "zstd": "Zstd"}
# More than any backlog here. With less it loses what a reply cuts in two.
ABOVE_THE_BACKLOG = 64 << 20
Pair = tuple["bytes | None", bytes]


pytestmark = needs_witness


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Fluvio]:
    with Fluvio.connect(cluster.endpoint) as client:
        yield client


def pypi(*arguments: object, stdin: str = "") -> str:
    result = subprocess.run(
        [sys.executable, str(PROGRAM), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def to_lines(pairs: list[Pair]) -> str:
    return "".join(
        f"{offset} {'-' if key is None else key.hex()} {value.hex()}\n" for offset, (key, value) in enumerate(pairs)
    )


def pairs(seed: int, *, keyless: bool, count: int = 2000, most: int = 300) -> list[Pair]:
    """Records with keys and with empty ones; some empty, some large."""
    chance = random.Random(seed)
    keys: list[Any] = [lambda: b"", lambda: chance.randbytes(20)]
    if keyless:
        keys.append(lambda: None)
    sizes = [0, most, most, most, 20_000]
    return [(chance.choice(keys)(), chance.randbytes(chance.randint(0, chance.choice(sizes)))) for _ in range(count)]


@pytest.mark.parametrize("codec", CODECS)
def test_it_reads_all_that_is_produced_here(client: Fluvio, codec: Any) -> None:
    topic = f"pypi-reads-{codec}"
    client.admin.topics.create(topic)
    records = pairs(1, keyless=True)
    with client.producer(topic, compression=codec) as producer:
        producer.send_all(records)
    assert pypi("consume", client.endpoint, topic, ABOVE_THE_BACKLOG) == to_lines(records)


@pytest.mark.parametrize("codec", CODECS)
def test_all_that_it_produces_is_read_here(client: Fluvio, codec: str) -> None:
    topic = f"pypi-writes-{codec}"
    client.admin.topics.create(topic)
    # It cannot produce a record without a key.
    records = pairs(2, keyless=False)
    pypi("produce", client.endpoint, topic, CODECS[codec], stdin=to_lines(records))
    with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        assert [(record.offset, record.key, record.value) for record in consumer] == [
            (offset, key, value) for offset, (key, value) in enumerate(records)
        ]


def test_it_loses_no_larger_share_of_what_is_produced_here(client: Fluvio) -> None:
    """At its default settings it loses the rest of each batch that the end of a reply cuts, whoever wrote it. Where
    that falls is chance, for which there is some room."""
    chance = random.Random(3)
    records: list[Pair] = [(b"", bytes(chance.randint(50, 2000))) for _ in range(15_000)]
    lost = {"ours": 0, "theirs": 0}
    for run in range(5):
        for whose in lost:
            topic = f"pypi-loses-{whose}-{run}"
            client.admin.topics.create(topic)
            if whose == "ours":
                with client.producer(topic) as producer:
                    producer.send_all(records)
            else:
                pypi("produce", client.endpoint, topic, stdin=to_lines(records))
            lost[whose] += len(records) - pypi("consume", client.endpoint, topic).count("\n")
    print("lost of", 5 * len(records), "each:", lost)
    assert lost["theirs"] > 0
    assert lost["ours"] <= lost["theirs"] * 1.3


def documented() -> dict[str, set[str]]:
    """The fields of each command in the log of groups, as its page shows them."""
    fields: dict[str, set[str]] = {}
    for block in re.findall(r"```json [^\n]+\n(.*?)```", PAGE.read_text(), re.DOTALL):
        with contextlib.suppress(json.JSONDecodeError):
            shown = json.loads(block)
            fields.setdefault(shown["type"], set()).update(shown)
    return fields


def test_it_reads_the_log_of_groups(client: Fluvio) -> None:
    """What members say is there for everybody, as it is documented."""
    topic, group = "shared-by-a-group", "seen"
    client.admin.topics.create(topic)
    with client.producer(topic) as producer:
        producer.send_all(str(number) for number in range(10))
    with client.consumer(topic, group=group, instance="one", stop_at_end=True) as consumer:
        for record in consumer:
            last = record
        consumer.commit(last)
        epoch, member = consumer.epoch(0), consumer.member_id
        consumer.close(leave=True)
    client.admin.groups.reset(group, topic, Offset.beginning())
    client.admin.groups.delete(group, topic)
    said = []
    for line in pypi("consume", client.endpoint, "consumer-group", ABOVE_THE_BACKLOG).splitlines():
        _, key, value = line.split(" ")
        if bytes.fromhex(key) == f"{group}/{topic}".encode():
            said.append(json.loads(bytes.fromhex(value)))
    fields = documented()
    for command in said:
        assert set(command) <= fields[command["type"]], command
    assert {command["member"] for command in said if "member" in command} == {member}
    kinds = [command["type"] for command in said if command["type"] not in ("beat", "snapshot")]
    assert kinds == ["join", "commit", "commit", "leave", "reset", "delete"]
    commits = [command["offsets"] for command in said if command["type"] == "commit"]
    assert commits == [[[0, epoch, -1]], [[0, epoch, 9]]]


KINDS: list[tuple[list[tuple[str, dict[str, Any]]], list[str]]] = [
    ([("contains", {"params": {"needle": "a"}})], ["ab", "bc", "ca"]),
    ([("upper", {})], ["a", "b"]),
    ([("even_half", {})], ["2", "3", "8"]),
    ([("split", {})], ["[1,2]", "[]", '["c"]']),
    ([("sum", {})], ["1", "2", "3"]),
    ([("sum", {"aggregate": "10"})], ["1", "2", "3"]),
    ([("contains", {"params": {"needle": ","}}), ("split", {}), ("sum", {})], ["[1,2]", "[30]", "[4,5,6]"]),
]
"""Each kind of SmartModule, and a chain; with what is sent through them."""


@pytest.mark.parametrize("where", ["name", "path"])
@pytest.mark.parametrize(("calls", "sent"), KINDS)
def test_smartmodules_give_it_the_same_values(
    client: Fluvio, calls: list[tuple[str, dict[str, Any]]], sent: list[str], where: str
) -> None:
    topic = f"pypi-transforms-{time.time_ns()}"
    client.admin.topics.create(topic)
    with client.producer(topic) as producer:
        producer.send_all(sent)
    chain, theirs = [], []
    for name, keywords in calls:
        path = MODULES / f"{name}.wasm"
        client.admin.smartmodules.create(name, path=path, exist_ok=True)
        here: dict[str, Any] = {"name": name} if where == "name" else {"path": str(path)}
        theirs.append(json.dumps({**here, **keywords}))
        renamed = {{"aggregate": "initial"}.get(key, key): value for key, value in keywords.items()}
        chain.append(SmartModule(**here, **renamed))
    with client.consumer(topic, start=Offset.beginning(), stop_at_end=True, smartmodules=chain) as consumer:
        expected = [record.value.hex() for record in consumer]
    assert expected
    lines = pypi("transform", client.endpoint, topic, 0, len(expected), *theirs).splitlines()
    assert [line.split(" ")[2] for line in lines] == expected


def test_from_the_middle_of_a_batch_it_loses_what_passes_here(client: Fluvio) -> None:
    """As on the real server: it takes offsets for places in the reply, and drops what seems to lie before the start."""
    topic = f"pypi-middle-{time.time_ns()}"
    client.admin.topics.create(topic)
    for batch in range(3):
        with client.producer(topic, linger=60) as producer:
            producer.enqueue(f"b{batch}0")
            for number in range(1, 10):
                producer.enqueue(f"{'a' if number > 6 else 'b'}{batch}{number}")
            producer.flush()
    passes = SmartModule(path=MODULES / "contains.wasm", params={"needle": "a"})
    with client.consumer(topic, start=Offset.at(8), stop_at_end=True, smartmodules=passes) as consumer:
        assert [record.offset for record in consumer] == [8, 9, 17, 18, 19, 27, 28, 29]
    call = json.dumps({"path": str(MODULES / "contains.wasm"), "params": {"needle": "a"}})
    (only,) = pypi("transform", client.endpoint, topic, 8, 1, call).splitlines()
    assert only.split(" ")[2] == b"a29".hex()
