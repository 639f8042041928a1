"""``status``, ``ping`` and ``version``."""

from __future__ import annotations

import platform
import time

import click

from fluvio_cffi import ClusterStatus, FluvioError, __version__

from .output import fields, plain, size, table, write, write_document, write_line
from .parameters import COUNT, SPAN, output
from .partitions import COLUMNS
from .settings import Settings


@click.command()
@click.option("--watch", is_flag=True, help="Again whenever it changes, until Ctrl-C.")
@click.option("--check", is_flag=True, help="The status to exit with is 1 if an SPU or a partition is offline.")
@output
@click.pass_obj
def status(settings: Settings, watch: bool = False, check: bool = False) -> int:
    """How the cluster is, and what is wrong."""
    with settings.connect() as client:
        if not watch:
            found = client.admin.cluster.status()
            if settings.output == "table":
                write(_described(found))
            else:
                write_document(settings, plain(found))
            return 1 if check and not _well(found) else 0
        with client.admin.cluster.watch() as changes:
            for change in changes:
                _show(settings, change.items[0])
    return 0


def _well(found: ClusterStatus) -> bool:
    return found.spus_online == len(found.spus) and not found.offline_partitions


def _show(settings: Settings, found: ClusterStatus) -> None:
    if settings.output == "table":
        write(f"-- {time.strftime('%H:%M:%S')}\n{_described(found)}")
    else:
        write_line(plain(found))


def _described(found: ClusterStatus) -> str:
    parts = [
        fields(
            [
                ("Cluster", found.endpoint),
                ("Version", found.platform_version),
                ("SPUs online", f"{found.spus_online} of {len(found.spus)}"),
                ("Topics", found.topics),
                ("Partitions", found.partitions),
                ("Size", size(found.size)),
                ("Offline", len(found.offline_partitions)),
                ("Under-replicated", len(found.under_replicated_partitions)),
            ]
        )
    ]
    wrong = {(item.topic, item.partition): item for item in found.offline_partitions}
    wrong |= {(item.topic, item.partition): item for item in found.under_replicated_partitions}
    if wrong:
        parts.append(table([item for _, item in sorted(wrong.items())], COLUMNS))
    return "\n\n".join(parts)


# -- ping


@click.command()
@click.option("-n", "--count", type=COUNT, default=1, show_default=True, help="How often.")
@click.option("--timeout", type=SPAN, default="5s", show_default=True, help="How long an answer may take.")
@output
@click.pass_obj
def ping(settings: Settings, count: int, timeout: float) -> None:
    """Whether the cluster answers, and how fast."""
    with settings.connect(timeout) as client:
        for number in range(count):
            if number:
                time.sleep(0.5)
            seconds = client.ping(timeout=timeout)
            if settings.output == "table":
                write(f"{client.endpoint} answered in {seconds * 1e3:.2f} ms")
            else:
                write_line({"endpoint": client.endpoint, "seconds": seconds})


# -- version


@click.command()
@click.option("-j", "--json", "as_json", is_flag=True, help="As -O json.")
@output
@click.pass_obj
def version(settings: Settings, as_json: bool) -> None:
    """The versions of program and cluster."""
    try:
        with settings.connect(2.0) as client:
            cluster: str | None = client.platform_version
    except FluvioError:
        cluster = None
    if as_json:
        settings.output = "json"
    if settings.output != "table":
        write_document(
            settings,
            {
                "fluvio_cffi": __version__,
                "python": platform.python_version(),
                "system": platform.platform(),
                "cluster": cluster,
            },
        )
        return
    write(
        fields(
            [
                ("fluvio_cffi", __version__),
                ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
                ("System", platform.platform()),
                ("Cluster", cluster or "does not answer"),
            ]
        )
    )
