"""The tests themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("*.py"))
# Classes that most errors belong to: that one of these came says next to nothing.
BROAD = {
    *("BaseException", "Exception", "OSError", "TimeoutError", "ConnectionError", "ValueError"),
    *("FluvioError", "ServerError", "NotFoundError", "ProducerError", "ConsumerError"),
}


def broad(function: ast.AST) -> Iterator[str]:
    """Where a function expects any of many errors, and does not look at what class the one that came has."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    if any(isinstance(call.func, ast.Name) and call.func.id == "type" for call in calls):
        return
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr == "raises" and call.args:
            expected = ast.unparse(call.args[0]).removeprefix("fluvio_cffi.")
            if isinstance(call.args[0], ast.Tuple) or expected in BROAD:
                yield f"{call.lineno}: raises({expected})"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_errors_are_expected_by_their_own_class(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [found for function in functions for found in broad(function)] == []
