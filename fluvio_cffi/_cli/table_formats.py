"""``table-format``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import click

from fluvio_cffi import ConfigError, TableColumn, TableFormatSpec

from .common import delete_each
from .output import Column, show, words, write
from .parameters import FILE, TABLE_FORMAT, output
from .settings import Settings
from .topic_files import load

COLUMNS: Final = (
    Column("NAME", lambda item: item.name),
    Column("COLUMNS", lambda item: ", ".join(column.key_path for column in item.spec.columns or ())),
    Column("STATUS", lambda item: words(item.status.resolution)),
)
_KEYS: Final = {"name", "columns", "inputFormat", "smartmodule"}


@click.group()
def table_format() -> None:
    """How 'consume -O table' shows records."""


@table_format.command("list")
@output
@click.pass_obj
def list_(settings: Settings) -> None:
    """The table formats of the cluster."""
    with settings.connect() as client:
        show(settings, client.admin.table_formats.list(), COLUMNS, none="No table formats found")


@table_format.command()
@click.option("-c", "--config", type=FILE, required=True, help="YAML or JSON: its name and its columns.")
@click.pass_obj
def create(settings: Settings, config: str) -> None:
    """Create a table format, as a file describes it."""
    name, spec = _read(config)
    with settings.connect() as client:
        client.admin.table_formats.create(name, spec)
    write(f'table format "{name}" created')


def _read(path: str) -> tuple[str, TableFormatSpec]:
    found: Any = load(path)
    if not isinstance(found, Mapping) or not isinstance(found.get("name"), str):  # pyright: ignore[reportUnknownMemberType]
        raise ConfigError(f"{path!r} must be a mapping with a name")
    document = cast("Mapping[str, Any]", found)
    if wrong := set(document) - _KEYS:
        raise ConfigError(f"{path!r} has {', '.join(map(repr, sorted(wrong)))}: it must have what table formats have")
    try:
        columns = [_column(column) for column in cast("list[Any]", document.get("columns") or [])]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path!r}: columns must be a list of mappings, each with a keyPath: {error}") from error
    form = document.get("inputFormat")
    spec = TableFormatSpec(
        tuple(columns) or None,
        input_format=cast("Any", form.lower() if isinstance(form, str) else form),
        smartmodule=document.get("smartmodule"),
    )
    return document["name"], spec


def _column(column: Mapping[str, Any]) -> TableColumn:
    # The `fluvio` program writes keys as in JSON; ours are taken, too.
    given = {
        "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in key): column[key] for key in column
    }
    return TableColumn(given.pop("key_path"), **given)


@table_format.command()
@click.argument("names", type=TABLE_FORMAT, nargs=-1, required=True)
@click.option("-c", "--continue-on-error", is_flag=True, help="Go on with the others where one cannot be deleted.")
@click.pass_obj
def delete(settings: Settings, names: tuple[str, ...], continue_on_error: bool) -> None:
    """Delete table formats."""
    with settings.connect() as client:
        delete_each(names, "table format", client.admin.table_formats.delete, go_on=continue_on_error)
