"""Recorded books as liquidity: queue places, fills, and what stays taken."""

from __future__ import annotations

import pytest

from mmtrio.exchange.world import OUTSIDE_ACCOUNT
from tests.support.exchange_actions import ALICE, BOB, Venue, buy, sell

COIN = "@107"


def ticks(price: str) -> int:
    return round(float(price) * 10**6)


def levels(*rows: tuple[str, int]) -> list[tuple[int, int]]:
    return [(ticks(price), lots) for price, lots in rows]


@pytest.fixture
def venue() -> Venue:
    return Venue()


def show(venue: Venue, bids: list[tuple[str, int]], asks: list[tuple[str, int]]) -> None:
    venue.engine.set_outside_book(COIN, levels(*bids), levels(*asks))
    venue.block()


def house_takes(venue: Venue, row: dict) -> None:
    venue.place(venue.engine.world.house[0].address, row)


def test_a_recorded_book_is_the_book_from_the_next_block_on(venue):
    venue.engine.set_outside_book(COIN, levels(("34.9", 500), ("34.8", 300)), levels(("35", 200)))
    assert venue.engine.best(COIN) == (None, None)
    venue.block()
    assert venue.engine.book(COIN) == ([(34_900_000, 500, 1), (34_800_000, 300, 1)], [(35_000_000, 200, 1)])
    assert venue.last.touched_books == (COIN,) and venue.last.order_updates == ()
    show(venue, [("34.8", 100)], [("34.9", 50), ("35", 200)])
    assert venue.engine.book(COIN) == ([(34_800_000, 100, 1)], [(34_900_000, 50, 1), (35_000_000, 200, 1)])
    assert venue.engine.reference_ticks(COIN) == 34_850_000


def test_an_empty_recorded_book_takes_everything_away(venue):
    show(venue, [("34.9", 500)], [("35", 200)])
    show(venue, [], [])
    assert venue.engine.book(COIN) == ([], [])


def test_orders_of_ours_stay_behind_what_the_recording_showed_before_them(venue):
    show(venue, [("34.9", 500)], [("35", 200)])
    oid = venue.oid(ALICE, buy("34.9", "2"))
    show(venue, [("34.9", 700)], [("35", 200)])  # 200 lots joined behind us
    house_takes(venue, sell("34.9", "5", "Ioc"))
    assert venue.told(ALICE) == []
    house_takes(venue, sell("34.9", "2", "Ioc"))
    assert venue.told(ALICE) == [(oid, "filled", "0.0")]


def test_a_level_that_shrinks_loses_its_newest_orders_first(venue):
    show(venue, [("34.9", 500)], [("35", 200)])
    venue.oid(ALICE, buy("34.9", "2"))
    show(venue, [("34.9", 700)], [("35", 200)])
    show(venue, [("34.9", 500)], [("35", 200)])  # Those who joined behind us left: nothing moved up.
    house_takes(venue, sell("34.9", "5", "Ioc"))
    assert venue.told(ALICE) == []
    show(venue, [], [("35", 200)])
    house_takes(venue, sell("34.9", "1", "Ioc"))
    assert venue.told(ALICE)[0][1:] == ("open", "1.0")


def test_a_level_that_shrinks_in_part_keeps_its_place_with_what_is_left(venue):
    show(venue, [("34.9", 500)], [("35", 200)])
    oid = venue.oid(ALICE, buy("34.9", "2"))
    show(venue, [("34.9", 300)], [("35", 200)])
    house_takes(venue, sell("34.9", "3", "Ioc"))
    assert venue.told(ALICE) == []
    house_takes(venue, sell("34.9", "1", "Ioc"))
    assert venue.told(ALICE) == [(oid, "open", "1.0")]


def test_each_recorded_book_is_a_transaction_of_its_own(venue):
    venue.place(ALICE, sell("34.9", "3"))
    venue.engine.set_outside_book(COIN, levels(("35", 100)), [])
    venue.engine.set_outside_book(COIN, levels(("34.95", 150)), [])
    venue.block()
    assert len({fill["hash"] for fill in venue.engine.fills(ALICE)}) == 2


