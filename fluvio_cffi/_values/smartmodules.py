"""SmartModules that run on what is read or sent."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast

from fluvio_cffi._errors import ConfigError

from . import transforms
from .checks import choice, number, text, utf8, wrong_type, wrong_value
from .files import contents
from .quantities import Duration, parse_duration

SmartModuleKind: TypeAlias = Literal["filter", "map", "array_map", "filter_map", "aggregate"]
"""What a SmartModule is."""

ParamValue: TypeAlias = "str | int | float | bool | Sequence[object] | Mapping[str, object]"
"""What a parameter of a SmartModule may be given as."""

KINDS: Final = ("filter", "map", "array_map", "filter_map", "aggregate")
_LONGEST: Final = 32_767
_MOST: Final = (1 << 63) - 1
_MOST_PARAMS: Final = 65_535
_WASM: Final = b"\0asm"
_GZIP: Final = b"\x1f\x8b"
_A_LOOKBACK: Final = 'a Lookback, a number of records, or an age such as "1h"'
_A_CHAIN: Final = "a SmartModule, the name of one, or a sequence of these"


@dataclass(frozen=True, slots=True)
class Lookback:
    """Which records of the log a SmartModule is shown before the first one that it transforms.

    It counts back from the end of the log, wherever reading begins. Servers look at one segment of the log only.

    :ivar last: this many of the newest.
    :ivar age: seconds (or text such as ``"1h"``): only those that are not older; with `last` 0: all of these.
        ``None``: of any age.
    """

    last: int = 0
    age: Duration | None = None

    def __post_init__(self) -> None:
        number(self.last, "last", 0, _MOST)
        if self.age is not None:
            age = parse_duration(self.age, "age")
            if age * 1000 > _MOST:
                raise wrong_value("age", self.age, f"at most {_MOST // 1000} s")
            object.__setattr__(self, "age", age)

    @property
    def age_ms(self) -> int:
        """The age in milliseconds; -1: of any."""
        return -1 if self.age is None else int(float(self.age) * 1000)


@dataclass(frozen=True, slots=True, repr=False, init=False)
class SmartModule:
    """A SmartModule that the SPU runs on what is read or sent: one that is stored in the cluster, by its name, or code
    that goes with each request.

    :ivar name: as what it is stored, or ``group/name`` or ``group/name@version``.
    :ivar wasm: its code.
    :ivar params: its parameters, as text.
    :ivar kind: what it is, if that was said.
    :ivar initial: the first value of an aggregate.
    :ivar lookback: what it is shown first.
    """

    name: str | None
    wasm: bytes | None
    params: Mapping[str, str] = field(hash=False)
    kind: SmartModuleKind | None
    initial: bytes | None
    lookback: Lookback | None

    def __init__(
        self,
        name: str | None = None,
        *,
        wasm: bytes | None = None,
        path: str | os.PathLike[str] | None = None,
        params: Mapping[str, ParamValue] | None = None,
        kind: SmartModuleKind | None = None,
        initial: bytes | str | None = None,
        lookback: Lookback | int | str | None = None,
    ) -> None:
        """
        :param name: of a SmartModule that is stored in the cluster.
        :param wasm: WebAssembly code, also compressed with gzip.
        :param path: a file with such code. Exactly one of `name`, `wasm` and `path` is given.
        :param params: by name: text as it is; numbers and booleans as JSON writes them; lists and mappings as JSON
            without blanks, keys sorted.
        :param kind: what it is; never needed but for an aggregate that is stored in the cluster: with it, or `initial`,
            it goes on from its last value when a connection is lost.
        :param initial: the first value of an aggregate.
        :param lookback: which records it is shown first: a :class:`Lookback`, how many, or an age such as ``"1h"``.
        :raises ConfigError: not exactly one source, or something that the server would not take.
        """
        if [name, wasm, path].count(None) != 2:
            given = [each for each, value in (("name", name), ("wasm", wasm), ("path", path)) if value is not None]
            what = " and ".join(given) or "no code"
            raise ConfigError(f"a SmartModule has {what}: it must have one of name, wasm and path")
        if path is not None:
            wasm = contents(path)
        if name is not None:
            _check_name(name)
        if wasm is not None:
            _check_code(wasm, "path" if path is not None else "wasm")
        if kind is not None:
            choice(kind, "kind", KINDS)
        set_field = object.__setattr__
        set_field(self, "name", name)
        set_field(self, "wasm", None if wasm is None else bytes(wasm))
        set_field(self, "params", transforms.params_of({} if params is None else params, _LONGEST, _MOST_PARAMS))
        set_field(self, "kind", kind)
        set_field(self, "initial", _initial(initial))
        set_field(self, "lookback", _lookback(lookback))

    @classmethod
    def load_transforms(
        cls, source: str | os.PathLike[str] | Mapping[str, object] | Iterable[Mapping[str, object] | str]
    ) -> tuple[SmartModule, ...]:
        """The chain that the ``fluvio`` program's ``--transforms`` and ``--transforms-line`` describe.

        :param source: the path of a file, YAML (which needs PyYAML) or JSON; what such a file holds, a mapping with the
            key ``transforms``; or an iterable of steps, each a mapping or JSON text. Of a step the keys ``uses``,
            ``with`` and ``lookback`` count.
        :raises ConfigError: a file that cannot be read, or a step that is none.
        """
        if isinstance(source, str) and transforms.is_json(source):
            raise wrong_value("source", source, "a path, or what this JSON says; text of steps goes into a list")
        if isinstance(source, (str, os.PathLike)):
            steps = transforms.steps_of(transforms.document(Path(source), contents(source)))
        elif isinstance(source, Mapping):
            steps = transforms.steps_of(cast("Mapping[str, object]", source))
        elif isinstance(source, Iterable):
            steps = list(source)
        else:
            raise wrong_type("source", "a path, a mapping, or an iterable of steps", source)
        return tuple([cls._of_step(step, f"step {index}") for index, step in enumerate(steps)])

    @classmethod
    def _of_step(cls, step: object, where: str) -> SmartModule:
        uses, params, lookback = transforms.step(step, where)
        return cls(
            uses,
            params=cast("Mapping[str, ParamValue]", params),
            lookback=None if lookback is None else Lookback(*lookback),
        )

    def __repr__(self) -> str:
        parts = [repr(self.name)] if self.wasm is None else [f"wasm=<{len(self.wasm)} bytes>"]
        parts += [f"params={dict(self.params)!r}"] if self.params else []
        parts += [f"kind={self.kind!r}"] if self.kind is not None else []
        parts += [f"initial=<{len(self.initial)} bytes>"] if self.initial is not None else []
        parts += [f"lookback={self.lookback!r}"] if self.lookback is not None else []
        return f"SmartModule({', '.join(parts)})"


SmartModuleChain: TypeAlias = "SmartModule | str | Sequence[SmartModule | str]"
"""SmartModules that run one after the other: one, by itself or by its name, or a sequence."""


def chain_of(modules: SmartModuleChain) -> tuple[SmartModule, ...]:
    """The SmartModules that are given as ``smartmodules``."""
    if isinstance(modules, (SmartModule, str)):
        return (_module(modules),)
    if not isinstance(modules, Sequence) or isinstance(modules, (bytes, bytearray, memoryview)):
        raise wrong_type("smartmodules", _A_CHAIN, modules)
    return tuple([_module(module) for module in modules])


def _module(module: object) -> SmartModule:
    if isinstance(module, str):
        return SmartModule(module)
    if not isinstance(module, SmartModule):
        raise wrong_type("smartmodules", _A_CHAIN, module)
    return module


def _check_name(name: str) -> None:
    length = len(utf8(text(name, "name"), "name"))
    if length > _LONGEST:
        raise ConfigError(f"name has {length} bytes: it may have {_LONGEST}")
    if "@" in name and "/" not in name:
        raise wrong_value("name", name, "name, group/name or group/name@version")


def _check_code(code: object, argument: str) -> None:
    if not isinstance(code, (bytes, bytearray, memoryview)):
        raise wrong_type(argument, "bytes", code)
    begins = bytes(cast("bytes", code)[:4])
    if begins != _WASM and begins[:2] != _GZIP:
        allowed = r"WebAssembly (b'\0asm'), or that compressed with gzip (b'\x1f\x8b')"
        raise ConfigError(f"{argument} begins with {begins!r}: it must be {allowed}")


def _initial(initial: bytes | str | None) -> bytes | None:
    if initial is None or isinstance(initial, bytes):
        return initial
    if isinstance(initial, str):
        return utf8(initial, "initial")
    raise wrong_type("initial", "bytes or a str", initial)


def _lookback(lookback: Lookback | int | str | None) -> Lookback | None:
    if lookback is None or isinstance(lookback, Lookback):
        return lookback
    if isinstance(lookback, bool) or not isinstance(lookback, (int, str)):
        raise wrong_type("lookback", _A_LOOKBACK, lookback)
    if isinstance(lookback, str):
        try:
            return Lookback(age=lookback)
        except ConfigError:
            raise wrong_value("lookback", lookback, _A_LOOKBACK) from None
    return Lookback(number(lookback, "lookback", 0, _MOST))
