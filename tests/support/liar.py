"""A program that stands before a cluster and lies: ``python liar.py SC SPU REQUESTS`` (servers as ``host:port``).

It prints the two ports that stand for them, and ends when its standard input is closed. A client whose id is
``liar-SEED`` gets its answers mutated, cut, repeated, delayed, made up or not at all; which, the seed says. Others are
served as if it were not there. The requests of one whose id is ``record`` are written to the file REQUESTS, a line
each: ``sc`` or ``spu``, and the frame in hexadecimal digits.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import struct
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

PREFIX = b"liar-"
RESET = struct.pack("ii", 1, 0)
MOST_REPEATED = 4 << 20
"""Bytes of repeated frames."""
NUMBERS = [
    0,
    1,
    2,
    -1,
    -2,
    -5,
    3,
    127,
    255,
    1000,
    65_535,
    1 << 20,
    1 << 28,
    (1 << 31) - 1,
    -(1 << 31),
    6004,
    72,
    73,
    71,
]
LONG_NUMBERS = [*NUMBERS, 1 << 40, (1 << 63) - 1, -(1 << 63)]
# Zigzag varints: 2^20, 2^34, 2^45, -1, 2^62, one without end.
VARINTS = [
    b"\x80\x80\x80\x01",
    b"\x80\x80\x80\x80\x80\x01",
    b"\x80\x80\x80\x80\x80\x80\x80\x20",
    b"\x01",
    b"\xff" * 8 + b"\x7f",
    b"\xff" * 12,
]


def framed(body: bytes, length: int | None = None) -> bytes:
    return struct.pack(">i", len(body) if length is None else length) + body


def crc32c(data: bytes | bytearray) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def _row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
    return byte


CRC_TABLE = [_row(byte) for byte in range(256)]


class Gone(Exception):
    """The connection is to end, perhaps with a reset."""

    def __init__(self, reset: bool) -> None:
        self.reset = reset


Piece = float | bytes
"""Bytes to send, or seconds to wait."""


class Liar:
    """Lies on one connection. A frame is what follows its length: the number of the request, and a body."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        lies: list[Callable[[bytes], Iterator[Piece]]] = [
            self.flip,
            self.flip,
            self.number,
            self.number,
            self.varint,
            self.cut,
            self.longer,
            self.length,
            self.repeat,
            self.stray,
            self.flood,
            self.late,
            self.never,
            self.dribble,
            self.noise,
            self.other,
            self.batch,
            self.batch,
            self.end,
        ]
        self.lies = self.random.sample(lies, self.random.randint(1, 5))
        self.rate = self.random.choice([0.1, 0.3, 0.6, 1.0])
        self.honest = self.random.choice([0, 1, 2, 3, 4, 6, 10])
        self.seen: list[bytes] = []

    def answer(self, frame: bytes) -> Iterator[Piece]:
        """What is sent instead of a frame."""
        self.seen = [*self.seen[-20:], frame]
        self.honest -= 1
        if self.honest >= 0 or self.random.random() > self.rate or len(frame) < 4:
            yield framed(frame)
        else:
            yield from self.random.choice(self.lies)(frame)

    def place(self, frame: bytes, size: int) -> int:
        """Somewhere in the body, mostly near its beginning."""
        end = max(len(frame) - size, 4)
        return self.random.randint(4, min(end, self.random.choice([12, 40, 80, 1 << 30])))

    def put(self, frame: bytes, what: bytes) -> bytes:
        at = self.place(frame, len(what))
        return frame[:at] + what + frame[at + len(what) :]

    def flip(self, frame: bytes) -> Iterator[Piece]:
        for _ in range(self.random.randint(1, 4)):
            frame = self.put(frame, bytes([self.random.randrange(256)]))
        yield framed(frame)

    def number(self, frame: bytes) -> Iterator[Piece]:
        if self.random.random() < 0.2:
            frame = self.put(frame, struct.pack(">q", self.random.choice(LONG_NUMBERS)))
        elif self.random.random() < 0.5:
            frame = self.put(frame, struct.pack(">i", self.random.choice(NUMBERS)))
        else:
            frame = self.put(frame, struct.pack(">H", self.random.choice(NUMBERS) & 0xFFFF))
        yield framed(frame)

    def varint(self, frame: bytes) -> Iterator[Piece]:
        """In the middle of an error that has one."""
        failed = struct.pack(">h", 6004) + bytes(11) + self.random.choice([b"\1", b"\0"])
        yield framed(self.put(frame, failed + self.random.choice(VARINTS) + bytes(20)))

    def cut(self, frame: bytes) -> Iterator[Piece]:
        frame_length = len(frame)
        frame = frame[: self.random.randint(0, len(frame))]
        yield framed(frame, None if self.random.random() < 0.6 else frame_length)

    def longer(self, frame: bytes) -> Iterator[Piece]:
        yield framed(frame + self.random.randbytes(self.random.choice([1, 10, 1000, 100_000])))

    def length(self, frame: bytes) -> Iterator[Piece]:
        yield framed(frame, self.random.choice([*NUMBERS, len(frame) - 1, len(frame) + 1, 300 << 20, 0x48545450]))

    def repeat(self, frame: bytes) -> Iterator[Piece]:
        most = max(2, MOST_REPEATED // len(frame))
        yield framed(frame) * min(self.random.choice([2, 3, 50, 5000]), most)

    def stray(self, frame: bytes) -> Iterator[Piece]:
        number = self.random.choice([*range(-1, 30), 1 << 30])
        yield framed(struct.pack(">i", number) + frame[4:])

    def flood(self, frame: bytes) -> Iterator[Piece]:
        """A few MiB of frames for nobody, or of empty ones for somebody."""
        small = framed(self.random.choice([struct.pack(">i", 999_999), frame[:4], frame[:4] + bytes(60)]))
        for _ in range(self.random.choice([1, 20])):
            yield small * ((1 << 18) // len(small))
        yield framed(frame)

    def late(self, frame: bytes) -> Iterator[Piece]:
        yield self.random.choice([0.01, 0.1, 0.4, 1.0])
        yield framed(frame)

    def never(self, frame: bytes) -> Iterator[Piece]:
        yield from ()

    def dribble(self, frame: bytes) -> Iterator[Piece]:
        frame = framed(frame)
        for at in range(min(len(frame), 40)):
            yield frame[at : at + 1]
            yield 0.001
        yield frame[40:]

    def noise(self, frame: bytes) -> Iterator[Piece]:
        body = self.random.randbytes(self.random.choice([0, 1, 4, 20, 300]))
        body = self.random.choice([body, bytes(len(body)), bytes(byte & 1 for byte in body)])
        yield framed(frame[:4] + body)

    def other(self, frame: bytes) -> Iterator[Piece]:
        """The body of another answer."""
        yield framed(frame[:4] + self.random.choice(self.seen)[4:])

    def batch(self, frame: bytes) -> Iterator[Piece]:
        """A batch with a right checksum whose offsets, counts or records are wrong, if the frame is a stream's."""
        (name,) = struct.unpack(">h", frame[4:6].rjust(2, b"\0"))
        at = 4 + 2 + name + 4 + 4 + 2 + 8 + 8 + 8 + 1 + 4
        batch = bytearray(frame[at : at + 4000])
        if len(batch) < 61 or batch[16] != 2:
            yield from self.flip(frame)
            return
        (length,) = struct.unpack(">i", batch[8:12])
        batch = batch[: 12 + length]
        kind = self.random.randrange(5)
        if kind == 0:
            batch[0:8] = struct.pack(">q", self.random.choice([*LONG_NUMBERS, 500]))
        elif kind == 1:
            batch[23:27] = struct.pack(">i", self.random.choice(NUMBERS))
        elif kind == 2:
            batch[27:35] = struct.pack(">q", self.random.choice(LONG_NUMBERS))
        elif kind == 3:
            batch[57:61] = struct.pack(">i", self.random.choice(NUMBERS))
        else:
            for _ in range(self.random.randint(1, 3)):
                batch[self.random.randrange(21, len(batch))] = self.random.randrange(256)
        batch[17:21] = struct.pack(">I", crc32c(batch[21:]))
        yield framed(frame[:at] + batch + frame[at + len(batch) :])

    def end(self, frame: bytes) -> Iterator[Piece]:
        frame = framed(frame)
        yield frame[: self.random.randint(0, len(frame))]
        raise Gone(self.random.random() < 0.5)


async def frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            (length,) = struct.unpack(">i", await reader.readexactly(4))
            yield await reader.readexactly(length)


def name_of(request: bytes) -> bytes:
    """The client's id, which every request has after its key, version and number."""
    (length,) = struct.unpack(">h", request[8:10])
    return request[10 : 10 + length]


class Between:
    """Stands for one server."""

    def __init__(self, role: str, target: str, requests: Path) -> None:
        self.role = role
        self.requests = requests
        host, _, port = target.rpartition(":")
        self.target = (host, int(port))
        self.connections: dict[str, int] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server: asyncio.StreamWriter | None = None
        tasks: list[asyncio.Task[None]] = []
        try:
            replies, server = await asyncio.open_connection(*self.target)
            requests = frames(reader)
            first = await anext(requests)
            name = name_of(first)
            liar = None
            if name.startswith(PREFIX):
                seed = name.removeprefix(PREFIX).decode()
                count = self.connections[seed] = self.connections.get(seed, 0) + 1
                liar = Liar(f"{seed} {self.role} {count}")
            self.note(name, first)
            server.write(framed(first))
            tasks = [
                asyncio.create_task(self.forward(name, requests, server)),
                asyncio.create_task(self.answer(frames(replies), writer, liar)),
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, StopAsyncIteration):
            pass
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            if any(isinstance(end, Gone) and end.reset for end in ended):
                # The client may have been quicker.
                with contextlib.suppress(OSError):
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            for one in (writer, server):
                if one is not None:
                    one.close()

    def note(self, name: bytes, request: bytes) -> None:
        if name == b"record":
            with self.requests.open("a") as file:
                print(self.role, request.hex(), file=file)

    async def forward(self, name: bytes, requests: AsyncIterator[bytes], server: asyncio.StreamWriter) -> None:
        async for request in requests:
            self.note(name, request)
            server.write(framed(request))
            await server.drain()

    async def answer(self, replies: AsyncIterator[bytes], client: asyncio.StreamWriter, liar: Liar | None) -> None:
        async for reply in replies:
            for piece in liar.answer(reply) if liar is not None else [framed(reply)]:
                if isinstance(piece, bytes):
                    client.write(piece)
                    await client.drain()
                else:
                    await asyncio.sleep(piece)


async def main(sc: str, spu: str, requests: str) -> None:
    betweens = [Between(role, target, Path(requests)) for role, target in (("sc", sc), ("spu", spu))]
    servers = [await asyncio.start_server(between.serve, "127.0.0.1", 0, backlog=1024) for between in betweens]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def wait() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=wait, daemon=True).start()
    await over.wait()
    # What is under way is of no interest to anybody.
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
