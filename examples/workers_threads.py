"""A pool of threads shares the records of a topic: python examples/workers_threads.py [ENDPOINT]

Each thread takes the next record and says when it is done, in any order. What has no unfinished record before it is
committed, so that what is committed never runs ahead of the work: after a crash what was not finished comes again.
"""

from __future__ import annotations

import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from fluvio_cffi import Fluvio, Tracker

WORKERS = 8


def work(tracker: Tracker) -> int:
    done = 0
    for record in tracker:
        with tracker.processing(record):
            time.sleep(random.random() / 500)  # a database, a web service, ...
            done += 1
    return done


def main(endpoint: str) -> None:
    with Fluvio.connect(endpoint) as client:
        client.admin.topics.create("thread-work", partitions=2, exist_ok=True)
        with client.producer("thread-work") as producer:
            producer.send_all(f"item {n}" for n in range(1000))

        with client.consumer("thread-work", consumer_id="workers", stop_at_end=True) as consumer:
            with consumer.tracker(max_in_hand=100) as tracker, ThreadPoolExecutor(WORKERS) as pool:
                done = sum(pool.map(work, [tracker] * WORKERS))
            print(done, "records processed, committed:", consumer.committed())


main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003")
