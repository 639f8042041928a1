"""Administration of groups of SPUs."""

from __future__ import annotations

import builtins

from fluvio_cffi._admin.document import to_document
from fluvio_cffi._admin.objects.spu_groups import SpuGroup, SpuGroupSpec
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import flag, text, wrong_type
from fluvio_cffi._values.quantities import Timeout

from .objects import AsyncWatched, part


class AsyncSpuGroups(AsyncWatched[SpuGroup]):
    """Groups of SPUs, which a cluster on Kubernetes starts by itself. Elsewhere they are only kept."""

    __slots__ = ()

    _kind = "spu_groups"
    _item = SpuGroup

    async def create(
        self,
        name: str,
        spec: SpuGroupSpec | None = None,
        *,
        dry_run: bool = False,
        exist_ok: bool = False,
        timeout: Timeout = ...,
    ) -> SpuGroup:
        """Create a group.

        :param name: its name.
        :param spec: how many SPUs, and what they are to be; left out: one.
        :param dry_run: only check whether it could be created.
        :param exist_ok: return a group of that name as it is, if there is one.
        :raises AlreadyExistsError: a group of that name exists.
        """
        spec = SpuGroupSpec() if spec is None else spec
        if not isinstance(spec, SpuGroupSpec):
            raise wrong_type("spec", "an SpuGroupSpec", spec)
        document = {
            "name": text(name, "name"),
            "spec": to_document(spec),
            "dry_run": flag(dry_run, "dry_run"),
            "exist_ok": flag(exist_ok, "exist_ok"),
        }
        return await self._one("create", document, timeout)

    async def list(self, *, name_contains: str | None = None, timeout: Timeout = ...) -> builtins.list[SpuGroup]:
        """The groups.

        :param name_contains: only those whose names contain this.
        """
        return await self._list({"name_contains": part(name_contains)}, timeout)

    async def get(self, name: str, *, timeout: Timeout = ...) -> SpuGroup:
        """One group.

        :raises SpuGroupNotFoundError: there is none of that name.
        """
        return await self._one("get", {"name": text(name, "name")}, timeout)

    async def delete(self, name: str, *, missing_ok: bool = False, timeout: Timeout = ...) -> None:
        """Delete a group.

        :param missing_ok: do nothing if there is none of that name.
        :raises SpuGroupNotFoundError: there is none of that name.
        """
        await self._delete({"name": text(name, "name")}, missing_ok, timeout)


publish(__name__)
