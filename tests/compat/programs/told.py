"""What the programs beside this say: a label and an outcome a line, as JSON."""

from __future__ import annotations

import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import fluvio


def outcome(value: Any) -> Any:
    """A value of the old package, or of ours, in terms that both share."""
    if isinstance(value, (list, tuple)):
        return [outcome(item) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("latin-1")
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        return int(value)
    return type(value).__name__


def failure(error: BaseException) -> list[Any]:
    kind = "FluviorError" if isinstance(error, fluvio.FluviorError) else type(error).__name__
    return [f"raises {kind}", str(error)]


def say(label: str, what: Any) -> None:
    print(json.dumps([label, what]), flush=True)


def tell(label: str, call: Callable[[], Any]) -> Any:
    """Calls, says what comes of it, and returns that."""
    try:
        found = call()
    except Exception as error:
        say(label, failure(error))
        return None
    say(label, outcome(found))
    return found


async def tell_awaited(label: str, call: Callable[[], Any]) -> Any:
    try:
        found = call()
        found = await found if inspect.isawaitable(found) else found
    except Exception as error:
        say(label, failure(error))
        return None
    say(label, outcome(found))
    return found


def eventually(label: str, call: Callable[[], Any], wanted: Any) -> None:
    """For what happens in the background: waits until it is so, for some seconds."""
    end = time.monotonic() + 8
    found = call()
    while found != wanted and time.monotonic() < end:
        time.sleep(0.02)
        found = call()
    say(label, outcome(found))


def leave() -> None:
    """The threads of the old package never end."""
    sys.stdout.flush()
    os._exit(0)


def topic(number: int = 0) -> str:
    """A topic that the test has made for this program alone."""
    return f"{sys.argv[1]}-{number}"
