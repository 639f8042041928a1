"""``consume --parquet``: records into a Parquet file, as Arrow data, of which no Python object is made."""

from __future__ import annotations

import os
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import click

from fluvio_cffi import ArrowBatch, ArrowConsumer

from .settings import Failure, note

_MOST: Final = 65_536
# A row group has at least so many rows, but for the last one.
_GROUP: Final = 131_072
# What says how to write records as text, or cannot be told of columns.
_FOREIGN: Final = ("end", "form", "table_format", "template", "key_value", "truncate")


def check(topics: tuple[str, ...], options: dict[str, Any]) -> None:
    """Whether records can be written so.

    :raises UsageError: another option is in the way, or pyarrow is not there.
    """
    if len(topics) > 1:
        raise click.UsageError("--parquet and several topics are given: a file has the records of one")
    for option in _FOREIGN:
        if options[option]:
            name = {"form": "output", "template": "format"}.get(option, option).replace("_", "-")
            raise click.UsageError(f"--parquet and --{name} are given: the columns are what they are")
    _pyarrow("pyarrow")


def _pyarrow(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise click.UsageError("--parquet needs pyarrow: pip install pyarrow") from None


def write(consumer: ArrowConsumer, path: str, most: int | None, commits: bool) -> None:
    """Writes what is read, until it ends. The file is there when it is whole, and only then is anything committed.

    :raises Failure: the file cannot be written.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with partial.open("xb") as file:
            rows, last = _fill(file, consumer, most)
        partial.replace(target)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    if commits and last:
        consumer.commit(last)
    note(f"{rows} records in {path}")


def _fill(file: Any, consumer: ArrowConsumer, most: int | None) -> tuple[int, dict[int, int]]:
    """Writes the records; how many, and the last offset of each partition."""
    arrow, parquet = _pyarrow("pyarrow"), _pyarrow("pyarrow.parquet")
    rows, kept = 0, 0
    last: dict[int, int] = {}
    group: list[Any] = []
    with parquet.ParquetWriter(file, arrow.schema(consumer)) as writer:
        for batch in _batches(consumer, most):
            last |= batch.last_offsets
            rows += batch.num_rows
            kept += batch.num_rows
            group.append(arrow.table(batch))
            if kept >= _GROUP:
                writer.write_table(arrow.concat_tables(group))
                kept, group = 0, []
        if group:
            writer.write_table(arrow.concat_tables(group))
    return rows, last


def _batches(consumer: ArrowConsumer, most: int | None) -> Iterable[ArrowBatch]:
    left = most
    while left is None or left > 0:
        for batch in consumer.batches(max_records=_MOST if left is None else min(left, _MOST)):
            yield batch
            if left is not None:
                left -= batch.num_rows
                break
        else:
            return
