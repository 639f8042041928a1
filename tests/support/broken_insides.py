"""A plugin of pytest, for a run in which the insides of asyncio and trio are not as the package knows them: it goes the
documented way then, or the test fails. `test_insides` makes such runs."""

from __future__ import annotations

import asyncio
from typing import Any

from fluvio_cffi._backends import asyncio_insides, trio_insides


class OtherFuture(asyncio.Future[Any]):
    """A future that keeps its callbacks elsewhere."""

    @property
    def _callbacks(self) -> None:  # type: ignore[override]
        return None


def refuse(*_: object) -> None:
    raise AssertionError("this is the quick way")


def pytest_configure() -> None:
    asyncio_insides.Future = OtherFuture
    trio_insides.SLEEP = None  # type: ignore[misc]
    for kind in (asyncio_insides.QuickAsyncioBackend, trio_insides.QuickTrioBackend):
        kind.__init__ = refuse  # type: ignore[assignment, method-assign]
