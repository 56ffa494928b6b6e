"""Any ladder is either refused or right at every level, by arithmetic of another kind."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal
from fractions import Fraction
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mmtrio.core.pricing_grid import GridError, PricingGrid, Rounding
from tests.support.builders import market

MODES = {Rounding.NEAREST: ROUND_HALF_UP, Rounding.TRUNCATE: ROUND_DOWN}


@st.composite
def grids(draw: st.DrawFn) -> tuple[PricingGrid, Decimal, Decimal, Rounding]:
    """(grid, start_px, spacing, rounding) of a ladder that can be built."""
    venue = market(size_decimals=draw(st.integers(0, 8)))
    digits = draw(st.integers(1, 99_999))
    start_px = Decimal(digits).scaleb(draw(st.integers(-venue.price_decimals, 3)))
    spacing = Decimal(draw(st.integers(1, 3_000))).scaleb(-4)
    assume(spacing <= 1)
    rounding = draw(st.sampled_from(Rounding))
    try:
        grid = PricingGrid.build(venue, start_px, draw(st.integers(1, 60)), Fraction(spacing), rounding)
    except GridError:
        assume(False)
    return grid, start_px, spacing, rounding


@given(grids())
@settings(max_examples=150)
def test_each_level_is_the_rounded_product_of_the_one_below(drawn):
    grid, start_px, spacing, rounding = drawn
    venue = grid.market
    level_prices = [venue.price(price_ticks) for price_ticks in grid.prices_ticks]
    assert level_prices[0] == start_px
    wide = Context(prec=100)
    five_figures = Context(prec=5, rounding=MODES[rounding])
    tick = Decimal(1).scaleb(-venue.price_decimals)
    for lower, upper in pairwise(level_prices):
        exact = wide.multiply(lower, 1 + spacing)
        if exact.adjusted() - 4 >= -venue.price_decimals:
            assert upper == five_figures.plus(exact)
        else:  # Fewer decimals than five figures would need: the tick decides.
            assert upper == exact.quantize(tick, rounding=MODES[rounding], context=wide)


@given(grids())
@settings(max_examples=100)
def test_levels_ascend_and_the_venue_accepts_every_price(drawn):
    grid = drawn[0]
    assert sorted(set(grid.prices_ticks)) == list(grid.prices_ticks)
    assert all(grid.market.is_valid_price(price_ticks) for price_ticks in grid.prices_ticks)


@given(grids(), st.data())
@settings(max_examples=100)
def test_levels_are_found_as_a_walk_would_find_them(drawn, data):
    grid = drawn[0]
    near = data.draw(st.sampled_from(grid.prices_ticks)) + data.draw(st.integers(-2, 2))
    walked = [level for level, price_ticks in enumerate(grid.prices_ticks) if price_ticks <= near]
    assert grid.level_at_or_below(near) == (walked[-1] if walked else None)
    assert grid.level_for_price(near) == (
        grid.prices_ticks.index(near) if near in grid.prices_ticks else None
    )


@given(
    st.decimals(allow_nan=True, allow_infinity=True),
    st.integers(-5, 50),
    st.fractions(min_value=-1, max_value=2, max_denominator=10**6),
    st.sampled_from(Rounding),
)
@settings(max_examples=150)
def test_whatever_is_asked_for_is_a_ladder_or_a_grid_error(start_px, n_orders, spacing, rounding):
    try:
        grid = PricingGrid.build(market(), start_px, n_orders, spacing, rounding)
    except GridError as error:
        assert str(error)
    else:
        assert grid.n_levels == n_orders
