# Made by tools/async_to_sync.py from fluvio_cffi/_async/smartmodules.py: change that, and run it.
"""Administration of SmartModules."""

from __future__ import annotations

import builtins
import os
from collections.abc import Mapping
from typing import Any

from fluvio_cffi._admin.document import from_document, to_document
from fluvio_cffi._admin.objects.smartmodules import SmartModuleInfo, SmartModuleSpec
from fluvio_cffi._errors import ConfigError, ConfigTypeError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import flag, kind, text, wrong_type
from fluvio_cffi._values.files import contents
from fluvio_cffi._values.quantities import Timeout

from .objects import Watched, part


class SmartModules(Watched[SmartModuleInfo]):
    """The SmartModules of the cluster. A watch of them tells no code.

    Where a name is asked for it is the one that a SmartModule is stored as, or one of its package: ``filter``,
    ``example/filter``, ``example/filter@0.1.0``.
    """

    __slots__ = ()

    _kind = "smartmodules"
    _item = SmartModuleInfo

    def create(
        self,
        name: str | None = None,
        spec: SmartModuleSpec | None = None,
        *,
        wasm: bytes | bytearray | memoryview | None = None,
        path: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        dry_run: bool = False,
        exist_ok: bool = False,
        timeout: Timeout = ...,
    ) -> SmartModuleInfo:
        """Create a SmartModule from its code.

        :param name: its name; may be left out where `spec` has a package: it is stored as ``name-group-version`` then.
        :param spec: what it says about itself, for instance :meth:`SmartModuleSpec.from_toml`.
        :param wasm: its code: WebAssembly, as it is or compressed with gzip.
        :param path: a file with its code, instead of `wasm`. It is read at once.
        :param overwrite: replace one of that name.
        :param dry_run: only check whether it could be created.
        :param exist_ok: return a SmartModule of that name as it is, if there is one.
        :raises AlreadyExistsError: a SmartModule of that name exists.
        :raises ConfigError: a bad argument, or the file cannot be read.
        """
        spec = SmartModuleSpec() if spec is None else spec
        if not isinstance(spec, SmartModuleSpec):
            raise wrong_type("spec", "a SmartModuleSpec", spec)
        if name is None and spec.package is None:
            raise ConfigError("name is not given: it must be, where spec has no package")
        document = {
            "name": None if name is None else text(name, "name"),
            "spec": to_document(spec),
            "overwrite": flag(overwrite, "overwrite"),
            "dry_run": flag(dry_run, "dry_run"),
            "exist_ok": flag(exist_ok, "exist_ok"),
        }
        return self._one("create", document, timeout, _code(wasm, path))

    def list(
        self, *, name_contains: str | None = None, wasm: bool = False, timeout: Timeout = ...
    ) -> builtins.list[SmartModuleInfo]:
        """The SmartModules.

        :param name_contains: only those whose names contain this.
        :param wasm: with their code.
        """
        return self._list({"name_contains": part(name_contains), "wasm": flag(wasm, "wasm")}, timeout)

    def get(self, name: str, *, wasm: bool = False, timeout: Timeout = ...) -> SmartModuleInfo:
        """One SmartModule.

        :param wasm: with its code.
        :raises SmartModuleNotFoundError: there is none of that name.
        :raises UsageError: the name fits several.
        """
        return self._one("get", {"name": text(name, "name"), "wasm": flag(wasm, "wasm")}, timeout)

    def delete(self, name: str, *, missing_ok: bool = False, timeout: Timeout = ...) -> None:
        """Delete a SmartModule.

        :param missing_ok: do nothing if there is none of that name.
        :raises SmartModuleNotFoundError: there is none of that name.
        :raises UsageError: the name fits several.
        """
        self._delete({"name": text(name, "name")}, missing_ok, timeout)

    def _read(self, document: Mapping[str, Any], beside: bytes) -> SmartModuleInfo:
        place = document["wasm"]
        wasm = None if place is None else beside[place["start"] : place["start"] + place["length"]]
        return from_document(SmartModuleInfo, {**document, "wasm": wasm})


def _code(wasm: bytes | bytearray | memoryview | None, path: str | os.PathLike[str] | None) -> bytes:
    if (wasm is None) == (path is None):
        given = "neither" if wasm is None else "both"
        raise ConfigError(f"wasm or path must be given, one of them, not {given}")
    if wasm is None:
        assert path is not None
        code = contents(path)
    elif isinstance(wasm, (bytes, bytearray, memoryview)):
        code = bytes(wasm)
    else:
        raise ConfigTypeError(f"wasm must be bytes, not {kind(wasm)}: give a path as path=")
    if not code:
        raise ConfigError("wasm is empty: it must be WebAssembly")
    return code


publish(__name__)
