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

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate

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


class QuotingEngine:
    """The ladder of one grid. What does not depend on the inventory is made once, so that a requote costs what
    changes and not what the ladder is long: a side is a slice of orders made before, its cost a difference of sums.

    Args:
        grid: the levels.
        order_lots: what a full order holds.
        active_levels: how many levels of each side are shown; None shows all.
        min_notional: an order below the larger of this and the market's own is left out, with its reason.
    """

    def __init__(
        self,
        grid: PricingGrid,
        order_lots: int,
        *,
        active_levels: int | None = None,
        min_notional: Decimal | None = None,
    ) -> None:
        assert order_lots > 0, order_lots
        assert active_levels is None or active_levels > 0, active_levels
        market = grid.market
        self.grid = grid
        self.order_lots = order_lots
        self._reach = grid.n_levels if active_levels is None else active_levels
        self._floor = _min_notional_units(market, min_notional)
        self._full_asks = _full_orders(grid, Side.SELL, order_lots)
        self._full_bids = _full_orders(grid, Side.BUY, order_lots)
        costs = (market.quote_amount(price_ticks, order_lots).units for price_ticks in grid.prices_ticks)
        self._cost_below = tuple(accumulate(costs, initial=0))
        """Units of quote that full bids on all levels below this one cost."""
        self._lowest_full = bisect_left(
            grid.prices_ticks, self._floor, key=lambda price_ticks: market.notional_units(price_ticks, order_lots)
        )
        """The lowest level where a full order meets the minimum; prices ascend, so all above do."""

    def ladder(self, base: Amount, quote: Amount) -> Ladder:
        """Spread `base` and `quote` over the grid."""
        grid, market = self.grid, self.grid.market
        lots = market.lots_in(base)
        n_full, partial_lots = divmod(lots, self.order_lots)
        cursor = grid.n_levels - n_full - (1 if partial_lots else 0)
        reasons: list[Reason] = []
        if cursor < 0:
            reasons.append(_exhausted(grid, self.order_lots, lots))
            cursor, partial_lots = 0, 0
        boundary, lowest_ask_lots, highest_bid_lots = cursor, partial_lots or self.order_lots, self.order_lots
        if partial_lots and not self._is_large_enough(cursor, partial_lots):
            reasons.append(self._below_minimum(Side.SELL, cursor, partial_lots))
            boundary, lowest_ask_lots, highest_bid_lots = cursor + 1, self.order_lots, self.order_lots - partial_lots
        elif cursor == grid.n_levels:
            detail = f"no whole lot of {_base_name(market)} to offer"
            reasons.append(Reason(ReasonCode.BALANCE_TOO_SMALL, market.coin, Side.SELL, detail=detail))
        asks = self._asks(boundary, lowest_ask_lots, reasons)
        bids = self._bids(boundary, highest_bid_lots, quote, reasons)
        return Ladder(cursor, boundary, (*asks, *bids), tuple(reasons), partial_lots, market.dust_in(base))

    def _asks(self, boundary: int, lowest_lots: int, reasons: list[Reason]) -> Sequence[DesiredOrder]:
        """Full asks from the boundary up; the one at the boundary, `lowest_lots`, may be partial."""
        n_levels, first = self.grid.n_levels, boundary
        end = min(n_levels, boundary + self._reach)
        partial: tuple[DesiredOrder, ...] = ()
        if lowest_lots < self.order_lots:
            partial = (attrs.evolve(self._full_asks[boundary], size_lots=lowest_lots),)
            first += 1
        placed_from = min(max(first, self._lowest_full), end)
        if placed_from > first:
            reasons.append(self._levels_below_minimum(Side.SELL, placed_from - first))
        if end < n_levels:
            reasons.append(self._outside(Side.SELL, n_levels - end))
        return (*partial, *self._full_asks[placed_from:end])

    def _bids(
        self, boundary: int, highest_lots: int, quote: Amount, reasons: list[Reason]
    ) -> Sequence[DesiredOrder]:
        """Bids from below the boundary down while the quote lasts; the highest, `highest_lots`, may be partial."""
        top, left = boundary, quote  # Levels below `top` are bid in full; `left` pays for them.
        end = max(0, boundary - self._reach)
        partial: tuple[DesiredOrder, ...] = ()
        if highest_lots < self.order_lots:
            top -= 1
            if not self._is_large_enough(top, highest_lots):  # The full orders below it may be.
                reasons.append(self._below_minimum(Side.BUY, top, highest_lots))
            else:
                partial = self._bid_for_the_rest(top, highest_lots, left)
                left -= self._cost_of(partial)
                if not partial or partial[0].size_lots < highest_lots:
                    self._note_quote_ends(left, top if partial else top + 1, reasons)
                    return partial
        placed_to = min(max(end, self._lowest_full), top)
        paid_to = bisect_left(self._cost_below, self._cost_below[top] - max(0, left.units), placed_to, top)
        last: tuple[DesiredOrder, ...] = ()
        if paid_to > placed_to:
            left -= Amount(left.token, self._cost_below[top] - self._cost_below[paid_to])
            last = self._bid_for_the_rest(paid_to - 1, self.order_lots, left)
            left -= self._cost_of(last)
            self._note_quote_ends(left, paid_to - len(last), reasons)
        elif placed_to > end:
            reasons.append(self._levels_below_minimum(Side.BUY, placed_to))
        elif end > 0:
            reasons.append(self._outside(Side.BUY, end))
        elif boundary == 0:
            detail = f"all {self.grid.n_levels} levels are asks"
            reasons.append(Reason(ReasonCode.GRID_EXHAUSTED, self.grid.market.coin, Side.BUY, detail=detail))
        return (*partial, *reversed(self._full_bids[paid_to:top]), *last)

    def _bid_for_the_rest(self, level: int, wanted_lots: int, left: Amount) -> tuple[DesiredOrder, ...]:
        """One bid for as much as `left` pays for, or none where that is below the minimum."""
        size_lots = min(wanted_lots, self.grid.market.lots_affordable(left, self.grid.prices_ticks[level]))
        if size_lots == 0 or not self._is_large_enough(level, size_lots):
            return ()
        return (attrs.evolve(self._full_bids[level], size_lots=size_lots),)

    def _cost_of(self, bids: tuple[DesiredOrder, ...]) -> Amount:
        market = self.grid.market
        costs = (market.quote_amount(bid.price_ticks, bid.size_lots) for bid in bids)
        return sum(costs, start=Amount(market.quote, 0))

    def _is_large_enough(self, level: int, size_lots: int) -> bool:
        return self.grid.market.notional_units(self.grid.prices_ticks[level], size_lots) >= self._floor

    # Reasons, with their numbers

    def _below_minimum(self, side: Side, level: int, size_lots: int) -> Reason:
        market, price_ticks = self.grid.market, self.grid.prices_ticks[level]
        worth = _in_quote(market, market.notional_units(price_ticks, size_lots))
        return Reason(
            ReasonCode.BELOW_MIN_NOTIONAL,
            market.coin,
            side,
            level,
            f"{market.size(size_lots)} at {market.price(price_ticks)} is worth {worth}, the minimum is "
            f"{_in_quote(market, self._floor)}",
        )

    def _levels_below_minimum(self, side: Side, count: int) -> Reason:
        market = self.grid.market
        return Reason(
            ReasonCode.BELOW_MIN_NOTIONAL,
            market.coin,
            side,
            detail=f"{market.size(self.order_lots)} is worth less than the minimum of "
            f"{_in_quote(market, self._floor)} on {count} levels",
        )

    def _note_quote_ends(self, left: Amount, level_count: int, reasons: list[Reason]) -> None:
        if level_count == 0:
            return  # It ends with the ladder.
        units = Decimal(left.units).scaleb(-left.token.wei_decimals)
        detail = f"{units} {left.token.name} left does not pay for the {level_count} lowest levels"
        reasons.append(
            Reason(ReasonCode.BALANCE_TOO_SMALL, self.grid.market.coin, Side.BUY, detail=detail)
        )

    def _outside(self, side: Side, count: int) -> Reason:
        detail = f"{count} levels lie beyond the {self._reach} active ones"
        return Reason(ReasonCode.OUTSIDE_WINDOW, self.grid.market.coin, side, detail=detail)


