"""Balances move by fills alone, to the last unit; the venue's word counts when it is said twice in quiet."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from mmtrio.core.events import Mismatch, MismatchKind, ReadPurpose, Remark
from mmtrio.core.inventory import AllocationCaps, Inventory
from mmtrio.core.market import Market
from mmtrio.core.types import Coin, Side, Token
from tests.support.builders import (
    HYPE,
    PURR,
    USDC,
    amount,
    balances_read,
    fill,
    instant,
    market,
    perp_market,
    purr_market,
    spot_token,
    units,
)

HYPE_USDC = market()
PURR_USDC = purr_market()
FUN = spot_token("FUN", index=7)
FUN_USDC = market("@7", base=FUN)
PURR_HYPE = market("@8", size_decimals=0, base=PURR, quote=HYPE)
"""A market whose quote is another one's base."""


def inventory(
    *markets: Market,
    owned: Mapping[Token, str],
    caps: Mapping[str, AllocationCaps] | None = None,
    **options: object,
) -> Inventory:
    """An inventory that has accepted what is owned."""
    keyed = {Coin(coin): cap for coin, cap in (caps or {}).items()}
    built = Inventory(markets, keyed, **options)  # type: ignore[arg-type]
    built.rebase(balances_read(owned, purpose=ReadPurpose.START), instant())
    return built


def quote_caps(**caps: str) -> dict[str, AllocationCaps]:
    return {f"@{coin[1:]}": AllocationCaps(quote=amount(USDC, cap)) for coin, cap in caps.items()}


# Fills


def test_nothing_is_known_or_allocated_before_the_first_read():
    fresh = Inventory([HYPE_USDC], {})
    assert not fresh.is_known
    assert fresh.allocated(HYPE_USDC.coin) == (amount(HYPE, 0), amount(USDC, 0))
    fresh.book_fill(fill())
    assert fresh.total(HYPE.index) == 0 and fresh.fills_booked == 0


def test_a_fill_before_the_first_read_is_in_that_read_already():
    fresh = Inventory([HYPE_USDC], {})
    fresh.book_fill(fill(Side.BUY, size_lots=100))
    fresh.rebase(balances_read({HYPE: "1", USDC: "965"}), instant())
    assert fresh.total(HYPE.index) == units(HYPE, "1")


def test_a_buy_brings_base_less_its_fee_and_takes_the_quote():
    """A recorded fill: 0.5 HYPE at 34.895, fee 0.00031499 HYPE."""
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    owned.book_fill(fill(Side.BUY, price_ticks=34_895_000, size_lots=50, fee_units=units(HYPE, "0.00031499")))
    assert owned.total(HYPE.index) == units(HYPE, "0.49968501")
    assert owned.total(USDC.index) == units(USDC, "82.5525")
    assert owned.fills_booked == 1


def test_a_sale_takes_base_and_brings_the_quote_less_its_fee():
    """A recorded balance: a sale worth 10.55964 paid a fee of 0.00739174."""
    owned = inventory(HYPE_USDC, owned={HYPE: "1"})
    owned.book_fill(
        fill(Side.SELL, price_ticks=35_198_800, size_lots=30, fee_units=units(USDC, "0.00739174"))
    )
    assert owned.total(HYPE.index) == units(HYPE, "0.7")
    assert owned.total(USDC.index) == units(USDC, "10.55224826")


def test_a_rebate_is_a_negative_fee():
    owned = inventory(HYPE_USDC, owned={HYPE: "1"})
    owned.book_fill(fill(Side.SELL, price_ticks=35_000_000, size_lots=100, fee_units=-7))
    assert owned.total(USDC.index) == units(USDC, "35") + 7


def test_a_fee_in_a_third_token_is_taken_from_that_token():
    owned = inventory(HYPE_USDC, owned={USDC: "100", PURR: "5"})
    owned.book_fill(fill(Side.BUY, size_lots=100, fee_token=PURR.index, fee_units=units(PURR, "0.5")))
    assert owned.total(HYPE.index) == units(HYPE, "1")
    assert owned.total(PURR.index) == units(PURR, "4.5")


def test_a_fee_in_a_token_another_market_trades_comes_out_of_its_allocation():
    owned = inventory(HYPE_USDC, PURR_USDC, owned={USDC: "100", PURR: "5"})
    owned.book_fill(fill(Side.BUY, size_lots=100, fee_token=PURR.index, fee_units=units(PURR, "0.5")))
    assert owned.allocated(PURR_USDC.coin)[0] == amount(PURR, "4.5")


