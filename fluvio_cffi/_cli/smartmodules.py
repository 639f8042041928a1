"""``smartmodule``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import click

from fluvio_cffi import Fluvio, LocalCluster, Offset, SmartModuleInfo, SmartModuleSpec

from .chains import chain
from .chains import smartmodules as chain_options
from .common import delete_each, follow
from .formats import printer
from .output import Column, plain, show, size, write, write_document
from .parameters import FILE, SMARTMODULE, output
from .settings import Settings

COLUMNS: Final = (
    Column("SMARTMODULE", lambda item: _full_name(item)),
    Column("SIZE", lambda item: size(item.wasm_size), right=True),
)


def _full_name(item: SmartModuleInfo) -> str:
    package = item.spec.package
    return item.name if package is None else f"{package.group}/{package.name}@{package.version}"


@click.group()
def smartmodule() -> None:
    """SmartModules, which SPUs run on records."""


@smartmodule.command()
@click.argument("name")
@click.option("--wasm-file", type=FILE, required=True, help="Its code: WebAssembly, also compressed with gzip.")
@click.option("--package", type=FILE, help="A SmartModule.toml that says what it is.")
@click.option("--overwrite", is_flag=True, help="Replace one of that name.")
@click.option("-d", "--dry-run", is_flag=True, help="Only check whether it could be created.")
@output
@click.pass_obj
def create(settings: Settings, name: str, wasm_file: str, package: str | None, overwrite: bool, dry_run: bool) -> None:
    """Store the code of a SmartModule in the cluster."""
    spec = None if package is None else SmartModuleSpec.from_toml(package)
    with settings.connect() as client:
        modules = client.admin.smartmodules
        made = modules.create(name, spec, path=wasm_file, overwrite=overwrite, dry_run=dry_run)
    if settings.output != "table":
        write_document(settings, plain(made))
    else:
        write(f'smartmodule "{name}" {"could be created" if dry_run else "created"}')


@smartmodule.command("list")
@click.option("--filter", "part", metavar="TEXT", help="Only those whose names contain this.")
@output
@click.pass_obj
def list_(settings: Settings, part: str | None) -> None:
    """The SmartModules of the cluster."""
    with settings.connect() as client:
        found = client.admin.smartmodules.list(name_contains=part)
    show(settings, found, COLUMNS, none="No SmartModules found")


@smartmodule.command()
@click.argument("names", type=SMARTMODULE, nargs=-1, required=True)
@click.option("-c", "--continue-on-error", is_flag=True, help="Go on with the others where one cannot be deleted.")
@click.pass_obj
def delete(settings: Settings, names: tuple[str, ...], continue_on_error: bool) -> None:
    """Delete SmartModules."""
    with settings.connect() as client:
        delete_each(names, "smartmodule", client.admin.smartmodules.delete, go_on=continue_on_error)


@smartmodule.command()
@output
@click.pass_obj
def watch(settings: Settings) -> None:
    """The SmartModules, and what changes, until Ctrl-C."""
    with settings.connect() as client:
        follow(settings, client.admin.smartmodules.watch(), COLUMNS, "smartmodules")


@smartmodule.command()
@click.option("--wasm-file", "--wasm", type=FILE, help="Its code.")
@click.option("--text", metavar="TEXT", help="A record to try it with.")
@click.option("--file", "path", type=FILE, help="A file of records: each line is one.")
@click.option("--raw", is_flag=True, help="The file is one record.")
@click.option("--key", help="The key of the records.")
@click.option("-k", "--key-value", is_flag=True, help="Write '[key] value'.")
@click.option("-v", "--verbose", is_flag=True, help="Say how many records came out.")
@chain_options
@click.pass_obj
def test(settings: Settings, /, wasm_file: str | None, key_value: bool, verbose: bool, **options: Any) -> None:
    """Try a SmartModule, without a cluster: an embedded one runs it on records, and what comes out is written.

    The records are --text, the lines of --file, or those of the standard input.
    """
    if wasm_file is not None:
        if options["smartmodule_path"] is not None:
            raise click.UsageError("--wasm-file and --smartmodule-path are given: they mean the same")
        options["smartmodule_path"] = wasm_file
    values = _values(options.pop("text"), options.pop("path"), options.pop("raw"))
    key = options.pop("key")
    modules = chain(options)
    if not modules:
        raise click.UsageError("--wasm-file or another option that names a SmartModule is needed")
    with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("test")
        with client.producer("test") as producer:
            producer.send_all([(None if key is None else key.encode(), value) for value in values])
        style = {"form": None, "template": None, "truncate": False, "separator": "\n", "suppress_unknown": False}
        show_records = printer({**style, "key_value": key_value})(client)
        count = 0
        reading = client.consumer("test", start=Offset.beginning(), stop_at_end=True, smartmodules=modules)
        with reading as consumer:
            for batch in consumer.batches():
                show_records(batch)
                count += len(batch)
    if verbose:
        print(f"{count} records came out, of {len(values)}", file=sys.stderr)


def _values(text: str | None, path: str | None, raw: bool) -> list[bytes]:
    if text is not None:
        if path is not None:
            raise click.UsageError("--text and --file are given: one of them says what the records are")
        return [text.encode()]
    content = sys.stdin.buffer.read() if path is None else Path(path).read_bytes()
    if raw:
        return [content]
    rows = content.split(b"\n")
    return rows if rows[-1] else rows[:-1]
