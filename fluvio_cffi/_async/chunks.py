"""How ``send_all`` reads an asynchronous input; `_produce.chunks` says how much at a time."""
# ASYNC: there is no such module for threads, which use `_produce.chunks.chunks` in place of the class.

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence

from fluvio_cffi._produce.chunks import ChunkSizer, chunks, weight
from fluvio_cffi._produce.encode import CHUNK_BYTES


class AsyncChunks:
    """Chunks of an iterable or an asynchronous iterable of records, which is read no further than needed.

    This is no generator: one that is left in the middle would have to be closed by a task of its own.
    """

    def __init__(self, records: Iterable[object] | AsyncIterable[object], sizer: ChunkSizer) -> None:
        self._sizer = sizer
        if isinstance(records, AsyncIterable):
            self._arriving: AsyncIterator[object] | None = records.__aiter__()
        else:
            self._arriving = None
            self._present = chunks(records, sizer)
        self._end: Exception | None = None

    def __aiter__(self) -> AsyncChunks:
        return self

    async def __anext__(self) -> Sequence[object]:
        if self._arriving is None:
            for chunk in self._present:
                return chunk
            raise StopAsyncIteration
        return await self._next(self._arriving)

    async def _next(self, arriving: AsyncIterator[object]) -> Sequence[object]:
        chunk: list[object] = []
        sizer = self._sizer
        sizer.begin()
        size = 0
        while len(chunk) < sizer.count and size < CHUNK_BYTES and self._end is None:
            try:
                chunk.append(await arriving.__anext__())
                size += weight(chunk[-1:])
            except Exception as end:
                # That is the end of the input, or its error: the elements before it are sent first.
                self._end = end
        if not chunk:
            assert self._end is not None
            raise self._end
        sizer.end()
        return chunk
