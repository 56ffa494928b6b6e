from __future__ import annotations

from decimal import Decimal

import pytest

from mmtrio.exchange.market_rules import SpotToken
from mmtrio.exchange.world import spot_market
from mmtrio.wire.decimals import scaled, venue_text

USDC = SpotToken(0, "USDC", 8, 8, "0x00")


def market_of(size_decimals: int, wei_decimals: int = 8):
    return spot_market(7, SpotToken(7, "X", size_decimals, wei_decimals, "0x07"), USDC, Decimal(1))


@pytest.mark.parametrize(
    "price, size_decimals, is_valid",
    [
        ("117365.5", 5, False),  # seven figures, and no integer
        ("117365", 5, True),  # an integer, whatever its figures
        ("84143.5", 5, False),
        ("84143", 5, True),
        ("34.969", 2, True),
        ("34.9695", 2, False),
        ("999.99", 2, True),
        ("1000.01", 2, False),  # the step changes at a power of ten
        ("1000.1", 2, True),
        ("0.0001234", 1, True),
        ("0.0001234", 2, False),  # seven decimals of six
        ("1234500", 2, True),
    ],
)
def test_a_price_has_five_figures_or_is_whole(price, size_decimals, is_valid):
    ticks = market_of(size_decimals).ticks_of(scaled(price, 8))
    assert (ticks is not None) is is_valid
    if ticks is not None:
        assert Decimal(ticks).scaleb(size_decimals - 8) == Decimal(price)


@pytest.mark.parametrize("size, lots", [("1.5", 150), ("0.01", 1), ("0.001", None), ("7", 700)])
def test_a_size_is_a_whole_number_of_lots(size, lots):
    assert market_of(2).lots_of(scaled(size, 8)) == lots


@pytest.mark.parametrize(
    "price, size, rate_e6, fee",
    [
        ("41.353", "0.27", 700, "0.00018899"),
        ("34.895", "0.5", 630, "0.00031499"),
        ("57.655", "0.39", 384, "0.00014975"),
        ("160.32", "1.267", 700, "0.00088689"),
    ],
)
def test_a_buyer_pays_the_fee_the_venue_was_seen_to_take(price, size, rate_e6, fee):
    market = market_of(3)
    ticks, lots = market.ticks_of(scaled(price, 8)), market.lots_of(scaled(size, 8))
    assert venue_text(market.buyer_fee_units(ticks, lots, rate_e6), 8) == fee


def test_a_seller_pays_the_fee_the_venue_was_seen_to_take():
    market = market_of(2)
    lots, ticks = market.lots_of(scaled("0.26", 8)), market.ticks_of(scaled("40.614", 8))
    assert venue_text(market.seller_fee_units(ticks, lots, 700), 8) == "0.00739174"


def test_a_fee_in_a_token_of_few_decimals_is_cut_to_them():
    purr = market_of(0, wei_decimals=5)
    assert purr.buyer_fee_units(purr.ticks_of(scaled("0.14", 8)), 100, 700) == 7_000  # 0.07 PURR
    assert purr.buyer_fee_units(purr.ticks_of(scaled("0.13", 8)), 103, 384) == 3_955  # of 0.039552


def test_a_fee_in_a_token_of_many_decimals_is_cut_to_eight():
    ubtc = market_of(5, wei_decimals=10)
    fee = ubtc.buyer_fee_units(ubtc.ticks_of(scaled("84143", 8)), 123, 700)
    assert fee == 8_600  # 0.00000086 of 0.000000861


@pytest.mark.parametrize(
    "base, quote, price, text",
    [
        (SpotToken(7, "X", 9, 9, "0x07"), USDC, 1, "szDecimals 9 is outside 0..8"),
        (SpotToken(7, "X", 5, 4, "0x07"), USDC, 1, "a lot is smaller than the smallest unit of X"),
        (
            SpotToken(7, "X", 5, 8, "0x07"),
            SpotToken(0, "USDC", 6, 6, "0x00"),
            1,
            "quote tokens of 8 decimals only",
        ),
        (SpotToken(7, "X", 5, 8, "0x07"), USDC, 0, "the reference price must be positive"),
    ],
)
def test_a_market_that_cannot_be_is_refused(base, quote, price, text):
    with pytest.raises(ValueError, match=text):
        spot_market(7, base, quote, Decimal(price))


def test_an_average_price_is_cut_not_rounded():
    market = market_of(2)
    notional_e8 = 34_900_000 * 100 + 34_910_000 * 200
    assert market.average_price_text(notional_e8, 300) == "34.90666666"
