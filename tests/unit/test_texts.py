"""What errors say: the texts of the package, of the engine and of the C interface, as they stand in the sources.

What each of them says in its situation is for other tests (`test_wrong_uses.py`, `test_troubleshooting.py`); here are
the rules that hold for all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]


class Text(NamedTuple):
    """What is filled in is ``…``."""

    where: str
    by: str
    words: str


# -- Python

# Whatever makes an error, or a part of what one says.
MAKERS: Final = re.compile(r"(Error|wrong_type|wrong_value|timed_out|os_failure|forked|late)$")
VARIABLES: Final = ("what", "message")


def words(node: ast.expr) -> Iterator[str]:
    """The texts that an expression may be."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from words(node.body)
        yield from words(node.orelse)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) == "brief":
        yield from words(node.args[0])


def of_python() -> Iterator[Text]:
    for path in (ROOT / "fluvio_cffi").rglob("*.py"):
        # Its words are those of another package, which programs look for.
        if path.parent.name == "compat":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and MAKERS.search(by := ast.unparse(node.func)):
                said = node.args
            elif isinstance(node, ast.Assign) and (by := ast.unparse(node.targets[0])) in VARIABLES:
                said = [node.value]
            else:
                continue
            yield from (Text(f"{path.name}:{node.lineno}", by, text) for each in said for text in words(each))


# -- Rust

# `format!` of anything that is a sentence, and what makes errors.
CALL: Final = re.compile(r"\b((?:Error|Self)::\w+|adding|took_longer|invalid_topic|row|format!)\(")
LITERAL: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
TOKEN: Final = re.compile(rf"{LITERAL.pattern}|'(?:[^'\\]|\\.)'|.", re.DOTALL)


def arguments(source: str, opened: int) -> str:
    """What stands from the bracket at `opened` to its counterpart."""
    depth = 0
    for token in TOKEN.finditer(source, opened):
        depth += {"(": 1, ")": -1}.get(token[0], 0)
        if depth == 0:
            return source[opened : token.start()]
    raise AssertionError


def of_rust() -> Iterator[Text]:
    for crate in ("engine", "abi"):
        for path in (ROOT / "rust-ffi" / crate / "src").rglob("*.rs"):
            source = "" if path.name == "tests.rs" else path.read_text(encoding="utf-8")
            source = source.partition("\n#[cfg(test)]\n#[allow")[0]
            for call in CALL.finditer(source):
                where = f"{path.name}:{source.count(chr(10), 0, call.start()) + 1}"
                for literal in LITERAL.finditer(arguments(source, call.end() - 1)):
                    text = re.sub(r"\\\n\s*", "", literal[1]).replace('\\"', '"')
                    yield Text(where, call[1], re.sub(r"\{[^{}]*\}", "…", text))


# One word is a name, a path, or what an argument is called.
PYTHON: Final = [text for text in of_python() if " " in text.words]
RUST: Final = [text for text in of_rust() if " " in text.words]
TEXTS: Final = [*PYTHON, *RUST]


def those_with(pattern: str, texts: list[Text] = TEXTS) -> list[Text]:
    return [text for text in texts if re.search(pattern, text.words)]


def test_there_are_texts() -> None:
    assert len(PYTHON) > 150
    assert len(RUST) > 300
    assert those_with("had no room in time") and those_with("which follows the stored one")


def test_they_are_of_one_style() -> None:
    """Others can be put before and behind: they begin small, unless with a name, and end without a stop."""
    names = re.compile(r"SPU|SC|SmartModule|TLS|Tls|True")
    assert not those_with(r"^[A-Z]", [text for text in TEXTS if not names.match(text.words)])
    assert not those_with(r"[^.]\.$", [text for text in TEXTS if text.by != "ImportError"])
    assert not those_with(r"\s$|!|\bplease\b(?! report it)|  ", [text for text in TEXTS if text.words != ", "])


def test_they_are_short() -> None:
    assert not [text for text in TEXTS if len(text.words) > 200]


def test_they_use_no_word_that_only_this_library_knows() -> None:
    assert not those_with(r"\b(hub|desk|slot|pipe|ticket|seat|waiter|orphan|ledger|bell|cursor)s?\b")


def test_one_place_says_that_it_is_a_bug() -> None:
    assert len({text.where for text in those_with(r"\bbug\b")}) == 1


def test_a_bad_argument_says_what_is_allowed() -> None:
    """Behind a colon, or with "must"."""
    makers = ("ConfigError", "ConfigTypeError", "Error::invalid", "invalid_topic")
    bad = [text for text in TEXTS if text.by in makers and not re.search(r"[:;] |\bmust\b", text.words)]
    # It joins names.
    assert {text.words for text in bad} == {", "}


def test_a_time_out_says_where_and_how_long() -> None:
    late = [text for text in TEXTS if text.by in ("FluvioTimeoutError", "Error::timeout", "took_longer", "timed_out")]
    assert late
    assert not [text for text in late if "…" not in text.words]


@pytest.mark.parametrize(
    "sentence",
    [
        "the … is closed",
        'topic "…" has no partition …: it has …, numbered from 0',
        "has … bytes of key and value, too many for a request: max_request_size is …",
        "the consumer was opened without a consumer_id: it has no stored offsets",
        "consumer_id has … bytes: it must have 1 to 255",
        '"host:port" and no more, such as "127.0.0.1:9003"',
        "name is not given: it must be, where spec has no package",
        "params are given without a package: only a package can have them",
        "there is no home directory to find .fluvio/config in; set FLV_PROFILE_PATH, or give an endpoint",
        "tls: … is given without …: they belong together",
    ],
)
def test_both_languages_say_the_same_in_the_same_words(sentence: str) -> None:
    # Where one fills in, the other may know.
    pattern = re.escape(sentence).replace("…", r"[^:]+").replace("'", "")
    for texts in (PYTHON, RUST):
        assert those_with(pattern, texts)
