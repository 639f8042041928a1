"""Writes the dashboard for Grafana, docs/grafana/fluvio.json. ``--check``: only whether it is as this says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parents[1] / "docs" / "grafana" / "fluvio.json"
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24

# Of each row: its title, and its panels: title, kind, width, unit, and of each line an expression and a legend.
ROWS: Final[list[tuple[str, list[tuple[str, str, int, str, list[tuple[str, str]]]]]]] = [
    (
        "Cluster",
        [
            ("Cluster answers", "stat", 4, "bool_yes_no", [("min(fluvio_up)", "")]),
            ("SPUs away", "stat", 4, "short", [("sum(fluvio_spus) - sum(fluvio_spu_online)", "")]),
            ("Partitions offline", "stat", 4, "short", [("sum(fluvio_partitions_offline)", "")]),
            ("Partitions under-replicated", "stat", 4, "short", [("sum(fluvio_partitions_under_replicated)", "")]),
            ("Topics", "stat", 4, "short", [("sum(fluvio_topics)", "")]),
            ("Size", "stat", 4, "bytes", [("sum(fluvio_partition_size_bytes)", "")]),
            (
                "Produced, by topic",
                "timeseries",
                12,
                "rowsps",
                [('sum by (topic) (rate(fluvio_partition_log_end{topic=~"$topic"}[$__rate_interval]))', "{{topic}}")],
            ),
            (
                "Size, by topic",
                "timeseries",
                12,
                "bytes",
                [('sum by (topic) (fluvio_partition_size_bytes{topic=~"$topic"})', "{{topic}}")],
            ),
        ],
    ),
    (
        "Consumers and groups",
        [
            (
                "Lag, by consumer",
                "timeseries",
                12,
                "short",
                [
                    (
                        'sum by (consumer_id, topic) (fluvio_consumer_lag{topic=~"$topic"})',
                        "{{consumer_id}} in {{topic}}",
                    )
                ],
            ),
            (
                "Lag, by group",
                "timeseries",
                12,
                "short",
                [('sum by (group, topic) (fluvio_group_lag{topic=~"$topic"})', "{{group}} in {{topic}}")],
            ),
            (
                "Processed, by consumer and group",
                "timeseries",
                12,
                "rowsps",
                [
                    (
                        'sum by (consumer_id) (rate(fluvio_consumer_offset{topic=~"$topic"}[$__rate_interval]))',
                        "{{consumer_id}}",
                    ),
                    (
                        'sum by (group) (rate(fluvio_group_offset{topic=~"$topic"}[$__rate_interval]))',
                        "{{group}}",
                    ),
                ],
            ),
            (
                "Members of groups",
                "timeseries",
                12,
                "short",
                [('sum by (group) (fluvio_group_members{topic=~"$topic"})', "{{group}}")],
            ),
        ],
    ),
    (
        "Clients",
        [
            (
                "Produced by clients",
                "timeseries",
                12,
                "rowsps",
                [
                    (
                        "sum by (topic) "
                        '(rate(fluvio_client_records_produced_total{topic=~"$topic"}[$__rate_interval]))',
                        "{{topic}}",
                    )
                ],
            ),
            (
                "Consumed by clients",
                "timeseries",
                12,
                "rowsps",
                [
                    (
                        "sum by (topic) "
                        '(rate(fluvio_client_records_consumed_total{topic=~"$topic"}[$__rate_interval]))',
                        "{{topic}}",
                    )
                ],
            ),
            (
                "Errors that clients met",
                "timeseries",
                12,
                "short",
                [("sum by (error) (increase(fluvio_client_errors_total[$__rate_interval]))", "{{error}}")],
            ),
            (
                "Sent again, lost connections",
                "timeseries",
                12,
                "short",
                [
                    ("sum(increase(fluvio_client_retries_total[$__rate_interval]))", "batches sent again"),
                    ("sum(increase(fluvio_client_duplicates_possible_total[$__rate_interval]))", "possible duplicates"),
                    ("sum(increase(fluvio_client_reconnects_total[$__rate_interval]))", "connections made anew"),
                ],
            ),
            (
                "Waiting in producers",
                "timeseries",
                12,
                "bytes",
                [("sum by (instance) (fluvio_client_bytes_buffered)", "{{instance}}")],
            ),
            (
                "Groups: rebalances, refused commits",
                "timeseries",
                12,
                "short",
                [
                    ("sum(increase(fluvio_client_rebalances_total[$__rate_interval]))", "rebalances"),
                    ("sum(increase(fluvio_client_commits_fenced_total[$__rate_interval]))", "refused commits"),
                ],
            ),
        ],
    ),
    (
        "Exporter",
        [
            (
                "Time that the cluster takes to answer",
                "timeseries",
                12,
                "s",
                [("fluvio_exporter_scrape_seconds", "{{instance}}")],
            ),
            (
                "Scrapes that have failed",
                "timeseries",
                12,
                "short",
                [("sum by (error) (increase(fluvio_exporter_errors_total[$__rate_interval]))", "{{error}}")],
            ),
        ],
    ),
]
# From which value on a number is bad news.
BAD_ABOVE_ZERO: Final = {"SPUs away", "Partitions offline", "Partitions under-replicated"}


def thresholds(title: str) -> dict[str, Any]:
    """Colours by value."""
    if title in BAD_ABOVE_ZERO:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
    elif title == "Cluster answers":
        steps = [{"color": "red", "value": None}, {"color": "green", "value": 1}]
    else:
        steps = [{"color": "blue", "value": None}]
    return {"mode": "absolute", "steps": steps}


def panel(number: int, title: str, kind: str, unit: str, lines: list[tuple[str, str]], place: dict[str, int]) -> Any:
    """One panel."""
    targets = [
        {"refId": chr(ord("A") + index), "datasource": SOURCE, "expr": expression, "legendFormat": legend or "__auto"}
        for index, (expression, legend) in enumerate(lines)
    ]
    found: dict[str, Any] = {
        "id": number,
        "title": title,
        "type": kind,
        "datasource": SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "thresholds": thresholds(title)}, "overrides": []},
    }
    if kind == "stat":
        found["options"] = {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
    else:
        found["options"] = {
            "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return found


def panels() -> list[Any]:
    """All panels, each row under its title."""
    made: list[Any] = []
    top = 0
    for title, row in ROWS:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        made.append({"id": len(made) + 1, "title": title, "type": "row", "collapsed": False, "gridPos": place})
        top += 1
        left = height = 0
        for name, kind, width, unit, lines in row:
            if left + width > WIDTH:
                left, top = 0, top + height
            height = 4 if kind == "stat" else 8
            place = {"x": left, "y": top, "w": width, "h": height}
            made.append(panel(len(made) + 1, name, kind, unit, lines, place))
            left += width
        top += height
    return made


def dashboard() -> dict[str, Any]:
    """The whole."""
    return {
        "title": "Fluvio",
        "uid": "fluvio-cffi",
        "description": "What `flv exporter` tells of a cluster, and `fluvio_cffi.prometheus` of clients.",
        "tags": ["fluvio"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                {
                    "name": "topic",
                    "label": "Topic",
                    "type": "query",
                    "datasource": SOURCE,
                    "query": {"query": "label_values(fluvio_partition_log_end, topic)", "refId": "topics"},
                    "refresh": 2,
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "current": {"text": "All", "value": "$__all"},
                },
            ]
        },
        "panels": panels(),
    }


def main(arguments: list[str]) -> int:
    wanted = json.dumps(dashboard(), indent=1) + "\n"
    if arguments == ["--check"]:
        if FILE.read_text() == wanted:
            return 0
        print(f"{FILE.name} is stale: run python tools/dashboard.py")
        return 1
    FILE.write_text(wanted)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
