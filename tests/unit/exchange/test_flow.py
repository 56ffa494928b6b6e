"""The crowd: seeded, bounded, and good company for a grid."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import Any

import attrs
import pytest

from mmtrio.core.types import Address, Coin
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.flow import FairValue, Flow, FlowParams, lots_worth, order_action, round_price
from mmtrio.exchange.world import default_world

START_MS = 1_790_000_000_000
BLOCK_MS = 70
HYPE = Coin("@107")


@attrs.define
class Tape:
    """A participant's view of an exchange that does nothing: remembers what was sent."""

    touch: tuple[int | None, int | None] = (None, None)
    sent: list[tuple[Address, dict[str, Any]]] = attrs.field(factory=list)

    def best(self, coin: Coin) -> tuple[int | None, int | None]:
        return self.touch

    def submit_direct(self, user: Address, action: dict[str, Any], now_ms: int) -> int:
        self.sent.append((user, action))
        return len(self.sent)


def actions(seed: int, seconds: float = 20) -> list[tuple[Address, dict[str, Any]]]:
    tape, flow = Tape((34_000_000, 36_000_000)), Flow(default_world(), seed=seed)
    for n in range(int(seconds * 1000 / BLOCK_MS)):
        flow.act(tape, START_MS + n * BLOCK_MS)
    return tape.sent


def test_a_seed_is_a_crowd() -> None:
    assert actions(1) == actions(1)
    assert actions(1) != actions(2)


def test_fair_value_stays_in_its_range_and_comes_home() -> None:
    wild = FlowParams(volatility=0.05, reversion_s=60, range_max=0.1)
    fair = FairValue(100.0, wild, random.Random("wild"))
    path = [fair.at(START_MS + n * 1000) for n in range(5000)]
    assert 90 <= min(path) < 91 and 109 < max(path) <= 110.000001
    crossings = sum((a - 100) * (b - 100) < 0 for a, b in pairwise(path))
    assert crossings > 50


def test_fair_value_moves_as_much_in_many_steps_as_in_one() -> None:
    def spread(step_ms: int) -> float:
        ends = []
        for seed in range(400):
            fair = FairValue(100.0, FlowParams(), random.Random(f"{seed}"))
            for at_ms in range(0, 10_001, step_ms):
                value = fair.at(at_ms)
            ends.append(math.log(value / 100))
        return math.sqrt(sum(end * end for end in ends) / len(ends))

    assert spread(100) == pytest.approx(spread(10_000), rel=0.15)


def test_takers_take_only_what_is_better_than_they_think() -> None:
    dear = Tape((10, 100_000_000))  # A bid of almost nothing, an ask at three times the price.
    flow = Flow(default_world(), seed=3)
    for n in range(500):
        flow.act(dear, START_MS + n * BLOCK_MS)
    assert [
        a for _, a in dear.sent if a["type"] == "order" and a["orders"][0]["t"]["limit"]["tif"] == "Ioc"
    ] == []


def test_participants_of_the_crowd_are_never_refused_and_the_book_is_never_empty() -> None:
    world = default_world()
    engine, flow = Engine(world, start_ms=START_MS), Flow(world, seed=4)
    errors = []
    for n in range(2000):
        flow.act(engine, START_MS + n * BLOCK_MS)
        block = engine.run_block(START_MS + n * BLOCK_MS)
        for _, reply in block.replies:
            statuses = reply["response"]["data"]["statuses"]
            errors += [s["error"] for s in statuses if isinstance(s, dict) and "error" in s]
        for market in world.markets:
            bids, asks = engine.book(market.coin)
            assert bids and asks
    # Makers cancel what was filled meanwhile, and a level that would cross stays away. Nothing else.
    unexpected = [
        e for e in errors if not e.startswith(("Order was never placed", "Post only order", "Order could"))
    ]
    assert unexpected == []
    engine.check_invariants()


@pytest.mark.parametrize("seed", range(10))
def test_a_narrow_grid_is_filled_on_both_sides_in_every_minute(seed: int) -> None:
    buys, sells = _grid_fills(seed, spacing=0.001, value_usd=100)
    assert 60 <= buys + sells <= 300
    assert min(buys, sells) >= 20


@pytest.mark.parametrize("seed", range(10))
def test_a_grid_of_thirty_basis_points_is_filled_on_both_sides_in_every_minute(seed: int) -> None:
    buys, sells = _grid_fills(seed, spacing=0.003, value_usd=100)
    assert 20 <= buys + sells <= 2000
    assert min(buys, sells) >= 8


def test_a_world_without_a_house_has_no_flow() -> None:
    with pytest.raises(ValueError, match="two house accounts"):
        Flow(default_world(n_house=1), seed=0)


@pytest.mark.parametrize("change", [{"reversion_s": 0}, {"maker_refresh_s": -1}, {"range_max": 1.0}])
def test_impossible_crowds_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        FlowParams(**change)


def test_prices_round_away_from_the_other_side_and_sizes_reach_the_minimum() -> None:
    market = default_world().market("HYPE/USDC")
    assert round_price(market, 34.96789, is_buy=True) == 34_967_000
    assert round_price(market, 34.96789, is_buy=False) == 34_968_000
    assert round_price(market, 99.9999, is_buy=False) == 100_000_000
    assert lots_worth(market, 35_000_000, 100.0) == 286
    assert lots_worth(market, 35_000_000, 0.01) * 35_000_000 >= 10 * 10**8


def _grid_fills(seed: int, *, spacing: float, value_usd: float, levels: int = 10) -> tuple[int, int]:
    """(buys, sells) in a minute of a grid that puts each filled level on the other side, a block or so later."""
    world = default_world()
    engine, flow = Engine(world, start_ms=START_MS), Flow(world, seed=seed)
    market, me = world.market("HYPE/USDC"), world.traders[0].address
    home = market.reference_ticks / 10**market.price_decimals
    prices = [round_price(market, home * (1 + spacing) ** (n - 60), is_buy=True) for n in range(121)]
    lots, cursor, placed = lots_worth(market, market.reference_ticks, value_usd), 60, 0
    resting: dict[int, tuple[bool, str]] = {}
    counts = {"B": 0, "A": 0}
    for n in range(60_000 // BLOCK_MS):
        now_ms = START_MS + n * BLOCK_MS
        live = {row["cloid"] for row in engine.open_orders(me)}
        for level in [level for level, (_, cloid) in resting.items() if cloid not in live]:
            is_buy, _ = resting.pop(level)
            cursor = level if is_buy else level + 1
        wanted = {cursor - 1 - k: True for k in range(levels)} | {cursor + k: False for k in range(levels)}
        stale = [level for level, (is_buy, _) in resting.items() if wanted.get(level) is not is_buy]
        if stale:
            cancels = [{"asset": market.asset, "cloid": resting.pop(level)[1]} for level in stale]
            engine.submit_direct(me, {"type": "cancelByCloid", "cancels": cancels}, now_ms)
        orders = []
        for level, is_buy in wanted.items():
            if level not in resting:
                placed += 1
                resting[level] = (is_buy, f"0x{placed:032x}")
                orders.append((market, is_buy, prices[level], lots, "Alo", resting[level][1]))
        if orders:
            engine.submit_direct(me, order_action(orders), now_ms)
        flow.act(engine, now_ms)
        for user, fill in engine.run_block(now_ms).fills:
            if user == me:
                counts[fill["side"]] += 1
    return counts["B"], counts["A"]
