"""``produce`` and ``consume``: what goes in comes out."""

from __future__ import annotations

import base64
import json
import random
import re
import subprocess
from pathlib import Path

import pytest
from cli_support import Run, flv, started
from laws import LONG, has_long_form

from fluvio_cffi import Fluvio, LocalCluster


def filled(run: Run, name: str, content: bytes, *options: str) -> None:
    """A topic with the lines of this."""
    assert run("topic", "create", name).status == 0
    sent = run("produce", name, *options, input=content)
    assert (sent.status, sent.out) == (0, "")


def test_lines(run: Run, name: str) -> None:
    """As the tests of the PyPI client read what was sent: nothing but the values."""
    filled(run, name, b"one\n\ntwo\r\nlast without an end")
    result = run("consume", name, "-B", "-d")
    assert (result.status, result.out, result.err) == (0, "one\n\ntwo\r\nlast without an end\n", "")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("-B",), "012345"),
        ((), ""),
        (("-A", "-B"), "012345"),
        (("-H", "2"), "2345"),
        (("--head", "6"), ""),
        (("-T", "2"), "45"),
        (("--tail", "100"), "012345"),
        (("--start", "3"), "345"),
        (("-B", "--end", "2"), "012"),
        (("--start", "1", "--end", "1"), "1"),
        (("-B", "-n", "4"), "0123"),
        (("-B", "--max", "4", "--end", "1"), "01"),
        (("-B", "-p", "0"), "012345"),
        (("-B", "--isolation", "ReadCommitted", "-b", "1KiB", "--disable-progressbar"), "012345"),
    ],
)
def test_where_it_begins_and_ends(run: Run, name: str, options: tuple[str, ...], expected: str) -> None:
    filled(run, name, b"0\n1\n2\n3\n4\n5\n")
    result = run("consume", name, "-d", *options, "--separator", "")
    assert (result.status, result.out) == (0, expected)


def test_it_ends_by_itself_where_the_options_say(run: Run, name: str) -> None:
    """Without -d: by --end, in each partition, and by -n."""
    run("topic", "create", name, "-p", "2")
    for partition in ("0", "1"):
        run("produce", name, "-p", partition, input=b"a\nb\nc\n")
    result = run("consume", name, "-B", "--end", "1")
    assert sorted(result.out.split()) == ["a", "a", "b", "b"]
    assert len(run("consume", name, "-B", "-n", "5").out.split()) == 5


@pytest.mark.parametrize(
    "options",
    [
        ("-B", "-T", "1"),
        ("-B", "--format", "x", "-O", "raw"),
        ("-A", "-p", "0"),
        ("--start", "3", "--end", "2"),
        ("-F", "{{nothing}}"),
        ("-e", "a=b"),
        ("-e", "ab", "--sm", "x"),
        ("--sm", "a", "--transform", "b"),
        ("-n", "0"),
        ("--isolation", "none"),
        ("-c", "a", "--group", "b"),
        ("--instance", "a"),
        ("-O", "table", "--truncate"),
    ],
    ids=" ".join,
)
def test_options_that_cannot_be(run: Run, options: tuple[str, ...]) -> None:
    """They are refused before a cluster is asked."""
    result = run("consume", "any", *options, cluster="127.0.0.1:1")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith("flv: ")
    assert result.err.endswith("'flv consume --help' says what there is.\n")


def test_keys_and_templates(run: Run, name: str) -> None:
    filled(run, name, b"a=1\nb==2\n", "--key-separator", "=")
    run("produce", name, input=b"keyless\n")
    assert run("consume", name, "-B", "-d", "-k").out == "[a] 1\n[b] =2\n[null] keyless\n"
    template = "{{topic}}[{{ partition }}]@{{offset}} {{key}}: {{{value}}} {{timestamp}} {{time}}"
    lines = run("consume", name, "-B", "-d", "-F", template).out.splitlines()
    assert re.fullmatch(rf"{name}\[0\]@0 a: 1 \d{{13}} \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z", lines[0])
    assert lines[2].startswith(f"{name}[0]@2 null: keyless ")
    run("produce", name, "--key", "k", input=b"with one key\n")
    assert run("consume", name, "-T", "1", "-d", "-k").out == "[k] with one key\n"


