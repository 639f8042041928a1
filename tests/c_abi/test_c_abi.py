"""The C interface as C sees it: the header, the exports, the layout; and programs in C, also under valgrind."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import c_support
import pytest
from c_support import ROOT, SOURCES, Toolchain
from smartmodule_support import MODULES

from fluvio_cffi import Fluvio, LocalCluster
from fluvio_cffi._native import loader as _ffi

LAYOUT = Path(__file__).with_name("layout.json")
QUICKSTART = ROOT / "examples" / "c" / "quickstart.c"
SMARTMODULE = ROOT / "examples" / "c" / "smartmodule.c"
GROUP = ROOT / "examples" / "c" / "group.c"

pytestmark = pytest.mark.timeout(90)

under_valgrind = pytest.mark.parametrize("checked", [False, True], ids=["plain", "valgrind"])


@pytest.fixture(scope="session")
def toolchain(tmp_path_factory: pytest.TempPathFactory) -> Toolchain:
    return Toolchain(tmp_path_factory.mktemp("c"))


# -- the header


@pytest.mark.parametrize("standard", ["c99", "c11", "c17", "c++17"])
def test_header_compiles_without_a_warning(toolchain: Toolchain, standard: str) -> None:
    program = toolchain.compile(SOURCES / "header.c", f"-std={standard}", cplusplus=standard.startswith("c++"))
    toolchain.run(program)


@pytest.mark.parametrize("standard", ["c99", "c11"])
@pytest.mark.parametrize("example", [QUICKSTART, SMARTMODULE, GROUP], ids=lambda path: path.stem)
def test_example_compiles_without_a_warning(toolchain: Toolchain, example: Path, standard: str) -> None:
    toolchain.compile(example, f"-std={standard}")


def test_exports_are_what_the_header_declares() -> None:
    declared = c_support.declared_functions()
    assert len(declared) > 40
    assert not [name for name in declared if not hasattr(_ffi.lib, name)]
    nm = shutil.which("nm") or pytest.skip("no nm here")
    options = ["-gU"] if sys.platform == "darwin" else ["-D", "--defined-only"]
    listed = subprocess.run(
        [nm, *options, str(c_support.native_library())], capture_output=True, text=True, timeout=30, check=True
    )
    symbols = {line.split()[-1].split("@")[0] for line in listed.stdout.splitlines()}
    if sys.platform == "darwin":
        symbols = {symbol.removeprefix("_") for symbol in symbols}
    assert symbols == declared


def test_every_name_has_the_prefix() -> None:
    text = re.sub(r"/\*.*?\*/|//.*", "", c_support.HEADER.read_text(encoding="utf-8"), flags=re.DOTALL)
    types = set(re.findall(r"^} (\w+);|^typedef struct (\w+) \w+;", text, re.MULTILINE))
    names = {name for pair in types for name in pair if name}
    constants = set(re.findall(r"^ +(\w+) = -?\d+,", text, re.MULTILINE))
    assert len(names) > 20 and len(constants) > 60
    assert not [name for name in names if not re.fullmatch(r"flv_[a-z_]+_[te]", name)]
    assert not [name for name in constants if not re.fullmatch(r"FLV_[A-Z0-9_]+", name)]
    assert not re.findall(r"\b(?:unsigned|signed|long|short|char|bool|_Bool)\b", text), "only fixed widths"


# -- the layout
#
# Rust writes tests/c_abi/layout.json and compares the library with it: rust-ffi/abi/tests/layout.rs says how.

sixty_four_bits = pytest.mark.skipif(sys.maxsize < 2**32, reason="the table is of 64-bit platforms")


@sixty_four_bits
def test_layout_of_the_binding() -> None:
    ffi = _ffi.ffi
    seen = {
        name: {"size": ffi.sizeof(name), "fields": {field: ffi.offsetof(name, field) for field in fields}}
        for name, fields in c_support.structures().items()
    }
    assert seen == json.loads(LAYOUT.read_text(encoding="utf-8"))


@sixty_four_bits
def test_layout_of_the_header(toolchain: Toolchain) -> None:
    lines = []
    for name, structure in json.loads(LAYOUT.read_text(encoding="utf-8")).items():
        lines.append(f"SAME(sizeof({name}), {structure['size']});")
        lines += [f"SAME(offsetof({name}, {field}), {offset});" for field, offset in structure["fields"].items()]
    assert len(lines) > 100
    source = toolchain.folder / "layout.c"
    source.write_text(
        '#include "fluvio_cffi.h"\n'
        '#define SAME(there, table) _Static_assert((there) == (table), #there " is not " #table)\n'
        + "\n".join(lines)
        + "\nint main(void) { return 0; }\n"
    )
    toolchain.compile(source, "-std=c11")


# -- programs


def run(toolchain: Toolchain, source: Path, checked: bool, *arguments: str, leaks: bool = True) -> str:
    program = toolchain.program(source)
    if not checked:
        return toolchain.run(program, *arguments)
    under = (c_support.valgrind(), *c_support.MEMCHECK, *([] if leaks else ["--leak-check=no"]))
    return toolchain.run(program, *arguments, under=under, timeout=80)


@under_valgrind
def test_quickstart(toolchain: Toolchain, cluster: LocalCluster, checked: bool) -> None:
    printed = run(toolchain, QUICKSTART, checked, cluster.endpoint)
    first = re.search(r"^5 records written to partition 0 from offset (\d+) on$", printed, re.MULTILINE)
    assert first is not None
    read = re.findall(r"^offset (\d+): (.*)$", printed, re.MULTILINE)
    assert read == [(str(int(first[1]) + i), f"hello number {i}") for i in range(5)]


@under_valgrind
def test_arrow(toolchain: Toolchain, checked: bool) -> None:
    run(toolchain, SOURCES / "arrow.c", checked)


@under_valgrind
def test_group(toolchain: Toolchain, cluster: LocalCluster, checked: bool) -> None:
    topic = f"c-{time.time_ns()}"
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create(topic, partitions=2)
        for half in range(2):
            with client.producer(topic) as producer:
                for i in range(10):
                    producer.enqueue(f"{half}{i}", partition=i % 2)
            printed = run(toolchain, GROUP, checked and half == 1, cluster.endpoint, topic, "billing", "10")
            assert re.match(r"member [0-9a-f]{32}\nassigned: 0 1\n", printed), printed
            read = re.findall(r"^partition (\d) offset (\d+): (.*)$", printed, re.MULTILINE)
            # The second one goes on where the first has left.
            expected = [(str(i % 2), str(5 * half + i // 2), f"{half}{i}") for i in range(10)]
            assert sorted(read) == sorted(expected)


def test_smartmodule(toolchain: Toolchain, cluster: LocalCluster) -> None:
    topic, filtering = f"c-{time.time_ns()}", str(MODULES / "contains.wasm")
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create(topic)
        with client.producer(topic) as producer:
            producer.send_all(["x1", "no", "x2", "error"])
    with pytest.raises(AssertionError) as caught:
        run(toolchain, SMARTMODULE, False, cluster.endpoint, topic, filtering, "needle=x")
    assert re.search(r"reading failed .*the SmartModule \(Filter\) failed on the record at offset 3", str(caught.value))
    upper = run(toolchain, SMARTMODULE, False, cluster.endpoint, topic, str(MODULES / "upper.wasm"))
    assert upper == "offset 0: X1\noffset 1: NO\noffset 2: X2\noffset 3: ERROR\n"


def test_quickstart_frees_all(toolchain: Toolchain, cluster: LocalCluster) -> None:
    run(toolchain, SOURCES / "frees_all.c", False, cluster.endpoint)


def test_quickstart_says_what_is_wrong(toolchain: Toolchain) -> None:
    with pytest.raises(AssertionError, match=r"ended with 1:\nconnecting failed with status \d+: .*not-an-address"):
        run(toolchain, QUICKSTART, False, "not-an-address")


@under_valgrind
def test_callback_mode(toolchain: Toolchain, cluster: LocalCluster, checked: bool) -> None:
    run(toolchain, SOURCES / "callback.c", checked, cluster.endpoint)


@under_valgrind
def test_misuse_is_a_status(toolchain: Toolchain, cluster: LocalCluster, checked: bool) -> None:
    # The program reads its topic from the end on, and knows what it wrote.
    run(toolchain, SOURCES / "misuse.c", checked, cluster.endpoint)


@under_valgrind
def test_administration_and_watches(toolchain: Toolchain, cluster: LocalCluster, checked: bool) -> None:
    run(toolchain, SOURCES / "administer.c", checked, cluster.endpoint)


@under_valgrind
def test_cancelled_connects_complete_once(toolchain: Toolchain, checked: bool) -> None:
    run(toolchain, SOURCES / "cancel.c", checked)


@under_valgrind
def test_logs(toolchain: Toolchain, cluster: LocalCluster, checked: bool) -> None:
    run(toolchain, SOURCES / "logs.c", checked, cluster.endpoint)


@under_valgrind
def test_fork(toolchain: Toolchain, cluster: LocalCluster, checked: bool) -> None:
    # In a child the memory of the parent's threads is leaked on purpose.
    run(toolchain, SOURCES / "fork.c", checked, cluster.endpoint, leaks=False)


def test_a_server_that_dies_is_no_signal(toolchain: Toolchain) -> None:
    program = toolchain.program(SOURCES / "host.c")
    with LocalCluster() as cluster:
        host = subprocess.Popen(
            [program, cluster.endpoint],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=toolchain.environment,
        )
        try:
            assert host.stdout is not None
            assert host.stdout.readline() == "ready\n"
            time.sleep(0.05)  # in the middle of its work
            cluster.kill()
            printed, said = host.communicate(timeout=30)
        finally:
            host.kill()
            host.communicate()
    assert (host.returncode, printed, said) == (0, "", "")


def test_library_stays_after_dlclose(toolchain: Toolchain) -> None:
    # Its threads, and its part in pthread_atfork, outlive whoever unloads it.
    program = toolchain.program(SOURCES / "unload.c")
    toolchain.run(program, str(c_support.native_library()))
