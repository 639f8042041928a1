"""What the README and the pages in docs/ show is run, prints what they show, and what they name exists.

The documents of docs/admin-json.md are the business of rust-ffi/abi/src/admin, those of docs/group-log.md the business
of rust-ffi/group.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import signal
import subprocess
import sys
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from c_support import Toolchain

import fluvio_cffi
from fluvio_cffi import Fluvio, LocalCluster, Offset, _errors, codecs

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOR_DEVELOPERS = [
    *(ROOT / f"{name}.md" for name in ("ARCHITECTURE", "CONTRIBUTING", "RELEASING", "SECURITY")),
    *sorted((ROOT / "docs" / "dev").rglob("*.md")),
]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SERVICES = [path for path in EXAMPLES if path.stem.startswith("shutdown_")]
FENCE = re.compile(r"^```(?P<kind>[^`\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
ADDRESS = "127.0.0.1:9003"
WIDTH = 100  # see docs/_static/pages.css


@dataclass(frozen=True)
class Block:
    """A block of a page; `output` is the text block right after it."""

    page: Path
    heading: str
    kind: str
    text: str
    output: str | None

    def __str__(self) -> str:
        return f"{self.page.stem}: {self.heading}"


def blocks_of(page: Path) -> Iterator[Block]:
    whole = page.read_text(encoding="utf-8")
    found = list(FENCE.finditer(whole))
    for number, fence in enumerate(found):
        heading = re.findall(r"^#+ (.+)$", whole[: fence.start()], re.MULTILINE)[-1]
        following = found[number + 1] if number + 1 < len(found) else None
        output = None
        if following is not None and following["kind"] == "text" and not whole[fence.end() : following.start()].strip():
            output = following["text"]
        yield Block(page, heading, fence["kind"], fence["text"], output)


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def of_kind(kind: str) -> list[Block]:
    return [block for block in BLOCKS if block.kind == kind]


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """One for all pages: each block uses topics of its own."""
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def toolchain(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    return Toolchain(tmp_path_factory.mktemp("c"))


def run(*arguments: str, folder: Path, stdin: str = "") -> str:
    # Elsewhere than in the checkout, so that the installed package is what is imported.
    result = subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


# -- blocks


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_passed_over(page: Path) -> None:
    found = list(blocks_of(page))
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(found)
    for number, block in enumerate(found):
        if block.kind == "text":
            assert number and found[number - 1].output is not None, f"{block}: the output of nothing"
        elif block.kind.startswith("json "):
            assert page.name in ("admin-json.md", "group-log.md")
        elif block.kind.startswith("{"):
            assert page.name == "index.md", "a directive, which Sphinx carries out"
        else:
            # What SmartModules are made of needs a toolchain of its own.
            shown = ("rust", "toml") if page.name == "smartmodules.md" else ()
            assert block.kind in ("python", "c", "sh", *shown), f"{block}: nothing runs a block of {block.kind!r}"


# They are run, and killed, by test_patterns.py.
PROGRAMS = [block for block in of_kind("python") if block.page.name != "patterns.md"]
A_TEST = re.compile(r"^(async )?def test_|^class Test", re.MULTILINE)
TESTS = [block for block in PROGRAMS if A_TEST.search(block.text) and block.output is None]
RUNNERS = {"mark.anyio": "anyio", "mark.asyncio": "pytest_asyncio.plugin", "mark.trio": "pytest_trio.plugin"}


@pytest.mark.parametrize("block", [block for block in PROGRAMS if block not in TESTS], ids=str)
def test_python(block: Block, cluster: LocalCluster, tmp_path: Path) -> None:
    assert block.output is not None, "a program shows what it prints"
    if block.page.name == "smartmodules.md":
        for name in ("contains", "upper", "sum"):
            shutil.copy(ROOT / "tests" / "smartmodules" / f"{name}.wasm", tmp_path)
    assert run("-c", block.text.replace(ADDRESS, cluster.endpoint), folder=tmp_path) == block.output


@pytest.mark.parametrize("block", TESTS, ids=str)
def test_tests(block: Block, cluster: LocalCluster, tmp_path: Path) -> None:
    """With the runner that it is for, and with no other plugin."""
    (tmp_path / "test_block.py").write_text(block.text, encoding="utf-8")
    plugins = ["pytest_fluvio_cffi", *(plugin for mark, plugin in RUNNERS.items() if mark in block.text)]
    options = ["-oasyncio_default_fixture_loop_scope=function"] if "mark.asyncio" in block.text else []
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        environment.setenv("FLUVIO_CFFI_ENDPOINT", cluster.endpoint)
        output = run("-m", "pytest", "-q", *(f"-p{plugin}" for plugin in plugins), *options, folder=tmp_path)
    assert re.search(r"^[12] passed in", output, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_block_is_wider_than_the_page(page: Path) -> None:
    for block in blocks_of(page):
        assert [line for line in block.text.splitlines() if len(line) > WIDTH] == [], str(block)


def test_the_tree_of_errors_is_no_wider_than_the_page() -> None:
    assert [line for line in (inspect.getdoc(_errors) or "").splitlines() if len(line) > WIDTH] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_drawings_are_plain(page: Path) -> None:
    """Browsers take lines and arrows from other fonts, where they have other widths."""
    assert re.findall("[\u2500-\u25ff]", page.read_text(encoding="utf-8")) == []


C = """
#include <fluvio_cffi.h>
#include <poll.h>
#include <stdio.h>
"""
# What sketches of calls find there.
SKETCH = """
void sketch(flv_client_t *client, flv_watch_t *watch, flv_slice_t method, flv_slice_t object, flv_slice_t document,
            flv_slice_t binary, flv_slice_t group, flv_slice_t topic, flv_slice_t log, int64_t timeout_ms,
            flv_queue_t *queue, uint64_t token);
