"""Arrow data that nobody has read: when it is dropped, at the end of the interpreter, and in the child of a fork."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest
from laws import LONG, has_long_form

from fluvio_cffi import Fluvio, LocalCluster

if sys.implementation.name != "cpython":
    pytest.skip("Arrow data is for CPython only", allow_module_level=True)

pytestmark = pytest.mark.timeout(600 if LONG else 120)
ENDS = 200 if LONG else 5
DROPPED = 100_000 if LONG else 3_000
MIB = 1 << 20

COMMON = """
import atexit, gc, os, sys, threading
from fluvio_cffi import *

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

client = Fluvio.connect(sys.argv[1])
consumer = client.consumer("unread", start=Offset.beginning(), stop_at_end=True, format="arrow")
batch = next(iter(consumer.batches()))
"""


@pytest.fixture(scope="module")
def endpoint() -> object:
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("unread")
        with client.producer("unread") as producer:
            producer.send_all((b"key", b"v" * 1000) for _ in range(1000))
        yield cluster.endpoint


def run(code: str, endpoint: object) -> str:
    command = [sys.executable, "-X", "faulthandler", "-c", COMMON + textwrap.dedent(code), str(endpoint)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@has_long_form
@pytest.mark.parametrize(
    "how",
    [
        "kept = [batch.__arrow_c_stream__(), batch.__arrow_c_array__(), batch.__arrow_c_schema__()]",
        # The last that goes: modules are empty by then.
        "sys.kept = batch.__arrow_c_stream__(), batch.__arrow_c_array__(), batch; del batch, consumer, client",
        "import builtins; builtins.kept = batch.__arrow_c_array__(); client.close(); del client, consumer, batch",
        "kept = []; kept.append(kept); kept.append(batch.__arrow_c_stream__()); del kept",
        "threading.Thread(target=lambda kept: threading.Event().wait(), args=[batch.__arrow_c_stream__()], daemon=True)"
        ".start()",
        "import pyarrow; sys.kept = pyarrow.table(batch), pyarrow.RecordBatchReader.from_stream(batch)",
    ],
)
def test_capsules_that_live_to_the_end(endpoint: object, how: str) -> None:
    # Consumer and client need not be closed at the end; that they are forgotten before is not the matter here.
    quiet = "import warnings; warnings.simplefilter('ignore', ResourceWarning)\n"
    for _ in range(-(-ENDS // 6)):
        run(quiet + how, endpoint)


@has_long_form
def test_what_is_dropped_unread_takes_no_memory(endpoint: object) -> None:
    grown = run(
        f"""
        def drop(times):
            for _ in range(times):
                batch.__arrow_c_stream__(), batch.__arrow_c_array__(), batch.__arrow_c_schema__()

        drop(1000)
        gc.collect()
        before = resident()
        drop({DROPPED} // 4)
        threads = [threading.Thread(target=drop, args=[{DROPPED} // 4]) for _ in range(3)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        gc.collect()
        print(resident() - before)
        consumer.close(), client.close()
        """,
        endpoint,
    )
    # One batch has a megabyte.
    assert int(grown) < 4 * MIB


@has_long_form
def test_a_stream_of_batches_takes_no_memory(endpoint: object) -> None:
    """Those that are read, and dropped unread, are gone."""
    grown = run(
        f"""
        def read(times):
            for _ in range(times):
                consumer.seek(0, 0)
                for batch in consumer.batches(max_wait=0):
                    batch.__arrow_c_stream__()
                    if batch.last_offsets[0] == 999:
                        break

        read(20)
        gc.collect()
        before = resident()
        read({1000 if LONG else 50})
        gc.collect()
        print(resident() - before)
        consumer.close(), client.close()
        """,
        endpoint,
    )
    assert int(grown) < 8 * MIB


def test_in_the_child_of_a_fork(endpoint: object) -> None:
    """What was made before may be dropped there; nothing new is made."""
    said = run(
        """
        import warnings
        # From CPython 3.12 on a fork beside threads warns.
        warnings.simplefilter("ignore", DeprecationWarning)
        kept = [batch.__arrow_c_stream__(), batch.__arrow_c_array__()]
        child = os.fork()
        if not child:
            del kept
            try:
                batch.__arrow_c_stream__()
            except ForkedError as error:
                print(error, flush=True)
            os._exit(0)
        assert os.waitpid(child, 0) == (child, 0)
        import pyarrow
        print(pyarrow.table(batch).num_rows > 0)
        consumer.close(), client.close()
        """,
        endpoint,
    )
    assert said == (
        "this process was forked from one that had connected: connect only after the fork, in parent and child, or use "
        'the "spawn" start method\nTrue\n'
    )
