"""``cluster`` and ``demo``."""

from __future__ import annotations

import click

from . import demo as demonstration
from . import embedded
from .spus import spg, spu


@click.group(invoke_without_command=True)
@click.option("--data-dir", metavar="DIR", help="Where it keeps its files (default: temporary ones).")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=int, default=9003, show_default=True, help="The port; 0: any free one.")
@click.option("--spus", type=int, default=1, show_default=True, help="How many SPUs it has.")
@click.option(
    "--tls",
    is_flag=False,
    flag_value="server",
    type=click.Choice(("server", "mutual")),
    help="Serve over TLS, with certificates made in tls/ of its files; mutual: clients must show one, too.",
)
@click.option("--profile", metavar="NAME", help="Write a profile of that name, for programs that look for one.")
@click.pass_context
def cluster(
    context: click.Context,
    data_dir: str | None,
    host: str,
    port: int,
    spus: int,
    tls: str | None,
    profile: str | None,
) -> int | None:
    """Run an embedded cluster until Ctrl-C.

    With a command: look after the cluster that is there.
    """
    if context.invoked_subcommand is not None:
        return None
    return embedded.run(data_dir=data_dir, host=host, port=port, spus=spus, tls=tls, profile=profile)


cluster.add_command(spu)
cluster.add_command(spg)


@cluster.command("status")
@click.pass_context
def status(context: click.Context) -> None:
    """How the cluster is, as 'status' says it."""
    from .status import status

    context.forward(status)


@click.command()
@click.option("--records", type=int, default=200_000, show_default=True, help="How many each time.")
def demo(records: int) -> int:
    """Produce and consume on an embedded one."""
    return demonstration.main(records=records)
