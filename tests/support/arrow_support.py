"""Who reads Arrow data: each makes rows of it, as ``tuples()`` of a batch does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

if sys.implementation.name != "cpython":
    pytest.skip("Arrow data is for CPython only", allow_module_level=True)

import arro3.core
import duckdb
import nanoarrow
import polars
import pyarrow

from fluvio_cffi import Offset

COLUMNS = ["partition", "offset", "timestamp", "key", "value"]
Row = tuple[int, int, "int | None", "bytes | None", bytes]


def row(values: Any) -> Row:
    partition, offset, time, key, value = values
    return partition, offset, round(time.timestamp() * 1000) if isinstance(time, datetime) else time, key, value


def by_pyarrow(batch: Any) -> list[Row]:
    table = pyarrow.table(batch)
    table.validate(full=True)
    return [row(found[name] for name in COLUMNS) for found in table.to_pylist()]


def by_pyarrow_array(batch: Any) -> list[Row]:
    found = pyarrow.record_batch(batch)
    found.validate(full=True)
    return [row(each[name] for name in COLUMNS) for each in found.to_pylist()]


def by_polars(batch: Any) -> list[Row]:
    return [*map(row, polars.DataFrame(batch).select(COLUMNS).rows())]


def by_duckdb(batch: Any) -> list[Row]:
    with duckdb.connect() as connection:
        return [*map(row, connection.sql("FROM batch").fetchall())]


def by_nanoarrow(batch: Any) -> list[Row]:
    return [row(found[name] for name in COLUMNS) for found in nanoarrow.ArrayStream(batch).read_all().to_pylist()]


def by_arro3(batch: Any) -> list[Row]:
    found: Any = arro3.core.Table(batch).to_struct_array()
    return [row(each.as_py().values()) for each in found]


READERS: dict[str, Callable[[Any], list[Row]]] = {
    "pyarrow": by_pyarrow,
    "polars": by_polars,
    "duckdb": by_duckdb,
    "nanoarrow": by_nanoarrow,
    "arro3": by_arro3,
}


async def read_rows(client: Any, topic: str, **how: Any) -> list[Row]:
    """All records of a topic, as they are read without Arrow."""
    how = {"start": Offset.beginning(), "stop_at_end": True} | how
    async with client.consumer(topic, **how) as consumer:
        return [row async for batch in consumer.batches() for row in batch.tuples()]


def ordered_rows(rows: list[Row]) -> list[Row]:
    """By partition, and offset."""
    return sorted(rows, key=lambda row: row[:2])
