"""``events``: what changes in the cluster."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, TypeAlias

import click

from fluvio_cffi import Change, ClientEvent, FluvioError

from .common import changed
from .output import words, write, write_line
from .parameters import output
from .settings import Settings

Told: TypeAlias = "queue.Queue[Callable[[], None] | BaseException]"
KINDS: Final = ("topics", "partitions", "spus", "smartmodules", "client")


@click.command()
@click.option("--only", type=click.Choice(KINDS), multiple=True, help="Only of these; may be repeated.")
@output
@click.pass_obj
def events(settings: Settings, only: tuple[str, ...]) -> None:
    """What happens in the cluster.

    A line each, until Ctrl-C: topics, partitions, SPUs and SmartModules that come, change and go, and this client's own
    connection.
    """
    # Where whoever reads the output is slow, watches wait, which gather no more than the latest state.
    told: Told = queue.Queue(1000)
    with settings.connect() as client:
        for kind in only or KINDS:
            source = client.events() if kind == "client" else getattr(client.admin, kind).watch()
            threading.Thread(target=_read, args=(settings, kind, source, told), daemon=True).start()
        while True:
            # With a time-out Python hears of Ctrl-C on every system.
            try:
                told_now = told.get(timeout=1.0)
            except queue.Empty:
                continue
            if isinstance(told_now, BaseException):
                raise told_now
            told_now()


def _read(settings: Settings, kind: str, source: Iterable[Any], told: Told) -> None:
    """Hand over what one source tells; a thread of its own."""
    tell = _tell_client if kind == "client" else _teller(kind)
    try:
        for change in source:
            told.put(partial(tell, settings, change))
    except FluvioError as error:
        told.put(error)


def _tell_client(settings: Settings, event: ClientEvent) -> None:
    if settings.output != "table":
        names = ("kind", "number", "topic", "partition", "leader", "reason")
        write_line({"object": "client", **{name: getattr(event, name) for name in names}})
    elif event.kind == "leader_changed":
        _say("client", f"SPU {event.leader} leads {event.topic}[{event.partition}]")
    else:
        _say("client", event.kind + (f": {event.reason}" if event.reason else ""))


def _teller(kind: str) -> Callable[[Settings, Change[Any]], None]:
    known: dict[str, str] = {}

    def tell(settings: Settings, change: Change[Any]) -> None:
        if settings.output != "table":
            write_line(changed(change, kind))
            return
        now = {_name(item): _state(item) for item in change.items}
        if change.kind == "deleted":
            for name in now:
                known.pop(name, None)
                _say(kind[:-1], f"{name} deleted")
            return
        if change.kind == "snapshot":
            for name in set(known) - set(now):
                del known[name]
                _say(kind[:-1], f"{name} deleted")
        for name, state in now.items():
            # A partition tells its sizes twice a second: that is no event.
            if known.get(name) != state:
                known[name] = state
                _say(kind[:-1], f"{name} {state}")

    return tell


def _name(item: Any) -> str:
    return f"{item.topic}[{item.partition}]" if hasattr(item, "partition") else str(item.name)


def _state(item: Any) -> str:
    status = getattr(item, "status", None)
    if status is None:
        return "is there"
    leader = getattr(item.spec, "leader", None)
    return words(status.resolution) + (f", led by SPU {leader}" if leader is not None else "")


def _say(kind: str, what: str) -> None:
    write(f"{time.strftime('%H:%M:%S')}  {kind:<11}  {what}")
