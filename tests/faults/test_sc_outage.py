"""The SC is killed, falls silent, and comes back, under administrative calls and watches: every call ends in time with
the right error or result, watches go on, and the data path never notices."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import laws
import pytest
from campaign import Campaign, aside, together
from conftest import World
from laws import LONG, has_long_form
from seen import Seen

from fluvio_cffi import (
    AlreadyExistsError,
    FluvioConnectionError,
    FluvioTimeoutError,
    LocalCluster,
    TopicNotFoundError,
)

ADMIN_TIMEOUT = 1.0
# How late a call may be on a busy machine.
GRACE = 3.0
BACK = 15.0

Hit = Callable[["Outage"], Awaitable[None]]


class Outage:
    """A cluster whose SC is hit again and again, and those who want something of it meanwhile."""

    def __init__(self, world: World, cluster: LocalCluster, client: Any) -> None:
        self.world = world
        self.cluster = cluster
        self.client = client
        self.over = False
        self.ended: Counter[str] = Counter()
        self._numbers = itertools.count()

    async def run(self, suffer: Callable[[], Awaitable[None]], *others: Callable[[], Awaitable[None]]) -> None:
        async def hits() -> None:
            try:
                await suffer()
            finally:
                self.over = True

        async with self.client.admin.topics.watch() as changes:
            self.seen = Seen(changes)
            await together(self.world, hits, self.call, self.call, self.watch, *others)

    async def call(self) -> None:
        """One call after another, of all kinds: each ends in time, with what it is allowed to end with."""
        admin, name = self.client.admin, f"called-{next(self._numbers)}"
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: admin.topics.create(name, exist_ok=True),
            lambda: admin.topics.list(),
            lambda: admin.partitions.list(topic=name),
            lambda: admin.topics.get(name),
            lambda: admin.spus.get(5001),
            lambda: admin.cluster.status(),
            lambda: admin.consumer_offsets.list(),
            lambda: admin.topics.delete(name, missing_ok=True),
            lambda: admin.smartmodules.list(),
            lambda: admin.topics.create(name),
            lambda: admin.topics.delete(name),
        )
        for call in itertools.cycle(calls):
            if self.over:
                return
            begun = time.monotonic()
            try:
                await call()
                self.ended["result"] += 1
            except FluvioTimeoutError as error:
                assert error.phase == "admin", error
                self.ended["timeout"] += 1
            except FluvioConnectionError:
                self.ended["connection"] += 1
                await self.world.sleep(0.02)
            except (TopicNotFoundError, AlreadyExistsError):
                # What an earlier call did is open, if that was cut off.
                self.ended["result"] += 1
            assert time.monotonic() - begun < ADMIN_TIMEOUT + GRACE

    async def watch(self) -> None:
        """Whoever watches sees in the end what there is."""
        while not self.over:
            try:
                self.seen.add(await self.seen.watch.receive(timeout=0.2))
            except FluvioTimeoutError:
                continue
        created = await self.client.admin.topics.create("last", timeout=BACK)
        await self.seen.until(lambda seen: seen.objects.get("last") == created)
        # The others have ended; what they gave up may still be happening.
        deadline = time.monotonic() + BACK
        while True:
            there = {topic.name: topic for topic in await self.client.admin.topics.list(timeout=BACK)}
            there |= {topic.name: topic for topic in await self.client.admin.topics.list(system=True)}
            if there == self.seen.objects:
                break
            assert time.monotonic() < deadline, (there.keys(), self.seen.objects.keys())
            try:
                self.seen.add(await self.seen.watch.receive(timeout=0.1))
            except FluvioTimeoutError:
                continue

    async def works_again(self) -> None:
        """The next call works: a connection that is dead is not used for it."""
        assert (await self.client.admin.spus.get(5001, timeout=BACK)).spec.id == 5001
        await self.client.admin.topics.create("between", exist_ok=True, timeout=BACK)
        await self.client.admin.topics.delete("between", timeout=BACK)


# -- the SC alone: the SPUs go on


async def killed(outage: Outage) -> None:
    away = outage.cluster.faults.kill_controller()
    await outage.world.sleep(0.1)
    away.undo()


async def silent(outage: Outage) -> None:
    """For longer than a call may take."""
    silent = outage.cluster.faults.stall_controller()
    await outage.world.sleep(ADMIN_TIMEOUT * 1.2)
    silent.undo()


async def reset(outage: Outage) -> None:
    outage.cluster.faults.reset_controller()


def rounds(backend: str) -> int:
    if not LONG:
        return 2
    return 20 if backend == "asyncio" else 5


@has_long_form
@pytest.mark.timeout(600 if LONG else 120)
@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("hit", [killed, silent, reset], ids=lambda hit: hit.__name__)
async def test_the_data_path_never_notices(world: World, hit: Hit) -> None:
    with LocalCluster() as cluster:
        async with (
            world.connect(cluster.endpoint, admin_timeout=ADMIN_TIMEOUT) as client,
            world.connect(cluster.endpoint) as other,
        ):
            await other.admin.topics.create("flows")
            outage, campaign = Outage(world, cluster, client), Campaign(world, other, "flows")

            async def suffer(campaign: Campaign) -> None:
                async def hits() -> None:
                    for _ in range(rounds(world.backend)):
                        await campaign.more()
                        await hit(outage)
                        await campaign.more()
                        await outage.works_again()

                await outage.run(hits)

            await campaign.run(suffer)
            campaign.check_nothing_failed()
            campaign.check_order(0)
            metrics = other.metrics()
            assert (metrics.retries, metrics.duplicates_possible, metrics.reordered) == (0, 0, 0)
            # Those to the SC; none to an SPU.
            assert metrics.reconnects <= rounds(world.backend)
            assert outage.ended["result"] > 0
            if hit is silent:
                assert outage.ended["timeout"] > 0
            if hit is not reset:
                assert outage.seen.snapshots >= 1


# -- the whole cluster


async def killed_whole(outage: Outage) -> None:
    await aside(outage.world, outage.cluster.kill)
    await aside(outage.world, outage.cluster.start)


async def stopped_whole(outage: Outage) -> None:
    laws.stop(outage.cluster.pid)
    await outage.world.sleep(ADMIN_TIMEOUT * 1.2)
    os.kill(outage.cluster.pid, signal.SIGCONT)


@has_long_form
@pytest.mark.timeout(600 if LONG else 120)
@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("hit", [killed_whole, stopped_whole], ids=lambda hit: hit.__name__)
async def test_every_call_ends_in_time(world: World, hit: Hit) -> None:
    with LocalCluster() as cluster:
        async with world.connect(cluster.endpoint, admin_timeout=ADMIN_TIMEOUT) as client:
            outage = Outage(world, cluster, client)

            async def hits() -> None:
                for _ in range(rounds(world.backend)):
                    await outage.world.sleep(0.1)
                    await hit(outage)
                    await outage.works_again()

            await outage.run(hits)
            assert outage.ended["result"] > 0
