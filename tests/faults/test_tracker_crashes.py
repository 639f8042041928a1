"""A pool of workers that finish records in any order is killed at each step: nothing unfinished is passed over."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from laws import LONG, has_long_form

from fluvio_cffi import Fluvio, LocalCluster, ProducerRecord

pytestmark = pytest.mark.timeout(300)
COUNT = 12

PROGRAM = """
import os, random, signal, sys, threading, time
from fluvio_cffi import *

endpoint, topic, mode, path, last, seed = sys.argv[1:]
steps = iter(range(int(last), -1, -1))
order = random.Random(int(seed))

def step():
    if mode == "auto":
        # Long enough for some automatic commits.
        time.sleep(0.015)
    if next(steps) == 0:
        os.kill(os.getpid(), signal.SIGKILL)

auto = {"commit": "auto", "auto_commit_interval": 0.005} if mode == "auto" else {}
with open(path, "ab", buffering=0) as file, Fluvio.connect(endpoint) as client:
    with client.consumer(topic, consumer_id="me", stop_at_end=True, **auto) as consumer:
        with consumer.tracker(max_in_hand=6) as tracker:
            held = []
            ended = False
            while held or not ended:
                if not ended and (not held or order.random() < 0.6):
                    try:
                        held.append(tracker.receive(timeout=0.01 if held else None))
                    except FluvioTimeoutError:
                        # The oldest one holds up all others.
                        held.sort(key=lambda record: record.offset)
                        held.append(held.pop(0))
                    except ClosedError:
                        ended = True
                    continue
                record = held.pop(order.randrange(len(held)))
                step()
                file.write(b"%d %d\\n" % (record.partition, record.offset))
                step()
                tracker.done(record)
                if mode == "manual" and order.random() < 0.5:
                    tracker.commit()
                    step()
        step()
    step()
"""


@has_long_form
@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_killed_at_each_step(cluster: LocalCluster, tmp_path: Path, mode: str) -> None:
    at = 0
    with Fluvio.connect(cluster.endpoint) as client:
        while True:
            topic = f"tracker-crash-{mode}-{at}"
            path = tmp_path / topic
            path.touch()
            client.admin.topics.create(topic, partitions=2)
            with client.producer(topic) as producer:
                producer.send_all([ProducerRecord(b"x", partition=number % 2) for number in range(COUNT)])
            command = [sys.executable, "-c", PROGRAM, cluster.endpoint, topic, mode, str(path), str(at), str(at)]
            ended = subprocess.run(command, timeout=60).returncode
            processed = [tuple(map(int, line.split())) for line in path.read_text().splitlines()]
            assert len(set(processed)) == len(processed)
            with client.consumer(topic, consumer_id="me", stop_at_end=True) as consumer:
                committed = consumer.committed()
                rest = [(record.partition, record.offset) for record in consumer]
            for partition, offset in committed.items():
                assert {(partition, each) for each in range(offset + 1)} <= set(processed), at
            everything = {(partition, offset) for partition in range(2) for offset in range(COUNT // 2)}
            assert set(processed) | set(rest) == everything
            if ended == 0:
                assert committed == {0: COUNT // 2 - 1, 1: COUNT // 2 - 1}
                assert rest == []
                break
            at += 1 if LONG else 7
    assert at > 20
