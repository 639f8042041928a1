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
# Text and background are such that it can be read on light and dark pages alike.
COLOURS = {"official": "#b8651b", "PyPI fluvio": "#8a5a9e", "plain loop": "#8c8c8c"}
OURS = "#2474b5"
PANELS = (
    ("produce-1", "Bulk produce, acknowledged (million records a second, more is better)", 1e6),
    ("batches-1", "Bulk consume by batches (million records a second, more is better)", 1e6),
    ("records-1", "Consume record by record (million records a second, more is better)", 1e6),
    ("tasks-1000", "1,000 tasks, each sending and awaiting (thousand records a second, more is better)", 1e3),
    ("latency", "Acknowledged send, one in flight (µs, median, less is better)", 1.0),
)


def draw(results: Mapping[str, Any]) -> str:
    """The picture of the JSON document of ``bench.py``, as SVG."""
    body: list[str] = []
    top = 26
    for name, title, unit in PANELS:
        measure = results["measures"].get(name)
        if measure is None or not measure["contestants"]:
            continue
        body.append(f'<text x="12" y="{top}" class="title">{escape(title)}</text>')
        top += 10
        most = max(one["most"] for one in measure["contestants"].values())
        for who, one in measure["contestants"].items():
            scale = (WIDTH - LEFT - 130) / most
            width = max(one["median"] * scale, 1)
            colour = next((colour for begin, colour in COLOURS.items() if who.startswith(begin)), OURS)
            label = f"{one['median'] / unit:.3g}"
            if one["ratio"] is not None and who != "official":
                label += f"  ({one['ratio']:.2g}x)"
            middle = top + BAR / 2
            body += [
                f'<text x="{LEFT - 8}" y="{middle + 4}" text-anchor="end">{escape(who)}</text>',
                f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2" fill="{colour}"/>',
                f'<line x1="{LEFT + one["least"] * scale:.1f}" x2="{LEFT + one["most"] * scale:.1f}" y1="{middle}" '
                f'y2="{middle}" class="spread"/>',
                f'<text x="{LEFT + max(one["median"], one["most"]) * scale + 8:.1f}" y="{middle + 4}">{label}</text>',
            ]
            top += BAR + GAP
        top += 26
    facts = results["surroundings"]
    notes = (
        f"{facts['time'][:10]}: fluvio_cffi {facts['fluvio_cffi']} on {facts['python']}; "
        f"{facts['official']}; {facts['peer']}",
        f"{facts['processors']} processors ({facts['processor']}), {facts['system']}, cluster: {facts['cluster']}",
        f"100-byte records, one partition; medians of {facts['rounds']} interleaved rounds, lines from least to most",
        "in brackets: as a multiple of the official client's",
    )
    for note in notes:
        body.append(f'<text x="12" y="{top}" class="note">{escape(note)}</text>')
        top += 15
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" viewBox="0 0 {WIDTH} {top}" '
        f'font-family="system-ui, sans-serif" font-size="12">\n'
        "<style>text { fill: #222 } .title { font-weight: 600; font-size: 13px } .note { font-size: 11px; fill: #555 } "
        ".spread { stroke: #222; stroke-width: 1.5 }</style>\n"
        f'<rect width="{WIDTH}" height="{top}" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    Path(sys.argv[2]).write_text(draw(json.loads(Path(sys.argv[1]).read_text())))
