"""``python -m fluvio_cffi``: an embedded cluster in the foreground, the demo, the version."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable

from . import ClusterConfig, ConfigError, FluvioError, LocalCluster, ProfileStore, Tls, __version__


class _Stop(BaseException):
    """Ctrl-C or a request to end: the regular end of a cluster in the foreground."""


def _stop(number: int, frame: object) -> None:
    # Whoever is impatient may send it again: the stop itself is bounded.
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)
    raise _Stop


def _write_profile(name: str, cluster: LocalCluster, with_tls: bool) -> None:
    """For programs that look there: the ``fluvio`` program, clients in other languages, ``Fluvio.connect()``."""
    store = ProfileStore()
    host = cluster.endpoint.rpartition(":")[0]
    for profile in store.list():
        other = profile.config.endpoint if profile.config is not None else "without an address"
        if profile.name == name and other.rpartition(":")[0] != host:
            raise ConfigError(
                f"the profile {name!r} is that of another cluster, {other}: give another name, or delete it first"
            )
    files = cluster.data_dir / "tls"
    tls = Tls.disabled()
    if with_tls:
        # The official client wants a domain, and a certificate of its own, in any case.
        tls = Tls.verified(files / "ca.crt", domain="fluvio.local", cert=files / "client.crt", key=files / "client.key")
    store.add(name, ClusterConfig(cluster.endpoint, tls), overwrite=True)


def _cluster(arguments: argparse.Namespace) -> int:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _stop)
    try:
        with LocalCluster(arguments.data_dir, host=arguments.host, port=arguments.port, tls=arguments.tls) as cluster:
            if arguments.profile is not None:
                _write_profile(arguments.profile, cluster, bool(arguments.tls))
            files = "temporary files" if arguments.data_dir is None else "files"
            print(f"ready {cluster.endpoint}, {files} in {cluster.data_dir}; Ctrl-C stops it", flush=True)
            while cluster.running:
                time.sleep(0.2)
            print("fluvio_cffi: the cluster ended by itself", file=sys.stderr)
            return 1
    except _Stop:
        return 0


def _demo(arguments: argparse.Namespace) -> int:

    from ._cli import demo

    return demo.main(records=arguments.records)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m fluvio_cffi", description="The Fluvio client for Python.")
    parser.add_argument("--version", action="version", version=f"fluvio_cffi {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    cluster = commands.add_parser("cluster", help="run an embedded cluster until Ctrl-C")
    cluster.add_argument("--data-dir", metavar="DIR", help="where it keeps its files (default: temporary ones)")
    cluster.add_argument("--host", default="127.0.0.1", help="the address to listen on (default: %(default)s)")
    cluster.add_argument("--port", type=int, default=9003, help="the port; 0: any free one (default: %(default)s)")
    cluster.add_argument(
        "--tls",
        nargs="?",
        const=True,
        choices=["mutual"],
        help="serve over TLS, with certificates made in tls/ of its files; mutual: clients must show one, too",
    )
    cluster.add_argument(
        "--profile", metavar="NAME", help="write a profile of that name, for programs that look for one"
    )
    cluster.set_defaults(run=_cluster)

    demo = commands.add_parser("demo", help="produce and consume on an embedded cluster, and say how fast it was")
    demo.add_argument("--records", type=int, default=200_000, help="how many each time (default: %(default)s)")
    demo.set_defaults(run=_demo)

    arguments = parser.parse_args(argv)
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        # A directory may have a name that is no text.
        reconfigure(errors="surrogateescape")
    try:
        status: int = arguments.run(arguments)
    except FluvioError as error:
        print(f"fluvio_cffi: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
