"""Losing the venue in every way, and coming back: quoting stops, the gap is read up, the two ends agree.

Everything starts at second 0 and is live there: the network takes no time, pings leave every 2.5 s, heartbeats every
0.5 s, ticks every 3 s, blocks come every 70 ms. `assert_agrees` also holds that nothing was quoted while it must not.
"""

from __future__ import annotations

from random import Random

import pytest
import trio

from mmtrio.core.events import (
    AccountRead,
    BatchDone,
    BatchKind,
    Decision,
    Fill,
    FillBooked,
    FillSource,
    Heard,
    MismatchKind,
    OpenOrdersRead,
    ReadPurpose,
    SessionEnded,
    SessionLive,
    SessionName,
    SessionOpened,
    SubmitBatch,
)
from mmtrio.core.liveness import LivenessParams
from mmtrio.core.types import Side
from mmtrio.exchange.memory_streams import Direction
from mmtrio.exchange.params import EngineParams
from mmtrio.live.supervision import Backoff
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world, quotes_in

CLOSE_FRAME = b"\x88\x02\x03\xe8"
"""A WebSocket close with code 1000, as a server sends it."""


def ends(world: World, name: SessionName = SessionName.ACCOUNT) -> list[tuple[str, float]]:
    """Cause and second of each end of a session."""
    return [(event.cause, at_s) for event, at_s in world.told(SessionEnded) if event.session is name]


def lives(world: World, name: SessionName = SessionName.ACCOUNT) -> list[float]:
    """When a session was live."""
    return [at_s for event, at_s in world.told(SessionLive) if event.session is name]


def quotes_between(world: World, since_s: float, until_s: float) -> list[float]:
    """When places and modifies were decided in a stretch of time."""
    return [at_s for decision, at_s in world.told(Decision) if since_s < at_s < until_s and quotes_in(decision)]


def booked(world: World) -> list[tuple[FillSource, float]]:
    """By which way the fills came that moved the books, and when."""
    return [
        (note.fill.source, at_s)
        for decision, at_s in world.told(Decision)
        for note in decision.notes
        if isinstance(note, FillBooked)
    ]


def reconnect_delays(seed: int = 7) -> Backoff:
    """The pauses of the account session; each session has a generator of its own, drawn from the maker's."""
    return Backoff(Random(Random(seed).random()))


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


# Dropped and refused


@pytest.mark.parametrize(
    ("way", "cause"),
    [
        ("end of data", "connection broken: it ended without a close frame"),
        ("reset", "connection broken: it ended without a close frame"),
        ("close frame", "connection closed with 1000 NORMAL_CLOSURE: no reason given"),
    ],
)
@scenario
async def test_a_dropped_account_session_is_replaced_and_what_happened_meanwhile_is_booked(way, cause):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10.5)
            world.network.refuse()
            (link,) = world.links("account")
            if way == "close frame":
                link.to_client.put_nowait(CLOSE_FRAME)
            elif way == "reset":
                link.cut()
            else:
                link.close_clean()
            await trio.sleep_until(11)
            assert ends(world)[0] == (cause, 10.5)
            for link in world.links("rest"):
                link.cut()
            world.take(Side.BUY, "3")
            await trio.sleep_until(14)
            assert len(world.engine.fills(world.account)) == 2
            assert not quotes_between(world, 10.5, 14)
            world.network.refuse(False)
            await eventually(lambda: len(lives(world)) == 2)
            live_s = lives(world)[1]
            await eventually(lambda: quotes_between(world, 10.5, 1e9))
            # Nothing here takes time but the pauses.
            assert quotes_between(world, 10.5, 1e9) == [pytest.approx(live_s, abs=0.01)]
            await trio.sleep(8)
            assert len(world.orders(Side.SELL)) == 9
        assert_agrees(world, maker)
        assert maker.report.fills == 2
        (stop,) = maker.report.quote_stops
        assert (stop.reason, stop.silence_s) == ("account session down", 0.5)  # A pong came at 10.
        assert stop.stopped_s == pytest.approx(live_s - 10.5, abs=0.001)
        assert {source for source, _ in booked(world)} == {FillSource.SNAPSHOT}


@scenario
async def test_a_refused_reconnect_is_tried_again_after_pauses_that_double_until_it_succeeds():
    expected_s, backoff, at_s = [], reconnect_delays(), 5.0
    delay_s = backoff.next_delay_s(lived_s=5.0)
    while at_s + delay_s < 65:
        at_s += delay_s
        expected_s.append(at_s)
        delay_s = backoff.next_delay_s(lived_s=0.0)
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(5)
            world.network.refuse()
            world.network.cut_all()
            await trio.sleep_until(65)
            refused_s = [ended_s for cause, ended_s in ends(world) if "refused" in cause]
            assert refused_s == pytest.approx(expected_s)
            assert len(refused_s) >= 6
            world.network.refuse(False)
            await eventually(lambda: len(lives(world)) == 2)
            assert lives(world)[1] == pytest.approx(at_s + delay_s)
            await trio.sleep(10)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


