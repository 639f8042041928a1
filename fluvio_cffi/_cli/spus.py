"""``spu``, and ``cluster spu`` and ``cluster spg``."""

from __future__ import annotations

from typing import Final

import click

from fluvio_cffi import CustomSpuSpec, Endpoint, IngressAddress, PublicEndpoint, SpuGroupSpec

from .common import delete_each, follow
from .output import Column, plain, show, words, write, write_document
from .parameters import COUNT, output
from .settings import Settings

COLUMNS: Final = (
    Column("ID", lambda spu: spu.spec.id, right=True),
    Column("NAME", lambda spu: spu.name),
    Column("STATUS", lambda spu: words(spu.status.resolution)),
    Column("TYPE", lambda spu: spu.spec.kind),
    Column("RACK", lambda spu: spu.spec.rack, optional=True),
    Column("PUBLIC", lambda spu: spu.spec.public_endpoint),
    Column("PRIVATE", lambda spu: spu.spec.private_endpoint),
)


@click.group()
def spu() -> None:
    """SPUs, the servers that hold partitions."""


@spu.command("list")
@click.option("--custom", is_flag=True, help="Only those that were registered by hand.")
@output
@click.pass_obj
def list_(settings: Settings, custom: bool) -> None:
    """The SPUs of the cluster."""
    with settings.connect() as client:
        found = client.admin.custom_spus.list() if custom else client.admin.spus.list()
    show(settings, found, COLUMNS, none="No SPUs found")


@spu.command()
@output
@click.pass_obj
def watch(settings: Settings) -> None:
    """The SPUs, and what changes, until Ctrl-C."""
    with settings.connect() as client:
        follow(settings, client.admin.spus.watch(), COLUMNS, "spus")


def _address(text: str, option: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise click.UsageError(f"{option} is {text!r}: it must be host:port")
    return host, int(port)


@spu.command()
@click.option("-i", "--id", "number", type=int, required=True, help="Its number.")
@click.option("-n", "--name", help="Its name (default: custom-spu-ID).")
@click.option("-r", "--rack", help="Where it stands.")
@click.option("-p", "--public-server", metavar="HOST:PORT", required=True, help="Where clients reach it.")
@click.option("-l", "--public-server-local", metavar="HOST:PORT", help="And those that use local addresses.")
@click.option("-v", "--private-server", metavar="HOST:PORT", required=True, help="Where other SPUs reach it.")
@output
@click.pass_obj
def register(
    settings: Settings,
    number: int,
    name: str | None,
    rack: str | None,
    public_server: str,
    public_server_local: str | None,
    private_server: str,
) -> None:
    """Tell the cluster of an SPU, which may then be started."""
    host, port = _address(public_server, "--public-server")
    inner_host, inner_port = _address(private_server, "--private-server")
    local = None
    if public_server_local is not None:
        local_host, local_port = _address(public_server_local, "--public-server-local")
        local = Endpoint(local_port, local_host)
    spec = CustomSpuSpec(
        number,
        public_endpoint=PublicEndpoint(port, (IngressAddress(host),)),
        private_endpoint=Endpoint(inner_port, inner_host),
        public_endpoint_local=local,
        rack=rack,
    )
    with settings.connect() as client:
        made = client.admin.custom_spus.create(name, spec)
    if settings.output != "table":
        write_document(settings, plain(made))
    else:
        write(f'SPU "{made.name}" registered')


@spu.command()
@click.option("-i", "--id", "number", type=int, help="Its number.")
@click.option("-n", "--name", help="Its name.")
@click.option("-f", "--force", is_flag=True, help="Also if it leads partitions.")
@click.pass_obj
def unregister(settings: Settings, number: int | None, name: str | None, force: bool) -> None:
    """Make the cluster forget an SPU that was registered."""
    if (number is None) == (name is None):
        raise click.UsageError("one of --id and --name is needed")
    key: int | str = number if number is not None else str(name)
    with settings.connect() as client:
        client.admin.custom_spus.delete(key, force=force)
    write(f'SPU "{key}" unregistered')


# -- groups of SPUs, on Kubernetes

_GROUPS: Final = (
    Column("NAME", lambda group: group.name),
    Column("REPLICAS", lambda group: group.spec.replicas, right=True),
    Column("MIN ID", lambda group: group.spec.min_id, right=True),
    Column("RACK", lambda group: group.spec.rack, optional=True),
    Column("SIZE", lambda group: group.spec.storage_size, optional=True),
    Column("STATUS", lambda group: words(group.status.resolution)),
    Column("REASON", lambda group: group.status.reason, optional=True),
)


@click.group()
def spg() -> None:
    """Groups of SPUs, which a cluster on Kubernetes runs by itself."""


@spg.command("list")
@output
@click.pass_obj
def list_groups(settings: Settings) -> None:
    """The groups of SPUs."""
    with settings.connect() as client:
        show(settings, client.admin.spu_groups.list(), _GROUPS, none="No SPU groups found")


@spg.command()
@click.argument("name")
@click.option("-r", "--replicas", type=COUNT, default=1, show_default=True, help="How many SPUs.")
@click.option("-i", "--min-id", type=click.IntRange(min=0), default=0, show_default=True, help="The first's number.")
@click.option("--rack", help="Where they stand.")
@click.option("--storage-size", metavar="SIZE", help="How much each may store, such as 10Gi.")
@click.pass_obj
def create(
    settings: Settings, name: str, replicas: int, min_id: int, rack: str | None, storage_size: str | None
) -> None:
    """Ask for SPUs."""
    spec = SpuGroupSpec(replicas, min_id=min_id, rack=rack, storage_size=storage_size)
    with settings.connect() as client:
        client.admin.spu_groups.create(name, spec)
    write(f'SPU group "{name}" created')


@spg.command()
@click.argument("names", nargs=-1, required=True)
@click.option("-c", "--continue-on-error", is_flag=True, help="Go on with the others where one cannot be deleted.")
@click.pass_obj
def delete(settings: Settings, names: tuple[str, ...], continue_on_error: bool) -> None:
    """Delete groups of SPUs."""
    with settings.connect() as client:
        delete_each(names, "SPU group", client.admin.spu_groups.delete, go_on=continue_on_error)
