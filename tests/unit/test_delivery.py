"""Tickets, the account of failures, and results."""

from __future__ import annotations

import pickle

import pytest

from fluvio_cffi import DeliveryUnknownError, RecordMetadata, SendResult
from fluvio_cffi._native.loader import ffi
from fluvio_cffi._native.tickets import Ticket
from fluvio_cffi._produce.delivery import EXAMPLES, Deliveries, Ledger, result_of


def failing(ledger: Ledger, count: int, claimed: int = 0) -> Ticket:
    ticket = Ticket()
    ticket.attach(ledger)
    ticket.claim(claimed)
    ticket.fail(DeliveryUnknownError("no answer", outcome="unknown"), count)
    return ticket


def test_what_nobody_looks_at_is_reported_once() -> None:
    ledger = Ledger("t", ffi.NULL)
    first = failing(ledger, 5, claimed=2)
    failing(ledger, 4, claimed=4)
    assert ledger.count == 3
    first.claim(1)
    error = ledger.report()
    assert error is not None
    assert error.count == 2
    assert len(error.errors) == 1
    assert error.outcome == "unknown"
    assert not error.retriable
    assert isinstance(error.__cause__, DeliveryUnknownError)
    assert ledger.report() is None
    # Looked at after it was reported: nothing to take back.
    first.claim(1)
    assert ledger.count == 0
    failing(ledger, 1)
    assert ledger.count == 1


def test_a_look_that_is_abandoned_counts_again() -> None:
    ledger = Ledger("t", ffi.NULL)
    ticket = Ticket()
    ticket.attach(ledger)
    ticket.claim(3)
    ticket.release(1)
    ticket.fail(DeliveryUnknownError("x"), 3)
    assert ledger.count == 1
    ticket.release(2)
    assert ledger.count == 3


def test_an_early_completion_is_accounted_for_when_it_is_bound() -> None:
    ticket = Ticket()
    ticket.fail(DeliveryUnknownError("x"), 2)
    ledger = Ledger("t", ffi.NULL)
    ticket.attach(ledger)
    assert (ledger.count, ledger.settled) == (2, 2)


def test_memory_is_bounded() -> None:
    ledger = Ledger("t", ffi.NULL)
    for _ in range(1000):
        failing(ledger, 10)
    assert len(ledger._examples) == EXAMPLES
    error = ledger.report()
    assert error is not None
    assert (error.count, len(error.errors)) == (10_000, EXAMPLES)


def test_a_result_is_a_sequence_of_metadata() -> None:
    ledger = Ledger("t", ffi.NULL)
    good = Ticket()
    good.attach(ledger)
    deliveries = Deliveries("t")
    result = result_of(deliveries)
    deliveries.add(good, 2, 3, 77)
    bad = Ticket()
    bad.attach(ledger)
    deliveries.add(bad, 0, 2, [5, 6])
    deliveries.add(good, 5, 1, [9])
    assert deliveries.open_tickets() == [good, bad]
    good.settle(100, 6, 1)
    bad.fail(DeliveryUnknownError("x"), 2)
    assert ledger.count == 0
    assert len(result) == 6
    assert result.count == 4
    assert result[0] == RecordMetadata("t", 1, 102, 77)
    assert result[-1] == RecordMetadata("t", 1, 105, 9)
    assert result[:2] == [RecordMetadata("t", 1, 102, 77), RecordMetadata("t", 1, 103, 77)]
    for index in (3, 4, -2):
        with pytest.raises(DeliveryUnknownError):
            result[index]
    for index in (6, -7):
        with pytest.raises(IndexError):
            result[index]
    assert sorted(result.errors) == [3, 4]
    assert deliveries.failures()[0] == 2
    assert RecordMetadata("t", 1, 103, 77) in result
    assert result.index(RecordMetadata("t", 1, 103, 77)) == 1
    twin = pickle.loads(pickle.dumps(result))
    assert twin == result
    assert "2 failed" in repr(result)
    # The caller is cancelled: nobody looks any more.
    deliveries.release()
    deliveries.release()
    assert ledger.count == 2
    assert list(SendResult("t")) == []
