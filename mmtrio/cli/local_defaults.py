"""What is traded on `local` when nobody says: a market, and a tight ladder around its price of this moment.

Everything about the market is read from the venue itself, over its public API, so the same code serves the exchange
in this process and one started by `trio-mm exchange`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import trio

from mmtrio.client.connect import VenueAddress, VenueAddressError, open_tcp
from mmtrio.client.rest import RestClient, open_rest
from mmtrio.core.market import Market, MarketKind, ten_to
from mmtrio.core.pricing_grid import PricingGrid
from mmtrio.core.strategies.hip2 import Hip2, Hip2Params
from mmtrio.core.types import Amount, Side
from mmtrio.live.config import MarketConfig
from mmtrio.live.errors import ConfigurationError, VenueUnreachable
from mmtrio.live.startup import reach, read_catalog
from mmtrio.wire.decimals import scaled, wire_text
from mmtrio.wire.markets import AmbiguousCoin, UnknownCoin

DEFAULT_COIN = "HYPE/USDC"

SPACING = Fraction(1, 1000)
"""Ten basis points: inside the local crowd's own spread, so that it is hit every few seconds."""
LEVELS_A_SIDE = 100
ACTIVE_LEVELS = 10
LEVEL_VALUE = Decimal(60)
"""In quote."""
_LEVEL_VALUE_MIN = Decimal(11)
"""The lowest level must still be worth more than the venue's minimum of 10."""


async def default_market(
    base_url: str, coin: str | None, *, price: Fraction | None = None, timeout_s: float
) -> MarketConfig:
    """The market with this name (or HYPE/USDC), and a ladder around `price`, or around what it costs now.

    Raises:
        ConfigurationError: the venue has no such market, or the URL makes no sense.
        VenueUnreachable: it cannot be reached, or shows no price within `timeout_s`.
    """
    try:
        venue = VenueAddress.from_url(base_url)
    except VenueAddressError as error:
        raise ConfigurationError(str(error)) from None
    deadline_s = trio.current_time() + timeout_s
    async with open_rest(open_tcp(venue), venue) as rest:
        catalog = await read_catalog(rest, deadline_s)
        try:
            market = catalog.resolve(coin or DEFAULT_COIN)
        except (UnknownCoin, AmbiguousCoin) as error:
            raise ConfigurationError(f"{error} Name another with --coin.") from None
        if market.kind is MarketKind.PERP:
            raise ConfigurationError(
                f"{market.name} is a perpetual; trio-mm quotes spot markets only so far."
            )
        return ladder_around(market, price or await _price_now(rest, market, deadline_s))


def ladder_around(market: Market, price: Fraction) -> MarketConfig:
    """A market of which half the ladder lies above `price` and is funded with base, half below with quote."""
    lowest_ticks = market.round_price_passively(price / (1 + SPACING) ** LEVELS_A_SIDE, Side.BUY)
    start_px = market.price(lowest_ticks)
    grid = PricingGrid.build(market, start_px, 2 * LEVELS_A_SIDE, SPACING)
    n_bids = sum(Fraction(market.price(ticks)) <= price for ticks in grid.prices_ticks)
    params = Hip2Params(
        start_px=start_px,
        n_orders=grid.n_levels,
        order_sz=_level_size(market, price, start_px),
        spacing=SPACING,
        n_seeded_levels=n_bids,
        active_levels=ACTIVE_LEVELS,
    )
    base, quote = Hip2(market, params).funding()
    return MarketConfig(
        coin=market.coin, hip2=params, allocated_token=_decimal(base), allocated_usdc=_decimal(quote)
    )


def describe_ladder(market: Market, config: MarketConfig) -> str:
    """The ladder in one line of exact numbers."""
    params = config.hip2
    grid = PricingGrid.build(market, params.start_px, params.n_orders, params.spacing, params.rounding)
    lowest, highest = (market.price(grid.prices_ticks[end]).normalize() for end in (0, -1))
    shown = "all shown" if params.active_levels is None else f"{params.active_levels} shown a side"
    base = market.base.name if market.base else ""
    return (
        f"{grid.n_levels} levels from {lowest:f} to {highest:f}, {float(params.spacing) * 100:g} % apart, "
        f"{params.order_sz:f} {base} each, {shown}"
    )


async def _price_now(rest: RestClient, market: Market, deadline_s: float) -> Fraction:
    """The middle of the book, as soon as it has two sides."""
    while trio.current_time() < deadline_s:
        book: Any = await reach(rest, {"type": "l2Book", "coin": market.coin}, deadline_s)
        try:
            bids, asks = book["levels"]
            if bids and asks:
                bid, ask = (scaled(side[0]["px"], market.price_decimals) for side in (bids, asks))
                return Fraction(bid + ask, 2 * ten_to(market.price_decimals))
        except (TypeError, KeyError, ValueError, IndexError):
            raise VenueUnreachable(
                f"{rest.venue.url} sent a book of {market.name} that makes no sense. Is the base URL that of a "
                f"Hyperliquid API?"
            ) from None
        await trio.sleep(0.1)
    raise VenueUnreachable(
        f"nobody quotes {market.name} at {rest.venue.url}, so there is no price to put a ladder around. Name another "
        f"market with --coin, or say where the ladder lies: --config with start_px under [market]."
    )


def _level_size(market: Market, price: Fraction, start_px: Decimal) -> Decimal:
    """Whole lots worth about LEVEL_VALUE, and enough at the lowest level."""
    lot = Fraction(market.size(1))
    lots = max(1, round(Fraction(LEVEL_VALUE) / (price * lot)))
    lots_min = math.ceil(Fraction(_LEVEL_VALUE_MIN) / (Fraction(start_px) * lot))
    return market.size(max(lots, lots_min))


def _decimal(amount: Amount) -> Decimal:
    return Decimal(wire_text(amount.units, amount.token.wei_decimals))