void sketch(flv_client_t *client, flv_watch_t *watch, flv_slice_t method, flv_slice_t object, flv_slice_t document,
            flv_slice_t binary, flv_slice_t group, flv_slice_t topic, flv_slice_t log, int64_t timeout_ms,
            flv_queue_t *queue, uint64_t token)
{
    uint64_t operation;
    flv_buffer_t *buffer;
    flv_error_t *error;
"""


@pytest.mark.parametrize("block", of_kind("c"), ids=str)
def test_c(block: Block, toolchain: Toolchain, cluster: LocalCluster, tmp_path: Path) -> None:
    """A block with a queue of its own is a program; the others are sketches of calls, which only have to compile."""
    source = tmp_path / "block.c"
    if "flv_queue_new" in block.text:
        here = f'"{cluster.endpoint}", {len(cluster.endpoint)}'
        text = block.text.replace(f'"{ADDRESS}", {len(ADDRESS)}', here)
        assert here in text
        text = text.replace("= completion.result;", '= completion.result; puts("connected"); flv_client_free(client);')
        source.write_text(f"{C}\nint main(void) {{\n{text}\nflv_queue_free(queue);\nreturn 0;\n}}\n")
        assert toolchain.run(toolchain.compile(source, "-std=gnu11")) == "connected\n"
    else:
        source.write_text(f"{C}{SKETCH}{block.text}\n}}\nint main(void) {{ return 0; }}\n")
        toolchain.compile(source, "-std=c11", "-Wno-unused")


@pytest.mark.parametrize("block", of_kind("sh"), ids=str)
def test_sh(block: Block, toolchain: Toolchain, cluster: LocalCluster, tmp_path: Path) -> None:
    """With `python`, `cc` and `flv` as here, a folder, and a C program.

    What runs on is ended once it has printed a line.
    """
    (tmp_path / "include").symlink_to(ROOT / "include")
    (tmp_path / "program.c").write_bytes((ROOT / "examples" / "c" / "quickstart.c").read_bytes())
    functions = f'python() {{ exec "{sys.executable}" -W error "$@"; }}\nfolder="{toolchain.libraries}"\n'
    functions += f'flv() {{ "{sys.executable}" -W error -m fluvio_cffi -c {cluster.endpoint} "$@"; }}\n'
    if "fluvio_cffi cluster" in block.text:
        with subprocess.Popen(
            ["sh", "-euc", functions + block.text.replace("fluvio_cffi cluster", "fluvio_cffi cluster --port 0")],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        ) as shell:
            assert shell.stdout is not None
            assert shell.stdout.readline().startswith("ready ")
            shell.terminate()
            assert shell.wait(30) == 0
    else:
        shown = subprocess.run(
            ["sh", "-euc", functions + block.text],
            cwd=tmp_path,
            check=True,
            timeout=180,
            text=True,
            capture_output=True,
        )
        assert block.output in (None, shown.stdout)


# -- examples


# The last lines of each, sorted, as tasks print them in any order.
SHARES = [
    "member 0 has read 1002 records of partitions [0, 3]",
    "member 1 has read 957 records of partitions [1, 4]",
    "member 2 has read 1041 records of partitions [2, 5]",
]
SAID = {
    "produce": ["2 lines sent"],
    "parquet_to_topic": ["1000 records sent to readings"],
    "sharing_asyncio": SHARES,
    "sharing_trio": SHARES,
}
WORKERS = ["workers_asyncio", "workers_trio", "workers_threads"]
IN_TEST_EXAMPLES = {
    "group_asyncio",
    "group_trio",
    "fastapi_app",
    "starlette_trio",
    "django_view",
    "worker_systemd",
    "processes",
    "topic_to_parquet",
}
TESTED_APART = {"follow", "testing", *WORKERS, *(path.stem for path in SERVICES), *IN_TEST_EXAMPLES}


def test_what_every_example_says_is_known() -> None:
    assert {path.stem for path in EXAMPLES} == SAID.keys() | TESTED_APART


@pytest.mark.parametrize("name", SAID)
def test_example(name: str, cluster: LocalCluster, tmp_path: Path) -> None:
    example = ROOT / "examples" / f"{name}.py"
    lines = run(str(example), cluster.endpoint, folder=tmp_path, stdin="hello\nhow are you\n").splitlines()
    assert sorted(lines[-len(SAID[name]) :]) == SAID[name]


def test_example_of_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_PLUGINS", "pytest_fluvio_cffi")
    example = tmp_path / "test_example.py"
    example.write_bytes((ROOT / "examples" / "testing.py").read_bytes())
    output = run("-m", "pytest", "--quiet", "-pno:cacheprovider", "-pno:asyncio", str(example), folder=tmp_path)
    assert re.search(r"^1 passed in [\d.]+s$", output, re.MULTILINE), output


@pytest.mark.parametrize("name", WORKERS)
def test_workers(name: str, cluster: LocalCluster, tmp_path: Path) -> None:
    """All is committed; records without a key may all go to one partition."""
    output = run(str(ROOT / "examples" / f"{name}.py"), cluster.endpoint, folder=tmp_path)
    said = re.fullmatch(r"1000 records processed, committed: (\{.+\})\n", output)
    assert said is not None, output
    committed: dict[int, int] = ast.literal_eval(said[1])
    assert sum(offset + 1 for offset in committed.values()) == 1000


def test_follow(cluster: LocalCluster, tmp_path: Path) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("followed")
        with client.producer("followed") as producer:
            producer.send_all(f"line {number}" for number in range(12))
    output = run(str(ROOT / "examples" / "follow.py"), cluster.endpoint, "followed", folder=tmp_path)
    assert output.splitlines() == [*(f"0 {number} line {number}" for number in range(2, 12)), "nothing more"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("example", SERVICES, ids=lambda path: path.name)
def test_service(example: Path, number: signal.Signals, cluster: LocalCluster, tmp_path: Path) -> None:
    """It ends in order, and what comes meanwhile is done by the next one, once."""
    prefix = "trio-" if "trio" in example.stem else ""
    with Fluvio.connect(cluster.endpoint) as client:
        for name in ("requests", "replies"):
            client.admin.topics.delete(prefix + name, missing_ok=True)
            client.admin.topics.create(prefix + name)
        with client.producer(f"{prefix}requests") as producer:
            for run in range(2):
                producer.send(f"while away {run}")
                command = [sys.executable, "-W", "error", str(example), cluster.endpoint]
                with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as service:
                    assert service.stdout is not None
                    lines = [service.stdout.readline(), service.stdout.readline()]
                    assert sorted(lines) == ["1 answered\n", "ready\n"]
                    producer.send(f"while there {run}")
                    assert service.stdout.readline() == "1 answered\n"
                    service.send_signal(number)
                    assert service.stdout.read() == "ended in order\n"
                    assert service.wait(30) == 0
        with client.consumer(f"{prefix}replies", start=Offset.beginning(), stop_at_end=True) as consumer:
            assert [record.text for record in consumer] == [
                f"WHILE {place} {run}" for run in range(2) for place in ("AWAY", "THERE")
            ]


def test_demo(tmp_path: Path) -> None:
    output = run("-m", "fluvio_cffi", "demo", "--records", "5000", folder=tmp_path)
    lines = output.splitlines()
    kinds = ["asyncio", "trio", "threads", "a group of processes"]
    assert [line for line in lines[2:-1] if not line.startswith(" ")] == kinds
    assert len(re.findall(r" 5,000 records in +\d+\.\d{3} s ", output)) == 3 + 3 + 2
    assert re.fullmatch(r"Done in \d+\.\d s, and the cluster is gone\.", lines[-1])


# -- what is named


LINKS = [
    (page, link)
    for page in (*PAGES, *FOR_DEVELOPERS)
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text(encoding="utf-8")))
    if "://" not in link
]


def anchors(page: Path) -> set[str]:
    """Of the headings of a page, as GitHub and Sphinx make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "link"), LINKS, ids=lambda part: part.name if isinstance(part, Path) else part)
