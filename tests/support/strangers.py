"""Addresses of this machine at which no cluster has answered this process.

A client waits for a cluster that has answered before and refuses now. A port that the kernel gives may have been that
of a cluster in an earlier test. A host of 127.0.0.0/8 that nobody had was nobody's.
"""

from __future__ import annotations

import itertools
import socket

_NUMBERS = itertools.count(1)


def stranger() -> str:
    """A loopback address that no one has had before."""
    number = next(_NUMBERS)
    return f"127.1.{number >> 8}.{number & 255}"


def listen() -> socket.socket:
    """A socket that listens at such an address."""
    return socket.create_server((stranger(), 0))


def endpoint(listener: socket.socket) -> str:
    """Where it listens, as ``host:port``."""
    host, port = listener.getsockname()
    return f"{host}:{port}"


def nobody() -> str:
    """Where nobody listens."""
    with listen() as closed:
        return endpoint(closed)
