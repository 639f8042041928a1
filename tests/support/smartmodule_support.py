"""The SmartModules of the tests, and what a plain reading of a log gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fluvio_cffi import Offset, Record, SmartModule

MODULES = Path(__file__).parent.parent / "smartmodules"


def module(name: str, **keywords: Any) -> SmartModule:
    """One of the modules in ``tests/smartmodules``; its README says what they do."""
    return SmartModule(path=MODULES / f"{name}.wasm", **keywords)


def contains(needle: str) -> SmartModule:
    return module("contains", params={"needle": needle})


async def read(
    client: Any, topic: str, *modules: SmartModule, start: int | None = None, **keywords: Any
) -> list[Record]:
    """What a consumer reads to the end of the topic."""
    begin = Offset.beginning() if start is None else Offset.at(start)
    keywords = {"start": begin, "stop_at_end": True} | keywords
    async with client.consumer(topic, smartmodules=modules, **keywords) as consumer:
        return [record async for record in consumer]


async def fill(client: Any, topic: str, values: list[str], batch: int, **keywords: Any) -> None:
    """Appends the values, so many in each batch of the log."""
    async with client.producer(topic, linger=60, batch_size="16MiB", max_request_size="32MiB", **keywords) as producer:
        for at in range(0, len(values), batch):
            receipts = [await producer.enqueue(value, key=f"k{value:.20}") for value in values[at : at + batch]]
            await producer.flush()
            assert all(receipt.exception() is None for receipt in receipts)


Place = tuple[int, "int | None", "bytes | None", bytes]
"""Offset, time, key and value of a record."""


def places(records: list[Record]) -> list[Place]:
    return [(record.offset, record.timestamp, record.key, record.value) for record in records]


def passing(records: list[Record], needle: bytes, start: int = 0) -> list[Place]:
    """What a filter gives, by a reading without one."""
    return places([record for record in records if needle in record.value and record.offset >= start])
