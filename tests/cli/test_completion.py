"""Completion, in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest
from cli_support import PROGRAM, environment

from fluvio_cffi import Fluvio, LocalCluster


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """Where `flv` is."""
    script = tmp_path / "bin" / "flv"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {PROGRAM[0]} -c "{PROGRAM[2]}" "$@"\n')
    script.chmod(0o755)
    return script.parent


def around(programs: Path, **changes: str) -> dict[str, str]:
    return environment(PATH=f"{programs}{os.pathsep}{os.environ['PATH']}", **changes)


def interactive(command: list[str], programs: Path, cluster: LocalCluster) -> Any:
    """A shell on a terminal, with a profile of the cluster."""
    profile = programs / "config"
    profile.write_text(cluster.profile_toml())
    child = pexpect.spawn(
        command[0],
        command[1:],
        env=around(programs, FLV_PROFILE_PATH=str(profile), PS1="READY ", ZDOTDIR=str(programs)),
        timeout=30,
        encoding="utf-8",
        dimensions=(24, 200),
    )
    child.expect_exact("READY ")
    return child


def typed(child: Any, line: str, completed: str) -> None:
    child.send(line + "\t")
    child.expect_exact(completed)
    child.sendcontrol("u")


def test_bash(programs: Path, cluster: LocalCluster, fluvio_client: Fluvio, name: str) -> None:
    fluvio_client.admin.topics.create(name)
    child = interactive(["bash", "--norc", "-i"], programs, cluster)
    child.sendline("source <(flv completion bash) && echo so''urced")
    child.expect_exact("sourced")
    typed(child, "flv smartm", "flv smartmodule ")
    typed(child, "flv consume --smartmodule-p", "--smartmodule-path ")
    typed(child, f"flv topic describe {name[:-3]}", f"flv topic describe {name} ")
    typed(child, "flv profile switch loc", "flv profile switch local")
    child.sendline("exit")
    child.expect(pexpect.EOF)


def test_zsh(programs: Path, cluster: LocalCluster, fluvio_client: Fluvio, name: str) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("no zsh here")
    fluvio_client.admin.topics.create(name)
    child = interactive(["zsh", "-f", "-i"], programs, cluster)
    child.sendline("autoload -Uz compinit && compinit -u && source <(flv completion zsh) && echo so''urced")
    child.expect_exact("sourced")
    typed(child, "flv smartm", "odule")
    typed(child, f"flv topic describe {name[:-3]}", name[-3:])
    child.sendline("exit")
    child.expect(pexpect.EOF)


def test_fish(programs: Path, cluster: LocalCluster, fluvio_client: Fluvio, name: str) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish here")
    fluvio_client.admin.topics.create(name)
    script = f"""
        flv completion fish | source
        complete -C 'flv smartm'
        complete -C 'flv -c {cluster.endpoint} topic describe {name[:-3]}'
    """
    shown = subprocess.run(
        ["fish", "--no-config", "-c", script],
        env=around(programs, HOME=str(programs)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert [line.split("\t")[0] for line in shown.stdout.splitlines()] == ["smartmodule", name]


def ask(cluster: str, words: str, programs: Path) -> subprocess.CompletedProcess[str]:
    """What the script of bash does."""
    return subprocess.run(
        ["flv"],
        env=around(programs, _FLV_COMPLETE="bash_complete", COMP_WORDS=words.format(cluster), COMP_CWORD="5"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_names_of_all_kinds(programs: Path, cluster: LocalCluster, fluvio_client: Fluvio, name: str) -> None:
    fluvio_client.admin.topics.create(name)
    fluvio_client.admin.smartmodules.create(name, path=Path(__file__).parents[1] / "smartmodules" / "upper.wasm")
    fluvio_client.admin.table_formats.create(name)
    fluvio_client.admin.consumer_offsets.reset(consumer_id=name, topic=name, partition=0, to=0)
    for words in ("topic delete", "sm delete", "tf delete", "consumer delete"):
        answer = ask(cluster.endpoint, f"flv -c {{}} {words} {name[:-2]}", programs)
        assert answer.stdout == f"plain,{name}\n", words


def test_silent_where_no_cluster_answers(programs: Path, cluster: LocalCluster) -> None:
    """And quick: nobody who presses the tabulator key waits."""
    refused = ask("127.0.0.1:1", "flv -c {} topic delete x", programs)
    assert (refused.stdout.strip(), refused.stderr) == ("", "")
    with LocalCluster() as other, other.faults.stall_controller():
        started = time.monotonic()
        silent = ask(other.endpoint, "flv -c {} topic delete x", programs)
        spent = time.monotonic() - started
    started = time.monotonic()
    ask("127.0.0.1:1", "flv -c {} topic delete x", programs)
    assert (silent.stdout.strip(), silent.stderr) == ("", "")
    # What starting takes is the machine's.
    assert spent - (time.monotonic() - started) < 2.0
