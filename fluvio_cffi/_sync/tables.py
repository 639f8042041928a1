# Made by tools/async_to_sync.py from fluvio_cffi/_async/tables.py: change that, and run it.
"""Administration of table formats."""

from __future__ import annotations

import builtins

from fluvio_cffi._admin.document import to_document
from fluvio_cffi._admin.objects.tables import TableFormat, TableFormatSpec
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import flag, text, wrong_type
from fluvio_cffi._values.quantities import Timeout

from .objects import Watched, part


class TableFormats(Watched[TableFormat]):
    """The table formats of the cluster, which tell tools how to show records."""

    __slots__ = ()

    _kind = "table_formats"
    _item = TableFormat

    def create(
        self,
        name: str,
        spec: TableFormatSpec | None = None,
        *,
        dry_run: bool = False,
        exist_ok: bool = False,
        timeout: Timeout = ...,
    ) -> TableFormat:
        """Create a table format.

        :param name: its name.
        :param spec: what it shows.
        :param dry_run: only check whether it could be created.
        :param exist_ok: return a table format of that name as it is, if there is one.
        :raises AlreadyExistsError: a table format of that name exists.
        """
        spec = TableFormatSpec() if spec is None else spec
        if not isinstance(spec, TableFormatSpec):
            raise wrong_type("spec", "a TableFormatSpec", spec)
        document = {
            "name": text(name, "name"),
            "spec": to_document(spec),
            "dry_run": flag(dry_run, "dry_run"),
            "exist_ok": flag(exist_ok, "exist_ok"),
        }
        return self._one("create", document, timeout)

    def list(self, *, name_contains: str | None = None, timeout: Timeout = ...) -> builtins.list[TableFormat]:
        """The table formats.

        :param name_contains: only those whose names contain this.
        """
        return self._list({"name_contains": part(name_contains)}, timeout)

    def get(self, name: str, *, timeout: Timeout = ...) -> TableFormat:
        """One table format.

        :raises TableFormatNotFoundError: there is none of that name.
        """
        return self._one("get", {"name": text(name, "name")}, timeout)

    def delete(self, name: str, *, missing_ok: bool = False, timeout: Timeout = ...) -> None:
        """Delete a table format.

        :param missing_ok: do nothing if there is none of that name.
        :raises TableFormatNotFoundError: there is none of that name.
        """
        self._delete({"name": text(name, "name")}, missing_ok, timeout)


publish(__name__)
