"""What keeps a market from being quoted, and what does not: its feeds, its strategy, and what the venue refuses."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import attrs
import pytest
import trio

from mmtrio.core.events import (
    BatchKind,
    Decision,
    Heard,
    Paused,
    ReasonCode,
    SessionEnded,
    SessionName,
    SubmitBatch,
)
from mmtrio.core.strategies.hip2 import Hip2Params
from mmtrio.core.types import Coin, Side
from mmtrio.exchange.faults import HttpReply
from mmtrio.exchange.local_venue import VenueParams
from mmtrio.live.config import MakerConfig, MarketConfig
from tests.support.determinism import scenario
from tests.support.worlds import COIN, World, assert_agrees, eventually, maker_config, open_world

PURR = Coin("PURR/USDC")
PURR_MARKET = MarketConfig(
    coin="PURR/USDC",
    hip2=Hip2Params(start_px=Decimal("0.136"), n_orders=20, order_sz=Decimal(500)),
    allocated_token=Decimal(5_000),
    allocated_usdc=Decimal(2_000),
)


def with_market_data(**changes: object) -> MakerConfig:
    (market,) = maker_config().markets
    return maker_config(markets=(attrs.evolve(market, require_market_data=True),), **changes)


def two_markets(*, purr_needs_data: bool = False) -> MakerConfig:
    purr = attrs.evolve(PURR_MARKET, require_market_data=purr_needs_data)
    return maker_config(markets=(*maker_config().markets, purr))


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


def on_coin(world: World, coin: Coin) -> list[dict]:
    return [order for order in world.orders() if order["coin"] == coin]


def places_s(world: World, coin: Coin, since_s: float, side: Side | None = None) -> list[float]:
    """When orders were placed or moved in this market, after `since_s`."""
    return [
        at_s
        for decision, at_s in world.told(Decision)
        if at_s > since_s
        for command in decision.commands
        if isinstance(command, SubmitBatch) and command.batch.kind is not BatchKind.CANCEL
        for item in command.batch.items
        for order in (getattr(item, "order", item),)
        if order.coin == coin and side in (None, order.side)
    ]


def refuse_market_sockets(world: World, is_refused) -> None:
    plain = world.network.connect

    async def connect(kind):
        if kind.value == "market" and is_refused():
            raise ConnectionRefusedError("connection refused")
        return await plain(kind)

    world.connect = connect


# The market's feeds


@scenario
async def test_hip2_on_spot_goes_on_quoting_without_the_market_session():
    async with open_world() as world:
        is_down = [False]
        refuse_market_sockets(world, lambda: is_down[0])
        async with world.maker() as maker:
            await resting(world)
            is_down[0] = True
            world.links("market")[0].cut()
            for turn in range(10):
                world.take(Side.BUY if turn % 2 else Side.SELL, "2")
                await trio.sleep(3)
                assert len(world.orders()) == 20
        assert_agrees(world, maker)
        assert maker.report.fills >= 10
        assert maker.report.quote_stops == ()


@scenario
async def test_a_market_that_requires_its_data_stops_when_the_session_ends_and_resumes_with_the_first_book():
    async with open_world(venue_params=VenueParams()) as world:  # Books every 0.54 s.
        is_down = [False]
        refuse_market_sockets(world, lambda: is_down[0])
        async with world.maker(with_market_data()) as maker:
            await resting(world)
            await trio.sleep_until(10)
            heard_s = max(at_s for event, at_s in world.told(Heard) if event.session is SessionName.MARKET)
            is_down[0] = True
            world.links("market")[0].cut()
            world.take(Side.BUY, "2")
            await trio.sleep_until(10 + 14.9)
            assert not places_s(world, COIN, 10.0)
            assert len(world.orders()) == 19
            await trio.sleep_until(10 + 15.6)
            assert world.orders() == []  # Withdrawn after 15 s of blindness.
            is_down[0] = False
            await resting(world)
            book_s = next(
                at_s for event, at_s in world.told(Heard) if at_s > 25.6 and event.feed == f"l2Book:{COIN}"
            )
            assert 0 <= places_s(world, COIN, 10.0)[0] - book_s <= 0.5  # The next heartbeat.
            await trio.sleep(3)
        assert_agrees(world, maker)
        (stop,) = maker.report.quote_stops
        assert stop.coin == "HYPE/USDC"
        assert stop.reason == "market session down"
        assert stop.silence_s == round(10.0 - heard_s, 3)
        assert stop.stopped_s == round(places_s(world, COIN, 10.0)[0] - 10.0, 3)


@scenario
async def test_a_book_that_dies_on_a_living_session_stops_its_market_and_opens_a_new_session():
    async with open_world() as world:
        async with world.maker(with_market_data()) as maker:
            await resting(world)
            await trio.sleep_until(10)
            heard_s = max(at_s for event, at_s in world.told(Heard) if event.feed == f"l2Book:{COIN}")
            world.faults.drops_frame = lambda topic: topic.type == "l2Book"
            await eventually(lambda: world.told(SessionEnded))
            world.faults.drops_frame = None
            ((ended, ended_s),) = world.told(SessionEnded)
            assert ended.session is SessionName.MARKET
            assert ended.cause == "no book of HYPE/USDC for 8 s"
            assert 8.0 <= ended_s - heard_s <= 8.5  # The heartbeat looks twice a second.
            world.take(Side.BUY, "2")
            await trio.sleep(10)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)
        assert [stop.reason for stop in maker.report.quote_stops] == ["market data missing"]


@pytest.mark.parametrize("feed", ["bbo", "trades", "allMids"])
@scenario
async def test_a_dead_feed_that_no_strategy_needs_stops_nothing(feed):
    async with open_world() as world:
        async with world.maker(with_market_data()) as maker:
            await resting(world)
            world.faults.drops_frame = lambda topic: topic.type == feed
            for _ in range(4):
                world.take(Side.BUY, "1")
                world.take(Side.SELL, "1")
                await trio.sleep(5)
            assert not world.told(SessionEnded)
        assert_agrees(world, maker)
        assert maker.report.quote_stops == ()
        assert maker.report.fills >= 8


@scenario
async def test_of_two_markets_only_the_one_that_needs_data_is_withdrawn_without_it():
    async with open_world() as world:
        is_down = [False]
        refuse_market_sockets(world, lambda: is_down[0])
        async with world.maker(two_markets(purr_needs_data=True)) as maker:
            await resting(world, 40)
            before = {order["cloid"] for order in on_coin(world, COIN)}
            is_down[0] = True
            world.links("market")[0].cut()
            await trio.sleep(40)
            assert on_coin(world, PURR) == []
            assert {order["cloid"] for order in on_coin(world, COIN)} == before
            is_down[0] = False
            await resting(world, 40)
        assert_agrees(world, maker)
        assert [(stop.coin, stop.reason) for stop in maker.report.quote_stops] == [
            ("PURR/USDC", "market session down")
        ]


# A strategy


@scenario
async def test_a_strategy_that_raises_loses_its_market_alone_and_the_report_says_so(caplog):
    class Broken:
        name = "hip2"
        requires_market_data = False

        def quote(self, view):
            raise RuntimeError("out of ideas")

    async with open_world() as world:
        async with world.maker(two_markets()) as maker:
            await resting(world, 40)
            await trio.sleep_until(10)
            maker.desk.quoters[1].strategy = Broken()
            await trio.sleep_until(12.5)  # The tick at 12 meets it.
            assert on_coin(world, PURR) == []
            for _ in range(3):
                world.take(Side.BUY, "2")
                await trio.sleep(3)
            assert len(on_coin(world, COIN)) == 20
            assert on_coin(world, PURR) == []
        assert_agrees(world, maker)
        (stop,) = maker.report.quote_stops
        assert (stop.coin, stop.reason) == ("PURR/USDC", "market suspended")
        assert maker.report.fills == 3
        assert any("RuntimeError: out of ideas" in record.getMessage() for record in caplog.records)


# What the venue refuses


def refuse_orders(world: World, text: str, count: int) -> list[float]:
    """The next requests to place are refused with this text for each item. Returns when each came."""
    came_s: list[float] = []

    async def refuse(request):
        if request.action_type not in ("order", "batchModify"):
            return None
        came_s.append(trio.current_time())
        if len(came_s) > count:
            return None
        items = request.body["action"].get("orders") or request.body["action"].get("modifies")
        statuses = [{"error": text} for _ in items]
        return HttpReply(200, {"status": "ok", "response": {"type": "order", "data": {"statuses": statuses}}})

    world.faults.on_request = refuse
    return came_s


@scenario
async def test_after_insufficient_balance_the_side_cools_down_for_thirty_seconds_and_the_other_goes_on():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            came_s = refuse_orders(world, "Insufficient spot balance asset=10107", 1)
            world.take(Side.BUY, "2")  # Takes an ask; a bid is wanted in its place, and refused.
            await eventually(lambda: came_s)
            world.take(Side.SELL, "2")  # Takes a bid; an ask is wanted in its place.
            await trio.sleep_until(35)
            assert not places_s(world, COIN, came_s[0], Side.BUY)
            assert places_s(world, COIN, came_s[0], Side.SELL)
            world.take(Side.BUY, "2")
            await trio.sleep_until(45)
            (first_s, *_) = places_s(world, COIN, came_s[0], Side.BUY)
            assert 30.0 <= first_s - came_s[0] <= 33.1  # The first tick after it.
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


@scenario
async def test_a_post_only_order_that_would_match_waits_for_the_next_tick_and_no_longer():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            text = "Post only order would have immediately matched, bbo was 34.5@34.6. asset=10107"
            came_s = refuse_orders(world, text, 5)
            world.take(Side.BUY, "2")
            await trio.sleep_until(31)
            ticks_s = [12.0, 15.0, 18.0, 21.0]
            live_s = round(maker.live_at_s, 3)
            assert [round(at_s - live_s, 3) for at_s in came_s[1:]] == pytest.approx(ticks_s + [24.0], abs=0.02)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


@scenario
async def test_three_refusals_in_a_row_cool_a_side_down():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            came_s = refuse_orders(world, "Order has invalid size.", 3)
            world.take(Side.BUY, "2")
            await trio.sleep_until(60)
            assert len(came_s) == 4
            assert came_s[3] - came_s[2] >= 30.0
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


@scenario
async def test_in_a_post_only_window_quoting_goes_on_since_every_order_is_post_only(caplog):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            refuse_orders(world, "Only post-only orders allowed immediately after a network upgrade", 1)
            world.take(Side.BUY, "2")
            await trio.sleep_until(20)
            assert len(world.orders()) == 20
            assert maker.desk.emitter.in_post_only_window(maker.hub.clock.now())
            assert any("post-only window" in record.getMessage() for record in caplog.records)
        assert_agrees(world, maker)


@scenario
async def test_a_429_pauses_quoting_each_time_twice_as_long():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            came_s = []

            async def refuse(request):
                if request.action_type == "order":
                    came_s.append(trio.current_time())
                    return HttpReply(429) if len(came_s) <= 4 else None
                return None

            world.faults.on_request = refuse
            world.take(Side.BUY, "2")
            await trio.sleep_until(60)
            pauses_s = [later - earlier for earlier, later in pairwise(came_s)]
            assert len(pauses_s) == 4
            for least_s, pause_s in zip((2, 4, 8, 16), pauses_s, strict=True):
                assert least_s <= pause_s <= least_s + 3.1  # The first tick after the pause.
            assert len(world.orders()) == 20
            codes = {reason.code for decision, _ in world.told(Decision) for reason in decision.reasons}
            assert ReasonCode.IP_WEIGHT in codes
        assert_agrees(world, maker)


@scenario
async def test_a_paused_desk_withdraws_everything_and_quotes_again_when_told():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            maker.hub.deliver(Paused(True))
            await trio.sleep_until(12)
            assert world.orders() == []
            world.take(Side.BUY, "2")
            await trio.sleep_until(30)
            assert world.orders() == []
            maker.hub.deliver(Paused(False))
            await trio.sleep_until(32)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)
        (stop,) = maker.report.quote_stops
        assert (stop.reason, stop.stopped_s) == ("paused", 20.0)