def test_lines_without_a_key_are_told(run: Run, name: str) -> None:
    run("topic", "create", name)
    result = run("produce", name, "--key-separator", "=", input=b"a=1\nnothing\nb=2\n")
    assert (result.status, result.err) == (1, "left out: 'nothing' has no '=' in it\n")
    assert run("consume", name, "-B", "-d", "-k").out == "[a] 1\n[b] 2\n"


def test_json_goes_around(run: Run, name: str) -> None:
    """What ``consume -O json`` writes, ``produce --json-lines`` reads: also what is no text."""
    filled(run, name, b"a:1\n\xff:\xfe\n:\n", "--key-separator", ":")
    written = run("consume", name, "-B", "-d", "-O", "json").out
    documents = [json.loads(line) for line in written.splitlines()]
    assert list(documents[0]) == ["topic", "partition", "offset", "timestamp_ms", "key", "value"]
    assert run("-O", "json", "consume", name, "-B", "-d").out == written
    assert [documents[0][part] for part in ("topic", "partition", "offset", "key", "value")] == [name, 0, 0, "a", "1"]
    assert base64.b64decode(documents[1]["key_base64"]) == b"\xff"
    filled(run, f"{name}-b", written.encode(), "--json-lines")
    again = [json.loads(line) for line in run("consume", f"{name}-b", "-B", "-d", "-O", "json").out.splitlines()]
    content = ("key", "key_base64", "value", "value_base64")
    assert [[item.get(part) for part in content] for item in again] == [
        [item.get(part) for part in content] for item in documents
    ]
    wrong = run(
        "produce", name, "--json-lines", input=b'nothing\n{"key": "a"}\n{"value_base64": "?"}\n{"value": {"a": 1}}\n'
    )
    assert wrong.status == 1
    assert [line[:9] for line in wrong.err.splitlines()] == ["left out:"] * 3
    assert run("consume", name, "-T", "1", "-d").out == '{"a":1}\n'


def test_formats(run: Run, name: str) -> None:
    filled(run, name, b"text\n")
    run("produce", name, "--raw", "--key", "k", input=b"\0\x01bin\nary" + bytes(range(32, 48)))
    dump = (
        '00000000  00 01 62 69 6e 0a 61 72  79 20 21 22 23 24 25 26  |..bin.ary !"#$%&|\n'
        "00000010  27 28 29 2a 2b 2c 2d 2e  2f                       |'()*+,-./|\n" + "-" * 79 + "\n"
    )
    assert run("consume", name, "-B", "-d").out == "text\n" + dump
    assert run("consume", name, "-B", "-d", "-O", "text").out == "text\nbinary: (25 bytes)\n"
    assert run("consume", name, "-T", "1", "-d", "-O", "binary").out == dump
    raw = run("consume", name, "-B", "-d", "-O", "RAW", "--separator", "|").out
    assert raw == "text|\0\x01bin\nary !\"#$%&'()*+,-./|"


def test_cut_to_a_line(run: Run, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    filled(run, name, b"a" * 30 + b"\nshort\n")
    assert run("consume", name, "-B", "-d", "--truncate").out == "a" * 19 + "…\nshort\n"


def test_smartmodules(run: Run, name: str, tmp_path: Path) -> None:
    modules = Path(__file__).parents[1] / "smartmodules"
    filled(run, name, b"a1\nb2\na3\n")
    given = ("consume", name, "-B", "-d", "--smartmodule-path")
    assert run(*given, str(modules / "contains.wasm"), "-e", "needle=a").out == "a1\na3\n"
    assert run("sm", "create", name, "--wasm-file", str(modules / "upper.wasm")).status == 0
    assert run("consume", name, "-B", "-d", "--transform", json.dumps({"uses": name})).out == "A1\nB2\nA3\n"
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps({"transforms": [{"uses": name}]}))
    run("produce", name, "-t", str(file), input=b"sent\n")
    assert run("consume", name, "-T", "1", "-d").out == "SENT\n"
    summed = ("--a-init", "40", "--sm_path", str(modules / "sum.wasm"))
    filled(run, f"{name}-n", b"1\n1\n")
    assert run("consume", f"{name}-n", "-B", "-d", *summed).out == "41\n42\n"