# Silent


@pytest.mark.parametrize("direction", [None, Direction.TO_CLIENT, Direction.TO_SERVER])
@scenario
async def test_a_half_open_session_ends_when_the_first_pong_is_due_that_does_not_come(direction):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(11)
            (link,) = world.links("account")
            link.stall(direction)
            world.take(Side.BUY, "2")
            await eventually(lambda: ends(world))
            # The ping of 10 was answered, that of 12.5 is not, and may take 5 s.
            assert ends(world) == [("no pong within 5 s", 17.5)]
            heard_s = [at_s for event, at_s in world.told(Heard) if event.session is SessionName.ACCOUNT]
            if direction is Direction.TO_SERVER:
                assert 11 < max(heard_s) < 12  # The venue can still be heard, and its fills are answered.
                assert quotes_between(world, 11, 17.5)
            else:
                assert max(heard_s) == 10.0
                assert not quotes_between(world, 11, 17.5)
            assert 17.5 - 10.0 < 8.0
            await eventually(lambda: len(lives(world)) == 2)
            await trio.sleep(10)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)
        assert maker.report.fills == 1
        assert [stop.reason for stop in maker.report.quote_stops] == ["account session down"]


@scenario
async def test_a_short_silence_that_ends_by_itself_costs_no_session_and_loses_no_fill():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(11)
            (link,) = world.links("account")
            link.stall()
            world.take(Side.BUY, "2")
            await trio.sleep_until(16)
            link.resume()
            await trio.sleep_until(17)
            assert [source for source, _ in booked(world)] == [FillSource.STREAM]
            assert len(world.orders()) == 20
            assert not ends(world)
        assert_agrees(world, maker)
        assert maker.report.quote_stops == ()


@scenario
async def test_orders_are_withdrawn_over_rest_when_the_account_session_stays_away_for_fifteen_seconds():
    async with open_world() as world:
        plain, is_down = world.network.connect, [False]

        async def connect(kind):
            if kind.value in ("account", "market") and is_down[0]:
                raise ConnectionRefusedError("connection refused")
            return await plain(kind)

        world.connect = connect
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10.1)  # A pong came at 10.
            is_down[0] = True
            for link in (*world.links("account"), *world.links("market")):
                link.cut()
            await trio.sleep_until(24.99)
            assert len(world.orders()) == 20
            await trio.sleep_until(25.09)
            assert world.orders() == []  # At 25.0, and the next block.
            cancels = [
                (at_s, len(command.batch.items))
                for decision, at_s in world.told(Decision)
                for command in decision.commands
                if isinstance(command, SubmitBatch) and command.batch.kind is BatchKind.CANCEL
            ]
            assert cancels == [(25.0, 20)]
            is_down[0] = False
            await resting(world)
        assert_agrees(world, maker)


# Feeds that die while their socket lives


@scenario
async def test_a_dead_order_feed_is_noticed_by_the_order_it_does_not_show():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.faults.drops_frame = lambda topic: topic.type == "orderUpdates"
            world.take(Side.BUY, "2")
            await eventually(lambda: [done for done, at_s in world.told(BatchDone) if at_s > 10])
            accepted_s = trio.current_time()
            await eventually(lambda: ends(world))
            ((cause, ended_s),) = ends(world)
            assert "no orderUpdates frame came" in cause
            assert accepted_s + 5.0 <= ended_s <= accepted_s + 5.5  # The heartbeat looks twice a second.
            world.faults.drops_frame = None
            await trio.sleep(8)
        assert_agrees(world, maker)
        assert len(ends(world)) == 1


@scenario
async def test_a_dead_fill_feed_is_a_mismatch_and_its_fill_is_booked_all_the_same():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.faults.drops_frame = lambda topic: topic.type == "userFills"
            world.take(Side.BUY, "2")
            await eventually(lambda: booked(world))
            ((source, booked_s),) = booked(world)
            assert source is FillSource.RECONCILE
            assert 12.0 <= booked_s <= 13.0  # The order update speaks of it, and after 2 s it is asked for.
            await eventually(lambda: ends(world))
            ((cause, ended_s),) = ends(world)
            assert "no userFills frame brought" in cause
            assert booked_s + 5.0 <= ended_s <= booked_s + 8.0  # When the stream was heard after it was due.
            world.faults.drops_frame = None
            await trio.sleep(8)
        assert_agrees(world, maker, mismatches=1)
        assert [note.kind for note in maker.desk.mismatches] == [MismatchKind.FILL_NOT_STREAMED]
        assert maker.report.fills == 1


@scenario
async def test_a_dead_balance_feed_changes_nothing():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.faults.drops_frame = lambda topic: topic.type == "spotState"
            for turn in range(6):
                world.take(Side.BUY if turn % 2 else Side.SELL, "2")
                await trio.sleep(3)
            assert not ends(world)
        assert_agrees(world, maker)


