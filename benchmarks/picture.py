"""Draws the main results of a run of the benchmarks. Usage: python picture.py RESULTS.json PICTURE.svg"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

WIDTH = 760
LEFT = 170
BAR = 15
GAP = 4
# By how names begin: the class of its bars, and what the key says of it. All others are ours.
KINDS = {"official": "official", "PyPI fluvio": "peer", "plain loop": "plain"}
KEY = (
    ("ours", "fluvio_cffi"),
    ("official", "official client, in Rust"),
    ("peer", "PyPI fluvio"),
    ("plain", "plain Rust loop: the ceiling"),
)
# It is read on light and on dark pages: each has colours of its own.
STYLE = """
text { fill: #1f2328 } .title { font-weight: 600; font-size: 13px } .note { font-size: 11px; fill: #59636e }
.page { fill: #fff } .spread { stroke: #1f2328; stroke-width: 1.5 }
.ours { fill: #2474b5 } .official { fill: #c46a1d } .peer { fill: #8a5a9e } .plain { fill: #8c959f }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .note { fill: #9198a1 } .page { fill: #0d1117 } .spread { stroke: #e6edf3 }
.ours { fill: #4a9be0 } .official { fill: #e08a3c } .peer { fill: #b58ac9 } .plain { fill: #6e7681 }
}
"""
PANELS = (
    ("produce-1", "Bulk produce, acknowledged (million records a second, more is better)", 1e6),
    ("batches-1", "Bulk consume by batches (million records a second, more is better)", 1e6),
    ("records-1", "Consume record by record (million records a second, more is better)", 1e6),
    ("tasks-1000", "1,000 tasks, each sending and awaiting (thousand records a second, more is better)", 1e3),
    ("latency", "Acknowledged send, one in flight (µs, median, less is better)", 1.0),
)


def draw(results: Mapping[str, Any]) -> str:
    """The picture of the JSON document of ``bench.py``, as SVG."""
    body = key(22)
    top = 52
    for name, title, unit in PANELS:
        measure = results["measures"].get(name)
        if measure is None or not measure["contestants"]:
            continue
        body.append(f'<text x="12" y="{top}" class="title">{escape(title)}</text>')
        top += 10
        most = max(one["most"] for one in measure["contestants"].values())
        for who, one in measure["contestants"].items():
            body += bar(top, who, one, unit, (WIDTH - LEFT - 130) / most)
            top += BAR + GAP
        top += 26
    for note in notes(results["surroundings"]):
        body.append(f'<text x="12" y="{top}" class="note">{escape(note)}</text>')
        top += 15
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" '
        f'role="img" font-family="system-ui, sans-serif" font-size="12">\n'
        f"<title>fluvio_cffi beside other clients</title>\n<style>{STYLE}</style>\n"
        f'<rect width="{WIDTH}" height="{top}" class="page"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def key(top: int) -> list[str]:
    """What the colours mean, in one line."""
    body: list[str] = []
    left = 12.0
    for kind, text in KEY:
        body += [
            f'<rect x="{left:.0f}" y="{top - 10}" width="11" height="11" rx="2" class="{kind}"/>',
            f'<text x="{left + 17:.0f}" y="{top}">{escape(text)}</text>',
        ]
        left += 17 + 6.6 * len(text) + 22
    return body


def bar(top: float, who: str, one: Mapping[str, Any], unit: float, scale: float) -> list[str]:
    """A contestant: its name, a bar to the median, a line from the least to the most, and the number."""
    kind = next((kind for begin, kind in KINDS.items() if who.startswith(begin)), "ours")
    label = f"{one['median'] / unit:.3g}"
    if one["ratio"] is not None and who != "official":
        label += f"  ({one['ratio']:.2g}x)"
    middle = top + BAR / 2
    width = max(one["median"] * scale, 1)
    ends = one["least"] * scale, max(one["most"], one["median"]) * scale
    return [
        f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(who)}</text>',
        f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" class="{kind}"/>',
        f'<line x1="{LEFT + ends[0]:.1f}" x2="{LEFT + ends[1]:.1f}" y1="{middle}" y2="{middle}" class="spread"/>',
        f'<text x="{LEFT + ends[1] + 8:.1f}" y="{middle + 4}">{label}</text>',
    ]


def notes(facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Where and how it was measured."""
    return (
        f"{facts['time'][:10]}: fluvio_cffi {facts['fluvio_cffi']} on {facts['python']}; "
        f"{facts['official']}; {facts['peer']}",
        f"{facts['processors']} processors ({facts['processor']}), {facts['system']}, cluster: {facts['cluster']}",
        f"{facts['size']}-byte records, one partition; medians of {facts['rounds']} interleaved rounds, "
        "lines from least to most",
        "in brackets: as a multiple of the official client's",
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
