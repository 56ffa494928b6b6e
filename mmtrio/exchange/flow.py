"""Who else trades on the local exchange: seeded makers and takers around a fair value that moves.

Nobody here knows the market maker under test. Makers quote a few levels around the fair value, wider than a tight
grid; takers arrive at random and lift a touch that looks cheap to them. So a grid that quotes inside the makers is
hit on both sides, and one that quotes a wrong price is hit on one. Pure: prices in, actions out, chance from a seed.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

import attrs

from mmtrio.core.types import Address, Coin
from mmtrio.exchange.market_rules import SPOT_DECIMALS, SpotMarket
from mmtrio.exchange.params import MIN_NOTIONAL_QUOTE
from mmtrio.exchange.world import World
from mmtrio.wire.decimals import wire_text

_SIGNIFICANT_FIGURES = 5


class Exchange(Protocol):
    """What a participant sees of the engine: prices, and a place to hand in actions."""

    def best(self, coin: Coin) -> tuple[int | None, int | None]:
        """(best bid, best ask) in ticks."""

    def submit_direct(self, user: Address, action: dict[str, Any], now_ms: int) -> Any: ...


@attrs.frozen
class FlowParams:
    """One market's crowd. Shares are of the price: 0.001 is ten basis points."""

    volatility: float = 0.0005
    """Standard deviation of the fair value's change in one second."""
    reversion_s: float = 20.0
    """How long the fair value stays away from its home: the home is the market's reference price."""
    range_max: float = 0.1
    """The fair value never leaves home by more."""
    maker_half_spread: float = 0.004
    maker_spacing: float = 0.002
    maker_levels: int = 5
    maker_value_usd: float = 4000.0
    """Per level."""
    maker_refresh_s: float = 2.0
    takers_per_s: float = 3.0
    taker_opinion: float = 0.002
    """Takers disagree about the fair value by this standard deviation; each trades where the touch is better."""
    taker_value_usd_min: float = 40.0
    taker_value_usd_max: float = 400.0

    def __attrs_post_init__(self) -> None:
        for name in ("reversion_s", "maker_refresh_s", "taker_value_usd_min"):
            if getattr(self, name) <= 0:
                raise ValueError(f"flow: {name} must be positive, not {getattr(self, name)}")
        if not 0 <= self.range_max < 1:
            raise ValueError(f"flow: range_max must be in [0, 1), not {self.range_max}")


class FairValue:
    """A mean-reverting random walk of the logarithm of a price, bounded."""

    def __init__(self, home: float, params: FlowParams, rng: random.Random) -> None:
        self._home = home
        self._params = params
        self._rng = rng
        self._deviation = 0.0
        self._at_ms: int | None = None

    def at(self, now_ms: int) -> float:
        """The fair price now. Time never goes back."""
        if self._at_ms is not None and now_ms > self._at_ms:
            self._move((now_ms - self._at_ms) / 1000)
        self._at_ms = now_ms
        return self._home * math.exp(self._deviation)

    def _move(self, elapsed_s: float) -> None:
        """An exact step of an Ornstein-Uhlenbeck process, so the path's law does not depend on the block time."""
        params = self._params
        decay = math.exp(-elapsed_s / params.reversion_s)
        spread = params.volatility * math.sqrt(params.reversion_s / 2 * (1 - decay * decay))
        moved = self._deviation * decay + self._rng.gauss(0.0, spread)
        self._deviation = min(math.log1p(params.range_max), max(math.log1p(-params.range_max), moved))


class MarketCrowd:
    """Makers and takers of one market."""

    def __init__(
        self,
        market: SpotMarket,
        *,
        makers: Sequence[Address],
        takers: Sequence[Address],
        seed: int,
        params: FlowParams,
    ) -> None:
        def stream(purpose: str) -> random.Random:
            # One generator per purpose: one taker more does not move the fair value. Text seeds are the same
            # in every process.
            return random.Random(f"{seed}:flow:{market.coin}:{purpose}")

        home = float(Decimal(market.reference_ticks).scaleb(-market.price_decimals))
        self.market = market
        self.fair_value = FairValue(home, params, stream("fair value"))
        self._params = params
        self._takers = tuple(takers)
        self._arrivals = stream("arrivals")
        self._opinions = stream("opinions")
        self._next_arrival_ms: float | None = None
        self._makers = [
            _Maker(market, user, stream(f"maker {n}"), params, phase=n / max(1, len(makers)), number=n)
            for n, user in enumerate(makers)
        ]

    def act(self, exchange: Exchange, now_ms: int) -> None:
        fair = self.fair_value.at(now_ms)
        for maker in self._makers:
            maker.act(exchange, fair, now_ms)
        for _ in range(self._arrivals_until(now_ms)):
            self._take(exchange, fair, now_ms)

    def _arrivals_until(self, now_ms: int) -> int:
        """How many takers have come since the last block: a Poisson process."""
        rate_per_ms = self._params.takers_per_s / 1000
        if rate_per_ms <= 0 or not self._takers:
            return 0
        if self._next_arrival_ms is None:
            self._next_arrival_ms = now_ms + self._arrivals.expovariate(rate_per_ms)
        count = 0
        while self._next_arrival_ms <= now_ms:
            count += 1
            self._next_arrival_ms += self._arrivals.expovariate(rate_per_ms)
        return count

    def _take(self, exchange: Exchange, fair: float, now_ms: int) -> None:
        """One taker looks at the touch, and takes the side that is better than its own opinion, if any is."""
        opinion = fair * math.exp(self._opinions.gauss(0.0, self._params.taker_opinion))
        value_usd = self._opinions.uniform(self._params.taker_value_usd_min, self._params.taker_value_usd_max)
        user = self._opinions.choice(self._takers)
        bid_ticks, ask_ticks = exchange.best(self.market.coin)
        if ask_ticks is not None and self._price(ask_ticks) < opinion:
            is_buy, price_ticks = True, ask_ticks
        elif bid_ticks is not None and self._price(bid_ticks) > opinion:
            is_buy, price_ticks = False, bid_ticks
        else:
            return
        size_lots = lots_worth(self.market, price_ticks, value_usd)
        order = (self.market, is_buy, price_ticks, size_lots, "Ioc", None)
        exchange.submit_direct(user, order_action([order]), now_ms)

    def _price(self, price_ticks: int) -> float:
        return price_ticks / 10**self.market.price_decimals