@pytest.mark.parametrize("feed", ["orderUpdates", "userFills"])
@scenario
async def test_a_feed_that_the_venue_has_dropped_is_found_by_the_next_probe(feed):
    async with open_world() as world:
        async with world.maker(maker_config(liveness=LivenessParams(probe_interval_s=12.0))) as maker:
            await resting(world)
            hub = world.venue.hub
            for connection in hub.connections.values():
                for topic in list(connection.topics):
                    if topic.type == feed:
                        hub.unsubscribe(connection, topic)
            await eventually(lambda: ends(world))
            ((cause, ended_s),) = ends(world)
            assert cause.startswith(f"probe failed: the venue had dropped {feed}")
            assert ended_s == 12.0
            await trio.sleep(5)
        assert_agrees(world, maker)


# Coming back


@pytest.mark.parametrize("feed", ["orderUpdates", "userFills", "spotState"])
@scenario
async def test_a_subscription_that_is_never_acknowledged_ends_the_session_after_five_seconds(feed):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.faults.drops_ack = lambda topic: topic.type == feed
            world.links("account")[0].cut()
            await eventually(lambda: len(ends(world)) == 2)
            opened_s = [at_s for event, at_s in world.told(SessionOpened) if event.session is SessionName.ACCOUNT]
            cause, ended_s = ends(world)[1]
            assert feed in cause and "not acknowledged within 5 s" in cause
            assert ended_s == opened_s[1] + 5.0
            world.faults.drops_ack = None
            await trio.sleep(8)
        assert_agrees(world, maker)


@scenario
async def test_the_snapshot_of_a_new_session_replays_known_fills_and_changes_nothing():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            for _ in range(3):
                world.take(Side.BUY, "1")
                await trio.sleep(1)
            totals = {token: maker.desk.inventory.total(token) for token in (0, 150)}
            booked = maker.desk.inventory.fills_booked
            world.links("account")[0].cut()
            await eventually(lambda: [event for event, _ in world.told(Fill) if event.source is FillSource.SNAPSHOT])
            await trio.sleep(10)
            assert {token: maker.desk.inventory.total(token) for token in (0, 150)} == totals
            assert maker.desk.inventory.fills_booked == booked == 3
        assert_agrees(world, maker)
        assert maker.report.fills == 3


@scenario
async def test_a_fill_that_rest_shows_only_after_the_catch_up_is_read_up_and_is_no_mismatch():
    async with open_world(engine_params=EngineParams(rest_lag_ms=1_000)) as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            # The gap ends just after the fill: the stream is too late for it, and REST too early.
            world.faults.drops_frame = lambda topic: topic.type == "userFills"
            world.links("account")[0].cut()
            world.take(Side.BUY, "2")
            await eventually(lambda: len(lives(world)) == 2)
            world.faults.drops_frame = None
            await eventually(lambda: booked(world))
            ((source, booked_s),) = booked(world)
            assert source is FillSource.CATCH_UP
            assert booked_s == pytest.approx(lives(world)[1] + 2.0, abs=0.1)
            await trio.sleep(8)
        assert_agrees(world, maker)


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
            # Places that were answered while the reading that does not show them was on its way.
            reads = [(read.requested_at.mono_ns / 1e9, at_s) for read, at_s in world.told(OpenOrdersRead)]
            answers_s = [at_s for _, at_s in world.told(BatchDone)]
            assert any(asked_s < at_s < read_s for asked_s, read_s in reads for at_s in answers_s)
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
async def test_a_session_that_is_lost_while_it_is_read_up_starts_over_and_the_older_reading_counts_for_nothing():
    async with open_world() as world:

        async def slow(request):
            if request.action_type is None:
                await trio.sleep(1)

        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.faults.on_request = slow
            world.links("account")[0].cut()
            world.take(Side.BUY, "2")
            await eventually(lambda: len(lives(world)) == 2)
            await trio.sleep(2.5)
            assert not maker.desk.has_caught_up
            world.links("account")[1].cut()
            await eventually(lambda: len(lives(world)) == 3)
            assert not quotes_between(world, 10, 1e9)
            await eventually(lambda: quotes_between(world, 10, 1e9))
            read = [at_s for event, at_s in world.told(AccountRead) if event.purpose is ReadPurpose.CATCH_UP]
            # Budget, fills, orders and balances, a second each; displaced, the first never came to its end.
            assert read == pytest.approx([lives(world)[2] + 4.0])
            await trio.sleep(10)
        assert_agrees(world, maker)
        assert len(maker.report.quote_stops) == 1


@pytest.mark.parametrize("wall_ahead_ms", [-120_000, 120_000])
@scenario
async def test_a_process_whose_clock_is_two_minutes_wrong_trades_all_the_same(wall_ahead_ms):
    async with open_world(wall_ahead_ms=wall_ahead_ms) as world:
        async with world.maker() as maker:
            await resting(world)
            world.take(Side.BUY, "2")
            await trio.sleep(5)
            world.network.cut_all()
            world.take(Side.SELL, "2")
            await trio.sleep(8)
        assert_agrees(world, maker)
        assert maker.report.fills == 2
