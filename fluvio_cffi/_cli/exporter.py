"""``exporter``: a cluster's lag and health, for Prometheus."""

from __future__ import annotations

import importlib.util
import signal
import threading
from types import FrameType

import click

from fluvio_cffi import Fluvio

from .parameters import SPAN
from .settings import Failure, Settings, note


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=9400, show_default=True, help="0: any that is free.")
@click.option("--host", default="0.0.0.0", show_default=True, help="The address to listen at.")
@click.option("--timeout", type=SPAN, default="5s", show_default=True, help="How long it may ask, each time.")
@click.pass_obj
def exporter(settings: Settings, port: int, host: str, timeout: float) -> None:
    """Lag and health of the cluster, for Prometheus.

    At http://HOST:PORT/metrics until Ctrl-C. The cluster is asked whenever that is read; while it is away,
    fluvio_up is 0.
    """
    if importlib.util.find_spec("prometheus_client") is None:
        raise Failure("this needs prometheus-client: pip install 'fluvio_cffi[cli,prometheus]'")
    from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server

    from .exported import ClusterCollector

    def connect() -> Fluvio:
        return settings.connect(timeout, wait=False)

    collector = ClusterCollector(connect, timeout)
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    over = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        over.set()

    # A service is stopped by SIGTERM, and that is no failure.
    before = signal.signal(signal.SIGTERM, end)
    try:
        server, thread = start_http_server(port, host, registry)
        try:
            note(f"http://{_shown(host)}:{server.server_port}/metrics")
            over.wait()
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
            collector.close()
    finally:
        signal.signal(signal.SIGTERM, before)


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
