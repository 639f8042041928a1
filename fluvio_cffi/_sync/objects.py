# Made by tools/async_to_sync.py from fluvio_cffi/_async/objects.py: change that, and run it.
"""What the kinds of objects that are administered have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from fluvio_cffi._admin.document import from_document
from fluvio_cffi._exports import loading
from fluvio_cffi._native.calls import Slice, copy_buffer
from fluvio_cffi._native.loader import lib
from fluvio_cffi._values.checks import flag, text
from fluvio_cffi._values.quantities import Timeout, parse_timeout

from .session import Session

if TYPE_CHECKING:
    from .watch import Watch

ItemT = TypeVar("ItemT")
T = TypeVar("T")


class Calls:
    """Administrative calls of a client."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._session!r}>"

    def _call(
        self, method: str, document: Mapping[str, object], timeout: Timeout, binary: bytes = b""
    ) -> tuple[Any, bytes]:
        """The answer's document, and the bytes that come behind it."""
        session = self._session
        backend = session.backend
        backend.check()
        session.check_open()
        name = Slice(method)
        body = Slice(json.dumps(document))
        beside = Slice(binary)
        operation = backend.completions.start(
            lib.flv_admin_call,
            session.handle,
            name.value,
            body.value,
            beside.value,
            timeout=parse_timeout(timeout, session.admin_timeout),
            phase="admin",
            waiter=backend.waiter(),
        )
        backend.finish(operation)
        answer = copy_buffer(operation.take("flv_buffer_t *", lib.flv_buffer_free))
        return json.loads(answer[: operation.value]), answer[operation.value :]

    def _watch(self, kind: str, item: type[T]) -> Watch[T]:
        with loading("a watch"):
            from .watch import Watch

        return Watch(self._session, kind, item)


class Objects(Calls, Generic[ItemT]):
    """A kind of objects.

    Every call takes a `timeout` in seconds; left out: the client's ``admin_timeout``; ``None``: no limit. It raises
    :class:`FluvioTimeoutError` with ``phase="admin"`` when the time is over, and :class:`ServerError` for what the
    cluster refuses. What it does while the cluster is away: see :class:`Admin`.
    """

    __slots__ = ()

    _kind: ClassVar[str]
    _item: ClassVar[type[Any]]

    def _list(self, document: Mapping[str, object], timeout: Timeout) -> list[ItemT]:
        answer, beside = self._call(f"{self._kind}.list", document, timeout)
        return [self._read(item, beside) for item in answer]

    def _one(self, verb: str, document: Mapping[str, object], timeout: Timeout, binary: bytes = b"") -> ItemT:
        answer, beside = self._call(f"{self._kind}.{verb}", document, timeout, binary)
        return self._read(answer, beside)

    def _read(self, document: Mapping[str, Any], beside: bytes) -> ItemT:
        """The object that an answer describes."""
        item: ItemT = from_document(self._item, document)
        return item

    def _delete(self, document: Mapping[str, object], missing_ok: bool, timeout: Timeout) -> None:
        self._call(f"{self._kind}.delete", {**document, "missing_ok": flag(missing_ok, "missing_ok")}, timeout)


class Watched(Objects[ItemT]):
    """Objects that can be watched."""

    __slots__ = ()

    def watch(self) -> Watch[ItemT]:
        """Watch them: first a snapshot of all, then what changes. See :class:`Watch`."""
        return self._watch(self._kind, self._item)


def part(name_contains: str | None) -> str | None:
    """The argument of a list, checked."""
    return None if name_contains is None else text(name_contains, "name_contains", empty=True)
