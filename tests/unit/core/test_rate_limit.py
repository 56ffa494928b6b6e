"""Budgets are counted as the venue counts them, and a reserve for cancels is left alone."""

from __future__ import annotations

import pytest

from mmtrio.core.events import (
    BudgetRead,
    ItemOutcome,
    Mismatch,
    MismatchKind,
    OutcomeKind,
    ReadPurpose,
    Refusal,
)
from mmtrio.core.rate_limit import (
    AddressBudget,
    BudgetParams,
    IpWeight,
    batch_weight,
    batches_weight,
    info_weight,
)
from tests.support.builders import cloid, instant

USDC_E8 = 100_000_000


def budget_read(
    used: int, *, at_s: float, volume: int = 0, surplus: int = 0, cap: int | None = None
) -> BudgetRead:
    return BudgetRead(
        requests_used=used,
        requests_cap=10_000 + volume if cap is None else cap,
        requests_surplus=surplus,
        volume_e8=volume * USDC_E8,
        requested_at=instant(at_s),
        purpose=ReadPurpose.RECONCILE,
    )


def known_budget(used: int = 0, *, reserve: int = 200, volume: int = 0, surplus: int = 0) -> AddressBudget:
    budget = AddressBudget(BudgetParams(address_reserve=reserve))
    budget.observe(budget_read(used, at_s=0, volume=volume, surplus=surplus), 0, instant())
    return budget


def refused(refusal: Refusal, n: int) -> tuple[ItemOutcome, ...]:
    return tuple(ItemOutcome(cloid(number), OutcomeKind.REFUSED, refusal=refusal) for number in range(n))


def accepted(n: int) -> tuple[ItemOutcome, ...]:
    return tuple(ItemOutcome(cloid(number), OutcomeKind.CANCELLED) for number in range(n))


# What may be sent


def test_before_the_first_reading_nothing_is_placed_but_orders_are_cancelled() -> None:
    budget = AddressBudget()
    assert budget.places_allowed(instant()) == 0
    assert budget.cancels_allowed(instant()) == 20_000


def test_a_batch_of_n_costs_n() -> None:
    budget = known_budget(used=396)
    budget.charge(200, True, instant(1))
    assert budget.used == 596
    budget.charge(40, False, instant(1))
    assert budget.used == 636


def test_the_cap_is_ten_thousand_and_one_for_each_whole_usdc_traded() -> None:
    budget = AddressBudget()
    recorded = BudgetRead(231, 10_357, 0, 35_745_105_000, instant(), ReadPurpose.START)
    budget.observe(recorded, 0, instant())
    assert (budget.cap, budget.remaining) == (10_357, 10_126)
    budget.credit_volume(54_894_999)  # 357.99999999 by now
    assert budget.cap == 10_357
    budget.credit_volume(1)
    assert budget.cap == 10_358


def test_a_cap_that_follows_another_rule_is_learned_from_the_venue() -> None:
    budget = AddressBudget()
    budget.observe(budget_read(0, at_s=0, volume=500, cap=1_234), 0, instant())
    assert budget.cap == 1_234
    budget.credit_volume(2 * USDC_E8)
    assert budget.cap == 1_236


def test_requests_that_were_bought_are_free_beyond_the_cap() -> None:
    budget = known_budget(surplus=500, reserve=0)
    assert (budget.remaining, budget.used, budget.surplus) == (10_500, 0, 500)
    budget.charge(600, False, instant(1))
    assert (budget.remaining, budget.used, budget.surplus) == (9_900, 100, 0)


def test_quoting_never_spends_the_reserve() -> None:
    budget = known_budget(used=9_790)
    assert budget.places_allowed(instant()) == 10
    budget.charge(10, False, instant())
    assert (budget.places_allowed(instant()), budget.remaining) == (0, 200)
    budget.charge(150, True, instant())
    assert budget.places_allowed(instant(1_000)) == 0, (
        "50 of the reserve are left, and they are not for quoting"
    )


