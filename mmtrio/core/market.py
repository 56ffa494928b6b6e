"""One market's numbers: what a tick, a lot and a quote unit are, and which prices are valid.

Source of the rules: the venue's "Tick and lot size" page (protocol section 10).
"""

from __future__ import annotations

import enum
from decimal import Decimal
from fractions import Fraction

import attrs

from mmtrio.core.types import Amount, Coin, Side, Token

SIGNIFICANT_FIGURES = 5
_SPOT_MAX_DECIMALS = 8
_PERP_MAX_DECIMALS = 6
_EXPONENT_MAX = 40


def ten_to(exponent: int) -> int:
    """10^exponent as an integer; the exponent is not negative."""
    assert exponent >= 0, exponent
    power: int = 10**exponent
    return power


def significant_step(price_ticks: int) -> int:
    """The place of the fifth significant figure: 10 for 123456, 1 for anything below 100000."""
    digits = len(str(price_ticks)) if price_ticks > 0 else 1
    return ten_to(max(0, digits - SIGNIFICANT_FIGURES))


class MarketKind(enum.Enum):
    SPOT = "spot"
    PERP = "perp"


@attrs.frozen
class Market:
    """A market as the venue's metadata describes it.

    `coin` is its name on the wire, `name` the one for people (`HYPE/USDC`), `asset` the id orders carry.
    A tick is 10^-price_decimals quote per base; a lot is 10^-size_decimals base. Their product is exact in
    10^-notional_decimals quote (8 on spot, 6 on perps).
    """

    coin: Coin
    name: str
    asset: int
    kind: MarketKind
    size_decimals: int
    base: Token | None
    """None on a perp: its position is not a token."""
    quote: Token
    min_notional: Decimal = Decimal(10)
    """In quote; the venue refuses orders below it."""
    max_leverage: int = 1
    is_delisted: bool = False

    def __attrs_post_init__(self) -> None:
        if not 0 <= self.size_decimals <= self._max_decimals:
            raise ValueError(
                f"{self.coin}: szDecimals {self.size_decimals} is outside 0..{self._max_decimals}"
            )
        if self.kind is MarketKind.SPOT and self.base is None:
            raise ValueError(f"{self.coin}: a spot market has a base token")
        if self.base is not None and self.base.wei_decimals < self.size_decimals:
            raise ValueError(
                f"{self.coin}: a lot of 10^-{self.size_decimals} is finer than {self.base.name}'s unit of "
                f"10^-{self.base.wei_decimals}"
            )

    @property
    def _max_decimals(self) -> int:
        return _SPOT_MAX_DECIMALS if self.kind is MarketKind.SPOT else _PERP_MAX_DECIMALS

    @property
    def price_decimals(self) -> int:
        return self._max_decimals - self.size_decimals

    @property
    def notional_decimals(self) -> int:
        return self._max_decimals

    # Prices

    def is_valid_price(self, price_ticks: int) -> bool:
        """At most five significant figures, or an integer. (Decimals are right by construction.)"""
        return price_ticks > 0 and price_ticks % self._step_ticks(price_ticks) == 0

    def round_price_passively(self, price: Fraction | Decimal, side: Side) -> int:
        """The valid price in ticks nearest to `price` that is not more aggressive: down for a bid, up for an ask.

        Raises:
            ValueError: the price rounds to nothing, is not positive, or is no number (NaN, infinite).
        """
        exact_ticks = self._exact(price) * ten_to(self.price_decimals)
        if exact_ticks <= 0:
            raise ValueError(f"{self.coin}: a price must be positive, not {price}")
        step = self._step_ticks(int(exact_ticks))
        below = int(exact_ticks / step) * step
        if side is Side.SELL and below != exact_ticks:
            return below + step  # May be the next power of ten, which is valid too.
        if below == 0:
            raise ValueError(f"{self.coin}: {price} is below the smallest price")
        return below

    def price_ticks_exactly(self, price: Decimal) -> int:
        """`price` in ticks. Raises ValueError, with the nearest valid prices, where the venue would refuse it."""
        exact_ticks = self._exact(price) * ten_to(self.price_decimals)
        if exact_ticks <= 0:
            raise ValueError(f"{self.coin}: a price must be positive, not {price}")
        if exact_ticks.denominator == 1 and self.is_valid_price(int(exact_ticks)):
            return int(exact_ticks)
        above = self.price(self.round_price_passively(price, Side.SELL))
        if exact_ticks < 1:
            raise ValueError(f"{self.coin} has no price {price}; the smallest is {above.normalize():f}")
        below = self.price(self.round_price_passively(price, Side.BUY))
        raise ValueError(
            f"{self.coin} has no price {price}; the nearest are {below.normalize():f} and {above.normalize():f}"
        )

    def price(self, price_ticks: int) -> Decimal:
        """For people: the price in quote per base."""
        return Decimal(price_ticks).scaleb(-self.price_decimals)

    def _step_ticks(self, price_ticks: int) -> int:
        """Distance between valid prices at this magnitude: five significant figures, but integers always count."""
        return min(significant_step(price_ticks), ten_to(self.price_decimals))

    def _exact(self, number: Fraction | Decimal) -> Fraction:
        if isinstance(number, Decimal):
            # 1e999999999 is a number, but as an integer it would fill the memory.
            if not number.is_finite() or abs(number.adjusted()) > _EXPONENT_MAX:
                raise ValueError(f"{self.coin}: {number} is not a number one can trade")
        return Fraction(number)

    # Sizes

    def size_lots_exactly(self, size: Decimal) -> int:
        """`size` in lots. Raises ValueError where it is not a whole positive number of lots."""
        exact_lots = self._exact(size) * ten_to(self.size_decimals)
        if exact_lots.denominator != 1 or exact_lots <= 0:
            lot = Decimal(1).scaleb(-self.size_decimals)
            raise ValueError(f"{self.coin} trades in lots of {lot.normalize():f}, not {size}")
        return int(exact_lots)

    def size(self, size_lots: int) -> Decimal:
        """For people: the size in base."""
        return Decimal(size_lots).scaleb(-self.size_decimals)

    def lots_in(self, base: Amount) -> int:
        """Whole lots in a balance of the base token: the one place where a balance becomes a size. Floor."""
        self._require_base(base)
        return max(0, base.units) // self._units_per_lot

    def dust_in(self, base: Amount) -> Amount:
        """What `lots_in` leaves behind: owned, but too small to sell."""
        self._require_base(base)
        return Amount(base.token, max(0, base.units) % self._units_per_lot)

    def base_amount(self, size_lots: int) -> Amount:
        assert self.base is not None, self.coin
        return Amount(self.base, size_lots * self._units_per_lot)

    @property
    def _units_per_lot(self) -> int:
        assert self.base is not None, self.coin
        return ten_to(self.base.wei_decimals - self.size_decimals)

    def _require_base(self, amount: Amount) -> None:
        if amount.token != self.base:
            raise TypeError(f"{self.coin}: {amount.token.name} is not its base token")

    # Value

    def notional_units(self, price_ticks: int, size_lots: int) -> int:
        """Value in quote, in 10^-notional_decimals; exact."""
        return price_ticks * size_lots

    def quote_amount(self, price_ticks: int, size_lots: int) -> Amount:
        """Quote tokens needed to pay for it: exact, or rounded up where the token has fewer decimals."""
        shift = self.quote.wei_decimals - self.notional_decimals
        notional = price_ticks * size_lots
        units = notional * ten_to(shift) if shift >= 0 else -(-notional // ten_to(-shift))
        return Amount(self.quote, units)

    def quote_received(self, price_ticks: int, size_lots: int) -> Amount:
        """Quote tokens a sale brings, before its fee: exact, or rounded down where the token has fewer decimals."""
        shift = self.quote.wei_decimals - self.notional_decimals
        notional = price_ticks * size_lots
        return Amount(self.quote, notional * ten_to(shift) if shift >= 0 else notional // ten_to(-shift))

    def value_e8(self, price_ticks: int, size_lots: int) -> int:
        """Value in 10^-8 quote units, the common scale of all markets."""
        return price_ticks * size_lots * ten_to(8 - self.notional_decimals)

    def meets_min_notional(self, price_ticks: int, size_lots: int) -> bool:
        return price_ticks * size_lots >= Fraction(self.min_notional) * ten_to(self.notional_decimals)

    def lots_affordable(self, quote: Amount, price_ticks: int) -> int:
        """Whole lots that `quote` pays for at this price."""
        if quote.token != self.quote:
            raise TypeError(f"{self.coin}: {quote.token.name} is not its quote token")
        shift = self.notional_decimals - self.quote.wei_decimals
        notional = (
            max(0, quote.units) * ten_to(shift) if shift >= 0 else max(0, quote.units) // ten_to(-shift)
        )
        return notional // price_ticks
