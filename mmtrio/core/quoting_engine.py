"""HIP-2: a ladder and an inventory in, the orders to rest out. Nothing is remembered between two calls.

The base that is owned fills the ladder from its top: so many full asks, and one partial ask for what is left. The
level of that lowest ask is the *cursor*; everything below it is bid, from the cursor down, while the quote lasts.
A fill moves the inventory, hence the cursor, hence the side of a level; the levels themselves never move
(protocol 14).
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
    """The lowest level of the asks, placed or not; the number of levels where there is no base to sell."""
    orders: tuple[DesiredOrder, ...]
    """Asks from the cursor up, then bids from the cursor down. No level on both sides."""
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
    reach = grid.n_levels if active_levels is None else active_levels
    floor = _min_notional_units(market, min_notional)
    asks = _asks(grid, order_lots, partial_lots, cursor, reach, floor, reasons)
    bids = _bids(grid, order_lots, quote, cursor, reach, floor, reasons)
    return Ladder(cursor, (*asks, *bids), tuple(reasons), partial_lots, market.dust_in(base))


def boundary_level(own_orders: Iterable[OwnOrder], n_levels: int) -> int:
    """Where the resting asks begin: the level of the lowest, `n_levels` where there is none.

    A cross-check of the cursor, which follows from inventory alone: once everything rests, the two agree, unless the
    partial ask was too small to place.
    """
    return min((order.slot for order in own_orders if order.side is Side.SELL), default=n_levels)


def _asks(
    grid: PricingGrid,
    order_lots: int,
    partial_lots: int,
    cursor: int,
    reach: int,
    floor: int,
    reasons: list[Reason],
) -> list[DesiredOrder]:
    market = grid.market
    orders: list[DesiredOrder] = []
    too_small = 0
    end = min(grid.n_levels, cursor + reach)
    for level in range(cursor, end):
        price_ticks = grid.prices_ticks[level]
        is_partial = level == cursor and partial_lots > 0
        size_lots = partial_lots if is_partial else order_lots
        if market.notional_units(price_ticks, size_lots) >= floor:
            orders.append(DesiredOrder(Side.SELL, level, price_ticks, size_lots))
        elif is_partial:
            reasons.append(_below_minimum(market, Side.SELL, level, price_ticks, size_lots, floor))
        else:
            too_small += 1
    if too_small:
        reasons.append(_levels_below_minimum(market, Side.SELL, order_lots, too_small, floor))
    if cursor == grid.n_levels:
        detail = f"no whole lot of {_base_name(market)} to offer"
        reasons.append(Reason(ReasonCode.BALANCE_TOO_SMALL, market.coin, Side.SELL, detail=detail))
    if end < grid.n_levels:
        reasons.append(_outside(market, Side.SELL, grid.n_levels - end, reach))
    return orders


def _bids(
    grid: PricingGrid,
    order_lots: int,
    quote: Amount,
    cursor: int,
    reach: int,
    floor: int,
    reasons: list[Reason],
) -> list[DesiredOrder]:
    market = grid.market
    orders: list[DesiredOrder] = []
    left = quote
    end = max(0, cursor - reach)
    for level in range(cursor - 1, end - 1, -1):
        price_ticks = grid.prices_ticks[level]
        cost = market.quote_amount(price_ticks, order_lots)
        size_lots = order_lots if cost <= left else market.lots_affordable(left, price_ticks)
        if market.notional_units(price_ticks, size_lots) < floor or size_lots == 0:
            if (
                size_lots == order_lots
            ):  # It is the order size that is too small, here and on all levels below.
                reasons.append(_levels_below_minimum(market, Side.BUY, order_lots, level + 1, floor))
            else:
                reasons.append(_quote_ends(market, left, level + 1))
            return orders
        orders.append(DesiredOrder(Side.BUY, level, price_ticks, size_lots))
        if size_lots < order_lots:
            if level > 0:
                left = left - market.quote_amount(price_ticks, size_lots)
                reasons.append(_quote_ends(market, left, level))
            return orders
        left = left - cost
    if end > 0:
        reasons.append(_outside(market, Side.BUY, end, reach))
    if cursor == 0:
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
