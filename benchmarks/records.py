"""The records that are sent, the clock, and the check of what arrives: the same as in ``common.rs``.

Only the standard library: ``peer.py`` runs on an interpreter of its own.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

# So many of the first samples of a latency are not counted.
WARM_UP = 5
DIGITS = 10
WORDS = 1 << 17


def _words() -> bytes:
    state = 1

    def draw(below: int) -> int:
        nonlocal state
        state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        return (state >> 16) % below

    vocabulary = [bytes(97 + draw(26) for _ in range(3 + draw(6))) + b" " for _ in range(64)]
    words = bytearray()
    while len(words) < WORDS:
        words += vocabulary[draw(64)]
    return bytes(words[:WORDS])


class Values(Sequence[bytes]):
    """The values: each begins with its number, in ten digits; words follow that compress as text does.

    They are made as they are asked for; ``list`` makes them all beforehand. ``upper``: in capitals.
    """

    def __init__(self, count: int, size: int, upper: bool = False) -> None:
        self._count = count
        self._length = size - DIGITS
        self._words = _words().upper() if upper else _words()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        if isinstance(index, slice):
            return list(self._make(range(*index.indices(self._count))))
        return next(self._make([index]))

    def __iter__(self) -> Iterator[bytes]:
        return self._make(range(self._count))

    def _make(self, numbers: Iterable[int]) -> Iterator[bytes]:
        words, length = self._words, self._length
        rest = WORDS - length
        for number in numbers:
            start = number * 127 % rest
            yield b"%010d" % number + words[start : start + length]


def key(number: int) -> bytes:
    return b"key-%04d" % (number % 1000)


class Clock:
    """Measures from its making to ``stop``.

    What there is before, such as a million values, is kept from the garbage collector, which would look through all of
    it again and again: a program that sends as many records does not have all of them in memory.
    """

    def __init__(self) -> None:
        gc.collect()
        gc.freeze()
        self._cpu = time.process_time()
        self._started = time.perf_counter()

    def stop(self) -> dict[str, float]:
        seconds = time.perf_counter() - self._started
        return {"seconds": seconds, "cpu_seconds": time.process_time() - self._cpu}


class Check:
    """Whether the values of the only partition are those that were sent, each once and in order."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self._values = values
        self.seen = 0

    def take(self, got: list[bytes]) -> None:
        if got != self._values[self.seen : self.seen + len(got)]:
            sys.exit(f"wrong records after the first {self.seen}")
        self.seen += len(got)

    def end(self) -> None:
        if self.seen != len(self._values):
            sys.exit(f"only {self.seen} of {len(self._values)} records arrived")


def check_partitions(
    got: Iterable[tuple[int, int, bytes | None, bytes]], values: Sequence[bytes], keys: bool = False
) -> None:
    """The same for several partitions: (partition, offset, key, value), in the order of their arrival."""
    offsets: dict[int, int] = {}
    numbers: dict[int, int] = {}
    found = bytearray(len(values))
    for partition, offset, record_key, value in got:
        number = int(value[:DIGITS])
        if value != values[number] or record_key != (key(number) if keys else None):
            sys.exit(f"partition {partition}: a wrong record at offset {offset}")
        if offset != offsets.get(partition, 0) or number <= numbers.get(partition, -1) or found[number]:
            sys.exit(f"partition {partition}: record {number} at offset {offset} is out of order, or there twice")
        offsets[partition] = offset + 1
        numbers[partition] = number
        found[number] = 1
    if not all(found):
        sys.exit(f"only {sum(found)} of {len(values)} records arrived")


def check_places(places: Iterable[tuple[int, int]], count: int) -> None:
    """Whether the acknowledgements (partition, offset) of records that were sent in order say so, and are all there."""
    offsets: dict[int, int] = {}
    seen = 0
    for partition, offset in islice(places, count):
        if offset != offsets.get(partition, 0):
            sys.exit(f"record {seen} was written at offset {offset} of partition {partition}")
        offsets[partition] = offset + 1
        seen += 1
    if seen != count:
        sys.exit(f"only {seen} of {count} records were acknowledged")


def latencies(samples: Sequence[float]) -> dict[str, float]:
    """Percentiles in microseconds."""
    ordered = sorted(samples[WARM_UP:])
    last = len(ordered) - 1
    parts = {"p50_us": 500, "p90_us": 900, "p99_us": 990, "p999_us": 999, "max_us": 1000}
    found = {name: ordered[(last * part + 500) // 1000] * 1e6 for name, part in parts.items()}
    return {**found, "samples": len(ordered)}


def resident() -> int:
    """Bytes of memory that this process has now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak() -> float:
    """MiB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
