"""From the figures of the runs to tables and a JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from contestants import OFFICIAL
from measures import Measure, Target

Runs = Mapping[str, Sequence[Mapping[str, float]]]


def middle(results: Sequence[Mapping[str, float]], name: str) -> float | None:
    """The median of a figure; None where there is none."""
    figures = [result[name] for result in results if name in result]
    return median(figures) if figures else None


@dataclass(frozen=True)
class Verdict:
    """What became of a target. `found` is the worst of those that it is for; None: it could not be measured."""

    target: Target
    who: str
    found: float | None

    @property
    def met(self) -> bool | None:
        return self._reaches(self.target.bound)

    @property
    def there(self) -> bool:
        """Whether it is where it is to go."""
        return self.target.goal is not None and self._reaches(self.target.goal) is True

    def _reaches(self, bound: float) -> bool | None:
        if self.found is None:
            return None
        return self.found >= bound if self.target.at_least else self.found <= bound

    def line(self) -> str:
        unit = "x" if self.target.against is not None else ""
        aim = f"{'at least' if self.target.at_least else 'at most'} {self.target.bound:g}{unit}"
        goal = "" if self.target.goal is None else f"goal {self.target.goal:g}{unit}"
        head = f"{self.target.text:<68}{aim:<16}{goal:<12}"
        if self.found is None:
            return f"  {'-':<8}{head}not measured"
        which = f" ({self.who})" if len(self.target.of) > 1 else ""
        verdict = "goal" if self.there else "met" if self.met else "MISSED"
        return f"  {verdict:<8}{head}{self.found:.2f}{unit}{which}"


def verdicts(measure: Measure, runs: Runs) -> list[Verdict]:
    return [_verdict(target, measure, runs) for target in measure.targets]


def _verdict(target: Target, measure: Measure, runs: Runs) -> Verdict:
    name = target.figure or measure.figure
    base = None if target.against is None else middle(runs.get(target.against, ()), name)
    found: dict[str, float] = {}
    for who in target.of:
        value = middle(runs.get(who, ()), name)
        if value is None or (target.against is not None and not base):
            continue
        if base:
            value /= base
        if target.above is not None:
            value -= middle(runs[who], target.above) or 0.0
        found[who] = value
    if not found:
        return Verdict(target, "", None)
    worst = min(found, key=found.__getitem__) if target.at_least else max(found, key=found.__getitem__)
    return Verdict(target, worst, found[worst])


def number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def lines(measure: Measure, runs: Runs) -> list[str]:
    base = middle(runs.get(OFFICIAL, ()), measure.figure)
    cpu = measure.is_rate
    head = f"  {'':<22}{measure.unit:>12}   {'least to most':<25}{'to official':>11}"
    head += (f"{'CPU a record':>15}" if cpu else "") + "".join(f"{title:>13}" for title in measure.beside)
    text = [measure.title, head]
    for who, results in runs.items():
        value = middle(results, measure.figure)
        if value is None:
            continue
        figures = [result[measure.figure] for result in results]
        spread = f"{number(min(figures))} to {number(max(figures))}"
        ratio = f"{value / base:.2f}x" if base else "-"
        line = f"  {who:<22}{number(value):>12}   {spread:<25}{ratio:>11}"
        if cpu:
            used = cpu_us(results)
            line += f"{f'{used:.2f} µs' if used is not None else '-':>15}"
        text.append(line + "".join(f"{number(middle(results, name)):>13}" for name in measure.beside.values()))
    return text


def cpu_us(results: Sequence[Mapping[str, float]]) -> float | None:
    """Processor time of the contestant's process, all its threads, per record."""
    used = [
        result["cpu_seconds"] / (result["rate"] * result["seconds"]) for result in results if "cpu_seconds" in result
    ]
    return median(used) * 1e6 if used else None


def document(measure: Measure, runs: Runs) -> dict[str, Any]:
    base = middle(runs.get(OFFICIAL, ()), measure.figure)
    contestants: dict[str, Any] = {}
    for who, results in runs.items():
        value = middle(results, measure.figure)
        if value is None:
            continue
        contestants[who] = {
            "median": value,
            "least": min(result[measure.figure] for result in results),
            "most": max(result[measure.figure] for result in results),
            "ratio": value / base if base else None,
            "runs": list(results),
        }
    return {
        "title": measure.title,
        "unit": measure.unit,
        "spec": dict(measure.spec),
        "contestants": contestants,
        "targets": [
            {
                "text": verdict.target.text,
                "bound": verdict.target.bound,
                "goal": verdict.target.goal,
                "at_least": verdict.target.at_least,
                "against": verdict.target.against,
                "found": verdict.found,
                "of": verdict.who,
                "met": verdict.met,
            }
            for verdict in verdicts(measure, runs)
        ],
    }
