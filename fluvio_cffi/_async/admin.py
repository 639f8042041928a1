"""Administration. What all kinds have in common is loaded with the package, a kind when it is first used: no
first call must hold up others for long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fluvio_cffi._exports import loading, publish

from .objects import AsyncCalls

if TYPE_CHECKING:
    from .cluster import AsyncClusterAdmin
    from .groups import AsyncGroups
    from .mirrors import AsyncMirrors
    from .offsets import AsyncConsumerOffsets
    from .partitions import AsyncPartitions
    from .smartmodules import AsyncSmartModules
    from .spu_groups import AsyncSpuGroups
    from .spus import AsyncCustomSpus, AsyncSpus
    from .tables import AsyncTableFormats
    from .topics import AsyncTopics


class AsyncAdmin(AsyncCalls):
    """The cluster's administration, by kinds of objects.

    Every call takes a `timeout` in seconds; left out: the client's ``admin_timeout``; ``None``: no limit. It raises
    :class:`FluvioTimeoutError` with ``phase="admin"`` when the time is over, :class:`ConfigError` for bad arguments and
    :class:`ServerError` for what the cluster refuses; the next call works again. A call that takes long holds up no
    other.

    While the cluster is away, what may be repeated is tried again until the time is over: lists and the like, what may
    exist (``exist_ok``) or be missing (``missing_ok``), stored offsets. Anything else is sent once, when the cluster
    can be reached. If it goes before it answers, that is a :class:`FluvioConnectionError`. ``outcome`` of these errors
    is ``"not_written"`` if it was not sent, else ``"unknown"``. Where a call is cancelled it is open whether the
    cluster did what it was asked.
    """

    __slots__ = ()

    @property
    def topics(self) -> AsyncTopics:
        """Topics."""
        with loading("admin.topics"):
            from .topics import AsyncTopics

        return AsyncTopics(self._session)

    @property
    def partitions(self) -> AsyncPartitions:
        """The partitions of topics."""
        with loading("admin.partitions"):
            from .partitions import AsyncPartitions

        return AsyncPartitions(self._session)

    @property
    def spus(self) -> AsyncSpus:
        """SPUs: the servers that hold partitions."""
        with loading("admin.spus"):
            from .spus import AsyncSpus

        return AsyncSpus(self._session)

    @property
    def custom_spus(self) -> AsyncCustomSpus:
        """SPUs that were registered rather than started by the cluster."""
        with loading("admin.custom_spus"):
            from .spus import AsyncCustomSpus

        return AsyncCustomSpus(self._session)

    @property
    def spu_groups(self) -> AsyncSpuGroups:
        """Groups of SPUs that the cluster runs by itself."""
        with loading("admin.spu_groups"):
            from .spu_groups import AsyncSpuGroups

        return AsyncSpuGroups(self._session)

    @property
    def smartmodules(self) -> AsyncSmartModules:
        """SmartModules."""
        with loading("admin.smartmodules"):
            from .smartmodules import AsyncSmartModules

        return AsyncSmartModules(self._session)

    @property
    def table_formats(self) -> AsyncTableFormats:
        """Table formats."""
        with loading("admin.table_formats"):
            from .tables import AsyncTableFormats

        return AsyncTableFormats(self._session)

    @property
    def mirrors(self) -> AsyncMirrors:
        """The clusters that this one exchanges records with."""
        with loading("admin.mirrors"):
            from .mirrors import AsyncMirrors

        return AsyncMirrors(self._session)

    @property
    def consumer_offsets(self) -> AsyncConsumerOffsets:
        """The offsets that consumers have stored."""
        with loading("admin.consumer_offsets"):
            from .offsets import AsyncConsumerOffsets

        return AsyncConsumerOffsets(self._session)

    @property
    def groups(self) -> AsyncGroups:
        """Consumer groups."""
        with loading("admin.groups"):
            from .groups import AsyncGroups

        return AsyncGroups(self._session)

    @property
    def cluster(self) -> AsyncClusterAdmin:
        """The cluster as a whole."""
        with loading("admin.cluster"):
            from .cluster import AsyncClusterAdmin

        return AsyncClusterAdmin(self._session)


publish(__name__)
