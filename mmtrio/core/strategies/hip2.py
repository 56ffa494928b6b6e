"""HIP-2 "Hyperliquidity" as a strategy: a fixed ladder, on which inventory decides what is bid and what is asked."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import attrs

from mmtrio.core.market import Market, MarketKind
from mmtrio.core.pricing_grid import SPACING, GridError, PricingGrid, Rounding
from mmtrio.core.quoting_engine import Ladder, QuotingEngine, boundary_level
from mmtrio.core.strategy import Quotes, View
from mmtrio.core.types import Amount


@attrs.frozen
class Hip2Params:
    """The deployment parameters of HIP-2, under the venue's names."""

    start_px: Decimal
    """Price of the lowest level."""
    n_orders: int
    """Levels of the ladder."""
    order_sz: Decimal
    """Base per level."""
    spacing: Fraction = SPACING
    """Step between levels as a part of the price."""
    rounding: Rounding = Rounding.NEAREST
    n_seeded_levels: int = 0
    """Levels that start as bids. Says what `Hip2.funding` is; the ladder itself follows from the inventory."""
    active_levels: int | None = None
    """Levels shown on each side; None shows all."""
    min_notional: Decimal | None = None
    """Smallest order in quote; None takes the market's, which also wins where it is larger."""


class Hip2:
    """The strategy. Its slots are the levels of the ladder, 0 the lowest.

    Raises:
        ValueError: the parameters make no ladder on this market (GridError), or orders that the venue refuses; the
            message names the cure.
    """

    def __init__(self, market: Market, params: Hip2Params) -> None:
        self.market = market
        self.params = params
        self.grid = PricingGrid.build(
            market, params.start_px, params.n_orders, params.spacing, params.rounding
        )
        self.order_lots = market.size_lots_exactly(params.order_sz)
        self._check()
        self._engine = QuotingEngine(
            self.grid, self.order_lots, active_levels=params.active_levels, min_notional=params.min_notional
        )

    @property
    def name(self) -> str:
        return "hip2"

    @property
    def requires_market_data(self) -> bool:
        """On spot the ladder follows from inventory alone, and needs no price."""
        return self.market.kind is MarketKind.PERP

    def quote(self, view: View) -> Quotes:
        ladder = self.ladder(view)
        return Quotes(ladder.orders, ladder.reasons)

    def ladder(self, view: View) -> Ladder:
        """What `quote` rests on, for those who explain it."""
        return self._engine.ladder(view.base, view.quote)

    def boundary_level(self, view: View) -> int:
        """The level where the orders at the venue begin to be asks: a cross-check of the ladder's cursor."""
        return boundary_level(view.own_orders, self.grid.n_levels)

    def summary(self, view: View) -> str:
        """Cursor and partial ask by inventory, the boundary that the resting orders show, and what no order holds.

        `cursor` and `boundary` agree once everything rests; where they stay apart, look at the orders.
        """
        ladder = self.ladder(view)
        dust = Decimal(ladder.dust.units).scaleb(-ladder.dust.token.wei_decimals)
        return (
            f"cursor={ladder.boundary} boundary={self.boundary_level(view)} levels={self.grid.n_levels} "
            f"partial={self.market.size(ladder.partial_lots)} dust={dust:f}"
        )

    def funding(self) -> tuple[Amount, Amount]:
        """(base, quote) that put the cursor at `n_seeded_levels`, with a full order on every level, before fees."""
        seeded = self.params.n_seeded_levels
        quote = Amount(self.market.quote, 0)
        for price_ticks in self.grid.prices_ticks[:seeded]:
            quote = quote + self.market.quote_amount(price_ticks, self.order_lots)
        return self.market.base_amount((self.grid.n_levels - seeded) * self.order_lots), quote

    def _check(self) -> None:
        params, market = self.params, self.market
        if not 0 <= params.n_seeded_levels <= params.n_orders:
            raise GridError(
                f"{market.coin}: n_seeded_levels is {params.n_seeded_levels}; it lies between 0 and n_orders "
                f"({params.n_orders})"
            )
        if params.active_levels is not None and params.active_levels < 1:
            raise GridError(
                f"{market.coin}: active_levels is {params.active_levels}; show 1 level a side at least"
            )
        if params.min_notional is not None and not (
            params.min_notional.is_finite() and params.min_notional >= 0
        ):
            raise GridError(
                f"{market.coin}: min_notional is {params.min_notional}; it is a number, 0 or more"
            )
        smallest = max(params.min_notional or Decimal(0), market.min_notional)
        lowest = market.price(self.grid.prices_ticks[0])
        if Fraction(params.order_sz) * Fraction(lowest) < Fraction(smallest):
            needed = Fraction(smallest) / Fraction(lowest)
            needed_lots = -(-needed * 10**market.size_decimals // 1)
            raise GridError(
                f"{market.coin}: order_sz {params.order_sz} at start_px {params.start_px} is worth less than the "
                f"minimum of {smallest} {market.quote.name}: raise order_sz to {market.size(int(needed_lots)):f} "
                "at least, or start higher"
            )
