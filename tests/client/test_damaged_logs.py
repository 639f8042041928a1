"""Logs that were damaged on the SPU's disk: where reading stops, and what it says, with SmartModules and without."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import World
from laws import LONG, has_long_form
from smartmodule_support import fill, module

from fluvio_cffi import ClosedError, ConsumerError, CorruptRecordError, FluvioError, FluvioTimeoutError, Offset

pytestmark = [pytest.mark.timeout(600 if LONG else 60), pytest.mark.backends("asyncio", "sync")]

# Each log has batches of three records; the second one is damaged.
BATCH, DAMAGED, WHOLE = 3, 3, 12
Damage = Callable[[bytearray], None]


def put(at: int, number: int, size: int) -> Damage:
    def damage(batch: bytearray) -> None:
        batch[at : at + size] = (number % (1 << 8 * size)).to_bytes(size, "big")

    return damage


def noise(batch: bytearray) -> None:
    batch[61:] = b"\xff" * (len(batch) - 61)


DAMAGES = {
    "checksum": put(17, 0, 4),
    "format": put(16, 7, 1),
    "codec": put(21, 1, 2),
    "count": put(57, 100, 4),
    "records": noise,
    "short": put(8, 55, 4),
    "long": put(8, 5000, 4),
    "longer than the log": put(8, 1 << 29, 4),
    "negative": put(8, -1, 4),
}
# The real server, too, looks at neither of these for SmartModules.
UNSEEN = ("checksum", "format")
FRAMED = ("checksum", "count", "records", "codec")


def segments(world: World, topic: str) -> list[Path]:
    return sorted(Path(world.cluster.data_dir, "spu-logs-5001", f"{topic}-0").glob("*.log"))


def harm(path: Path, damage: Damage, which: int = 1) -> None:
    log = bytearray(path.read_bytes())
    at = 0
    for _ in range(which):
        at += 12 + int.from_bytes(log[at + 8 : at + 12], "big")
    end = at + 12 + int.from_bytes(log[at + 8 : at + 12], "big")
    batch = log[at:end]
    damage(batch)
    path.write_bytes(log[:at] + batch + log[end:])


async def until_it_fails(consumer: Any) -> tuple[list[int], FluvioError]:
    got = []
    while True:
        try:
            got.append((await consumer.receive(10)).offset)
        except FluvioError as error:
            return got, error


@pytest.mark.parametrize("how", DAMAGES)
async def test_what_lies_before_the_damage_is_read(world: World, how: str) -> None:
    async with world.connect() as client:
        topic = await world.topic(client)
        await fill(client, topic, ["some text"] * WHOLE, BATCH)
        harm(segments(world, topic)[0], DAMAGES[how])
        async with client.consumer(topic, start=Offset.beginning()) as consumer:
            got, error = await until_it_fails(consumer)
            assert got == list(range(DAMAGED))
            assert isinstance(error, CorruptRecordError), error
            assert (error.topic, error.partition, error.offset) == (topic, 0, DAMAGED)
            assert consumer.position() == {0: DAMAGED}
            if how in FRAMED:
                await consumer.seek(0, DAMAGED + BATCH)
                assert (await consumer.receive(10)).offset == DAMAGED + BATCH


@pytest.mark.parametrize("how", [how for how in DAMAGES if how not in UNSEEN])
@pytest.mark.parametrize("chain", [["pass"], ["sum", "pass"]], ids=",".join)
async def test_the_log_is_blamed_and_not_the_smartmodules(world: World, how: str, chain: list[str]) -> None:
    """The server, which says the same of both, unpacks a whole segment before it sends anything."""
    async with world.connect() as client:
        topic = await world.topic(client)
        await fill(client, topic, ["1"] * WHOLE, BATCH)
        harm(segments(world, topic)[0], DAMAGES[how])
        modules = [module(name) for name in chain]
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=modules) as consumer:
            got, error = await until_it_fails(consumer)
            assert isinstance(error, CorruptRecordError), error
            assert (got, error.topic, error.partition, error.offset) == ([], topic, 0, DAMAGED)
            assert "cannot be run on what lies before it either, from offset 0 on" in str(error)
            assert consumer.position() == {0: 0}
            if how in FRAMED:
                await consumer.seek(0, DAMAGED + BATCH)
                assert (await consumer.receive(10)).offset == DAMAGED + BATCH


async def test_other_segments_are_read_through_smartmodules(world: World) -> None:
    async with world.connect() as client:
        topic = await world.topic(client, segment_size="4KiB")
        await fill(client, topic, ["x" * 600] * 30, 1)
        damaged = segments(world, topic)[2]
        harm(damaged, DAMAGES["count"])
        first = int(damaged.stem)
        async with client.consumer(topic, start=Offset.beginning(), smartmodules=module("pass")) as consumer:
            got, error = await until_it_fails(consumer)
            assert isinstance(error, CorruptRecordError), error
            assert (got, error.offset, consumer.position()) == (list(range(first)), first + 1, {0: first})


@has_long_form
@pytest.mark.parametrize("seed", range(400 if LONG else 12))
@pytest.mark.backends("sync")
async def test_whatever_the_damage_reading_ends(world: World, seed: int) -> None:
    """It gives what is right, or an error: nothing is waited for that never comes."""
    chance = random.Random(seed)
    async with world.connect() as client:
        topic = await world.topic(client, segment_size="4KiB")
        codec = chance.choice(["none", "gzip", "zstd"])
        await fill(
            client, topic, [f"{number:03}" * chance.choice([1, 60]) for number in range(60)], 3, compression=codec
        )
        path = chance.choice(segments(world, topic))
        log = bytearray(path.read_bytes())
        at = chance.randrange(len(log))
        match chance.choice(["bytes", "number", "noise", "zeros", "shorter"]):
            case "bytes":
                for _ in range(3):
                    log[chance.randrange(len(log))] = chance.randrange(256)
            case "number":
                number = chance.choice([0, 1, -1, 1000, 1 << 20, (1 << 31) - 1, -(1 << 31)])
                log[at : at + 4] = (number % (1 << 32)).to_bytes(4, "big")
            case "noise":
                log[at : at + 200] = chance.randbytes(min(200, len(log) - at))
            case "zeros":
                log[at:] = bytes(len(log) - at)
            case _:
                del log[at:]
        path.write_bytes(log)
        for modules in ([], [module("pass")]):
            async with client.consumer(
                topic, start=Offset.beginning(), stop_at_end=True, smartmodules=modules
            ) as consumer:
                got, error = await until_it_fails(consumer)
                assert not isinstance(error, FluvioTimeoutError), error
                assert isinstance(error, (ClosedError, ConsumerError)) or error.partition == 0, error
                # Where damaged records can be run, only the checksum tells, which the server does not look at.
                assert modules or got == list(range(len(got)))
