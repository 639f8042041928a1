"""The tests themselves."""

from __future__ import annotations

import ast
import re
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
# What may be wrong with any argument, or any use: that one of these came says something only with its words.
WORDY = {"ConfigError", "ConfigTypeError", "UsageError"}


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


def wordless(function: ast.AST) -> Iterator[str]:
    """Where a function expects an error of a class that stands for many things, and does not look at what it says."""
    blocks = [node for node in ast.walk(function) if isinstance(node, (ast.With, ast.AsyncWith))]
    for item in [item for block in blocks for item in block.items if item.optional_vars is None]:
        call = item.context_expr
        if isinstance(call, ast.Call) and ast.unparse(call).endswith(tuple(f".raises({name})" for name in WORDY)):
            yield f"{call.lineno}: {ast.unparse(call)}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_errors_are_expected_by_their_own_class(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    assert [found for function in functions for found in broad(function)] == []
    assert [found for function in functions for found in wordless(function)] == []


def test_each_is_in_the_folder_of_what_it_needs() -> None:
    """CONTRIBUTING.md says which that are; `make test-unit` runs one of them."""
    page = (TESTS.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    used = {file.parent.name for file in FILES if file.name.startswith("test_")}
    assert used | {"support"} == set(re.findall(r"^\| `tests/(\w+)/`", page, re.MULTILINE))


@pytest.mark.parametrize("file", sorted((TESTS / "unit").glob("*.py")), ids=lambda file: file.name)
def test_units_need_no_cluster(file: Path) -> None:
    found = list(ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    names = {node.id for node in found if isinstance(node, ast.Name)}
    names |= {node.arg for node in found if isinstance(node, ast.arg)}
    assert not names & {"LocalCluster", "cluster", "target", "world"}


@pytest.mark.parametrize("file", [file for file in FILES if file.parent.name != "long"], ids=lambda file: file.name)
def test_what_has_a_long_form_is_marked(file: Path) -> None:
    """By the mark `make test-long` finds it."""
    text = file.read_text(encoding="utf-8")
    found = re.search(r"^from laws import (.*)$", text, re.MULTILINE)
    if found and {"LONG", "long_only"} & set(found[1].split(", ")):
        assert "\n@has_long_form\n" in text
