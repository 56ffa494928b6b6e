"""Desired against current: the smallest change, slot by slot, and hands off what is not certain."""

from __future__ import annotations

import attrs
import pytest

from mmtrio.core.events import Reason, ReasonCode
from mmtrio.core.order_differ import (
    CancelWanted,
    Difference,
    DifferParams,
    ModifyWanted,
    PlaceWanted,
    difference,
)
from mmtrio.core.strategy import DesiredOrder, Quotes
from mmtrio.core.types import Cloid, Coin, Side, SlotKey
from tests.support.builders import cloid, market, slot, wanted_ask, wanted_bid

MARKET = market()
PRICE = 35_000_000


@attrs.frozen
class Resting:
    """An order of ours, as far as the differ looks."""

    cloid: Cloid
    slot: SlotKey
    price_ticks: int = PRICE
    remaining_lots: int = 1_000
    is_busy: bool = False
    is_unknown: bool = False


def bid(number: int, level: int = 0, **changes: object) -> Resting:
    return Resting(cloid(number), slot(Side.BUY, level), **changes)  # type: ignore[arg-type]


def ask(number: int, level: int = 0, **changes: object) -> Resting:
    return Resting(cloid(number), slot(Side.SELL, level), **changes)  # type: ignore[arg-type]


def changes(desired: list[DesiredOrder], orders: list[Resting], **params: float) -> Difference:
    return difference(Quotes(tuple(desired)), orders, "hip2", MARKET, DifferParams(**params))


def test_what_is_as_wanted_stays():
    assert changes([wanted_bid(0, PRICE, 1_000)], [bid(1)]) == Difference()


def test_a_missing_order_is_placed():
    assert changes([wanted_bid(3, PRICE, 1_000)], []).places == (
        PlaceWanted(slot(Side.BUY, 3), PRICE, 1_000),
    )


def test_an_order_nobody_wants_is_cancelled():
    assert changes([], [bid(1, 3)]) == Difference(
        cancels=(CancelWanted(cloid(1), slot(Side.BUY, 3), "not wanted any more"),)
    )


def test_another_price_is_one_modify():
    assert changes([wanted_bid(0, PRICE + 100_000, 1_000)], [bid(1)]) == Difference(
        modifies=(ModifyWanted(cloid(1), slot(Side.BUY, 0), PRICE + 100_000, 1_000),)
    )


def test_a_partly_filled_order_is_topped_up_by_one_modify():
    assert changes([wanted_bid(0, PRICE, 1_000)], [bid(1, remaining_lots=400)]) == Difference(
        modifies=(ModifyWanted(cloid(1), slot(Side.BUY, 0), PRICE, 1_000),)
    )


def test_a_level_that_changes_its_side_is_a_cancel_and_a_place_never_a_modify():
    result = changes([wanted_ask(0, PRICE, 1_000)], [bid(1)])
    assert [cancel.cloid for cancel in result.cancels] == [cloid(1)]
    assert result.modifies == ()
    assert result.places == (PlaceWanted(slot(Side.SELL, 0), PRICE, 1_000),)


@pytest.mark.parametrize(("off_ticks", "is_modified"), [(17_500, False), (17_501, True), (-17_501, True)])
def test_inside_the_dead_zone_of_5_bps_nothing_moves(off_ticks, is_modified):
    result = changes([wanted_bid(0, PRICE, 1_000)], [bid(1, price_ticks=PRICE + off_ticks)])
    assert bool(result.modifies) == is_modified


def test_once_one_order_leaves_the_dead_zone_all_beyond_their_tolerance_are_corrected():
    desired = [wanted_bid(level, PRICE, 1_000) for level in range(3)]
    result = changes(
        desired,
        [
            bid(1, 0, price_ticks=PRICE + 17_501),  # out of the dead zone
            bid(2, 1, price_ticks=PRICE + 3_501),  # inside it, beyond 1 bp
            bid(3, 2, price_ticks=PRICE + 3_500),  # within 1 bp
        ],
    )
    assert [modify.target for modify in result.modifies] == [cloid(1), cloid(2)]


@pytest.mark.parametrize("disturbance", ["missing", "surplus"])
def test_a_missing_or_surplus_order_ends_the_dead_zone(disturbance):
    desired = [wanted_bid(0, PRICE, 1_000)]
    orders = [bid(1, price_ticks=PRICE + 10_000)]
    if disturbance == "missing":
        desired.append(wanted_bid(1, PRICE - 100_000, 1_000))
    else:
        orders.append(bid(2, 1))
    assert [modify.target for modify in changes(desired, orders).modifies] == [cloid(1)]


@pytest.mark.parametrize(
    ("remaining_lots", "is_modified"), [(990, False), (1_010, False), (989, True), (1_011, True)]
)
def test_a_size_within_one_percent_is_left_alone(remaining_lots, is_modified):
    result = changes([wanted_bid(0, PRICE, 1_000)], [bid(1, remaining_lots=remaining_lots)])
    assert bool(result.modifies) == is_modified


def test_tolerances_of_zero_correct_a_single_tick_and_a_single_lot():
    none = {"dead_zone_bps": 0.0, "price_tolerance_bps": 0.0, "size_tolerance_pct": 0.0}
    assert changes([wanted_bid(0, PRICE, 1_000)], [bid(1, price_ticks=PRICE + 1)], **none).modifies
    assert changes([wanted_bid(0, PRICE, 1_000)], [bid(1, remaining_lots=999)], **none).modifies
    assert not changes([wanted_bid(0, PRICE, 1_000)], [bid(1)], **none).modifies


