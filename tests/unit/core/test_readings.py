"""When the account is read, and which balances may be believed at the start."""

from __future__ import annotations

import attrs

from mmtrio.core.events import BalancesRead, ReadAccount, ReadPurpose
from mmtrio.core.readings import Readings
from tests.support.builders import HYPE, USDC, balances_read, instant

CATCH_UP, START = ReadPurpose.CATCH_UP, ReadPurpose.START


def started() -> Readings:
    """One whose start is over."""
    readings = Readings()
    readings.require(instant(0), "session 1")
    readings.on_baseline()
    assert readings.on_done(START, instant(0), instant(1))
    readings.on_caught_up()
    return readings


def balances(usdc: str, at_s: float | None, hype: str = "1") -> BalancesRead:
    read = balances_read({HYPE: hype, USDC: usdc}, purpose=START)
    return attrs.evolve(read, requested_at=None if at_s is None else instant(at_s))


def test_before_a_baseline_nothing_is_reconciled():
    assert Readings().reconcile("every 20 ticks") == ()


def test_one_reading_at_a_time():
    readings = started()
    assert readings.reconcile("a") == (ReadAccount(ReadPurpose.RECONCILE, "a"),)
    assert readings.reconcile("b") == ()
    readings.on_done(ReadPurpose.RECONCILE, instant(2), instant(3))
    assert readings.reconcile("c") == (ReadAccount(ReadPurpose.RECONCILE, "c"),)
    assert readings.count == 1


def test_a_new_stream_asks_for_a_reading_even_while_one_is_under_way():
    readings = started()
    readings.reconcile("a")
    assert readings.require(instant(5), "session 2") == (ReadAccount(CATCH_UP, "session 2"),)
    assert readings.is_catching_up


def test_only_a_reading_requested_after_the_stream_was_live_ends_the_catch_up():
    readings = started()
    readings.require(instant(5), "session 2")
    assert not readings.on_done(ReadPurpose.RECONCILE, instant(4.9), instant(6))
    assert readings.is_catching_up
    assert readings.on_done(CATCH_UP, instant(5), instant(7))


def test_a_needed_reading_that_fails_is_repeated_with_pauses_that_double_up_to_ten_seconds():
    readings = started()
    readings.require(instant(5), "session 2")
    pauses = [readings.on_failed("no answer")[0].after_s for _ in range(7)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    readings.on_done(CATCH_UP, instant(30), instant(31))
    readings.require(instant(40), "session 3")
    assert readings.on_failed("no answer")[0].after_s == 0.5


def test_a_reconciliation_that_fails_waits_for_the_next():
    readings = started()
    readings.reconcile("a")
    assert readings.on_failed("no answer") == ()
    assert readings.reconcile("b")


def test_when_the_stream_is_lost_nothing_is_needed_until_the_next_is_live():
    readings = started()
    readings.require(instant(5), "session 2")
    readings.on_stream_lost()
    assert not readings.is_catching_up
    assert readings.on_failed("no answer") == ()


def test_the_stream_is_a_second_witness_for_the_first_balances():
    readings = Readings()
    readings.on_balances(balances("100", None))
    readings.on_balances(balances("100", 0))
    assert readings.baseline() == balances("100", 0)


def test_a_token_at_zero_may_be_listed_or_not():
    readings = Readings()
    readings.on_balances(attrs.evolve(balances_read({USDC: "100"}), requested_at=None))
    readings.on_balances(balances("100", 0, hype="0"))
    assert readings.baseline() is not None


def test_without_the_stream_two_equal_readings_two_seconds_apart_are_believed():
    readings = Readings()
    for at_s, usdc, is_believed in [(0, "100", False), (1.9, "100", False), (2.0, "100", True)]:
        readings.on_balances(balances(usdc, at_s))
        assert (readings.baseline() is not None) is is_believed


def test_balances_that_move_are_not_believed_before_they_stand_still():
    readings = Readings()
    readings.on_balances(balances("99", None))
    for at_s, usdc in [(0, "100"), (2, "101"), (4, "102")]:
        readings.on_balances(balances(usdc, at_s))
        assert readings.baseline() is None
    readings.on_balances(balances("102", 6))
    assert readings.baseline() == balances("102", 6)


def test_balances_of_a_stream_that_was_lost_are_no_witness():
    readings = Readings()
    readings.on_balances(balances("100", None))
    readings.on_stream_lost()
    readings.on_balances(balances("100", 0))
    assert readings.baseline() is None
