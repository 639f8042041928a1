"""The C interface under calls in any order with any handles, on eight threads: it never crashes, and leaves nothing."""

from __future__ import annotations

import re
import time
from pathlib import Path

import c_support
import pytest
from c_support import SOURCES, Toolchain
from laws import LONG

from fluvio_cffi import Fluvio, LocalCluster

SOURCE = SOURCES / "sequences.c"
SECONDS = 60 if LONG else 2
ROUNDS = 10 if LONG else 1
# They end the library, or write files; test_c_abi.py and Rust tests have them.
LEFT_OUT = {"flv_fork_child", "flv_runtime_shutdown", "flv_debug_panic"}

pytestmark = pytest.mark.timeout(60 + 2 * SECONDS * ROUNDS)


def test_calls_in_any_order(tmp_path: Path) -> None:
    toolchain = Toolchain(tmp_path)
    program = toolchain.compile(SOURCE, "-std=gnu11", "-g")
    with LocalCluster() as cluster:
        with Fluvio.connect(cluster.endpoint) as client:
            client.admin.topics.create("seq-a")
            client.admin.topics.create("seq-b", partitions=2)
        for _ in range(ROUNDS):
            seed = time.time_ns() % 1_000_000
            printed = toolchain.run(program, cluster.endpoint, str(SECONDS), str(seed), timeout=SECONDS + 50)
            print(f"seed {seed}: {printed.strip()}")
        with Fluvio.connect(cluster.endpoint) as client:
            assert {"seq-a", "seq-b"} <= {topic.name for topic in client.admin.topics.list()}


def test_every_function_takes_part() -> None:
    called = set(re.findall(r"\b(flv_\w+)\)?\(", SOURCE.read_text(encoding="utf-8")))
    missing = {name for name in c_support.declared_functions() - called if not name.startswith("flv_profiles_")}
    assert missing == LEFT_OUT