def test_link(page: Path, link: str) -> None:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    assert target.exists(), link
    assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", [*PAGES, *FOR_DEVELOPERS], ids=lambda page: page.name)
def test_named_files_exist(page: Path) -> None:
    named = re.findall(
        r"`((?:examples|docs|tests|benchmarks|include|tools|fluvio_cffi|rust-ffi)/[\w./-]+)`",
        page.read_text(encoding="utf-8"),
    )
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_page_is_in_the_contents_once() -> None:
    contents = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [path.stem for path in (ROOT / "docs").iterdir() if path.suffix in (".md", ".rst") and path.stem != "index"]
    lists = re.findall(r"^```\{toctree\}\n(.*?)^```$", contents, re.MULTILINE | re.DOTALL)
    assert sorted(pages) == sorted(line for text in lists for line in text.splitlines() if line and line[0] != ":")
    assert re.findall(r"^:caption: (.+)$", contents, re.MULTILINE) == ["Start", "Guides", "Explanation", "Reference"]


def test_the_reference_has_every_name_once() -> None:
    reference = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    names = re.findall(r"^\.\. (?:auto(?:class|exception|function)|py:data):: (\w+)$", reference, re.MULTILINE)
    every = [*(set(fluvio_cffi.__all__) - {"__version__"}), *codecs.__all__]
    assert sorted(names) == sorted(every)


