"""The classes of administration's objects are what ``@dataclass(frozen=True, slots=True)`` makes, though not made by it
alone."""

from __future__ import annotations

import ast
import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import pytest

import fluvio_cffi
from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import MODULES

ItemT = TypeVar("ItemT")
PACKAGE = Path(fluvio_cffi.__file__).parent
KINDS = sorted(PACKAGE.joinpath("_admin", "objects").glob("[a-z]*.py"))


def made_by(decorator: Callable[[type[Any]], type[Any]]) -> type[Any]:
    class Made(Generic[ItemT]):
        """Made."""

        tag: ClassVar[str] = "made"

        name: str
        number: int = 3
        kept: Mapping[str, int] = field(default_factory=dict[str, int], hash=False)
        secret: str = field(default="", repr=False)
        last: object = field(default=None, kw_only=True)

        def __post_init__(self) -> None:
            object.__setattr__(self, "number", int(self.number))

    return decorator(Made)


USUAL: Any = made_by(dataclass(frozen=True, slots=True))
OURS: Any = made_by(value())


def outcome(call: Callable[[], object]) -> object:
    """What it returns, or how it fails."""
    try:
        return call()
    except Exception as error:
        return type(error), str(error)


def nested(cls: Any) -> object:
    items: list[object] = []
    made = cls("x", last=items)
    items.append(made)
    return repr(made)


def derived(cls: Any) -> Any:
    return type("Derived", (cls,), {})


@pytest.mark.parametrize(
    "use",
    [
        lambda cls: repr(cls("x", secret="s", last=cls("y"))),
        nested,
        lambda cls: inspect.signature(cls),
        lambda cls: cls(),
        lambda cls: cls("x", unknown=1),
        lambda cls: setattr(cls("x"), "name", "y"),
        lambda cls: delattr(cls("x"), "name"),
        lambda cls: cls("x") == cls("x"),
        lambda cls: cls("x", kept={"a": 1}) == cls("x"),
        lambda cls: cls("x") == "x",
        lambda cls: cls("x").__eq__("x") is NotImplemented,
        lambda cls: (nan := cls("x", last=float("nan"))) == nan,
        lambda cls: hash(cls("x", kept={"a": 1})) == hash(cls("x")) != hash(cls("y")),
        lambda cls: hash(cls("x", last=[])),
        lambda cls: cls("x") < cls("y"),
        lambda cls: dataclasses.asdict(cls("x", last=cls("y"))),
        lambda cls: dataclasses.astuple(cls("x")),
        lambda cls: repr(dataclasses.replace(cls("x"), number=4)),
        lambda cls: repr(copy.deepcopy(cls("x", kept={"a": 1}))),
        lambda cls: [(item.name, item.repr, item.hash) for item in dataclasses.fields(cls)],
        lambda cls: (cls.__slots__, cls.__match_args__, cls.__doc__, cls.__qualname__, hasattr(cls("x"), "__dict__")),
        lambda cls: str(cls.__dataclass_params__),
        lambda cls: repr(dataclass(frozen=True)(derived(cls))("x")),
        lambda cls: dataclass(derived(cls)),
    ],
)
def test_it_is_as_any_other(use: Callable[[Any], object]) -> None:
    assert outcome(lambda: use(OURS)) == outcome(lambda: use(USUAL))


def test_it_is_pickled_as_any_other() -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        pickles = [
            pickle.dumps(fluvio_cffi.Endpoint(1, "host"), protocol),
            pickle.dumps(fluvio_cffi.TopicSpec(2, retention="1h"), protocol),
        ]
        assert [repr(pickle.loads(each)) for each in pickles] == [
            "Endpoint(port=1, host='host', encryption='plaintext')",
            repr(fluvio_cffi.TopicSpec(2, retention="1h")),
        ]
    made = OURS("x", kept={"a": 1})
    usual = USUAL("x", kept={"a": 1})
    assert made.__reduce_ex__(4)[2:] == usual.__reduce_ex__(4)[2:]


