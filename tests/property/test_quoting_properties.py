"""Whatever is owned: nothing is promised twice, nothing is lost without a reason."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.events import ReasonCode
from mmtrio.core.pricing_grid import PricingGrid
from mmtrio.core.quoting_engine import Ladder, build_ladder
from mmtrio.core.strategy import DesiredOrder
from mmtrio.core.types import Amount, Side
from tests.support.builders import HYPE, market, spot_token

COARSE = spot_token("COARSE", index=3, wei_decimals=6)
GRIDS = [
    PricingGrid.build(market(), Decimal("10"), 30),
    PricingGrid.build(market(quote=COARSE), Decimal("10.004"), 30, Fraction("0.0007")),
    PricingGrid.build(market(min_notional="0"), Decimal("0.002"), 30, Fraction("0.05")),
]
LOT = 10**6  # units of HYPE in a lot of 0.01

grids = st.sampled_from(GRIDS)
order_lots = st.integers(1, 400)
windows = st.none() | st.integers(1, 40)


@st.composite
def cases(draw: st.DrawFn) -> tuple[PricingGrid, int, Amount, Amount, int | None]:
    grid = draw(grids)
    lots = draw(order_lots)
    base = Amount(HYPE, draw(st.integers(-LOT, 40 * lots * LOT)))
    level_units = grid.market.quote_amount(grid.prices_ticks[-1], lots).units
    quote = Amount(grid.market.quote, draw(st.integers(-10, 40 * level_units)))
    return grid, lots, base, quote, draw(windows)


def build(case: tuple[PricingGrid, int, Amount, Amount, int | None]) -> Ladder:
    grid, lots, base, quote, active_levels = case
    return build_ladder(grid, lots, base, quote, active_levels=active_levels)


@given(cases())
@settings(max_examples=200)
def test_no_level_is_on_both_sides_and_every_bid_is_below_every_ask(case):
    ladder = build(case)
    asks = [order.slot for order in ladder.orders if order.side is Side.SELL]
    bids = [order.slot for order in ladder.orders if order.side is Side.BUY]
    assert len({*asks, *bids}) == len(asks) + len(bids)
    assert all(level >= ladder.boundary for level in asks)
    assert all(level < ladder.boundary for level in bids)


def walked(case: tuple[PricingGrid, int, Amount, Amount, int | None]) -> list[DesiredOrder]:
    """The ladder as one would lay it by hand, level by level."""
    grid, lots, base, quote, active_levels = case
    venue, owned_lots, left = grid.market, grid.market.lots_in(base), quote
    reach = grid.n_levels if active_levels is None else active_levels
    asks, bids = [], []
    level = grid.n_levels
    while level > 0 and owned_lots > 0:
        size_lots = min(lots, owned_lots)
        price_ticks = grid.prices_ticks[level - 1]
        if size_lots < lots and not venue.meets_min_notional(price_ticks, size_lots):
            break
        level, owned_lots = level - 1, owned_lots - size_lots
        asks.insert(0, DesiredOrder(Side.SELL, level, price_ticks, size_lots))
    boundary = level
    for level in range(boundary - 1, max(0, boundary - reach) - 1, -1):
        price_ticks = grid.prices_ticks[level]
        size_lots, owned_lots = lots - min(lots, owned_lots), 0
        if venue.meets_min_notional(price_ticks, size_lots):
            is_whole = venue.lots_affordable(left, price_ticks) >= size_lots
            size_lots = min(size_lots, venue.lots_affordable(left, price_ticks))
            left = left - venue.quote_amount(price_ticks, size_lots)
            bids.append(DesiredOrder(Side.BUY, level, price_ticks, size_lots))
            if not is_whole:
                break
    placed = [*asks[:reach], *bids]
    return [
        order for order in placed if order.size_lots and venue.meets_min_notional(order.price_ticks, order.size_lots)
    ]


@given(cases())
@settings(max_examples=200)
def test_the_ladder_is_the_one_laid_by_hand(case):
    assert list(build(case).orders) == walked(case)


@given(cases())
@settings(max_examples=200)
def test_the_boundary_lies_above_the_cursor_only_where_a_partial_ask_is_too_small(case):
    grid, lots, *_ = case
    ladder = build(case)
    too_small = [
        reason.slot
        for reason in ladder.reasons
        if (reason.code, reason.side) == (ReasonCode.BELOW_MIN_NOTIONAL, Side.SELL) and reason.slot is not None
    ]
    assert too_small == ([ladder.cursor] if ladder.boundary == ladder.cursor + 1 else [])
    assert ladder.boundary in (ladder.cursor, ladder.cursor + 1)
    if too_small:
        assert 0 < ladder.partial_lots < lots
        assert not grid.market.meets_min_notional(grid.prices_ticks[ladder.cursor], ladder.partial_lots)


@given(cases())
@settings(max_examples=200)
def test_no_level_holds_more_than_the_order_size_of_base_owned_and_bid_for(case):
    _, lots, *_ = case
    ladder = build(case)
    for order in ladder.orders:
        if order.side is Side.BUY:
            owned_lots = ladder.partial_lots if order.slot == ladder.cursor else 0
            assert order.size_lots + owned_lots <= lots


@given(
    grid=st.sampled_from(GRIDS[:2]),
    lots=st.integers(200, 400),
    full_levels=st.integers(0, 29),
    spare_quote=st.integers(0, 10**11),
    filled_lots=st.integers(1, 80),
    active_levels=windows,
)
@settings(max_examples=100)
def test_a_fill_too_small_to_be_sold_again_leaves_the_highest_bid_with_what_remains_of_it(
    grid, lots, full_levels, spare_quote, filled_lots, active_levels
):
    venue = grid.market
    level = grid.n_levels - full_levels - 1
    price_ticks = grid.prices_ticks[level]
    base, quote = venue.base_amount(full_levels * lots), venue.quote_amount(price_ticks, lots)
    quote = Amount(quote.token, quote.units + spare_quote)
    before = build_ladder(grid, lots, base, quote, active_levels=active_levels)
    assert DesiredOrder(Side.BUY, level, price_ticks, lots) in before.orders
    after = build_ladder(
        grid,
        lots,
        base + venue.base_amount(filled_lots),
        quote - venue.quote_amount(price_ticks, filled_lots),
        active_levels=active_levels,
    )
    assert DesiredOrder(Side.BUY, level, price_ticks, lots - filled_lots) in after.orders
    asks_before, asks_after = (
        [order for order in ladder.orders if order.side is Side.SELL] for ladder in (before, after)
    )
    assert asks_after == asks_before


@given(cases())
@settings(max_examples=200)
def test_bids_never_cost_more_than_the_quote_and_asks_never_sell_more_than_the_base(case):
    grid, lots, base, quote, _ = case
    venue = grid.market
    ladder = build(case)
    bids = [order for order in ladder.orders if order.side is Side.BUY]
    asks = [order for order in ladder.orders if order.side is Side.SELL]
    cost_units = sum(venue.quote_amount(order.price_ticks, order.size_lots).units for order in bids)
    assert cost_units <= max(0, quote.units)
    assert sum(order.size_lots for order in asks) <= venue.lots_in(base)
    assert all(0 < order.size_lots <= lots for order in ladder.orders)


@given(cases())
@settings(max_examples=200)
def test_every_order_is_one_the_venue_takes(case):
    venue = case[0].market
    for order in build(case).orders:
        assert venue.is_valid_price(order.price_ticks)
        assert venue.meets_min_notional(order.price_ticks, order.size_lots)


@given(cases())
@settings(max_examples=200)
def test_all_base_is_on_a_level_or_accounted_for(case):
    grid, lots, base, quote, _ = case
    ladder = build_ladder(grid, lots, base, quote, min_notional=Decimal(0))
    venue = grid.market
    owned = max(0, base.units)
    assert 0 <= ladder.dust.units < LOT
    if not any(reason.code is ReasonCode.BELOW_MIN_NOTIONAL for reason in ladder.reasons):
        offered = sum(order.size_lots for order in ladder.orders if order.side is Side.SELL)
        assert offered == min(venue.lots_in(base), grid.n_levels * lots)
    assert venue.base_amount(venue.lots_in(base)).units + ladder.dust.units == owned


@given(cases())
@settings(max_examples=200)
def test_a_side_that_is_not_whole_has_a_reason(case):
    grid = case[0]
    ladder = build(case)
    told = {reason.side for reason in ladder.reasons}
    bids = sum(order.side is Side.BUY for order in ladder.orders)
    asks = sum(order.side is Side.SELL for order in ladder.orders)
    if bids < ladder.boundary or ladder.boundary == 0:
        assert Side.BUY in told
    if asks < grid.n_levels - ladder.cursor or asks == 0:
        assert Side.SELL in told


@given(cases())
@settings(max_examples=200)
def test_a_window_is_a_piece_of_the_whole_ladder(case):
    grid, lots, base, quote, active_levels = case
    whole = build_ladder(grid, lots, base, quote)
    piece = build(case)
    assert (piece.cursor, piece.boundary) == (whole.cursor, whole.boundary)
    assert (piece.partial_lots, piece.dust) == (whole.partial_lots, whole.dust)
    reach = active_levels if active_levels is not None else grid.n_levels
    assert piece.orders == tuple(
        order for order in whole.orders if whole.boundary - reach <= order.slot < whole.boundary + reach
    )


@given(cases(), st.integers(0, 10**9))
@settings(max_examples=100)
def test_more_base_never_raises_the_cursor(case, more_units):
    grid, lots, base, quote, _ = case
    richer = Amount(HYPE, base.units + more_units)
    assert build_ladder(grid, lots, richer, quote).cursor <= build_ladder(grid, lots, base, quote).cursor
