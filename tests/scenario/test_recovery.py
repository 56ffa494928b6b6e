"""Losing the venue in every way, and coming back: quoting stops, the gap is read up, the two ends agree."""

from __future__ import annotations

import pytest
import trio

from mmtrio.core.events import (
    BatchKind,
    Decision,
    Fill,
    FillSource,
    Heard,
    SessionEnded,
    SessionLive,
    SessionName,
    SubmitBatch,
)
from mmtrio.core.types import Side
from mmtrio.exchange.params import EngineParams
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world


def ends(world: World, name: SessionName = SessionName.ACCOUNT) -> list[tuple[str, float]]:
    """Cause and second of each end of a session."""
    return [(event.cause, at_s) for event, at_s in world.told(SessionEnded) if event.session is name]


def quotes_between(world: World, since_s: float, until_s: float) -> list[float]:
    """When places and modifies were decided in a stretch of time."""
    return [
        at_s
        for decision, at_s in world.told(Decision)
        if since_s < at_s < until_s
        and any(
            isinstance(command, SubmitBatch) and command.batch.kind is not BatchKind.CANCEL
            for command in decision.commands
        )
    ]


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


@pytest.mark.parametrize("way", ["close", "reset"])
@scenario
async def test_a_dropped_account_session_is_replaced_and_what_happened_meanwhile_is_booked(way):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.network.refuse()
            for link in world.links("account"):
                link.cut() if way == "reset" else link.close_clean()
            await trio.sleep_until(11)
            (_, ended_s), *_ = ends(world)
            assert ended_s == pytest.approx(10, abs=0.02)
            for link in world.links("rest"):
                link.cut()
            world.take(Side.BUY, "3")
            await trio.sleep_until(14)
            assert len(world.engine.fills(world.account)) == 2
            assert not quotes_between(world, 10, 14)
            world.network.refuse(False)
            await eventually(lambda: len(world.told(SessionLive)) >= 3)
            await trio.sleep(20)
            assert len(world.orders(Side.SELL)) == 9
        assert_agrees(world, maker)
        assert maker.report.fills == 2
        assert [stop.reason for stop in maker.report.quote_stops] == ["account session down"]
        sources = [event.source for event, _ in world.told(Fill)]
        assert sources and FillSource.STREAM not in sources


@scenario
async def test_a_refused_reconnect_is_tried_again_with_growing_pauses_until_it_succeeds():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(5)
            world.network.refuse()
            world.network.cut_all()
            await trio.sleep_until(65)
            refused = [at_s for cause, at_s in ends(world) if "refused" in cause]
            assert 4 <= len(refused) <= 24
            assert not quotes_between(world, 5, 65)
            world.network.refuse(False)
            await eventually(lambda: maker.desk.has_caught_up and quotes_between(world, 65, 1e9), within_s=60)
            await trio.sleep(10)
        assert_agrees(world, maker)


@scenario
async def test_half_open_silence_is_noticed_within_eight_seconds_and_nothing_is_quoted_into_it():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            last_heard_s = 10.0
            for link in world.links("account"):
                link.stall()
            world.take(Side.BUY, "2")
            await eventually(lambda: ends(world))
            ((cause, ended_s),) = ends(world)
            assert "pong" in cause or "silent" in cause
            assert ended_s - last_heard_s <= 8.0
            await eventually(lambda: maker.desk.has_caught_up)
            await trio.sleep(10)
            assert len(world.orders(Side.SELL)) == 9
        assert_agrees(world, maker)


@scenario
async def test_orders_are_withdrawn_over_rest_when_the_account_session_stays_away():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            connect = world.network.connect

            async def refuse_sockets(kind):
                if kind.value in ("account", "market"):
                    raise ConnectionRefusedError("connection refused")
                return await connect(kind)

            for feed in maker.feeds:
                feed.connect = refuse_sockets
            for link in [*world.links("account"), *world.links("market")]:
                link.cut()
            last_heard_s = max(at_s for event, at_s in world.told(Heard) if event.session is SessionName.ACCOUNT)
            await trio.sleep_until(last_heard_s + 15)
            assert len(world.orders()) == 20
            await trio.sleep_until(last_heard_s + 15.8)
            assert world.orders() == []
            for feed in maker.feeds:
                feed.connect = connect
            await resting(world)
        assert_agrees(world, maker)


