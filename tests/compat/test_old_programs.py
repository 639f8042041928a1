"""Programs that were written for the old package, as they are."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from witness import needs_witness

import fluvio_cffi
from fluvio_cffi.testing import read_all

SEND = """
from fluvio import Fluvio
import sys
Fluvio.connect().topic_producer(sys.argv[1]).send_string({what!r})
"""


class Programs:
    def __init__(self, profile: Path, folder: Path) -> None:
        self.environment = os.environ | {"FLV_PROFILE_PATH": str(profile)}
        self.folder = folder

    def write(self, text: str, name: str = "program.py") -> str:
        path = self.folder / name
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return str(path)

    def run(self, *how: str, code: int = 0) -> str:
        command = [sys.executable, "-X", "dev", "-W", "error", *how]
        result = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )
        assert (result.returncode, result.stderr) == (code, ""), result.stderr
        return result.stdout


@pytest.fixture
def programs(profile_file: Path, tmp_path: Path) -> Programs:
    return Programs(profile_file, tmp_path)


def values(native: fluvio_cffi.Fluvio, topic: str) -> list[str]:
    return [record.text for record in read_all(native, topic)]


def test_a_file(programs: Programs, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    programs.write("WHAT = 'beside it'", "beside.py")
    program = programs.write(
        """
        import sys
        from beside import WHAT
        from fluvio import Fluvio

        def main():
            producer = Fluvio.connect().topic_producer(sys.argv[1])
            for argument in sys.argv[2:]:
                producer.send_string(argument)
            producer.send_string(WHAT)

        if __name__ == "__main__":
            main()
            print(sys.argv[0])
            sys.exit(3)
        """
    )
    # What is queued when a program ends is sent.
    assert programs.run("-m", "fluvio_cffi.compat", program, old_topic, "-x", "--y", code=3) == f"{program}\n"
    assert values(native, old_topic) == ["-x", "--y", "beside it"]


def test_a_module(programs: Programs, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    programs.write(SEND.format(what="of a module"), "sender.py")
    programs.run("-m", "fluvio_cffi.compat", "-m", "sender", old_topic)
    assert values(native, old_topic) == ["of a module"]


def test_code(programs: Programs, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    programs.run("-m", "fluvio_cffi.compat", "-c", SEND.format(what="of code"), old_topic)
    assert values(native, old_topic) == ["of code"]


@pytest.mark.parametrize(("arguments", "code"), [((), 2), (("-m",), 2), (("-c",), 2), (("--help",), 0)])
def test_usage(arguments: tuple[str, ...], code: int) -> None:
    command = [sys.executable, "-m", "fluvio_cffi.compat", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == code
    assert (result.stderr if code else result.stdout).startswith("usage: python -m fluvio_cffi.compat FILE")


def test_child_processes(programs: Programs, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    program = programs.write(
        """
        import multiprocessing, subprocess, sys
        import fluvio

        def send(topic, what):
            assert fluvio.install
            fluvio.Fluvio.connect().topic_producer(topic).send_string(what).wait()

        if __name__ == "__main__":
            send(sys.argv[1], "parent")
            child = multiprocessing.get_context("spawn").Process(target=send, args=(sys.argv[1], "spawned"))
            child.start()
            child.join()
            code = "import sys, fluvio.utils; assert fluvio.install;"
            code += "fluvio.Fluvio.connect().topic_producer(sys.argv[1]).send_string('started').wait()"
            subprocess.run([sys.executable, "-c", code, sys.argv[1]], check=True)
        """
    )
    programs.run("-m", "fluvio_cffi.compat", program, old_topic)
    assert values(native, old_topic) == ["parent", "spawned", "started"]


def test_one_line_changed(programs: Programs, native: fluvio_cffi.Fluvio, old_topic: str) -> None:
    program = programs.write(
        """
        import sys
        import fluvio_cffi.compat as fluvio

        producer = fluvio.Fluvio.connect().topic_producer(sys.argv[1])
        assert "fluvio" not in sys.modules
        producer.send_string("one line").wait()
        """
    )
    programs.run(program, old_topic)
    assert values(native, old_topic) == ["one line"]


def test_install(programs: Programs) -> None:
    program = programs.write(
        """
        import sys
        from fluvio_cffi import compat

        compat.install()
        compat.install()
        import fluvio
        import fluvio.cloud
        from fluvio import record, specs, topic, utils
        from fluvio.topic import TopicSpec

        assert fluvio is compat
        assert TopicSpec is compat.TopicSpec is topic.TopicSpec
        assert sys.modules["fluvio.utils"] is utils is compat.utils
        """
    )
    programs.run(program)


@needs_witness
def test_install_after_the_old_package(programs: Programs) -> None:
    program = programs.write(
        """
        import fluvio
        from fluvio_cffi import compat

        try:
            compat.install()
        except RuntimeError as error:
            print(error)
        """
    )
    assert "fluvio is imported already, from " in programs.run(program)


def test_it_is_loaded_when_it_is_asked_for(programs: Programs) -> None:
    code = "import sys, fluvio_cffi; print([name for name in sys.modules if 'compat' in name and 'fluvio' in name])"
    assert programs.run("-c", code) == "[]\n"


def test_a_fork(programs: Programs, old_topic: str) -> None:
    program = programs.write(
        """
        import gc, os, sys
        from fluvio import ConsumerConfigExtBuilder, Fluvio, FluviorError, OffsetManagementStrategy

        client = Fluvio.connect()
        producer = client.topic_producer(sys.argv[1])
        output = producer.send_string("parent")
        builder = ConsumerConfigExtBuilder(sys.argv[1])
        builder.offset_consumer("forked")
        builder.offset_strategy(OffsetManagementStrategy.AUTO)
        stream = client.consumer_with_config(builder.build())
        next(stream)
        child = os.fork()
        if child == 0:
            for call in (lambda: producer.send_string("child"), lambda: client.topic_producer(sys.argv[1])):
                try:
                    call()
                except FluviorError as error:
                    print(type(error.__cause__).__name__, flush=True)
            del stream, producer, client, output
            gc.collect()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert output.wait().offset() == 0
        """
    )
    assert programs.run("-m", "fluvio_cffi.compat", program, old_topic) == "ForkedError\nForkedError\n"
