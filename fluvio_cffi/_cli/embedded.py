"""``cluster``: an embedded cluster in the foreground."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from typing import Literal

from fluvio_cffi import ClusterConfig, ConfigError, LocalCluster, ProfileStore, Tls


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


def run(*, data_dir: str | None, host: str, port: int, spus: int, tls: str | None, profile: str | None) -> int:
    """Run a cluster until Ctrl-C, SIGTERM or its own end.

    :param tls: ``"mutual"``, any other text for certificates of the cluster's alone, or ``None`` for no TLS.
    :param profile: the name of a profile to write; ``None``: none.
    """
    reconfigure: Callable[..., None] | None = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        # A directory may have a name that is no text.
        reconfigure(errors="surrogateescape")
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _stop)
    try:
        kind: bool | Literal["mutual"] | None = "mutual" if tls == "mutual" else tls is not None
        with LocalCluster(data_dir, spus=spus, host=host, port=port, tls=kind) as cluster:
            if profile is not None:
                _write_profile(profile, cluster, tls is not None)
            files = "temporary files" if data_dir is None else "files"
            print(f"ready {cluster.endpoint}, {files} in {cluster.data_dir}; Ctrl-C stops it", flush=True)
            while cluster.running:
                time.sleep(0.2)
            print("fluvio_cffi: the cluster ended by itself", file=sys.stderr)
            return 1
    except _Stop:
        return 0
