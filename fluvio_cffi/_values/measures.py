"""What the numbers of :class:`Metrics` are, for those who pass them on to other systems."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, Final, NamedTuple

from .metrics import Metrics, TopicMetrics


class Measure(NamedTuple):
    """A number of a client.

    :ivar name: the field of :class:`Metrics`, or of :class:`TopicMetrics`.
    :ivar rises: whether it only rises; otherwise it tells how it is now.
    :ivar unit: what is counted, as UCUM has it.
    :ivar text: a sentence.
    """

    name: str
    rises: bool
    unit: str
    text: str


BY_TOPIC: Final = (
    Measure("records_produced", True, "{record}", "Records that were acknowledged."),
    Measure("bytes_produced", True, "By", "Bytes of the keys and values of records that were acknowledged."),
    Measure("records_consumed", True, "{record}", "Records that were handed to readers."),
    Measure("bytes_consumed", True, "By", "Bytes of the keys and values of records that were handed to readers."),
)
"""What is counted by topic; the sums of all topics are in :class:`Metrics`, too."""

OF_CLIENT: Final = (
    Measure("requests", True, "{request}", "Requests that were sent to SPUs."),
    Measure("retries", True, "{batch}", "Batches that were sent again."),
    Measure("duplicates_possible", True, "{record}", "Records that the log may have twice."),
    Measure("reordered", True, "{batch}", "Batches that were acknowledged after a later one, or have moved."),
    Measure("reconnects", True, "{connection}", "Connections that took the place of one that was lost."),
    Measure("rebalances", True, "{rebalance}", "How often members of groups changed which partitions they own."),
    Measure("commits_fenced", True, "{offset}", "Offsets that were not committed, since the partition had gone."),
    Measure("signs", True, "{message}", "Signs of life that members of groups sent."),
    Measure("evictions", True, "{member}", "Silent members of groups that were removed."),
    Measure("records_buffered", False, "{record}", "Records that producers accepted and that are not settled."),
    Measure("bytes_buffered", False, "By", "Bytes that these take of the producers' buffers."),
    Measure("requests_in_flight", False, "{request}", "Requests of producers that are not answered."),
    Measure("lag", False, "{record}", "Records between what was handed to readers and the ends of the logs."),
)
"""What is counted of a client as a whole."""

ERRORS: Final = Measure("errors", True, "{error}", "Errors that were met, repaired or raised.")
"""What is counted by the name of the error's class."""


def together(first: Metrics, second: Metrics) -> Metrics:
    """What two clients have done."""
    numbers = {name: getattr(first, name) + getattr(second, name) for name in _NUMBERS}
    errors = {
        name: first.errors.get(name, 0) + second.errors.get(name, 0) for name in {**first.errors, **second.errors}
    }
    topics = {
        topic: _topic(first.topics.get(topic), second.topics.get(topic)) for topic in {**first.topics, **second.topics}
    }
    return Metrics(errors=errors, topics=topics, **numbers)


def at_rest(metrics: Metrics) -> Metrics:
    """What a client has done that does nothing any more."""
    none: dict[str, Any] = {measure.name: 0 for measure in OF_CLIENT if not measure.rises}
    return replace(metrics, **none)


def _topic(first: TopicMetrics | None, second: TopicMetrics | None) -> TopicMetrics:
    found = [each for each in (first, second) if each is not None]
    return TopicMetrics(**{measure.name: sum(getattr(each, measure.name) for each in found) for measure in BY_TOPIC})


_NUMBERS: Final = tuple(each.name for each in fields(Metrics) if each.name not in ("errors", "topics"))
