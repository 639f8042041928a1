"""Functions that are called when a record is settled.

Any call may come in the middle of any other one: `_native.queue` says what "one step" means.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Generic, TypeVar

from fluvio_cffi._lifetime import logger
from fluvio_cffi._values.checks import wrong_type

ReceiptT = TypeVar("ReceiptT")


class DoneCallback(Generic[ReceiptT]):
    """A function that is to be called with a receipt, once. It waits for the receipt as a task does, and so is woken
    where the completion queue is drained, perhaps more than once; the call is put off until the drain is over."""

    __slots__ = ("_forget", "_function", "_later", "_receipt")

    def __init__(
        self,
        receipt: ReceiptT,
        function: Callable[[ReceiptT], object],
        later: Callable[[Callable[[], None]], None],
        forget: Callable[[DoneCallback[ReceiptT]], None],
    ) -> None:
        """
        :param later: has a function called soon, where callbacks are.
        :param forget: is told when the function has been called.
        """
        if not callable(function) or inspect.iscoroutinefunction(function):
            raise wrong_type("fn", "a plain function that takes the receipt", function)
        self._receipt = receipt
        self._function: Callable[[ReceiptT], object] | None = function
        self._later = later
        self._forget = forget

    def wake(self) -> None:
        """The record is settled."""
        if self._function is not None:
            self._later(self.run)

    def run(self) -> None:
        """Calls the function, unless that was done before."""
        function = self._function
        # One step.
        if self._function is not None:
            self._function = None
        else:
            return
        assert function is not None
        try:
            function(self._receipt)
        except Exception:
            logger.exception("a callback of %r has failed", self._receipt)
        finally:
            self._forget(self)
