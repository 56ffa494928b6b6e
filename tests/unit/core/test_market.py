"""A market's numbers: valid prices (protocol appendix B), lots, dust, notional value."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

from mmtrio.core.market import Market, significant_step
from mmtrio.core.types import Amount, Side
from tests.support.builders import HYPE, PURR, USDC, amount, market, perp_market, purr_market, spot_token


def spot(size_decimals: int) -> Market:
    return market(size_decimals=size_decimals)


def perp(size_decimals: int) -> Market:
    return perp_market(size_decimals=size_decimals)


# Protocol appendix B and the examples of section 10, row by row.
PRICES = [
    (perp(5), "117365.5", False),
    (spot(5), "117365.5", False),
    (perp(5), "117365", True),
    (spot(5), "117365", True),
    (perp(2), "1234.5", True),
    (perp(2), "1234.56", False),
    (perp(0), "0.001234", True),
    (perp(0), "0.0012345", False),
    (perp(1), "0.01234", True),
    (perp(1), "0.012345", False),
    (perp(2), "999.99", True),
    (perp(2), "1000.01", False),
    (spot(5), "84143.5", False),
    (spot(2), "34.969", True),
    (spot(2), "34.9695", False),
    (spot(0), "0.0001234", True),
    (spot(1), "0.0001234", True),
    (spot(2), "0.0001234", False),
    (perp(5), "123456", True),
    (spot(8), "123456", True),
    (spot(8), "123456.5", False),
    (spot(0), "0.00000001", True),
    (perp(6), "7", True),
    (perp(6), "7.5", False),
]


@pytest.mark.parametrize(("market", "price", "is_valid"), PRICES)
def test_prices_are_valid_by_the_venues_rule(market, price, is_valid):
    if is_valid:
        price_ticks = market.price_ticks_exactly(Decimal(price))
        assert market.is_valid_price(price_ticks)
        assert market.price(price_ticks) == Decimal(price)
    else:
        with pytest.raises(ValueError, match="has no price"):
            market.price_ticks_exactly(Decimal(price))


@pytest.mark.parametrize(
    ("market", "price", "below", "above"),
    [
        (perp(5), "117365.5", "117365", "117366"),
        (perp(2), "1234.56", "1234.5", "1234.6"),
        (perp(2), "1000.01", "1000", "1000.1"),
        (perp(2), "999.995", "999.99", "1000"),  # The step above 1000 is ten times the one below.
        (spot(2), "34.9695", "34.969", "34.97"),
        (perp(1), "0.012345", "0.01234", "0.01235"),
        (spot(5), "99999.5", "99999", "100000"),
        (spot(2), "35", "35", "35"),
    ],
)
def test_prices_round_passively(market, price, below, above):
    assert market.price(market.round_price_passively(Decimal(price), Side.BUY)) == Decimal(below)
    assert market.price(market.round_price_passively(Fraction(price), Side.SELL)) == Decimal(above)


def test_a_refused_price_names_its_valid_neighbours():
    with pytest.raises(ValueError, match=r"the nearest are 34\.969 and 34\.97$"):
        spot(2).price_ticks_exactly(Decimal("34.9695"))


def test_a_price_below_one_tick_is_told_the_smallest():
    with pytest.raises(ValueError, match=r"the smallest is 0\.000001"):
        spot(2).price_ticks_exactly(Decimal("0.0000001"))
    assert spot(2).round_price_passively(Decimal("0.0000001"), Side.SELL) == 1
    with pytest.raises(ValueError, match="below the smallest price"):
        spot(2).round_price_passively(Decimal("0.0000001"), Side.BUY)


@pytest.mark.parametrize(
    "nonsense", ["NaN", "Infinity", "-Infinity", "1e999999999", "1e-999999999", "0", "-35"]
)
def test_what_is_no_price_or_size_is_a_value_error(nonsense):
    for refuse in (
        lambda: spot(2).price_ticks_exactly(Decimal(nonsense)),
        lambda: spot(2).round_price_passively(Decimal(nonsense), Side.BUY),
        lambda: spot(2).size_lots_exactly(Decimal(nonsense)),
    ):
        with pytest.raises(ValueError):
            refuse()


def test_negative_and_zero_ticks_are_no_price():
    assert not spot(2).is_valid_price(0)
    assert not spot(2).is_valid_price(-35_000_000)


def test_the_fifth_significant_figure():
    assert [significant_step(ticks) for ticks in (0, 7, 99_999, 100_000, 123_456_789)] == [
        1,
        1,
        1,
        10,
        10_000,
    ]


# Sizes and balances


def test_sizes_are_whole_lots():
    assert spot(2).size_lots_exactly(Decimal("12.34")) == 1234
    assert spot(2).size(1234) == Decimal("12.34")
    with pytest.raises(ValueError, match=r"lots of 0\.01, not 12\.345"):
        spot(2).size_lots_exactly(Decimal("12.345"))


def test_a_balance_becomes_lots_by_its_floor_and_the_rest_is_dust():
    balance = amount(HYPE, "12.34999999")
    assert spot(2).lots_in(balance) == 1234
    assert spot(2).dust_in(balance) == amount(HYPE, "0.00999999")
    assert spot(2).base_amount(1234) + spot(2).dust_in(balance) == balance


def test_a_token_of_few_decimals_still_makes_lots():
    assert purr_market().lots_in(amount(PURR, "7.99999")) == 7
    assert purr_market().dust_in(amount(PURR, "7.99999")) == amount(PURR, "0.99999")


def test_a_debt_holds_no_lots_and_no_dust():
    assert spot(2).lots_in(amount(HYPE, "-3")) == 0
    assert spot(2).dust_in(amount(HYPE, "-3")) == amount(HYPE, 0)


def test_balances_of_another_token_are_a_type_error():
    with pytest.raises(TypeError, match="USDC is not its base token"):
        spot(2).lots_in(amount(USDC, 1))
    with pytest.raises(TypeError, match="HYPE is not its quote token"):
        spot(2).lots_affordable(amount(HYPE, 1), 35_000_000)


# Value


def test_notional_value_is_exact():
    hype = spot(2)
    assert hype.quote_amount(34_895_000, 50) == amount(USDC, "17.4475")
    assert hype.quote_received(34_895_000, 50) == amount(USDC, "17.4475")
    assert hype.value_e8(34_895_000, 50) == 1_744_750_000
    assert perp(5).value_e8(666_530, 100) == 6_665_300_000  # 0.001 BTC at 66653.0


@pytest.mark.parametrize(("wei_decimals", "needed", "received"), [(8, 3, 3), (6, 1, 0), (10, 300, 300)])
def test_a_quote_token_of_other_decimals_rounds_against_us(wei_decimals, needed, received):
    """Three ticks for one lot are 0.00000003 in quote."""
    coarse = spot_token("COARSE", index=9, wei_decimals=wei_decimals)
    venue = market(quote=coarse)
    assert venue.quote_amount(3, 1) == Amount(coarse, needed)
    assert venue.quote_received(3, 1) == Amount(coarse, received)


@pytest.mark.parametrize("wei_decimals", [5, 6, 8, 10])
def test_what_is_affordable_can_be_paid_and_one_lot_more_cannot(wei_decimals):
    token = spot_token("QUOTE", index=9, wei_decimals=wei_decimals)
    venue = market(quote=token)
    for units in (0, 1, 999, 10**wei_decimals, 123 * 10**wei_decimals + 7):
        lots = venue.lots_affordable(Amount(token, units), 34_969_000)
        assert venue.quote_amount(34_969_000, lots).units <= units
        assert venue.quote_amount(34_969_000, lots + 1).units > units
    assert venue.lots_affordable(Amount(token, -1), 34_969_000) == 0


def test_the_minimum_notional_is_met_at_exactly_ten():
    assert spot(2).meets_min_notional(10_000_000, 100)
    assert not spot(2).meets_min_notional(9_999_900, 100)
    assert not market(min_notional="10.000001").meets_min_notional(10_000_000, 100)


# What cannot be a market


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: spot(9), "szDecimals 9"),
        (lambda: perp(7), "szDecimals 7"),
        (lambda: perp(-1), "szDecimals -1"),
        (lambda: market(size_decimals=2, base=spot_token(wei_decimals=1)), "finer than HYPE's unit"),
    ],
)
def test_metadata_that_makes_no_market_is_refused(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()
