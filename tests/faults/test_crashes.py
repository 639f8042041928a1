"""A program that processes records and commits is killed at each step.

What it had not processed comes again, whatever was read ahead; nothing that it had not processed is ever committed.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from laws import LONG, has_long_form

from fluvio_cffi import Fluvio, LocalCluster, Offset

pytestmark = pytest.mark.timeout(300)
COUNT = 8

PROGRAM = """
import os, signal, sys, time
from fluvio_cffi import *

endpoint, topic, mode, by, path, last = sys.argv[1:]
steps = int(last)

def step():
    global steps
    if mode == "auto":
        # Long enough for some automatic commits.
        time.sleep(0.015)
    if steps == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    steps -= 1

def process(record):
    step()
    file.write(b"%d\\n" % record.offset)
    step()

auto = {"commit": "auto", "auto_commit_interval": 0.005} if mode == "auto" else {}
with open(path, "ab", buffering=0) as file, Fluvio.connect(endpoint) as client:
    with client.consumer(topic, consumer_id="me", stop_at_end=True, **auto) as consumer:
        step()
        if by == "record":
            for record in consumer:
                process(record)
                if mode == "manual":
                    consumer.commit(record)
                    step()
        else:
            for batch in consumer.batches(max_records=3):
                for record in batch:
                    process(record)
                if mode == "manual":
                    consumer.commit(batch)
                    step()
        step()
    step()
"""


@has_long_form
@pytest.mark.parametrize("by", ["record", "batch"])
@pytest.mark.parametrize("mode", ["manual", "auto"])
def test_killed_at_each_step(cluster: LocalCluster, tmp_path: Path, mode: str, by: str) -> None:
    at = 0
    with Fluvio.connect(cluster.endpoint) as client:
        while True:
            topic = f"crash-{mode}-{by}-{at}"
            path = tmp_path / topic
            path.touch()
            client.admin.topics.create(topic)
            with client.producer(topic) as producer:
                producer.send_all([b"%d" % number for number in range(COUNT)])
            command = [sys.executable, "-c", PROGRAM, cluster.endpoint, topic, mode, by, str(path), str(at)]
            ended = subprocess.run(command, timeout=60).returncode
            processed = [int(line) for line in path.read_text().split()]
            assert processed == list(range(len(processed)))
            with client.consumer(topic, consumer_id="me", stop_at_end=True) as consumer:
                committed = consumer.committed().get(0, -1)
                assert committed < len(processed), "committed, and not processed"
                again = [record.offset for record in consumer]
            assert again == list(range(committed + 1, COUNT)), "lost"
            with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                assert len(list(consumer)) == COUNT
            if ended == 0:
                assert committed == COUNT - 1
                break
            assert ended == -9
            at += 1 if LONG else 5
    assert at > COUNT
