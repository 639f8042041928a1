"""CloudEvents 1.0, structured JSON: what other languages and SmartModules can read, with a place for context."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from fluvio_cffi import _observing
from fluvio_cffi._values.checks import text
from fluvio_cffi._values.codecs import Codec, check_codec

T = TypeVar("T")
_KNOWN = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "data", "data_base64")


@dataclass(frozen=True)
class CloudEvent(Generic[T]):
    """An event.

    :param data: what it carries.
    :param id: unique for its source; left out: a new one.
    :param source: where it comes from; left out: the codec's.
    :param type: what has happened; left out: the codec's.
    :param subject: what it is about.
    :param time: when it happened; left out: now, when it is encoded.
    :param extensions: other attributes: lower-case letters and digits, such as ``traceparent``.
    """

    data: T
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    source: str | None = None
    type: str | None = None
    subject: str | None = None
    time: datetime | None = None
    extensions: Mapping[str, str | int | bool] = field(default_factory=dict[str, "str | int | bool"])


class CloudEvents(Generic[T]):
    """Events as structured JSON (``application/cloudevents+json``)."""

    __slots__ = ("_data", "_source", "_type")

    def __init__(self, *, source: str, type: str, data: Codec[T]) -> None:
        """
        :param source: of events that have none of their own.
        :param type: of events that have none of their own.
        :param data: the codec of what they carry. What it makes is put in as it is where that is JSON which stays the
            same, else as base64.
        """
        check_codec(data, "data")
        self._source, self._type, self._data = text(source, "source"), text(type, "type"), data

    def encode(self, value: CloudEvent[T], /) -> bytes:
        """The JSON of an event."""
        for name in value.extensions:
            if not (name.isascii() and name.isalnum() and name == name.lower()) or name in _KNOWN:
                raise ValueError(
                    f"{name!r} cannot be an extension: lower-case letters and digits, and none of {_KNOWN}"
                )
        time = value.time or datetime.now(timezone.utc)
        event: dict[str, Any] = {
            "specversion": "1.0",
            "id": value.id,
            "source": value.source or self._source,
            "type": value.type or self._type,
            "time": time.isoformat(),
            **value.extensions,
        }
        if _observing.context is not None and "traceparent" not in value.extensions:
            event.update(_observing.context())
        if value.subject is not None:
            event["subject"] = value.subject
        data = self._data.encode(value.data)
        if _is_kept(data):
            event["data"] = json.loads(data)
            event["datacontenttype"] = "application/json"
        else:
            event["data_base64"] = base64.b64encode(data).decode()
        return _dump(event)

    def decode(self, data: bytes, /) -> CloudEvent[T]:
        """The event of JSON."""
        given: object = json.loads(data)
        if not isinstance(given, dict):
            raise ValueError("it is no CloudEvent 1.0")
        event: dict[str, Any] = given  # pyright: ignore[reportUnknownVariableType]
        if event.get("specversion") != "1.0":
            raise ValueError("it is no CloudEvent 1.0")
        if "data_base64" in event:
            carried = base64.b64decode(event["data_base64"], validate=True)
        else:
            carried = _dump(event.get("data"))
        time = event.get("time")
        return CloudEvent(
            self._data.decode(carried),
            id=event["id"],
            source=event["source"],
            type=event["type"],
            subject=event.get("subject"),
            time=None if time is None else datetime.fromisoformat(time.replace("Z", "+00:00")),
            extensions={name: value for name, value in event.items() if name not in _KNOWN},
        )

    def __repr__(self) -> str:
        return f"CloudEvents(source={self._source!r}, type={self._type!r}, data={self._data!r})"


def _dump(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _is_kept(data: bytes) -> bool:
    """Whether these bytes are JSON that comes out of it as it went in."""
    try:
        return _dump(json.loads(data)) == data
    except ValueError:
        return False
