"""A TCP proxy that plays a bad peer: one thread, towards any address."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Literal

from insides import control, spu_port

from fluvio_cffi import LocalCluster

Mode = Literal["forward", "silent", "half-open", "dropped", "refuse", "slow", "cut"]
Ending = Literal["closed", "reset", "shut down"]
_RESET = struct.pack("ii", 1, 0)


class _Pipe:
    """One direction of a connection."""

    def __init__(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        self.source = source
        self.target = target
        self.answers = answers
        self.ready_at = 0.0
        self.dropped = False


class Proxy:
    """Listens on a port of its own of `host` and forwards to `target` (``host:port``), in the mode that it is in.

    - ``forward``: as if it were not there.
    - ``silent``: it takes new connections and what is sent, and answers nothing; living connections fall silent.
    - ``half-open``: the same, but what is sent is not even read, so that the sender's buffers fill.
    - ``dropped``: that befalls the living connections for good; new ones are as if it were not there.
    - ``refuse``: new connections are reset; living ones too.
    - ``slow``: 100 bytes each 5 ms in each direction.
    - ``cut``: each connection is reset after 1,000 bytes of answers.
    """

    def __init__(self, target: str, host: str = "127.0.0.1") -> None:
        name, _, port = target.rpartition(":")
        self._target = (name, int(port))
        self._host = host
        self._listener = socket.create_server((host, 0))
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._bell, self._ear = socket.socketpair()
        self._selector.register(self._ear, selectors.EVENT_READ)
        self._mode: Mode = "forward"
        self._over = False
        self._changed = threading.Event()
        self._pipes: list[_Pipe] = []
        self._answered: dict[socket.socket, int] = {}
        self._before: tuple[bytes, Callable[[], object]] | None = None
        self._ending: Ending | None = None
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self.connections = 0
        self.port: int = self._listener.getsockname()[1]

    @property
    def endpoint(self) -> str:
        """Where it listens."""
        return f"{self._host}:{self.port}"

    def become(self, mode: Mode) -> None:
        """Changes the mode; it is in force when this returns."""
        self._changed.clear()
        self._mode = mode
        self._bell.send(b"x")
        assert self._changed.wait(5)

    def end(self, how: Ending) -> None:
        """Ends the living connections as the server would: closed, reset, or shut down for what it sends only."""
        self._ending = how
        self.become(self._mode)

    def before(self, request: bytes, act: Callable[[], object]) -> None:
        """Does something once, before the next request that contains these bytes is forwarded."""
        self._before = (request, act)

    def __enter__(self) -> Proxy:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over = True
        self._bell.send(b"x")
        self._thread.join()
        self._close_all()
        for one in (self._listener, self._bell, self._ear):
            one.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._over:
            slow = self._mode == "slow" and self._pipes
            for key, _ in self._selector.select(0.005 if slow else None):
                if key.fileobj is self._ear:
                    self._ear.recv(100)
                    if self._mode == "refuse":
                        self._close_all()
                    if self._ending is not None:
                        self._end(self._ending)
                        self._ending = None
                    if self._mode == "dropped":
                        for pipe in self._pipes:
                            pipe.dropped = True
                    self._watch()
                    self._changed.set()
                elif key.fileobj is self._listener:
                    self._accept()
                elif key.data is not None and key.fileobj in self._answered:
                    self._move(key.data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        self.connections += 1
        if self._mode == "refuse":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            client.close()
            return
        try:
            server = socket.create_connection(self._target, 5)
        except OSError:
            client.close()
            return
        for one in (client, server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._answered[one] = 0
        for pipe in (_Pipe(client, server, False), _Pipe(server, client, True)):
            self._pipes.append(pipe)
            self._selector.register(pipe.source, selectors.EVENT_READ, pipe)
        self._watch()

    def _watch(self) -> None:
        """Half-open and dropped: nothing is read any more."""
        for pipe in self._pipes:
            watched = self._mode != "half-open" and not pipe.dropped
            known = pipe.source in self._selector.get_map()
            if watched and not known:
                self._selector.register(pipe.source, selectors.EVENT_READ, pipe)
            elif known and not watched:
                self._selector.unregister(pipe.source)

    def _move(self, pipe: _Pipe) -> None:
        if self._mode == "slow":
            if time.monotonic() < pipe.ready_at:
                return
            pipe.ready_at = time.monotonic() + 0.005
        try:
            data = pipe.source.recv(100 if self._mode == "slow" else 65_536)
            if self._before is not None and not pipe.answers and self._before[0] in data:
                (_, act), self._before = self._before, None
                act()
            if data and self._mode != "silent":
                pipe.target.sendall(data)
        except OSError:
            data = b""
        self._answered[pipe.source] += len(data)
        if not data or (self._mode == "cut" and pipe.answers and self._answered[pipe.source] > 1000):
            self._close(pipe, reset=bool(data))

    def _close(self, pipe: _Pipe, reset: bool) -> None:
        for one in (pipe.source, pipe.target):
            if reset:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            if one in self._selector.get_map():
                self._selector.unregister(one)
            self._answered.pop(one, None)
            one.close()
        self._pipes = [other for other in self._pipes if other.source not in (pipe.source, pipe.target)]

    def _end(self, how: Ending) -> None:
        for pipe in [pipe for pipe in self._pipes if pipe.answers]:
            if how == "shut down":
                pipe.target.shutdown(socket.SHUT_WR)
            else:
                self._close(pipe, reset=how == "reset")

    def _close_all(self) -> None:
        while self._pipes:
            self._close(self._pipes[0], reset=True)


@contextlib.contextmanager
def between(cluster: LocalCluster, id: int = 5001) -> Iterator[tuple[Proxy, Proxy]]:
    """Proxies before the SC and before an SPU of a cluster: connect to the first one's endpoint."""
    with Proxy(cluster.endpoint) as sc, Proxy(f"127.0.0.1:{spu_port(cluster)}") as spu:
        control(cluster, f"advertise {id} 127.0.0.1 {spu.port}")
        yield sc, spu
