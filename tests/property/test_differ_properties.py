"""Applying a difference gives what was wanted, by the fewest requests, without touching what is not certain."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.order_differ import Differ, Difference, DifferParams, difference
from mmtrio.core.strategy import DesiredOrder, Quotes
from mmtrio.core.types import Cloid, Side, SlotKey
from tests.support.builders import cloid, market, slot

MARKET = market()


@attrs.frozen
class Resting:
    """An order of ours, as far as the differ looks."""

    cloid: Cloid
    slot: SlotKey
    price_ticks: int
    remaining_lots: int
    is_busy: bool = False
    is_unknown: bool = False


sides = st.sampled_from(Side)
levels = st.integers(0, 4)
# Few values close together: equal, within a tolerance, within the dead zone and beyond all come up often.
prices = st.sampled_from([1_000_000, 1_000_050, 1_000_100, 1_000_101, 1_000_400, 1_000_501, 1_100_000])
sizes = st.sampled_from([1_000, 1_010, 1_011, 500, 990])

wishes = st.lists(
    st.builds(DesiredOrder, sides, levels, prices, sizes),
    max_size=8,
    unique_by=lambda order: (order.side, order.slot),
)


@st.composite
def resting_orders(draw: st.DrawFn) -> list[Resting]:
    rows = draw(st.lists(st.tuples(sides, levels, prices, sizes, st.sampled_from("ccccbu")), max_size=8))
    numbers = draw(st.permutations(range(1, len(rows) + 1)))
    return [
        Resting(cloid(number), slot(side, level), price, size, doubt == "b", doubt == "u")
        for number, (side, level, price, size, doubt) in zip(numbers, rows, strict=True)
    ]


params = st.builds(
    DifferParams,
    dead_zone_bps=st.sampled_from([0.0, 5.0]),
    price_tolerance_bps=st.sampled_from([0.0, 1.0]),
    size_tolerance_pct=st.sampled_from([0.0, 1.0]),
)


def change(desired: Sequence[DesiredOrder], orders: Sequence[Resting], params: DifferParams) -> Difference:
    return difference(Quotes(tuple(desired)), orders, "hip2", MARKET, params)


def applied(orders: Sequence[Resting], changes: Difference) -> list[Resting]:
    """What rests once the venue has carried everything out. Each replacement has a cloid of its own."""
    gone = {cancel.cloid for cancel in changes.cancels}
    modified = {modify.target: modify for modify in changes.modifies}
    after = []
    for order in orders:
        if order.cloid in modified:
            modify = modified[order.cloid]
            after.append(
                Resting(Cloid(order.cloid[:-4] + "ffff"), modify.slot, modify.price_ticks, modify.size_lots)
            )
        elif order.cloid not in gone:
            after.append(order)
    for number, place in enumerate(changes.places):
        after.append(Resting(cloid(1_000 + number), place.slot, place.price_ticks, place.size_lots))
    return after


def uncertain_slots(orders: Sequence[Resting]) -> set[SlotKey]:
    return {order.slot for order in orders if order.is_busy or order.is_unknown}


def is_near(order: Resting, wanted: DesiredOrder, price_bps: float, params: DifferParams) -> bool:
    price_off = abs(order.price_ticks - wanted.price_ticks) * 10_000
    size_off = abs(order.remaining_lots - wanted.size_lots) * 100
    return (
        price_off <= price_bps * wanted.price_ticks
        and size_off <= params.size_tolerance_pct * wanted.size_lots
    )


@given(wishes, resting_orders(), params)
@settings(max_examples=200)
def test_applying_the_difference_gives_what_was_wanted(desired, orders, params):
    changes = change(desired, orders, params)
    shielded = uncertain_slots(orders)
    after = {order.slot: order for order in applied(orders, changes) if order.slot not in shielded}
    wanted = {slot(order.side, order.slot): order for order in desired}
    assert len(after) == sum(order.slot not in shielded for order in applied(orders, changes))
    assert after.keys() == wanted.keys() - shielded
    allowed_bps = max(params.price_tolerance_bps, params.dead_zone_bps)
    if changes.cancels or changes.modifies or changes.places:
        allowed_bps = params.price_tolerance_bps
    assert all(is_near(order, wanted[key], allowed_bps, params) for key, order in after.items())


@given(wishes, resting_orders(), params)
@settings(max_examples=200)
def test_uncertain_slots_are_untouched(desired, orders, params):
    changes = change(desired, orders, params)
    shielded = uncertain_slots(orders)
    touched = [item.slot for item in (*changes.cancels, *changes.modifies, *changes.places)]
    assert not shielded & set(touched)


@given(wishes, resting_orders(), params)
@settings(max_examples=200)
def test_a_modify_never_crosses_sides_or_slots(desired, orders, params):
    by_cloid = {order.cloid: order for order in orders}
    for modify in change(desired, orders, params).modifies:
        assert by_cloid[modify.target].slot == modify.slot


@given(wishes, resting_orders(), params)
@settings(max_examples=200)
def test_no_smaller_change_would_do(desired, orders, params):
    """Per slot: one request for each order too many, and one more if what stays is missing or off."""
    changes = change(desired, orders, params)
    wanted = {slot(order.side, order.slot): order for order in desired}
    shielded = uncertain_slots(orders)
    there: dict[SlotKey, list[Resting]] = {}
    for order in orders:
        there.setdefault(order.slot, []).append(order)
    needed, is_dead_zone = 0, True
    for key in (wanted.keys() | there.keys()) - shielded:
        present = there.get(key, [])
        if key not in wanted:
            needed += len(present)
            is_dead_zone = False
        else:
            is_dead_zone &= len(present) == 1 and is_near(
                present[0], wanted[key], params.dead_zone_bps, params
            )
            good = any(is_near(order, wanted[key], params.price_tolerance_bps, params) for order in present)
            needed += max(0, len(present) - 1) + (not good)
    made = len(changes.cancels) + len(changes.modifies) + len(changes.places)
    assert made == (0 if is_dead_zone else needed)
    assert len({item.cloid for item in changes.cancels} | {item.target for item in changes.modifies}) == len(
        changes.cancels
    ) + len(changes.modifies)


@given(wishes, resting_orders(), params)
@settings(max_examples=100)
def test_once_applied_nothing_is_left_to_do(desired, orders, params):
    certain = [order for order in orders if not (order.is_busy or order.is_unknown)]
    after = applied(certain, change(desired, certain, params))
    assert change(desired, after, params) == Difference()


@given(wishes, resting_orders(), params, st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_the_order_of_the_lists_does_not_matter(desired, orders, params, rng):
    expected = change(desired, orders, params)
    shuffled_wishes, shuffled_orders = list(desired), list(orders)
    rng.shuffle(shuffled_wishes)
    rng.shuffle(shuffled_orders)
    assert change(shuffled_wishes, shuffled_orders, params) == expected


@given(st.lists(st.tuples(wishes, resting_orders()), min_size=1, max_size=6), params)
@settings(max_examples=150)
def test_a_differ_that_is_told_what_changed_says_the_same_as_one_look_at_everything(story, params):
    differ = Differ("hip2", MARKET, params)
    before: dict[SlotKey, list[Resting]] = {}
    for desired, orders in story:
        now: dict[SlotKey, list[Resting]] = {}
        for order in orders:
            now.setdefault(order.slot, []).append(order)
        changed = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        differ.want(Quotes(tuple(desired)))
        assert differ.difference(changed, lambda key, now=now: now.get(key, ())) == change(desired, orders, params)
        before = now


@given(wishes, resting_orders(), params)
@settings(max_examples=100)
def test_nothing_new_is_found_where_nothing_changed(desired, orders, params):
    by_slot: dict[SlotKey, list[Resting]] = {}
    for order in orders:
        by_slot.setdefault(order.slot, []).append(order)
    differ = Differ("hip2", MARKET, params)
    quotes = Quotes(tuple(desired))
    assert differ.want(quotes) == sorted(desired, key=lambda order: order.side is Side.SELL)
    first = differ.difference(by_slot, lambda key: by_slot.get(key, ()))
    assert differ.want(quotes) == []
    assert differ.difference((), lambda key: by_slot.get(key, ())) == first