def test_it_can_be_set_by_nobody_after_it_was_made() -> None:
    made = OURS[int]("x")
    with pytest.raises(FrozenInstanceError):
        made.__init__("y")
    for name in ("tag", "unknown"):
        with pytest.raises(FrozenInstanceError, match=name):
            setattr(made, name, "y")
        with pytest.raises(FrozenInstanceError, match=name):
            delattr(made, name)
    assert made == OURS("x")


def imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                assert isinstance(each, ast.ImportFrom)
                yield from ((alias.name, f".{each.module}") for alias in each.names)


def test_each_name_is_where_type_checkers_are_told() -> None:
    assert dict(imported(ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8")))) == dict(MODULES)


def test_what_is_loaded_later_says_that_it_is_of_the_package() -> None:
    for name in MODULES:
        found = getattr(fluvio_cffi, name)
        assert not isinstance(found, type) or found.__module__ == "fluvio_cffi", name


def test_what_calls_load_is_in_the_package_too() -> None:
    """Where annotations are looked up, by the module that a class names."""
    code = (
        "import typing\n"
        "from fluvio_cffi._async import spus\n"
        "print(typing.get_type_hints(spus.Spu), typing.get_type_hints(spus.Spu)['spec'].__module__)\n"
        "import fluvio_cffi\n"
        "print('SpuKind' in vars(fluvio_cffi), 'Topic' in vars(fluvio_cffi))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    hints = "{'name': <class 'str'>, 'spec': <class 'fluvio_cffi.SpuSpec'>, 'status': <class 'fluvio_cffi.SpuStatus'>}"
    assert done.stdout.splitlines() == [f"{hints} fluvio_cffi", "True False"]


@pytest.mark.parametrize("module", KINDS, ids=lambda path: path.stem)
def test_each_kind_is_loaded_alone_and_compiles_little(module: Path) -> None:
    """What a first call costs in the event loop. The standard library compiles six methods for each dataclass."""
    code = (
        "import builtins, dataclasses, sys, fluvio_cffi\n"
        "compiled = []\n"
        "run = builtins.exec\n"
        "def counted(code, *rest):\n"
        "    compiled.extend([code] if isinstance(code, str) else [])\n"
        "    return run(code, *rest)\n"
        "builtins.exec = counted\n"
        f"import fluvio_cffi._admin.objects.{module.stem}\n"
        "made = [n for m in list(sys.modules.values()) if m.__name__.startswith('fluvio_cffi._admin.objects.')\n"
        "    for n, c in vars(m).items() if dataclasses.is_dataclass(c) and c.__dataclass_params__.init]\n"
        "print(len(compiled), len(set(made)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    compiled, classes = map(int, done.stdout.split())
    assert compiled <= classes <= 15


HALF_LOADED = """
import sys
from fluvio_cffi import Fluvio, LocalCluster, UsageError

told = {"worked": 0, "UsageError": 0}
inside = False


def asks() -> None:
    import fluvio_cffi
    topics = lambda: client.admin.topics
    for ask in (lambda: topics().list(), lambda: topics().watch().close(), lambda: fluvio_cffi.TopicSpec()):
        try:
            ask()
            told["worked"] += 1
        except UsageError as error:
            assert "is being loaded" in str(error), error
            told["UsageError"] += 1


def interrupts(frame, event, argument):
    global inside
    if inside or "fluvio_cffi/_a" not in frame.f_code.co_filename or frame.f_code.co_name != "<module>":
        return interrupts if not inside else None
    if event == "line":
        inside = True
        asks()
        inside = False
    return interrupts


with LocalCluster() as cluster, Fluvio.connect(cluster.endpoint) as client:
    sys.settrace(interrupts)
    topics = client.admin.topics
    sys.settrace(None)
    assert topics.create("made").name == "made"
    assert told["UsageError"] and told["worked"], told
"""


def test_administration_in_the_middle_of_its_own_loading() -> None:
    """As from a signal handler, at each line of the modules that a first call loads: it works or says so, and the
    call that was interrupted goes on."""
    done = subprocess.run([sys.executable, "-c", HALF_LOADED], capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stderr) == (0, "")
