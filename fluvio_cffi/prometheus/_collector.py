"""Tells a registry what clients count."""

from __future__ import annotations

import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from fluvio_cffi._errors import ConfigError, ForkedError
from fluvio_cffi._values.checks import text, wrong_type, wrong_value
from fluvio_cffi._values.measures import BY_TOPIC, ERRORS, OF_CLIENT, Measure
from fluvio_cffi._values.metrics import Metrics

if TYPE_CHECKING:
    from fluvio_cffi._values.records import ClientState

_CONNECTED: Final = "connected"
_PREFIX: Final = "fluvio_client_"
_LABEL: Final = re.compile("[a-zA-Z_][a-zA-Z0-9_]*")
_OWN: Final = ("endpoint", "topic", "error")

Family = CounterMetricFamily | GaugeMetricFamily


class Measured(Protocol):
    """A client, ``Fluvio`` or ``AsyncFluvio``, as a collector needs it."""

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


class ClientCollector:
    """Tells what a client has counted. Made by :func:`register`."""

    def __init__(
        self, client: Measured, labels: Mapping[str, str], unregister: Callable[[ClientCollector], None]
    ) -> None:
        self._client = client
        self._labels = {**labels, "endpoint": client.endpoint}
        self._unregister = unregister

    @property
    def labels(self) -> dict[str, str]:
        """What all of its metrics have."""
        return dict(self._labels)

    def collect(self) -> Iterator[Any]:
        """The metrics of this client alone, as they are now: families of ``prometheus-client``. Any thread, also after
        the client was closed."""
        yield from _told([self])

    def unregister(self) -> None:
        """The registry no longer has what the client counts, and the client is not kept. Again, nothing happens."""
        self._unregister(self)

    def numbers(self) -> Iterator[tuple[str, dict[str, str], float]]:
        """What it has counted: the field of ``Metrics``, the labels, the value. Any thread."""
        try:
            found, connected = self._client.metrics(), self._client.state == "connected"
        except ForkedError:
            # In a child of the process the client is not there.
            return
        yield _CONNECTED, self._labels, int(connected)
        for measure in BY_TOPIC:
            for topic, counted in found.topics.items():
                yield measure.name, {**self._labels, "topic": topic}, getattr(counted, measure.name)
        for measure in OF_CLIENT:
            yield measure.name, self._labels, getattr(found, measure.name)
        for name, count in found.errors.items():
            yield ERRORS.name, {**self._labels, "error": name}, count


class _Clients(Collector):
    """The clients of one registry, which are told together: a metric may be there only once."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # The registry has these, and not the other way round.
        self._registry = weakref.ref(registry)
        self._members: list[ClientCollector] = []

    def collect(self) -> Iterator[Family]:
        return _told([*self._members])

    def describe(self) -> Iterator[Family]:
        yield from _families().values()

    def add(self, member: ClientCollector) -> None:
        with _lock:
            if any(member.labels == other.labels for other in self._members):
                raise ConfigError(
                    f"labels are {member.labels} for another client in this registry, too: unregister that, or give "
                    "each of them other labels"
                )
            registry = self._registry()
            if not self._members and registry is not None:
                registry.register(self)
            self._members.append(member)

    def remove(self, member: ClientCollector) -> None:
        with _lock:
            if member in self._members:
                self._members.remove(member)
                registry = self._registry()
                if not self._members and registry is not None:
                    registry.unregister(self)


_lock: Final = threading.Lock()
_registries: Final[weakref.WeakKeyDictionary[CollectorRegistry, _Clients]] = weakref.WeakKeyDictionary()


def _families() -> dict[str, Family]:
    families: dict[str, Family] = {
        _CONNECTED: GaugeMetricFamily(f"{_PREFIX}{_CONNECTED}", "Whether the client sees its cluster.")
    }
    families.update({measure.name: _family(measure) for measure in (*BY_TOPIC, *OF_CLIENT, ERRORS)})
    return families


def _told(clients: Sequence[ClientCollector]) -> Iterator[Family]:
    families = _families()
    for client in clients:
        for name, labels, value in client.numbers():
            family = families[name]
            total = "_total" if isinstance(family, CounterMetricFamily) else ""
            family.add_sample(f"{family.name}{total}", labels, value)
    yield from families.values()


def _family(measure: Measure) -> Family:
    make = CounterMetricFamily if measure.rises else GaugeMetricFamily
    return make(f"{_PREFIX}{measure.name}", measure.text)


def register(
    client: Measured, *, registry: CollectorRegistry = REGISTRY, labels: Mapping[str, str] | None = None
) -> ClientCollector:
    """Have a registry tell what a client counts: ``fluvio_client_records_produced_total`` and others, by topic, and
    ``fluvio_client_errors_total`` by the class of the error. The label ``endpoint`` names its cluster.

    The client is kept until :meth:`ClientCollector.unregister`; what it had counted is told also after its close.

    :param client: a ``Fluvio`` or an ``AsyncFluvio``.
    :param registry: which registry; left out: the one of the process.
    :param labels: of all metrics: several clients in one registry need some by which they can be told apart.
    :raises ConfigError: a label that Prometheus does not take; or the labels and the cluster are those of another
        client in the registry.
    """
    if not callable(getattr(client, "metrics", None)):
        raise wrong_type("client", "a Fluvio or an AsyncFluvio", client)
    given = {} if labels is None else dict(labels)
    for name, value in given.items():
        text(value, f"labels[{name!r}]", empty=True)
        if _LABEL.fullmatch(text(name, "a label")) is None or name.startswith("__") or name in _OWN:
            raise wrong_value("a label", name, f"letters, digits and _, and none of {', '.join(_OWN)}")
    with _lock:
        clients = _registries.setdefault(registry, _Clients(registry))
    collector = ClientCollector(client, given, clients.remove)
    clients.add(collector)
    return collector