def test_the_reference_has_every_choice() -> None:
    reference = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    described = {
        name: re.findall(r'``"(\w+)"``', text)
        for name, text in re.findall(r"^\.\. py:data:: (\w+)\n\n((?: {3}.+\n)+)", reference, re.MULTILINE)
    }
    modules = [module for name, module in sys.modules.items() if name.startswith("fluvio_cffi._")]
    for module in modules:
        for name, thing in vars(module).items():
            if typing.get_origin(thing) is typing.Literal and name in described and name != "Compression":
                assert sorted(described[name]) == sorted(typing.get_args(thing)), name


def test_commands_exist() -> None:
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    targets = {target for rule in rules for target in rule.split()}
    named = set(re.findall(r"\bmake ([a-z-]+)\b(?=\s*(?:`|#))", PAGES[0].read_text(encoding="utf-8")))
    assert named >= {"demo", "test", "wheel", "help"}
    assert named <= targets


# Words that were found to stop the reader.
UNPLAIN = re.compile(
    r"\b(hears? of|who does not|so many|not for sale|nobody was bothered|was met, not|passed by|in any case with"
    r"|cannot be seen from here|until the loop turns|has to be chosen|worked off|waits? at rest|past the first one)\b"
    r"|(^|[.:] )(?-i:Who (needs|wants|has|does))\b",
    re.IGNORECASE | re.MULTILINE,
)
SHOWN = [*PAGES, *FOR_DEVELOPERS, *EXAMPLES, *sorted((ROOT / "docs").glob("*.rst")), ROOT / "CHANGELOG.md"]


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_words_are_plain(page: Path) -> None:
    assert [found[0] for found in UNPLAIN.finditer(page.read_text(encoding="utf-8"))] == []


def test_docstrings_are_plain() -> None:
    """Those that users see."""
    for name in fluvio_cffi.__all__:
        thing = getattr(fluvio_cffi, name)
        members = [member for member in vars(thing) if member[0] != "_"] if isinstance(thing, type) else []
        for each in (thing, *(getattr(thing, member) for member in members)):
            assert not UNPLAIN.search(inspect.getdoc(each) or ""), f"{name}: {inspect.getdoc(each)}"


# -- tables


@dataclass(frozen=True)
class Row:
    """A row of a table with a column `test`."""

    page: Path
    cells: dict[str, str]

    def __str__(self) -> str:
        return f"{self.page.stem}: {next(iter(self.cells.values()))}"


def rows_of(page: Path) -> Iterator[Row]:
    columns: list[str] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not columns:
            columns = cells
        elif not set(line) <= set("|-: ") and "test" in columns:
            assert len(cells) == len(columns), line
            yield Row(page, dict(zip(columns, cells, strict=True)))


ROWS = [row for page in PAGES for row in rows_of(page)]


def test_the_tables_are_found() -> None:
    assert len([row for row in ROWS if re.match(r"H\d+\b", next(iter(row.cells.values())))]) == 15
    assert len(ROWS) > 80


