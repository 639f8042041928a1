"""A worker under systemd, with threads: python examples/worker_systemd.py [ENDPOINT]

    [Service]
    Type=notify
    ExecStart=/opt/app/.venv/bin/python /opt/app/worker_systemd.py fluvio.example:9003
    Restart=on-failure
    TimeoutStopSec=30

It is ready once it reads, waits for a cluster that starts later than it does, and ends in order on SIGTERM: what is in
hand is finished and committed, and nothing is done twice.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from fluvio_cffi import Fluvio


def notify(state: str) -> None:
    """Tells systemd, where it is there."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
            there.sendto(state.encode(), address.replace("@", "\0", 1) if address[0] == "@" else address)


def main(endpoint: str) -> None:
    with Fluvio.connect(endpoint, wait=True, timeout=300) as client:
        client.admin.topics.create("tasks", exist_ok=True)
        with client.consumer("tasks", consumer_id="worker") as consumer:
            signal.signal(signal.SIGTERM, lambda number, frame: consumer.stop())
            notify("READY=1")
            for batch in consumer.batches(max_records=100):
                print("done:", *(record.text for record in batch), flush=True)
                consumer.commit(batch)
            notify("STOPPING=1")
    print("ended in order")


main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003")
