"""The places in the package's code at which others may come: a signal handler, a finalizer, another thread."""

from __future__ import annotations

import dis
import functools
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType, ModuleType
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
# What the interpreter calls while an object is finalised: what is raised there is only printed. The latter is of cffi.
FINALIZERS = ("__del__", "_free")
# From CPython 3.12 on trace functions do not hear of each instruction: 3.12.1 tells of none the first time, 3.13.0 of
# few once an exception came out of a trace function. `sys.monitoring` tells of all of them.
MONITORING: Any = getattr(sys, "monitoring", None)
TOOL = 4
# By identity: the hash of code goes through all of it. The code is kept, so that no other one gets its identity.
_found: dict[tuple[int, bool], tuple[CodeType, frozenset[int]]] = {}


def places(code: CodeType, finalizers: bool) -> frozenset[int]:
    """The instructions before which others can come."""
    key = (id(code), finalizers)
    if key not in _found:
        _found[key] = (code, look_for_places(code, finalizers))
    return _found[key][1]


def look_for_places(code: CodeType, finalizers: bool) -> frozenset[int]:
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
        self._thread = 0
        # How many finalizers are on the stack.
        self._finalizing = 0

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        code = frame.f_code
        # Nothing comes between the end of a Python function and its caller, but for `__init__`, whose caller is C.
        if event == "call" and not OLD and not self.hit and frame.f_back is not None and code.co_name != "__init__":
            self._called.add(frame.f_back)
        if MONITORING is not None:
            return self._trace_finalizer(frame, event)
        if not code.co_filename.startswith(PACKAGE) or self.hit:
            return None
        if event == "call":
            above: FrameType | None = frame
            while above is not None:
                if above.f_code.co_name in FINALIZERS:
                    return None
                above = above.f_back
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "opcode" and (frame.f_lasti in places(code, self._finalizers) or (OLD and self._jumped(frame))):
            self._come_by(frame)
        return self.trace

    def _trace_finalizer(self, frame: FrameType, event: str) -> Any:
        if frame.f_code.co_name not in FINALIZERS or self.hit:
            return None
        if event in ("call", "return"):
            self._finalizing += 1 if event == "call" else -1
        return self.trace

    def _monitor(self, code: CodeType, offset: int) -> object:
        if offset not in places(code, True):
            return MONITORING.DISABLE
        if (
            not self.hit
            and threading.get_ident() == self._thread
            and offset in places(code, self._finalizers)
            and not self._finalizing
        ):
            self._come_by(sys._getframe(1))
        return None

    def _come_by(self, frame: FrameType) -> None:
        """It is at a place."""
        if frame in self._called:
            self._called.discard(frame)
            return
        self.left -= 1
        if self.left < 0:
            self.hit = True
            code = frame.f_code
            self.where = f"{getattr(code, 'co_qualname', code.co_name)}:{frame.f_lineno} @{frame.f_lasti}"
            self._stop()

    def _jumped(self, frame: FrameType) -> bool:
        """Whether it has passed over something just now."""
        last, self._last[frame] = self._last.get(frame, -1), frame.f_lasti
        return jumps(frame.f_code).get(last) == frame.f_lasti

    def __enter__(self) -> Stepper:
        self._thread = threading.get_ident()
        if MONITORING is not None:
            watch(len(sys.modules))
            MONITORING.register_callback(TOOL, MONITORING.events.INSTRUCTION, self._monitor)
        sys.settrace(self.trace)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)
        if MONITORING is not None:
            MONITORING.register_callback(TOOL, MONITORING.events.INSTRUCTION, None)
        self._called.clear()
        self._last.clear()


@functools.cache
def watch(modules: int) -> None:
    """Has `sys.monitoring` tell of each instruction of the package; again when there are more modules."""
    if MONITORING.get_tool(TOOL) is None:
        MONITORING.use_tool_id(TOOL, __name__)
    # Not of `gc.get_objects()`: that leaves out what conftest.py freezes.
    left: list[object] = [module for name, module in sys.modules.items() if name.partition(".")[0] == "fluvio_cffi"]
    seen: set[int] = set()
    while left:
        one = left.pop()
        wrapped = getattr(one, "__wrapped__", None)
        one = one if wrapped is None else wrapped
        code = one if isinstance(one, CodeType) else getattr(one, "__code__", None)
        ours = code.co_filename.startswith(PACKAGE) if isinstance(code, CodeType) else is_ours(one)
        if not ours or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, CodeType):
            MONITORING.set_local_events(TOOL, one, MONITORING.events.INSTRUCTION)
            left += one.co_consts
        else:
            left += gc.get_referents(one)


def is_ours(one: object) -> bool:
    """Whether functions of the package may be in it."""
    if isinstance(one, type | ModuleType):
        return str(getattr(one, "__module__", None) or one.__name__).startswith("fluvio_cffi")
    return isinstance(one, dict | property | staticmethod | classmethod | functools.cached_property)


def interrupt() -> None:
    """What Ctrl-C does."""
    raise KeyboardInterrupt
