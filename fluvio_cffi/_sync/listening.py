# Made by tools/async_to_sync.py from fluvio_cffi/_async/listening.py: change that, and run it.
"""The functions that are called when partitions come and go."""

from __future__ import annotations

from inspect import iscoroutinefunction

from fluvio_cffi._consume.group import Assignment, Group
from fluvio_cffi._consume.membership import Listener
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._values.checks import wrong_type


def checked_listener(listener: Listener | None, name: str) -> Listener | None:
    """Such an argument of ``consumer``."""
    if listener is None:
        return None
    if not callable(listener):
        raise wrong_type(name, "a function that takes the partitions", listener)
    if iscoroutinefunction(listener):
        raise wrong_type(name, "a plain function that takes the partitions", listener)
    return listener


def tell_changes(subscription: Subscription, group: Group) -> None:
    """Tells the member of a group what has changed of what it owns. Called by whoever reads."""
    while (change := group.next_change()) is not None:
        if change.kind != "revoked":
            _note(subscription, group, change)
        listener = group.listener(change.kind)
        try:
            if listener is not None:
                _call(listener, tuple(sorted(change.epochs)))
        except Exception:
            # It counts as told; if the call was cancelled it does not, and the next read tells it again.
            _done(subscription, group, change)
            raise
        _done(subscription, group, change)
    group.barred(subscription.buffer.state)


def _done(subscription: Subscription, group: Group, change: Assignment) -> None:
    group.done(change)
    if change.kind == "revoked":
        _note(subscription, group, change)


def _note(subscription: Subscription, group: Group, change: Assignment) -> None:
    group.note(change)
    if change.kind != "assigned":
        subscription.give_up(change.epochs)


def _call(listener: Listener, partitions: tuple[int, ...]) -> None:
    listener(partitions)
