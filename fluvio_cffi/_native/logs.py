"""What the library says of what it does, handed to `logging`.

No thread of the library ever enters the interpreter: it puts entries into a ring, and a thread of Python's, which
waits for the ring's descriptor without the GIL, takes them out and calls the loggers. So a handler may take its time,
raise, log, or use a client: the library never waits for it. If it is too slow for what comes, entries are dropped.

The thread begins with the interpreter's first client, never with an import; it is this interpreter's, and hears of this
interpreter's clients. At the end of the program it has its last turn before ``logging.shutdown``.
"""

from __future__ import annotations

import json
import logging
import select
import struct
import sys
import threading
from collections.abc import Iterable
from time import monotonic, thread_time
from typing import Any, Final

from fluvio_cffi._native.calls import Slice
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.lifecycle import last_words, owner
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.process import process

# The name of a level below DEBUG, for what is said with each request.
TRACE: Final = 5

ROOT: Final = "fluvio_cffi.native"
TARGETS: Final = ("connection", "cluster", "producer", "consumer", "group", "admin")

# The levels of logging, by the library's.
_LEVELS: Final = {
    int(lib.FLV_LOG_ERROR): logging.ERROR,
    int(lib.FLV_LOG_WARN): logging.WARNING,
    int(lib.FLV_LOG_INFO): logging.INFO,
    int(lib.FLV_LOG_DEBUG): logging.DEBUG,
    int(lib.FLV_LOG_TRACE): TRACE,
}
# flv_log_t: time_ns, number, level, reserved, and the views target, message, fields
_LAYOUT: Final = struct.Struct("=qQIIQQQQQQ")
_TEXT: Final[CData] = ffi.typeof("char *")
_new_record: Final = logging.LogRecord.__new__
_OK: Final = int(lib.FLV_STATUS_OK)
_EMPTY: Final = int(lib.FLV_STATUS_EMPTY)
# Entries that are taken at a time, and between two rests.
_CHUNK: Final = 256
_TURN: Final = 4096
# Seconds between two lines that say that entries were dropped, and that the end of the program waits for handlers.
_GAPS_EVERY: Final = 1.0
_LAST_TURN: Final = 1.0
# Seconds in which entries come together after the last ones, unless somebody waits for them: to wake this thread for
# each would cost more than all else. And it rests so many times as long as it was busy: so it takes an eighth of a
# processor at most, whatever handlers cost, and what is more than that is dropped.
_TOGETHER: Final = 0.02
_REST: Final = 7
# Milliseconds after which levels are looked up again, where logging does not tell of changes.
_LOOK_AGAIN: Final = 1000


class Logs:
    """Whether the library's entries are wanted, and who reads them.

    :ivar enabled: whether they are.
    :ivar dropped: how many entries earlier readers have seen dropped.
    """

    __slots__ = ("_readers", "dropped", "enabled")

    def __init__(self) -> None:
        self.enabled = True
        self.dropped = 0
        # By the number of forks: a child needs a reader of its own.
        self._readers: dict[int, Reader] = {}

    @property
    def reader(self) -> Reader | None:
        """The one that runs."""
        return self._readers.get(process.generation)

    def begin(self) -> None:
        """A client is about to connect. Where there is no descriptor or no thread to be had it connects all the same,
        and the next one tries again."""
        if not self.enabled or self.reader is not None:
            return
        generation, readers = process.generation, self._readers
        made: Reader | None = None
        try:
            made = Reader(owner())
            # Of several threads that come here, one is first.
            if readers.setdefault(generation, made) is made:
                made.start()
        except Exception:
            if made is not None and readers.get(generation) is made:
                del readers[generation]

    def end(self) -> None:
        """Nothing more is heard; what was said gets its last turn."""
        reader = self._readers.pop(process.generation, None)
        if reader is not None:
            self.dropped += reader.stop()


