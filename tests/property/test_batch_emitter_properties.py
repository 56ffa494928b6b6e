"""Nothing wanted is lost, nothing owned is promised twice, and no budget is overdrawn, whatever is asked for."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.batch_emitter import BatchEmitter, EmitterParams, MarketWanted, Plan
from mmtrio.core.events import (
    BATCH_ITEMS_MAX,
    BatchKind,
    BudgetRead,
    CancelItem,
    ItemOutcome,
    ModifyItem,
    OutcomeKind,
    PlaceItem,
    ReadPurpose,
    Refusal,
    TimeInForce,
)
from mmtrio.core.market import Market
from mmtrio.core.order_differ import CancelWanted, Difference, ModifyWanted, PlaceWanted
from mmtrio.core.rate_limit import AddressBudget, IpWeight
from mmtrio.core.types import Cloid, CloidSource, Side
from tests.support.builders import PURR, USDC, cloid, instant, market, purr_market, slot, spot_token

MARKETS = [market(), market("@200", asset=10200, base=spot_token("UBTC", 197)), purr_market()]
TOKENS = [150, 197, PURR.index, USDC.index]


@attrs.frozen
class Resting:
    cloid: Cloid
    price_ticks: int
    remaining_lots: int


@attrs.frozen
class Scene:
    """One moment of an account, and what its markets want in it."""

    wanted: tuple[MarketWanted, ...]
    free: dict[int, int]
    requests_used: int
    weight_used: int
    items_per_tick_max: int
    refusals: tuple[Refusal, ...]

    def bench(self) -> tuple[BatchEmitter, AddressBudget, IpWeight]:
        emitter = BatchEmitter(
            EmitterParams(items_per_tick_max=self.items_per_tick_max), CloidSource("deadbeef", 1)
        )
        address = AddressBudget()
        address.observe(
            BudgetRead(self.requests_used, 10_000, 0, 0, instant(), ReadPurpose.START), 0, instant()
        )
        ip = IpWeight()
        return emitter, address, ip

    def play(self) -> tuple[list[Plan], AddressBudget, IpWeight]:
        """The same wishes four times: at once, at once again, after refusals, and in the next tick."""
        emitter, address, ip = self.bench()
        if self.weight_used:
            ip.charge(self.weight_used, instant())
        plans = []
        for step in range(4):
            if step == 3:
                emitter.next_tick()
            plan = emitter.plan(self.wanted, free=self.free, address=address, ip=ip, at=instant(step / 10))
            plans.append(plan)
            if step == 1:
                for batch, refusal in zip(plan.batches, self.refusals, strict=False):
                    outcome = ItemOutcome(cloid(0), OutcomeKind.REFUSED, refusal=refusal)
                    emitter.on_outcomes(batch, [outcome] * len(batch.items), instant(0.15), {})
        return plans, address, ip


@st.composite
def market_wanted(draw: st.DrawFn, each: Market) -> MarketWanted:
    slots = [(side, level) for side in Side for level in range(draw(st.sampled_from([0, 3, 130])))]
    cancels, modifies, places, orders = [], [], [], []
    prices = st.integers(1, 10**9)
    sizes = st.integers(1, 10**6)
    chances = draw(st.randoms(use_true_random=False))
    price, size = draw(prices), draw(sizes)
    for side, level in slots:
        key = slot(side, level, coin=each.coin)
        target = Cloid(f"0x{each.asset:016x}{side is Side.BUY:08x}{level:08x}")
        match chances.choice(["cancel", "modify", "modify unknown", "place", "place", "nothing"]):
            case "cancel":
                cancels.append(CancelWanted(target, key, "surplus"))
            case "place":
                places.append(PlaceWanted(key, price + level, size))
            case "nothing":
                pass
            case modify:
                modifies.append(ModifyWanted(target, key, price + level, size))
                if modify == "modify":
                    orders.append(Resting(target, price, chances.randint(1, 2 * size)))
    return MarketWanted(each, Difference(tuple(cancels), tuple(modifies), tuple(places), ()), orders)


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    return Scene(
        wanted=tuple(draw(market_wanted(each)) for each in draw(st.permutations(MARKETS))),
        free={token: draw(st.sampled_from([-5, 0, 10**9, 10**13, 10**20])) for token in TOKENS},
        requests_used=draw(st.sampled_from([0, 9_700, 9_850, 10_000, 19_980, 25_000])),
        weight_used=draw(st.sampled_from([0, 995, 1_150, 1_199, 1_300])),
        items_per_tick_max=draw(st.sampled_from([1, 20, 100, 2_000])),
        refusals=tuple(draw(st.lists(st.sampled_from(Refusal), max_size=3))),
    )


def sent_slots(plan: Plan) -> list[object]:
    return [
        (item.coin, item.cloid)
        if isinstance(item, CancelItem)
        else (item.order.slot if isinstance(item, ModifyItem) else item.slot)
        for batch in plan.batches
        for item in batch.items
    ]


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_each_wish_leaves_once_or_has_one_reason_with_numbers(scene: Scene) -> None:
    wishes = sum(
        len(each.difference.cancels) + len(each.difference.modifies) + len(each.difference.places)
        for each in scene.wanted
    )
    slots = {
        (wish.slot.coin, wish.slot.side, wish.slot.slot)
        for each in scene.wanted
        for wish in (*each.difference.cancels, *each.difference.modifies, *each.difference.places)
    }
    plans, _, _ = scene.play()
    for plan in plans:
        sent = sent_slots(plan)
        assert len(sent) == len(set(sent))
        assert len(sent) + len(plan.reasons) == wishes
        assert all(
            (reason.coin, reason.side, reason.slot) in slots and reason.detail for reason in plan.reasons
        )


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_batches_are_as_the_venue_takes_them(scene: Scene) -> None:
    plans, _, _ = scene.play()
    ids, cloids = [], []
    for plan in plans:
        kinds = [batch.kind for batch in plan.batches]
        assert kinds == sorted(kinds, key=[BatchKind.CANCEL, BatchKind.MODIFY, BatchKind.PLACE].index)
        for batch in plan.batches:
            ids.append(batch.id)
            assert len(batch.items) <= BATCH_ITEMS_MAX
            assert (batch.expires_after_s is None) == (batch.kind is BatchKind.CANCEL)
            for item in batch.items:
                order = item.order if isinstance(item, ModifyItem) else item
                if isinstance(order, PlaceItem):
                    cloids.append(order.cloid)
                    assert order.time_in_force is TimeInForce.ALO
                    assert (order.coin, order.side) == (order.slot.coin, order.slot.side)
    assert ids == list(range(1, len(ids) + 1))
    assert len(cloids) == len(set(cloids))


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_no_plan_promises_more_than_is_free(scene: Scene) -> None:
    markets = {each.market.coin: each.market for each in scene.wanted}
    held = {order.cloid: order for each in scene.wanted for order in each.orders}
    for plan in scene.play()[0]:
        promised = dict.fromkeys(TOKENS, 0)
        for batch in plan.batches:
            for item in batch.items:
                if isinstance(item, CancelItem):
                    continue
                order = item.order if isinstance(item, ModifyItem) else item
                each = markets[order.coin]
                old = held.get(item.target_cloid) if isinstance(item, ModifyItem) else None
                if order.side is Side.BUY:
                    new_units = each.quote_amount(order.price_ticks, order.size_lots).units
                    old_units = each.quote_amount(old.price_ticks, old.remaining_lots).units if old else 0
                    token = each.quote.index
                else:
                    assert each.base is not None
                    new_units = each.base_amount(order.size_lots).units
                    old_units = each.base_amount(old.remaining_lots).units if old else 0
                    token = each.base.index
                promised[token] += max(0, new_units - old_units)
        assert all(promised[token] <= max(0, scene.free[token]) for token in TOKENS)


@settings(max_examples=60, deadline=None)
@given(scenes())
def test_no_budget_is_overdrawn_and_quoting_leaves_the_reserves(scene: Scene) -> None:
    plans, address, ip = scene.play()
    n_cancels = n_quotes = weight_of_quotes = 0
    for plan in plans:
        for batch in plan.batches:
            if batch.kind is BatchKind.CANCEL:
                n_cancels += len(batch.items)
            else:
                n_quotes += len(batch.items)
                weight_of_quotes += 1 + len(batch.items) // 40
    assert address.used == scene.requests_used + n_cancels + n_quotes
    # Up to the ceiling, and beyond it 1 every 10 s; the scene lasts less.
    assert scene.requests_used + n_cancels <= max(20_000, scene.requests_used) + 1
    assert n_quotes <= max(0, 10_000 - 200 - scene.requests_used) or (n_quotes == 1 and address.used > 10_000)
    assert ip.used(instant(1)) <= max(1_200, scene.weight_used)
    assert weight_of_quotes <= max(0, 1_200 - 200 - scene.weight_used)
    in_first_tick = sum(
        len(batch.items) for plan in plans[:3] for batch in plan.batches if batch.kind is not BatchKind.CANCEL
    )
    assert in_first_tick <= scene.items_per_tick_max


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_the_same_scene_gives_the_same_plans(scene: Scene) -> None:
    backwards = attrs.evolve(scene, free=dict(reversed(scene.free.items())))
    assert scene.play()[0] == backwards.play()[0]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 120), st.integers(0, 5))
def test_the_cap_is_shared_as_evenly_as_wishes_allow(n_wanted: list[int], cap: int, ticks: int) -> None:
    emitter, address, ip = Scene((), {}, 0, 0, cap, ()).bench()
    for _ in range(ticks):
        emitter.next_tick()
    wanted = []
    for number, n in enumerate(n_wanted):
        each = market(f"@{number}", asset=10_000 + number)
        places = tuple(PlaceWanted(slot(Side.BUY, level, coin=each.coin), 1, 1) for level in range(n))
        wanted.append(MarketWanted(each, Difference((), (), places, ())))
    plan = emitter.plan(wanted, free={USDC.index: 10**18}, address=address, ip=ip, at=instant())
    sent = [
        sum(
            isinstance(item, PlaceItem) and item.coin == each.market.coin
            for b in plan.batches
            for item in b.items
        )
        for each in wanted
    ]
    assert sum(sent) == min(cap, sum(n_wanted))
    waiting = [got for got, n in zip(sent, n_wanted, strict=True) if got < n]
    if waiting:
        assert max(sent) - min(waiting) <= 1
