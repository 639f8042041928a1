"""Make the synchronous classes, ``fluvio_cffi/_sync``, from the asynchronous ones, ``fluvio_cffi/_async``.

``python tools/async_to_sync.py`` writes them; ``--check`` only says whether they are up to date.

The syntax tree says what to change; the change is made in the text, so comments and layout stay:

* ``async def``, ``async for``, ``async with`` and ``await`` lose the word;
* names are replaced by :data:`NAMES`, also in docstrings and annotations; ``Opening[X]`` becomes ``X``;
* an ``AsyncIterable`` that an annotation allows beside something else is not allowed any more;
* of ``if True:  # ASYNC`` only the ``else`` branch is left, nothing if there is none;
* a module with the line :data:`ONLY` is left out;
* imports that only the asynchronous branch needs are dropped, and those of :data:`MOVED` come from elsewhere.

The result is formatted by ruff.
"""

from __future__ import annotations

import ast
import difflib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "fluvio_cffi" / "_async"
TARGET = ROOT / "fluvio_cffi" / "_sync"
MARK = "# ASYNC"
ONLY = "# ASYNC: there is no such module for threads"
MOST_MARKED = 20
"""More lines of a module may not stand under :data:`MARK`: such a module is to be taken apart instead."""
PRAGMA = '# mypy: disable-error-code="unreachable"\n\n'
HEADER = "# Made by tools/async_to_sync.py from fluvio_cffi/_async/{name}: change that, and run it.\n"

NAMES = {
    "AsyncAdmin": "Admin",
    "AsyncArrowBatches": "ArrowBatches",
    "AsyncArrowConsumer": "ArrowConsumer",
    "AsyncBatchReader": "BatchReader",
    "AsyncBatches": "Batches",
    "AsyncCalls": "Calls",
    "AsyncChunks": "chunks",
    "AsyncClusterAdmin": "ClusterAdmin",
    "AsyncConsumer": "Consumer",
    "AsyncConsumerOffsets": "ConsumerOffsets",
    "AsyncConsuming": "Consuming",
    "AsyncCustomSpus": "CustomSpus",
    "AsyncEvents": "Events",
    "AsyncFluvio": "Fluvio",
    "AsyncGroups": "Groups",
    "AsyncBackend": "SyncBackend",
    "AsyncIterator": "Iterator",
    "AsyncMirrors": "Mirrors",
    "AsyncObjects": "Objects",
    "AsyncObservedBatches": "ObservedBatches",
    "AsyncObservedConsumer": "ObservedConsumer",
    "AsyncObservedProducer": "ObservedProducer",
    "AsyncObservedTopicsConsumer": "ObservedTopicsConsumer",
    "AsyncObservedTracker": "ObservedTracker",
    "AsyncPartitions": "Partitions",
    "AsyncProducer": "Producer",
    "AsyncReceipt": "Receipt",
    "AsyncSession": "Session",
    "AsyncSmartModules": "SmartModules",
    "AsyncSpuGroups": "SpuGroups",
    "AsyncSpus": "Spus",
    "AsyncTableFormats": "TableFormats",
    "AsyncTopics": "Topics",
    "AsyncTopicsBatches": "TopicsBatches",
    "AsyncTopicsConsumer": "TopicsConsumer",
    "AsyncTracker": "Tracker",
    "AsyncWatch": "Watch",
    "AsyncWatched": "Watched",
    "LoopIntake": "ThreadIntake",
    "StopAsyncIteration": "StopIteration",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
    "running_backend": "new_backend",
}
PROSE = [
    (re.compile(r"\basync (?=for |with )"), ""),
    (re.compile(r"\bawait (?=\w)"), ""),
    (re.compile(r"another task\b"), "another thread"),
    (re.compile(r"\bseveral tasks\b"), "several threads"),
    (re.compile(r"\bone task\b"), "one thread"),
    (re.compile(r"\bOne task\b"), "One thread"),
    (re.compile(r"\bother(\s+)tasks\b"), r"other\1threads"),
    (re.compile(r"\bis cancelled\b"), "is interrupted"),
    (re.compile(r"\bCancelled before\b"), "Interrupted before"),
    (re.compile(r"\bby cancellation\b"), "by an interrupt"),
    (re.compile(r"\ban error or a cancellation\b"), "an error or an interruption"),
    (re.compile(r" An iterable or an asynchronous iterable\."), ""),
    (re.compile(r"\bAwaited, it says\b"), "Waited for, it says"),
    (re.compile(r"\bIt can be awaited as\b"), "It can be waited for as"),
    (
        re.compile(
            r"It belongs to the event loop and the thread in which it was opened; .*?:class:`ForkedError`\.", re.DOTALL
        ),
        "Any thread may use it, several at a time. After a fork its methods raise :class:`ForkedError`.",
    ),
]
# What the asynchronous side imports from one module and the synchronous one from another.
MOVED = {
    "SyncBackend": "fluvio_cffi._backends.threads",
    "ThreadIntake": "fluvio_cffi._produce.thread_intake",
    "chunks": "fluvio_cffi._produce.chunks",
}


