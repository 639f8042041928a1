"""Several processes produce: python examples/processes.py [ENDPOINT]

Each process connects by itself. The start method is `spawn`: a process that was forked from one that has connected
cannot use the client, and gets a `ForkedError`.
"""

from __future__ import annotations

import multiprocessing
import sys

from fluvio_cffi import Fluvio

PROCESSES = 3
RECORDS = 1000


def produce(endpoint: str, number: int) -> int:
    with Fluvio.connect(endpoint) as client, client.producer("from-processes") as producer:
        return producer.send_all(f"{number}: {n}" for n in range(RECORDS)).count


def main(endpoint: str) -> None:
    with Fluvio.connect(endpoint) as client:
        client.admin.topics.create("from-processes", exist_ok=True)
        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            counts = pool.starmap(produce, [(endpoint, number) for number in range(PROCESSES)])
            pool.close()
            pool.join()
        print(sum(counts), "records of", len(counts), "processes")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003")
