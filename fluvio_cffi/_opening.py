"""What ``connect``, ``producer`` and ``consumer`` return in the ``Async`` classes."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, TypeVar

from fluvio_cffi._errors import UsageError


class _Block(Protocol):
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


T = TypeVar("T", bound=_Block)


class Opening(Generic[T]):
    """Something that is opened by ``await`` or by ``async with``, once.

    ``client = await AsyncFluvio.connect(...)`` opens it, and whoever opened it closes it;
    ``async with AsyncFluvio.connect(...) as client:`` closes it at the end of the block.

    One that is never used warns, as a coroutine that is never awaited does.
    """

    __slots__ = ("_open", "_opened", "_what")

    def __init__(self, open: Callable[[], Awaitable[T]], what: str) -> None:
        self._open: Callable[[], Awaitable[T]] | None = open
        self._opened: T | None = None
        self._what = what

    def _use(self) -> Awaitable[T]:
        if self._open is None:
            raise UsageError(f"{self._what} was awaited or entered already: call it again")
        open, self._open = self._open, None
        return open()

    def __await__(self) -> Generator[object, None, T]:
        return self._use().__await__()

    async def __aenter__(self) -> T:
        self._opened = opened = await self._use()
        return opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        opened, self._opened = self._opened, None
        assert opened is not None
        await opened.__aexit__(kind, error, traceback)

    if not TYPE_CHECKING:  # to a type checker it is not iterable at all

        def __enter__(self) -> NoReturn:
            self._open = None
            raise UsageError(f"{self._what} is asynchronous: use `async with`, and not `with`")

        def __exit__(self, *_: object) -> None: ...

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"{self._what} is not opened yet and has no {name!r}: await it, or enter it with `async with`, and use "
                "what that gives"
            )

        def __aiter__(self) -> NoReturn:
            raise UsageError(
                f"{self._what} must be opened first: `async with {self._what} as opened:`, then iterate over `opened`"
            )

    def __repr__(self) -> str:
        return f"<Opening of {self._what}, {'unused' if self._open is not None else 'used'}>"

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if getattr(self, "_open", None) is not None:
            warn(f"{self._what} was never awaited or entered", RuntimeWarning, stacklevel=2, source=self)
