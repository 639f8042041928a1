"""Print what arrives at a topic until nothing has for a second: python examples/follow.py [ENDPOINT [TOPIC]]"""

from __future__ import annotations

import sys

from fluvio_cffi import Fluvio, FluvioTimeoutError, Offset


def main(endpoint: str, topic: str) -> None:
    with Fluvio.connect(endpoint) as client:
        client.admin.topics.create(topic, exist_ok=True)
        with client.consumer(topic, start=Offset.from_end(10)) as consumer:
            try:
                while True:
                    record = consumer.receive(timeout=1)
                    print(record.partition, record.offset, record.text)
            except FluvioTimeoutError:
                print("nothing more")


arguments = sys.argv[1:] + ["127.0.0.1:9003", "lines"][len(sys.argv) - 1 :]
main(*arguments[:2])
