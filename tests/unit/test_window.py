"""What a tracker has taken, and how far each partition is processed, compared with a plain model."""

from __future__ import annotations

import threading
from typing import Any, SupportsIndex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fluvio_cffi import Record
from fluvio_cffi._consume.columns import SharedOffset
from fluvio_cffi._consume.window import Window


def record(partition: int, offset: int) -> Record:
    return Record("t", partition, offset, None, None, b"")


def taken(window: Window, records: list[Record]) -> None:
    window.add(records)
    window.reserved = []
    window.undone += len(records)


def holds(window: Window, partition: int, offset: int) -> bool:
    entry = window.entry(partition, offset)
    return entry is not None and not entry.done


@given(st.data())
def test_nothing_unfinished_is_passed(data: st.DataObject) -> None:
    """After any order of taking and finishing, what is processed is all before the first that is not done."""
    window = Window()
    logs: dict[int, list[int]] = {0: [], 1: []}
    done: dict[int, set[int]] = {0: set(), 1: set()}
    for _ in range(data.draw(st.integers(0, 30))):
        unfinished = [(p, offset) for p, log in logs.items() for offset in log if offset not in done[p]]
        if bool(unfinished) and data.draw(st.booleans()):
            partition, offset = data.draw(st.sampled_from(unfinished))
            assert holds(window, partition, offset)
            before = window.processed({}).get(partition, -1)
            risen = window.done(partition, offset)
            done[partition].add(offset)
            assert not holds(window, partition, offset)
            assert risen == -1 or risen > before
            assert window.done(partition, offset) == -1, "again, nothing happens"
        else:
            partition = data.draw(st.integers(0, 1))
            # There are holes.
            last = logs[partition][-1] if logs[partition] else -1
            steps = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
            offsets = [last + sum(steps[: n + 1]) for n in range(len(steps))]
            records = [record(partition, offset) for offset in offsets]
            if data.draw(st.booleans()):
                window.add(records)
                window.take_back()
                assert not any(holds(window, partition, offset) for offset in offsets)
            taken(window, records)
            logs[partition] += offsets
        expected: dict[int, int] = {}
        for partition, log in logs.items():
            for offset in log:
                if offset not in done[partition]:
                    break
                expected[partition] = offset
        assert window.processed({}) == expected
        assert window.undone == sum(len(log) - len(done[partition]) for partition, log in logs.items())
        held = sum(len([offset for offset in log if offset > expected.get(p, -1)]) for p, log in logs.items())
        assert window.count == held


@given(st.permutations(range(6)))
def test_records_that_share_an_offset(order: list[int]) -> None:
    """Before all of them are done, and all smaller ones, nothing of their offset is stored."""
    offsets = [4, 4, 4, 5, 9, 8]
    next_places = [4, 4, 5, 8, 8, 10]
    window = Window()
    shared = [SharedOffset(offset, place) for offset, place in zip(offsets, next_places, strict=True)]
    taken(window, [record(0, offset) for offset in shared])
    left = list(offsets)
    for index in order:
        window.done(0, offsets[index])
        left.remove(offsets[index])
        assert all(offset > window.processed({}).get(0, -1) for offset in left)
    assert window.processed({}) == {0: 9}
    assert (window.count, window.undone) == (0, 0)


def test_of_records_that_share_an_offset_each_is_done_by_itself() -> None:
    """Also if one of them is said to be done twice, or is tried again when the other one is done."""
    window = Window()
    first, second = SharedOffset(4, 4), SharedOffset(4, 5)
    taken(window, [record(0, first), record(0, second)])
    window.done(0, first)
    window.done(0, first)
    assert (window.undone, window.processed({})) == (1, {0: 3})
    assert not window.give_back(0, first)
    assert window.give_back(0, second)
    # A copy, say from another process, is the one that is not done.
    assert window.done(0, 4) == 4
    assert (window.count, window.undone, window.returned) == (0, 0, 0)


def test_a_record_that_comes_once_more_is_done_once_more() -> None:
    """Numbers that are equal may be one object; it says nothing then."""
    window = Window()
    taken(window, [record(0, 5)])
    taken(window, [record(0, 5)])
    window.done(0, 5)
    window.done(0, 5)
    assert (window.count, window.undone, window.processed({})) == (0, 0, {0: 5})


def test_whoever_takes_back_may_be_interrupted_between_records_that_share_an_offset() -> None:
    class Interrupted(list[Any]):
        def pop(self, index: SupportsIndex = -1) -> Any:
            raise KeyboardInterrupt

    window = Window()
    first, second = SharedOffset(4, 4), SharedOffset(4, 5)
    taken(window, [record(0, first)])
    window.add([record(0, second)])
    window.reserved = Interrupted(window.reserved)
    with pytest.raises(KeyboardInterrupt):
        window.take_back()
    window.reserved = [*window.reserved]
    window.take_back()
    assert (window.count, window.undone) == (1, 1)
    assert window.done(0, first) == 3
    assert (window.count, window.undone) == (0, 0)


def test_more_that_was_done_meanwhile_is_not_taken_back() -> None:
    """What was dropped was looked at before it."""
    window = Window()
    taken(window, [record(0, offset) for offset in range(10)])
    for offset in range(10):
        window.done(0, offset)
    assert window.processed({0: 4}) == {0: 9}
    assert window.processed({0: 12}) == {0: 12}


def test_from_many_threads() -> None:
    window = Window()
    count = 20_000
    taken(window, [record(0, offset) for offset in range(count)])
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        for offset in range(number, count, 4):
            window.done(0, offset)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (window.count, window.undone, window.processed({})) == (0, 0, {0: count - 1})
