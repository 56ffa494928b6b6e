"""Any story of fills, readings and drifts: totals are exact, and no unit is allocated twice."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.events import BalancesRead, Fill, Mismatch, TokenBalance
from mmtrio.core.inventory import AllocationCaps, Inventory
from mmtrio.core.types import Amount, Side
from tests.support.builders import (
    HYPE,
    PURR,
    USDC,
    fill,
    instant,
    market,
    purr_market,
    spot_token,
)

FUN = spot_token("FUN", index=7)
TOKENS = [USDC, HYPE, PURR, FUN]
MARKETS = [market(), purr_market(), market("@8", size_decimals=0, base=PURR, quote=HYPE)]
UNTRADED = market("@7", base=FUN)

units = st.integers(0, 10**12)
holdings = st.dictionaries(st.sampled_from([token.index for token in TOKENS]), units)


@st.composite
def fills(draw: st.DrawFn) -> Fill:
    venue = draw(st.sampled_from([*MARKETS, UNTRADED]))
    return fill(
        draw(st.sampled_from(Side)),
        coin=venue.coin,
        price_ticks=draw(st.integers(1, 10**6)),
        size_lots=draw(st.integers(1, 10**5)),
        fee_token=draw(st.sampled_from([venue.base.index, venue.quote.index, USDC.index, FUN.index])),
        fee_units=draw(st.integers(-1_000, 100_000)),
    )


@st.composite
def inventories(draw: st.DrawFn) -> Inventory:
    """Some of the markets, some of them capped, before the first read."""
    chosen = draw(st.lists(st.sampled_from(MARKETS), min_size=1, unique_by=lambda venue: venue.coin))
    caps = {}
    for venue in chosen:
        base, quote = draw(st.none() | units), draw(st.none() | units)
        caps[venue.coin] = AllocationCaps(
            Amount(venue.base, base) if base is not None else None,
            Amount(venue.quote, quote) if quote is not None else None,
        )
    return Inventory(chosen, caps, other_markets=[*MARKETS, UNTRADED])


def read(owned: dict[int, int], at_s: float) -> BalancesRead:
    return BalancesRead(
        tuple(TokenBalance(token, total, 0) for token, total in owned.items()), instant(at_s), None
    )


def owners_of(inventory: Inventory, token: int) -> list[Amount]:
    return [
        part
        for venue in inventory.markets
        for part in inventory.allocated(venue.coin)
        if part.token.index == token
    ]


def assert_allocations_are_covered(inventory: Inventory) -> None:
    for token in TOKENS:
        parts = [part.units for part in owners_of(inventory, token.index)]
        assert all(part >= 0 for part in parts), (token, parts)
        assert sum(parts) <= max(0, inventory.total(token.index)), (token, parts)


def exact_moves(booked: Fill) -> Counter[int]:
    """What a fill moves, by arithmetic on fractions of whole tokens."""
    venue = next(venue for venue in [*MARKETS, UNTRADED] if venue.coin == booked.coin)
    size = Fraction(booked.size_lots, 10**venue.size_decimals)
    value = size * Fraction(booked.price_ticks, 10**venue.price_decimals)
    moves: Counter[int] = Counter()
    moves[venue.base.index] += booked.side.sign * size * 10**venue.base.wei_decimals
    moves[venue.quote.index] -= booked.side.sign * value * 10**venue.quote.wei_decimals
    moves[booked.fee_token] -= booked.fee_units
    return moves


@given(inventories(), holdings, st.lists(fills(), max_size=12))
@settings(max_examples=150)
def test_totals_are_what_was_owned_and_what_fills_moved_to_the_last_unit(inventory, owned, story):
    inventory.rebase(read(owned, 0), instant())
    expected: Counter[int] = Counter(owned)
    for booked in story:
        inventory.book_fill(booked)
        expected.update(exact_moves(booked))
    assert inventory.fills_booked == len(story)
    for token in TOKENS:
        assert inventory.total(token.index) == expected[token.index]


@given(inventories(), holdings, st.lists(fills() | holdings, max_size=15))
@settings(max_examples=150)
def test_no_unit_is_allocated_twice_whatever_happens(inventory, owned, story):
    inventory.rebase(read(owned, 0), instant())
    assert_allocations_are_covered(inventory)
    for number, happening in enumerate(story):
        if isinstance(happening, Fill):
            inventory.book_fill(happening)
        else:
            for at_s in (10 * number, 10 * number + 2):
                inventory.observe(read(happening, at_s), instant(at_s), is_quiet=True)
            assert all(inventory.total(token.index) == happening.get(token.index, 0) for token in TOKENS)
        assert_allocations_are_covered(inventory)


@given(holdings, st.lists(fills() | holdings, max_size=15))
@settings(max_examples=100)
def test_without_caps_every_unit_is_allocated(owned, story):
    inventory = Inventory(MARKETS, {}, other_markets=[UNTRADED])
    inventory.rebase(read(owned, 0), instant())
    for number, happening in enumerate(story):
        if isinstance(happening, Fill):
            inventory.book_fill(happening)
        else:
            inventory.rebase(read(happening, number), instant(number))
        for token in (USDC, HYPE, PURR):
            parts = owners_of(inventory, token.index)
            assert sum(part.units for part in parts) == max(0, inventory.total(token.index))


@given(inventories(), holdings, holdings, st.floats(0, 10), st.booleans(), st.booleans())
@settings(max_examples=150)
def test_a_drift_needs_two_quiet_reads_far_enough_apart(
    inventory, owned, theirs, apart_s, first_is_quiet, second_is_quiet
):
    inventory.rebase(read(owned, 0), instant())
    inventory.observe(read(theirs, 1), instant(1), is_quiet=first_is_quiet)
    second_at = instant(1).plus_s(apart_s)
    second = BalancesRead(read(theirs, 0).balances, second_at)
    notes = inventory.observe(second, second_at, is_quiet=second_is_quiet)
    differing = [token.index for token in TOKENS if owned.get(token.index, 0) != theirs.get(token.index, 0)]
    is_proven = first_is_quiet and second_is_quiet and second_at.age_s(instant(1)) >= 2.0
    assert len(notes) == (len(differing) if is_proven else 0)
    assert all(isinstance(note, Mismatch) for note in notes)
    believed = theirs if is_proven else owned
    assert all(inventory.total(token.index) == believed.get(token.index, 0) for token in TOKENS)


@given(inventories(), holdings, st.lists(fills(), max_size=8))
@settings(max_examples=50)
def test_a_venue_that_agrees_is_never_a_mismatch(inventory, owned, story):
    inventory.rebase(read(owned, 0), instant())
    for number, booked in enumerate(story):
        inventory.book_fill(booked)
        ours = {token.index: inventory.total(token.index) for token in TOKENS}
        for at_s in (10 * number, 10 * number + 5):
            assert inventory.observe(read(ours, at_s), instant(at_s), is_quiet=True) == ()
    assert not inventory.wants_confirmation
