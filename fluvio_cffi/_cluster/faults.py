"""What can be made to go wrong in an embedded cluster."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Literal

from fluvio_cffi._errors import ConfigError, UsageError
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import choice, number, text, wrong_type, wrong_value

_KINDS: Final = ("produce", "fetch", "stream", "offsets")
_FIRST_SPU: Final = 5001
_LONGEST: Final = 3600.0
_OFFSETS: Final = 2**63 - 1
_COUNTS: Final = 2**32 - 1


class Fault:
    """Something that goes wrong in an embedded cluster, from the call that made it until it is undone: at the end of
    its block, or by ``undo``."""

    def __init__(self, what: str, in_force: Callable[[Fault], bool], undo: Callable[[Fault], None]) -> None:
        self._what = what
        self._in_force = in_force
        self._undo = undo

    def undo(self) -> None:
        """Ends it; of two faults of one kind the other one is in force then. Does nothing a second time, or once the
        cluster was stopped or killed, which ends all faults."""
        self._undo(self)

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()

    def __repr__(self) -> str:
        return f"<Fault {self._what!r}{'' if self._in_force(self) else ', undone'}>"


class ActiveFaults(dict[Fault, tuple[str, str]]):
    """The lasting faults of a cluster, in the order in which they began: how each of them began, and how it ends. All
    its :class:`Faults` share them."""

    def __init__(self) -> None:
        super().__init__()
        # Held from the choice of a command until what it did is noted, so that the last command is of what is left.
        self.changing: threading.Lock = threading.Lock()


class Faults:
    """What can be made to go wrong in an embedded cluster: ``cluster.faults``.

    >>> with cluster.faults.delay(5001, 0.2):
    ...     producer.send(b"slow")

    What lasts returns a :class:`Fault`: it begins with the call and ends with the block, or with ``undo``. It outlasts
    ``kill_spu`` and ``start_spu``. All else happens once, and is done when the call returns. Each call takes about a
    millisecond, may come from any thread, and may be used as it is in ``async`` code.

    ``spu`` is the number of a server: 5001, 5002 and so on. Raised are ``ConfigError`` for an argument that is not
    allowed, and ``UsageError`` where the cluster is not running or cannot do it now.
    """

    def __init__(
        self,
        control: Callable[[str], None],
        running: Callable[[], bool],
        spus: int,
        active: ActiveFaults,
    ) -> None:
        self._control = control
        self._running = running
        self._spus = spus
        self._active = active

    def __repr__(self) -> str:
        return f"<Faults {[begin for fault, (begin, _) in list(self._active.items()) if self._in_force(fault)]}>"

    # -- what lasts

    def delay(self, spu: int, seconds: float) -> Fault:
        """Each reply of the SPU comes so much later. A connection's requests are served one after another, so that what
        waits adds up."""
        return self._late("delay", spu, seconds)

    def drop_after(self, spu: int, nbytes: int, connections: int = 1) -> Fault:
        """The next ``connections`` to the SPU end after ``nbytes`` of replies, in the middle of one."""
        number(nbytes, "nbytes", 0, _OFFSETS)
        number(connections, "connections", 1, _COUNTS)
        return self._lasting(f"drop-after {self._spu(spu)} {nbytes} {connections}", f"drop-after {spu} 0 0")

    def refuse(self, spu: int) -> Fault:
        """New connections to the SPU are accepted and reset at once; those that there are go on."""
        return self._switch(f"refuse {self._spu(spu)}")

    def stall(self, spu: int) -> Fault:
        """The SPU accepts and reads, but does nothing and answers nothing. What it has read it does when this ends,
        unless the client has gone."""
        return self._switch(f"stall {self._spu(spu)}")

    def disk_full(self, spu: int) -> Fault:
        """The SPU can write nothing. A partition that met this refuses records until the SPU is started again, also
        once there is room: as on the real one."""
        return self._switch(f"disk-full {self._spu(spu)}")

    def delay_reports(self, spu: int, seconds: float) -> Fault:
        """The SPU tells the SC so much later that a partition is there, or was written to; a real one takes up to
        0.4 s. Until then a new partition is offline by the SC's word, although its leader serves it."""
        return self._late("report-delay", spu, seconds)

    def lose_reports(self, spu: int) -> Fault:
        """The SC drops a whole report in which there is a partition that was deleted meanwhile, as the real one does:
        others in it that are new stay offline by its word until they are written to, although their leader serves them.
        Reports come 0.4 s late then, unless ``delay_reports`` says otherwise."""
        return self._switch(f"lose-reports {self._spu(spu)}")

    def delay_partitions(self, spu: int, seconds: float) -> Fault:
        """The SPU hears so much later that a partition was created or deleted: until then it serves none, or the old
        one. A real one takes some milliseconds."""
        return self._late("partition-delay", spu, seconds)

    def stall_controller(self) -> Fault:
        """The SC accepts and reads, but answers nothing; watches are silent."""
        return self._switch("sc stall")

    def kill_controller(self) -> Fault:
        """The SC ends as ``kill -9`` lets it: its connections are reset and new ones refused. The SPUs go on."""
        return self._lasting("sc kill", "sc start")

    # -- what happens once

    def fail_next(self, spu: int, request: Literal["produce", "fetch", "stream", "offsets"], code: int) -> None:
        """The SPU answers the next request of that kind with an error. Nothing is written then, except with code 7,
        which says that the records are written and not replicated in time. Several wait in line.

        :param request: ``"produce"``; ``"fetch"``: a single read; ``"stream"``: the reading of a consumer;
            ``"offsets"``: the question where a partition begins and ends.
        :param code: the number of an error of the protocol, such as 3000; the documentation's page on errors lists
            them.
        """
        choice(request, "request", _KINDS)
        number(code, "code", -(2**15), 2**15 - 1)
        line = f"fail-next {self._spu(spu)} {request} {code}"
        try:
            self._control(line)
        except UsageError as error:
            if not self._running():
                raise
            raise wrong_value("code", code, "the number of an error of the protocol, such as 3000") from error

    def move(self, topic: str, partition: int, spu: int) -> None:
        """Another SPU leads the partition from now on, with all its records. Both may be down."""
        self._control(f"move {self._partition(topic, partition)} {self._spu(spu)}")

    def evict(self, topic: str, partition: int, offset: int) -> None:
        """The partition begins at that offset from now on, as if retention had removed what lies before it."""
        number(offset, "offset", 0, _OFFSETS)
        self._control(f"evict {self._partition(topic, partition)} {offset}")

    def reset_sockets(self, spu: int) -> None:
        """The connections that the SPU has now are reset; new ones are welcome."""
        self._control(f"reset-sockets {self._spu(spu)}")

    def reset_controller(self) -> None:
        """The connections that the SC has now are reset; new ones are welcome."""
        self._control("sc reset")

    # -- how

    def _spu(self, spu: int) -> int:
        return number(spu, "spu", _FIRST_SPU, _FIRST_SPU + self._spus - 1)

    def _partition(self, topic: str, partition: int) -> str:
        if text(topic, "topic").split() != [topic]:
            raise ConfigError(f"topic is {topic!r}: it must be the name of one, without spaces")
        return f"{topic} {number(partition, 'partition', 0, _COUNTS)}"

    def _late(self, what: str, spu: int, seconds: float) -> Fault:
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
            raise wrong_type("seconds", "a number", seconds)
        if not (math.isfinite(seconds) and 0 < seconds <= _LONGEST):
            raise wrong_value("seconds", seconds, f"more than 0 and at most {_LONGEST:g}")
        return self._lasting(f"{what} {self._spu(spu)} {max(1, round(seconds * 1000))}", f"{what} {spu} 0")

    def _switch(self, what: str) -> Fault:
        return self._lasting(f"{what} on", f"{what} off")

    def _lasting(self, begin: str, end: str) -> Fault:
        fault = Fault(begin, self._in_force, self._undo)
        with self._active.changing:
            self._control(begin)
            self._active[fault] = begin, end
        return fault

    def _in_force(self, fault: Fault) -> bool:
        return self._running() and fault in self._active

    def _undo(self, fault: Fault) -> None:
        if not self._in_force(fault):
            return
        with self._active.changing:
            if not self._in_force(fault):
                return
            _, end = self._active[fault]
            # The last one that is left of its kind is in force again.
            left = [begin for other, (begin, its_end) in self._active.items() if its_end == end and other is not fault]
            self._control(left[-1] if left else end)
            self._active.pop(fault, None)


publish(__name__)
