"""Who reads from a cluster: its groups, and the consumers that store offsets, for ``top`` and the exporter."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from fluvio_cffi import ConsumerOffset, Fluvio, Group, GroupNotFoundError

if TYPE_CHECKING:
    from fluvio_cffi import Timeout


def all_groups(client: Fluvio, timeout: Timeout = ...) -> Iterator[Group]:
    """The groups, each with its members and partitions.

    :param timeout: seconds that one question may take.
    """
    for summary in client.admin.groups.list(timeout=timeout):
        try:
            yield client.admin.groups.get(summary.group, summary.topic, timeout=timeout)
        except GroupNotFoundError:
            # It has gone meanwhile.
            continue


def all_consumers(
    client: Fluvio, groups: Collection[tuple[str, str]], timeout: Timeout = ...
) -> Iterator[ConsumerOffset]:
    """What consumers have stored.

    :param groups: names and topics of groups, which keep a copy of theirs there, under their names.
    :param timeout: seconds that the question may take.
    """
    for stored in client.admin.consumer_offsets.list(timeout=timeout):
        if (stored.consumer_id, stored.topic) not in groups:
            yield stored
