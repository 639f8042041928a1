"""``profile``."""

from __future__ import annotations

import json
from typing import Final

import click

from fluvio_cffi import ClusterConfig, Profile, ProfileStore, Tls

from .common import Aliased
from .output import Column, show, write, write_document
from .parameters import PROFILE, output
from .settings import Failure, Settings

COLUMNS: Final = (
    Column("", lambda profile: "*" if profile.current else " "),
    Column("PROFILE", lambda profile: profile.name),
    Column("ADDRESS", lambda profile: profile.config and profile.config.endpoint),
    Column("TLS", lambda profile: profile.config and profile.config.tls.policy),
)


def document(profile: Profile) -> dict[str, object]:
    """A profile's document: no keys or certificates are in it."""
    config = profile.config
    return {
        "name": profile.name,
        "current": profile.current,
        "endpoint": None if config is None else config.endpoint,
        "tls": None if config is None else config.tls.policy,
    }


@click.group(cls=Aliased, invoke_without_command=True)
@click.pass_context
def profile(context: click.Context) -> None:
    """Clusters that are known by name.

    Without a command: the name of the current profile. They are in the file that
    FLV_PROFILE_PATH names, else in ~/.fluvio/config, which the fluvio program has, too.
    """
    if context.invoked_subcommand is None:
        context.invoke(current)


profile.aliases = {"delete-cluster": "delete"}


@profile.command("list")
@output
@click.pass_obj
def list_(settings: Settings) -> None:
    """The profiles; the current one has a star."""
    found = ProfileStore().list()
    show(settings, found, COLUMNS, none="No profiles found", document=[document(item) for item in found])


@profile.command()
def current() -> None:
    """The name of the current profile."""
    for found in ProfileStore().list():
        if found.current:
            write(found.name)
            return
    raise Failure("no profile is the current one")


@profile.command()
@click.argument("name")
@click.argument("address", metavar="HOST:PORT")
@click.argument("installation", required=False)
@click.pass_obj
def add(settings: Settings, name: str, address: str, installation: str | None) -> None:
    """Add or change a profile, and make it the current one. Its TLS is that of the options before the command.

    INSTALLATION, which the fluvio program has, is passed over.
    """
    ProfileStore().add(name, ClusterConfig(address, settings.policy() or Tls.disabled()), overwrite=True, current=True)
    write(f'switched to profile "{name}"')


@profile.command()
@click.argument("name", type=PROFILE)
def switch(name: str) -> None:
    """Make a profile the current one."""
    ProfileStore().switch(name)
    write(f'switched to profile "{name}"')


@profile.command()
@click.argument("name", type=PROFILE)
@click.argument("to")
def rename(name: str, to: str) -> None:
    """Give a profile another name."""
    ProfileStore().rename(name, to)
    write(f'profile "{name}" is now "{to}"')


@profile.command()
@click.argument("name", type=PROFILE)
def delete(name: str) -> None:
    """Delete a profile."""
    ProfileStore().delete(name)
    write(f'profile "{name}" deleted')


@profile.command()
@click.argument("name", type=PROFILE, required=False)
@output
@click.pass_obj
def export(settings: Settings, name: str | None) -> None:
    """A profile as a document, for other programs; the current one unless another is named."""
    config = ClusterConfig.load(name)
    tls = config.tls
    parts = {"domain": tls.domain, "ca": tls.ca, "cert": tls.cert, "key": tls.key}
    given = {key: value for key, value in parts.items() if value is not None}
    whole: dict[str, object] = {"endpoint": config.endpoint, "tls": {"policy": tls.policy, **given}}
    if settings.output == "yaml":
        write_document(settings, whole)
    else:
        write(json.dumps(whole, indent=2))
