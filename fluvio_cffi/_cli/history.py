"""How numbers went, as a line of bars."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from typing import Final

_BARS: Final = "▁▂▃▄▅▆▇█"
_KEPT: Final = 120


def sparkline(values: Iterable[float | None], width: int) -> str:
    """The last `width` values, the newest at the right: the highest bar is the greatest of them. Where nothing is
    known, nothing is drawn."""
    shown = [*values][-width:] if width > 0 else []
    most = max((value for value in shown if value is not None), default=0.0)
    return "".join(" " if value is None else _bar(value, most) for value in shown).rjust(max(width, 0))


def _bar(value: float, most: float) -> str:
    if value <= 0:
        return _BARS[0]
    # What is not nothing is seen to be more than that.
    return _BARS[max(round(value / most * (len(_BARS) - 1)), 1)]


class History:
    """The last values of a table's rows."""

    def __init__(self) -> None:
        self._rows: dict[Hashable, deque[float | None]] = {}
        self._length = 0

    def add(self, values: Mapping[Hashable, float | None]) -> None:
        """One more value of each row; rows that are not among them have none."""
        for row in values.keys() - self._rows.keys():
            self._rows[row] = deque([None] * min(self._length, _KEPT), maxlen=_KEPT)
        for row, kept in [*self._rows.items()]:
            kept.append(values.get(row))
            if all(value is None for value in kept):
                del self._rows[row]
        self._length += 1

    def of(self, row: Hashable) -> Iterable[float | None]:
        """The values of a row, the oldest first."""
        return self._rows.get(row, ())
