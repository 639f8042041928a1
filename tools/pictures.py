"""Draws docs/pictures: runs commands of ``flv`` on an embedded cluster in which something is going on, on a terminal of
their own, and draws what they write as SVG. ``--folder F``: elsewhere; ``--quick``: without waiting for much to happen.

The package must be built (``make develop``), with click and rich.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from fluvio_cffi import Consumer, Fluvio, LocalCluster, Offset

ROOT: Final = Path(__file__).resolve().parents[1]
PROGRAM: Final = "import sys; sys.argv[0] = 'flv'; from fluvio_cffi_flv import main; sys.exit(main())"
ADDRESS: Final = "127.0.0.1:9003"
# Of each picture: the command, and how large the terminal is.
PICTURES: Final = {
    "topic-list": (["topic", "list"], 76, 24),
    "topic-describe": (["topic", "describe", "orders"], 92, 40),
    "consume": (["consume", "orders", "-B", "-d", "-n", "8", "-k"], 76, 24),
    "consumer-lag": (["consumer", "lag"], 60, 24),
    "group-describe": (["group", "describe", "shipping", "orders"], 92, 40),
    "status": (["status"], 76, 40),
    "top": (["top", "-i", "500ms"], 110, 18),
}
HOME: Final = b"\x1b[H"
CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-LN-Za-ln-z]|\x1b[()][A-Z0-9]|\r")
THEME: Final = TerminalTheme(
    (27, 31, 36),
    (214, 219, 225),
    [
        *((27, 31, 36), (248, 113, 113), (126, 211, 133), (229, 192, 110)),
        *((110, 168, 254), (197, 140, 236), (94, 205, 214), (214, 219, 225)),
    ],
)
# Rich's own, without fonts from elsewhere: pages are to load nothing from other sites.
FORMAT: Final = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font: bold 18px system-ui, sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


@contextlib.contextmanager
def at_work(endpoint: str) -> Iterator[None]:
    """Producers, consumers and a group, in threads, until the end of the block."""
    over = threading.Event()
    consumers: list[Consumer] = []

    def produce(topic: str, rate: float) -> None:
        with Fluvio.connect(endpoint) as client, client.producer(topic) as producer:
            number = 0
            while not over.wait(1 / rate):
                # More and less, as in life.
                for _ in range(1 + (number // 25) % 4 * 2):
                    producer.enqueue(f'{{"order": {number}, "state": "paid"}}', key=f"o-{number}")
                    number += 1

    def consume(rate: float, consumer_id: str | None, group: str | None) -> None:
        start = Offset.beginning()
        with (
            Fluvio.connect(endpoint) as client,
            client.consumer("orders", start=start, consumer_id=consumer_id, group=group) as consumer,
        ):
            consumers.append(consumer)
            for read, record in enumerate(consumer, 1):
                if read % 20 == 0:
                    consumer.commit(record)
                    over.wait(20 / rate)
                if over.is_set():
                    break

    work = [
        threading.Thread(target=produce, args=("orders", 100)),
        threading.Thread(target=produce, args=("invoices", 20)),
        threading.Thread(target=consume, args=(1000, "billing", None)),
        threading.Thread(target=consume, args=(200, "reports", None)),
        threading.Thread(target=consume, args=(600, None, "shipping")),
    ]
    for thread in work:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for consumer in consumers:
            consumer.stop()
        for thread in work:
            thread.join()


def written(endpoint: str, arguments: Sequence[str], columns: int, rows: int) -> bytes:
    """What a command writes to a terminal."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS", "LINES")}
    package = os.pathsep.join(sys.path[1:])
    environment = {**kept, "PYTHONPATH": package, "TERM": "xterm-256color", "FLV_PROFILE_PATH": os.devnull}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "-c", endpoint, *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env=environment,
        start_new_session=True,
    )
    os.close(its)
    parts: list[bytes] = []
    # A terminal that nobody has open any more is an error to read from.
    with contextlib.suppress(OSError):
        while part := os.read(ours, 65_536):
            parts.append(part)
    os.close(ours)
    if process.wait() != 0:
        raise SystemExit(f"flv {' '.join(arguments)}: {b''.join(parts).decode(errors='replace')}")
    return b"".join(parts)


def last_screen(output: bytes) -> bytes:
    """Of what fills the screen again and again, the last whole screen; of all else, everything."""
    screens = [part for part in output.split(b"\x1b[?1049l")[0].split(HOME) if part.strip()]
    return screens[-1] if HOME in output else output


def draw(command: str, output: bytes, columns: int, name: str, endpoint: str) -> str:
    """What was written, as a picture."""
    # The address is that of the pages; in a table it keeps its width.
    shown = re.sub(
        re.escape(endpoint) + "( {2,})?",
        lambda found: ADDRESS.ljust(len(endpoint)) + found[1] if found[1] else ADDRESS,
        CONTROL.sub("", output.decode()),
    )
    lines = shown.rstrip().split("\n")
    console = Console(record=True, width=columns, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    console.print(Text(f"$ flv {command}", style="bold"))
    for line in lines:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="crop")
    svg = console.export_svg(title="flv", theme=THEME, code_format=FORMAT, unique_id=f"flv-{name}")
    return "\n".join(line.rstrip() for line in svg.splitlines() if line.strip()) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("orders", partitions=3, retention="7d")
        client.admin.topics.create("invoices", compression="zstd")
        with at_work(cluster.endpoint):
            time.sleep(1 if given.quick else 5)
            for name, (command, columns, rows) in PICTURES.items():
                count = ["-n", "4" if given.quick else "50"] if name == "top" else []
                output = last_screen(written(cluster.endpoint, [*command, *count], columns, rows))
                picture = draw(" ".join(command), output, columns, name, cluster.endpoint)
                (given.folder / f"{name}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
