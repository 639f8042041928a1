"""The ends of connections, as the kernel hears of them."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
from collections.abc import Callable, Iterator


def connections(port: int) -> Iterator[socket.socket]:
    """Duplicates of the connections that this process has to a port."""
    for name in os.listdir("/proc/self/fd") if sys.platform == "linux" else []:
        with contextlib.suppress(OSError):
            descriptor = os.dup(int(name))
            try:
                connection = socket.socket(fileno=descriptor)
            except OSError:
                os.close(descriptor)
                continue
            with contextlib.ExitStack() as stack:
                stack.enter_context(connection)
                if connection.family == socket.AF_INET and connection.getpeername()[1] == port:
                    stack.pop_all()
                    yield connection


@contextlib.contextmanager
def hearing(port: int) -> Iterator[Callable[[], None]]:
    """Gives what waits until the kernel has heard that the connections that this process has to a port have ended."""
    with contextlib.ExitStack() as kept:
        poll = select.poll()
        living: set[int] = set()
        for connection in map(kept.enter_context, connections(port)):
            poll.register(connection, select.POLLRDHUP)
            living.add(connection.fileno())

        def wait() -> None:
            while living:
                events = poll.poll(10_000)
                assert events
                for descriptor, _ in events:
                    poll.unregister(descriptor)
                    living.remove(descriptor)

        yield wait
