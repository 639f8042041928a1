"""Administration of the cluster as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluvio_cffi._admin.document import from_document
from fluvio_cffi._admin.objects.cluster import ClusterStatus
from fluvio_cffi._exports import publish
from fluvio_cffi._values.quantities import Timeout

from .objects import AsyncCalls

if TYPE_CHECKING:
    from .watch import AsyncWatch


class AsyncClusterAdmin(AsyncCalls):
    """The cluster as a whole."""

    __slots__ = ()

    async def status(self, *, timeout: Timeout = ...) -> ClusterStatus:
        """How the cluster is."""
        answer, _ = await self._call("cluster.status", {}, timeout)
        return from_document(ClusterStatus, answer)

    def watch(self) -> AsyncWatch[ClusterStatus]:
        """Watch it: each change has the whole status, which is its only item. See :class:`AsyncWatch`."""
        return self._watch("cluster", ClusterStatus)


publish(__name__)
