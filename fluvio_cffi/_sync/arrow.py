# Made by tools/async_to_sync.py from fluvio_cffi/_async/arrow.py: change that, and run it.
"""The consumer of Arrow data."""

from __future__ import annotations

from fluvio_cffi._consume.arrow import ArrowBatch, ArrowColumns
from fluvio_cffi._consume.batch import arrow_data
from fluvio_cffi._consume.subscription import Form
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import number
from fluvio_cffi._values.quantities import parse_duration

from .batches import BatchReader
from .consumer import Consuming


class ArrowBatches(BatchReader[ArrowBatch]):
    """The batches of a consumer of Arrow data. Made by :meth:`ArrowConsumer.batches`. A loop goes on where the
    last one ended."""

    __slots__ = ()


class ArrowConsumer(Consuming[ArrowBatch]):
    """Reads the records of a topic as Arrow data, each once and in the order of its partition: no Python object is made
    of a record. Made by :meth:`Fluvio.consumer` with ``format="arrow"``.

    ``for batch in consumer.batches()`` is the way to read. Breaking out of a loop loses nothing: the next one
    goes on where it ended. One thread reads at a time.

    A read that is interrupted has taken nothing. An error that is raised while reading leaves the consumer open, at the
    same position.
    """

    def batches(self, *, max_records: int = 65_536, max_wait: float | str | None = 0.1) -> ArrowBatches:
        """An iterator of batches: waits for a first record without limit, then at most `max_wait` for more.

        :param max_records: records of a batch, at most.
        :param max_wait: seconds (or text such as ``"100ms"``); ``0``: only what is there already; ``None``: until the
            batch is full.
        """
        self._subscription.check_open()
        number(max_records, "max_records", 1, 1 << 31)
        wait = None if max_wait is None else parse_duration(max_wait, "max_wait")
        return self._new_batches(max_records, wait)

    def __arrow_c_schema__(self) -> object:
        """The schema of its batches, in a capsule: it is known before the first of them. Any thread."""
        return arrow_data().schema_capsule(self._topic)

    def __enter__(self) -> ArrowConsumer:
        self._subscription.check_open()
        return self

    def _new_batches(self, limit: int, wait: float | None) -> ArrowBatches:
        return ArrowBatches(self, self._backend, self._subscription, limit, wait)

    @staticmethod
    def _form() -> Form:
        return ArrowColumns.take, ArrowBatch


publish(__name__)
