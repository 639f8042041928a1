"""The same programs, run by the package fluvio of PyPI and by this one on one cluster: they get the same answers, but
where this one knows better."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from witness import needs_witness

from fluvio_cffi import Fluvio, LocalCluster

PROGRAMS = Path(__file__).parent / "programs"
WASM = Path(__file__).parents[1] / "smartmodules" / "upper.wasm"


def _type_error(text: str) -> list[str]:
    return ["raises TypeError", text]


# By program and label: what the witness says, and what is said here instead. docs/migration.md has them all.
DIFFERENT: dict[str, dict[str, tuple[Any, Any]]] = {
    "administration": {
        "with a retention as text": (
            _type_error("argument 'time_in_seconds': 'float' object cannot be interpreted as an integer"),
            True,
        ),
        "with a compression": (
            _type_error("argument 'compression': 'str' object cannot be converted to 'Compression'"),
            True,
        ),
        "with an assignment": (
            _type_error("argument 'maps': 'PartitionMap' object cannot be converted to 'PartitionMap'"),
            True,
        ),
        "new": (False, True),
        "with a request": (
            _type_error("FluvioAdmin.create_topic_with_config() takes 2 positional arguments but 3 were given"),
            None,
        ),
    }
}


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Fluvio]:
    with Fluvio.connect(cluster.endpoint) as client:
        yield client


def prepare(client: Fluvio, program: str, name: str) -> None:
    """The topics that a program finds there."""
    client.admin.topics.create(f"{name}-0")
    if program in ("offsets", "tasks"):
        with client.producer(f"{name}-0") as producer:
            producer.send_all([b"%d" % number for number in range(10)])
    if program == "values":
        client.admin.topics.create(f"{name}-2", partitions=3)
        client.admin.topics.create(f"{name}-1")
        with client.producer(f"{name}-1") as producer:
            producer.send(b"keyless")
    if program == "tasks":
        client.admin.topics.create(f"{name}-1")
        client.admin.topics.create(f"{name}-2")
        with client.producer(f"{name}-2") as producer:
            producer.send_all([b"one", b"two"])


def said(program: str, name: str, profile: Path, *how: str) -> dict[str, Any]:
    """What a program says, by label; several with one label are a list."""
    command = [sys.executable, "-W", "ignore", *how, str(PROGRAMS / f"{program}.py"), name, str(WASM)]
    environment = os.environ | {"FLV_PROFILE_PATH": str(profile)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stdout[-500:] + result.stderr[-3000:]
    found: dict[str, Any] = {}
    for label, what in map(json.loads, result.stdout.replace(name, "TOPIC").splitlines()):
        found.setdefault(label, []).append(what)
    return {label: what[0] if len(what) == 1 else what for label, what in found.items()}


@needs_witness
@pytest.mark.parametrize("program", ["administration", "errors", "offsets", "tasks", "values"])
def test_the_answers_are_the_same(client: Fluvio, profile_file: Path, program: str) -> None:
    answers = {}
    for who, how in (("witness", ()), ("ours", ("-m", "fluvio_cffi.compat"))):
        name = f"{program}-{who}"
        prepare(client, program, name)
        answers[who] = said(program, name, profile_file, *how)
    witness, ours = answers["witness"], answers["ours"]
    different = {
        label: (witness.get(label), ours.get(label))
        for label in [*witness, *(label for label in ours if label not in witness)]
        if witness.get(label) != ours.get(label)
    }
    assert different == DIFFERENT.get(program, {})
