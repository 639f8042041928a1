"""The cluster is killed with kill -9 in mid-send and comes back: what is promised holds."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from conftest import World
from laws import LONG, has_long_form, stop

from fluvio_cffi import DeliveryError, FluvioTimeoutError, LocalCluster, Offset

KILLS = 5 if LONG else 2


class Killer:
    """Kills the cluster, and starts it again, whenever so many more records were sent."""

    def __init__(self, cluster: LocalCluster, every: int) -> None:
        self.cluster = cluster
        self.every = every
        self.kills = 0
        self._sent = 0
        self._time = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def sending(self, number: int) -> bytes:
        """The record's value, on its way to the producer."""
        self._sent += 1
        if self._sent % self.every == 0:
            self._time.set()
        return b"%d" % number

    def _run(self) -> None:
        for _ in range(KILLS):
            self._time.wait(60)
            self._time.clear()
            self.cluster.kill()
            self.kills += 1
            self.cluster.start()

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        while self.busy:
            self._time.set()
            self._thread.join(0.1)

    @property
    def busy(self) -> bool:
        return self._thread.is_alive()


@has_long_form
@pytest.mark.timeout(120)
@pytest.mark.backends("asyncio", "trio", "sync")
@pytest.mark.parametrize("how", ["send_all", "enqueue", "send"])
async def test_killed_in_mid_send(world: World, tmp_path: Path, how: str) -> None:
    """Nothing acknowledged is missing, first occurrences are in order, the consumer goes on."""
    count = {"send_all": 20_000, "enqueue": 5000, "send": 500}[how]
    with LocalCluster(data_dir=tmp_path) as cluster, Killer(cluster, count * 7 // 4) as killer:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            consumer = await client.consumer(topic, start=Offset.beginning())
            producer = await client.producer(topic)
            offsets: list[int] = []
            sent = 0
            while killer.busy:
                numbers = range(sent, sent + count)
                sent += count
                if how == "send_all":
                    offsets += [item.offset for item in await producer.send_all(map(killer.sending, numbers))]
                elif how == "enqueue":
                    receipts = [await producer.enqueue(killer.sending(number)) for number in numbers]
                    offsets += [(await receipt.wait()).offset for receipt in receipts]
                else:
                    offsets += [(await producer.send(killer.sending(number))).offset for number in numbers]
            assert killer.kills == KILLS
            # The consumer that was open all the while goes on, and sees each record of the log once, in order.
            log: list[int] = []
            seen: dict[int, None] = {}
            while len(seen) < sent:
                record = await consumer.receive(timeout=20)
                assert record.offset == len(log)
                log.append(int(record.value))
                seen.setdefault(log[-1])
            assert list(seen) == list(range(sent))
            assert [log[offset] for offset in offsets] == list(range(sent))
            check_repeats(log)
            await producer.close()
            await consumer.close()
            # And so does one that is opened afterwards.
            async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer:
                assert [int(record.value) async for record in consumer] == log


@has_long_form
@pytest.mark.timeout(60)
@pytest.mark.backends("asyncio", "trio", "sync")
async def test_killed_with_records_in_flight(world: World, tmp_path: Path) -> None:
    """The cluster is stopped, so that nothing is acknowledged, then killed: everything is sent again."""
    with LocalCluster(data_dir=tmp_path) as cluster:
        async with world.connect(cluster.endpoint) as client:
            topic = await world.topic(client)
            async with client.producer(topic) as producer, client.consumer(topic, start=Offset.beginning()) as consumer:
                await producer.send(b"0")
                stop(cluster.pid)
                receipts = [await producer.enqueue(b"%d" % number) for number in range(1, 20_000)]
                assert not any(receipt.done() for receipt in receipts)
                assert producer.pending.records == len(receipts)
                cluster.kill()
                cluster.start()
                offsets = [(await receipt).offset for receipt in receipts]
                log: list[int] = []
                while len(log) <= offsets[-1]:
                    log.append(int((await consumer.receive(timeout=20)).value))
                assert [log[offset] for offset in offsets] == list(range(1, 20_000))
                assert list(dict.fromkeys(log)) == list(range(20_000))
                assert producer.pending == (0, 0)


def check_repeats(log: list[int]) -> None:
    """What is repeated is one run for each kill: 1 2 3 4 3 4 5."""
    steps_back = [at for at in range(1, len(log)) if log[at] != log[at - 1] + 1]
    assert len(steps_back) <= KILLS
    assert all(log[at] <= log[at - 1] for at in steps_back)


@pytest.mark.timeout(60)
@pytest.mark.backends("asyncio", "trio", "sync")
async def test_killed_for_good(world: World) -> None:
    """Every wait ends, each failed record says so, and the client can be closed."""
    with LocalCluster() as cluster:
        client = await world.connect(cluster.endpoint, request_timeout=1, admin_timeout=2)
        topic = await world.topic(client)
        producer = await client.producer(topic, delivery_timeout=1)
        consumer = await client.consumer(topic)
        await producer.send(b"acknowledged")
        assert (await consumer.receive()).value == b"acknowledged"
        cluster.kill()
        receipts = [await producer.enqueue(b"%d" % number) for number in range(100)]
        for receipt in receipts:
            with pytest.raises(FluvioTimeoutError) as failure:
                await receipt.wait()
            assert failure.value.phase == "delivery"
            # What a client sends before it has heard that the connection is gone may have been written.
            assert failure.value.outcome in ("not_written", "unknown")
        with pytest.raises(DeliveryError) as all_failed:
            await producer.send_all([b"x"] * 10)
        assert all_failed.value.count == 10
        await producer.flush()
        with pytest.raises(FluvioTimeoutError) as late:
            await client.admin.topics.list()
        assert late.value.phase == "admin"
        with pytest.raises(FluvioTimeoutError):
            await consumer.receive(timeout=0.1)
        await producer.enqueue(b"nobody looks at it")
        with pytest.raises(DeliveryError):
            await client.close()
