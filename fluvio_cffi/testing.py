"""What tests of programs that use Fluvio need again and again.

The functions whose names begin with ``a`` are for clients of event loops, on asyncio and trio. The fixtures are in the
pytest plugin that comes with the package, ``pytest_fluvio_cffi``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from fluvio_cffi import (
    AsyncFluvio,
    ConfigError,
    ConsumerOffset,
    Fluvio,
    FluvioError,
    FluvioTimeoutError,
    Offset,
    Record,
)
from fluvio_cffi._cluster.waiting import pause
from fluvio_cffi._values.checks import number, text, wrong_type
from fluvio_cffi._values.quantities import parse_duration

__all__ = ["aread_all", "await_until_committed", "read_all", "wait_until_committed"]

_INTERVAL = 0.01
_PARTITIONS = 2**31 - 1
_OFFSETS = 2**63 - 1


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
    """Wait until at least these offsets are stored under a ``consumer_id``. It waits for a cluster that is away.

    :param offsets: the last processed offset of each partition, as ``{partition: offset}``; of one at least.
    :param timeout: in seconds; 5 if it is left out.
    :raises FluvioTimeoutError: they are not stored by then; the message says what is. If the cluster could not be asked
        in the end, ``__cause__`` is that error.
    """
    wait = _Wait(consumer_id, topic, offsets, timeout)
    admin = client.admin.consumer_offsets
    while True:
        try:
            found = admin.list(consumer_id=consumer_id, topic=topic, timeout=wait.left())
        except FluvioError as error:
            wait.failed(error)
        else:
            if wait.reached(found):
                return
        wait.check_time()
        time.sleep(_INTERVAL)


async def await_until_committed(
    client: AsyncFluvio, consumer_id: str, topic: str, offsets: Mapping[int, int], timeout: float = 5.0
) -> None:
    """:func:`wait_until_committed`, for an event loop."""
    wait = _Wait(consumer_id, topic, offsets, timeout)
    admin = client.admin.consumer_offsets
    while True:
        try:
            found = await admin.list(consumer_id=consumer_id, topic=topic, timeout=wait.left())
        except FluvioError as error:
            wait.failed(error)
        else:
            if wait.reached(found):
                return
        wait.check_time()
        await pause(_INTERVAL)


class _Wait:
    """What is waited for, until when, and what was seen so far."""

    def __init__(self, consumer_id: str, topic: str, offsets: Mapping[int, int], timeout: float) -> None:
        self._consumer_id = text(consumer_id, "consumer_id")
        self._topic = text(topic, "topic")
        self._wanted = _checked(offsets)
        self._timeout = parse_duration(timeout, "timeout")
        self._deadline = time.monotonic() + self._timeout
        self._stored: dict[int, int] = {}
        self._error: FluvioError | None = None

    def left(self) -> float:
        """How long one question may take: the last one, too, gets a moment."""
        return max(self._deadline - time.monotonic(), 0.1)

    def reached(self, found: list[ConsumerOffset]) -> bool:
        stored = {each.partition: each.offset for each in found if each.offset is not None}
        self._stored, self._error = stored, None
        return all(partition in stored and stored[partition] >= offset for partition, offset in self._wanted.items())

    def failed(self, error: FluvioError) -> None:
        if not error.retriable:
            raise error
        self._error = error

    def check_time(self) -> None:
        if time.monotonic() > self._deadline:
            attempt = "" if self._error is None else f"; the last attempt: {self._error}"
            raise FluvioTimeoutError(
                f"{self._consumer_id!r} has not committed {self._wanted} of topic {self._topic!r} within "
                f"{self._timeout:g} s: stored is {self._stored or 'nothing'}{attempt}",
                topic=self._topic,
                phase="commit",
            ) from self._error


def _checked(offsets: Mapping[int, int]) -> dict[int, int]:
    if not isinstance(offsets, Mapping):
        raise wrong_type("offsets", "a mapping of partitions to offsets, such as {0: 41}", offsets)
    if not offsets:
        raise ConfigError("offsets is empty: it must have at least one partition, such as {0: 41}")
    for partition, offset in offsets.items():
        number(partition, "a partition in offsets", 0, _PARTITIONS)
        number(offset, f"offsets[{partition}]", 0, _OFFSETS)
    return dict(offsets)