def test_a_base_of_five_decimals_moves_exactly():
    owned = inventory(PURR_USDC, owned={USDC: "100"})
    owned.book_fill(
        fill(
            Side.BUY,
            coin="PURR/USDC",
            price_ticks=4_000_000,
            size_lots=250,
            fee_token=PURR.index,
            fee_units=10_000,
        )
    )
    assert owned.total(PURR.index) == units(PURR, "249.9")
    assert owned.total(USDC.index) == units(USDC, "90")


def test_fills_of_a_market_we_do_not_trade_move_what_it_trades():
    owned = inventory(HYPE_USDC, owned={USDC: "100"}, other_markets=[FUN_USDC])
    owned.book_fill(fill(Side.BUY, coin="@7", price_ticks=1_000_000, size_lots=3_000, fee_token=FUN.index))
    assert owned.total(FUN.index) == units(FUN, "30")
    assert owned.allocated(HYPE_USDC.coin)[1] == amount(USDC, "70")


def test_fills_of_an_unheard_of_market_or_a_perp_move_nothing():
    owned = inventory(HYPE_USDC, owned={USDC: "100"}, other_markets=[perp_market("BTC")])
    owned.book_fill(fill(coin="@999"))
    owned.book_fill(fill(coin="BTC"))
    assert owned.total(USDC.index) == units(USDC, "100")
    assert (owned.fills_booked, owned.fills_unattributed) == (0, 1)


# Dust


def test_base_below_one_lot_is_dust():
    owned = inventory(HYPE_USDC, owned={HYPE: "3.00999999"})
    assert owned.dust(HYPE_USDC.coin) == amount(HYPE, "0.00999999")


# Allocations


def test_one_market_gets_everything():
    owned = inventory(HYPE_USDC, owned={HYPE: "3", USDC: "100", FUN: "1"})
    assert owned.allocated(HYPE_USDC.coin) == (amount(HYPE, "3"), amount(USDC, "100"))


def test_markets_without_caps_share_equally_and_the_odd_unit_goes_to_the_first():
    owned = inventory(HYPE_USDC, PURR_USDC, FUN_USDC, owned={USDC: "0.00000011"})
    assert [owned.allocated(m.coin)[1].units for m in (HYPE_USDC, PURR_USDC, FUN_USDC)] == [4, 4, 3]


def test_the_others_share_what_a_cap_leaves():
    owned = inventory(HYPE_USDC, PURR_USDC, FUN_USDC, owned={USDC: "100"}, caps=quote_caps(_107="40"))
    assert [owned.allocated(m.coin)[1] for m in (HYPE_USDC, PURR_USDC, FUN_USDC)] == [
        amount(USDC, "40"),
        amount(USDC, "30"),
        amount(USDC, "30"),
    ]


def test_caps_are_served_in_the_order_of_the_markets_and_an_unmet_one_is_told():
    built = Inventory(
        [FUN_USDC, HYPE_USDC, PURR_USDC],
        {Coin(coin): cap for coin, cap in quote_caps(_7="80", _107="40").items()},
    )
    notes = built.rebase(balances_read({USDC: "100"}), instant())
    assert [built.allocated(m.coin)[1] for m in (FUN_USDC, HYPE_USDC, PURR_USDC)] == [
        amount(USDC, "80"),
        amount(USDC, "20"),
        amount(USDC, "0"),
    ]
    assert notes == (Remark("@107 may use 40 USDC, but only 20 USDC is there for it", is_warning=True),)


def test_a_token_may_be_base_here_and_quote_there():
    owned = inventory(HYPE_USDC, PURR_HYPE, owned={HYPE: "10"})
    assert owned.allocated(HYPE_USDC.coin)[0] == amount(HYPE, "5")
    assert owned.allocated(PURR_HYPE.coin)[1] == amount(HYPE, "5")


def test_a_fill_moves_its_own_markets_allocation_alone():
    owned = inventory(HYPE_USDC, PURR_USDC, owned={USDC: "100"})
    owned.book_fill(fill(Side.BUY, price_ticks=35_000_000, size_lots=100))
    assert owned.allocated(HYPE_USDC.coin) == (amount(HYPE, "1"), amount(USDC, "15"))
    assert owned.allocated(PURR_USDC.coin) == (amount(PURR, "0"), amount(USDC, "50"))


