"""SmartModules."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import field
from typing import Literal, TypeAlias

from fluvio_cffi._admin.checks import assign, optional_text
from fluvio_cffi._admin.document import from_document
from fluvio_cffi._admin.toml import smartmodule_document
from fluvio_cffi._admin.value import value
from fluvio_cffi._errors import ConfigError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import choice, flag, instance, shown, text, wrong_type

Visibility: TypeAlias = Literal["private", "public"]


@value()
class SmartModulePackage:
    """What a SmartModule is called where SmartModules are shared. A cluster stores it as ``name-group-version``.

    :param name: its name.
    :param group: whose it is.
    :param version: its version, such as ``"0.1.0"``.
    :param api_version: the version of the SmartModule interface that it was built for.
    """

    name: str
    group: str = field(kw_only=True)
    version: str = field(default="0.1.0", kw_only=True)
    api_version: str = field(default="0.1.0", kw_only=True)
    description: str | None = field(default=None, kw_only=True)
    license: str | None = field(default=None, kw_only=True)
    repository: str | None = field(default=None, kw_only=True)
    visibility: Visibility = field(default="private", kw_only=True)

    def __post_init__(self) -> None:
        for name in ("name", "group", "version", "api_version"):
            text(getattr(self, name), name)
        for name in ("description", "license", "repository"):
            optional_text(getattr(self, name), name)
        choice(self.visibility, "visibility", ("private", "public"))


@value()
class SmartModuleParam:
    """A parameter that a SmartModule takes."""

    description: str | None = None
    optional: bool = False

    def __post_init__(self) -> None:
        optional_text(self.description, "description")
        assign(self, optional=flag(self.optional, "optional"))


@value()
class SmartModuleSpec:
    """What a SmartModule says about itself.

    :param package: what it is called where SmartModules are shared.
    :param params: the parameters that it takes, by their names; only with a `package`.
    """

    package: SmartModulePackage | None = None
    params: Mapping[str, SmartModuleParam] = field(default_factory=dict[str, SmartModuleParam], hash=False)

    def __post_init__(self) -> None:
        if self.package is not None:
            instance(self.package, "package", SmartModulePackage)
        if not isinstance(self.params, Mapping):
            raise wrong_type("params", "a mapping of str to SmartModuleParam", self.params)
        for name, param in self.params.items():
            text(name, "a key of params")
            instance(param, f"params[{shown(name)}]", SmartModuleParam)
        if self.params and self.package is None:
            raise ConfigError("params are given without a package: only a package can have them")
        assign(self, params=dict(self.params))

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> SmartModuleSpec:
        """What a ``SmartModule.toml`` says, the file that ``smdk`` puts beside the source of a SmartModule.

        It is read at once. Keys that are not of a package or its parameters are passed over.

        :param path: where the file is.
        :raises ConfigError: the file cannot be read, or is no ``SmartModule.toml``.
        """
        return from_document(cls, smartmodule_document(path))


@value()
class SmartModuleInfo:
    """A SmartModule of the cluster.

    :ivar name: as what it is stored.
    :ivar spec: what it says about itself.
    :ivar wasm_size: bytes of its code as it is stored, usually compressed.
    :ivar wasm: its code; ``None``: it was not asked for.
    """

    name: str
    spec: SmartModuleSpec
    wasm_size: int
    wasm: bytes | None = field(default=None, repr=False)


publish(__name__)
