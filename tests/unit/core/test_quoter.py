"""One market: what its strategy may ask for, and when it counts as stopped."""

from __future__ import annotations

import pytest

from mmtrio.core.events import (
    BookRead,
    Level,
    QuotingResumed,
    QuotingStopped,
    Reason,
    ReasonCode,
    TouchChanged,
)
from mmtrio.core.quoter import DESIRED_ORDERS_MAX, Quoter
from mmtrio.core.strategy import DesiredOrder, Quotes
from mmtrio.core.types import Side
from tests.support.builders import instant, market
from tests.support.desks import bench, rich

DOWN = Reason(ReasonCode.ACCOUNT_SESSION_DOWN, market().coin)


class Says:
    """A strategy that always says the same."""

    name = "says"
    requires_market_data = False

    def __init__(self, *orders: DesiredOrder) -> None:
        self.orders = orders

    def quote(self, view):
        return Quotes(self.orders)


def order(side: Side, slot: int, price_ticks: int, size_lots: int = 100) -> DesiredOrder:
    return DesiredOrder(side, slot, price_ticks, size_lots)


@pytest.mark.parametrize(
    ("orders", "words"),
    [
        ([order(Side.BUY, 1, 35_000_000), order(Side.BUY, 1, 34_000_000)], "two orders wanted on"),
        ([order(Side.BUY, 1, 35_000_000), order(Side.SELL, 1, 35_000_000)], "cross asks"),
        ([order(Side.BUY, 1, 35_000_001)], "no such order"),
        ([order(Side.SELL, slot, 35_000_000) for slot in range(DESIRED_ORDERS_MAX + 1)], "at most 2000 make sense"),
    ],
)
def test_a_strategy_that_asks_for_nonsense_is_suspended_before_anything_is_sent(orders, words):
    on_bench = bench(strategies=[Says(*orders)])
    decision = on_bench.start(rich())
    (quoter,) = on_bench.desk.quoters
    assert quoter.suspended is not None
    assert words in quoter.suspended.detail
    assert not [command for command in decision.commands if hasattr(command, "batch")]


def test_bids_and_asks_may_share_a_slot_number():
    on_bench = bench(strategies=[Says(order(Side.BUY, 1, 34_000_000), order(Side.SELL, 1, 35_000_000))])
    on_bench.start(rich())
    assert on_bench.desk.quoters[0].suspended is None


def test_the_touch_follows_whatever_was_heard_last():
    quoter = Quoter(market(), Says())
    assert quoter.twice_mid_ticks is None
    quoter.on_book(BookRead(market().coin, (Level(10, 1), Level(9, 1)), (Level(12, 1),), 1))
    assert quoter.twice_mid_ticks == 22
    quoter.on_touch(TouchChanged(market().coin, Level(11, 1), Level(12, 1), 2))
    assert quoter.twice_mid_ticks == 23
    quoter.on_touch(TouchChanged(market().coin, None, Level(12, 1), 3))
    assert quoter.twice_mid_ticks is None


def test_a_market_that_has_not_quoted_yet_cannot_stop():
    quoter = Quoter(market(), Says())
    assert quoter.note_gate(DOWN, 1.0, instant(0)) is None
    assert quoter.note_gate(None, 0.0, instant(1)) is None


def test_a_stop_is_noted_once_with_its_first_reason_and_its_end_with_how_long_it_was():
    quoter = Quoter(market(), Says())
    quoter.note_gate(None, 0.0, instant(0))
    assert quoter.note_gate(DOWN, 1.5, instant(10)) == QuotingStopped(market().coin, DOWN, 1.5)
    later = Reason(ReasonCode.CATCHING_UP, market().coin)
    assert quoter.note_gate(later, 0.0, instant(12)) is None
    assert quoter.note_gate(None, 0.0, instant(13)) == QuotingResumed(market().coin, 3.0)
    assert quoter.note_gate(None, 0.0, instant(14)) is None


@pytest.mark.parametrize(
    ("own", "strategy", "needs"),
    [(None, False, False), (None, True, True), (False, True, False), (True, False, True)],
)
def test_the_configuration_decides_whether_data_is_needed_and_else_the_strategy(own, strategy, needs):
    says = Says()
    says.requires_market_data = strategy
    assert Quoter(market(), says, requires_market_data=own).needs_market_data is needs
