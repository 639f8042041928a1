"""From the figures of the runs to a table and a JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from measures import Amounts, Measure

BASE = "official"


@dataclass(frozen=True)
class Row:
    """The runs of one contestant in one measure, and how they compare with the official client's."""

    contestant: str
    figures: list[float]
    cpu_us: float | None
    ratio: float

    @property
    def median(self) -> float:
        return median(self.figures)


def rows(measure: Measure, amounts: Amounts, runs: dict[str, list[dict[str, float]]]) -> list[Row]:
    figures = {name: [measure.figure(result, amounts) for result in results] for name, results in runs.items()}
    base = median(figures[BASE])
    return [
        Row(name, figures[name], _cpu_us(results, amounts), median(figures[name]) / base)
        for name, results in runs.items()
    ]


def _cpu_us(results: list[dict[str, float]], amounts: Amounts) -> float | None:
    """Processor time of the contestant's process, all its threads, per record."""
    if "cpu_seconds" not in results[0]:
        return None
    return median(result["cpu_seconds"] for result in results) * 1e6 / amounts.records


def misses(measure: Measure, table: list[Row]) -> list[str]:
    """The aims that were not reached, in words."""
    found: list[str] = []
    for row in table:
        if measure.at_least is not None and not row.contestant.startswith(BASE) and row.ratio < measure.at_least:
            found.append(f"{measure.name}, {row.contestant}: {row.ratio:.2f}x, to be at least {measure.at_least:g}x")
        if measure.at_most is not None and row.contestant == "asyncio" and row.median > measure.at_most:
            found.append(f"{measure.name}, {row.contestant}: {row.median:.0f}, to be at most {measure.at_most:g}")
    return found


def lines(measure: Measure, table: list[Row]) -> list[str]:
    cpu = any(row.cpu_us is not None for row in table)
    head = f"  {'':<22}{measure.unit:>12}   {'least to most':<25}{'to official':>11}"
    text = [measure.title, head + (f"{'CPU a record':>15}" if cpu else "")]
    for row in table:
        spread = f"{min(row.figures):,.0f} to {max(row.figures):,.0f}"
        line = f"  {row.contestant:<22}{row.median:>12,.0f}   {spread:<25}{row.ratio:>10.2f}x"
        text.append(line + (f"{row.cpu_us:>12.2f} µs" if row.cpu_us is not None else ""))
    return text


def document(measure: Measure, table: list[Row], runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    return {
        "title": measure.title,
        "unit": measure.unit,
        "contestants": {
            row.contestant: {
                "median": row.median,
                "ratio": row.ratio,
                "figures": row.figures,
                "runs": runs[row.contestant],
            }
            for row in table
        },
        "missed": misses(measure, table),
    }