@pytest.mark.parametrize(("volume", "ceiling"), [(0, 20_000), (90_000, 200_000), (290_000, 400_000)])
def test_cancels_have_a_ceiling_of_their_own(volume: int, ceiling: int) -> None:
    budget = known_budget(used=10_000, volume=volume)
    assert budget.cancel_cap == ceiling
    assert budget.cancels_allowed() == ceiling - 10_000


def test_an_exhausted_budget_lets_one_action_through_every_ten_seconds() -> None:
    budget = known_budget(used=10_000)
    assert budget.places_allowed() == 0, "without a clock there is no telling"
    assert budget.places_allowed(instant(1)) == 1
    budget.charge(1, False, instant(1))
    assert budget.next_drip_at == instant(11)
    assert budget.places_allowed(instant(10.999)) == 0
    assert budget.places_allowed(instant(11)) == 1


def test_cancels_below_their_ceiling_do_not_use_up_the_drip() -> None:
    budget = known_budget(used=10_000)
    budget.charge(5, True, instant(1))
    assert budget.places_allowed(instant(1)) == 1


def test_beyond_their_ceiling_cancels_drip_too() -> None:
    budget = known_budget(used=20_000)
    assert budget.cancels_allowed(instant(1)) == 1
    budget.charge(1, True, instant(1))
    assert budget.cancels_allowed(instant(10)) == 0
    assert budget.cancels_allowed(instant(11)) == 1


def test_a_wall_clock_that_steps_changes_no_allowance() -> None:
    budget = known_budget(used=10_000)
    budget.charge(1, False, instant(1))
    stepped = instant(10.999)
    stepped = type(stepped)(stepped.mono_ns, stepped.wall_ms + 120_000)
    assert budget.places_allowed(stepped) == 0


# What refusals cost


@pytest.mark.parametrize("refusal", [Refusal.BUDGET, Refusal.OVER_WEIGHT, Refusal.TOO_MANY_REQUESTS])
def test_requests_refused_at_the_door_cost_nothing(refusal: Refusal) -> None:
    budget = known_budget()
    budget.charge(20, False, instant(1))
    budget.settle(refused(refusal, 20), instant(1.2))
    assert budget.used == 0


@pytest.mark.parametrize(
    "refusal",
    [
        Refusal.MISSING_ORDER,
        Refusal.POST_ONLY_WOULD_MATCH,
        Refusal.INSUFFICIENT_BALANCE,
        Refusal.DUPLICATE_NONCE,
    ],
)
def test_other_refusals_are_charged(refusal: Refusal) -> None:
    budget = known_budget()
    budget.charge(20, False, instant(1))
    budget.settle(refused(refusal, 20), instant(1.2))
    assert budget.used == 20


def test_expired_requests_cost_five_times() -> None:
    budget = known_budget()
    budget.charge(20, False, instant(1))
    budget.settle(refused(Refusal.EXPIRED, 20), instant(20))
    assert budget.used == 100


def test_what_was_not_sent_is_given_back() -> None:
    budget = known_budget(used=50)
    budget.charge(20, False, instant(1))
    budget.refund(20)
    assert budget.used == 50


# What the venue says


def test_equal_counts_are_no_news() -> None:
    budget = known_budget(used=100)
    budget.charge(7, False, instant(1))
    assert budget.observe(budget_read(107, at_s=60), 0, instant(60)) == ()
    assert budget.used == 107


def test_what_is_in_flight_or_was_just_answered_explains_a_smaller_count() -> None:
    budget = known_budget(used=100)
    budget.charge(30, False, instant(10))
    assert budget.observe(budget_read(100, at_s=60), 30, instant(60)) == ()
    assert budget.observe(budget_read(110, at_s=70), 20, instant(70)) == ()
    budget.charge(5, True, instant(70))
    budget.settle(accepted(5), instant(79))
    assert budget.observe(budget_read(130, at_s=80), 0, instant(80)) == ()
    assert budget.observe(budget_read(130, at_s=80.9), 0, instant(84)) == ()
    assert budget.used == 135, "the larger use wins"


