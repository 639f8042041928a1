"""Opening: what `connect`, `producer` and `consumer` return in the asynchronous classes."""

from __future__ import annotations

import gc
import warnings
from typing import Any

import pytest

from fluvio_cffi import AsyncFluvio, ConfigError, Fluvio, Opening, UsageError


class Thing:
    def __init__(self) -> None:
        self.left: list[Any] = []

    async def __aexit__(self, kind: Any, error: Any, traceback: Any) -> None:
        self.left.append(kind)


async def open_thing() -> Thing:
    return Thing()


def drive(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError


def test_await() -> None:
    async def main() -> Thing:
        return await Opening(open_thing, "thing()")

    assert isinstance(drive(main()), Thing)


def test_enter() -> None:
    things: list[Thing] = []

    async def main() -> None:
        async with Opening(open_thing, "thing()") as thing:
            things.append(thing)
        with pytest.raises(ZeroDivisionError):
            async with Opening(open_thing, "thing()") as thing:
                things.append(thing)
                raise ZeroDivisionError

    drive(main())
    assert [thing.left for thing in things] == [[None], [ZeroDivisionError]]


def test_once() -> None:
    async def main() -> None:
        opening = Opening(open_thing, "thing()")
        await opening
        with pytest.raises(UsageError, match=r"thing\(\) was awaited or entered already"):
            await opening
        with pytest.raises(UsageError, match=r"thing\(\) was awaited or entered already"):
            async with opening:
                pass

    drive(main())


def test_not_iterable() -> None:
    async def main() -> None:
        opening = Opening(open_thing, "thing()")
        with pytest.raises(UsageError, match="async with"):
            async for _ in opening:  # type: ignore[attr-defined]
                pass
        await opening

    drive(main())


def test_never_used() -> None:
    with pytest.warns(RuntimeWarning, match=r"AsyncFluvio.connect\(\) was never awaited or entered"):
        AsyncFluvio.connect("127.0.0.1:1")
        gc.collect()


def test_used_does_not_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opening = Opening(open_thing, "thing()")

        async def main(opening: Opening[Thing]) -> None:
            await opening

        drive(main(opening))
        assert ", used" in repr(opening)
        del opening
        gc.collect()


def test_outside_of_a_loop() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="no event loop is running"):
            await AsyncFluvio.connect("127.0.0.1:1")

    drive(main())


@pytest.mark.parametrize("connect", [AsyncFluvio.connect, Fluvio.connect])
def test_arguments_are_checked_at_once(connect: Any) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        ("endpoint", {"endpoint": ""}),
        ("endpoint", {"endpoint": "host"}),
        ("endpoint", {"endpoint": "host:0"}),
        ("endpoint", {"endpoint": "host:port"}),
        ("endpoint", {"endpoint": 9003}),
        ("profile", {"profile": 5}),
        ("timeout", {"timeout": -1}),
        ("timeout", {"timeout": "5"}),
        ("request_timeout", {"request_timeout": 0}),
        ("admin_timeout", {"admin_timeout": None}),
    ]
    for name, keywords in bad:
        with pytest.raises(ConfigError, match=name):
            connect(**keywords)
