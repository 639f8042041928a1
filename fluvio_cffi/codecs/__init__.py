"""Codecs: what turns values and keys into bytes, and back, for producers and consumers.

>>> async with client.producer("orders", value=Json(Order), key=Text()) as producer:
...     await producer.send(Order(7), key="o-7")
>>> async with client.consumer("orders", value=Json(Order), key=Text()) as consumer:
...     async for record in consumer:
...         print(record.key, record.value.number)

A codec of one's own is any object with ``encode(value) -> bytes`` and ``decode(data) -> value``. Those here that need
another package say so when they are made; nothing is imported before.
"""

from __future__ import annotations

from fluvio_cffi._values.codecs import Codec

from ._avro import Avro
from ._cloudevents import CloudEvent, CloudEvents
from ._json import Json
from ._msgpack import MsgPack
from ._plain import Callables, Raw, Text
from ._protobuf import Protobuf
from ._pydantic import Pydantic

__all__ = [
    "Avro",
    "Callables",
    "CloudEvent",
    "CloudEvents",
    "Codec",
    "Json",
    "MsgPack",
    "Protobuf",
    "Pydantic",
    "Raw",
    "Text",
]
