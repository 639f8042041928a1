"""Prometheus: what a client counts, for a registry of ``prometheus-client``.

>>> from fluvio_cffi import prometheus
>>> prometheus.register(client)

What the client has counted is read when the registry is scraped: there is no thread, and nothing else costs anything.
It needs ``prometheus-client``: ``pip install 'fluvio_cffi[prometheus]'``.
"""

from __future__ import annotations

from fluvio_cffi._extras import need

need("prometheus_client", "prometheus-client", "prometheus", __name__)

from ._collector import ClientCollector, Measured, register  # noqa: E402

__all__ = ["ClientCollector", "Measured", "register"]
