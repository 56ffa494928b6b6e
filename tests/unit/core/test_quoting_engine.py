"""HIP-2 from (grid, inventory) to orders: where the cursor lies, what is placed, and why the rest is not."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import attrs
import pytest

from mmtrio.core.events import ReasonCode
from mmtrio.core.pricing_grid import PricingGrid
from mmtrio.core.quoting_engine import Ladder, QuotingEngine, boundary_level, build_ladder
from mmtrio.core.strategy import DesiredOrder
from mmtrio.core.types import Amount, Side
from tests.support.builders import USDC, amount, market, own_ask, own_bid, spot_token

HYPE_USDC = market()
TEN_LEVELS = PricingGrid.build(HYPE_USDC, Decimal("10"), 10, Fraction("0.1"))
"""10, 11, 12.1, 13.31, 14.641, 16.105, 17.716, 19.488, 21.437, 23.581."""
LOTS = 100  # 1 HYPE a level


def ladder(base: str, quote: str, **options: object) -> Ladder:
    return build_ladder(
        TEN_LEVELS,
        LOTS,
        amount(HYPE_USDC.base, base),
        amount(USDC, quote),
        **options,  # type: ignore[arg-type]
    )


def levels(ladder: Ladder, side: Side) -> list[tuple[int, int]]:
    """(level, lots) of one side, nearest to the cursor first."""
    return [(order.slot, order.size_lots) for order in ladder.orders if order.side is side]


def reasons(ladder: Ladder) -> list[tuple[ReasonCode, Side | None]]:
    return [(reason.code, reason.side) for reason in ladder.reasons]


def test_the_recorded_market_has_its_partial_ask_at_level_20():
    """@67: 59722.62 owned, 600 a level, 120 levels: 99 full asks and 322.62 at level 20."""
    token = spot_token("BLOKED2", index=67)
    venue = market("@67", base=token, min_notional="0")
    grid = PricingGrid.build(venue, Decimal("0.020777"), 120)
    result = build_ladder(grid, 60_000, amount(token, "59722.62"), amount(USDC, "1000"))
    assert result.cursor == 20
    assert result.partial_lots == 32_262
    assert result.orders[0] == DesiredOrder(Side.SELL, 20, 22_060, 32_262)
    assert levels(result, Side.SELL)[1:] == [(level, 60_000) for level in range(21, 120)]
    assert levels(result, Side.BUY) == [(level, 60_000) for level in range(19, -1, -1)]


def test_orders_carry_their_levels_price():
    for order in ladder("4", "100").orders:
        assert order.price_ticks == TEN_LEVELS.prices_ticks[order.slot]


def test_full_tranches_lie_at_the_top_and_bids_below_them():
    result = ladder("4", "100")
    assert result.cursor == 6
    assert levels(result, Side.SELL) == [(6, 100), (7, 100), (8, 100), (9, 100)]
    assert levels(result, Side.BUY) == [(5, 100), (4, 100), (3, 100), (2, 100), (1, 100), (0, 100)]
    assert result.reasons == ()


def test_the_remainder_is_one_partial_ask_at_the_cursor():
    result = ladder("4.75", "0")
    assert (result.cursor, result.partial_lots) == (5, 75)
    assert levels(result, Side.SELL) == [(5, 75), (6, 100), (7, 100), (8, 100), (9, 100)]


def test_selling_one_tranche_turns_its_level_into_a_bid():
    before, after = ladder("4", "100"), ladder("3", "117.716")
    assert (6, 100) in levels(before, Side.SELL)
    assert (after.cursor, levels(after, Side.BUY)[0]) == (7, (6, 100))


def test_without_base_all_levels_are_bids_as_far_as_the_quote_lasts():
    result = ladder("0", "45.1")  # 23.581 + 21.437 = 45.018, then 0.082 is left.
    assert result.cursor == 10
    assert levels(result, Side.BUY) == [(9, 100), (8, 100)]
    assert reasons(result) == [
        (ReasonCode.BALANCE_TOO_SMALL, Side.SELL),
        (ReasonCode.BALANCE_TOO_SMALL, Side.BUY),
    ]
    assert "0.08200000 USDC left does not pay for the 8 lowest levels" in result.reasons[1].detail


def test_the_last_bid_is_as_large_as_the_quote_that_is_left():
    result = ladder("0", "40")  # 40 - 23.581 = 16.419 buys 0.76 at 21.437
    assert levels(result, Side.BUY) == [(9, 100), (8, 76)]
    assert "0.12688000 USDC left" in result.reasons[-1].detail


def test_a_last_bid_below_the_minimum_notional_is_not_placed():
    result = ladder("0", "33")  # 9.419 is left
    assert levels(result, Side.BUY) == [(9, 100)]
    assert reasons(result)[-1] == (ReasonCode.BALANCE_TOO_SMALL, Side.BUY)


def test_a_last_bid_on_the_lowest_level_leaves_nothing_to_explain():
    result = ladder("8", "21")  # 11 for level 1, 10 for level 0
    assert levels(result, Side.BUY) == [(1, 100), (0, 100)]
    assert result.reasons == ()


def test_a_small_last_bid_above_the_lowest_level_says_that_quote_ended():
    result = ladder("8", "10.5")  # 0.95 at 11, nothing for level 0
    assert levels(result, Side.BUY) == [(1, 95)]
    assert reasons(result) == [(ReasonCode.BALANCE_TOO_SMALL, Side.BUY)]


def test_without_quote_there_are_no_bids_and_a_reason():
    result = ladder("4", "0")
    assert levels(result, Side.BUY) == []
    assert reasons(result) == [(ReasonCode.BALANCE_TOO_SMALL, Side.BUY)]


def test_the_level_of_a_partial_ask_that_is_too_small_is_bid_for_what_it_lacks():
    result = ladder("4.25", "100")  # 0.25 at 16.105 is 4.02625, 0.75 is 12.07875
    assert (result.cursor, result.boundary, result.partial_lots) == (5, 6, 25)
    assert levels(result, Side.SELL) == [(6, 100), (7, 100), (8, 100), (9, 100)]
    assert levels(result, Side.BUY) == [(5, 75), (4, 100), (3, 100), (2, 100), (1, 100), (0, 100)]
    [reason] = result.reasons
    assert (reason.code, reason.side, reason.slot) == (ReasonCode.BELOW_MIN_NOTIONAL, Side.SELL, 5)
    assert reason.detail == "0.25 at 16.105000 is worth 4.02625 USDC, the minimum is 10 USDC"


@pytest.mark.parametrize("active_levels", [None, 3])
@pytest.mark.parametrize("filled_lots", [1, 10, 37])
def test_a_small_fill_of_the_highest_bid_leaves_every_order_where_it_is(filled_lots, active_levels):
    before = ladder("4", "76", active_levels=active_levels)
    bought, price_ticks = filled_lots * 10**6, TEN_LEVELS.prices_ticks[5]
    after = build_ladder(
        TEN_LEVELS,
        LOTS,
        amount(HYPE_USDC.base, "4") + Amount(HYPE_USDC.base, bought),
        amount(USDC, "76") - HYPE_USDC.quote_amount(price_ticks, filled_lots),
        active_levels=active_levels,
    )
    remaining = [
        attrs.evolve(order, size_lots=order.size_lots - filled_lots)
        if (order.side, order.slot) == (Side.BUY, 5)
        else order
        for order in before.orders
    ]
    assert list(after.orders) == remaining


def test_a_large_fill_of_the_highest_bid_turns_its_level_into_an_ask():
    result = ladder("4.63", "100")  # 0.63 at 16.105 is 10.14615
    assert (result.cursor, result.boundary) == (5, 5)
    assert levels(result, Side.SELL)[0] == (5, 63)
    assert levels(result, Side.BUY)[0] == (4, 100)


def test_a_bid_for_what_a_level_lacks_is_paid_before_the_bids_below():
    result = ladder("4.25", "13")  # 12.07875 for level 5, 0.92125 is left
    assert levels(result, Side.BUY) == [(5, 75)]
    assert reasons(result) == [
        (ReasonCode.BELOW_MIN_NOTIONAL, Side.SELL),
        (ReasonCode.BALANCE_TOO_SMALL, Side.BUY),
    ]
    assert "0.92125000 USDC left does not pay for the 5 lowest levels" in result.reasons[1].detail


def test_quote_that_pays_for_a_part_of_what_a_level_lacks_bids_that_part():
    assert levels(ladder("4.25", "11"), Side.BUY) == [(5, 68)]
    assert levels(ladder("4.25", "9"), Side.BUY) == []


def test_a_level_stays_empty_where_both_its_partial_orders_are_too_small_and_says_so_for_both():
    result = ladder("4.5", "100")  # 0.5 at 16.105 is 8.0525
    assert (result.cursor, result.boundary, result.partial_lots) == (5, 6, 50)
    assert all(order.slot != 5 for order in result.orders)
    assert levels(result, Side.BUY)[0] == (4, 100)
    assert [(reason.code, reason.side, reason.slot) for reason in result.reasons] == [
        (ReasonCode.BELOW_MIN_NOTIONAL, Side.SELL, 5),
        (ReasonCode.BELOW_MIN_NOTIONAL, Side.BUY, 5),
    ]
    assert {reason.detail for reason in result.reasons} == {
        "0.50 at 16.105000 is worth 8.0525 USDC, the minimum is 10 USDC"
    }


def test_on_the_highest_level_too_what_is_owned_of_it_is_completed_by_a_bid():
    result = ladder("0.1", "25")  # 0.9 at 23.581 is 21.2229
    assert (result.cursor, result.boundary) == (9, 10)
    assert levels(result, Side.SELL) == []
    assert levels(result, Side.BUY) == [(9, 90)]
    assert reasons(result)[0] == (ReasonCode.BELOW_MIN_NOTIONAL, Side.SELL)


def test_an_order_worth_exactly_the_minimum_is_placed():
    assert levels(ladder("9.5", "0", min_notional=Decimal("5")), Side.SELL)[0] == (
        1,
        100,
    )  # the market's 10 wins
    assert levels(ladder("10", "0"), Side.SELL)[0] == (0, 100)  # 1 at 10


def test_a_strategy_may_ask_for_more_than_the_markets_minimum():
    result = ladder("4.75", "100", min_notional=Decimal("12.5"))  # 0.75 at 16.105 is 12.07875
    assert levels(result, Side.SELL)[0] == (6, 100)
    assert levels(result, Side.BUY) == [(4, 100), (3, 100)]
    assert "12.5 USDC on 3 levels" in result.reasons[-1].detail


def test_more_base_than_the_grid_holds_is_reported_with_its_numbers():
    result = ladder("12.5", "100")
    assert (result.cursor, result.partial_lots) == (0, 0)
    assert levels(result, Side.SELL) == [(level, 100) for level in range(10)]
    assert reasons(result) == [(ReasonCode.GRID_EXHAUSTED, Side.SELL), (ReasonCode.GRID_EXHAUSTED, Side.BUY)]
    assert result.reasons[0].detail == "12.50 HYPE owned, the 10 levels hold 10.00: 2.50 is not offered"


def test_base_for_exactly_all_levels_leaves_none_to_bid_on():
    result = ladder("10", "100")
    assert result.cursor == 0
    assert reasons(result) == [(ReasonCode.GRID_EXHAUSTED, Side.BUY)]


def test_dust_is_on_no_level_and_is_reported():
    result = ladder("4.00999", "0")
    assert (result.cursor, result.partial_lots) == (6, 0)
    assert result.dust == amount(HYPE_USDC.base, "0.00999")


def test_a_window_shows_so_many_levels_on_each_side_of_the_cursor():
    result = ladder("4.75", "100", active_levels=2)
    assert levels(result, Side.SELL) == [(5, 75), (6, 100)]
    assert levels(result, Side.BUY) == [(4, 100), (3, 100)]
    assert reasons(result) == [(ReasonCode.OUTSIDE_WINDOW, Side.SELL), (ReasonCode.OUTSIDE_WINDOW, Side.BUY)]
    assert [reason.detail for reason in result.reasons] == [
        "3 levels lie beyond the 2 active ones",
        "3 levels lie beyond the 2 active ones",
    ]


def test_a_window_wider_than_the_ladder_hides_nothing():
    assert ladder("4", "100", active_levels=10) == ladder("4", "100")


def test_work_is_proportional_to_the_window_not_to_the_ladder():
    taken: list[int] = []

    class Watched(tuple):  # type: ignore[type-arg]
        def __getitem__(self, levels: object) -> object:
            item = super().__getitem__(levels)  # type: ignore[index]
            taken.append(len(item) if isinstance(levels, slice) else 1)
            return item

        def __iter__(self) -> Iterator[object]:
            raise AssertionError("walks the whole ladder")

    long = PricingGrid.build(HYPE_USDC, Decimal("0.02"), 20_000, Fraction("0.0002"))
    engine = QuotingEngine(long, 100_000, active_levels=20)
    object.__setattr__(long, "prices_ticks", Watched(long.prices_ticks))
    for name in ("_full_asks", "_full_bids", "_cost_below"):
        setattr(engine, name, Watched(getattr(engine, name)))
    result = engine.ladder(amount(HYPE_USDC.base, "10000000"), amount(USDC, "1000000"))
    assert len(result.orders) == 40
    assert sum(taken) <= 40 + 2 * 20  # The orders shown, and two searches by halves.


def test_an_engine_answers_each_inventory_anew():
    engine = QuotingEngine(TEN_LEVELS, LOTS)
    for base, quote in [("4", "100"), ("4.25", "100"), ("0", "40"), ("4", "100")]:
        assert engine.ladder(amount(HYPE_USDC.base, base), amount(USDC, quote)) == ladder(base, quote)


@pytest.mark.parametrize(
    ("own_orders", "boundary"),
    [((), 10), ((own_bid(3),), 10), ((own_bid(3), own_ask(7), own_ask(5)), 5)],
)
def test_the_boundary_is_the_lowest_resting_ask(own_orders, boundary):
    assert boundary_level(own_orders, 10) == boundary


@pytest.mark.parametrize("base", ["4.75", "4.25", "4.5", "4", "0.1", "0", "10"])
def test_the_boundary_of_what_was_placed_is_the_ladders(base):
    result = ladder(base, "100")
    own_orders = [
        own_ask(order.slot) if order.side is Side.SELL else own_bid(order.slot) for order in result.orders
    ]
    assert boundary_level(own_orders, TEN_LEVELS.n_levels) == result.boundary
