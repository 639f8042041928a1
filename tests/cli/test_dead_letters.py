"""Dead letters, and ``flv dead-letters``."""

from __future__ import annotations

import json
import pickle

import pytest
from cli_support import Run

from fluvio_cffi import ConfigError, Fluvio, LocalCluster, Record
from fluvio_cffi.dead_letters import DeadLetter
from fluvio_cffi.testing import read_all

pytestmark = pytest.mark.timeout(60)

LETTER = DeadLetter("orders", 1, 7, 5, None, b"\xff\0", "ValueError", "ü", 3)


def test_there_and_back() -> None:
    assert DeadLetter.from_json(LETTER.to_json()) == LETTER
    assert DeadLetter.from_json(LETTER.to_json().decode()) == LETTER
    keyed = DeadLetter.of(Record("orders", 1, 8, None, b"", b"x"), KeyError("k"))
    assert DeadLetter.from_json(keyed.to_json()) == keyed
    assert (keyed.key, keyed.error, keyed.message, keyed.attempts) == (b"", "KeyError", "'k'", 1)
    assert pickle.loads(pickle.dumps(keyed)) == keyed
    assert "xff" not in repr(LETTER), "what is in a record is no business of logs"


def test_a_letter_of_another_program() -> None:
    """With nothing but what it must have, and something more."""
    letter = DeadLetter.from_json(b'{"topic": "t", "partition": 0, "offset": 3, "value": "eA==", "more": 1}')
    assert (letter.value, letter.key, letter.timestamp, letter.attempts) == (b"x", None, None, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        b"\xff",
        b"[]",
        b"7",
        b"[" * 100_000,
        b"{}",
        b'{"topic": "t", "partition": 0, "offset": 3, "value": "not base64"}',
        b'{"topic": "t", "partition": 0, "offset": 3, "value": null}',
        b'{"topic": "t", "partition": "0", "offset": 3, "value": ""}',
        b'{"topic": 7, "partition": 0, "offset": 3, "value": ""}',
    ],
)
def test_what_is_no_letter(data: bytes) -> None:
    with pytest.raises(ConfigError, match="this is no dead letter"):
        DeadLetter.from_json(data)


@pytest.fixture
def dead(fluvio_cluster: LocalCluster, name: str) -> str:
    """A topic of letters: of five records of a topic, and one record that is none."""
    with Fluvio.connect(fluvio_cluster.endpoint) as client:
        for topic in (name, f"{name}-dead"):
            client.admin.topics.create(topic)
        with client.producer(f"{name}-dead") as producer:
            for number in range(5):
                record = Record(name, 0, number, None, b"k", b"%d" % number)
                producer.send(DeadLetter.of(record, ValueError("no"), attempts=2).to_json())
            producer.send("no letter")
    return f"{name}-dead"


def values(cluster: LocalCluster, topic: str) -> list[tuple[bytes | None, bytes]]:
    with Fluvio.connect(cluster.endpoint) as client:
        return [(record.key, record.value) for record in read_all(client, topic)]


def test_list(run: Run, dead: str) -> None:
    shown = run("dead-letters", "list", dead)
    assert shown.status == 0
    head, first, *rest = shown.out.splitlines()
    assert head.split() == ["LETTER", "TOPIC", "PARTITION", "OFFSET", "ATTEMPTS", "AGE", "ERROR"]
    assert first.split()[0] == "0/0" and first.endswith("ValueError: no") and len(rest) == 4
    assert f"left out: {dead}[0]@5: this is no dead letter" in shown.err
    documents = json.loads(run("dead-letters", "list", dead, "-n", "3", "-O", "json").out)
    assert [document["record"]["value"] for document in documents] == ["3", "4"]
    assert documents[0]["record"]["key"] == "k" and documents[0]["attempts"] == 2


def test_replay(run: Run, fluvio_cluster: LocalCluster, dead: str, name: str) -> None:
    planned = run("dead-letters", "replay", dead, "--dry-run")
    assert (planned.status, planned.out) == (1, f'5 records would be sent to topic "{name}"\n')
    assert values(fluvio_cluster, name) == []
    sent = run("dead-letters", "replay", dead)
    assert (sent.status, sent.out) == (1, f'5 records sent to topic "{name}"\n')
    assert values(fluvio_cluster, name) == [(b"k", b"%d" % number) for number in range(5)]
    # Each once.
    again = run("dead-letters", "replay", dead)
    assert (again.status, again.out) == (0, "No dead letters to send\n")
    other = run("dead-letters", "replay", dead, "-c", f"{name}-other", "--to", name, "-O", "json")
    assert json.loads(other.out) == [{"topic": name, "records": 5}]
    assert len(values(fluvio_cluster, name)) == 10


def test_what_is_not_sent_is_not_passed_over(run: Run, dead: str, name: str) -> None:
    failed = run("dead-letters", "replay", dead, "--to", f"{name}-nowhere")
    assert (failed.status, failed.out) == (1, "")
    assert f'topic "{name}-nowhere" does not exist' in failed.err
    assert run("dead-letters", "replay", dead).out == f'5 records sent to topic "{name}"\n'