class Reader:
    """The thread that takes entries and hands them to their loggers.

    :ivar handle: the library's listener.
    """

    def __init__(self, owner: CData) -> None:
        made, error = ffi.new("flv_logs_t **"), ffi.new("flv_error_t **")
        raise_status(lib.flv_logs_new(owner, lib.FLV_LOG_OFF, made, error), error)
        self.handle: CData = ffi.gc(made[0], lib.flv_logs_free)
        self._descriptor: int = lib.flv_logs_fd(self.handle)
        self._entries: CData = ffi.new("flv_log_t[]", _CHUNK)
        self._memory = memoryview(ffi.buffer(self._entries))
        self._count: CData = ffi.new("size_t *")
        self._loggers: dict[str, logging.Logger] = {}
        # The same by where the library keeps their targets' names.
        self._known: dict[int, logging.Logger] = {}
        self._wanted: dict[str, int] = {}
        # How many entries were said to be dropped, and when that was.
        self._told_dropped = 0
        self._told = 0.0
        # Whether entries are being handed on, and who waits for that to end.
        self._busy = False
        self._waiters: list[threading.Event] = []
        # Set while entries are not to come together.
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs of fluvio_cffi", daemon=True)

    def start(self) -> None:
        """Begins to listen, as the loggers' levels want it."""
        if logging.getLevelName(TRACE) == f"Level {TRACE}":
            logging.addLevelName(TRACE, "TRACE")
        above = logging.getLogger(ROOT)
        if not above.handlers:
            # As of a library: to where a program wants lines, and not to standard error where it wants none.
            above.addHandler(logging.NullHandler())
        told = [self._logger(target) for target in TARGETS]
        self._interval = None if all(told) else _LOOK_AGAIN
        self.look()
        self._thread.start()

    def stop(self) -> int:
        """Ends the thread, once it has handed on what there is; a handler that blocks is not waited for long. How many
        entries were dropped."""
        lib.flv_logs_close(self.handle)
        self._hurry.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(_LAST_TURN)
        dropped = self.dropped
        if not self._thread.is_alive():
            ffi.release(self.handle)
        return dropped

    @property
    def dropped(self) -> int:
        """How many entries were dropped."""
        return int(lib.flv_logs_dropped(self.handle))

    def flush(self, timeout: float) -> bool:
        """Waits until what was said was handed on."""
        if threading.current_thread() is self._thread:
            return False
        deadline = monotonic() + timeout
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        done = threading.Event()
        self._waiters.append(done)
        self._hurry.set()
        try:
            # It is busy before it takes what makes the descriptor readable.
            while True:
                if not (poll.poll(0) or self._busy):
                    return True
                if not done.wait(max(deadline - monotonic(), 0.0)):
                    return False
                done.clear()
        finally:
            self._waiters.remove(done)
            if not self._waiters:
                self._hurry.clear()

    # -- levels

    def _logger(self, target: str) -> bool:
        """The logger of a target is known from now on; whether changes of its level are told."""
        logger = self._loggers[target] = logging.getLogger(f"{ROOT}.{target}")
        return _have_told(logger)

    def look(self) -> None:
        """The library is to say what the loggers want to hear."""
        for target, logger in list(self._loggers.items()):
            wanted = _wanted(logger)
            if self._wanted.get(target) != wanted:
                self._wanted[target] = wanted
                name = Slice(target)
                lib.flv_logs_set_level(self.handle, name.value, wanted, ffi.NULL)

    # -- in the thread

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while True:
            poll.poll(_LOOK_AGAIN if self.dropped > self._told_dropped else self._interval)
            begun = thread_time()
            self._busy = True
            status = self._take()
            self._busy = False
            for waiter in list(self._waiters):
                waiter.set()
            if status not in (_OK, _EMPTY):
                return
            if self._interval is not None:
                self.look()
            self._hurry.wait(max(_TOGETHER, _REST * (thread_time() - begun)))

    def _take(self) -> int:
        """Hands on what there is, though not more than waits at a time: what the library said last."""
        status = _OK
        for _ in range(_TURN // _CHUNK):
            status = lib.flv_logs_take(self.handle, self._entries, _CHUNK, self._count)
            if status == _OK:
                self._hand_on(_LAYOUT.iter_unpack(self._memory[: self._count[0] * _LAYOUT.size]))
            self._tell_dropped(is_last=status not in (_OK, _EMPTY))
            if status != _OK:
                break
        return status

    def _hand_on(self, entries: Iterable[tuple[Any, ...]]) -> None:
        told: list[tuple[logging.Logger, int, str, int]] = []
        documents: list[bytes] = []
        for time_ns, _, level, _, target, target_len, message, message_len, fields, fields_len in entries:
            logger = self._known.get(target) or self._find(target, _text(target, target_len))
            levelno = _LEVELS.get(level, logging.INFO)
            try:
                # A logger may be of a class of the program's own.
                is_wanted = logger.isEnabledFor(levelno)
            except BaseException:
                self._tell_failure()
                continue
            if is_wanted:
                told.append((logger, levelno, _text(message, message_len), time_ns))
                documents.append(_bytes(fields, fields_len))
        # All at once: a line alone would cost several times as much.
        records = Records()
        for (logger, levelno, words, time_ns), fields in zip(
            told, json.loads(b"[%b]" % b",".join(documents)), strict=True
        ):
            try:
                record = records.make(logger, levelno, words, time_ns)
                record.__dict__.update(fields)
                logger.handle(record)
            except BaseException:
                self._tell_failure()

    def _find(self, place: int, target: str) -> logging.Logger:
        """The logger of a target, whose name stands at `place` for ever."""
        if target not in self._loggers:
            # Of a newer library.
            self._logger(target)
        logger = self._known[place] = self._loggers[target]
        return logger

    def _tell_dropped(self, is_last: bool) -> None:
        """Says how many entries were dropped, not more than once in a while."""
        dropped, now = self.dropped, monotonic()
        missing = dropped - self._told_dropped
        if not missing or (now - self._told < _GAPS_EVERY and not is_last):
            return
        self._told_dropped, self._told = dropped, now
        try:
            words = "%d line(s) of the library were dropped: handlers take longer than what is logged comes"
            logging.getLogger(ROOT).warning(words, missing)
        except BaseException:
            self._tell_failure()

    def _tell_failure(self) -> None:
        """A handler has raised: said as for any thread, which goes on here."""
        threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), self._thread)))


