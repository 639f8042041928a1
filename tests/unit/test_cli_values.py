"""How the command line reads spans and sizes, and writes tables, YAML and dumps."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from fluvio_cffi._cli.formats import hex_dump
from fluvio_cffi._cli.output import ago, instant, narrow, size, span
from fluvio_cffi._cli.output import yaml as write_yaml
from fluvio_cffi._cli.parameters import bytes_of, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("500ms", 0.5), ("30s", 30), ("90", 90), ("2d 10s", 172_810), ("7 days", 604_800), ("1h30m", 5400)),
        *(("1 week", 604_800), ("1.5h", 5400), ("20 SECS", 20), ("0", 0)),
        *(("", None), (" ", None), ("soon", None), ("10 parsecs", None), ("-1s", None), ("1s,", None), ("m", None)),
    ],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *(("2048", 2048), ("2 Ki", 2048), ("10 MiB", 10 << 20), ("1 GB", 10**9), ("1k", 1024), ("16kib", 16 << 10)),
        *(("0.5 KiB", 512), ("7B", 7), ("1TiB", 1 << 40)),
        *(("", None), ("many", None), ("-1", None), ("1 2", None), ("1 KiBs", None)),
    ],
)
def test_sizes(text: str, count: int | None) -> None:
    assert bytes_of(text) == count


def test_values_are_written_for_people() -> None:
    assert [size(count) for count in (None, 0, 1023, 1024, 5 << 30, 3 << 40)] == [
        *(None, "0 B", "1023 B", "1.0 KiB", "5.0 GiB", "3.0 TiB")
    ]
    assert [span(seconds) for seconds in (None, 0, 59.6, 3601, 604_800, 90_061)] == [
        *(None, "0s", "1m", "1h 1s", "7d", "1d 1h")
    ]
    assert (instant(None), instant(1_700_000_000_123)) == (None, "2023-11-14T22:13:20.123Z")
    assert ago(None) is None
    assert ago(1 << 50) == "0s"


def test_columns_give_way_to_each_other() -> None:
    widths = [40, 10, 30]
    narrow(widths, [4, 10, 4], 60)
    assert sum(widths) + 4 == 60
    assert widths[1] == 10
    widths = [40, 40]
    narrow(widths, [20, 20], 10)
    assert widths == [20, 20]


DOCUMENTS: list[Any] = [
    {},
    [],
    None,
    -1,
    1.5,
    True,
    {"a": {"b": [], "c": {}}, "d": [1, [2, 3], {"e": "f", "g": [None]}]},
    {
        "texts": [
            "",
            "yes",
            "null",
            "~",
            "1",
            "1e3",
            "a: b",
            "- a",
            "#",
            "two\nlines",
            "é",
            "\x1b",
            " blank ",
            "2026-01-01",
        ]
    },
    {"No": "on", "1": "2", "a b": "c", "@": "%", "nan": ".inf", "=": "<<", "0x10": "0o7", "12:30": "1_000"},
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=json.dumps)
def test_yaml_means_the_same(document: Any) -> None:
    assert yaml.safe_load(write_yaml(document)) == document


def test_dump() -> None:
    assert hex_dump(b"") == b"-" * 79
    assert hex_dump(b"\xff a").splitlines()[0] == b"00000000  ff 20 61                                          |. a|"
    assert {len(line) for line in hex_dump(bytes(range(64))).splitlines()[:4]} == {78}
