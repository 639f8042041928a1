"""The rows of a Parquet file into a topic: python examples/parquet_to_topic.py [ENDPOINT [TOPIC [FILE]]]

Needs pyarrow. The file is read as there is room in the producer's buffer, so it may be larger than memory. Without a
file it makes a small one first.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyarrow has no types.

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow
import pyarrow.parquet

from fluvio_cffi import Fluvio


def sample(file: str) -> None:
    sensors = [f"sensor-{number % 3}" for number in range(1000)]
    celsius = [f"{20 + number % 10}" for number in range(1000)]
    pyarrow.parquet.write_table(pyarrow.table({"key": sensors, "value": celsius}), file)


def main(endpoint: str = "127.0.0.1:9003", topic: str = "readings", file: str = "sample.parquet") -> None:
    if not Path(file).exists():
        sample(file)
    with Fluvio.connect(endpoint) as client, pyarrow.parquet.ParquetFile(file) as source:
        client.admin.topics.create(topic, exist_ok=True)
        rows = pyarrow.RecordBatchReader.from_batches(source.schema_arrow, source.iter_batches())
        with client.producer(topic) as producer:
            result = producer.send_arrow(rows, value="value", key="key" if "key" in source.schema_arrow.names else None)
        print(result.count, "records sent to", topic)


main(*sys.argv[1:])
