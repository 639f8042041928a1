"""``partition``."""

from __future__ import annotations

from typing import Final

import click

from .common import follow
from .output import Column, show, size, words
from .parameters import TOPIC, output
from .settings import Settings


def _mirrored(partition: object) -> str | None:
    mirror = getattr(getattr(partition, "spec", None), "mirror", None)
    return getattr(mirror, "remote_cluster", None) or getattr(mirror, "home_cluster", None)


COLUMNS: Final = (
    Column("TOPIC", lambda item: item.topic),
    Column("PARTITION", lambda item: item.partition, right=True),
    Column("LEADER", lambda item: item.spec.leader, right=True),
    Column("MIRROR", _mirrored, optional=True),
    Column("REPLICAS", lambda item: ", ".join(map(str, item.spec.replicas))),
    Column("STATUS", lambda item: words(item.status.resolution)),
    Column("SIZE", lambda item: size(item.status.size), right=True),
    Column("BASE", lambda item: item.status.base_offset, right=True),
    Column("HW", lambda item: item.status.leader and item.status.leader.high_watermark, right=True),
    Column("LEO", lambda item: item.status.leader and item.status.leader.log_end, right=True),
    Column(
        "FOLLOWERS",
        lambda item: ", ".join(f"{replica.spu}: {replica.log_end}" for replica in item.status.replicas),
        optional=True,
    ),
)


@click.group()
def partition() -> None:
    """Partitions of topics."""


@partition.command("list")
@click.option("-t", "--topic", type=TOPIC, help="Only those of this topic.")
@click.option("-s", "--system", is_flag=True, help="Those of the cluster's own topics instead of all others.")
@output
@click.pass_obj
def list_(settings: Settings, topic: str | None, system: bool) -> None:
    """The partitions of the cluster. What they hold is up to a second old."""
    with settings.connect() as client:
        found = client.admin.partitions.list(topic=topic, system=system)
    show(settings, found, COLUMNS, none="No partitions found")


@partition.command()
@output
@click.pass_obj
def watch(settings: Settings) -> None:
    """The partitions, and what changes, until Ctrl-C."""
    with settings.connect() as client:
        follow(settings, client.admin.partitions.watch(), COLUMNS, "partitions")
