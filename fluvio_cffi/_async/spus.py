"""Administration of SPUs."""

from __future__ import annotations

import builtins

from fluvio_cffi._admin.document import to_document
from fluvio_cffi._admin.objects.spus import CustomSpuSpec, Spu
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import flag, number, text, wrong_type
from fluvio_cffi._values.quantities import Timeout

from .objects import AsyncObjects, AsyncWatched, part


class AsyncSpus(AsyncWatched[Spu]):
    """The SPUs of the cluster, managed and custom ones."""

    __slots__ = ()

    _kind = "spus"
    _item = Spu

    async def list(self, *, name_contains: str | None = None, timeout: Timeout = ...) -> builtins.list[Spu]:
        """The SPUs.

        :param name_contains: only those whose names contain this.
        """
        return await self._list({"name_contains": part(name_contains)}, timeout)

    async def get(self, spu: int | str, *, timeout: Timeout = ...) -> Spu:
        """One SPU.

        :param spu: its id, or its name.
        :raises SpuNotFoundError: there is no such SPU.
        """
        return await self._one("get", key(spu), timeout)


class AsyncCustomSpus(AsyncObjects[Spu]):
    """The SPUs that were registered with the cluster rather than started by it. To watch them, watch all SPUs."""

    __slots__ = ()

    _kind = "custom_spus"
    _item = Spu

    async def create(
        self,
        name: str | None,
        spec: CustomSpuSpec,
        *,
        dry_run: bool = False,
        exist_ok: bool = False,
        timeout: Timeout = ...,
    ) -> Spu:
        """Register an SPU. It is offline until it is started.

        :param name: its name; ``None``: ``custom-spu-`` and its number.
        :param spec: its number and its addresses.
        :param dry_run: only check whether it could be registered.
        :param exist_ok: return an SPU of that name and number as it is, if there is one.
        :raises AlreadyExistsError: an SPU of that name, or with that number, exists.
        """
        if not isinstance(spec, CustomSpuSpec):
            raise wrong_type("spec", "a CustomSpuSpec", spec)
        document = {
            "name": None if name is None else text(name, "name"),
            "spec": to_document(spec),
            "dry_run": flag(dry_run, "dry_run"),
            "exist_ok": flag(exist_ok, "exist_ok"),
        }
        return await self._one("create", document, timeout)

    async def list(self, *, name_contains: str | None = None, timeout: Timeout = ...) -> builtins.list[Spu]:
        """The SPUs that were registered.

        :param name_contains: only those whose names contain this.
        """
        return await self._list({"name_contains": part(name_contains)}, timeout)

    async def get(self, spu: int | str, *, timeout: Timeout = ...) -> Spu:
        """One SPU that was registered.

        :param spu: its id, or its name.
        :raises SpuNotFoundError: there is no such SPU.
        """
        return await self._one("get", key(spu), timeout)

    async def delete(
        self, spu: int | str, *, missing_ok: bool = False, force: bool = False, timeout: Timeout = ...
    ) -> None:
        """Take back the registration of an SPU.

        :param spu: its id, or its name.
        :param missing_ok: do nothing if there is no such SPU.
        :param force: also if it leads partitions, which are then without a leader.
        :raises SpuNotFoundError: there is no such SPU.
        :raises UsageError: it leads partitions.
        """
        await self._delete({**key(spu), "force": flag(force, "force")}, missing_ok, timeout)


def key(spu: int | str) -> dict[str, object]:
    """An SPU, by its id or its name."""
    if isinstance(spu, str):
        return {"name": text(spu, "spu")}
    return {"id": number(spu, "spu", 0, (1 << 31) - 1)}


publish(__name__)
