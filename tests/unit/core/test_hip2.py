"""HIP-2 through the Strategy protocol, and parameters that make no market."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import attrs
import pytest

from mmtrio.core.events import ReasonCode
from mmtrio.core.market import Market
from mmtrio.core.pricing_grid import GridError, Rounding
from mmtrio.core.strategies.hip2 import Hip2, Hip2Params
from mmtrio.core.strategy import Strategy
from mmtrio.core.types import Side
from tests.support.builders import USDC, amount, market, own_ask, own_bid, perp_market, view

PARAMS = Hip2Params(
    start_px=Decimal("10"), n_orders=10, order_sz=Decimal("1"), spacing=Fraction("0.1"), n_seeded_levels=6
)


def hip2(on: Market | None = None, **changes: object) -> Hip2:
    return Hip2(on if on is not None else market(), attrs.evolve(PARAMS, **changes))


def test_it_is_a_strategy():
    strategy = hip2()
    assert isinstance(strategy, Strategy)
    assert strategy.name == "hip2"


def test_it_needs_no_market_data_on_spot():
    assert not hip2().requires_market_data


def test_it_needs_market_data_on_perps():
    assert hip2(perp_market(size_decimals=2)).requires_market_data


def test_quotes_follow_from_the_allocated_inventory():
    strategy = hip2()
    quotes = strategy.quote(view(strategy.market, "4.75", "100"))
    assert [(order.side, order.slot, order.size_lots) for order in quotes.orders[:2]] == [
        (Side.SELL, 5, 75),
        (Side.SELL, 6, 100),
    ]
    assert quotes.orders == strategy.ladder(view(strategy.market, "4.75", "100")).orders


def test_reasons_come_with_the_quotes():
    strategy = hip2()
    quotes = strategy.quote(view(strategy.market, "4.5", "1000"))
    assert [(reason.code, reason.side) for reason in quotes.reasons] == [
        (ReasonCode.BELOW_MIN_NOTIONAL, Side.SELL),
        (ReasonCode.BELOW_MIN_NOTIONAL, Side.BUY),
    ]


def test_window_rounding_and_minimum_reach_the_ladder():
    strategy = hip2(
        active_levels=1, rounding=Rounding.TRUNCATE, min_notional=Decimal("11"), order_sz=Decimal("2")
    )
    ladder = strategy.ladder(view(strategy.market, "8", "1000"))
    assert [order.slot for order in ladder.orders] == [6, 5]
    assert strategy.grid.prices_ticks[6] == 17_715_000  # 17.7155 truncated
    assert strategy.params.min_notional == 11


def test_the_seeded_levels_say_what_the_ladder_costs():
    strategy = hip2()
    base, quote = strategy.funding()
    assert base == amount(strategy.market.base, "4")
    assert quote == amount(USDC, "77.156")  # 10 + 11 + 12.1 + 13.31 + 14.641 + 16.105
    ladder = strategy.ladder(view(strategy.market, "4", "77.156"))
    assert ladder.cursor == 6
    assert len(ladder.orders) == 10 and ladder.reasons == ()


def test_the_boundary_of_resting_orders_is_there_to_be_compared():
    strategy = hip2()
    seen = view(strategy.market, "4", "100", own_orders=(own_bid(5), own_ask(6), own_ask(7)))
    assert strategy.boundary_level(seen) == strategy.ladder(seen).boundary == 6


@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"order_sz": Decimal("0.99")}, r"worth less than the minimum of 10 USDC: raise order_sz to 1\.00"),
        ({"min_notional": Decimal("10.05")}, r"minimum of 10\.05 USDC: raise order_sz to 1\.01"),
        ({"order_sz": Decimal("1.001")}, r"lots of 0\.01"),
        ({"order_sz": Decimal("0")}, r"lots of 0\.01"),
        ({"n_orders": 0}, "1 to 100000 levels"),
        ({"start_px": Decimal("10.0001")}, "start at one of these"),
        ({"n_seeded_levels": 11}, r"between 0 and n_orders \(10\)"),
        ({"n_seeded_levels": -1}, "between 0 and n_orders"),
        ({"active_levels": 0}, "show 1 level"),
        ({"min_notional": Decimal("NaN")}, "min_notional is NaN"),
        ({"min_notional": Decimal("-1")}, "min_notional is -1"),
    ],
)
def test_impossible_parameters_are_refused_with_their_cure(changes, cure):
    with pytest.raises(ValueError, match=cure):
        hip2(**changes)


def test_following_the_advice_on_order_size_works():
    assert hip2(min_notional=Decimal("10.05"), order_sz=Decimal("1.01")).order_lots == 101


def test_a_grid_error_is_a_value_error():
    assert issubclass(GridError, ValueError)
