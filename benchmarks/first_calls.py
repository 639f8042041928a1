"""How long each first call of a process holds the event loop: the longest step of the loop while the call is awaited.

Usage: python first_calls.py [--rounds 5] [--hosts asyncio,trio] [--calls send,topics] [--check] [--compiled]

Each call is made in a process of its own, as the first of its kind; what it needs (a client, a producer) is opened
before. It prints for each call the least, the median and the most of the rounds, and the median of the processor time;
what is more than that is waiting, most of it for a processor. With --check the exit status is 1 if a call held the loop
over 5 ms in each round.

With --compiled it says as JSON instead how many pieces of code each call compiles, which is what first calls spend most
of their time on, and what no other load of the machine changes.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from hosts import in_trio, run, sleep

import fluvio_cffi
from fluvio_cffi import AsyncFluvio, Fluvio, LocalCluster, Offset

LIMIT_MS = 5.0
WASM = b"\0asm\1\0\0\0"


class Steps:
    """The steps of the loop: of asyncio each callback and each step of a task, of trio each step of a task."""

    def __init__(self) -> None:
        self.longest = (0.0, 0.0)
        self.running = False
        self._begun = (0.0, 0.0)

    def __enter__(self) -> Steps:
        self.longest = (0.0, 0.0)
        self.running = True
        if in_trio():
            import trio

            trio.lowlevel.add_instrument(self)  # type: ignore[arg-type]
        else:
            self._run = run_handle = asyncio.Handle._run

            def timed(handle: asyncio.Handle) -> None:
                self.before_task_step(None)
                run_handle(handle)
                self.after_task_step(None)

            asyncio.Handle._run = timed  # type: ignore[assignment, method-assign]
        return self

    def __exit__(self, *error: object) -> None:
        self.running = False
        if in_trio():
            import trio

            trio.lowlevel.remove_instrument(self)  # type: ignore[arg-type]
        else:
            asyncio.Handle._run = self._run  # type: ignore[method-assign]

    def before_task_step(self, task: object) -> None:
        self._begun = time.perf_counter(), time.thread_time()

    def after_task_step(self, task: object) -> None:
        if self.running and self._begun[0]:
            begun, used = self._begun
            self.longest = max(self.longest, (time.perf_counter() - begun, time.thread_time() - used))

    @asynccontextmanager
    async def __call__(self) -> AsyncGenerator[None]:
        """What is done in it is measured, from the beginning of a step to the end of one."""
        # What was made before is not the call's.
        gc.collect()
        gc.freeze()
        with self:
            await sleep(0)
            self._begun = time.perf_counter(), time.thread_time()
            yield
            await sleep(0)
            await sleep(0)


Call = Callable[[AsyncFluvio, str, Steps], Awaitable[None]]
CALLS: dict[str, Call] = {}


def call(function: Call) -> Call:
    """A call that is measured; it raises where it has not done its work."""
    CALLS[function.__name__] = function
    return function


@call
async def producer(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        opened = await client.producer(topic)
    assert (await opened.send(b"x")).offset == 0


@call
async def send(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with client.producer(topic) as producer:
        async with steps():
            metadata = await producer.send(b"x", key="k")
        assert metadata.offset == 0


@call
async def send_all(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with client.producer(topic) as producer:
        async with steps():
            result = await producer.send_all([b"x"] * 1000)
        assert result.count == 1000


@call
async def enqueue(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with client.producer(topic) as producer:
        async with steps():
            receipt = await producer.enqueue(b"x")
        assert (await receipt).offset == 0


@call
async def receipt(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with client.producer(topic, linger=0.01) as producer:
        receipt = await producer.enqueue(b"x")
        async with steps():
            metadata = await receipt
        assert metadata.offset == 0


@call
async def flush(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with client.producer(topic, linger=1) as producer:
        receipt = await producer.enqueue(b"x")
        async with steps():
            await producer.flush()
        assert receipt.done()


@call
async def producer_close(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    producer = await client.producer(topic, linger=1)
    receipt = await producer.enqueue(b"x")
    async with steps():
        await producer.close()
    assert receipt.done()


async def filled(client: AsyncFluvio, topic: str) -> None:
    async with client.producer(topic) as producer:
        await producer.send_all([b"x"] * 1000)


@call
async def consumer(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        opened = await client.consumer(topic, start=Offset.beginning())
    assert opened.position() == {0: 0}


@call
async def receive(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    await filled(client, topic)
    async with client.consumer(topic, start=Offset.beginning()) as consumer:
        async with steps():
            record = await consumer.receive()
        assert record.value == b"x"


@call
async def records(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    await filled(client, topic)
    seen = 0
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer, steps():
        async for record in consumer:
            seen += record.value == b"x"
    assert seen == 1000


@call
async def batches(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    await filled(client, topic)
    seen = 0
    async with client.consumer(topic, start=Offset.beginning(), stop_at_end=True) as consumer, steps():
        async for batch in consumer.batches():
            seen += len(batch.value_list())
    assert seen == 1000


@call
async def commit(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    await filled(client, topic)
    async with client.consumer(topic, start=Offset.beginning(), consumer_id=topic) as consumer:
        await consumer.receive()
        async with steps():
            await consumer.commit()
        assert await consumer.committed() == {0: 0}


@call
async def committed(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with client.consumer(topic, start=Offset.beginning(), consumer_id=topic) as consumer:
        async with steps():
            stored = await consumer.committed()
        assert stored == {}


@call
async def seek(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    await filled(client, topic)
    async with client.consumer(topic, start=Offset.beginning()) as consumer:
        async with steps():
            await consumer.seek(0, 7)
        assert (await consumer.receive()).offset == 7


@call
async def consumer_close(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    consumer = await client.consumer(topic, start=Offset.beginning())
    async with steps():
        await consumer.close()
    assert consumer.closed


@call
async def events(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        event = await client.events().receive()
    assert event.kind == "connected"


@call
async def metrics(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        metrics = client.metrics()
    assert metrics.records_produced == 0


@call
async def offsets(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        ends = await client.offsets(topic)
    assert len(ends) == 1


@call
async def close(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        await client.close()
    assert client.closed


# -- administration


@call
async def topics_create(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        made = await client.admin.topics.create(f"{topic}-made", partitions=2)
    assert made.spec.partitions == 2


@call
async def topics_create_spec(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        spec = fluvio_cffi.TopicSpec(assignment=[fluvio_cffi.PartitionAssignment(0, (5001,))])
        made = await client.admin.topics.create(f"{topic}-made", spec)
    assert made.status.replica_map == {0: (5001,)}


@call
async def topics_get(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        found = await client.admin.topics.get(topic)
    assert found.name == topic


@call
async def topics_add_partitions(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        found = await client.admin.topics.add_partitions(topic, 1)
    assert found.spec.partitions == 2


@call
async def topics_delete(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        await client.admin.topics.delete(topic)
    assert topic not in [each.name for each in await client.admin.topics.list()]


@call
async def custom_spus_create(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        spec = fluvio_cffi.CustomSpuSpec(7001, public_endpoint="host:9010", private_endpoint="host:9011")
        made = await client.admin.custom_spus.create(topic, spec)
    assert made.spec.id == 7001


@call
async def spu_groups_create(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        made = await client.admin.spu_groups.create(topic)
    assert made.name == topic


@call
async def smartmodules_create(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        made = await client.admin.smartmodules.create(topic, wasm=WASM)
    assert made.name == topic


@call
async def table_formats_create(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        spec = fluvio_cffi.TableFormatSpec((fluvio_cffi.TableColumn("key"),))
        made = await client.admin.table_formats.create(topic, spec)
    assert made.spec == spec


@call
async def mirrors_create(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        made = await client.admin.mirrors.create(topic, fluvio_cffi.RemoteCluster())
    assert made.name == topic


@call
async def consumer_offsets_reset(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        stored = await client.admin.consumer_offsets.reset(consumer_id=topic, topic=topic, partition=0, to=0)
    assert stored.topic == topic


@call
async def cluster_status(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    async with steps():
        status = await client.admin.cluster.status()
    assert status.topics


@call
async def everything(client: AsyncFluvio, topic: str, steps: Steps) -> None:
    """All names of the package at the same time, as ``from fluvio_cffi import *`` loads them: not a call, and above the
    limit."""
    async with steps():
        for name in fluvio_cffi.__all__:
            getattr(fluvio_cffi, name)


def lists(kind: str) -> None:
    async def measured(client: AsyncFluvio, topic: str, steps: Steps) -> None:
        async with steps():
            found = await getattr(client.admin, kind).list()
        assert isinstance(found, list)

    CALLS[f"{kind}_list"] = measured


def watches(kind: str) -> None:
    async def measured(client: AsyncFluvio, topic: str, steps: Steps) -> None:
        async with steps():
            change = await getattr(client.admin, kind).watch().receive()
        assert change.kind == "snapshot"

    CALLS[f"{kind}_watch"] = measured


WATCHED = ("topics", "partitions", "spus", "spu_groups", "smartmodules", "table_formats")
for kind in (*WATCHED, "custom_spus", "mirrors", "consumer_offsets"):
    lists(kind)
for kind in (*WATCHED, "cluster"):
    watches(kind)


def count_compiled(steps: Steps) -> list[str]:
    """Where the code is noted that is compiled during the steps, from now on, for good."""
    compiled: list[str] = []

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if event == "compile" and steps.running:
            compiled.append(str(arguments[0]))

    sys.addaudithook(note)
    return compiled


async def measure(name: str, endpoint: str, topic: str, count: bool) -> tuple[float, float, int]:
    """The longest step of a first call, and its processor time: milliseconds. How often it compiles, if that is to be
    counted."""
    steps = Steps()
    compiled = count_compiled(steps) if count else []
    if name == "connect":
        async with steps():
            client = await AsyncFluvio.connect(endpoint)
    else:
        client = await AsyncFluvio.connect(endpoint)
        await CALLS[name](client, topic, steps)
    longest = steps.longest
    await client.close()
    return longest[0] * 1000, longest[1] * 1000, len(compiled)


@dataclass(frozen=True)
class Bench:
    """Makes calls, each in a process of its own."""

    endpoint: str
    environment: dict[str, str]
    count: bool

    def fresh(self, host: str, name: str, topic: str) -> tuple[float, float, int]:
        """One call, as :func:`measure` measures it."""
        command = [sys.executable, __file__, "--one", json.dumps([host, name, self.endpoint, topic, self.count])]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60, env=self.environment, check=True)
        found: tuple[float, float, int] = tuple(json.loads(done.stdout))
        return found

    def rounds(self, host: str, name: str, rounds: int) -> list[tuple[float, float, int]]:
        """The same so many times, each with a topic of its own."""
        found: list[tuple[float, float, int]] = []
        with Fluvio.connect(self.endpoint) as client:
            for turn in range(rounds):
                topic = f"{host}-{name}-{turn}".replace("_", "-")
                client.admin.topics.create(topic)
                found.append(self.fresh(host, name, topic))
                client.admin.topics.delete(topic, missing_ok=True)
                client.admin.custom_spus.delete(7001, missing_ok=True)
        return found


@contextmanager
def bench(hosts: list[str], count: bool) -> Generator[Bench]:
    """On a cluster of its own. The package has its bytecode, as an installed one has."""
    with LocalCluster() as cluster, tempfile.TemporaryDirectory() as bytecode:
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        made = Bench(cluster.endpoint, environment, count)
        for host in hosts:
            made.fresh(host, "everything", "")
        yield made


def table(bench: Bench, hosts: list[str], names: list[str], rounds: int) -> list[str]:
    """Prints the table; the calls that hold the loop too long."""
    over: list[str] = []
    for host in hosts:
        print(f"{host:<24}{'least ms':>10}{'median ms':>10}{'most ms':>10}{'CPU ms':>10}")
        for name in names:
            found = bench.rounds(host, name, rounds)
            held = sorted(each[0] for each in found)
            exceeds = held[0] > LIMIT_MS and name != "everything"
            over += [f"{host} {name}"] if exceeds else []
            figures = (held[0], median(held), held[-1], median(each[1] for each in found))
            mark = "  OVER" if exceeds else ""
            print(f"  {name:<22}{''.join(f'{each:>10.2f}' for each in figures)}{mark}", flush=True)
    print(f"over {LIMIT_MS:g} ms: {', '.join(over) or 'none'}")
    return over


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--hosts", default="asyncio,trio")
    parser.add_argument("--calls", default="", help="only those whose names begin so")
    parser.add_argument("--check", action="store_true", help="exit status 1 if a call holds the loop too long")
    parser.add_argument("--compiled", action="store_true", help="count what is compiled, instead of measuring time")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    options: Any = parser.parse_args()
    if options.one:
        host, name, *rest = options.one
        print(json.dumps(run(host, lambda: measure(name, *rest))))
        return 0
    wanted = tuple(options.calls.split(","))
    names = [name for name in ("connect", *CALLS) if name.startswith(wanted)]
    hosts = options.hosts.split(",")
    with bench(hosts, options.compiled) as made:
        if options.compiled:
            compiled = {host: {name: made.rounds(host, name, 1)[0][2] for name in names} for host in hosts}
            print(json.dumps(compiled))
            return 0
        over = table(made, hosts, names, options.rounds)
    return 1 if options.check and over else 0


if __name__ == "__main__":
    sys.exit(main())
