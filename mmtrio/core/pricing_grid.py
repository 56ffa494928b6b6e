"""The fixed ladder of HIP-2: px_0 = start_px, px_i = round(px_(i-1) x (1 + spacing)).

Each level follows from the rounded one below it, so a ladder is reproduced only by repeating the venue's rounding
step by step. The venue has been seen to round both ways (protocol 14 and appendix D), hence `Rounding`.
"""

from __future__ import annotations

import enum
from bisect import bisect_left, bisect_right
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import attrs

from mmtrio.core.market import Market, significant_step

LEVELS_MAX = 100_000
PRICE_TICKS_MAX = 2**63 - 1
"""Prices are carried and stored as signed 64-bit integers."""

SPACING = Fraction(3, 1000)
"""HIP-2's own: 0.3 %."""


class Rounding(enum.Enum):
    """How a level's exact price becomes one of five significant figures."""

    NEAREST = "nearest"  # ties away from zero
    TRUNCATE = "truncate"


class GridError(ValueError):
    """No such ladder can be built. The message names the cure."""


@attrs.frozen
class PricingGrid:
    """The prices of all levels, level 0 the lowest.

    Levels never move; inventory only decides which are bids and which are asks.
    """

    market: Market
    prices_ticks: tuple[int, ...] = attrs.field(repr=False)

    @prices_ticks.validator
    def _ascends(self, _attribute: object, prices_ticks: tuple[int, ...]) -> None:
        if not prices_ticks or prices_ticks[0] <= 0:
            raise GridError(f"{self.market.coin}: a ladder has at least one level, all at positive prices")
        if any(upper <= lower for lower, upper in pairwise(prices_ticks)):
            raise GridError(f"{self.market.coin}: the prices of a ladder ascend strictly")

    @classmethod
    def build(
        cls,
        market: Market,
        start_px: Decimal,
        n_orders: int,
        spacing: Fraction = SPACING,
        rounding: Rounding = Rounding.NEAREST,
    ) -> PricingGrid:
        """The ladder of `n_orders` levels from `start_px` up; `spacing` is a ratio, 3/1000 for 0.3 %.

        Raises:
            GridError: the start price is not valid on this market, two levels would have the same price, or a
                parameter is out of its range.
        """
        _check_parameters(market, n_orders, spacing)
        try:
            price_ticks = market.price_ticks_exactly(start_px)
        except ValueError as error:
            raise GridError(f"start_px: {error}; start at one of these") from None
        prices_ticks = [price_ticks]
        while len(prices_ticks) < n_orders:
            next_ticks = _next_level(price_ticks, spacing, rounding)
            if next_ticks <= price_ticks:
                raise _levels_coincide(market, prices_ticks, spacing, rounding)
            if next_ticks > PRICE_TICKS_MAX:
                raise GridError(
                    f"{market.coin}: level {len(prices_ticks)} of the ladder would be beyond every price that can be "
                    f"represented: lower n_orders ({n_orders}) to {len(prices_ticks)} at most, or spacing "
                    f"({float(spacing):g})"
                )
            prices_ticks.append(next_ticks)
            price_ticks = next_ticks
        return cls(market, tuple(prices_ticks))

    @property
    def n_levels(self) -> int:
        return len(self.prices_ticks)

    def level_for_price(self, price_ticks: int) -> int | None:
        """The level with exactly this price, None where there is none. O(log n)."""
        level = bisect_left(self.prices_ticks, price_ticks)
        if level < self.n_levels and self.prices_ticks[level] == price_ticks:
            return level
        return None

    def level_at_or_below(self, price_ticks: int) -> int | None:
        """The highest level that does not cost more than this, None below the ladder. O(log n)."""
        level = bisect_right(self.prices_ticks, price_ticks) - 1
        return level if level >= 0 else None


def _check_parameters(market: Market, n_orders: int, spacing: Fraction) -> None:
    if not 1 <= n_orders <= LEVELS_MAX:
        raise GridError(f"{market.coin}: n_orders is {n_orders}; a ladder has 1 to {LEVELS_MAX} levels")
    if not isinstance(spacing, (Fraction, int)):
        raise GridError(
            f"{market.coin}: spacing is {spacing!r}; give an exact ratio, such as Fraction('0.003')"
        )
    if not 0 < spacing <= 1:
        raise GridError(
            f"{market.coin}: spacing is {float(spacing):g}; it is the step between levels as a part of the price, "
            "above 0 and at most 1 (0.003 for 0.3 %)"
        )


def _next_level(price_ticks: int, spacing: Fraction, rounding: Rounding) -> int:
    """One step up the ladder, in integers throughout.

    Rounds to five significant figures even where whole numbers of more figures are valid prices (above 99999): the
    venue's ladder rule knows significant figures only, and a valid price of five figures is valid everywhere. What
    is left below one tick is rounded away with the same rule, which is the market's limit of decimals.
    """
    numerator = price_ticks * (spacing.numerator + spacing.denominator)
    denominator = spacing.denominator
    step_ticks = significant_step(numerator // denominator)
    divisor = denominator * step_ticks
    if rounding is Rounding.NEAREST:
        return (2 * numerator + divisor) // (2 * divisor) * step_ticks
    return numerator // divisor * step_ticks


def _levels_coincide(
    market: Market, prices_ticks: list[int], spacing: Fraction, rounding: Rounding
) -> GridError:
    price_ticks = prices_ticks[-1]
    level = len(prices_ticks) - 1
    step_ticks = significant_step(price_ticks)
    needed = Fraction(step_ticks, price_ticks)
    if rounding is Rounding.NEAREST:
        needed /= 2
    # Rounded up, so that following the advice works.
    needed_ppm = -(-needed.numerator * 1_000_000 // needed.denominator)
    price, apart = (f"{market.price(ticks).normalize():f}" for ticks in (price_ticks, step_ticks))
    return GridError(
        f"{market.coin}: levels {level} and {level + 1} would both cost {price}, because prices there are {apart} "
        f"apart: raise spacing ({float(spacing):g}) to at least {needed_ppm / 1_000_000:g}, start higher, or lower "
        f"n_orders to {level + 1}"
    )