class Edits:
    """Replacements in a text, by position."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line))
        self._edits: list[tuple[int, int, str]] = []

    def at(self, line: int, column: int) -> int:
        """The position of a place in the tree; its columns count UTF-8 bytes."""
        prefix = self.lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(prefix)

    def line_start(self, line: int) -> int:
        return self._starts[line - 1]

    def replace(self, start: int, stop: int, text: str) -> None:
        self._edits.append((start, stop, text))

    def result(self) -> str:
        text = self.text
        for start, stop, new in sorted(self._edits, reverse=True):
            text = text[:start] + new + text[stop:]
        return text


def branches(text: str) -> str:
    """The text with each ``if True:  # ASYNC`` replaced by its ``else`` branch."""
    marked = 0
    while True:
        tree = ast.parse(text)
        edits = Edits(text)
        found = False
        for node in ast.walk(tree):
            if not isinstance(node, ast.If) or MARK not in edits.lines[node.lineno - 1]:
                continue
            assert isinstance(node.test, ast.Constant) and node.test.value is True, ast.dump(node.test)
            assert node.end_lineno is not None
            marked += node.end_lineno - node.lineno
            if marked > MOST_MARKED:
                raise SystemExit(f"line {node.lineno}: more than {MOST_MARKED} lines stand under {MARK}")
            kept = ""
            if node.orelse:
                first = node.orelse[0]
                # Decorators and comments come before the statement, but after the line of the `else`.
                start = else_line(edits.lines, node) + 1
                indent = first.col_offset - node.col_offset
                kept = "".join(
                    line[indent:] if line.strip() else line for line in edits.lines[start - 1 : node.end_lineno]
                )
            edits.replace(edits.line_start(node.lineno), edits.line_start(node.end_lineno + 1), kept)
            found = True
            break
        if not found:
            return text
        text = edits.result()


def else_line(lines: list[str], node: ast.If) -> int:
    """The number of the line with the ``else`` of `node`."""
    last = node.body[-1].end_lineno
    assert last is not None
    for number in range(last + 1, node.orelse[0].lineno + 1):
        if lines[number - 1].strip() == "else:":
            return number
    raise AssertionError(f"line {node.lineno}: no else")


def rename(text: str) -> str:
    """The text with all names of :data:`NAMES` replaced, wherever they are."""
    text = re.sub(r"\bOpening\[(\w+(?:\[[\w, ]+\])?)\]", r"\1", text)
    return re.sub(r"\b(" + "|".join(map(re.escape, NAMES)) + r")\b", lambda match: NAMES[match[1]], text)


