"""Files that describe topics, as the ``fluvio`` program takes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from fluvio_cffi import ConfigError, Deduplication, HomeMirror, HomePartition, PartitionAssignment

from .parameters import bytes_of, seconds_of

# The SmartModule that the `fluvio` program downloads for it.
_FILTER: Final = "fluvio/dedup-bloom-filter@0.1.0"


def load(path: str) -> Any:
    """What a file of JSON or YAML holds."""
    text = Path(path).read_text(encoding="utf-8")
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        import yaml  # type: ignore[import-untyped, import-not-found, unused-ignore]  # pyright: ignore[reportMissingModuleSource, reportMissingImports]
    except ImportError:
        raise ConfigError(f"{path!r} is no JSON, and YAML needs PyYAML: pip install pyyaml") from None
    try:
        return yaml.safe_load(text)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    except yaml.YAMLError as error:  # pyright: ignore[reportUnknownMemberType]
        raise ConfigError(f"{path!r} is neither JSON nor YAML: {error}") from error


def deduplication(count: int, age: float | None, smartmodule: str | None) -> Deduplication:
    """How repeated records are dropped."""
    return Deduplication(count=count, age=age, smartmodule=smartmodule or _FILTER)


def assignment_of(path: str) -> list[PartitionAssignment]:
    """Which SPUs hold which partition: ``[{"id": 0, "replicas": [5001, 5002]}]``."""
    try:
        return [PartitionAssignment(item["id"], tuple(item["replicas"])) for item in load(path)]
    except (KeyError, TypeError) as error:
        raise ConfigError(f'{path!r} must be a list such as [{{"id": 0, "replicas": [5001]}}]') from error


def mirror_of(path: str | None, home_to_remote: bool) -> HomeMirror:
    """Which remote clusters a topic mirrors: ``["edge-1"]``, or ``[{"remote_cluster": "edge-1"}]``."""
    found: Any = [] if path is None else load(path)
    try:
        items = cast("list[Any]", found["Home"] if isinstance(found, Mapping) else found)
        partitions = [
            item if isinstance(item, str) else HomePartition(item["remote_cluster"], item.get("remote_replica"))
            for item in items
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f'{path!r} must be a list such as [{{"remote_cluster": "edge-1"}}]') from error
    return HomeMirror(partitions, source=home_to_remote)


class _Section:
    """A mapping of a file, whose keys are taken out of it: what is left is wrong."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, Mapping):
            raise ConfigError(f"{where} must be a mapping")
        self._left = dict(cast("Mapping[str, Any]", content))
        self._where = where

    def take(self, key: str) -> Any:
        return self._left.pop(key, None)

    def section(self, key: str) -> _Section:
        return _Section(self._left.pop(key, None) or {}, f"{self._where}.{key}")

    def end(self) -> None:
        if self._left:
            raise ConfigError(f"{self._where} has {', '.join(map(repr, self._left))}: it must have what topics have")


def spec_of(path: str) -> tuple[str, dict[str, Any]]:
    """The name of the topic that a file describes, and the keywords of ``topics.create``."""
    whole = _Section(load(path), path)
    whole.take("version")
    meta, partition, retention = whole.section("meta"), whole.section("partition"), whole.section("retention")
    compression, dropped = whole.section("compression"), whole.take("deduplication")
    name = meta.take("name")
    if not isinstance(name, str):
        raise ConfigError(f"{path}.meta.name must be the name of the topic")
    codec = compression.take("type")
    keywords: dict[str, Any] = {
        "partitions": partition.take("count"),
        "replication": partition.take("replication"),
        "ignore_rack": partition.take("ignore-rack-assignment"),
        "max_partition_size": _size(partition.take("max-size"), "partition.max-size"),
        "retention": _span(retention.take("time"), "retention.time"),
        "segment_size": _size(retention.take("segment-size"), "retention.segment-size"),
        "compression": codec.lower() if isinstance(codec, str) else codec,
    }
    if dropped is not None:
        keywords["deduplication"] = _deduplication(_Section(dropped, f"{path}.deduplication"))
    for section in (meta, partition, retention, compression, whole):
        section.end()
    return name, keywords


def _deduplication(section: _Section) -> Deduplication:
    bounds, filter_ = section.section("bounds"), section.section("filter")
    transform = filter_.section("transform")
    age = _span(bounds.take("age"), "deduplication.bounds.age")
    made = Deduplication(
        count=bounds.take("count") or 1,
        age=age,
        smartmodule=transform.take("uses") or _FILTER,
        params={key: str(value) for key, value in cast("dict[str, Any]", transform.take("with") or {}).items()},
    )
    for each in (bounds, transform, filter_, section):
        each.end()
    return made


def _span(value: Any, name: str) -> float | None:
    seconds = None if value is None else seconds_of(str(value))
    if value is not None and seconds is None:
        raise ConfigError(f"{name} is {value!r}: it must be a time span such as 7d or '2d 10s'")
    return seconds


def _size(value: Any, name: str) -> int | None:
    size = None if value is None else bytes_of(str(value))
    if value is not None and size is None:
        raise ConfigError(f"{name} is {value!r}: it must be a number of bytes, or such as 10MiB")
    return size
