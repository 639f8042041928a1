"""``remote`` and ``home``: the clusters that send records here, and the one that records are sent to."""

from __future__ import annotations

from typing import Final

import click

from fluvio_cffi import Fluvio, HomeCluster, HomePartition, RemoteCluster

from .common import delete_each
from .output import Column, ago, show, words, write
from .parameters import output
from .settings import Failure, Settings

_STATES: Final = (
    Column("SC", lambda mirror: words(mirror.status.pairing_sc.resolution)),
    Column("SPU", lambda mirror: words(mirror.status.pairing_spu.resolution)),
    Column("LAST SEEN", lambda mirror: ago(mirror.status.last_seen)),
)
REMOTES: Final = (Column("REMOTE", lambda mirror: mirror.name), *_STATES)
HOMES: Final = (
    Column("HOME", lambda mirror: mirror.spec.id),
    Column("ADDRESS", lambda mirror: mirror.spec.public_endpoint),
    *_STATES,
)


@click.group()
def remote() -> None:
    """Clusters that send their records here."""


@remote.command()
@click.argument("name")
@click.pass_obj
def register(settings: Settings, name: str) -> None:
    """Tell this cluster of a remote one."""
    with settings.connect() as client:
        client.admin.mirrors.create(name, RemoteCluster(name))
    write(f'remote cluster "{name}" registered')


@remote.command()
@click.argument("names", nargs=-1, required=True)
@click.option("-c", "--continue-on-error", is_flag=True, help="Go on with the others where one cannot be deleted.")
@click.pass_obj
def unregister(settings: Settings, names: tuple[str, ...], continue_on_error: bool) -> None:
    """Forget remote clusters."""
    with settings.connect() as client:
        delete_each(names, "remote cluster", client.admin.mirrors.delete, go_on=continue_on_error)


@remote.command("list")
@output
@click.pass_obj
def list_(settings: Settings) -> None:
    """The remote clusters that are registered."""
    with settings.connect() as client:
        found = [mirror for mirror in client.admin.mirrors.list() if isinstance(mirror.spec, RemoteCluster)]
    show(settings, found, REMOTES, none="No remote clusters found")


@click.group()
def home() -> None:
    """The cluster that records are sent to."""


@home.command()
@output
@click.pass_obj
def status(settings: Settings) -> None:
    """How the connection to the home cluster is."""
    with settings.connect() as client:
        found = [mirror for mirror in client.admin.mirrors.list() if isinstance(mirror.spec, HomeCluster)]
    show(settings, found, HOMES, none="No home cluster found")


def mirrored(client: Fluvio, topic: str, mirror: str, *, written: bool) -> int:
    """The partition of a topic that belongs to another cluster.

    :param written: whether it must be one whose records go there.
    """
    for partition, target in client.admin.topics.get(topic).status.mirror_map.items():
        if isinstance(target, HomePartition):
            other, goes = target.remote_cluster, target.source
        else:
            other, goes = target.home_cluster, not target.target
        if other == mirror and (goes or not written):
            return partition
    raise Failure(f"no partition of {topic!r} {'goes' if written else 'belongs'} to {mirror!r}")
