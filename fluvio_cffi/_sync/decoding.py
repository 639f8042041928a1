# Made by tools/async_to_sync.py from fluvio_cffi/_async/decoding.py: change that, and run it.
"""Decoding a batch: a chunk at a time, so that other threads have their turns."""

from __future__ import annotations

from fluvio_cffi._backends.threads import SyncBackend
from fluvio_cffi._consume.batch import Buffer, Cut, RecordBatch
from fluvio_cffi._consume.columns import Columns
from fluvio_cffi._consume.decoding import Bad, Decoding
from fluvio_cffi._errors import DecodeError


def decode_batch(
    backend: SyncBackend, decoding: Decoding, buffer: Buffer, cut: Cut
) -> tuple[Cut, DecodeError | None] | None:
    """What is to be handed out of a cut: its records decoded, as far as they can be; or where the first cannot, that
    one alone, as it is in the log, without parts, and its error, if it is not to be passed over. ``None``: something
    has come in between."""
    parts: list[Columns] = []
    for part in cut.parts:
        decoded = decoding.part(part)
        if isinstance(decoded, Bad):
            return _before(decoding, buffer, cut, parts, part, decoded)
        parts.append(decoded)
        if backend.due():
            backend.rest()
    return Cut(RecordBatch(parts), cut.before, cut.after, parts), None


def _before(
    decoding: Decoding, buffer: Buffer, cut: Cut, parts: list[Columns], part: Columns, bad: Bad
) -> tuple[Cut, DecodeError | None] | None:
    """What comes before a record that cannot be decoded; that one alone, if nothing does."""
    good = sum(map(len, parts)) + bad.good
    shorter = buffer.cut(max(good, 1), full=True)
    if shorter is None or shorter.before is not cut.before:
        return None
    if not good:
        nothing: list[Columns] = []
        return shorter._replace(parts=nothing), decoding.failure(bad.record, bad.error)
    if bad.good:
        decoded = decoding.part(part.slice(0, bad.good))
        if isinstance(decoded, Bad):
            return None
        parts.append(decoded)
    return Cut(RecordBatch(parts), shorter.before, shorter.after, parts), None
