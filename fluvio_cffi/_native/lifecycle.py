"""The end of the program: what was accepted gets its chance when everything else has had its last word.

Nothing is closed, so that whatever runs later still works: hooks that were registered before the package was imported,
and finalizers. Other threads go on until the interpreter ends. Then what it has left open is closed, as its owner is
freed; what other interpreters of the process have open goes on.
"""

from __future__ import annotations

import atexit
import logging
import select
import warnings
import weakref
from collections.abc import Callable
from time import monotonic
from typing import Final

from fluvio_cffi._errors import FluvioError, ResourceError
from fluvio_cffi._native.calls import milliseconds
from fluvio_cffi._native.errors import raise_status
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.process import process
from fluvio_cffi._native.queue import CompletionQueue
from fluvio_cffi._values.quantities import Duration, ending, left, parse_duration

# Called again and again: hand over to the library what Python still holds, as far as there is room, and tell how many
# records it holds then.
hand_over: Final[list[Callable[[], int]]] = []
# Called when that is settled: threads take up what has completed, so that functions that wait for it are called.
take_up: Final[list[Callable[[], None]]] = []
# Called when what was accepted had its chance, while the handlers of logging are still open.
last_words: Final[list[Callable[[], None]]] = []
# Called when all is over.
at_end: Final[list[Callable[[], None]]] = []

# The owner, once somebody has connected. It is freed with this module, when the interpreter ends.
_owners: Final[list[CData]] = []
_timeout: float | None = 1.0
_waited = 0.0
_dropped = 0


def owner() -> CData:
    """The ``flv_owner_t *`` of this interpreter, whose end is that of its clients.

    :raises FluvioError: there is none, in a child of a process that had connected.
    """
    if not _owners:
        made, error = ffi.new("flv_owner_t **"), ffi.new("flv_error_t **")
        raise_status(lib.flv_owner_new(made, error), error)
        # Of several threads that come here, all take the one that is first. The others free nothing that anybody uses.
        _owners.append(ffi.gc(made[0], lib.flv_owner_free))
    return _owners[0]


def set_exit_timeout(seconds: Duration | None) -> None:
    """How long the end of the program may wait for records that are not settled, and for what consumers with automatic
    commits have processed: by default 1 s.

    It waits once everything that was registered with `atexit` after the package was imported has run, and
    ``logging.shutdown`` has closed all handlers; what these wait for by themselves is not counted. Records that are not
    settled then are dropped, which a ``RuntimeWarning`` says. Any thread.

    :param seconds: 0: do not wait; ``None``: no limit (Ctrl-C ends it).
    :raises ConfigError: it is no time.
    """
    global _timeout
    _timeout = None if seconds is None else parse_duration(seconds, "seconds")


class _Last:
    """Of a log handler what ``logging.shutdown`` needs. A real one would be in its list from the beginning."""

    def acquire(self) -> None:
        pass

    def flush(self) -> None:
        pass

    def close(self) -> None:
        _end()

    def release(self) -> None:
        pass


_last: Final = _Last()


def _at_exit() -> None:
    """Everything that was registered later has run. Not so ``logging.shutdown``, as logging is imported first: its
    handlers may be ours. It closes them in turn, the one that was made last first."""
    if not process.connected or process.orphaned:
        return _call(last_words + at_end)
    _drain()
    _call(last_words)
    handlers: list[weakref.ref[_Last]] | None = getattr(logging, "_handlerList", None)
    if handlers is None:
        return _end()
    handlers.insert(0, weakref.ref(_last))


def _end() -> None:
    dropped = _drain()
    _call(at_end)
    if dropped:
        warnings.warn(
            f"fluvio_cffi: {dropped} record(s) were dropped at exit: not acknowledged within {_timeout:g} s. Close or "
            f"flush the producer before the program ends, or see set_exit_timeout().",
            RuntimeWarning,
            stacklevel=1,
        )


def _call(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _drain() -> int:
    """Waits for what is not settled, but not longer in all than it may; how many records are left."""
    global _waited, _dropped
    begun = monotonic()
    deadline = ending(None if _timeout is None else max(_timeout - _waited, 0.0))
    try:
        completions = CompletionQueue()
        while True:
            held = sum(call() for call in hand_over)
            unsettled = _flush(completions, left(deadline))
            for each in take_up:
                each()
            if not held or unsettled or left(deadline) == 0:
                return held + unsettled
    except ResourceError:
        # There is no descriptor to wait on. What is left now is left for good.
        dropped = ffi.new("uint64_t *")
        lib.flv_owner_shutdown(owner(), milliseconds(left(deadline)), dropped)
        _dropped += int(dropped[0])
        return _dropped
    finally:
        _waited += monotonic() - begun


def _flush(completions: CompletionQueue, timeout: float | None) -> int:
    try:
        operation = completions.start(lib.flv_owner_flush, owner(), timeout=timeout, phase="flush")
    except FluvioError:
        # Nothing is open.
        return 0
    poll = select.poll()
    poll.register(completions.descriptor, select.POLLIN)
    while not operation.done:
        # Ctrl-C comes through here.
        poll.poll()
        completions.drain()
    return operation.value


atexit.register(_at_exit)
