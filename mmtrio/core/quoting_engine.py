"""HIP-2: a ladder and an inventory in, the orders to rest out. Nothing is remembered between two calls.

The base that is owned fills the ladder from its top: so many full asks, and one partial ask for what is left. The
level of that lowest ask is the *cursor*; everything below it is bid, from the cursor down, while the quote lasts.
A fill moves the inventory, hence the cursor, hence the side of a level; the levels themselves never move
(protocol 14).

A partial ask too small for the venue would leave its level empty, and a bid that has just been filled a little would
be cancelled for it. So that level is bid for what it lacks instead: the bid there goes on resting with what remains
of it. No level is ever on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction

import attrs

from mmtrio.core.events import Reason, ReasonCode
from mmtrio.core.market import Market, ten_to
from mmtrio.core.pricing_grid import PricingGrid
from mmtrio.core.strategy import DesiredOrder, OwnOrder
from mmtrio.core.types import Amount, Side


@attrs.frozen
class Ladder:
    """What should rest, and why the rest of the ladder is not there."""

    cursor: int
    """The lowest level that owned base lies on; the number of levels where there is no base to sell."""
    boundary: int
    """Asks begin here, bids end below: the cursor, or the level above it where the partial ask is too small."""
    orders: tuple[DesiredOrder, ...]
    """Asks from the boundary up, then bids from below it down. No level on both sides."""
    reasons: tuple[Reason, ...]
    partial_lots: int
    """Size of the partial ask at the cursor, placed or not; 0 where all asks are full."""
    dust: Amount
    """Base that is less than a lot, so on no level."""


def build_ladder(
    grid: PricingGrid,
    order_lots: int,
    base: Amount,
    quote: Amount,
    *,
    active_levels: int | None = None,
    min_notional: Decimal | None = None,
) -> Ladder:
    """Spread `base` and `quote` over the grid. `active_levels` is how many levels of each side are shown.

    Work is proportional to `active_levels` where it is given, however long the ladder is. An order below the larger
    of `min_notional` and the market's own is left out, with its reason.
    """
    assert order_lots > 0, order_lots
    assert active_levels is None or active_levels > 0, active_levels
    market = grid.market
    lots = market.lots_in(base)
    n_full, partial_lots = divmod(lots, order_lots)
    cursor = grid.n_levels - n_full - (1 if partial_lots else 0)
    reasons: list[Reason] = []
    if cursor < 0:
        reasons.append(_exhausted(grid, order_lots, lots))
        cursor, partial_lots = 0, 0
    floor = _min_notional_units(market, min_notional)
    boundary, lowest_ask_lots, highest_bid_lots = cursor, partial_lots or order_lots, order_lots
    if partial_lots and market.notional_units(grid.prices_ticks[cursor], partial_lots) < floor:
        price_ticks = grid.prices_ticks[cursor]
        reasons.append(_below_minimum(market, Side.SELL, cursor, price_ticks, partial_lots, floor))
        boundary, lowest_ask_lots, highest_bid_lots = cursor + 1, order_lots, order_lots - partial_lots
    elif cursor == grid.n_levels:
        detail = f"no whole lot of {_base_name(market)} to offer"
        reasons.append(Reason(ReasonCode.BALANCE_TOO_SMALL, market.coin, Side.SELL, detail=detail))
    reach = grid.n_levels if active_levels is None else active_levels
    asks = _asks(grid, order_lots, lowest_ask_lots, boundary, reach, floor, reasons)
    bids = _bids(grid, order_lots, highest_bid_lots, quote, boundary, reach, floor, reasons)
    return Ladder(cursor, boundary, (*asks, *bids), tuple(reasons), partial_lots, market.dust_in(base))


def boundary_level(own_orders: Iterable[OwnOrder], n_levels: int) -> int:
    """Where the resting asks begin: the level of the lowest, `n_levels` where there is none.

    A cross-check of `Ladder.boundary`, which follows from inventory alone: once everything rests, the two agree, unless
    even a full order at the boundary is below the minimum notional.
    """
    return min((order.slot for order in own_orders if order.side is Side.SELL), default=n_levels)


def _asks(
    grid: PricingGrid,
    order_lots: int,
    lowest_lots: int,
    boundary: int,
    reach: int,
    floor: int,
    reasons: list[Reason],
) -> list[DesiredOrder]:
    """Full asks from the boundary up; the one at the boundary, `lowest_lots`, may be partial."""
    market = grid.market
    orders: list[DesiredOrder] = []
    too_small = 0
    end = min(grid.n_levels, boundary + reach)
    for level in range(boundary, end):
        price_ticks = grid.prices_ticks[level]
        size_lots = lowest_lots if level == boundary else order_lots
        if market.notional_units(price_ticks, size_lots) >= floor:
            orders.append(DesiredOrder(Side.SELL, level, price_ticks, size_lots))
        else:
            too_small += 1
    if too_small:
        reasons.append(_levels_below_minimum(market, Side.SELL, order_lots, too_small, floor))
    if end < grid.n_levels:
        reasons.append(_outside(market, Side.SELL, grid.n_levels - end, reach))
    return orders


def _bids(
    grid: PricingGrid,
    order_lots: int,
    highest_lots: int,
    quote: Amount,
    boundary: int,
    reach: int,
    floor: int,
    reasons: list[Reason],
) -> list[DesiredOrder]:
    """Bids from below the boundary down while the quote lasts; the highest, `highest_lots`, may be partial."""
    market = grid.market
    orders: list[DesiredOrder] = []
    left = quote
    end = max(0, boundary - reach)
    for level in range(boundary - 1, end - 1, -1):
        price_ticks = grid.prices_ticks[level]
        wanted_lots = highest_lots if level == boundary - 1 else order_lots
        if market.notional_units(price_ticks, wanted_lots) < floor:
            if wanted_lots < order_lots:  # Too small alone; the full orders below it may not be.
                reasons.append(_below_minimum(market, Side.BUY, level, price_ticks, wanted_lots, floor))
                continue
            reasons.append(_levels_below_minimum(market, Side.BUY, order_lots, level + 1, floor))
            return orders
        size_lots = min(wanted_lots, market.lots_affordable(left, price_ticks))
        if size_lots == 0 or market.notional_units(price_ticks, size_lots) < floor:
            reasons.append(_quote_ends(market, left, level + 1))
            return orders
        orders.append(DesiredOrder(Side.BUY, level, price_ticks, size_lots))
        left = left - market.quote_amount(price_ticks, size_lots)
        if size_lots < wanted_lots:
            if level > 0:
                reasons.append(_quote_ends(market, left, level))
            return orders
    if end > 0:
        reasons.append(_outside(market, Side.BUY, end, reach))
    if boundary == 0:
        detail = f"all {grid.n_levels} levels are asks"
        reasons.append(Reason(ReasonCode.GRID_EXHAUSTED, market.coin, Side.BUY, detail=detail))
    return orders


def _min_notional_units(market: Market, min_notional: Decimal | None) -> int:
    """The larger of the two minima in 10^-notional_decimals, rounded up: a strategy may ask for more, not for less."""
    smallest = market.min_notional if min_notional is None else max(min_notional, market.min_notional)
    exact = Fraction(smallest) * ten_to(market.notional_decimals)
    return -(-exact.numerator // exact.denominator)


# Reasons, with their numbers


def _exhausted(grid: PricingGrid, order_lots: int, lots: int) -> Reason:
    market = grid.market
    capacity_lots = grid.n_levels * order_lots
    return Reason(
        ReasonCode.GRID_EXHAUSTED,
        market.coin,
        Side.SELL,
        detail=f"{market.size(lots)} {_base_name(market)} owned, the {grid.n_levels} levels hold "
        f"{market.size(capacity_lots)}: {market.size(lots - capacity_lots)} is not offered",
    )


def _below_minimum(
    market: Market, side: Side, level: int, price_ticks: int, size_lots: int, floor: int
) -> Reason:
    worth = _in_quote(market, market.notional_units(price_ticks, size_lots))
    return Reason(
        ReasonCode.BELOW_MIN_NOTIONAL,
        market.coin,
        side,
        level,
        f"{market.size(size_lots)} at {market.price(price_ticks)} is worth {worth}, the minimum is "
        f"{_in_quote(market, floor)}",
    )


def _levels_below_minimum(market: Market, side: Side, order_lots: int, count: int, floor: int) -> Reason:
    return Reason(
        ReasonCode.BELOW_MIN_NOTIONAL,
        market.coin,
        side,
        detail=f"{market.size(order_lots)} is worth less than the minimum of {_in_quote(market, floor)} on {count} "
        "levels",
    )


def _quote_ends(market: Market, left: Amount, level_count: int) -> Reason:
    units = Decimal(left.units).scaleb(-left.token.wei_decimals)
    return Reason(
        ReasonCode.BALANCE_TOO_SMALL,
        market.coin,
        Side.BUY,
        detail=f"{units} {left.token.name} left does not pay for the {level_count} lowest levels",
    )


def _outside(market: Market, side: Side, count: int, reach: int) -> Reason:
    return Reason(
        ReasonCode.OUTSIDE_WINDOW,
        market.coin,
        side,
        detail=f"{count} levels lie beyond the {reach} active ones",
    )


def _in_quote(market: Market, notional_units: int) -> str:
    value = Decimal(notional_units).scaleb(-market.notional_decimals).normalize()
    return f"{value:f} {market.quote.name}"


def _base_name(market: Market) -> str:
    assert market.base is not None, market.coin
    return market.base.name
