"""What may leave now leaves in the right order; what may not has a reason with numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import pytest

from mmtrio.core.batch_emitter import BatchEmitter, EmitterParams, MarketWanted, Plan
from mmtrio.core.events import (
    Batch,
    BatchKind,
    BudgetRead,
    CancelItem,
    ItemOutcome,
    ModifyItem,
    Note,
    OutcomeKind,
    PlaceItem,
    ReadPurpose,
    Reason,
    ReasonCode,
    Refusal,
    Remark,
    TimeInForce,
)
from mmtrio.core.market import Market
from mmtrio.core.order_differ import CancelWanted, Difference, ModifyWanted, PlaceWanted
from mmtrio.core.rate_limit import AddressBudget, BudgetParams, IpWeight
from mmtrio.core.types import CloidSource, Coin, Instant, Side
from tests.support.builders import HYPE, USDC, cloid, instant, market, perp_market, slot, units

HYPE_USDC = market()
OTHER = market("@200", asset=10200)
MARKETS = {HYPE_USDC.coin: HYPE_USDC, OTHER.coin: OTHER}
RICH = {HYPE.index: 10**18, USDC.index: 10**18}
PRICE = 35_000_000  # 35 USDC
SIZE = 100  # 1 HYPE


def address_budget(used: int = 0, *, reserve: int = 200) -> AddressBudget:
    budget = AddressBudget(BudgetParams(address_reserve=reserve))
    budget.observe(BudgetRead(used, 10_000, 0, 0, instant(), ReadPurpose.START), 0, instant())
    return budget


@attrs.define
class Bench:
    """An emitter and the budgets it spends."""

    params: EmitterParams = attrs.field(factory=EmitterParams)
    address: AddressBudget = attrs.field(factory=address_budget)
    ip: IpWeight = attrs.field(factory=IpWeight)
    emitter: BatchEmitter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.emitter = BatchEmitter(self.params, CloidSource("deadbeef", 1_000))

    def plan(self, *wanted: MarketWanted, free: Mapping[int, int] = RICH, at: Instant | None = None) -> Plan:
        return self.emitter.plan(
            wanted, free=free, address=self.address, ip=self.ip, at=at if at is not None else instant()
        )

    def cancel(self, n: int, at: Instant | None = None) -> Plan:
        items = [CancelItem(cloid(number), HYPE_USDC.coin) for number in range(n)]
        return self.emitter.cancel_plan(items, at if at is not None else instant(), self.address, self.ip)

    def refuse(self, batch: Batch, refusal: Refusal, at_s: float, n: int | None = None) -> tuple[Note, ...]:
        """The venue refuses the first `n` items and accepts the others."""
        n = len(batch.items) if n is None else n
        outcomes = [
            ItemOutcome(cloid(0), OutcomeKind.REFUSED, refusal=refusal, text=f"Venue says {refusal.value}.")
            if number < n
            else ItemOutcome(cloid(0), OutcomeKind.RESTING, oid=number)
            for number in range(len(batch.items))
        ]
        return self.emitter.on_outcomes(batch, outcomes, instant(at_s), MARKETS)


@attrs.frozen
class Resting:
    """What a modify replaces."""

    number: int
    price_ticks: int = PRICE
    remaining_lots: int = SIZE

    @property
    def cloid(self) -> str:
        return cloid(self.number)


def wants(
    market: Market = HYPE_USDC,
    *,
    places: int | Sequence[PlaceWanted] = 0,
    modifies: int | Sequence[ModifyWanted] = 0,
    cancels: int = 0,
    orders: Sequence[Resting] = (),
    side: Side = Side.BUY,
) -> MarketWanted:
    """So many of each, on slots of their own."""
    if isinstance(places, int):
        places = [place(level, side, market) for level in range(places)]
    if isinstance(modifies, int):
        modifies = [modify(level, side, market) for level in range(1_000, 1_000 + modifies)]
    gone = [
        CancelWanted(cloid(level), slot(side, level, coin=market.coin), "surplus")
        for level in range(2_000, 2_000 + cancels)
    ]
    difference = Difference(tuple(gone), tuple(modifies), tuple(places), ())
    return MarketWanted(market, difference, orders)


def place(
    level: int, side: Side = Side.BUY, market: Market = HYPE_USDC, *, price: int = PRICE, size: int = SIZE
) -> PlaceWanted:
    return PlaceWanted(slot(side, level, coin=market.coin), price, size)


def modify(
    level: int, side: Side = Side.BUY, market: Market = HYPE_USDC, *, price: int = PRICE, size: int = SIZE
) -> ModifyWanted:
    return ModifyWanted(cloid(level), slot(side, level, coin=market.coin), price, size)


def shape(plan: Plan) -> list[tuple[BatchKind, int]]:
    return [(batch.kind, len(batch.items)) for batch in plan.batches]


def codes(reasons: Sequence[Reason]) -> list[ReasonCode]:
    return [reason.code for reason in reasons]


# Batches


def test_cancels_leave_first_then_modifies_then_places() -> None:
    plan = Bench().plan(wants(places=2, modifies=3, cancels=1), wants(OTHER, places=1, cancels=1))
    assert shape(plan) == [(BatchKind.CANCEL, 2), (BatchKind.MODIFY, 3), (BatchKind.PLACE, 3)]
    assert [batch.id for batch in plan.batches] == [1, 2, 3]
    assert plan.reasons == ()


def test_all_that_rests_is_post_only_and_expires_and_cancels_do_not() -> None:
    cancel, modified, placed = (
        Bench(EmitterParams(expires_after_s=12)).plan(wants(places=1, modifies=1, cancels=1)).batches
    )
    assert (cancel.expires_after_s, modified.expires_after_s, placed.expires_after_s) == (None, 12, 12)
    (moved,), (new,) = modified.items, placed.items
    assert isinstance(moved, ModifyItem) and isinstance(new, PlaceItem)
    assert moved.order.time_in_force is new.time_in_force is TimeInForce.ALO


def test_a_modify_gives_the_order_a_cloid_of_its_own() -> None:
    modified, placed = Bench().plan(wants(modifies=[modify(7)], places=1)).batches
    (moved,), (new,) = modified.items, placed.items
    assert isinstance(moved, ModifyItem) and isinstance(new, PlaceItem)
    assert moved.target_cloid == cloid(7)
    source = CloidSource("deadbeef", 1_000)
    assert [moved.order.cloid, new.cloid] == [source.next(), source.next()]
    assert moved.order.slot == slot(Side.BUY, 7)


def test_what_waits_uses_up_no_cloid() -> None:
    bench = Bench()
    bench.plan(wants(places=5), free={})
    ((item,),) = [batch.items for batch in bench.plan(wants(places=1)).batches]
    assert isinstance(item, PlaceItem)
    assert item.cloid == CloidSource("deadbeef", 1_000).next()


def test_an_action_has_at_most_two_hundred_elements() -> None:
    bench = Bench(EmitterParams(items_per_tick_max=1_000))
    plan = bench.plan(wants(places=201, cancels=450))
    assert shape(plan) == [
        (BatchKind.CANCEL, 200),
        (BatchKind.CANCEL, 200),
        (BatchKind.CANCEL, 50),
        (BatchKind.PLACE, 200),
        (BatchKind.PLACE, 1),
    ]


def test_both_budgets_are_charged_for_what_leaves_and_nothing_else() -> None:
    bench = Bench()
    bench.plan(wants(places=41, modifies=3, cancels=80))
    assert bench.address.used == 124
    assert bench.ip.used(instant()) == (1 + 80 // 40) + (1 + 3 // 40) + (1 + 41 // 40)
    bench.plan(wants(places=10), free={})
    assert bench.address.used == 124


def test_nothing_wanted_is_nothing_sent() -> None:
    assert Bench().plan() == Plan((), ())
    assert Bench().plan(wants()) == Plan((), ())


def test_the_same_wishes_give_the_same_plan() -> None:
    wanted = (wants(places=30, modifies=30, cancels=3), wants(OTHER, places=50, side=Side.SELL))
    free = {HYPE.index: units(HYPE, 20), USDC.index: units(USDC, 1_000)}
    assert Bench().plan(*wanted, free=free) == Bench().plan(*wanted, free=dict(reversed(free.items())))


# The cap of a tick


def test_a_tick_sends_no_more_than_its_cap() -> None:
    bench = Bench(EmitterParams(items_per_tick_max=10))
    first = bench.plan(wants(places=8))
    second = bench.plan(wants(places=8))
    assert [shape(first), shape(second)] == [[(BatchKind.PLACE, 8)], [(BatchKind.PLACE, 2)]]
    assert codes(second.reasons) == [ReasonCode.PER_TICK_CAP] * 6
    assert second.reasons[0] == Reason(
        ReasonCode.PER_TICK_CAP, HYPE_USDC.coin, Side.BUY, 2, "10 items were sent in this tick"
    )
    bench.emitter.next_tick()
    assert shape(bench.plan(wants(places=8))) == [(BatchKind.PLACE, 8)]


def test_the_cap_is_shared_fairly_and_the_first_turn_moves_on() -> None:
    bench = Bench(EmitterParams(items_per_tick_max=5))
    third = market("@300", asset=10300)
    wanted = (wants(places=10), wants(OTHER, modifies=10), wants(third, places=1))
    counts = []
    for _ in range(3):
        sent = [
            item.order.coin if isinstance(item, ModifyItem) else item.coin
            for batch in bench.plan(*wanted).batches
            for item in batch.items
        ]
        counts.append([sent.count(each.market.coin) for each in wanted])
        bench.emitter.next_tick()
    assert counts == [[2, 2, 1], [2, 2, 1], [2, 2, 1]]
    bench = Bench(EmitterParams(items_per_tick_max=1))
    served = []
    for _ in range(4):
        ((item,),) = [batch.items for batch in bench.plan(*wanted).batches]
        served.append(item.order.coin if isinstance(item, ModifyItem) else item.coin)
        bench.emitter.next_tick()
    assert served == ["@107", "@200", "@300", "@107"]


def test_within_a_market_modifies_come_before_places() -> None:
    bench = Bench(EmitterParams(items_per_tick_max=3))
    plan = bench.plan(wants(places=5, modifies=2))
    assert shape(plan) == [(BatchKind.MODIFY, 2), (BatchKind.PLACE, 1)]


# Balances


def test_a_bid_needs_quote_and_an_ask_base() -> None:
    bench = Bench()
    free = {HYPE.index: units(HYPE, "1.5"), USDC.index: units(USDC, "69.99")}
    bids = bench.plan(wants(places=2), free=free)
    assert shape(bids) == [(BatchKind.PLACE, 1)]
    assert bids.reasons == (
        Reason(ReasonCode.BALANCE_COMMITTED, HYPE_USDC.coin, Side.BUY, 1, "needs 35 USDC, 34.99 is free"),
    )
    asks = bench.plan(wants(places=2, side=Side.SELL), free=free)
    assert asks.reasons[0].detail == "needs 1 HYPE, 0.5 is free"


def test_two_markets_never_promise_the_same_quote_twice() -> None:
    plan = Bench().plan(wants(places=3), wants(OTHER, places=3), free={USDC.index: units(USDC, 105)})
    ((*items,),) = [batch.items for batch in plan.batches]
    assert [item.coin for item in items if isinstance(item, PlaceItem)] == ["@107", "@200", "@107"]
    assert codes(plan.reasons) == [ReasonCode.BALANCE_COMMITTED] * 3


def test_an_order_that_does_not_fit_lets_a_smaller_one_pass() -> None:
    plan = Bench().plan(wants(places=[place(0, size=1_000), place(1)]), free={USDC.index: units(USDC, 100)})
    assert shape(plan) == [(BatchKind.PLACE, 1)]
    assert plan.reasons[0].slot == 0


def test_a_modify_needs_only_what_it_adds() -> None:
    free = {USDC.index: units(USDC, 35)}
    grown = wants(modifies=[modify(1, size=2 * SIZE)], orders=[Resting(1)])
    assert Bench().plan(grown, free=free).reasons == ()
    plan = Bench().plan(grown, free={USDC.index: units(USDC, "34.5")})
    assert plan.batches == ()
    assert plan.reasons[0].detail == "needs 35 USDC, 34.5 is free"


def test_a_modify_that_moves_down_or_shrinks_needs_nothing_and_frees_nothing() -> None:
    plan = Bench().plan(
        wants(
            modifies=[modify(1, size=SIZE // 2), modify(2, price=PRICE - 1_000)],
            places=[place(3, size=1)],
            orders=[Resting(1), Resting(2)],
        ),
        free={USDC.index: -5},
    )
    assert shape(plan) == [(BatchKind.MODIFY, 2)]
    assert plan.reasons[0].detail == "needs 0.35 USDC, -0.00000005 is free"


def test_a_modify_of_an_order_nobody_knows_needs_all_of_it() -> None:
    assert Bench().plan(wants(modifies=1), free={USDC.index: units(USDC, 34)}).batches == ()


def test_what_is_cancelled_is_not_free_yet() -> None:
    plan = Bench().plan(wants(places=1, cancels=5), free={})
    assert shape(plan) == [(BatchKind.CANCEL, 5)]
    assert codes(plan.reasons) == [ReasonCode.BALANCE_COMMITTED]


def test_on_a_perp_both_sides_hold_their_value_in_quote() -> None:
    btc = perp_market()
    wanted = wants(btc, places=[place(0, Side.SELL, btc, price=1_000_000, size=100)])  # 100,000 * 0.001
    assert Bench().plan(wanted, free={USDC.index: units(USDC, 100)}).reasons == ()
    assert Bench().plan(wanted, free={USDC.index: units(USDC, 99)}).batches == ()


# Budgets


def test_nothing_is_placed_before_the_budget_is_known() -> None:
    plan = Bench(address=AddressBudget()).plan(wants(places=1, modifies=1, cancels=1))
    assert shape(plan) == [(BatchKind.CANCEL, 1)]
    assert codes(plan.reasons) == [ReasonCode.BUDGET_RESERVE] * 2
    assert plan.reasons[0].detail == "the venue has not said yet how many requests are left"


def test_quoting_stops_at_the_address_reserve_and_cancelling_does_not() -> None:
    bench = Bench(address=address_budget(used=9_795))
    plan = bench.plan(wants(places=8, cancels=2))
    assert shape(plan) == [(BatchKind.CANCEL, 2), (BatchKind.PLACE, 3)], "the cancels were charged first"
    assert codes(plan.reasons) == [ReasonCode.BUDGET_RESERVE] * 5
    assert plan.reasons[0].detail == "9797 of 10000 requests used, 203 left, 200 of them for cancels"
    assert shape(bench.plan(wants(cancels=250))) == [(BatchKind.CANCEL, 200), (BatchKind.CANCEL, 50)]


def test_an_exhausted_address_quotes_one_order_every_ten_seconds() -> None:
    bench = Bench(address=address_budget(used=10_000))
    sent = {second: shape(bench.plan(wants(places=3), at=instant(second))) for second in (1, 6, 11)}
    assert sent == {1: [(BatchKind.PLACE, 1)], 6: [], 11: [(BatchKind.PLACE, 1)]}
    waiting = bench.plan(wants(places=1), at=instant(14)).reasons
    assert waiting[0].detail.endswith("one more passes in 7.0 s")


def test_quoting_stops_at_the_weight_reserve_and_cancelling_does_not() -> None:
    bench = Bench(EmitterParams(items_per_tick_max=1_000))
    bench.ip.charge(997, instant())
    plan = bench.plan(wants(places=200))
    assert shape(plan) == [(BatchKind.PLACE, 119)], "119 items weigh 3, 120 weigh 4"
    assert set(codes(plan.reasons)) == {ReasonCode.IP_WEIGHT}
    assert plan.reasons[0].detail == (
        "997 of 1200 used within 60 s, 200 kept for cancels; the oldest returns in 60.0 s"
    )
    assert shape(bench.cancel(100)) == [(BatchKind.CANCEL, 100)]


def test_cancels_that_no_budget_lets_through_have_a_reason_each() -> None:
    bench = Bench()
    bench.ip.charge(1_199, instant())
    plan = bench.plan(wants(cancels=41))
    assert shape(plan) == [(BatchKind.CANCEL, 39)]
    assert codes(plan.reasons) == [ReasonCode.IP_WEIGHT] * 2
    assert plan.reasons[0].slot == 2_039
    bench = Bench(address=address_budget(used=19_999))
    plan = bench.cancel(2)
    assert shape(plan) == [(BatchKind.CANCEL, 1)]
    assert plan.reasons[0].detail == f"cancel of {cloid(1)} waits: 19999 requests used of 20000 for cancels"


def test_pulling_quotes_waits_for_no_cap_no_cooldown_and_no_reserve() -> None:
    bench = Bench(EmitterParams(items_per_tick_max=1), address=address_budget(used=9_900))
    bench.ip.charge(1_100, instant())
    (batch,) = bench.plan(wants(cancels=1)).batches
    bench.refuse(batch, Refusal.TOO_MANY_REQUESTS, 0)
    items = [CancelItem(cloid(number), HYPE_USDC.coin) for number in range(150)]
    batches = bench.emitter.cancel_batches(items, instant(), bench.address, bench.ip)
    assert [len(batch.items) for batch in batches] == [150]


# Refusals


def test_insufficient_balance_cools_that_side_of_that_market_at_once() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=3)).batches
    (note,) = bench.refuse(batch, Refusal.INSUFFICIENT_BALANCE, 1)
    assert isinstance(note, Remark)
    assert note.text == (
        "HYPE/USDC BUY cools down for 30 s: the venue refused: Venue says insufficient balance."
    )
    plan = bench.plan(
        wants(places=1, modifies=1, cancels=1),
        wants(places=1, side=Side.SELL),
        wants(OTHER, places=1),
        at=instant(16),
    )
    assert shape(plan) == [(BatchKind.CANCEL, 1), (BatchKind.PLACE, 2)]
    assert codes(plan.reasons) == [ReasonCode.COOLDOWN] * 2
    assert plan.reasons[0].detail == "the venue refused: Venue says insufficient balance.; 15.0 s left"
    assert bench.plan(wants(places=1), at=instant(30.999)).batches == ()
    assert shape(bench.plan(wants(places=1), at=instant(31))) == [(BatchKind.PLACE, 1)]


def test_three_refusals_in_a_row_cool_the_side() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=2)).batches
    assert bench.refuse(batch, Refusal.TOO_MANY_OPEN_ORDERS, 1) == ()
    assert bench.plan(wants(places=1), at=instant(2)).reasons == ()
    assert len(bench.refuse(batch, Refusal.INVALID_PRICE, 3)) == 1
    (reason,) = bench.plan(wants(places=1), at=instant(4)).reasons
    assert reason.code is ReasonCode.COOLDOWN
    assert reason.detail.startswith("3 refusals in a row, the last: Venue says invalid price.")


def test_an_accepted_order_starts_the_count_anew() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=3)).batches
    for second in range(5):
        assert bench.refuse(batch, Refusal.PRICE_TOO_FAR, second, n=2) == ()


@pytest.mark.parametrize("refusal", [Refusal.MISSING_ORDER, Refusal.CANNOT_MODIFY])
def test_an_order_that_was_gone_counts_for_nothing(refusal: Refusal) -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(modifies=10)).batches
    assert bench.refuse(batch, refusal, 1) == ()
    assert bench.plan(wants(places=1), at=instant(1)).reasons == ()


def test_a_post_only_refusal_makes_its_slot_wait_for_the_next_tick() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=50)).batches
    assert bench.refuse(batch, Refusal.POST_ONLY_WOULD_MATCH, 1, n=10) == ()
    plan = bench.plan(wants(places=11), at=instant(1))
    assert codes(plan.reasons) == [ReasonCode.POST_ONLY_RETRY] * 10
    assert plan.reasons[0].detail == "Venue says post-only would match."
    assert shape(plan) == [(BatchKind.PLACE, 1)]
    bench.emitter.next_tick()
    assert shape(bench.plan(wants(places=11), at=instant(1))) == [(BatchKind.PLACE, 11)]


def test_the_post_only_window_is_recognised_and_reported_once() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=1)).batches
    assert not bench.emitter.in_post_only_window(instant(1))
    (note,) = bench.refuse(batch, Refusal.POST_ONLY_WINDOW, 1)
    assert isinstance(note, Remark) and note.text.startswith("post-only window:")
    assert bench.refuse(batch, Refusal.POST_ONLY_WINDOW, 2) == ()
    assert bench.emitter.in_post_only_window(instant(61.9))
    assert not bench.emitter.in_post_only_window(instant(62))
    assert shape(bench.plan(wants(places=1), at=instant(3))) == [(BatchKind.PLACE, 1)], "ours are post-only"


@pytest.mark.parametrize("refused_kind", [BatchKind.PLACE, BatchKind.CANCEL])
def test_too_many_requests_pause_quoting_longer_each_time(refused_kind: BatchKind) -> None:
    bench = Bench()
    by_kind = {batch.kind: batch for batch in bench.plan(wants(places=2, cancels=2)).batches}
    now_s, pauses = 0.0, []
    for _ in range(7):
        (note,) = bench.refuse(by_kind[refused_kind], Refusal.TOO_MANY_REQUESTS, now_s)
        assert bench.refuse(by_kind[refused_kind], Refusal.TOO_MANY_REQUESTS, now_s) == (), (
            "one pause at a time"
        )
        (reason,) = bench.plan(wants(places=1), at=instant(now_s)).reasons
        assert reason.code is ReasonCode.IP_WEIGHT
        pauses.append(float(reason.detail.split()[-2]))
        now_s += pauses[-1]
        assert bench.plan(wants(places=1), at=instant(now_s)).reasons == ()
        assert isinstance(note, Remark)
    assert pauses == [2, 4, 8, 16, 32, 60, 60]
    bench.refuse(by_kind[BatchKind.PLACE], Refusal.OTHER, now_s, n=1)  # The second order is accepted.
    bench.refuse(by_kind[refused_kind], Refusal.TOO_MANY_REQUESTS, now_s)
    assert bench.plan(wants(places=1), at=instant(now_s + 2)).reasons == ()


def test_cancels_do_not_wait_for_a_pause() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=1)).batches
    bench.refuse(batch, Refusal.TOO_MANY_REQUESTS, 0)
    assert shape(bench.plan(wants(places=1, cancels=3))) == [(BatchKind.CANCEL, 3)]


def test_a_venue_that_calls_the_budget_exhausted_is_asked_again_in_ten_seconds() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=1)).batches
    bench.refuse(batch, Refusal.BUDGET, 0)
    (reason,) = bench.plan(wants(places=1), at=instant(9)).reasons
    assert reason.code is ReasonCode.BUDGET_RESERVE
    assert reason.detail.endswith("quoting pauses for 1.0 s")
    assert bench.plan(wants(places=1), at=instant(10)).reasons == ()


@pytest.mark.parametrize("refusal", [Refusal.EXPIRED, Refusal.UNKNOWN_SIGNER, Refusal.NONCE_TOO_LOW])
def test_a_request_that_cannot_succeed_is_not_repeated_at_once(refusal: Refusal) -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=5)).batches
    assert len(bench.refuse(batch, refusal, 0)) == 1
    assert codes(bench.plan(wants(OTHER, places=1), at=instant(1.9)).reasons) == [ReasonCode.COOLDOWN]
    assert bench.plan(wants(OTHER, places=1), at=instant(2)).reasons == ()


def test_an_unknown_outcome_changes_nothing() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=5)).batches
    unknown = [ItemOutcome(cloid(0), OutcomeKind.UNKNOWN)] * 5
    assert bench.emitter.on_outcomes(batch, unknown, instant(1), {}) == ()
    assert bench.plan(wants(places=1), at=instant(1)).reasons == ()


def test_a_market_nobody_named_is_called_by_its_coin() -> None:
    bench = Bench()
    (batch,) = bench.plan(wants(places=1)).batches
    outcome = ItemOutcome(cloid(0), OutcomeKind.REFUSED, refusal=Refusal.INSUFFICIENT_BALANCE)
    (note,) = bench.emitter.on_outcomes(batch, [outcome], instant(1), {})
    assert isinstance(note, Remark)
    assert note.text.startswith("@107 BUY cools down")


# Parameters


@pytest.mark.parametrize(
    ("params", "complaint"),
    [
        ({"expires_after_s": 9.9}, "expires_after_s must be at least 10, not 9.9"),
        ({"expires_after_s": math.nan}, "expires_after_s must be at least 10"),
        ({"items_per_tick_max": 0}, "items_per_tick_max must be at least 1"),
        ({"cooldown_s": -1.0}, "cooldown_s must be at least 0"),
        ({"rejects_before_cooldown": 0}, "rejects_before_cooldown must be at least 1"),
    ],
)
def test_a_senseless_pace_is_refused(params: dict[str, float], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        EmitterParams(**params)  # type: ignore[arg-type]


def test_a_coin_is_that_of_its_market() -> None:
    plan = Bench().plan(wants(OTHER, places=1, cancels=1))
    assert [
        item.coin for batch in plan.batches for item in batch.items if not isinstance(item, ModifyItem)
    ] == [Coin("@200")] * 2
