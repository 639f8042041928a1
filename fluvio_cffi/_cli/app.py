"""The program's commands. The module of each is loaded when it is called."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

import click

from fluvio_cffi import __version__

from .output import FORMATS
from .settings import Settings

_COMMANDS: Final = {
    "produce": "produce:produce",
    "consume": "consume:consume",
    "topic": "topics:topic",
    "partition": "partitions:partition",
    "consumer": "consumers:consumer",
    "group": "groups:group",
    "smartmodule": "smartmodules:smartmodule",
    "table-format": "table_formats:table_format",
    "spu": "spus:spu",
    "remote": "mirrors:remote",
    "home": "mirrors:home",
    "profile": "profiles:profile",
    "status": "status:status",
    "top": "top:top",
    "events": "events:events",
    "ping": "status:ping",
    "bench": "bench:bench",
    "cluster": "clusters:cluster",
    "demo": "clusters:demo",
    "completion": "completion:completion",
    "version": "status:version",
}
_ALIASES: Final = {
    "sm": "smartmodule",
    "smart-module": "smartmodule",
    "tf": "table-format",
    "tableformat": "table-format",
    "benchmark": "bench",
    "completions": "completion",
}


def variable(program: str) -> str:
    """The environment variable by which a shell asks a program of that name for completions."""
    return f"_{os.path.basename(program).replace('-', '_').replace('.', '_').upper()}_COMPLETE"


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = _COMMANDS.get(_ALIASES.get(cmd_name, cmd_name))
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(f"fluvio_cffi._cli.{module}"), attribute)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("-c", "--cluster", metavar="HOST:PORT", help="The cluster's SC, instead of a profile's.")
@click.option("-P", "--profile", metavar="NAME", help="A profile of the profile file, instead of the current one.")
@click.option("--tls", is_flag=True, help="Encrypt connections; the certificates of servers are not checked.")
@click.option("--ca-cert", metavar="FILE", help="With --tls: check servers by this CA.")
@click.option("--domain", metavar="NAME", help="With --tls: the name that the certificate of the SC must have.")
@click.option("--enable-client-cert", is_flag=True, hidden=True)
@click.option("--client-cert", metavar="FILE", help="With --tls: show servers this certificate.")
@click.option("--client-key", metavar="FILE", help="With --tls: its private key.")
@click.option("-O", "--output", type=click.Choice(FORMATS, case_sensitive=False), help="How to write answers.")
@click.version_option(__version__, prog_name="fluvio_cffi", message="%(prog)s %(version)s")
@click.pass_obj
def app(
    settings: Settings,
    cluster: str | None,
    profile: str | None,
    tls: bool,
    ca_cert: str | None,
    domain: str | None,
    enable_client_cert: bool,
    client_cert: str | None,
    client_key: str | None,
    output: str | None,
) -> None:
    """The Fluvio client for Python, from the command line.

    The cluster is the one of -c, else of --profile, else of the current profile, else, where there is no profile
    file, an embedded one at 127.0.0.1:9003 ('cluster' starts it).
    """
    settings.cluster = cluster
    settings.profile = profile
    settings.tls = tls or enable_client_cert
    settings.ca_cert = ca_cert
    settings.domain = domain
    settings.client_cert = client_cert
    settings.client_key = client_key
    settings.output = output or settings.output
