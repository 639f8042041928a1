"""The program's commands. The module of each is loaded when it is called."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Final

import click

from fluvio_cffi import __version__

from .lines import show
from .output import FORMATS
from .settings import Settings

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Where each is, and in a few words what it does: that is listed without loading them.
_COMMANDS: Final = {
    "produce": ("produce:produce", "Send records to a topic."),
    "consume": ("consume:consume", "Write the records of a topic, or of several."),
    "topic": ("topics:topic", "Topics."),
    "partition": ("partitions:partition", "Partitions of topics."),
    "consumer": ("consumers:consumer", "How far consumers have come."),
    "group": ("groups:group", "Consumer groups."),
    "dead-letters": ("dead_letters:dead_letters", "Records that programs could not process."),
    "smartmodule": ("smartmodules:smartmodule", "SmartModules, which SPUs run on records."),
    "table-format": ("table_formats:table_format", "How 'consume -O table' shows records."),
    "spu": ("spus:spu", "SPUs, the servers that hold partitions."),
    "remote": ("mirrors:remote", "Clusters that send their records here."),
    "home": ("mirrors:home", "The cluster that records are sent to."),
    "profile": ("profiles:profile", "Clusters that are known by name."),
    "status": ("status:status", "How the cluster is, and what is wrong."),
    "top": ("top:top", "What the cluster does just now."),
    "exporter": ("exporter:exporter", "Lag and health of the cluster, for Prometheus."),
    "events": ("events:events", "What happens in the cluster."),
    "ping": ("status:ping", "Whether the cluster answers, and how fast."),
    "bench": ("bench:bench", "How fast the cluster is."),
    "cluster": ("clusters:cluster", "Run an embedded cluster until Ctrl-C."),
    "demo": ("clusters:demo", "Produce and consume on an embedded one."),
    "completion": ("completion:completion", "A script that makes a shell complete."),
    "version": ("status:version", "The versions of program and cluster."),
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
        known = _COMMANDS.get(_ALIASES.get(cmd_name, cmd_name))
        if known is None:
            return None
        module, _, attribute = known[0].partition(":")
        command: click.Command = getattr(import_module(f"fluvio_cffi._cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(name, help=words) for name, (_, words) in _COMMANDS.items() if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


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
@click.option("-v", "--verbose", count=True, help="Write to stderr what the client does; -vv and -vvv: more of it.")
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
    verbose: int,
) -> None:
    """The Fluvio client for Python, from the command line.

    The cluster is the one of -c, else of --profile, else of the current profile, else, where there is no profile
    file, an embedded one at 127.0.0.1:9003 ('cluster' starts it).
    """
    show(verbose)
    settings.cluster = cluster
    settings.profile = profile
    settings.tls = tls or enable_client_cert
    settings.ca_cert = ca_cert
    settings.domain = domain
    settings.client_cert = client_cert
    settings.client_key = client_key
    settings.output = output or settings.output
