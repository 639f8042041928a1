"""Prometheus: what a client counts, for a registry of ``prometheus-client``.

>>> from fluvio_cffi import prometheus
>>> prometheus.register(client)

What the client has counted is read when the registry is scraped: there is no thread, and nothing else costs anything.
It needs ``prometheus-client``: ``pip install 'fluvio_cffi[prometheus]'``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from fluvio_cffi._errors import ForkedError
from fluvio_cffi._values.checks import text, wrong_type, wrong_value
from fluvio_cffi._values.measures import BY_TOPIC, ERRORS, OF_CLIENT, Measure
from fluvio_cffi._values.metrics import Metrics

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry
except ImportError as error:
    raise ImportError(
        "fluvio_cffi.prometheus needs the package prometheus-client, which is not installed: "
        "pip install 'fluvio_cffi[prometheus]'"
    ) from error

if TYPE_CHECKING:
    from fluvio_cffi._values.records import ClientState

__all__ = ["ClientCollector", "register"]

_PREFIX: Final = "fluvio_client_"
_LABEL: Final = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_OWN: Final = ("endpoint", "topic", "error")

Family = CounterMetricFamily | GaugeMetricFamily


class Measured(Protocol):
    """A client, :class:`Fluvio` or :class:`AsyncFluvio`, as a collector needs it."""

    @property
    def endpoint(self) -> str:
        """``host:port`` of the cluster's SC."""
        ...

    @property
    def state(self) -> ClientState:
        """How it is connected."""
        ...

    def metrics(self) -> Metrics:
        """What it has done."""
        ...


class ClientCollector(Collector):
    """Tells a registry what a client has counted. Made by :func:`register`."""

    def __init__(self, client: Measured, registry: CollectorRegistry, labels: Mapping[str, str]) -> None:
        self._client = client
        self._registry = registry
        self._labels = dict(labels)

    def collect(self) -> Iterator[Family]:
        """The metrics, as they are now. Any thread, also after the client was closed."""
        families = self._families()
        try:
            found, connected = self._client.metrics(), self._client.state == "connected"
        except ForkedError:
            # In a child of the process the client is not there.
            return
        common = [*self._labels.values(), self._client.endpoint]
        families["connected"].add_metric(common, int(connected))
        for measure in BY_TOPIC:
            for topic, numbers in found.topics.items():
                families[measure.name].add_metric([*common, topic], getattr(numbers, measure.name))
        for measure in OF_CLIENT:
            families[measure.name].add_metric(common, getattr(found, measure.name))
        for name, count in found.errors.items():
            families[ERRORS.name].add_metric([*common, name], count)
        yield from families.values()

    def describe(self) -> Iterator[Family]:
        """The metrics without their numbers: for the registry, which so sees at once whether two are of one name."""
        # Several clients are told apart by their labels, not by the names of what they count.
        return iter(())

    def unregister(self) -> None:
        """The registry no longer has what the client counts. Again, nothing happens."""
        registry, self._registry = self._registry, CollectorRegistry()
        try:
            registry.unregister(self)
        except KeyError:
            # It was unregistered there.
            return

    def _families(self) -> dict[str, Family]:
        common = [*self._labels, "endpoint"]
        connected = GaugeMetricFamily(f"{_PREFIX}connected", "Whether the client sees its cluster.", labels=common)
        families: dict[str, Family] = {"connected": connected}
        for measure in BY_TOPIC:
            families[measure.name] = _family(measure, [*common, "topic"])
        for measure in OF_CLIENT:
            families[measure.name] = _family(measure, common)
        families[ERRORS.name] = _family(ERRORS, [*common, "error"])
        return families


def _family(measure: Measure, labels: list[str]) -> Family:
    make = CounterMetricFamily if measure.rises else GaugeMetricFamily
    return make(f"{_PREFIX}{measure.name}", measure.text, labels=labels)


def register(
    client: Measured, *, registry: CollectorRegistry = REGISTRY, labels: Mapping[str, str] | None = None
) -> ClientCollector:
    """Have a registry tell what a client counts: ``fluvio_client_records_produced_total`` and others, by topic, and
    ``fluvio_client_errors_total`` by the class of the error. The label ``endpoint`` names its cluster.

    The client is kept until :meth:`ClientCollector.unregister`; what it had counted is told also after its close.

    :param client: a :class:`Fluvio` or an :class:`AsyncFluvio`.
    :param registry: which registry; left out: the one of the process.
    :param labels: of all metrics: several clients in one registry need some by which they can be told apart.
    :raises ConfigError: a label that Prometheus does not take, or that is taken already.
    """
    if not callable(getattr(client, "metrics", None)):
        raise wrong_type("client", "a Fluvio or an AsyncFluvio", client)
    given = {} if labels is None else dict(labels)
    for name, value in given.items():
        text(value, f"labels[{name!r}]", empty=True)
        if _LABEL.fullmatch(text(name, "a label")) is None or name.startswith("__") or name in _OWN:
            raise wrong_value("a label", name, f"letters, digits and _, and none of {', '.join(_OWN)}")
    collector = ClientCollector(client, registry, given)
    registry.register(collector)
    return collector
