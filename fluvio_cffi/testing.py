"""What tests of programs that use Fluvio need again and again.

The functions whose names begin with ``a`` are for clients of event loops, on asyncio and trio. The fixtures are in the
pytest plugin that comes with the package, ``pytest_fluvio_cffi``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from fluvio_cffi import AsyncFluvio, ConsumerOffset, Fluvio, FluvioTimeoutError, Offset, Record
from fluvio_cffi._cluster.waiting import pause

__all__ = ["aread_all", "await_until_committed", "read_all", "wait_until_committed"]

_INTERVAL = 0.01


def read_all(client: Fluvio, topic: str) -> list[Record]:
    """All records of a topic, from the first to the last that there is now; those of one partition in order."""
    with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return list(consumer)


async def aread_all(client: AsyncFluvio, topic: str) -> list[Record]:
    """:func:`read_all`, for an event loop."""
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
        return [record async for record in consumer]


def wait_until_committed(
    client: Fluvio, consumer_id: str, topic: str, offsets: Mapping[int, int], timeout: float = 5.0
) -> None:
    """Wait until at least these offsets are stored under a ``consumer_id``.

    :param offsets: the last processed offset of each partition.
    :param timeout: in seconds.
    :raises FluvioTimeoutError: they are not stored by then; the message says what is.
    """
    deadline = time.monotonic() + timeout
    admin = client.admin.consumer_offsets
    while True:
        stored = _offsets(admin.list(consumer_id=consumer_id, topic=topic, timeout=_left(deadline)))
        if _reached(stored, offsets):
            return
        if time.monotonic() > deadline:
            raise _late(consumer_id, topic, offsets, stored, timeout)
        time.sleep(_INTERVAL)


async def await_until_committed(
    client: AsyncFluvio, consumer_id: str, topic: str, offsets: Mapping[int, int], timeout: float = 5.0
) -> None:
    """:func:`wait_until_committed`, for an event loop."""
    deadline = time.monotonic() + timeout
    admin = client.admin.consumer_offsets
    while True:
        stored = _offsets(await admin.list(consumer_id=consumer_id, topic=topic, timeout=_left(deadline)))
        if _reached(stored, offsets):
            return
        if time.monotonic() > deadline:
            raise _late(consumer_id, topic, offsets, stored, timeout)
        await pause(_INTERVAL)


def _left(deadline: float) -> float:
    """How long one question may take: the last one, too, gets a moment."""
    return max(deadline - time.monotonic(), 0.1)


def _offsets(found: list[ConsumerOffset]) -> dict[int, int]:
    return {each.partition: each.offset for each in found if each.offset is not None}


def _reached(stored: Mapping[int, int], wanted: Mapping[int, int]) -> bool:
    return all(partition in stored and stored[partition] >= offset for partition, offset in wanted.items())


def _late(
    consumer_id: str, topic: str, wanted: Mapping[int, int], stored: Mapping[int, int], timeout: float
) -> FluvioTimeoutError:
    return FluvioTimeoutError(
        f"{consumer_id!r} has not committed {dict(wanted)} of topic {topic!r} within {timeout:g} s: "
        f"stored is {stored or 'nothing'}",
        topic=topic,
        phase="commit",
    )