def _bytes(data: int, length: int) -> bytes:
    text: bytes = ffi.unpack(ffi.cast(_TEXT, data), length)
    return text


def _text(data: int, length: int) -> str:
    return _bytes(data, length).decode("utf-8", "replace")


class Records:
    """Makes records of lines that are handed on together.

    What a record says of process and thread is the same for all of them, and costs most of making one. So of each
    logger and level the first is made as the logger makes one, and the others are copies of it; unless the program has
    a factory or a class of loggers of its own.
    """

    __slots__ = ("_copies", "_first")

    def __init__(self) -> None:
        self._copies: bool = logging.getLogRecordFactory() is logging.LogRecord
        self._first: dict[tuple[logging.Logger, int], dict[str, Any]] = {}

    def make(self, logger: logging.Logger, level: int, message: str, time_ns: int) -> logging.LogRecord:
        """A record with the time at which it happened."""
        first = self._first.get((logger, level))
        if first is None:
            record = logger.makeRecord(logger.name, level, "(native)", 0, message, (), None)
            if self._copies and type(logger).makeRecord is logging.Logger.makeRecord:
                self._first[logger, level] = vars(record).copy()
        else:
            record = _new_record(logging.LogRecord)
            vars(record).update(first)
            record.msg = message
        created = time_ns / 1e9
        record.relativeCreated += (created - record.created) * 1000
        record.created, record.msecs = created, float(time_ns // 1_000_000 % 1000)
        return record


def _wanted(logger: logging.Logger) -> int:
    """What the library is to say to a logger, by its own numbers."""
    least = max(logger.getEffectiveLevel(), logger.manager.disable + 1)
    return max((native for native, level in _LEVELS.items() if level >= least), default=int(lib.FLV_LOG_OFF))


class _Told(dict[int, bool]):
    """Of a logger what `logging` clears, of all loggers, when a level has changed: of any logger, or by
    ``logging.disable``."""

    def clear(self) -> None:
        super().clear()
        reader = logs.reader
        if reader is not None:
            reader.look()


def _have_told(logger: logging.Logger) -> bool:
    """Has changes of a logger's level told at once from now on; whether that is possible: it is not documented."""
    cache: object = getattr(logger, "_cache", None)
    if type(cache) is dict and hasattr(logger.manager, "_clear_cache"):
        cache = vars(logger)["_cache"] = _Told()
    return isinstance(cache, _Told)


logs: Final = Logs()
last_words.append(logs.end)
