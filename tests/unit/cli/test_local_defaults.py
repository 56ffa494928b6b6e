"""The ladder around a price."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from mmtrio.cli.local_defaults import ACTIVE_LEVELS, LEVELS_A_SIDE, describe_ladder, ladder_around
from mmtrio.core.market import Market, MarketKind
from mmtrio.core.strategies.hip2 import Hip2
from mmtrio.core.strategy import View
from mmtrio.core.types import Amount, Coin, Instant, Side, Token
from mmtrio.wire.decimals import scaled

USDC = Token(0, "USDC", 8, 8)


def spot(size_decimals: int, wei_decimals: int = 8) -> Market:
    base = Token(7, "BASE", size_decimals, wei_decimals)
    return Market(Coin("@7"), "BASE/USDC", 10007, MarketKind.SPOT, size_decimals, base, USDC)


PRICES = [
    ("34.95", 2),
    ("0.14", 0),
    ("0.186485", 0),
    ("84143", 5),
    ("0.00051234", 0),
    ("21.5", 2),
    ("99999.5", 5),
    ("1", 0),
]


@pytest.mark.parametrize(("price", "size_decimals"), PRICES)
def test_bids_lie_below_the_price_and_asks_above_when_funded_as_stated(
    price: str, size_decimals: int
) -> None:
    market = spot(size_decimals)
    config = ladder_around(market, Fraction(price))
    assert (
        config.allocated_token is not None and config.allocated_usdc is not None and market.base is not None
    )
    base = Amount(market.base, scaled(str(config.allocated_token), 8))
    quote = Amount(USDC, scaled(str(config.allocated_usdc), 8))

    quotes = Hip2(market, config.hip2).quote(View(market, Instant(0, 0), base, quote))

    bids = [order for order in quotes.orders if order.side is Side.BUY]
    asks = [order for order in quotes.orders if order.side is Side.SELL]
    assert (len(bids), len(asks)) == (ACTIVE_LEVELS, ACTIVE_LEVELS)
    assert all(Fraction(market.price(order.price_ticks)) <= Fraction(price) for order in bids)
    assert all(Fraction(market.price(order.price_ticks)) > Fraction(price) for order in asks)
    assert len({order.size_lots for order in quotes.orders}) == 1
    assert LEVELS_A_SIDE - 10 <= config.hip2.n_seeded_levels <= LEVELS_A_SIDE + 10


@pytest.mark.parametrize(("price", "size_decimals"), PRICES)
def test_every_level_is_worth_more_than_the_venue_asks_for(price: str, size_decimals: int) -> None:
    params = ladder_around(spot(size_decimals), Fraction(price)).hip2

    assert params.order_sz * params.start_px >= 11
    assert params.order_sz * Decimal(price) < 70 or params.order_sz == Decimal(1).scaleb(-size_decimals)


def test_the_ladder_is_told_in_exact_numbers() -> None:
    market = spot(2)

    assert describe_ladder(market, ladder_around(market, Fraction("34.95"))) == (
        "200 levels from 31.625 to 38.584, 0.1 % apart, 1.72 BASE each, 10 shown a side"
    )
