"""Metrics: durations and counts of calls, and what clients count by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from opentelemetry.util.types import AttributeValue

from fluvio_cffi._values.measures import BY_TOPIC, ERRORS, OF_CLIENT, Measure
from fluvio_cffi._values.metrics import Metrics

from . import _names as names
from ._clients import Clients

Attributes = Mapping[str, AttributeValue]

# As the conventions ask for.
BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


class Instruments:
    """The instruments of one meter provider.

    :ivar active: whether clients are told of; instruments cannot be taken away again.
    """

    def __init__(self, meter: Meter, clients: Clients) -> None:
        self.active: bool = True
        self._clients = clients
        self._operations = meter.create_histogram(
            "messaging.client.operation.duration",
            "s",
            "Duration of messaging operation initiated by a producer or consumer client.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._processing = meter.create_histogram(
            "messaging.process.duration",
            "s",
            "Duration of processing operation.",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._sent = meter.create_counter(
            "messaging.client.sent.messages",
            "{message}",
            "Number of messages producer attempted to send to the broker.",
        )
        self._consumed = meter.create_counter(
            "messaging.client.consumed.messages",
            "{message}",
            "Number of messages that were delivered to the application.",
        )
        for measure in BY_TOPIC:
            self._observe(meter, measure, self._of_topics)
        for measure in OF_CLIENT:
            self._observe(meter, measure, self._of_client)
        self._observe(meter, ERRORS, self._of_errors)

    def operation(self, seconds: float, attributes: Attributes, error: str | None) -> None:
        """A call of a producer or consumer has ended."""
        self._operations.record(seconds, _with(attributes, error))

    def processing(self, seconds: float, attributes: Attributes, error: str | None) -> None:
        """The program has processed something."""
        self._processing.record(seconds, _with(_without_type(attributes), error))

    def sent(self, count: int, attributes: Attributes, error: str | None) -> None:
        """Messages were sent, or at least that was tried."""
        if count:
            self._sent.add(count, _with(_without_type(attributes), error))

    def consumed(self, count: int, attributes: Attributes) -> None:
        """Messages were handed to the program."""
        self._consumed.add(count, _without_type(attributes))

    # -- what clients count

    def _observe(
        self, meter: Meter, measure: Measure, read: Callable[[Measure, Metrics], Iterable[tuple[int, Attributes]]]
    ) -> None:
        def observe(options: CallbackOptions) -> Iterator[Observation]:
            if self.active:
                # A collection asks the instruments in this order.
                for endpoint, metrics in self._clients.totals(now=measure is BY_TOPIC[0]).items():
                    where = names.server(endpoint)
                    for value, attributes in read(measure, metrics):
                        yield Observation(value, {**where, **attributes})

        name = f"fluvio.client.{measure.name}"
        if measure.rises:
            meter.create_observable_counter(name, [observe], measure.unit, measure.text)
        else:
            meter.create_observable_up_down_counter(name, [observe], measure.unit, measure.text)

    @staticmethod
    def _of_topics(measure: Measure, metrics: Metrics) -> Iterator[tuple[int, Attributes]]:
        for topic, found in metrics.topics.items():
            yield getattr(found, measure.name), {names.DESTINATION: topic}

    @staticmethod
    def _of_client(measure: Measure, metrics: Metrics) -> Iterator[tuple[int, Attributes]]:
        yield getattr(metrics, measure.name), {}

    @staticmethod
    def _of_errors(measure: Measure, metrics: Metrics) -> Iterator[tuple[int, Attributes]]:
        for name, count in metrics.errors.items():
            yield count, {names.ERROR: name}


def _with(attributes: Attributes, error: str | None) -> Attributes:
    return attributes if error is None else {**attributes, names.ERROR: error}


def _without_type(attributes: Attributes) -> Attributes:
    return {name: value for name, value in attributes.items() if name != names.OPERATION_TYPE}
