"""The program as a whole: how it begins, what it exits with, what it says when something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from cli_support import HOME, PROGRAM, Run, environment, flv

import fluvio_cffi
from fluvio_cffi import LocalCluster, Tls
from fluvio_cffi._cli.app import app

ROOT = Path(__file__).parents[2]


def commands(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """A command and all below it."""
    yield context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, click.Context(found, parent=context, info_name=name))


EVERY = {context.command_path: context for context in commands(app, click.Context(app, info_name="flv"))}


@pytest.mark.parametrize("path", EVERY)
def test_help(path: str, run: Run) -> None:
    """Of each command: it is there without a cluster, every option says what it does, and nothing is too wide."""
    result = run(*path.split()[1:], "--help", cluster=None)
    assert (result.status, result.err) == (0, "")
    assert max(map(len, result.out.splitlines())) <= 80
    for parameter in EVERY[path].command.get_params(EVERY[path]):
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


def test_commands_are_listed_in_their_own_words(run: Run) -> None:
    """Though they are not loaded for it."""
    listed = run("--help", cluster=None).out.split("Commands:\n")[1]
    words = dict(line.split(None, 1) for line in listed.splitlines())
    for name, text in words.items():
        command = EVERY[f"flv {name}"].command
        assert text == command.get_short_help_str(limit=60)
    code = "from fluvio_cffi.__main__ import main; main(['--help']); import sys; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert "fluvio_cffi._cli.consume" not in shown.stdout


def test_closed_streams_and_full_disks(run: Run, cluster: LocalCluster, name: str) -> None:
    """Whatever a shell gives it; a cause is told once, and never by the interpreter."""
    run("topic", "create", name)
    program = f'"{PROGRAM[0]}" -c "{PROGRAM[2]}" -c {cluster.endpoint}'
    for what, status, words in (
        ("topic list >&-", 0, ""),
        (f"produce {name} <&-", 0, ""),
        ("topic list > /dev/full", 1, "flv: [Errno 28] No space left on device\n"),
        ("topic nothing 2>&-", 2, ""),
    ):
        shown = subprocess.run(["sh", "-c", f"{program} {what}"], capture_output=True, text=True, env=environment())
        assert (shown.returncode, shown.stderr) == (status, words), what


def test_page_is_up_to_date() -> None:
    """The reference in docs/cli.md is made of the commands."""
    command = [sys.executable, str(ROOT / "tools" / "cli_reference.py"), "--check"]
    subprocess.run(command, check=True, timeout=60, env=environment())


def test_version_loads_nothing() -> None:
    code = (
        "import sys; sys.argv = ['flv', '--version']\n"
        "from fluvio_cffi_flv import main; assert main() == 0\n"
        "print([name for name in ('fluvio_cffi', 'click', 'asyncio') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment())
    assert shown.stdout == f"fluvio_cffi {fluvio_cffi.__version__}\n[]\n"
    for more in (["--version", "topic"], ["-O", "json", "--version"]):
        assert flv(*more).stdout.decode() == f"fluvio_cffi {fluvio_cffi.__version__}\n"


def test_a_list_loads_neither_rich_nor_asyncio(cluster: LocalCluster) -> None:
    """Which would double the time that it takes."""
    code = (
        "import sys; from fluvio_cffi.__main__ import main\n"
        f"assert main(['-c', {cluster.endpoint!r}, 'topic', 'list']) == 0\n"
        "print([name for name in ('rich', 'yaml', 'inspect', 'asyncio') if name in sys.modules], file=sys.stderr)"
    )
    plain = "import sys, fluvio_cffi; print([name for name in ('inspect', 'asyncio') if name in sys.modules])"
    told = [
        subprocess.run([sys.executable, "-c", each], capture_output=True, text=True, check=True, env=environment())
        for each in (code, plain)
    ]
    assert told[0].stderr == told[1].stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 2),
        (("nothing",), 2),
        (("topic",), 2),
        (("topic", "nothing"), 2),
        (("topic", "list", "--nothing"), 2),
        (("topic", "create"), 2),
        (("topic", "create", "x", "-p", "0"), 2),
        (("topic", "create", "x", "-p", "many"), 2),
        (("topic", "create", "Upper"), 1),
        (("topic", "describe", "no-such-topic"), 1),
        (("-O", "toml", "topic", "list"), 2),
        (("produce", "t", "-f", "/nonexistent"), 2),
        (("--ca-cert", "x", "topic", "list"), 1),
    ],
    ids=str,
)
def test_what_is_wrong(run: Run, arguments: tuple[str, ...], status: int) -> None:
    result = run(*arguments)
    assert (result.status, result.out) == (status, "")
    assert result.err.startswith("flv: ") or arguments in ((), ("topic",))
    assert "Traceback" not in result.err


def test_no_cluster(run: Run) -> None:
    result = run("topic", "list", cluster="127.0.0.1:1")
    assert (result.status, result.out) == (1, "")
    assert result.err == (
        "flv: connection to 127.0.0.1:1: Connection refused (os error 111); "
        "start a cluster with 'flv cluster', or name another with -c HOST:PORT or --profile\n"
    )
    told = json.loads(run("topic", "list", "-O", "json", cluster="127.0.0.1:1").err)
    assert (told["error"], told["retriable"]) == ("FluvioConnectionError", True)
    for what in (("consume", "t", "-O", "json"), ("-O", "json", "topic", "describe", "no-such-topic")):
        assert set(json.loads(run(*what, cluster="127.0.0.1:1").err)) >= {"error", "message"}
    assert json.loads(run("-O", "json", "topic", "nothing").err)["error"] == "NoSuchCommand"


def test_no_profile(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a file of profiles it is the cluster that `flv cluster` starts."""
    missing = run("topic", "list", cluster=None)
    assert (missing.status, "profile add NAME HOST:PORT" in missing.err) == (1, True)
    monkeypatch.delenv("FLV_PROFILE_PATH")
    monkeypatch.setenv("HOME", str(tmp_path))
    shown = run("version", "-O", "json", cluster=None)
    assert shown.status == 0
    refused = run("topic", "list", cluster=None)
    assert refused.status == 0 or "127.0.0.1:9003" in refused.err


