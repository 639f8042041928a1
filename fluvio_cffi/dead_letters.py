"""Dead letters: records that a program could not process, kept in a topic of their own with what went wrong.

>>> try:
...     handle(record)
... except Exception as error:
...     dead.send(DeadLetter.of(record, error, attempts=3).to_json())
...     consumer.commit(record)

``flv dead-letters`` lists them, and sends their records again.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

from fluvio_cffi._errors import ConfigError, RecordLike
from fluvio_cffi._failures import brief

__all__ = ["DeadLetter"]


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be processed, and why. As JSON it has these fields, with the bytes of key and value as
    base64, so that any program can read it.

    :ivar topic: where the record is.
    :ivar partition: its partition.
    :ivar offset: its offset.
    :ivar timestamp: milliseconds since the epoch; ``None``: it has none.
    :ivar key: its key; ``None``: it has none.
    :ivar value: its value.
    :ivar error: the class of the exception that it raised last.
    :ivar message: what that said: 300 characters at most.
    :ivar attempts: how often it was tried.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int | None
    key: bytes | None = field(repr=False)
    value: bytes = field(repr=False)
    error: str
    message: str
    attempts: int

    @classmethod
    def of(cls, record: RecordLike, error: BaseException, *, attempts: int = 1) -> DeadLetter:
        """The letter for a record as it is in the log: of a consumer without codecs, or the ``record`` of a
        :class:`~fluvio_cffi.DecodeError`.

        :param record: could not be processed.
        :param error: what the last attempt raised.
        :param attempts: how many there were.
        """
        return cls(
            record.topic,
            int(record.partition),
            int(record.offset),
            record.timestamp,
            record.key,
            record.value,
            type(error).__name__,
            brief(str(error)),
            attempts,
        )

    def to_json(self) -> bytes:
        """The value of the letter's own record."""
        document = {**vars(self), "key": _text(self.key), "value": _text(self.value)}
        return json.dumps(document, ensure_ascii=False).encode()

    @classmethod
    def from_json(cls, data: bytes | str) -> DeadLetter:
        """The letter that a record holds. Fields that it does not know are passed over.

        :raises ConfigError: it is no letter.
        """
        try:
            document: dict[str, Any] = json.loads(data)
            letter = cls(
                document["topic"],
                document["partition"],
                document["offset"],
                document.get("timestamp"),
                _bytes(document.get("key")),
                base64.b64decode(document["value"], validate=True),
                document.get("error", ""),
                document.get("message", ""),
                document.get("attempts", 1),
            )
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise ConfigError(f"this is no dead letter: {type(error).__name__}: {error}") from error
        kinds = ((letter.topic, str), (letter.partition, int), (letter.offset, int))
        for given, kind in kinds:
            if not isinstance(given, kind):
                raise ConfigError(f"this is no dead letter: {brief(repr(given), 60)} must be of type {kind.__name__}")
        return letter


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text, validate=True)