def test_a_larger_count_is_believed_at_once_and_reported_when_read_twice() -> None:
    budget = known_budget(used=100)
    assert budget.observe(budget_read(140, at_s=60), 0, instant(60)) == ()
    assert budget.used == 140
    (note,) = budget.observe(budget_read(140, at_s=63), 0, instant(63))
    assert isinstance(note, Mismatch)
    assert note.kind is MismatchKind.BUDGET_DRIFT
    assert "40 more" in note.detail
    assert budget.used == 140
    assert budget.observe(budget_read(140, at_s=66), 0, instant(66)) == ()


def test_a_smaller_count_that_nothing_explains_is_reported_when_read_twice_and_accepted() -> None:
    budget = known_budget(used=100)
    assert budget.observe(budget_read(90, at_s=60), 0, instant(60)) == ()
    assert budget.used == 100
    (note,) = budget.observe(budget_read(90, at_s=63), 0, instant(63))
    assert isinstance(note, Mismatch)
    assert "10 fewer" in note.detail
    assert budget.used == 90


def test_two_readings_at_once_are_one_witness() -> None:
    budget = known_budget(used=100)
    budget.observe(budget_read(140, at_s=60), 0, instant(60))
    assert budget.observe(budget_read(140, at_s=61.9), 0, instant(62)) == ()
    assert len(budget.observe(budget_read(140, at_s=62), 0, instant(63))) == 1


def test_two_different_disagreements_are_not_one() -> None:
    budget = known_budget(used=100)
    assert budget.observe(budget_read(90, at_s=60), 0, instant(60)) == ()
    assert budget.observe(budget_read(95, at_s=63), 0, instant(63)) == ()
    assert budget.observe(budget_read(100, at_s=66), 0, instant(66)) == ()
    assert budget.observe(budget_read(95, at_s=69), 0, instant(69)) == ()


def test_a_disagreement_is_recognised_while_our_own_use_goes_on() -> None:
    budget = known_budget(used=100)
    budget.observe(budget_read(140, at_s=60), 0, instant(60))
    budget.charge(10, False, instant(70))
    assert len(budget.observe(budget_read(150, at_s=80), 0, instant(80))) == 1
    assert budget.used == 150


def test_an_unknown_outcome_explains_every_count_it_may_have_led_to() -> None:
    for counted in (100, 110, 150):  # Never arrived, arrived, arrived too late.
        budget = known_budget(used=100)
        budget.charge(10, False, instant(10))
        budget.doubt(10, instant(15))
        assert budget.observe(budget_read(counted, at_s=50), 0, instant(50)) == ()
        assert budget.observe(budget_read(counted, at_s=60), 0, instant(60)) == ()
        assert budget.used == counted


def test_a_fresh_doubt_is_not_settled_by_a_reading() -> None:
    budget = known_budget(used=100)
    budget.charge(10, False, instant(10))
    budget.doubt(10, instant(15))
    assert budget.observe(budget_read(100, at_s=20), 0, instant(20)) == ()
    assert budget.used == 110, "the request may still be on its way"
    assert budget.observe(budget_read(110, at_s=40), 0, instant(40)) == ()
    assert budget.observe(budget_read(110, at_s=60), 0, instant(60)) == ()


def test_a_doubtful_refusal_may_turn_out_free() -> None:
    budget = known_budget()
    budget.charge(20, False, instant(1))
    budget.settle(refused(Refusal.UNKNOWN_SIGNER, 20), instant(1.2))
    assert budget.observe(budget_read(0, at_s=60), 0, instant(60)) == ()
    assert budget.observe(budget_read(0, at_s=80), 0, instant(80)) == ()
    assert budget.used == 0


def test_cancels_sent_before_the_first_reading_count_whether_it_saw_them_or_not() -> None:
    for seen in (0, 5):
        budget = AddressBudget()
        budget.charge(5, True, instant(1))
        budget.settle(accepted(5), instant(1.5))
        budget.observe(budget_read(100 + seen, at_s=2), 0, instant(2.5))
        assert budget.used == 105 + seen
        assert budget.observe(budget_read(105, at_s=60), 0, instant(60)) == ()
        assert budget.observe(budget_read(105, at_s=63), 0, instant(63)) == ()
        assert budget.used == 105


