"""Run a long command quietly: ``python tools/progress.py "building the wheel" COMMAND...``

Every few seconds a line says how long it has taken and what it is at. The command's own output is shown if it fails.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

INTERVAL = 10.0


def last_line(path: str) -> str:
    with open(path, "rb") as log:
        log.seek(0, 2)
        log.seek(max(0, log.tell() - 2000))
        lines = log.read().decode("utf-8", "replace").split("\n")
    return next((line.strip()[:70] for line in reversed(lines) if line.strip()), "")


def main(title: str, command: list[str]) -> int:
    started = time.monotonic()
    print(f"{title} ...", flush=True)
    with tempfile.NamedTemporaryFile(prefix="fluvio-cffi-", suffix=".log") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            while True:
                try:
                    status = process.wait(INTERVAL)
                    break
                except subprocess.TimeoutExpired:
                    print(f"{title}: {time.monotonic() - started:.0f} s  {last_line(log.name)}", flush=True)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        seconds = time.monotonic() - started
        if status != 0:
            with open(log.name, encoding="utf-8", errors="replace") as output:
                sys.stdout.write(output.read())
        print(f"{title}: {'done' if status == 0 else f'failed with status {status}'} after {seconds:.0f} s", flush=True)
        return status


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        sys.exit(main(sys.argv[1], sys.argv[2:]))
    except KeyboardInterrupt:
        sys.exit(130)
