"""``consume --parquet``: a file of a topic, whole or not there."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cli_support import Run, started

from fluvio_cffi import LocalCluster

if sys.implementation.name != "cpython":
    pytest.skip("Arrow data is for CPython only", allow_module_level=True)

import pyarrow.parquet as parquet

pytestmark = pytest.mark.timeout(60)


def filled(run: Run, name: str, count: int = 10) -> None:
    assert run("topic", "create", name).status == 0
    content = "".join(f"k{number % 3}={number}\n" for number in range(count))
    assert run("produce", name, "--key-separator", "=", input=content.encode()).status == 0


def values(file: Path) -> list[str]:
    return [value.decode() for value in parquet.read_table(file)["value"].to_pylist()]


def test_a_file(run: Run, name: str, tmp_path: Path) -> None:
    filled(run, name)
    file = tmp_path / "all.parquet"
    result = run("consume", name, "-B", "-d", "--parquet", str(file))
    assert (result.status, result.out, result.err) == (0, "", f"10 records in {file}\n")
    table = parquet.read_table(file)
    assert table.column_names == ["partition", "offset", "timestamp", "key", "value"]
    assert table["key"].to_pylist() == [b"k%d" % (number % 3) for number in range(10)]
    assert table["offset"].to_pylist() == [*range(10)]
    assert table.schema.metadata[b"topic"] == name.encode()
    assert [path.name for path in tmp_path.iterdir()] == ["all.parquet"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["-B", "-n", "4"], range(4)),
        (["-B", "-d", "-n", "40"], range(10)),
        (["--start", "7", "-d"], range(7, 10)),
        (["-T", "2", "-d"], range(8, 10)),
        (["-d"], range(0)),
    ],
    ids=str,
)
def test_which_records(run: Run, name: str, tmp_path: Path, options: list[str], expected: range) -> None:
    filled(run, name)
    file = tmp_path / "some.parquet"
    assert run("consume", name, *options, "--parquet", str(file)).status == 0
    assert values(file) == [str(number) for number in expected]


def test_the_next_file_begins_where_this_one_ends(run: Run, name: str, tmp_path: Path) -> None:
    filled(run, name)
    for number, expected in enumerate([range(6), range(6, 10), range(0)]):
        file = tmp_path / f"{number}.parquet"
        result = run("consume", name, "-c", name, "-d", "-n", "6", "--parquet", str(file))
        assert result.status == 0, result.err
        assert values(file) == [str(each) for each in expected]


def test_what_cannot_be_written_is_not_committed(run: Run, name: str, tmp_path: Path) -> None:
    filled(run, name)
    result = run("consume", name, "-c", name, "-d", "--parquet", str(tmp_path / "none" / "file.parquet"))
    assert result.status == 1
    assert "file.parquet cannot be written: No such file or directory" in result.err
    listed = run("-O", "json", "consumer", "list")
    assert not [one for one in json.loads(listed.out) if one["consumer_id"] == name]


def test_ctrl_c_ends_the_file(cluster: LocalCluster, run: Run, name: str, tmp_path: Path) -> None:
    filled(run, name)
    file = tmp_path / "until.parquet"
    command = ["-c", cluster.endpoint, "consume", name, "-c", name, "--parquet", str(file)]
    with started(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        while not [*tmp_path.iterdir()]:
            assert program.poll() is None
        program.send_signal(signal.SIGINT)
        _, error = program.communicate(timeout=30)
    assert program.returncode == 128 + signal.SIGINT, error
    assert values(file) == [str(number) for number in range(int(error.split()[0]))]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["-O", "json"], "--parquet and --output are given: the columns are what they are"),
        (["--end", "3"], "--parquet and --end are given"),
        (["-F", "{{value}}"], "--parquet and --format are given"),
        (["-k"], "--parquet and --key-value are given"),
        (["other"], "--parquet and several topics are given: a file has the records of one"),
    ],
    ids=lambda value: str(value[0]) if isinstance(value, list) else "",
)
def test_what_does_not_go_with_it(run: Run, name: str, tmp_path: Path, options: list[str], words: str) -> None:
    result = run("consume", name, *options, "--parquet", str(tmp_path / "file.parquet"))
    assert result.status == 2
    assert words in " ".join(result.err.split())


def test_without_pyarrow(run: Run, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = run("consume", name, "--parquet", str(tmp_path / "file.parquet"))
    assert result.status == 2
    assert "--parquet needs pyarrow: pip install pyarrow" in result.err