def test_a_consumer_goes_on_where_it_was(run: Run, name: str) -> None:
    filled(run, name, b"0\n1\n2\n3\n")
    identity = ("-c", f"{name}-id", "-d", "--separator", "")
    assert run("consume", name, *identity, "-n", "1").out == "0"
    assert run("consume", name, *identity, "--end", "2").out == "12"
    assert run("consume", name, *identity).out == "3"
    assert run("consume", name, *identity).out == ""


def test_what_was_not_written_comes_again(run: Run, name: str, fluvio_client: Fluvio, cluster: LocalCluster) -> None:
    """The reader of the output goes away in the middle: what it may not have read is not counted."""
    run("topic", "create", name)
    with fluvio_client.producer(name) as producer:
        producer.send_all([b"%06d" % number for number in range(200_000)])
    given = ("-c", cluster.endpoint, "consume", name, "-c", f"{name}-id", "-d")
    with started(*given, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"000000\n"
        process.stdout.close()
        assert (process.wait(30), process.stderr.read()) == (0, b"")
    # As much as a pipe holds was perhaps not read.
    again = int(run("consume", name, "-c", f"{name}-id", "-d", "-n", "1").out)
    assert again < 200_000 - (1 << 16) // 7


def test_several_topics(run: Run, name: str) -> None:
    filled(run, name, b"a\nb\n")
    filled(run, f"{name}-2", b"c\n")
    result = run("consume", name, f"{name}-2", "-B", "-d", "-F", "{{topic}} {{value}}")
    assert sorted(result.out.splitlines()) == [f"{name} a", f"{name} b", f"{name}-2 c"]
    assert run("consume", name, f"{name}-2", "--end", "1").status == 2
    identity = ("-c", f"{name}-id", "-d")
    assert len(run("consume", name, f"{name}-2", *identity, "-n", "2").out.splitlines()) == 2
    assert len(run("consume", name, f"{name}-2", *identity).out.splitlines()) == 1


def test_since(run: Run, name: str) -> None:
    filled(run, name, b"old\n")
    assert run("consume", name, "-d", "--since", "10m").out == "old\n"
    assert run("consume", name, "-d", "--since", "2100-01-01T00:00Z").out == ""
    (document,) = [json.loads(line) for line in run("consume", name, "-B", "-d", "-O", "json").out.splitlines()]
    assert run("consume", name, "-d", "--since", str(document["timestamp_ms"])).out == "old\n"
    assert run("consume", name, "-d", "--since", str(document["timestamp_ms"] + 1)).out == ""
    assert run("consume", name, "-d", "--since", "soon").status == 2


def test_mirrored_partitions_only(run: Run, name: str) -> None:
    filled(run, name, b"")
    assert run("produce", name, "-m", "edge", input=b"x\n").err == f"flv: no partition of '{name}' goes to 'edge'\n"
    assert run("produce", name, "-m", "edge", "-p", "0").status == 2
    assert run("consume", name, "-m", "edge", "-d").err == f"flv: no partition of '{name}' belongs to 'edge'\n"
    assert run("consume", name, "-m", "edge", "-p", "0").status == 2
    assert run("consume", name, "other", "-m", "edge").status == 2


def test_the_partition_of_a_mirror(run: Run, name: str, tmp_path: Path) -> None:
    remotes = [f"{name}-one", f"{name}-two"]
    file = tmp_path / "mirrors.json"
    file.write_text(json.dumps(remotes))
    for remote in remotes:
        assert run("remote", "register", remote).status == 0
    assert run("topic", "create", name, "--mirror-apply", str(file), "--home-to-remote").status == 0
    for remote in remotes:
        assert run("produce", name, "-m", remote, input=remote.encode()).status == 0
    for remote in remotes:
        assert run("consume", name, "-m", remote, "-B", "-d").out == f"{remote}\n"
    run("topic", "delete", name)
    run("remote", "unregister", *remotes)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--raw", "--key-separator", "="), "one of them says what a line is"),
        (("--key-separator", ""), "--key-separator is empty"),
        (("--rate", "fast"), "'fast' must be a number of records"),
        (("--delivery-semantic", "twice"), "delivery-semantic"),
        (("--linger", "soon"), "'soon' must be a time span"),
        (("--compression", "rar"), "compression"),
    ],
)
def test_producing_so_cannot_be(run: Run, options: tuple[str, ...], words: str) -> None:
    result = run("produce", "any", *options)
    assert (result.status, result.out) == (2, "")
    assert words in result.err