def test_a_capped_market_keeps_what_it_earns():
    owned = inventory(HYPE_USDC, PURR_USDC, owned={HYPE: "1", USDC: "100"}, caps=quote_caps(_107="40"))
    owned.book_fill(fill(Side.SELL, price_ticks=35_000_000, size_lots=100))
    assert owned.allocated(HYPE_USDC.coin)[1] == amount(USDC, "75")
    owned.rebase(balances_read({USDC: "135"}), instant(10))
    assert owned.allocated(HYPE_USDC.coin)[1] == amount(USDC, "75")
    assert owned.allocated(PURR_USDC.coin)[1] == amount(USDC, "60")


def test_a_market_that_spends_more_than_its_share_takes_from_the_others():
    """Two markets of 50 each; one pays 70."""
    owned = inventory(HYPE_USDC, PURR_USDC, owned={USDC: "100"})
    owned.book_fill(fill(Side.BUY, price_ticks=35_000_000, size_lots=200))
    assert [owned.allocated(m.coin)[1] for m in (HYPE_USDC, PURR_USDC)] == [amount(USDC, "15")] * 2


def test_a_cap_is_filled_again_when_the_money_comes_back():
    owned = inventory(HYPE_USDC, owned={USDC: "100"}, caps=quote_caps(_107="80"))
    owned.rebase(balances_read({USDC: "30"}), instant(10))
    assert owned.allocated(HYPE_USDC.coin)[1] == amount(USDC, "30")
    owned.rebase(balances_read({USDC: "100"}), instant(20))
    assert owned.allocated(HYPE_USDC.coin)[1] == amount(USDC, "80")


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: Inventory([perp_market()], {}), "a perp has a position"),
        (lambda: Inventory([HYPE_USDC, HYPE_USDC], {}), "@107 is listed twice"),
        (lambda: Inventory([HYPE_USDC], {Coin("@7"): AllocationCaps()}), "@7, which is not traded"),
        (
            lambda: Inventory([HYPE_USDC], {HYPE_USDC.coin: AllocationCaps(quote=amount(HYPE, 1))}),
            "a cap of USDC is an amount of it",
        ),
        (
            lambda: Inventory([HYPE_USDC], {HYPE_USDC.coin: AllocationCaps(base=amount(HYPE, -1))}),
            "0 or more",
        ),
    ],
)
def test_senseless_allocations_are_refused(build, complaint):
    with pytest.raises(ValueError, match=complaint):
        build()


# What the venue says


def test_the_first_read_is_accepted_without_a_word():
    fresh = Inventory([HYPE_USDC], {})
    assert fresh.rebase(balances_read({USDC: "100", FUN: "3"}), instant()) == ()
    assert fresh.is_known
    assert fresh.total(FUN.index) == units(FUN, "3")


def test_a_later_re_basing_says_what_changed():
    owned = inventory(HYPE_USDC, owned={USDC: "100", HYPE: "1"})
    notes = owned.rebase(balances_read({USDC: "99.5"}), instant(10))
    assert notes == (
        Remark("re-based USDC: the venue has 99.5 USDC, we had 100 USDC (-0.5 USDC)"),
        Remark("re-based HYPE: the venue has 0 HYPE, we had 1 HYPE (-1 HYPE)"),
    )
    assert owned.allocated(HYPE_USDC.coin) == (amount(HYPE, 0), amount(USDC, "99.5"))


def observe(owned: Inventory, balances: Mapping[Token, str], at_s: float, *, is_quiet: bool = True) -> tuple:  # type: ignore[type-arg]
    return owned.observe(balances_read(balances, at=instant(at_s)), instant(at_s + 0.1), is_quiet=is_quiet)


def test_a_read_that_agrees_says_nothing():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    assert observe(owned, {USDC: "100", HYPE: "0"}, 1) == ()
    assert not owned.wants_confirmation


def test_one_different_read_is_only_a_hint():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    assert observe(owned, {USDC: "90"}, 1) == ()
    assert owned.wants_confirmation
    assert owned.total(USDC.index) == units(USDC, "100")


def test_two_reads_that_agree_re_base_the_token_and_are_a_mismatch():
    owned = inventory(HYPE_USDC, owned={USDC: "100", HYPE: "2"})
    observe(owned, {USDC: "90", HYPE: "2"}, 1)
    [note] = observe(owned, {USDC: "90", HYPE: "2"}, 3)
    assert note == Mismatch(
        MismatchKind.BALANCE_DRIFT,
        "USDC: the venue has 90 USDC, we had 100 USDC (-10 USDC), in two reads 2.0 s apart",
    )
    assert owned.allocated(HYPE_USDC.coin) == (amount(HYPE, "2"), amount(USDC, "90"))
    assert not owned.wants_confirmation
    assert observe(owned, {USDC: "90", HYPE: "2"}, 5) == ()


