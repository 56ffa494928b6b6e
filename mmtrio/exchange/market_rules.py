"""The numbers and rules of one spot market, as this exchange applies them.

Written apart from `core/market.py` on purpose: the exchange examines the market maker, so it must not share the
candidate's arithmetic. Source of the rules: protocol 10 and 13.
"""

from __future__ import annotations

import attrs

from mmtrio.core.types import Coin
from mmtrio.wire.decimals import venue_text, wire_text

SPOT_DECIMALS = 8
"""Decimals of a spot price plus those of its size never exceed this; notionals are exact in 10^-8 quote."""

SPOT_ASSET_OFFSET = 10_000


@attrs.frozen
class SpotToken:
    """A token of the world. `index` is its identity; list positions mean nothing (protocol 16.6)."""

    index: int
    name: str
    size_decimals: int
    wei_decimals: int
    token_id: str
    is_canonical: bool = False
    full_name: str | None = None


@attrs.frozen(eq=False)
class SpotMarket:
    """One pair: prices in ticks of 10^-price_decimals quote, sizes in lots of 10^-size_decimals base."""

    coin: Coin
    index: int
    base: SpotToken
    quote: SpotToken
    reference_ticks: int
    is_canonical: bool = False

    size_decimals: int = attrs.field(init=False)
    price_decimals: int = attrs.field(init=False)
    asset: int = attrs.field(init=False)
    base_units_per_lot: int = attrs.field(init=False)
    _ticks_per_quote: int = attrs.field(init=False)
    _lots_per_base: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        size_decimals = self.base.size_decimals
        if not 0 <= size_decimals <= SPOT_DECIMALS:
            raise ValueError(f"{self.coin}: szDecimals {size_decimals} is outside 0..{SPOT_DECIMALS}")
        if self.base.wei_decimals < size_decimals:
            raise ValueError(f"{self.coin}: a lot is smaller than the smallest unit of {self.base.name}")
        if self.quote.wei_decimals != SPOT_DECIMALS:
            raise ValueError(f"{self.coin}: this exchange settles in quote tokens of 8 decimals only")
        if self.reference_ticks <= 0:
            raise ValueError(f"{self.coin}: the reference price must be positive")
        put = object.__setattr__  # The class is frozen; these follow from its fields.
        put(self, "size_decimals", size_decimals)
        put(self, "price_decimals", SPOT_DECIMALS - size_decimals)
        put(self, "asset", SPOT_ASSET_OFFSET + self.index)
        put(self, "base_units_per_lot", 10 ** (self.base.wei_decimals - size_decimals))
        put(self, "_ticks_per_quote", 10**self.price_decimals)
        put(self, "_lots_per_base", 10**size_decimals)

    @property
    def name(self) -> str:
        """For people: `HYPE/USDC`."""
        return f"{self.base.name}/{self.quote.name}"

    # What arrives: prices and sizes in 10^-8

    def ticks_of(self, price_e8: int) -> int | None:
        """The price in ticks, or None where "Price must be divisible by tick size.": more than five significant
        figures (whole numbers excepted), or too many decimals."""
        ticks, rest = divmod(price_e8, self._lots_per_base)  # 10^-8 / 10^-price_decimals = 10^-size_decimals
        if rest or ticks <= 0:
            return None
        if ticks % self._ticks_per_quote == 0:
            return ticks
        figures = str(ticks).rstrip("0")
        return ticks if len(figures) <= 5 else None

    def lots_of(self, size_e8: int) -> int | None:
        """The size in lots, or None where "Order has invalid size."."""
        lots, rest = divmod(size_e8, self._ticks_per_quote)
        return None if rest else lots

    # What leaves

    def price_text(self, price_ticks: int) -> str:
        """As the venue writes a price: `"34.9"`, `"100.0"`."""
        return venue_text(price_ticks, self.price_decimals)

    def short_price_text(self, price_ticks: int) -> str:
        """As the venue writes a price inside an error text: `"34.9"`, `"100"`."""
        return wire_text(price_ticks, self.price_decimals)

    def size_text(self, size_lots: int) -> str:
        return venue_text(size_lots, self.size_decimals)

    def average_price_text(self, notional_e8: int, size_lots: int) -> str:
        """The mean price of several fills, cut to eight decimals."""
        return venue_text(notional_e8 * self._lots_per_base // size_lots, SPOT_DECIMALS)

    # Money. One tick times one lot is 10^-8 quote, so a notional is an integer of quote units.

    def base_units(self, size_lots: int) -> int:
        return size_lots * self.base_units_per_lot

    def seller_fee_units(self, price_ticks: int, size_lots: int, rate_e6: int) -> int:
        """What a seller pays, in quote units: truncated to eight decimals (protocol 13)."""
        return price_ticks * size_lots * rate_e6 // 1_000_000

    def buyer_fee_units(self, price_ticks: int, size_lots: int, rate_e6: int) -> int:
        """What a buyer pays, in base units: the fee in quote truncated to eight decimals, divided by the price,
        truncated again. Tokens with fewer decimals than eight truncate at their own (protocol 13, 19)."""
        fee_quote_e8 = price_ticks * size_lots * rate_e6 // 1_000_000
        fee_base_e8 = fee_quote_e8 * self._ticks_per_quote // price_ticks
        shift = self.base.wei_decimals - SPOT_DECIMALS
        return fee_base_e8 * 10**shift if shift >= 0 else fee_base_e8 // 10**-shift
