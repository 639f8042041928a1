"""Administrative objects as JSON documents, and back. docs/admin-json.md describes the documents.

A field of a dataclass is the field of the same name of its document; where name or unit differ, :func:`named` says so.
Where a field may hold one of several dataclasses, its document is ``{tag: {...}}`` with the one's tag (:func:`tagged`).
What comes from the cluster is taken as it is: only what a caller makes is checked.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Final, TypeVar

T = TypeVar("T")


def named(name: str, *, units: int = 1) -> dict[str, object]:
    """The metadata of a field that is called `name` in the document, where its number is that many times as large."""
    return {"name": name, "units": units}


_TAGS: Final[dict[type, str]] = {}


def tagged(tag: str) -> Callable[[type[T]], type[T]]:
    """Makes a dataclass one of several that a field may hold: its document is ``{tag: {...}}`` there."""

    def mark(cls: type[T]) -> type[T]:
        _TAGS[cls] = tag
        return cls

    return mark


def to_document(value: Any, *, complete: bool = False) -> dict[str, object]:
    """The document of an instance of a dataclass. What is ``None`` is left out, unless it is to be `complete`."""
    document: dict[str, object] = {}
    kind: Any = value.__class__
    for part in _parts(kind):
        content = getattr(value, part.attribute)
        if content is not None:
            plain = round(content * part.units) if part.units != 1 else _plain(content, complete)
            document[part.name] = {_TAGS[content.__class__]: plain} if part.tagged else plain
        elif complete:
            document[part.name] = None
    return document


def from_document(cls: type[T], document: Mapping[str, Any]) -> T:
    """The instance that a document describes."""
    kind: Any = cls
    value = object.__new__(cls)
    for part in _parts(kind):
        object.__setattr__(value, part.attribute, part.read(document[part.name]))
    return value


class _Part:
    """A field: where it is in the instance and in the document, and how it is read."""

    __slots__ = ("attribute", "name", "read", "tagged", "units")

    def __init__(self, attribute: str, name: str, units: int, tagged: bool, read: Callable[[Any], Any]) -> None:
        self.attribute = attribute
        self.name = name
        self.units = units
        self.tagged = tagged
        self.read = read


@cache
def _parts(cls: Any) -> list[_Part]:
    # Not of the module that the class names: it says that it is of the package.
    hints = typing.get_type_hints(cls, cls.__init__.__globals__)
    parts: list[_Part] = []
    for item in fields(cls):
        hint = hints[item.name]
        units: int = item.metadata.get("units", 1)
        read = _reader(hint) if units == 1 else _divided(units)
        parts.append(_Part(item.name, item.metadata.get("name", item.name), units, bool(_tags(hint)), read))
    return parts


def _plain(value: Any, complete: bool) -> object:
    if is_dataclass(value):
        return to_document(value, complete=complete)
    kind: Any = value.__class__
    if kind is tuple:
        return [_plain(item, complete) for item in value]
    if kind is dict:
        return {str(key): _plain(item, complete) for key, item in value.items()}
    return value


def _reader(hint: Any) -> Callable[[Any], Any]:
    """What makes a value of that type from its part of a document."""
    if is_dataclass(hint) and isinstance(hint, type):
        return lambda part: from_document(hint, part)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        read = _reader(arguments[0])
        return lambda part: tuple(map(read, part))
    if origin is Mapping:
        key, read = arguments[0], _reader(arguments[1])
        return lambda part: {key(name): read(value) for name, value in part.items()}
    if origin in (types.UnionType, typing.Union):
        tags = _tags(hint)
        read = _one_of(tags) if tags else _reader(next(choice for choice in arguments if choice is not type(None)))
        return lambda part: None if part is None else read(part)
    return lambda part: part


def _tags(hint: Any) -> dict[str, Any]:
    """The dataclasses of a union of several, by their tags."""
    choices = [choice for choice in typing.get_args(hint) if choice in _TAGS]
    return {_TAGS[choice]: choice for choice in choices} if len(choices) > 1 else {}


def _one_of(tags: dict[str, Any]) -> Callable[[Any], Any]:
    def read(part: Any) -> Any:
        ((tag, document),) = part.items()
        return from_document(tags[tag], document)

    return read


def _divided(units: int) -> Callable[[Any], Any]:
    return lambda part: None if part is None else part / units
