"""Where a loop begins again, an exception out of the blue gets to the handlers that are around the loop."""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from places import PACKAGE

# Of a loop in a `try` block that ends with a condition (`while left:`, or an `if` as its last statement) CPython 3.12
# and 3.13 compile the way back without the handlers: what Ctrl-C raises there passes over `finally` and `with`.
# Such loops look at their conditions first, in `while True`, or are functions of their own.
SOURCES = sorted(path for path in Path(PACKAGE).rglob("*.py") if "_cli" not in path.parts)


def codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes(one)


def unhandled(code: CodeType) -> Iterator[int]:
    """The lines from which a loop goes back out of the reach of the handlers that are around it."""
    bytecode = dis.Bytecode(code)
    # Where they stand in the source is told from CPython 3.11 on.
    instructions: dict[int, Any] = {instruction.offset: instruction for instruction in bytecode}
    # CPython 3.10 has none, but instructions.
    entries: list[Any] = getattr(bytecode, "exception_entries", [])

    def handlers(offset: int) -> set[int]:
        starts = {entry.target for entry in entries if entry.start <= offset < entry.end}
        # The others put back what a comprehension has hidden.
        return {start for start in starts if instructions[start].opname == "PUSH_EXC_INFO"}

    for offset, instruction in instructions.items():
        # What is without a line, or without interrupts, is of `await`.
        line = instruction.positions.lineno if entries and instruction.positions else None
        goes_back = "JUMP_BACKWARD" in instruction.opname and not instruction.opname.endswith("NO_INTERRUPT")
        if goes_back and line and handlers(instruction.argval) - handlers(offset):
            yield line


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="knows the bytecode of CPython")
def test_loops_go_on_within_their_handlers() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line} {code.co_name}"
        for path in SOURCES
        for code in codes(compile(path.read_text(encoding="utf-8"), str(path), "exec"))
        for line in unhandled(code)
    ]
    assert len(SOURCES) > 100
    assert not found
