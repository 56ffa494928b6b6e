"""Which fills are new: told apart for ever, in bounded memory."""

from __future__ import annotations

from mmtrio.core.fill_ledger import FillLedger, FillVerdict
from mmtrio.core.types import Cloid
from tests.support import builders
from tests.support.builders import START_MS, fill

LIVE = builders.cloid(1)
FORGOTTEN = builders.cloid(2)


def ledger(fills_kept: int = 4) -> FillLedger:
    return FillLedger(lambda cloid: cloid == LIVE, fills_kept)


def book_many(book: FillLedger, count: int, owner: Cloid | None = FORGOTTEN, *, from_ms: int = START_MS) -> None:
    for number in range(count):
        assert book.book(fill(tid=number, time_ms=from_ms + number), owner) is FillVerdict.NEW


def test_a_fill_is_new_once() -> None:
    book = ledger()
    assert book.book(fill(tid=5), LIVE) is FillVerdict.NEW
    assert book.book(fill(tid=5), LIVE) is FillVerdict.REPLAYED
    assert book.replayed_count == 1


def test_one_tid_at_two_times_or_on_two_orders_is_two_fills() -> None:
    book = ledger()
    assert book.book(fill(tid=5, oid=1), LIVE) is FillVerdict.NEW
    assert book.book(fill(tid=5, oid=2), LIVE) is FillVerdict.NEW  # The two legs of a trade with ourselves.
    assert book.book(fill(tid=5, oid=1, time_ms=START_MS + 70), LIVE) is FillVerdict.NEW


def test_a_smaller_tid_later_is_as_new_as_any() -> None:
    book = ledger(fills_kept=100)
    for number, tid in enumerate([900, 20, 500, 3]):
        assert book.book(fill(tid=tid, time_ms=START_MS + number), FORGOTTEN) is FillVerdict.NEW


def test_memory_stays_bounded_and_a_forgotten_fill_never_comes_back_as_new() -> None:
    book = ledger(fills_kept=4)
    book_many(book, 1_000)
    assert len(book) <= 5
    for number in range(1_000):
        verdict = book.book(fill(tid=number, time_ms=START_MS + number), FORGOTTEN)
        assert verdict in (FillVerdict.REPLAYED, FillVerdict.HISTORY)
    assert book.history_count >= 995


def test_the_newest_fills_are_kept() -> None:
    book = ledger(fills_kept=4)
    book_many(book, 100)
    for number in range(96, 100):
        assert fill(tid=number, time_ms=START_MS + number).key in book


def test_the_keys_of_a_live_order_are_never_forgotten() -> None:
    book = ledger(fills_kept=4)
    book.book(fill(tid=777, time_ms=START_MS - 1), LIVE)
    book_many(book, 1_000)
    assert book.book(fill(tid=777, time_ms=START_MS - 1), LIVE) is FillVerdict.REPLAYED


def test_a_late_fill_of_a_live_order_is_new_even_beyond_the_horizon() -> None:
    book = ledger(fills_kept=4)
    book_many(book, 1_000)
    late = fill(tid=777, time_ms=START_MS - 1)
    assert late.time_ms < book.horizon_ms
    assert book.book(late, LIVE) is FillVerdict.NEW
    assert book.book(late, LIVE) is FillVerdict.REPLAYED


def test_a_fill_assigned_to_a_live_order_later_is_kept_with_it() -> None:
    book = ledger(fills_kept=4)
    early = fill(tid=777, time_ms=START_MS - 1)
    book.book(early, None)
    book.assign(early.key, LIVE)
    book_many(book, 1_000)
    assert book.book(early, LIVE) is FillVerdict.REPLAYED


def test_a_thousand_live_keys_above_the_bound_are_all_kept() -> None:
    book = ledger(fills_kept=4)
    book_many(book, 1_000, LIVE)
    assert len(book) == 1_000
    assert book.horizon_ms < START_MS


def test_fills_from_before_the_start_are_not_new_however_often_they_come() -> None:
    book = ledger(fills_kept=100)
    history = [fill(tid=number, time_ms=START_MS + number) for number in range(10)]
    book.mark_history(history)
    for old in history:
        assert book.book(old, None) is FillVerdict.REPLAYED
    assert book.book(fill(tid=50, time_ms=START_MS - 1), None) is FillVerdict.HISTORY
    assert book.book(fill(tid=51, time_ms=START_MS + 10), None) is FillVerdict.NEW


def test_without_any_fill_the_mark_alone_makes_history() -> None:
    book = ledger()
    book.mark_history((), before_ms=START_MS)
    assert book.book(fill(tid=1, time_ms=START_MS - 1), None) is FillVerdict.HISTORY
    assert book.book(fill(tid=2, time_ms=START_MS), None) is FillVerdict.NEW
