"""What ``produce`` reads: lines, and what is in them."""

from __future__ import annotations

import base64
import json
import os
import select
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

from .settings import Failure

_AT_ONCE: Final = 1 << 20


def lines(source: int, longest: int) -> Iterator[list[bytes]]:
    """The lines of a file, a pipe or a terminal, without their ends: as many at a time as can be had without waiting,
    up to about 1 MiB. An end of ``\\r\\n`` leaves the ``\\r``: what is in a line is nobody's business here.

    :param source: its descriptor.
    :param longest: bytes of a line, at most.
    """
    begun: list[bytes] = []
    length = 0
    while chunk := _available(source):
        first, *others = chunk.split(b"\n")
        begun.append(first)
        length += len(first)
        if length > longest:
            raise Failure(f"a line has more than {longest:,} bytes, which is the size of a request")
        if others:
            rest = others.pop()
            yield [b"".join(begun), *others]
            begun, length = [rest], len(rest)
    if length:
        yield [b"".join(begun)]


def _available(source: int) -> bytes:
    """What is there, at least one byte; nothing at the end."""
    chunk = os.read(source, _AT_ONCE)
    if not chunk or len(chunk) == _AT_ONCE or (chunk.endswith(b"\n") and os.isatty(source)):
        return chunk
    parts, length = [chunk], len(chunk)
    while length < _AT_ONCE and select.select([source], [], [], 0)[0]:
        chunk = os.read(source, _AT_ONCE - length)
        if not chunk:
            break
        parts.append(chunk)
        length += len(chunk)
    return b"".join(parts)


def keyed(separator: bytes) -> Callable[[bytes], tuple[bytes | None, bytes]]:
    """What takes a line apart where the separator is first."""

    def convert(line: bytes) -> tuple[bytes | None, bytes]:
        key, found, value = line.partition(separator)
        if not found:
            raise ValueError(f"{_short(line)} has no {separator.decode()!r} in it")
        return key, value

    return convert


def of_json(line: bytes) -> tuple[bytes | None, bytes]:
    """Key and value of a record that is written as JSON."""
    try:
        document: Any = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{_short(line)} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{_short(line)} is no object with a value")
    found = cast("dict[str, Any]", document)
    value = _content(found, "value", line)
    if value is None:
        raise ValueError(f"{_short(line)} has neither value nor value_base64")
    return _content(found, "key", line), value


def _content(document: dict[str, Any], name: str, line: bytes) -> bytes | None:
    coded = document.get(f"{name}_base64")
    if coded is not None:
        try:
            return base64.b64decode(coded, validate=True)
        except (TypeError, ValueError):
            raise ValueError(f"{_short(line)}: {name}_base64 is no base64") from None
    content = document.get(name)
    if content is None:
        return None
    if isinstance(content, str):
        return content.encode()
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def _short(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")
