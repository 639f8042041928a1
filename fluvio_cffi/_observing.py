"""Whoever watches what producers and consumers do, one call at a time: nobody, unless :func:`observe` was called.

A producer or consumer is watched from its opening on, by objects of classes that only then are loaded
(`_async.observed_producer` and others); nothing of this is in the way of one that is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from fluvio_cffi._consume.batch import ReadTogether
from fluvio_cffi._errors import FluvioError
from fluvio_cffi._metadata import RecordMetadata
from fluvio_cffi._native.loader import CData
from fluvio_cffi._produce.delivery import SendResult
from fluvio_cffi._values.codecs import Codec
from fluvio_cffi._values.records import Record

Settled: TypeAlias = RecordMetadata | FluvioError
"""What became of a record."""
Received: TypeAlias = Record[Any, Any] | ReadTogether
"""What a read has brought."""
Processed: TypeAlias = Received | Mapping[Any, Any] | None
"""What was given to a ``commit``."""


class Sending(Protocol):
    """A call that sends, as a block. It ends with the block, or with the error that leaves it, unless it goes on."""

    def __enter__(self) -> Sending: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None: ...

    def acknowledged(self, metadata: RecordMetadata) -> None:
        """Its record is in the log."""

    def all_acknowledged(self, result: SendResult) -> None:
        """Its records are in the log."""

    def goes_on(self) -> Callable[[Settled], None]:
        """It ends when what this returns is called."""
        ...


class Reading(Protocol):
    """A call that reads, as a block. It ends when it has received something, or with the error that leaves the block;
    at the end of the log with neither.

    It is told before anything leaves the consumer: the caller may be interrupted by a signal handler in what watches,
    and then nothing must have been taken.
    """

    def __enter__(self) -> Reading: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object, /) -> None: ...

    def received(self, what: Received, codec: Codec[Any] | None) -> None:
        """It has this for its caller; `codec` is to make something of values that are as they are in the log."""


class ProducerObserver(Protocol):
    """Watches one producer."""

    def sending(self, batch: bool = False) -> Sending:
        """A call is about to send a record, or many of them."""
        ...


class ConsumerObserver(Protocol):
    """Watches one consumer."""

    def reading(self) -> Reading:
        """A call is about to wait for a record, or for a batch."""
        ...

    def committing(self, what: Processed) -> AbstractContextManager[object]:
        """A call is about to commit."""
        ...

    def processing(self, record: Record[Any, Any]) -> AbstractContextManager[object]:
        """A block of a tracker's worker is about to process a record."""
        ...


class Observer(Protocol):
    """Watches all that is opened."""

    def client(self, session: object, endpoint: str, handle: CData) -> None:
        """A client was opened. `session` lives as long as anything of it."""

    def producer(self, endpoint: str, topic: str) -> ProducerObserver:
        """A producer was opened."""
        ...

    def consumer(self, endpoint: str, topics: Sequence[str], group: str | None) -> ConsumerObserver:
        """A consumer was opened.

        :param group: its group, or its ``consumer_id``.
        """
        ...


observer: Observer | None = None
"""Who watches what is opened from now on."""
context: Callable[[], Mapping[str, str]] | None = None
"""What says of which trace an event is that is encoded now: as extensions of a CloudEvent."""


def observe(who: Observer | None, trace: Callable[[], Mapping[str, str]] | None) -> None:
    """From now on `who` watches what is opened, and CloudEvents carry what `trace` says, unless they have a
    ``traceparent``; ``None``: nobody, and nothing."""
    global observer, context
    observer, context = who, trace