def exists(name: str) -> bool:
    """Whether there is an attribute, parameter or error of that name: `Fluvio.connect(tls=)`, `Topics.list`."""
    path, _, parameters = name.partition("(")
    thing: object = fluvio_cffi
    for part in path.split("."):
        if not hasattr(thing, part):
            annotations = getattr(thing, "__annotations__", {})
            return not parameters and part in annotations
        thing = getattr(thing, part)
    accepted = getattr(thing, "__init__" if isinstance(thing, type) else "__call__", thing)
    code = getattr(thing, "__code__", getattr(getattr(thing, "__func__", accepted), "__code__", None))
    for parameter in filter(None, re.split(r"[=,) ]+", parameters)):
        assert code is not None, name
        if parameter not in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]:
            return False
    return True


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_row(row: Row) -> None:
    """Its Python names and its tests exist. A cell without a name says in words why there is none.

    Whether the test tests what the row claims is for the reader; that it is one, and is run, is seen here.
    """
    for column in row.cells.keys() - {"what differs"}:
        assert row.cells[column], f"{row}: nothing under {column!r}"
    for name in re.findall(r"`([^`]+)`", row.cells.get("here", "")):
        assert exists(name), f"there is no {name}"
    tests = re.findall(r"`([\w./-]+)::(\w+)`", row.cells["test"])
    reason = row.cells["test"] if not tests else ""
    assert tests or reason in ("obsolete", "still to come", "not needed"), f"{row}: no test"
    for file, function in tests:
        source = (ROOT / file).read_text(encoding="utf-8")
        if file.endswith(".py"):
            assert function.startswith("test_"), f"{function} is not run"
            test = rf"^(async )?def {function}\b"
        else:
            test = rf"#\[(\w+::)?test[^]]*\]\s[^{{}}]*?\bfn {function}\b"
        assert re.search(test, source, re.MULTILINE), f"{file} has no test {function}"


# Where the crate defines what its users call, and the types meant.
CRATE = {
    "fluvio.rs": ["Fluvio"],
    "admin.rs": ["FluvioAdmin"],
    "config/config.rs": ["ConfigFile", "Config", "Profile"],
    "config/cluster.rs": ["FluvioClusterConfig"],
    "config/tls.rs": ["TlsConfig"],
    "producer/mod.rs": ["TopicProducer<S>"],
    "producer/accumulator.rs": ["ProducerCallback"],
    "producer/config.rs": ["TopicProducerConfigBuilder", "TopicProducerConfig", "RetryPolicy"],
    "producer/output.rs": ["ProduceOutput"],
    "producer/partitioning.rs": ["Partitioner", "PartitionerConfig"],
    "producer/record.rs": ["RecordMetadata", "FutureRecordMetadata"],
    "consumer/mod.rs": ["PartitionConsumer<P>", "MultiplePartitionConsumer"],
    "consumer/config.rs": ["ConsumerConfig", "ConsumerConfigBuilder", "ConsumerConfigExt", "ConsumerConfigExtBuilder"],
    "consumer/retry.rs": ["ConsumerRetryStream"],
    "consumer/stream.rs": ["ConsumerStream"],
    "metrics/mod.rs": ["ClientMetrics"],
    "spu.rs": ["SpuDirectory", "SpuPool"],
    "offset.rs": ["Offset"],
}


def test_every_method_of_the_official_client_has_a_row() -> None:
    manifest = (ROOT / "rust-ffi" / "Cargo.toml").read_text(encoding="utf-8")
    version = re.findall(r'^fluvio = \{ version = "=([\d.]+)"', manifest, re.MULTILINE)[0]
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
    sources = next(home.glob(f"registry/src/*/fluvio-{version}/src"), None)
    if sources is None:
        pytest.skip(f"the source of the crate fluvio {version} is not here: cargo fetches it to build")
    page = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert f"(`{version}`)" in page or f"({version})" in page
    found = 0
    for file, types in CRATE.items():
        source = (sources / file).read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        for name in types:
            plain = name.partition("<")[0]
            rows = "\n".join(line for line in page.splitlines() if f"`{plain}::" in line)
            head = rf"(?:impl(?:<\w+>)?|pub (trait)) {name}[ :\n]"
            blocks = re.findall(rf"^( *){head}(.*?)^\1\}}", source, re.MULTILINE | re.DOTALL)
            assert blocks, f"no methods of {name} in {file}"
            for _, trait, block in blocks:
                public = "" if trait else "pub "
                for method in re.findall(rf"^ +{public}(?:async )?fn (\w+)", block, re.MULTILINE):
                    assert re.search(rf"\b{method}\b", rows), f"{plain}::{method} has no row"
                    found += 1
    assert found > 100