class _Maker:
    """Quotes levels around the fair value: cancels all of them, and in the next block places them anew."""

    def __init__(
        self,
        market: SpotMarket,
        user: Address,
        rng: random.Random,
        params: FlowParams,
        *,
        phase: float,
        number: int,
    ) -> None:
        self._market = market
        self._user = user
        self._rng = rng
        self._params = params
        self._number = number
        self._cloids: list[str] = []
        self._cloid_count = 0
        self._due_ms: float | None = None
        self._phase_ms = phase * params.maker_refresh_s * 1000

    def act(self, exchange: Exchange, fair: float, now_ms: int) -> None:
        if self._due_ms is None:  # The first quotes come at once, so the book is never empty at the start.
            self._place(exchange, fair, now_ms)
            self._due_ms = now_ms + self._params.maker_refresh_s * 1000 + self._phase_ms
        elif not self._cloids:
            self._place(exchange, fair, now_ms)
        elif now_ms >= self._due_ms:
            cancels = [{"asset": self._market.asset, "cloid": cloid} for cloid in self._cloids]
            exchange.submit_direct(self._user, {"type": "cancelByCloid", "cancels": cancels}, now_ms)
            self._cloids = []
            self._due_ms = now_ms + self._params.maker_refresh_s * 1000

    def _place(self, exchange: Exchange, fair: float, now_ms: int) -> None:
        params, orders = self._params, []
        for is_buy in (True, False):
            for level in range(params.maker_levels):
                away = params.maker_half_spread + (level + self._rng.random()) * params.maker_spacing
                price = fair * (1 - away if is_buy else 1 + away)
                price_ticks = round_price(self._market, price, is_buy=is_buy)
                value_usd = params.maker_value_usd * self._rng.uniform(0.5, 1.5)
                size_lots = lots_worth(self._market, price_ticks, value_usd)
                orders.append((self._market, is_buy, price_ticks, size_lots, "Alo", self._next_cloid()))
        self._cloids = [cloid for *_, cloid in orders]
        exchange.submit_direct(self._user, order_action(orders), now_ms)

    def _next_cloid(self) -> str:
        self._cloid_count += 1
        return f"0x{0xF10F:08x}{self._market.index:08x}{self._number:08x}{self._cloid_count:08x}"


class Flow:
    """The crowds of all markets of a world: a participant of the local exchange."""

    def __init__(
        self, world: World, *, seed: int, params: FlowParams | Mapping[Coin, FlowParams] | None = None
    ) -> None:
        """The house's accounts are divided between makers and takers; every market has all of them.

        Raises:
            ValueError: the world has fewer than two house accounts.
        """
        house = [account.address for account in world.house]
        if len(house) < 2:
            raise ValueError(
                "the flow needs at least two house accounts in the world: one to make, one to take"
            )
        n_makers = max(1, len(house) // 4)
        self.crowds = tuple(
            MarketCrowd(
                market,
                makers=house[:n_makers],
                takers=house[n_makers:],
                seed=seed,
                params=_params_of(market.coin, params),
            )
            for market in world.markets
        )

    def act(self, exchange: Exchange, now_ms: int) -> None:
        for crowd in self.crowds:
            crowd.act(exchange, now_ms)


def _params_of(coin: Coin, params: FlowParams | Mapping[Coin, FlowParams] | None) -> FlowParams:
    if isinstance(params, FlowParams):
        return params
    return (params or {}).get(coin, FlowParams())


def order_action(orders: Sequence[tuple[SpotMarket, bool, int, int, str, str | None]]) -> dict[str, Any]:
    """An `order` action from (market, is_buy, price_ticks, size_lots, tif, cloid)."""
    elements = []
    for market, is_buy, price_ticks, size_lots, tif, cloid in orders:
        element = {
            "a": market.asset,
            "b": is_buy,
            "p": wire_text(price_ticks, market.price_decimals),
            "s": wire_text(size_lots, market.size_decimals),
            "r": False,
            "t": {"limit": {"tif": tif}},
        }
        elements.append(element if cloid is None else element | {"c": cloid})
    return {"type": "order", "orders": elements, "grouping": "na"}


def round_price(market: SpotMarket, price: float, *, is_buy: bool) -> int:
    """The nearest valid price that is not more aggressive, in ticks; at least one."""
    ticks = Fraction(price) * 10**market.price_decimals
    digits = len(str(int(ticks)))
    step = min(10 ** max(0, digits - _SIGNIFICANT_FIGURES), 10**market.price_decimals)
    rounded = (ticks // step if is_buy else -(-ticks // step)) * step
    return max(1, int(rounded))


def lots_worth(market: SpotMarket, price_ticks: int, value_usd: float) -> int:
    """Whole lots worth about so much, and never less than the smallest order the venue takes."""
    lots = round(value_usd * 10**SPOT_DECIMALS / price_ticks)
    smallest = -(-(MIN_NOTIONAL_QUOTE + 1) * 10**SPOT_DECIMALS // price_ticks)
    return max(lots, smallest)
