"""``completion``: what makes a shell complete commands, options, and names of topics and others."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

import click
from click.shell_completion import CompletionItem, get_completion_class

from fluvio_cffi import Fluvio, FluvioError, ProfileStore

from .settings import Settings

# Whoever presses the tabulator key does not wait for a cluster that is away.
_PATIENCE: Final = 0.3
_SHELLS: Final = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.option("--name", help="What the program is called (default: as it was called now).")
@click.pass_context
def completion(context: click.Context, shell: str, name: str | None) -> None:
    """A script that makes a shell complete.

    Commands, options, and names of topics, SmartModules, profiles and consumers.

    \b
    bash:  source <(flv completion bash)       in ~/.bashrc
    zsh:   source <(flv completion zsh)        in ~/.zshrc, after compinit
    fish:  flv completion fish | source        in ~/.config/fish/config.fish
    """
    settings = context.find_object(Settings)
    called = name or ("flv" if settings is None or " " in settings.program else settings.program)
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"this version of click knows no {shell}")
    from .app import app, variable

    click.echo(made(app, {}, called, variable(called)).source())


def items(context: click.Context, kind: str, begun: str) -> list[CompletionItem]:
    """The names of a kind that begin so. None, and not a word, where no cluster answers."""
    try:
        names = sorted({name for name in _names(context, kind) if name.startswith(begun)})
    except (FluvioError, OSError):
        return []
    return [CompletionItem(name) for name in names]


def _names(context: click.Context, kind: str) -> Iterable[str]:
    if kind == "profile":
        return [profile.name for profile in ProfileStore().list()]
    given = context.find_root().params
    known = ("cluster", "profile", "tls", "ca_cert", "domain", "client_cert", "client_key")
    settings = replace(Settings(""), **{name: given[name] for name in known if given.get(name)})
    with settings.connect(_PATIENCE) as client:
        return _SOURCES[kind](client)


_SOURCES: Final[dict[str, Callable[[Fluvio], Iterable[Any]]]] = {
    "topic": lambda client: [item.name for item in client.admin.topics.list(timeout=_PATIENCE)],
    "smartmodule": lambda client: [item.name for item in client.admin.smartmodules.list(timeout=_PATIENCE)],
    "table-format": lambda client: [item.name for item in client.admin.table_formats.list(timeout=_PATIENCE)],
    "consumer": lambda client: [item.consumer_id for item in client.admin.consumer_offsets.list(timeout=_PATIENCE)],
}
