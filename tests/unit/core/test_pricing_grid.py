"""The ladder: the venue's own, level by level, and every ladder that cannot be."""

from __future__ import annotations

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from mmtrio.core.market import Market
from mmtrio.core.pricing_grid import GridError, PricingGrid, Rounding
from tests.support.builders import market

LADDERS = Path(__file__).parents[4] / "shared" / "fixtures" / "hip2" / "ladders.json"


def prices(
    market: Market, start_px: str, n_orders: int, rounding: Rounding, spacing: str = "0.003"
) -> list[Decimal]:
    grid = PricingGrid.build(market, Decimal(start_px), n_orders, Fraction(spacing), rounding)
    return [market.price(price_ticks) for price_ticks in grid.prices_ticks]


# Protocol appendix D: (index, nearest, truncated)
SAMPLE_67 = [
    (0, "0.020777", "0.020777"),
    (1, "0.020839", "0.020839"),
    (2, "0.020902", "0.020901"),
    (7, "0.021217", "0.021214"),
    (19, "0.021994", "0.021984"),
    (20, "0.022060", "0.022049"),
    (21, "0.022126", "0.022115"),
    (39, "0.023352", "0.023330"),
]
SAMPLE_37 = [
    (0, "1.0000", "1.0000"),
    (1, "1.0030", "1.0030"),
    (2, "1.0060", "1.0060"),
    (7, "1.0211", "1.0210"),
    (19, "1.0585", "1.0577"),
    (20, "1.0617", "1.0608"),
    (21, "1.0649", "1.0639"),
    (22, "1.0681", "1.0670"),
    (23, "1.0713", "1.0702"),
]


@pytest.mark.parametrize(("start_px", "sample"), [("0.020777", SAMPLE_67), ("1", SAMPLE_37)])
def test_known_levels_come_out_in_both_roundings(start_px, sample):
    nearest = prices(market(), start_px, 40, Rounding.NEAREST)
    truncated = prices(market(), start_px, 40, Rounding.TRUNCATE)
    assert [nearest[index] for index, _, _ in sample] == [Decimal(price) for _, price, _ in sample]
    assert [truncated[index] for index, _, _ in sample] == [Decimal(price) for _, _, price in sample]


@pytest.mark.skipif(not LADDERS.exists(), reason="the recorded ladders are not on this machine")
def test_the_recorded_ladders_come_out_exactly():
    recorded = {row["market"]: row for row in json.loads(LADDERS.read_text())["markets"]}
    for coin, start_px in (("@67", "0.020777"), ("@37", "1")):
        for key, rounding in (
            ("prediction_round_half_even_5sf", Rounding.NEAREST),
            ("prediction_truncate_5sf", Rounding.TRUNCATE),
        ):
            expected = [Decimal(price) for price in recorded[coin][key]]
            assert prices(market(), start_px, len(expected), rounding) == expected

    nearest = prices(market(), "0.020777", 120, Rounding.NEAREST)
    assert [nearest[row[0]] for row in recorded["@67"]["observed"]] == [
        Decimal(row[1]) for row in recorded["@67"]["observed"]
    ]
    truncated = prices(market(), "1", 40, Rounding.TRUNCATE)
    assert set(map(Decimal, recorded["@37"]["observed_prices_in_order"])) <= set(truncated)
    for rounding in Rounding:
        seen = [Decimal(price) for price in recorded["@929"]["observed_prices"]]
        assert prices(market(), "43.699", 3, rounding) == seen


def test_the_first_level_is_the_start_price_exactly():
    assert prices(market(), "123456", 1, Rounding.NEAREST) == [Decimal(123456)]


def test_above_five_figures_levels_keep_five_figures():
    assert prices(market(), "99900", 3, Rounding.NEAREST) == [99900, 100200, 100500]
    assert prices(market(), "123456", 2, Rounding.NEAREST) == [123456, 123830]


