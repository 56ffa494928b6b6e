"""The engine against a second exchange, slow and written apart from it: equal actions, equal answers and money."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.exchange.engine import Block, Engine
from mmtrio.exchange.world import FEE_ACCOUNT, World, default_world
from tests.support.exchange_actions import (
    ALICE,
    BOB,
    CAROL,
    HYPE,
    PURR,
    START_MS,
    Json,
    batch_modify,
    cancel,
    cancel_by_cloid,
    cloid_of,
    order,
    place,
)
from tests.support.slow_exchange import FEES, SlowBlock, SlowExchange, SlowMarket

USERS = (ALICE, BOB, CAROL)
TOKENS = {"USDC": (0, 8), "HYPE": (150, 8), "PURR": (1, 5)}
MARKETS = [
    SlowMarket("@107", HYPE, "HYPE", "USDC", 2, 8, Fraction("34.95")),
    SlowMarket("PURR/USDC", PURR, "PURR", "USDC", 0, 5, Fraction("0.14")),
]
START_UNITS = {"USDC": 3_000_12345678, "HYPE": 70_01234567, "PURR": 9_000_12345}


def small_world() -> World:
    """Three traders who can afford little, in two markets that share their quote."""
    world = default_world(3, n_house=0)
    for user in USERS:
        for token, (index, _) in TOKENS.items():
            world = world.with_balance(user, index, START_UNITS[token])
    return world


def slow_world() -> SlowExchange:
    amounts = {token: Fraction(units, 10 ** TOKENS[token][1]) for token, units in START_UNITS.items()}
    return SlowExchange(MARKETS, {user: dict(amounts) for user in USERS})


def text(number: int, decimals: int) -> str:
    whole, fraction = divmod(number, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}".rstrip("0").rstrip(".")


# Prices of a narrow band, so that orders meet; now and then one that is wrong in some way.
hype_prices = st.integers(34_900, 35_000).map(lambda n: text(n - n % 10, 3))
hype_odd_prices = st.sampled_from(["34.9555", "34.999", "35.0001", "62.91", "62.92", "6.99", "7", "34.95"])
hype_sizes = st.integers(20, 2500).map(lambda n: text(n, 2))
hype_odd_sizes = st.sampled_from(["0.001", "0", "0.28", "0.29", "85.6", "70.01", "70.02", "43.01"])
purr_prices = st.integers(1390, 1410).map(lambda n: text(n, 4))
purr_odd_prices = st.sampled_from(["0.140001", "0.14001", "0.252", "0.2521", "0.13999"])
purr_sizes = st.integers(60, 6000).map(str)
purr_odd_sizes = st.sampled_from(["0.5", "71", "72", "9000", "9001"])
cloids = st.one_of(st.none(), st.integers(0, 5).map(cloid_of))
tifs = st.sampled_from(["Alo", "Gtc", "Ioc"])
mostly = st.integers(0, 7)


@st.composite
def rows(draw: Any) -> Json:
    is_hype, odd = draw(st.booleans()), draw(mostly)
    prices, odd_prices, sizes, odd_sizes = (
        (hype_prices, hype_odd_prices, hype_sizes, hype_odd_sizes)
        if is_hype
        else (purr_prices, purr_odd_prices, purr_sizes, purr_odd_sizes)
    )
    price = draw(odd_prices if odd == 0 else prices)
    size = draw(odd_sizes if odd == 1 else sizes)
    asset = HYPE if is_hype else PURR
    return order(draw(st.booleans()), price, size, draw(tifs), asset=asset, cloid=draw(cloids))


assets = st.sampled_from([HYPE, PURR])
known_cloids = st.integers(0, 5).map(cloid_of)
targets = st.one_of(known_cloids, st.integers(0, 6))
"""A cloid, or the n-th oldest order that rests."""
steps = st.one_of(
    st.tuples(st.just("place"), st.sampled_from(USERS), st.lists(rows(), min_size=1, max_size=5)),
    st.tuples(
        st.just("cancel"),
        st.sampled_from(USERS),
        st.lists(st.tuples(assets, targets), min_size=1, max_size=3),
    ),
    st.tuples(
        st.just("modify"),
        st.sampled_from(USERS),
        st.lists(st.tuples(targets, rows()), min_size=1, max_size=3),
        st.booleans(),
    ),
    st.just(("block",)),
)
stories = st.lists(steps, min_size=15, max_size=50)


def actions_of(step: tuple, engine: Engine, slow: SlowExchange) -> tuple[Json, Json]:
    """The action for the engine, and the same for the slow exchange: they know one order by different numbers."""
    user = step[1]
    oids = [row["oid"] for row in engine.open_orders(user)]
    numbers = [resting.number for resting in slow.resting(user)]

    def both(target: int | str) -> tuple[Any, Any]:
        if isinstance(target, str):
            return target, target
        return (oids[target], numbers[target]) if target < len(oids) else (5, -5)

    if step[0] == "place":
        return place(*step[2]), place(*step[2])
    if step[0] == "modify":
        pairs = [(both(target), row) for target, row in step[2]]
        fast, slow_pairs = [(a, row) for (a, _), row in pairs], [(b, row) for (_, b), row in pairs]
        return batch_modify(*fast, always=step[3]), batch_modify(*slow_pairs, always=step[3])
    asset, first = step[2][0]
    same_kind = [target for _, target in step[2] if isinstance(target, type(first))]
    if isinstance(first, str):
        action = cancel_by_cloid(*same_kind, asset=asset)
        return action, action
    return (
        cancel(*(both(target)[0] for target in same_kind), asset=asset),
        cancel(*(both(target)[1] for target in same_kind), asset=asset),
    )


def seen(status: Any) -> Any:
    """A status as the slow exchange says it."""
    if status == "success":
        return status
    if "resting" in status:
        return ("resting",)
    if "filled" in status:
        return ("filled", Fraction(status["filled"]["totalSz"]), Fraction(status["filled"]["avgPx"]))
    error = status["error"]
    if error.startswith("Post only order would have immediately matched"):
        return ("error", "Post only order would have immediately matched")
    return ("error", error)


def update_row(told: tuple[str, Json]) -> tuple:
    user, update = told
    row = update["order"]
    price, size = Fraction(row["limitPx"]), Fraction(row["sz"])
    return (user, update["status"], row["coin"], price, size, row.get("cloid"))


def fill_row(told: tuple[str, Json]) -> tuple:
    user, row = told
    price, size, fee = Fraction(row["px"]), Fraction(row["sz"]), Fraction(row["fee"])
    before = Fraction(row["startPosition"])
    return (user, row["side"], price, size, row["crossed"], row["feeToken"], fee, before)


def open_row(row: Json) -> tuple:
    price, size, original = Fraction(row["limitPx"]), Fraction(row["sz"]), Fraction(row["origSz"])
    return (row["coin"], row["side"], price, size, original, row["cloid"])


def compare_block(block: Block, slow: SlowBlock) -> None:
    replies = [[seen(s) for s in reply["response"]["data"]["statuses"]] for _, reply in block.replies]
    assert replies == slow.replies
    trades = [(t["coin"], t["side"], Fraction(t["px"]), Fraction(t["sz"]), *t["users"]) for t in block.trades]
    assert trades == slow.trades
    assert Counter(map(update_row, block.order_updates)) == Counter(slow.updates)
    assert list(map(fill_row, block.fills)) == slow.fills
    assert len({fill["time"] for _, fill in block.fills} | {block.time_ms}) == 1


def compare_accounts(engine: Engine, slow: SlowExchange) -> None:
    for user in USERS:
        assert list(map(open_row, engine.open_orders(user))) == [
            (o.market.coin, "B" if o.is_buy else "A", o.price, o.size, o.original, o.cloid)
            for o in slow.resting(user)
        ]
        rows_of = {row["coin"]: row for row in engine.balances(user)}
        for token in TOKENS:
            row = rows_of.get(token, {"total": "0", "hold": "0"})
            expected = (slow.totals[user, token], slow.hold(user, token))
            assert (Fraction(row["total"]), Fraction(row["hold"])) == expected, (user, token)
    for token, (index, decimals) in TOKENS.items():
        fees = Fraction(engine.balance(FEE_ACCOUNT, index).total_units, 10**decimals)
        assert fees == slow.totals[FEES, token]


def compare_books(engine: Engine, slow: SlowExchange) -> None:
    for market in MARKETS:
        for is_buy, levels in zip((True, False), engine.book_levels(market.coin, 99), strict=True):
            sizes: dict[Fraction, list[Fraction]] = {}
            for resting in slow.orders:
                if resting.market == market and resting.is_buy == is_buy:
                    sizes.setdefault(resting.price, []).append(resting.size)
            expected = [
                (price, sum(sizes[price]), len(sizes[price])) for price in sorted(sizes, reverse=is_buy)
            ]
            assert [(Fraction(row["px"]), Fraction(row["sz"]), row["n"]) for row in levels] == expected


@settings(max_examples=100, deadline=None)
@given(stories)
def test_the_engine_does_what_the_slow_exchange_does(story: list[tuple]) -> None:
    engine, slow, now_ms = Engine(small_world(), start_ms=START_MS), slow_world(), START_MS
    for step in [*story, ("block",)]:
        if step[0] != "block":
            fast_action, slow_action = actions_of(step, engine, slow)
            engine.submit_direct(step[1], fast_action, now_ms)
            slow.submit(step[1], slow_action)
            continue
        now_ms += 70
        compare_block(engine.run_block(now_ms), slow.run_block())
        compare_accounts(engine, slow)
        compare_books(engine, slow)
        engine.check_invariants()
