# Made by tools/async_to_sync.py from fluvio_cffi/_async/mirrors.py: change that, and run it.
"""Administration of mirrors: the other clusters that this one exchanges records with."""

from __future__ import annotations

import builtins

from fluvio_cffi._admin.document import to_document
from fluvio_cffi._admin.objects.mirrors import HomeCluster, Mirror, RemoteCluster
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import flag, text, wrong_type
from fluvio_cffi._values.quantities import Timeout

from .objects import Objects, part


class Mirrors(Objects[Mirror]):
    """The clusters that this one exchanges records with: its remote clusters, which send them here, and its home, to
    which it sends them."""

    __slots__ = ()

    _kind = "mirrors"
    _item = Mirror

    def create(
        self,
        name: str,
        spec: RemoteCluster | HomeCluster,
        *,
        dry_run: bool = False,
        exist_ok: bool = False,
        timeout: Timeout = ...,
    ) -> Mirror:
        """Register another cluster.

        :param name: its name here.
        :param spec: which it is.
        :param dry_run: only check whether it could be registered.
        :param exist_ok: return a mirror of that name as it is, if there is one.
        :raises AlreadyExistsError: a mirror of that name exists.
        """
        if isinstance(spec, RemoteCluster):
            tagged = {"remote": to_document(spec)}
        elif isinstance(spec, HomeCluster):
            tagged = {"home": to_document(spec)}
        else:
            raise wrong_type("spec", "a RemoteCluster or a HomeCluster", spec)
        document = {
            "name": text(name, "name"),
            "spec": tagged,
            "dry_run": flag(dry_run, "dry_run"),
            "exist_ok": flag(exist_ok, "exist_ok"),
        }
        return self._one("create", document, timeout)

    def list(self, *, name_contains: str | None = None, timeout: Timeout = ...) -> builtins.list[Mirror]:
        """The mirrors.

        :param name_contains: only those whose names contain this.
        """
        return self._list({"name_contains": part(name_contains)}, timeout)

    def get(self, name: str, *, timeout: Timeout = ...) -> Mirror:
        """One mirror.

        :raises MirrorNotFoundError: there is none of that name.
        """
        return self._one("get", {"name": text(name, "name")}, timeout)

    def delete(self, name: str, *, missing_ok: bool = False, timeout: Timeout = ...) -> None:
        """Take back the registration of another cluster.

        :param missing_ok: do nothing if there is none of that name.
        :raises MirrorNotFoundError: there is none of that name.
        """
        self._delete({"name": text(name, "name")}, missing_ok, timeout)


publish(__name__)
