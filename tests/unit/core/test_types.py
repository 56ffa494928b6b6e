"""The shared words: exact amounts that do not mix, two clocks, and cloids that say whose they are."""

from __future__ import annotations

import attrs
import pytest

from mmtrio.core.types import Address, Cloid, CloidSource, Coin, Instant, Side, SlotKey, instance_tag
from tests.support.builders import ACCOUNT, HYPE, USDC, amount, instant, spot_token


def test_amounts_of_one_token_add_subtract_and_compare():
    assert amount(USDC, "1.5") + amount(USDC, "0.00000001") == amount(USDC, "1.50000001")
    assert amount(USDC, "1") - amount(USDC, "3") == amount(USDC, "-2")
    assert -amount(USDC, "2") == amount(USDC, "-2")
    assert amount(USDC, "1") < amount(USDC, "2") <= amount(USDC, "2")
    assert amount(USDC, "3") > amount(USDC, "2")


@pytest.mark.parametrize(
    "combine", [lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a < b, lambda a, b: a <= b]
)
def test_amounts_of_two_tokens_do_not_combine(combine):
    with pytest.raises(TypeError, match="amounts of two tokens"):
        combine(amount(USDC, 1), amount(HYPE, 1))


def test_an_amount_does_not_combine_with_a_bare_number():
    with pytest.raises(TypeError):
        amount(USDC, 1) + 1  # type: ignore[operator]
    with pytest.raises(TypeError):
        sum([amount(USDC, 1)])  # type: ignore[type-var]


def test_tokens_are_one_if_their_index_is_one():
    assert spot_token("HYPE", 150) == spot_token("renamed", 150, size_decimals=0)
    assert spot_token("HYPE", 150) != spot_token("HYPE", 151)
    assert len({spot_token("HYPE", 150), spot_token("renamed", 150)}) == 1


def test_values_do_not_change():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        amount(USDC, 1).units = 2  # type: ignore[misc]


def test_ages_follow_the_monotone_clock_alone():
    earlier = Instant(mono_ns=1_000_000_000, wall_ms=5_000)
    later = Instant(mono_ns=3_500_000_000, wall_ms=4_000)  # The wall clock was stepped back between them.
    assert later.age_s(earlier) == 2.5
    assert later > earlier


def test_an_instant_moves_on_both_clocks():
    moved = instant().plus_s(1.25)
    assert moved.mono_ns == 1_250_000_000
    assert moved.wall_ms == instant().wall_ms + 1_250


def test_sides_know_their_opposite_and_their_sign():
    assert Side.BUY.opposite is Side.SELL and Side.SELL.opposite is Side.BUY
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert (Side("B"), Side("A")) == (Side.BUY, Side.SELL)


def test_slots_sort_by_strategy_market_side_and_number():
    keys = [
        SlotKey("hip2", Coin("@1"), Side.BUY, 2),
        SlotKey("hip2", Coin("@1"), Side.SELL, 9),
        SlotKey("hip2", Coin("@1"), Side.BUY, 1),
        SlotKey("alpha", Coin("@2"), Side.BUY, 3),
    ]
    assert [key.slot for key in sorted(keys)] == [3, 9, 1, 2]


TAG = instance_tag("testnet", ACCOUNT, "main")


def test_cloids_are_sixteen_bytes_of_hex_and_never_repeat():
    source = CloidSource(TAG, run_ms=1_760_000_000_000)
    cloids = [source.next() for _ in range(100)]
    assert len(set(cloids)) == 100
    assert all(len(cloid) == 34 and int(cloid, 16) and cloid == cloid.lower() for cloid in cloids)


def test_two_runs_of_one_instance_hand_out_different_cloids():
    first, second = CloidSource(TAG, run_ms=1_760_000_000_000), CloidSource(TAG, run_ms=1_760_000_000_001)
    assert first.next() != second.next()


def test_a_cloid_says_whose_it_is():
    earlier, now = CloidSource(TAG, run_ms=1_760_000_000_000), CloidSource(TAG, run_ms=1_760_000_060_000)
    ours, foreign = earlier.next(), CloidSource(instance_tag("testnet", ACCOUNT, "second"), run_ms=1).next()
    assert now.is_ours(ours) and not now.is_this_run(ours)
    assert now.is_this_run(now.next())
    assert not now.is_ours(foreign) and not now.is_ours(None) and not now.is_this_run(None)
    assert not now.is_ours(Cloid("0x" + "0" * 32))


def test_instances_differ_by_network_account_and_name_and_not_by_the_case_of_the_address():
    tags = {
        TAG,
        instance_tag("mainnet", ACCOUNT, "main"),
        instance_tag("testnet", Address("0x" + "b2" * 20), "main"),
        instance_tag("testnet", ACCOUNT, "second"),
    }
    assert len(tags) == 4
    assert instance_tag("testnet", Address(ACCOUNT.upper()), "main") == TAG


@pytest.mark.parametrize("instance", ["", "main", "ABCDEF01", "0123456", "012345678", "0123456g"])
def test_a_source_of_cloids_wants_a_real_instance_tag(instance):
    with pytest.raises(ValueError):
        CloidSource(instance, run_ms=1)