def test_tls(run: Run) -> None:
    with LocalCluster(tls="mutual") as cluster:
        tls = cluster.tls
        assert isinstance(tls, Tls)
        files = cluster.data_dir / "tls"
        given = ("--ca-cert", str(files / "ca.crt"), "--client-cert", str(files / "client.crt"))
        more = ("--client-key", str(files / "client.key"), "--domain", "fluvio.local")
        assert run("--tls", *given, *more, "topic", "list", cluster=cluster.endpoint).out == "No topics found\n"
        for options in (("--tls",), ("--tls", *given[:2])):
            refused = run(*options, "topic", "list", cluster=cluster.endpoint)
            assert (refused.status, refused.out) == (1, "")


def test_called_by_another_name(cluster: LocalCluster) -> None:
    """As `fluvio`, say: it is what messages name."""
    command = [PROGRAM[0], "-c", PROGRAM[2].replace("'flv'", "'/usr/bin/fluvio'"), "topic", "nothing"]
    shown = subprocess.run(command, capture_output=True, text=True, check=False, env=environment())
    assert shown.stderr.startswith("fluvio: ")
    assert "'fluvio topic --help'" in shown.stderr


# -- without the extra


def bare(*arguments: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Runs it where click and rich are not installed."""
    code = (
        "import sys, importlib.util\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *more: None if name in ('click', 'rich') else find(name, *more)\n"
        "sys.modules['click'] = sys.modules['rich'] = None\n"
        "from fluvio_cffi.__main__ import main; sys.exit(main(program='flv'))"
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**environment(), "PYTHONPATH": HOME},
    )


def test_without_the_extra() -> None:
    alone = bare()
    assert (alone.returncode, alone.stdout) == (2, "")
    assert "run an embedded cluster" in alone.stderr and "pip install 'fluvio_cffi[cli]'" in alone.stderr
    assert bare("--version").stdout == f"fluvio_cffi {fluvio_cffi.__version__}\n"
    assert "an embedded cluster until Ctrl-C" in bare("--help").stdout
    assert "--spus" in bare("cluster", "--help").stdout
    for what in (("topic", "list"), ("consume", "x"), ("-c", "127.0.0.1:1", "topic", "list")):
        refused = bare(*what)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.endswith("needs click and rich: pip install 'fluvio_cffi[cli]'\n")
    assert bare("cluster", "--port", "many").returncode == 2


def test_demo_and_cluster_without_the_extra() -> None:
    assert "and the cluster is gone." in bare("demo", "--records", "1000").stdout
    refused = bare("cluster", "--data-dir", "")
    assert (refused.returncode, refused.stderr.startswith("flv: data_dir is empty")) == (1, True)


def test_start_takes_little_time(cluster: LocalCluster) -> None:
    """Measured against Python itself, as the machine may be busy."""

    def least(*command: str) -> float:
        seconds = []
        for _ in range(7):
            before = os.times()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment())
            after = os.times()
            seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        return min(seconds)

    started = time.monotonic()
    nothing = least(sys.executable, "-c", "pass")
    assert least(*PROGRAM, "--version") < nothing + 0.05
    package = least(sys.executable, "-c", "import fluvio_cffi")
    listed = least(*PROGRAM, "-c", cluster.endpoint, "topic", "list")
    assert listed < package + 0.15, (nothing, package, listed, time.monotonic() - started)