def test_all_options_of_producing(run: Run, name: str, tmp_path: Path) -> None:
    run("topic", "create", name)
    file = tmp_path / "lines"
    file.write_bytes(b"a\nb\n")
    given = ("--compression", "LZ4", "--linger", "5ms", "--batch-size", "32KiB", "--max-request-size", "1MB")
    more = ("--isolation", "read_committed", "--delivery-semantic", "AtMostOnce", "--rate", "100/s", "-v")
    result = run("produce", name, "-f", str(file), *given, *more)
    assert result.status == 0
    assert re.fullmatch(r"2 records, 2 B, acknowledged in [\d.]+ s \([\d,]+/s, .*/s\)\n", result.err)
    assert run("consume", name, "-B", "-d").out == "a\nb\n"


def test_a_line_that_is_too_long_ends_it(run: Run, name: str, cluster: LocalCluster) -> None:
    """And is not gathered without end."""
    run("topic", "create", name)
    given = ("-c", cluster.endpoint, "produce", name, "--max-request-size", "10KiB")
    result = flv(*given, input=b"short\n" + b"x" * (4 << 20))
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == b"flv: a line has more than 10,240 bytes, which is the size of a request\n"
    assert run("consume", name, "-B", "-d").out == "short\n"


@has_long_form
def test_what_goes_in_comes_out_byte_by_byte(cluster: LocalCluster, name: str, tmp_path: Path) -> None:
    """A large file, with all that a byte can be but an end of line: by file, and by pipe."""
    megabytes = 100 if LONG else 20
    content = lines_of(megabytes << 20)
    file = tmp_path / "content"
    file.write_bytes(content)
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create(name)
        try:
            sent = flv("-c", cluster.endpoint, "produce", name, "-f", str(file), timeout=120)
            assert (sent.returncode, sent.stderr) == (0, b"")
            got = flv("-c", cluster.endpoint, "consume", name, "-B", "-d", "-O", "raw", timeout=120)
            assert got.stdout == content
            sent = flv("-c", cluster.endpoint, "produce", name, input=content, timeout=120)
            count = content.count(b"\n")
            got = flv("-c", cluster.endpoint, "consume", name, "--start", str(count), "-d", "-O", "raw", timeout=120)
            assert got.stdout == content
        finally:
            client.admin.topics.delete(name)


def lines_of(size: int) -> bytes:
    """Lines of up to 200 bytes, of any bytes."""
    dice = random.Random(1)
    block = bytes(byte for byte in dice.randbytes(1 << 16) if byte != 10)
    lines, length = list[bytes](), 0
    while length < size:
        start = dice.randrange(len(block) - 200)
        line = block[start : start + dice.randrange(200)]
        lines.append(line)
        length += len(line) + 1
    return b"\n".join([*lines, b""])
