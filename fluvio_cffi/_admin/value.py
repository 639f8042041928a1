"""How the classes of administration's objects are made: as frozen dataclasses with slots, but fast.

``@dataclass(frozen=True, slots=True)`` compiles six methods for each class: half a millisecond, in the event loop, when
a kind of objects is first used. Five of the six are the same for all classes and are here; only ``__init__`` is
compiled, where a class has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, FrozenInstanceError, dataclass, field, fields
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Any:
        return lambda decorator: decorator


T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(*, init: bool = True) -> Callable[[type[T]], type[T]]:
    """Makes a frozen dataclass with slots.

    :param init: whether `__init__` is made, too.
    """

    def make(cls: type[T]) -> type[T]:
        made: Any = dataclass(init=init, repr=False, eq=False, slots=True)(cls)
        for method in _METHODS:
            setattr(made, method.__name__, method)
        # What the methods make of it. Who derives a dataclass from it is asked for a frozen one.
        made.__dataclass_params__.repr = made.__dataclass_params__.eq = made.__dataclass_params__.frozen = True
        return cast("type[T]", made)

    return make


def _names(instance: Any) -> list[str]:
    return [item.name for item in fields(instance)]


def _contents(instance: Any, wanted: Callable[[Field[Any]], bool] = lambda item: True) -> dict[str, object]:
    return {item.name: getattr(instance, item.name) for item in fields(instance) if wanted(item)}


@recursive_repr()
def __repr__(self: object) -> str:
    shown = _contents(self, lambda item: item.repr)
    return f"{type(self).__qualname__}({', '.join(f'{name}={content!r}' for name, content in shown.items())})"


def __eq__(self: object, other: object) -> bool:
    return _contents(self) == _contents(other) if other.__class__ is self.__class__ else NotImplemented


def __hash__(self: object) -> int:
    return hash(tuple(_contents(self, lambda item: item.hash is not False).values()))


def __setattr__(self: object, name: str, value: object) -> None:
    kind: Any = type(self)
    # What is not set yet is set by `__init__`.
    if name in kind.__dataclass_fields__ and not hasattr(self, name):
        object.__setattr__(self, name, value)
    else:
        raise FrozenInstanceError(f"cannot assign to field {name!r}")


def __delattr__(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def __getstate__(self: object) -> list[object]:
    return list(_contents(self).values())


def __setstate__(self: object, state: list[object]) -> None:
    for name, content in zip(_names(self), state, strict=True):
        object.__setattr__(self, name, content)


_METHODS = (__repr__, __eq__, __hash__, __setattr__, __delattr__, __getstate__, __setstate__)