def test_a_recorded_price_through_an_order_of_ours_fills_it_at_its_own_price(venue):
    oid = venue.oid(ALICE, sell("34.9", "3"))
    show(venue, [("35", 200), ("34.95", 40), ("34.8", 60)], [("35.1", 500)])
    assert venue.told(ALICE) == [(oid, "open", "1.0"), (oid, "open", "0.6")]
    assert [(fill["px"], fill["sz"], fill["crossed"]) for fill in venue.engine.fills(ALICE)] == [
        ("34.9", "2.0", False), ("34.9", "0.4", False)
    ]  # fmt: skip
    assert venue.last.trades[0]["users"] == [OUTSIDE_ACCOUNT, ALICE]
    assert venue.engine.best(COIN) == (34_800_000, 34_900_000)


def test_the_same_recorded_bid_does_not_fill_twice(venue):
    venue.oid(ALICE, sell("34.9", "3"))
    for _ in range(3):
        show(venue, [("35", 200)], [("35.1", 500)])
    assert [fill["sz"] for fill in venue.engine.fills(ALICE)] == ["2.0"]
    show(venue, [("35", 250)], [("35.1", 500)])  # Fifty more came.
    assert [fill["sz"] for fill in venue.engine.fills(ALICE)] == ["2.0", "0.5"]


def test_what_a_trader_took_stays_taken_while_the_level_is_shown(venue):
    show(venue, [("34.9", 500)], [("35", 200)])
    venue.place(ALICE, buy("35", "1.5", "Ioc"))
    show(venue, [("34.9", 500)], [("35", 200)])
    assert venue.engine.book(COIN)[1] == [(35_000_000, 50, 1)]
    show(venue, [("34.9", 500)], [("35", 100)])
    assert venue.engine.book(COIN)[1] == []
    show(venue, [("34.9", 500)], [("35", 130)])  # Only what is new since then is there to take.
    assert venue.engine.book(COIN)[1] == [(35_000_000, 30, 1)]
    show(venue, [("34.9", 500)], [("35.2", 100)])
    show(venue, [("34.9", 500)], [("35", 100)])
    assert venue.engine.book(COIN)[1] == [(35_000_000, 100, 1)]


def test_what_the_recorded_takers_took_is_for_the_recording_to_say(venue):
    show(venue, [("34.9", 500)], [("35", 200)])
    house_takes(venue, buy("35", "1.5", "Ioc"))
    assert venue.engine.book(COIN)[1] == [(35_000_000, 50, 1)]
    show(venue, [("34.9", 500)], [("35", 50)])
    assert venue.engine.book(COIN)[1] == [(35_000_000, 50, 1)]


def test_several_books_before_one_block_pass_one_after_another(venue):
    venue.oid(ALICE, sell("34.9", "3"))
    venue.engine.set_outside_book(COIN, levels(("35", 100)), [])
    venue.engine.set_outside_book(COIN, levels(("34.8", 100)), [])
    venue.block()
    assert [fill["sz"] for fill in venue.engine.fills(ALICE)] == ["1.0"]
    assert venue.engine.best(COIN) == (34_800_000, 34_900_000)


def test_the_outside_may_owe_what_it_sells_and_nothing_is_lost(venue):
    totals = {index: venue.engine.token_total_units(index) for index in (0, 150)}
    show(venue, [], [("35", 10**7)])
    venue.place(BOB, buy("35", "20000", "Ioc"))
    assert venue.engine.balance(OUTSIDE_ACCOUNT, 150).total_units == -20000 * 10**8
    assert {index: venue.engine.token_total_units(index) for index in (0, 150)} == totals


@pytest.mark.parametrize(
    "bids, asks, text",
    [
        ([("35", 1)], [("35", 1)], "crossed"),
        ([("34", 1), ("34.5", 1)], [], "bids are not sorted"),
        ([], [("36", 1), ("36", 1)], "asks are not sorted"),
        ([("34", 0)], [], "bids have a level without"),
    ],
)
def test_what_is_no_book_is_refused(venue, bids, asks, text):
    with pytest.raises(ValueError, match=text):
        venue.engine.set_outside_book(COIN, levels(*bids), levels(*asks))


def test_a_market_that_does_not_exist_is_refused(venue):
    with pytest.raises(ValueError, match="no market 'BTC'"):
        venue.engine.set_outside_book("BTC", [], [])