def test_ties_round_away_from_zero():
    """10000 x 1.00025 is 10002.5, half way between two prices."""
    assert prices(market(), "10000", 2, Rounding.NEAREST, "0.00025")[1] == 10003
    assert prices(market(), "10000", 2, Rounding.TRUNCATE, "0.00025")[1] == 10002


def test_the_markets_decimals_limit_low_prices():
    """Ticks of 0.000001: 0.00002 x 1.1 = 0.000022, then 0.0000242."""
    assert prices(market(), "0.00002", 3, Rounding.NEAREST, "0.1") == [
        Decimal("0.00002"),
        Decimal("0.000022"),
        Decimal("0.000024"),
    ]


def test_crossing_a_power_of_ten_changes_the_step():
    assert prices(market(), "99.999", 3, Rounding.NEAREST, "0.0001") == [
        Decimal("99.999"),
        Decimal("100.01"),
        Decimal("100.02"),
    ]


@pytest.mark.parametrize(
    ("start_px", "n_orders", "spacing", "rounding", "cure"),
    [
        ("0.000001", 2, "0.003", Rounding.NEAREST, r"levels 0 and 1 .* raise spacing .* at least 0\.5"),
        ("10000", 2, "0.00004", Rounding.NEAREST, r"at least 5e-05"),
        ("10000", 2, "0.00009", Rounding.TRUNCATE, r"at least 0\.0001"),
        ("99990", 20, "0.00001", Rounding.NEAREST, r"levels 10 and 11 .* lower n_orders to 11"),
        ("35", 10, "0", Rounding.NEAREST, "spacing is 0; .* above 0"),
        ("35", 10, "-0.003", Rounding.NEAREST, "above 0"),
        ("35", 10, "1.001", Rounding.NEAREST, "at most 1"),
        ("35", 0, "0.003", Rounding.NEAREST, "1 to 100000 levels"),
        ("35", 100_001, "0.003", Rounding.NEAREST, "1 to 100000 levels"),
        ("35.0005", 10, "0.003", Rounding.NEAREST, r"the nearest are 35 and 35\.001; start at one of these"),
        ("0", 10, "0.003", Rounding.NEAREST, "must be positive"),
        ("NaN", 10, "0.003", Rounding.NEAREST, "not a number"),
        ("35", 100_000, "1", Rounding.NEAREST, "lower n_orders .* to 38 at most"),
    ],
)
def test_impossible_ladders_are_refused_with_their_cure(start_px, n_orders, spacing, rounding, cure):
    with pytest.raises(GridError, match=cure):
        PricingGrid.build(market(), Decimal(start_px), n_orders, Fraction(spacing), rounding)


def test_following_the_advice_works():
    build = lambda spacing, rounding: PricingGrid.build(  # noqa: E731
        market(), Decimal("10000"), 2, Fraction(spacing), rounding
    )
    assert build("5e-05", Rounding.NEAREST).n_levels == 2
    assert build("0.0001", Rounding.TRUNCATE).n_levels == 2
    assert PricingGrid.build(market(), Decimal("35"), 38, Fraction(1)).n_levels == 38


def test_a_float_is_no_spacing():
    with pytest.raises(GridError, match="exact ratio"):
        PricingGrid.build(market(), Decimal("35"), 2, 0.003)  # type: ignore[arg-type]


@pytest.mark.parametrize("ticks", [(), (0, 1), (2, 2), (3, 2)])
def test_a_grid_cannot_be_made_of_levels_that_do_not_ascend(ticks):
    with pytest.raises(GridError):
        PricingGrid(market(), ticks)


def test_levels_are_found_by_price():
    grid = PricingGrid.build(market(), Decimal("0.020777"), 40)
    assert [grid.level_for_price(price_ticks) for price_ticks in grid.prices_ticks] == list(range(40))
    assert [grid.level_for_price(ticks) for ticks in (20776, 20778, 23353)] == [None, None, None]
    assert [grid.level_at_or_below(ticks) for ticks in (20776, 20777, 20838, 20839, 10**9)] == [
        None,
        0,
        0,
        1,
        39,
    ]
