"""The places in the package's code at which others may come: a signal handler, a finalizer, another thread."""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import fluvio_cffi

PACKAGE = str(Path(fluvio_cffi.__file__).parent)
# Before CPython 3.11 others also come where a Python function has returned, but not before some instructions; and where
# a block is passed over because its condition does not hold.
OLD = sys.version_info < (3, 11)
UNDISTURBED = ("SETUP_FINALLY", "SETUP_WITH", "BEFORE_ASYNC_WITH", "YIELD_FROM") if OLD else ()
# What may make a container. Before CPython 3.12 the garbage collector runs there and then, and with it finalizers. (An
# iterator is asked for, too, but is its own one where it matters.)
MAKERS = ("BUILD_", "LIST_TO_TUPLE", "FOR_ITER", "MAKE_FUNCTION") if sys.version_info < (3, 12) else ()


@functools.cache
def places(code: CodeType, finalizers: bool) -> frozenset[int]:
    """The instructions before which others can come."""
    found: set[int] = set()
    bytecode = dis.Bytecode(code)

    def handler(offset: int) -> int | None:
        # Before CPython 3.11 blocks begin and end with instructions of their own.
        entries: list[Any] = getattr(bytecode, "exception_entries", [])
        targets = [entry.target for entry in entries if entry.start <= offset < entry.end]
        return targets[-1] if targets else None

    after = 0 if OLD else None
    made = False
    for instruction in bytecode:
        name = instruction.opname
        # What the interpreter raises after a call is handled where the call is.
        if after is not None and handler(after) == handler(instruction.offset) and name not in UNDISTURBED:
            found.add(instruction.offset)
        if made:
            found.add(instruction.offset)
        made = finalizers and name.startswith(MAKERS)
        calls = name.startswith("CALL") and "INTRINSIC" not in name
        after = instruction.offset if calls or name == "RESUME" else None
        # The latter, of CPython 3.11, have looked at the condition by then.
        if name in ("JUMP_BACKWARD", "JUMP_ABSOLUTE") or name.startswith("POP_JUMP_BACKWARD"):
            found.add(instruction.offset)
    return frozenset(found)


@functools.cache
def jumps(code: CodeType) -> dict[int, int]:
    """Where blocks are passed over, and where that leads."""
    names = ("POP_JUMP_IF_FALSE", "POP_JUMP_IF_TRUE")
    return {one.offset: one.argval for one in dis.Bytecode(code) if one.opname in names}


class Stepper:
    """Goes through the places that the package's code comes to, and stops at one of them.

    :param at: at how many it does not stop.
    :param stop: what it does there.
    :param finalizers: also where the garbage collector may run; an exception cannot come out of that.
    :ivar hit: whether it got there.
    :ivar where: where that is.
    """

    def __init__(self, at: int, stop: Callable[[], None], finalizers: bool = False) -> None:
        self.left = at
        self.hit = False
        self.where = ""
        self._stop = stop
        self._finalizers = finalizers
        self._last: dict[FrameType, int] = {}
        self._called: set[FrameType] = set()

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        # Nothing comes between the end of a Python function and its caller, but for `__init__`, whose caller is C.
        if event == "call" and not OLD and frame.f_back is not None and code.co_name != "__init__":
            self._called.add(frame.f_back)
        if not code.co_filename.startswith(PACKAGE) or self.hit:
            return None
        if event == "call":
            # What is raised while an object is finalised is only printed.
            above: FrameType | None = frame
            while above is not None:
                if above.f_code.co_name == "__del__":
                    return None
                above = above.f_back
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode" and (frame.f_lasti in places(code, self._finalizers) or (OLD and self._jumped(frame))):
            if frame in self._called:
                self._called.discard(frame)
                return self.trace
            self.left -= 1
            if self.left < 0:
                self.hit = True
                self.where = f"{getattr(code, 'co_qualname', code.co_name)}:{frame.f_lineno} @{frame.f_lasti}"
                self._stop()
        return self.trace

    def _jumped(self, frame: FrameType) -> bool:
        """Whether it has passed over something just now."""
        last, self._last[frame] = self._last.get(frame, -1), frame.f_lasti
        return jumps(frame.f_code).get(last) == frame.f_lasti

    def __enter__(self) -> Stepper:
        sys.settrace(self.trace)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)
        self._called.clear()
        self._last.clear()


def interrupt() -> None:
    """What Ctrl-C does."""
    raise KeyboardInterrupt


def get_ready(call: Callable[[], object]) -> None:
    """CPython 3.12 tells of instructions only from the second time on that it is asked to."""
    with Stepper(sys.maxsize, interrupt):
        call()
