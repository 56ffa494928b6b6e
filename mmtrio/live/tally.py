"""What the fills of one market came to. Bounded, however long a run lasts: sums, and no fill is kept."""

from __future__ import annotations

from decimal import Decimal

import attrs

from mmtrio.core.events import Fill
from mmtrio.core.market import Market
from mmtrio.core.types import Side


@attrs.define
class FillTally:
    """Adds up fills in exact units. Fees are within `base_units` and `quote_units` already, and listed beside them."""

    market: Market
    fills: int = attrs.field(default=0, init=False)
    buys: int = attrs.field(default=0, init=False)
    volume_e8: int = attrs.field(default=0, init=False)
    base_units: int = attrs.field(default=0, init=False)
    """Change of the base balance."""
    quote_units: int = attrs.field(default=0, init=False)
    base_fee_units: int = attrs.field(default=0, init=False)
    quote_fee_units: int = attrs.field(default=0, init=False)
    last_price_ticks: int | None = attrs.field(default=None, init=False)

    def add(self, fill: Fill) -> None:
        """Count one fill of this market, once."""
        market = self.market
        assert market.base is not None, market
        assert fill.coin == market.coin, fill
        self.fills += 1
        self.buys += fill.side is Side.BUY
        self.volume_e8 += market.value_e8(fill.price_ticks, fill.size_lots)
        self.last_price_ticks = fill.price_ticks
        if fill.side is Side.BUY:
            self.base_units += market.base_amount(fill.size_lots).units
            self.quote_units -= market.quote_amount(fill.price_ticks, fill.size_lots).units
        else:
            self.base_units -= market.base_amount(fill.size_lots).units
            self.quote_units += market.quote_received(fill.price_ticks, fill.size_lots).units
        if fill.fee_token == market.base.index:
            self.base_units -= fill.fee_units
            self.base_fee_units += fill.fee_units
        elif fill.fee_token == market.quote.index:
            self.quote_units -= fill.fee_units
            self.quote_fee_units += fill.fee_units

    def fees_at(self, mid: Decimal | None) -> Decimal:
        """Fees in quote, those in base valued at `mid`; without one only those in quote."""
        return self._valued(self.base_fee_units, self.quote_fee_units, mid)

    def pnl_at(self, mid: Decimal | None) -> Decimal:
        """Change of quote plus change of base at `mid`."""
        return self._valued(self.base_units, self.quote_units, mid)

    def _valued(self, base_units: int, quote_units: int, mid: Decimal | None) -> Decimal:
        assert self.market.base is not None, self.market
        value = Decimal(quote_units).scaleb(-self.market.quote.wei_decimals)
        if mid is not None:
            value += Decimal(base_units).scaleb(-self.market.base.wei_decimals) * mid
        return value
