"""What ``flv top`` draws: tables, and beside them how the numbers went."""

from __future__ import annotations

import io

from rich.console import Console

from fluvio_cffi import ClusterStatus, FluvioTimeoutError
from fluvio_cffi._cli.history import History, sparkline
from fluvio_cffi._cli.samples import Sample, failed, new_errors
from fluvio_cffi._cli.screen import Screen


def test_bars() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([5], 4) == "   █"
    assert sparkline([None, 0, 1000, 1], 4) == " ▁█▂"
    assert sparkline([1, 2, 3], 2) == "▆█"
    assert sparkline([], 3) == "   "
    assert sparkline([1], 0) == ""
    assert sparkline([0, 0], 2) == "▁▁"


def test_history_of_rows_that_come_and_go() -> None:
    history = History()
    history.add({"a": 1.0})
    history.add({"a": 2.0, "b": 5.0})
    history.add({"b": 6.0})
    assert [*history.of("a")] == [1.0, 2.0, None]
    assert [*history.of("b")] == [None, 5.0, 6.0]
    for number in range(200):
        history.add({"b": float(number)})
    assert [*history.of("a")] == []
    assert len([*history.of("b")]) == 120


STATUS = ClusterStatus("127.0.0.1:9003", "0.18.1", (), 0, 2, 3, 4096, (), ())


def at(seconds: float, written: int, behind: int, **errors: int) -> Sample:
    return Sample(
        STATUS,
        at=seconds,
        ends={"orders": written, "quiet": 7},
        sizes={"orders": 2048, "quiet": 0},
        offsets={("billing", "orders"): written - behind},
        lags={("billing", "orders"): behind},
        group_offsets={("shipping", "orders"): 0},
        group_lags={("shipping", "orders"): None},
        errors=errors,
    )


def shown(
    screen: Screen, console: Console, before: Sample, now: Sample, trouble: FluvioTimeoutError | None = None
) -> list[str]:
    with console.capture() as capture:
        console.print(screen.drawn(before, now, trouble))
    return [line.rstrip() for line in capture.get().splitlines()]


def console(width: int, height: int = 40) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, color_system=None)


def test_the_screen() -> None:
    wide = console(90)
    screen = Screen(wide)
    shown(screen, wide, at(0, 0, 0), at(1, 100, 5))
    lines = shown(screen, wide, at(1, 100, 5), at(2, 300, 20, StorageError=2))
    assert lines == [
        "127.0.0.1:9003, version 0.18.1, 0 of 0 SPUs online",
        "2 topics, 3 partitions (0 offline, 0 under-replicated), 4.0 KiB",
        "",
        "TOPIC              RECORDS           SIZE         PRODUCED/s                      PRODUCED",
        "orders                 300        2.0 KiB                200                            ▅█",
        "quiet                    7            0 B                  0                            ▁▁",
        "",
        "CONSUMER         TOPIC             LAG          CONSUMED/s                      LAG SO FAR",
        "billing          orders             20                 185                              ▃█",
        "",
        "GROUP            TOPIC             LAG          CONSUMED/s                      LAG SO FAR",
        "shipping         orders              -                   0",
        "",
        "ERROR                                    COUNT                                         MET",
        "StorageError                                 2                                           █",
    ]


def test_a_narrow_screen_has_no_bars() -> None:
    narrow = console(60)
    lines = shown(Screen(narrow), narrow, at(0, 0, 0), at(1, 100, 5))
    assert not any("█" in line for line in lines)
    assert any(line.startswith("orders") for line in lines)


def test_a_low_screen_has_something_of_each_table() -> None:
    low = console(90, height=12)
    lines = shown(Screen(low), low, at(0, 0, 0), at(1, 100, 5, StorageError=1))
    assert [line.split()[0] for line in lines if line][2::2] == ["TOPIC", "CONSUMER", "GROUP", "ERROR"]


def test_a_cluster_that_is_away() -> None:
    wide = console(90)
    before = at(1, 100, 5)
    after = failed(before, FluvioTimeoutError("nothing\ncame", phase="admin"))
    assert new_errors(before, after) == {"FluvioTimeoutError": 1}
    lines = shown(Screen(wide), wide, before, after, trouble=FluvioTimeoutError("nothing\ncame", phase="admin"))
    assert lines[2].startswith("no answer for 0 s: nothing came")
    assert any(line.startswith("FluvioTimeoutError") for line in lines)
    assert any(line.startswith("orders") for line in lines)
