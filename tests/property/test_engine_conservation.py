"""Whatever is sent to the engine: no unit is lost, holds are what rests, books are never crossed, and what the
streams tell adds up to what is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.types import Address, Side
from mmtrio.exchange.engine import Block, Engine, EngineParams
from mmtrio.exchange.world import FEE_ACCOUNT, OUTSIDE_ACCOUNT, World, default_world
from tests.support.exchange_actions import (
    ALICE,
    BOB,
    CAROL,
    START_MS,
    Json,
    batch_modify,
    cancel_by_cloid,
    cloid_of,
    modify,
    order,
    place,
)

USDC_INDEX, HYPE_INDEX = 0, 150
USERS = (ALICE, BOB, CAROL)
COIN = "@107"


def poor_world() -> World:
    """Three traders who can afford little, so that refusals for balance happen."""
    world = default_world(3)
    for user in USERS:
        world = world.with_balance(user, USDC_INDEX, 2_000 * 10**8 + 12_345_678)
        world = world.with_balance(user, HYPE_INDEX, 60 * 10**8 + 1_234_567)
    return world


cloids = st.integers(0, 4).map(cloid_of)
prices = st.integers(3492, 3508).map(lambda cents: f"{cents / 100:.2f}".rstrip("0").rstrip("."))
sizes = st.integers(29, 3000).map(lambda lots: f"{lots / 100:.2f}".rstrip("0").rstrip("."))


def row_of(is_buy: bool, price: str, size: str, tif: str, cloid: str) -> Json:
    return order(is_buy, price, size, tif, cloid=cloid)


rows = st.builds(row_of, st.booleans(), prices, sizes, st.sampled_from(["Alo", "Gtc", "Ioc"]), cloids)
actions = st.one_of(
    st.lists(rows, min_size=1, max_size=4).map(lambda r: place(*r)),
    st.lists(cloids, min_size=1, max_size=3).map(lambda c: cancel_by_cloid(*c)),
    st.lists(st.tuples(cloids, rows), min_size=1, max_size=3).map(lambda m: batch_modify(*m)),
    st.tuples(cloids, rows).map(lambda m: modify(*m) | {"a": True}),
)
acts = st.tuples(st.just("act"), st.sampled_from(USERS), actions)
outside_sides = st.lists(
    st.tuples(st.integers(1, 12), st.integers(1, 900)), max_size=4, unique_by=lambda level: level[0]
)
outside_books = st.tuples(st.just("outside"), st.integers(3495, 3505), outside_sides, outside_sides)
blocks = st.just(("block",))
stories = st.lists(st.one_of(acts, acts, acts, blocks, outside_books), min_size=25, max_size=60)


def set_outside(engine: Engine, middle: int, bids: list, asks: list) -> None:
    tick = 10_000  # one cent
    engine.set_outside_book(
        COIN,
        [((middle - away) * tick, lots) for away, lots in sorted(bids)],
        [((middle + away) * tick, lots) for away, lots in sorted(asks)],
    )


class Ledger:
    """What one reads who only has the streams."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._start = {
            (u, i): engine.balance(u, i).total_units for u in USERS for i in (USDC_INDEX, HYPE_INDEX)
        }
        self._change: Counter = Counter()
        self.open: dict[Address, dict[int, Fraction]] = {user: {} for user in USERS}

    def read(self, block: Block) -> None:
        for user, fill in block.fills:
            sign = 1 if fill["side"] == Side.BUY.value else -1
            price, size, fee = (Fraction(fill[key]) for key in ("px", "sz", "fee"))
            self._change[user, HYPE_INDEX] += sign * size
            self._change[user, USDC_INDEX] -= sign * size * price
            self._change[user, HYPE_INDEX if fill["feeToken"] == "HYPE" else USDC_INDEX] -= fee
        for user, update in block.order_updates:
            order = update["order"]
            if update["status"] == "open":
                self.open[user][order["oid"]] = Fraction(order["sz"])
            else:
                self.open[user].pop(order["oid"], None)

    def check(self) -> None:
        for (user, index), start in self._start.items():
            expected = start + self._change[user, index] * 10**8
            assert self._engine.balance(user, index).total_units == expected, (user, index)
        for user in USERS:
            told = {order["oid"]: Fraction(order["sz"]) for order in self._engine.open_orders(user)}
            assert told == self.open[user]


def blocks_of(engine: Engine, story: list[tuple]) -> Iterator[Block]:
    """Plays a story, and a block after it."""
    now_ms = START_MS
    for step in [*story, ("block",)]:
        match step:
            case ("act", user, action):
                engine.submit_direct(user, action, now_ms)
            case ("outside", middle, bids, asks):
                set_outside(engine, middle, bids, asks)
            case _:
                now_ms += 70
                yield engine.run_block(now_ms)


@settings(max_examples=120, deadline=None)
@given(stories)
def test_nothing_is_lost_and_the_streams_tell_everything(story):
    engine = Engine(poor_world(), params=EngineParams(open_orders_max=12), start_ms=START_MS)
    tokens = [token.index for token in engine.world.tokens]
    totals = [engine.token_total_units(index) for index in tokens]
    ledger = Ledger(engine)
    for block in blocks_of(engine, story):
        ledger.read(block)
        engine.check_invariants()
        ledger.check()
        assert [engine.token_total_units(index) for index in tokens] == totals
    fees = [engine.balance(FEE_ACCOUNT, index).total_units for index in tokens]
    assert all(units >= 0 for units in fees)
    assert engine.balance(OUTSIDE_ACCOUNT, USDC_INDEX).total_units <= 3 * (2_000 * 10**8 + 12_345_678)


@settings(max_examples=30, deadline=None)
@given(stories)
def test_the_lagging_view_ends_where_the_live_one_is(story):
    engine = Engine(poor_world(), start_ms=START_MS)
    for _ in blocks_of(engine, story):
        pass
    now_ms = engine.time_ms
    for user in USERS:
        for request_type in ("frontendOpenOrders", "userFills", "historicalOrders", "spotClearinghouseState"):
            request = {"type": request_type, "user": user}
            assert engine.info(request, now_ms + 500) == engine.info(request, now_ms, lag_ms=0)
