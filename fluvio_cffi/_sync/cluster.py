# Made by tools/async_to_sync.py from fluvio_cffi/_async/cluster.py: change that, and run it.
"""Administration of the cluster as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluvio_cffi._admin.document import from_document
from fluvio_cffi._admin.objects.cluster import ClusterStatus
from fluvio_cffi._exports import publish
from fluvio_cffi._values.quantities import Timeout

from .objects import Calls

if TYPE_CHECKING:
    from .watch import Watch


class ClusterAdmin(Calls):
    """The cluster as a whole."""

    __slots__ = ()

    def status(self, *, timeout: Timeout = ...) -> ClusterStatus:
        """How the cluster is."""
        answer, _ = self._call("cluster.status", {}, timeout)
        return from_document(ClusterStatus, answer)

    def watch(self) -> Watch[ClusterStatus]:
        """Watch it: each change has the whole status, which is its only item. See :class:`Watch`."""
        return self._watch("cluster", ClusterStatus)


publish(__name__)