def syntax(text: str) -> str:
    """The text without the words of asynchronous syntax."""
    edits = Edits(text)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)):
            start = edits.at(node.lineno, node.col_offset)
            assert edits.text.startswith("async ", start)
            edits.replace(start, start + len("async "), "")
        elif isinstance(node, ast.Await):
            start = edits.at(node.lineno, node.col_offset)
            assert edits.text.startswith("await ", start)
            edits.replace(start, start + len("await "), "")
        elif isinstance(node, ast.BinOp) and ast.unparse(node.right).startswith("AsyncIterable["):
            assert node.end_lineno is not None and node.end_col_offset is not None
            assert node.left.end_lineno is not None and node.left.end_col_offset is not None
            start = edits.at(node.left.end_lineno, node.left.end_col_offset)
            edits.replace(start, edits.at(node.end_lineno, node.end_col_offset), "")
    for node in strings(ast.parse(text)):
        assert node.end_lineno is not None and node.end_col_offset is not None
        start = edits.at(node.lineno, node.col_offset)
        stop = edits.at(node.end_lineno, node.end_col_offset)
        edits.replace(start, stop, prose(edits.text[start:stop]))
    return edits.result()


def strings(node: ast.AST) -> Iterator[ast.expr]:
    """The docstrings and messages."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.JoinedStr) or (isinstance(child, ast.Constant) and isinstance(child.value, str)):
            yield child
        else:
            yield from strings(child)


def prose(text: str) -> str:
    """A docstring, or a message, about the synchronous class."""
    for pattern, replacement in PROSE:
        text = pattern.sub(replacement, text)
    return text


def imports(text: str) -> str:
    """The text with its imports put right: names that nothing uses are dropped, and those of :data:`MOVED` come from
    where they are."""
    tree = ast.parse(text)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    edits = Edits(text)
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        indent = " " * node.col_offset
        lines = []
        for alias in node.names:
            if (alias.asname or alias.name).partition(".")[0] not in used:
                continue
            name = alias.name if alias.asname is None else f"{alias.name} as {alias.asname}"
            if isinstance(node, ast.Import):
                lines.append(f"{indent}import {name}\n")
            else:
                module = MOVED.get(alias.name, "." * node.level + (node.module or ""))
                lines.append(f"{indent}from {module} import {name}\n")
        assert node.end_lineno is not None
        edits.replace(edits.line_start(node.lineno), edits.line_start(node.end_lineno + 1), "".join(lines))
    return edits.result()


def convert(source: Path) -> str:
    """The synchronous module for an asynchronous one."""
    text = branches(source.read_text(encoding="utf-8").replace(PRAGMA, ""))
    text = imports(syntax(rename(text)))
    return format_source(HEADER.format(name=source.name) + text)


def format_source(text: str) -> str:
    """The text as ruff formats it, imports sorted."""
    for command in (["check", "--select", "I", "--fix", "--quiet"], ["format", "--quiet"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", str(TARGET / "module.py"), "-"],
            input=text,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=ROOT,
        )
        if done.returncode != 0:
            raise SystemExit(f"ruff: {done.stderr or done.stdout}")
        text = done.stdout
    return text


def main(arguments: list[str]) -> int:
    check = arguments == ["--check"]
    if arguments and not check:
        print(__doc__)
        return 2
    stale = 0
    for source in sorted(SOURCE.glob("*.py")):
        if source.name == "__init__.py" or ONLY in source.read_text(encoding="utf-8"):
            continue
        target = TARGET / source.name
        wanted = convert(source)
        present = target.read_text(encoding="utf-8") if target.exists() else ""
        if wanted == present:
            continue
        stale += 1
        if check:
            name = str(target.relative_to(ROOT))
            sys.stdout.writelines(
                difflib.unified_diff(
                    present.splitlines(True), wanted.splitlines(True), name, f"{name} (as it should be)"
                )
            )
        else:
            target.write_text(wanted, encoding="utf-8")
            print(f"wrote {target.relative_to(ROOT)}")
    if check and stale:
        print(f"{stale} file(s) are stale: run python tools/async_to_sync.py")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
