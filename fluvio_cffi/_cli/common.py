"""What the commands of several kinds of objects have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import click

from fluvio_cffi import Change, FluvioError, Watch

from .output import Column, plain, table, write, write_line
from .settings import Failure, Settings, note


class Aliased(click.Group):
    """A group some of whose commands have further names, which are not listed."""

    aliases: Mapping[str, str] = {}

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))


def delete_each(names: Iterable[str], what: str, delete: Callable[[str], object], *, go_on: bool) -> None:
    """Delete several objects, and say which.

    :param go_on: whether the others are deleted where one cannot be.
    """
    failed = 0
    for name in names:
        try:
            delete(name)
        except FluvioError as error:
            if not go_on:
                raise
            failed += 1
            note(f'{what} "{name}" was not deleted: {error}')
        else:
            click.echo(f'{what} "{name}" deleted')
    if failed:
        raise Failure(f"{failed} could not be deleted")


def follow(
    settings: Settings,
    watch: Watch[Any],
    columns: Sequence[Column],
    kind: str,
) -> None:
    """Write what a watch tells, until it is interrupted: a table for each change, or a document a line."""
    with watch:
        for change in watch:
            if settings.output == "table":
                _tell(change, columns)
            else:
                write_line(changed(change, kind))


def _tell(change: Change[Any], columns: Sequence[Column]) -> None:
    title = {"snapshot": "all", "updated": "new or changed", "deleted": "deleted"}[change.kind]
    write(f"-- {title}: {len(change.items)}")
    if change.items:
        write(table(change.items, columns))


def changed(change: Change[Any], kind: str) -> dict[str, object]:
    """The document of a change, as docs/admin-json.md has it, with what it is a change of."""
    return {"object": kind, "kind": change.kind, "items": [plain(item) for item in change.items]}
