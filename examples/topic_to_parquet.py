"""The records of a topic into a Parquet file, which any tool for data can read:
python examples/topic_to_parquet.py [ENDPOINT [TOPIC [FILE]]]

Needs pyarrow. No Python object is made of a record. It goes on where the last run has ended, as the offsets are stored
once the file is closed.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyarrow has no types.

from __future__ import annotations

import sys

import pyarrow
import pyarrow.parquet

from fluvio_cffi import Fluvio


def main(endpoint: str = "127.0.0.1:9003", topic: str = "readings", file: str = "readings.parquet") -> None:
    with (
        Fluvio.connect(endpoint) as client,
        client.consumer(topic, consumer_id="to-parquet", stop_at_end=True, format="arrow") as consumer,
    ):
        rows = 0
        with pyarrow.parquet.ParquetWriter(file, pyarrow.schema(consumer)) as writer:
            for batch in consumer.batches():
                writer.write_table(pyarrow.table(batch))
                rows += batch.num_rows
        consumer.commit()
        print(rows, "records in", file)


main(*sys.argv[1:])
