"""The insides of asyncio and trio that the package uses to be faster: they are looked at first, and where they are
others than it knows, it goes the documented way."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextvars import Context
from pathlib import Path
from typing import Any

import pytest
import trio
from conftest import World
from insides import session_of

import fluvio_cffi
from fluvio_cffi._backends import asyncio_insides, trio_insides
from fluvio_cffi._backends.asyncio import AsyncioBackend
from fluvio_cffi._backends.asyncio_insides import QuickAsyncioBackend
from fluvio_cffi._backends.trio import TrioBackend, abort_send
from fluvio_cffi._backends.trio_insides import QuickTrioBackend

TESTS = Path(__file__).parents[1]
# What sends, reads, waits and is cancelled, on each event loop.
SAMPLE = [
    *(f"client/test_{name}.py" for name in ("producer", "consumer", "cancellation", "alone")),
    "unit/test_room.py",
]


@pytest.fixture
def looked_at_anew() -> Iterator[None]:
    """The insides are looked at once more, and again after the test."""
    for module in (asyncio_insides, trio_insides):
        module.best_backend.cache_clear()
    yield
    for module in (asyncio_insides, trio_insides):
        module.best_backend.cache_clear()


@pytest.mark.backends("asyncio", "uvloop", "trio")
async def test_the_insides_are_known_here(world: World, looked_at_anew: None) -> None:
    async with world.connect() as client:
        assert type(session_of(client).backend) is (
            QuickTrioBackend if world.backend == "trio" else QuickAsyncioBackend
        )


class Hidden(asyncio.Future[Any]):
    """Does not say what its callbacks are."""

    @property
    def _callbacks(self) -> Any:
        raise AttributeError("_callbacks")


class Bare(asyncio.Future[Any]):
    """Keeps callbacks without their contexts."""

    @property
    def _callbacks(self) -> Any:
        return [callback for callback, _ in super()._callbacks or ()]


class Elsewhere(asyncio.Future[Any]):
    """Keeps its callbacks elsewhere."""

    @property
    def _callbacks(self) -> Any:
        return None


class Early(asyncio.Future[Any]):
    """Has a callback of its own from the beginning."""

    @property
    def _callbacks(self) -> Any:
        return [(print, Context()), *(super()._callbacks or ())]


@pytest.mark.backends("asyncio", "uvloop")
@pytest.mark.parametrize("future", [Hidden, Bare, Elsewhere, Early])
async def test_futures_of_another_kind(
    world: World, looked_at_anew: None, future: type[asyncio.Future[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio_insides, "Future", future)
    assert asyncio_insides.best_backend() is AsyncioBackend


@pytest.mark.backends("asyncio", "uvloop")
@pytest.mark.parametrize("function", [None, lambda: None], ids=["gone", "another"])
async def test_no_running_loop_for_the_asking(
    world: World, looked_at_anew: None, function: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio_insides, "_get_running_loop", function)
    assert asyncio_insides.best_backend() is AsyncioBackend


class Message:
    """What a task may yield to sleep."""

    def __init__(self, **said: object) -> None:
        vars(self).update(said)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


class Sleep:
    """``wait_task_rescheduled`` as it might become."""

    def __init__(self, message: object, unwraps: bool = True) -> None:
        self.message = message
        self.unwraps = unwraps

    def send(self, answer: Any) -> object:
        if answer is None:
            return self.message
        raise StopIteration(answer.unwrap() if self.unwraps else answer)

    def close(self) -> None: ...


def unlike(abort: Callable[..., object]) -> Sleep:
    return Sleep(object())


def with_more(abort: Callable[..., object]) -> Sleep:
    return Sleep(Message(abort_func=abort, deadline=1.0))


def renamed(abort: Callable[..., object]) -> Sleep:
    return Sleep(Message(abort=abort))


def bare(abort: Callable[..., object]) -> Sleep:
    return Sleep(Message(abort_func=abort), unwraps=False)


def refused(abort: Callable[..., object]) -> Sleep:
    raise RuntimeError("must be called from async context")


def as_known(abort: Callable[..., object]) -> Sleep:
    return Sleep(Message(abort_func=abort))


@pytest.mark.parametrize("sleep", [unlike, with_more, renamed, bare, refused, as_known])
def test_sleep_of_another_kind(sleep: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_insides, "wait_task_rescheduled", sleep)
    found = trio_insides.sleep_message()
    assert found == (Message(abort_func=abort_send) if sleep is as_known else None)


@pytest.mark.backends("trio")
async def test_a_message_that_is_not_known(world: World, looked_at_anew: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trio_insides, "SLEEP", None)
    assert trio_insides.best_backend() is TrioBackend


class Point:
    """A checkpoint that is begun by hand, and does always the same."""

    def __init__(self, ends: bool) -> None:
        self.ends = ends

    def send(self, _: None) -> None:
        if self.ends:
            raise StopIteration

    def close(self) -> None: ...


@pytest.mark.backends("trio")
@pytest.mark.parametrize("ends", [True, False])
async def test_a_cancellation_that_is_not_noticed(
    world: World, looked_at_anew: None, ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trio_insides, "checkpoint_if_cancelled", lambda: Point(ends))
    assert trio_insides.best_backend() is TrioBackend


@pytest.mark.backends("trio")
async def test_a_task_that_is_cancelled_looks_at_the_insides(world: World, looked_at_anew: None) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        assert trio_insides.best_backend() is QuickTrioBackend
    assert scope.cancel_called and not scope.cancelled_caught


@pytest.mark.timeout(600)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop", "trio"])
def test_all_goes_the_plain_way(loop: str, tmp_path: Path) -> None:
    """Whole tests, with insides that are not known."""
    package = str(Path(fluvio_cffi.__file__).parent.parent)
    path = os.pathsep.join([package, str(TESTS / "support"), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-p", "broken_insides", "-q", "-x", "-p", "no:cacheprovider"),
            *(f"--config-file={TESTS.parent / 'pyproject.toml'}", f"--rootdir={TESTS.parent}"),
            *("-k", loop, *(str(TESTS / name) for name in SAMPLE)),
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        # The checkout's package does not come before the installed one.
        cwd=tmp_path,
        timeout=570,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    print(done.stdout.strip().splitlines()[-1])
