"""Describes the public interface of the package ``fluvio``, whoever provides it, as JSON on the standard output."""

from __future__ import annotations

import enum
import importlib
import inspect
import json
from typing import Any

MODULES = ("fluvio", "fluvio.cloud", "fluvio.record", "fluvio.specs", "fluvio.topic", "fluvio.utils")
# What the native part of the witness says where its classes are.
HOMES = ("fluvio", "fluvio_cffi", "builtins", "mymodule")


def describe() -> dict[str, Any]:
    return {module: described_module(importlib.import_module(module)) for module in MODULES}


def described_module(module: Any) -> dict[str, Any]:
    """What a module defines, and what the package publishes: not what a module imports for itself."""
    whole = module.__name__ in ("fluvio", "fluvio_cffi.compat")
    found: dict[str, Any] = {}
    for name, thing in sorted(vars(module).items()):
        if name.startswith("_") or inspect.ismodule(thing):
            continue
        if inspect.isclass(thing) or inspect.isfunction(thing):
            home = thing.__module__
            if home == module.__name__ or (whole and home.split(".")[0] in HOMES):
                found[name] = described_class(thing) if inspect.isclass(thing) else described_function(thing)
        elif isinstance(thing, str):
            found[name] = thing
    return found


def described_class(kind: type) -> dict[str, Any]:
    if issubclass(kind, BaseException):
        return {"": "an exception"}
    members: dict[str, Any] = {}
    for name in sorted(name for name in dir(kind) if not name.startswith("_")):
        thing = getattr(kind, name)
        if isinstance(thing, kind):
            members[name] = "a value"
        elif not issubclass(kind, enum.Enum) or name not in dir(int) + dir(enum.Enum):
            members[name] = described_function(thing) if callable(thing) else "an attribute"
    members[""] = "no constructor" if "a value" in members.values() else constructor(kind)
    return members


def constructor(kind: type) -> str:
    try:
        found = signature(kind)
        if found == "()":
            kind()
    except (TypeError, ValueError):
        return "no constructor"
    return found


def described_function(function: Any) -> str:
    return ("async " if inspect.iscoroutinefunction(function) else "") + signature(function)


def signature(function: Any) -> str:
    parameters = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
    return f"({', '.join(map(described_parameter, parameters))})"


def described_parameter(parameter: inspect.Parameter) -> str:
    default: object = parameter.default
    if default is parameter.empty:
        return parameter.name
    plain = default is None or (isinstance(default, (bool, int, str)) and not isinstance(default, enum.Enum))
    return f"{parameter.name}={default!r}" if plain else f"{parameter.name}=..."


if __name__ == "__main__":
    print(json.dumps(describe(), indent=1, sort_keys=True))
