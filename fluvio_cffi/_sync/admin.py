# Made by tools/async_to_sync.py from fluvio_cffi/_async/admin.py: change that, and run it.
"""Administration. What all kinds have in common is loaded with the package, a kind when it is first used: no
first call must hold up others for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluvio_cffi._exports import loading, publish

from .objects import Calls

if TYPE_CHECKING:
    from .cluster import ClusterAdmin
    from .groups import Groups
    from .mirrors import Mirrors
    from .offsets import ConsumerOffsets
    from .partitions import Partitions
    from .smartmodules import SmartModules
    from .spu_groups import SpuGroups
    from .spus import CustomSpus, Spus
    from .tables import TableFormats
    from .topics import Topics


class Admin(Calls):
    """The cluster's administration, by kinds of objects.

    Every call takes a `timeout` in seconds; left out: the client's ``admin_timeout``; ``None``: no limit. It raises
    :class:`FluvioTimeoutError` with ``phase="admin"`` when the time is over, :class:`ConfigError` for bad arguments and
    :class:`ServerError` for what the cluster refuses; the next call works again. A call that takes long holds up no
    other.

    While the cluster is away, what may be repeated is tried again until the time is over: lists and the like, what may
    exist (``exist_ok``) or be missing (``missing_ok``), stored offsets. Anything else is sent once, when the cluster
    can be reached. If it goes before it answers, that is a :class:`FluvioConnectionError`. ``outcome`` of these errors
    is ``"not_written"`` if it was not sent, else ``"unknown"``. Where a call is interrupted it is open whether the
    cluster did what it was asked.
    """

    __slots__ = ()

    @property
    def topics(self) -> Topics:
        """Topics."""
        with loading("admin.topics"):
            from .topics import Topics

        return Topics(self._session)

    @property
    def partitions(self) -> Partitions:
        """The partitions of topics."""
        with loading("admin.partitions"):
            from .partitions import Partitions

        return Partitions(self._session)

    @property
    def spus(self) -> Spus:
        """SPUs: the servers that hold partitions."""
        with loading("admin.spus"):
            from .spus import Spus

        return Spus(self._session)

    @property
    def custom_spus(self) -> CustomSpus:
        """SPUs that were registered rather than started by the cluster."""
        with loading("admin.custom_spus"):
            from .spus import CustomSpus

        return CustomSpus(self._session)

    @property
    def spu_groups(self) -> SpuGroups:
        """Groups of SPUs that the cluster runs by itself."""
        with loading("admin.spu_groups"):
            from .spu_groups import SpuGroups

        return SpuGroups(self._session)

    @property
    def smartmodules(self) -> SmartModules:
        """SmartModules."""
        with loading("admin.smartmodules"):
            from .smartmodules import SmartModules

        return SmartModules(self._session)

    @property
    def table_formats(self) -> TableFormats:
        """Table formats."""
        with loading("admin.table_formats"):
            from .tables import TableFormats

        return TableFormats(self._session)

    @property
    def mirrors(self) -> Mirrors:
        """The clusters that this one exchanges records with."""
        with loading("admin.mirrors"):
            from .mirrors import Mirrors

        return Mirrors(self._session)

    @property
    def consumer_offsets(self) -> ConsumerOffsets:
        """The offsets that consumers have stored."""
        with loading("admin.consumer_offsets"):
            from .offsets import ConsumerOffsets

        return ConsumerOffsets(self._session)

    @property
    def groups(self) -> Groups:
        """Consumer groups."""
        with loading("admin.groups"):
            from .groups import Groups

        return Groups(self._session)

    @property
    def cluster(self) -> ClusterAdmin:
        """The cluster as a whole."""
        with loading("admin.cluster"):
            from .cluster import ClusterAdmin

        return ClusterAdmin(self._session)


publish(__name__)
