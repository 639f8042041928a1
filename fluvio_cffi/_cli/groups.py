"""``group``: consumers that share the partitions of a topic."""

from __future__ import annotations

from typing import Any, Final

import click

from fluvio_cffi import Offset

from .common import follow
from .consumers import to
from .output import Column, fields, plain, show, span, table, write, write_document
from .parameters import PARTITION, TOPIC, output
from .settings import Settings

COLUMNS: Final = (
    Column("GROUP", lambda group: group.group),
    Column("TOPIC", lambda group: group.topic),
    Column("GENERATION", lambda group: group.generation, right=True),
    Column("MEMBERS", lambda group: _count(group.members), right=True),
    Column("PARTITIONS", lambda group: _count(group.partitions), right=True),
)
MEMBERS: Final = (
    Column("MEMBER", lambda member: member.id),
    Column("INSTANCE", lambda member: member.instance, optional=True),
    Column("CLIENT", lambda member: member.client_id),
    Column("HOST", lambda member: member.host),
    Column("PARTITIONS", lambda member: ", ".join(map(str, member.partitions))),
    Column("SILENT FOR", lambda member: span(member.silent)),
)
PARTITIONS: Final = (
    Column("PARTITION", lambda item: item.partition, right=True),
    Column("OWNER", lambda item: item.owner),
    Column("COMMITTED", lambda item: item.committed, right=True),
    Column("END", lambda item: item.end, right=True),
    Column("LAG", lambda item: item.lag, right=True),
)


def _count(several: Any) -> int:
    return several if isinstance(several, int) else len(several)


@click.group()
def group() -> None:
    """Consumer groups.

    The members of one ('consume --group') share the partitions of a topic.
    """


@group.command("list")
@click.option("-t", "--topic", type=TOPIC, help="Only those of this topic.")
@output
@click.pass_obj
def list_(settings: Settings, topic: str | None) -> None:
    """The groups of the cluster."""
    with settings.connect() as client:
        show(settings, client.admin.groups.list(topic), COLUMNS, none="No groups found")


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("topic", type=TOPIC)
@output
@click.pass_obj
def describe(settings: Settings, name: str, topic: str) -> None:
    """The members of a group, and how far it has come."""
    with settings.connect() as client:
        found = client.admin.groups.get(name, topic)
    if settings.output != "table":
        write_document(settings, plain(found))
        return
    head = fields([("Group", found.group), ("Topic", found.topic), ("Generation", found.generation)])
    parts = [head, table(found.members, MEMBERS) if found.members else "No members"]
    write("\n\n".join([*parts, table(found.partitions, PARTITIONS)]))


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("topic", type=TOPIC)
@click.option(
    "-p", "--partition", "partitions", type=PARTITION, multiple=True, help="Only this partition; may be repeated."
)
@to
@output
@click.pass_obj
def reset(settings: Settings, name: str, topic: str, partitions: tuple[int, ...], place: Offset) -> None:
    """Say where a group without members goes on."""
    with settings.connect() as client:
        found = client.admin.groups.reset(name, topic, dict.fromkeys(partitions, place) or place)
    if settings.output != "table":
        write_document(settings, plain(found))
    else:
        write(table(found.partitions, PARTITIONS))


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("topic", type=TOPIC)
@click.pass_obj
def delete(settings: Settings, name: str, topic: str) -> None:
    """Forget a group without members, and what it has committed."""
    with settings.connect() as client:
        client.admin.groups.delete(name, topic)
    write(f'group "{name}" of topic "{topic}" deleted')


@group.command()
@click.argument("name", metavar="GROUP")
@click.argument("topic", type=TOPIC)
@output
@click.pass_obj
def watch(settings: Settings, name: str, topic: str) -> None:
    """A group, each time that it changes, until Ctrl-C."""
    with settings.connect() as client:
        follow(settings, client.admin.groups.watch(name, topic), COLUMNS, "groups")