@scenario
async def test_a_dead_order_feed_is_noticed_by_the_order_it_does_not_show():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.faults.drops_frame = lambda topic: topic.type == "orderUpdates"
            world.take(Side.BUY, "2")
            await eventually(lambda: world.told(Fill))
            filled_s = world.told(Fill)[0][1]
            await eventually(lambda: ends(world))
            ((cause, ended_s),) = ends(world)
            assert "orderUpdates" in cause
            assert 5.0 <= ended_s - filled_s <= 6.0
            world.faults.drops_frame = None
            await trio.sleep(20)
        assert_agrees(world, maker)


@scenario
async def test_a_dead_fill_feed_is_a_mismatch_and_its_fill_is_booked_all_the_same():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.faults.drops_frame = lambda topic: topic.type == "userFills"
            world.take(Side.BUY, "2")
            await eventually(lambda: ends(world), within_s=70)
            world.faults.drops_frame = None
            await trio.sleep(20)
        assert_agrees(world, maker, mismatches=1)
        assert maker.report.fills == 1


@scenario
async def test_a_subscription_that_is_never_acknowledged_ends_the_session_after_five_seconds():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.faults.drops_ack = lambda topic: topic.type == "userFills"
            for link in world.links("account"):
                link.cut()
            await eventually(lambda: len(ends(world)) == 2)
            (_, first_s), (cause, second_s) = ends(world)
            assert "userFills" in cause and "acknowledged" in cause
            assert 5.0 <= second_s - first_s <= 5.6
            world.faults.drops_ack = None
            await trio.sleep(20)
        assert_agrees(world, maker)


@scenario
async def test_the_snapshot_of_a_new_session_replays_known_fills_and_changes_nothing():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            for _ in range(3):
                world.take(Side.BUY, "1")
                await trio.sleep(1)
            before = maker.desk.inventory.total(0)
            for link in world.links("account"):
                link.cut()
            await eventually(lambda: [event for event, _ in world.told(Fill) if event.source is FillSource.SNAPSHOT])
            await trio.sleep(10)
            assert maker.desk.inventory.total(0) == before
        assert_agrees(world, maker)
        assert maker.report.fills == 3


@scenario
async def test_an_order_confirmed_while_a_reading_travels_is_not_taken_for_a_ghost():
    async with open_world() as world:

        async def slow_open_orders(request, reply):
            if isinstance(request.body, dict) and request.body.get("type") == "openOrders":
                await trio.sleep(1.5)
            return reply

        async with world.maker(maker_config(reconcile_every=2)) as maker:
            await resting(world)
            world.faults.on_reply = slow_open_orders
            for turn in range(20):
                world.take(Side.BUY if turn % 2 else Side.SELL, "2")
                await trio.sleep(0.7)
            await trio.sleep(10)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


@scenario
async def test_readings_that_lag_seconds_behind_the_stream_change_nothing():
    async with open_world(engine_params=EngineParams(rest_lag_ms=1_500)) as world:
        async with world.maker(maker_config(reconcile_every=2)) as maker:
            await resting(world)
            for turn in range(20):
                world.take(Side.BUY if turn % 2 else Side.SELL, "2")
                await trio.sleep(0.9)
            await trio.sleep(10)
        assert_agrees(world, maker)


@scenario
async def test_a_process_whose_clock_is_two_minutes_wrong_trades_all_the_same():
    for wall_ahead_ms in (-120_000, 120_000):
        async with open_world(wall_ahead_ms=wall_ahead_ms) as world:
            async with world.maker() as maker:
                await resting(world)
                world.take(Side.BUY, "2")
                await trio.sleep(5)
                world.network.cut_all()
                world.take(Side.SELL, "2")
                await trio.sleep(20)
            assert_agrees(world, maker)
            assert maker.report.fills == 2