def test_two_reads_too_close_together_prove_nothing():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    observe(owned, {USDC: "90"}, 1)
    assert observe(owned, {USDC: "90"}, 2.999) == ()
    assert len(observe(owned, {USDC: "90"}, 3)) == 1  # Counted from the first that showed it.


def test_two_reads_that_disagree_begin_anew():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    observe(owned, {USDC: "90"}, 1)
    assert observe(owned, {USDC: "80"}, 4) == ()
    assert len(observe(owned, {USDC: "80"}, 6)) == 1


def test_a_difference_that_goes_away_is_forgotten():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    observe(owned, {USDC: "90"}, 1)
    observe(owned, {USDC: "100"}, 3)
    assert not owned.wants_confirmation
    assert observe(owned, {USDC: "90"}, 5) == ()


def test_a_fill_between_two_reads_makes_them_prove_nothing():
    """A read lags the stream: it may hold the fill or not."""
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    observe(owned, {USDC: "90"}, 1)
    owned.book_fill(fill(Side.BUY, price_ticks=10_000_000, size_lots=100))
    assert observe(owned, {USDC: "80", HYPE: "1"}, 4) == ()
    assert len(observe(owned, {USDC: "80", HYPE: "1"}, 6)) == 1


def test_a_lagging_read_after_a_fill_is_no_drift():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    owned.book_fill(fill(Side.BUY, price_ticks=10_000_000, size_lots=100))
    assert observe(owned, {USDC: "100"}, 1) == ()
    assert observe(owned, {USDC: "90", HYPE: "1"}, 3) == ()
    assert not owned.wants_confirmation


def test_a_fill_of_another_token_does_not_disturb_the_proof():
    owned = inventory(HYPE_USDC, owned={USDC: "100", FUN: "5"})
    observe(owned, {USDC: "100", FUN: "6"}, 1)
    owned.book_fill(fill(Side.BUY, price_ticks=10_000_000, size_lots=100))
    [note] = observe(owned, {USDC: "90", HYPE: "1", FUN: "6"}, 3)
    assert "token 7: the venue has 600000000 units, we had 500000000 (+100000000)" in note.detail


def test_a_read_while_orders_are_in_flight_proves_nothing_either_way():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    assert observe(owned, {USDC: "90"}, 1, is_quiet=False) == ()
    assert not owned.wants_confirmation
    observe(owned, {USDC: "90"}, 3)
    assert observe(owned, {USDC: "90"}, 5, is_quiet=False) == ()
    assert owned.wants_confirmation
    assert len(observe(owned, {USDC: "90"}, 5.5)) == 1


def test_reads_are_dated_by_their_request_not_by_a_late_arrival():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    owned.observe(balances_read({USDC: "90"}, at=instant(1)), instant(1.1), is_quiet=True)
    assert owned.observe(balances_read({USDC: "90"}, at=instant(2)), instant(9), is_quiet=True) == ()
    assert owned.observe(balances_read({USDC: "90"}, at=instant(0)), instant(9), is_quiet=True) == ()
    assert len(owned.observe(balances_read({USDC: "90"}, at=instant(3)), instant(9), is_quiet=True)) == 1


def test_a_frame_of_the_stream_is_dated_by_its_arrival():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    read = balances_read({USDC: "90"}, at=instant(1), purpose=None)
    frame = type(read)(balances=read.balances, requested_at=None)
    assert owned.observe(frame, instant(1), is_quiet=True) == ()
    assert len(owned.observe(frame, instant(3), is_quiet=True)) == 1


def test_nothing_is_compared_before_the_first_read_is_accepted():
    fresh = Inventory([HYPE_USDC], {})
    assert observe(fresh, {USDC: "90"}, 1) == ()
    assert not fresh.wants_confirmation


def test_accepting_a_read_ends_all_doubt():
    owned = inventory(HYPE_USDC, owned={USDC: "100"})
    observe(owned, {USDC: "90"}, 1)
    owned.rebase(balances_read({USDC: "90"}), instant(2))
    assert not owned.wants_confirmation


def test_a_drift_is_shared_out_among_the_markets():
    owned = inventory(HYPE_USDC, PURR_USDC, owned={USDC: "100"}, caps=quote_caps(_107="40"))
    for at_s in (1, 3):
        observe(owned, {USDC: "60"}, at_s)
    assert [owned.allocated(m.coin)[1] for m in (HYPE_USDC, PURR_USDC)] == [
        amount(USDC, "40"),
        amount(USDC, "20"),
    ]