def test_an_answer_overtaken_by_its_successor_is_ignored() -> None:
    budget = known_budget(used=100)
    budget.observe(budget_read(100, at_s=60, volume=50), 0, instant(60))
    assert budget.observe(budget_read(80, at_s=50), 0, instant(61)) == ()
    assert budget.cap == 10_050


def test_after_a_smaller_count_is_accepted_what_is_in_flight_is_still_counted() -> None:
    budget = known_budget(used=100)
    budget.charge(10, False, instant(50))
    assert budget.observe(budget_read(50, at_s=60), 10, instant(60)) == ()
    assert len(budget.observe(budget_read(50, at_s=63), 10, instant(63))) == 1
    assert budget.used == 60
    budget.settle(accepted(10), instant(64))
    assert budget.observe(budget_read(60, at_s=80), 0, instant(80)) == ()


def test_a_doubt_that_was_settled_explains_nothing_any_more() -> None:
    budget = known_budget(used=100)
    budget.charge(10, False, instant(10))
    budget.doubt(10, instant(15))
    budget.observe(budget_read(110, at_s=60), 0, instant(60))
    budget.observe(budget_read(100, at_s=70), 0, instant(70))
    assert len(budget.observe(budget_read(100, at_s=80), 0, instant(80))) == 1


def test_a_reading_that_missed_an_expired_request_missed_five() -> None:
    budget = known_budget()
    budget.charge(20, False, instant(1))
    budget.settle(refused(Refusal.EXPIRED, 20), instant(20))
    assert budget.observe(budget_read(0, at_s=18), 0, instant(21)) == ()
    assert budget.observe(budget_read(0, at_s=20), 0, instant(21)) == ()
    assert budget.used == 100


# The weight of requests


def test_weight_is_forgotten_after_a_minute() -> None:
    weight = IpWeight()
    weight.charge(900, instant(0))
    weight.charge(50, instant(30))
    assert (weight.available(instant(59.9)), weight.available_to_cancels(instant(59.9))) == (50, 250)
    assert weight.wait_s(instant(59)) == 1.0
    assert weight.available(instant(60)) == 950
    assert weight.available(instant(90)) == 1_000
    assert weight.wait_s(instant(90)) == 0.0


def test_the_weight_reserve_is_for_cancels() -> None:
    weight = IpWeight(BudgetParams(ip_weight_per_minute=100, ip_weight_reserve=40))
    weight.charge(70, instant())
    assert (weight.available(instant()), weight.available_to_cancels(instant())) == (0, 30)


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (39, 1), (40, 2), (79, 2), (80, 3), (200, 6)])
def test_a_batch_weighs_one_and_one_for_each_forty(n: int, expected: int) -> None:
    assert batch_weight(n) == expected


@pytest.mark.parametrize(("n", "expected"), [(0, 0), (1, 1), (200, 6), (201, 7), (400, 12), (440, 14)])
def test_long_lists_weigh_what_their_actions_weigh(n: int, expected: int) -> None:
    assert batches_weight(n) == expected


@pytest.mark.parametrize(
    ("request_type", "rows", "expected"),
    [
        ("l2Book", 40, 2),
        ("orderStatus", 0, 2),
        ("userRole", 0, 60),
        ("openOrders", 300, 20),
        ("userRateLimit", 0, 20),
        ("userFillsByTime", 0, 20),
        ("userFillsByTime", 1, 21),
        ("userFillsByTime", 2_000, 120),
        ("candleSnapshot", 120, 22),
        ("aRequestOfTomorrow", 0, 20),
    ],
)
def test_readings_weigh_what_the_venue_documents(request_type: str, rows: int, expected: int) -> None:
    assert info_weight(request_type, rows) == expected


def test_a_reserve_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves nothing of ip_weight_per_minute 200"):
        BudgetParams(ip_weight_per_minute=200, ip_weight_reserve=200)
    with pytest.raises(ValueError, match="address_reserve must not be negative"):
        BudgetParams(address_reserve=-1)