def build_ladder(
    grid: PricingGrid,
    order_lots: int,
    base: Amount,
    quote: Amount,
    *,
    active_levels: int | None = None,
    min_notional: Decimal | None = None,
) -> Ladder:
    """One look at a ladder; whoever looks again keeps a `QuotingEngine`."""
    engine = QuotingEngine(grid, order_lots, active_levels=active_levels, min_notional=min_notional)
    return engine.ladder(base, quote)


def boundary_level(own_orders: Iterable[OwnOrder], n_levels: int) -> int:
    """Where the resting asks begin: the level of the lowest, `n_levels` where there is none.

    A cross-check of `Ladder.boundary`, which follows from inventory alone: once everything rests, the two agree, unless
    even a full order at the boundary is below the minimum notional.
    """
    return min((order.slot for order in own_orders if order.side is Side.SELL), default=n_levels)


def _full_orders(grid: PricingGrid, side: Side, order_lots: int) -> tuple[DesiredOrder, ...]:
    return tuple(
        DesiredOrder(side, level, price_ticks, order_lots) for level, price_ticks in enumerate(grid.prices_ticks)
    )


def _min_notional_units(market: Market, min_notional: Decimal | None) -> int:
    """The larger of the two minima in 10^-notional_decimals, rounded up: a strategy may ask for more, not for less."""
    smallest = market.min_notional if min_notional is None else max(min_notional, market.min_notional)
    exact = Fraction(smallest) * ten_to(market.notional_decimals)
    return -(-exact.numerator // exact.denominator)


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


def _in_quote(market: Market, notional_units: int) -> str:
    value = Decimal(notional_units).scaleb(-market.notional_decimals).normalize()
    return f"{value:f} {market.quote.name}"


def _base_name(market: Market) -> str:
    assert market.base is not None, market.coin
    return market.base.name
