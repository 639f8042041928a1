"""`SmartModule`, `Lookback` and transforms: checked before anything is sent."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
from smartmodule_support import MODULES, module

from fluvio_cffi import ConfigError, ConfigTypeError, Lookback, SmartModule
from fluvio_cffi._values.smartmodules import chain_of


def test_parameters_as_text() -> None:
    given: dict[str, Any] = {"s": "as is", "i": 5, "f": 1.5, "b": True, "l": [1, "ä"], "m": {"b": 1, "a": [False]}}
    assert SmartModule("x", params=given).params == {
        "s": "as is",
        "i": "5",
        "f": "1.5",
        "b": "true",
        "l": '[1,"ä"]',
        "m": '{"a":[false],"b":1}',
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "a SmartModule has no code: it must have one of name, wasm and path"),
        ({"name": "a", "path": "b"}, "has name and path: it must have one"),
        ({"name": ""}, "name is empty"),
        ({"name": "a@1.0"}, "group/name@version"),
        ({"name": "x" * 32_768}, "has 32768 bytes"),
        ({"name": "a", "params": {"k": "x" * 32_768}}, "has 32768 bytes"),
        ({"name": "a", "params": {"k": None}}, "must be text, a number"),
        ({"name": "a", "params": {"k": {1, 2}}}, "must be text, a number"),
        ({"name": "a", "params": ["k"]}, "params must be a mapping"),
        ({"name": "a", "kind": "join"}, "kind is 'join'"),
        ({"name": "a", "initial": 5}, "initial must be bytes or a str"),
        ({"name": "a", "lookback": -1}, "lookback is -1"),
        ({"name": "a", "lookback": "soon"}, "lookback is 'soon'"),
        ({"name": "a", "lookback": True}, "lookback must be"),
        ({"name": "a", "lookback": "9999999999y"}, "lookback is '9999999999y'"),
        ({"name": "a\ud800"}, "name is a str with a character at 1 that UTF-8 does not have"),
        ({"name": "a", "params": {"\ud800": "x"}}, "the name of a parameter is a str with a character at 0"),
        ({"name": "a", "params": {"k": "x\ud800"}}, "params['k'] is a str with a character at 1"),
        ({"name": "a", "params": {"k": ["\ud800"]}}, "params['k'] is a str with a character at 2"),
        ({"name": "a", "initial": "\ud800"}, "initial is a str with a character at 0"),
        ({"wasm": b"(module)"}, "wasm begins with b'(mod'"),
        ({"wasm": "text"}, "wasm must be bytes"),
        ({"path": "/no/such/file"}, "cannot be read"),
        ({"path": __file__}, "path begins with"),
    ],
)
def test_what_is_wrong_is_named(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SmartModule(**arguments)
    assert said in str(caught.value)


def test_lookback() -> None:
    assert SmartModule("a", lookback=10).lookback == Lookback(10)
    assert SmartModule("a", lookback="1h").lookback == Lookback(age="1h") == Lookback(age=3600)
    assert (Lookback(3).age_ms, Lookback(age=1.5).age_ms) == (-1, 1500)
    unfit: list[dict[str, Any]] = [{"last": -1}, {"age": -1}, {"last": 1 << 63}, {"age": 1e17}, {"age": 1e308}]
    for wrong in unfit:
        with pytest.raises(ConfigError, match=rf"^{next(iter(wrong))} is .*: it must be "):
            Lookback(**wrong)


def test_they_compare_hash_show_and_pickle() -> None:
    one = module("contains", params={"needle": "x"}, initial="s3cret", lookback=5)
    assert (
        pickle.loads(pickle.dumps(one))
        == one
        == SmartModule(
            wasm=(MODULES / "contains.wasm").read_bytes(), params={"needle": "x"}, initial=b"s3cret", lookback=5
        )
    )
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))
    assert one != module("contains")
    assert "s3cret" not in repr(one)
    assert repr(SmartModule("a", params={"k": 1}, kind="map")) == "SmartModule('a', params={'k': '1'}, kind='map')"
    with pytest.raises(AttributeError):
        one.name = "other"  # type: ignore[misc]


def test_chains() -> None:
    a = SmartModule("a")
    assert chain_of("a") == chain_of(a) == chain_of(["a"]) == chain_of((a,)) == (a,)
    assert chain_of(()) == ()
    for wrong in (b"a", 5, {"a": 1}, [5], None):
        with pytest.raises(ConfigTypeError, match=r"^smartmodules must be a SmartModule, the name of one, or"):
            chain_of(wrong)  # type: ignore[arg-type]


TRANSFORMS: dict[str, Any] = {
    "transforms": [
        {"uses": "infinyon/jolt@0.4.1", "with": {"spec": [{"operation": "shift"}], "n": 5}, "invoke": "insert"},
        {"uses": "filter", "lookback": {"last": 5}},
        {"uses": "dedup", "lookback": {"age": "1h 30m"}},
    ]
}
EXPECTED = (
    SmartModule("infinyon/jolt@0.4.1", params={"spec": '[{"operation":"shift"}]', "n": "5"}),
    SmartModule("filter", lookback=5),
    SmartModule("dedup", lookback=Lookback(age=5400)),
)


def test_transforms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = TRANSFORMS["transforms"]
    assert SmartModule.load_transforms(TRANSFORMS) == EXPECTED
    assert SmartModule.load_transforms(iter(steps)) == EXPECTED
    assert SmartModule.load_transforms([json.dumps(step) for step in steps]) == EXPECTED
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps(TRANSFORMS))
    assert SmartModule.load_transforms(file) == SmartModule.load_transforms(str(file)) == EXPECTED
    file.write_text("transforms:\n  - uses: filter\n")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(ConfigError, match="PyYAML"):
        SmartModule.load_transforms(file)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({}, "transforms must be a list"),
        ([{"with": {}}], "step 0 has no key uses"),
        (["{"], "step 0 is no JSON"),
        ([5], "step 0 must be a mapping"),
        ([{"uses": "a", "with": 5}], "with of step 0"),
        ([{"uses": "a", "lookback": 5}], "lookback of step 0"),
        ([{"uses": "a", "lookback": {"age": "5 parsecs"}}], "age of step 0 is '5 parsecs'"),
        ([{"uses": "a", "lookback": {"age": "9" * 400 + "y"}}], "age is inf"),
        (5, "source must be a path"),
        ('{"uses": "a"}', "it must be a path, or what this JSON says"),
        ('[{"uses": "a"}]', "it must be a path, or what this JSON says"),
    ],
)
def test_transforms_that_are_none(source: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SmartModule.load_transforms(source)
    assert said in str(caught.value)
