from __future__ import annotations

import pytest

from mmtrio.core.types import Side
from tests.support.exchange_actions import ALICE, START_MS, Venue, buy, cancel

HYPE_INDEX = 150


@pytest.fixture
def venue() -> Venue:
    return Venue()


def quiet_block(venue: Venue):
    block = venue.block()
    assert block.order_updates == block.fills == block.trades == block.balances_changed == ()
    return block


def test_an_order_vanishes_without_a_word(venue):
    oid = venue.oid(ALICE, buy("34.9", "2"))
    venue.engine.remove_order_silently(oid)
    assert quiet_block(venue).touched_books == ("@107",)
    assert venue.engine.open_orders(ALICE) == []
    assert venue.engine.balance(ALICE, 0).hold_units == 0
    assert venue.info("orderStatus", ALICE, oid=oid)["order"]["status"] == "canceled"
    assert "never placed" in venue.statuses(ALICE, cancel(oid))[0]["error"]


def test_the_lagging_view_learns_of_it_late(venue):
    oid = venue.oid(ALICE, buy("34.9", "2"))
    for _ in range(10):
        venue.block()
    venue.engine.remove_order_silently(oid)
    request = {"type": "openOrders", "user": ALICE}
    assert len(venue.engine.info(request, venue.now_ms + 499)) == 1
    assert venue.engine.info(request, venue.now_ms + 500) == []


def test_a_fill_appears_without_a_word_and_moves_balances(venue):
    before = venue.engine.balance(ALICE, HYPE_INDEX).total_units
    totals = [venue.engine.token_total_units(index) for index in (0, HYPE_INDEX)]
    venue.engine.add_fill_silently(ALICE, "@107", Side.BUY, "34.9", "0.5")
    quiet_block(venue)
    [fill] = venue.engine.fills(ALICE)
    assert (fill["px"], fill["sz"], fill["side"], fill["crossed"]) == ("34.9", "0.5", "B", True)
    assert fill["time"] == START_MS
    assert venue.engine.balance(ALICE, HYPE_INDEX).total_units == before + 50_000_000 - 35_000
    assert [venue.engine.token_total_units(index) for index in (0, HYPE_INDEX)] == totals
    [told] = venue.engine.info({"type": "userFills", "user": ALICE}, START_MS + 500)
    assert told == fill


def test_a_fill_needs_a_valid_price_and_size(venue):
    for price, size in (("34.91111", "1"), ("34.9", "0.001"), ("34.9", "0")):
        with pytest.raises(ValueError, match="has no price"):
            venue.engine.add_fill_silently(ALICE, "@107", Side.SELL, price, size)


def test_a_balance_moves_without_a_word(venue):
    total = venue.engine.token_total_units(HYPE_INDEX)
    before = venue.engine.balance(ALICE, HYPE_INDEX).total_units
    venue.engine.move_balance_silently(ALICE, HYPE_INDEX, -12_345)
    quiet_block(venue)
    assert venue.engine.balance(ALICE, HYPE_INDEX).total_units == before - 12_345
    assert venue.engine.token_total_units(HYPE_INDEX) == total
    rows = venue.engine.info({"type": "spotClearinghouseState", "user": ALICE}, venue.now_ms + 500)[
        "balances"
    ]
    assert next(row for row in rows if row["token"] == HYPE_INDEX)["total"] == "28612.29987655"


def test_only_an_order_that_rests_can_vanish(venue):
    with pytest.raises(ValueError, match="no order 5 is resting"):
        venue.engine.remove_order_silently(5)