# Surplus


def test_of_several_orders_on_a_slot_the_lowest_cloid_that_is_right_stays():
    result = changes(
        [wanted_bid(0, PRICE, 1_000)], [bid(4), bid(1, price_ticks=PRICE - 100_000), bid(3), bid(2)]
    )
    assert [cancel.cloid for cancel in result.cancels] == [cloid(1), cloid(3), cloid(4)]
    assert result.cancels[0].cause == f"surplus on its slot, {cloid(2)} stays"
    assert result.modifies == ()


def test_where_none_is_right_the_lowest_cloid_is_modified():
    result = changes([wanted_bid(0, PRICE, 1_000)], [bid(2, remaining_lots=1), bid(1, remaining_lots=2)])
    assert [cancel.cloid for cancel in result.cancels] == [cloid(2)]
    assert [modify.target for modify in result.modifies] == [cloid(1)]


# What is not certain


def test_a_busy_slot_is_left_alone_and_named():
    result = changes([wanted_bid(0, PRICE + 100_000, 1_000)], [bid(1, is_busy=True)])
    assert result == Difference(reasons=(Reason(ReasonCode.SLOT_BUSY, MARKET.coin, Side.BUY, 0, cloid(1)),))


def test_a_busy_order_that_is_as_wanted_needs_no_words():
    assert changes([wanted_bid(0, PRICE, 1_000)], [bid(1, is_busy=True)]) == Difference()


def test_a_slot_of_unknown_state_is_left_alone_and_named_even_where_it_looks_right():
    result = changes([wanted_bid(0, PRICE, 1_000)], [bid(1, is_unknown=True)])
    assert result == Difference(
        reasons=(Reason(ReasonCode.SLOT_UNKNOWN, MARKET.coin, Side.BUY, 0, cloid(1)),)
    )


def test_an_unwanted_order_of_uncertain_state_is_not_cancelled():
    result = changes([], [bid(1, is_busy=True), ask(2, is_unknown=True)])
    assert result.cancels == ()
    assert [reason.code for reason in result.reasons] == [ReasonCode.SLOT_UNKNOWN, ReasonCode.SLOT_BUSY]


def test_one_uncertain_order_shields_its_whole_slot():
    result = changes([wanted_bid(0, PRICE, 1_000)], [bid(1), bid(2, is_busy=True)])
    assert (result.cancels, result.modifies, result.places) == ((), (), ())


def test_an_order_that_is_filled_and_waits_for_its_fills_is_left_alone():
    result = changes([wanted_bid(0, PRICE, 1_000)], [bid(1, remaining_lots=0)])
    assert (result.modifies, result.places) == ((), ())
    assert [reason.code for reason in result.reasons] == [ReasonCode.SLOT_BUSY]


def test_an_uncertain_slot_does_not_keep_the_others_from_changing():
    result = changes(
        [wanted_bid(0, PRICE, 1_000), wanted_bid(1, PRICE - 100_000, 1_000)], [bid(1, is_unknown=True)]
    )
    assert [place.slot.slot for place in result.places] == [1]


def test_an_uncertain_slot_does_not_end_the_dead_zone():
    result = changes(
        [wanted_bid(0, PRICE, 1_000), wanted_bid(1, PRICE - 100_000, 1_000)],
        [bid(1, price_ticks=PRICE + 10_000), bid(2, 1, is_busy=True)],
    )
    assert result.modifies == ()


# The rest


def test_orders_of_other_strategies_and_markets_are_not_touched():
    other_strategy = Resting(cloid(1), slot(Side.BUY, 0, strategy="other"))
    other_market = Resting(cloid(2), slot(Side.BUY, 0, coin=Coin("@1")))
    assert changes([], [other_strategy, other_market]) == Difference()


def test_changes_come_sorted_by_side_and_slot_whatever_order_they_were_found_in():
    desired = [wanted_bid(9), wanted_ask(12), wanted_bid(7), wanted_ask(11)]
    gone = [bid(1, 3), ask(2, 20), bid(3, 2), ask(4, 19)]
    result = changes(desired, gone)
    assert [(place.slot.side, place.slot.slot) for place in result.places] == [
        (Side.SELL, 11),
        (Side.SELL, 12),
        (Side.BUY, 7),
        (Side.BUY, 9),
    ]
    assert [cancel.slot.slot for cancel in result.cancels] == [19, 20, 2, 3]
    assert changes(desired[::-1], gone[::-1]) == result


def test_the_strategys_reasons_come_first():
    told = Reason(ReasonCode.OUTSIDE_WINDOW, MARKET.coin)
    result = difference(Quotes((), (told,)), [bid(1, is_busy=True)], "hip2", MARKET, DifferParams())
    assert [reason.code for reason in result.reasons] == [ReasonCode.OUTSIDE_WINDOW, ReasonCode.SLOT_BUSY]


def test_two_wishes_for_one_slot_are_an_error():
    with pytest.raises(ValueError, match="two orders wanted on one slot"):
        changes([wanted_bid(0), wanted_bid(0, PRICE - 1_000)], [])


@pytest.mark.parametrize("senseless", [-1.0, float("nan"), float("inf")])
def test_tolerances_are_numbers_from_zero(senseless):
    for name in ("dead_zone_bps", "price_tolerance_bps", "size_tolerance_pct"):
        with pytest.raises(ValueError, match=name):
            DifferParams(**{name: senseless})
