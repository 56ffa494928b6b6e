"""Stopping, whatever the venue does: nothing rests, or the exit code says so."""

from __future__ import annotations

import math

import pytest
import trio

from mmtrio.core.events import MismatchKind, SessionEnded, SessionLive
from mmtrio.core.types import Side
from mmtrio.exchange.faults import HttpReply
from mmtrio.live.config import Network
from mmtrio.live.errors import ConfigurationError, VenueUnreachable
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


BLOCK_S = 0.07


def next_block_s(at_s: float) -> float:
    """Blocks come every 70 ms from the start of the world."""
    return math.ceil(round(at_s / BLOCK_S, 6)) * BLOCK_S


@scenario
async def test_a_healthy_stop_cancels_at_once_and_is_proven_by_two_reads_two_seconds_apart():
    asked: list[tuple[str, float]] = []

    async def note(request):
        asked.append((request.action_type or request.body["type"], trio.current_time()))

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(5)
            world.faults.on_request = note
        cancelled_s = next_block_s(5.0)
        first_empty_s = cancelled_s + 0.5  # A read at once still shows the orders: REST lags.
        expected = [
            ("cancelByCloid", 5.0),
            ("openOrders", cancelled_s),
            ("openOrders", first_empty_s),
            ("openOrders", first_empty_s + 2.0),
        ]
        assert [(kind, pytest.approx(at_s)) for kind, at_s in expected] == asked[:4]
        assert {at_s for _, at_s in asked[4:]} == {asked[3][1]}  # The last reconciliation, and the report.
        assert trio.current_time() == asked[3][1]
        assert_agrees(world, maker)


@scenario
async def test_a_zombie_order_that_lands_after_shutdown_began_is_cancelled_too():
    landed = []

    async def delay(request):
        if request.action_type == "order" and not landed:
            landed.append(trio.current_time())
            await trio.sleep(9)
        return None

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.faults.on_request = delay
            world.take(Side.BUY, "2")
            await eventually(lambda: landed)
            await trio.sleep(2)
            stopped_s = trio.current_time()
        lands_s = next_block_s(landed[0] + 9)
        assert lands_s > stopped_s
        # Until it landed it could not be proven gone; from then on it is a cancel and two reads, REST lagging.
        assert lands_s + 2.0 < trio.current_time() < lands_s + 6.0
        assert_agrees(world, maker)


@scenario
async def test_a_zombie_order_that_can_land_no_more_is_waited_for_until_its_expiry_and_no_longer():
    sent_s = []

    async def lose(request):
        if request.action_type == "order":
            sent_s.append(trio.current_time())
            await trio.sleep_forever()

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.faults.on_request = lose
            world.take(Side.BUY, "2")
            await eventually(lambda: sent_s)
        expires_s = sent_s[0] + 15.0
        assert expires_s < trio.current_time() < expires_s + 15.0
        assert_agrees(world, maker)


@scenario
async def test_a_venue_that_hangs_for_good_ends_with_exit_4_and_the_cloids_after_the_grace(expected_errors):
    expected_errors.expect("clean-up unconfirmed")

    async def hang(request):
        await trio.sleep_forever()

    async with open_world() as world:
        async with world.maker(maker_config(shutdown_grace_s=20.0)) as maker:
            await resting(world)
            resting_cloids = {order["cloid"] for order in world.orders()}
            world.faults.on_request = hang
            stopped_s = trio.current_time()
        assert maker.report.exit == 4
        assert set(maker.report.unconfirmed) == resting_cloids
        assert maker.report.open_orders_at_exit is None
        assert trio.current_time() - stopped_s <= 20.0 + 15.0 + 0.1


@pytest.mark.parametrize("status", [429, 502])
@scenario
async def test_a_venue_that_refuses_everything_for_ten_seconds_is_cleaned_up_when_it_listens_again(status):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(5)
            cancels_s = []

            async def refuse(request):
                if request.action_type == "cancelByCloid":
                    cancels_s.append(trio.current_time())
                return HttpReply(status, text="<html>busy</html>") if trio.current_time() < 15 else None

            world.faults.on_request = refuse
        assert cancels_s[:3] == [5.0, 5.5, 6.5]
        first_heard_s = next(at_s for at_s in cancels_s if at_s >= 15.0)
        assert first_heard_s <= 17.0  # The pauses grow to 2 s.
        assert trio.current_time() <= first_heard_s + 6.0
        assert_agrees(world, maker)


@scenario
async def test_with_the_stream_dead_clean_up_asks_over_rest_and_what_was_missed_is_in_the_books():
    async with open_world() as world:
        plain = world.network.connect
        is_down = [False]

        async def connect(kind):
            if kind.value in ("account", "market") and is_down[0]:
                raise ConnectionRefusedError("connection refused")
            return await plain(kind)

        world.connect = connect
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            is_down[0] = True
            for kind in ("account", "market"):
                world.links(kind)[0].cut()
            world.take(Side.BUY, "3")
            await trio.sleep_until(12)
        assert_agrees(world, maker)
        assert maker.report.fills == 2
        (stop,) = maker.report.quote_stops
        assert (stop.reason, stop.stopped_s) == ("account session down", 2.0)


@pytest.mark.parametrize("moment", ["catching up", "in the pause between two sessions"])
@scenario
async def test_a_stop_while_it_is_away_is_as_clean_as_any_other(moment):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            if moment == "catching up":

                async def slow(request):
                    if request.action_type is None:
                        await trio.sleep(1)

                world.faults.on_request = slow
                world.links("account")[0].cut()
                world.take(Side.BUY, "2")
                await eventually(lambda: len(world.told(SessionLive)) == 3)
                await trio.sleep(0.5)
                assert not maker.desk.has_caught_up
            else:
                world.network.refuse()
                world.links("account")[0].cut()
                world.take(Side.BUY, "2")
                await eventually(lambda: len(world.told(SessionEnded)) >= 4)
                world.network.refuse(False)
        assert_agrees(world, maker)
        assert maker.report.fills == 1


@scenario
async def test_a_reading_that_hangs_while_it_stops_delays_nothing():
    async with open_world() as world:
        hung = []

        async def hang(request):
            if request.body.get("type") == "userFillsByTime" and not hung:
                hung.append(trio.current_time())
                await trio.sleep_forever()

        async with world.maker(maker_config(reconcile_every=2)) as maker:
            await resting(world)
            world.faults.on_request = hang
            await eventually(lambda: hung)
            stopped_s = trio.current_time()
        assert trio.current_time() - stopped_s <= 2.7
        assert_agrees(world, maker)


@scenario
async def test_where_the_last_look_fails_the_proof_stands_and_the_report_holds_our_own_numbers():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.take(Side.BUY, "3")
            await trio.sleep(5)

            async def hang(request):
                if request.body.get("type") == "userFillsByTime":
                    await trio.sleep_forever()

            world.faults.on_request = hang
        assert_agrees(world, maker)
        assert maker.report.fills == 2


@pytest.mark.parametrize("before_s", [0.01, 2.0, 10.0])
@scenario
async def test_the_last_reconciliation_finds_a_fill_that_no_frame_brought_however_late_it_was(before_s):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(20 - before_s)
            world.engine.add_fill_silently(world.account, "@107", Side.BUY, "34.5", "1")
            await trio.sleep_until(20)
        assert [note.kind for note in maker.desk.mismatches] == [MismatchKind.FILL_NOT_STREAMED]
        assert maker.report.exit == 0
        assert trio.current_time() <= 20 + 2.6 + 10


@scenario
async def test_a_moved_balance_shortly_before_the_end_is_found_by_the_last_reconciliation():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(20)
            world.engine.move_balance_silently(world.account, 0, -5_000 * 10**8)
        assert_agrees(world, maker, mismatches=1)
        assert [note.kind for note in maker.desk.mismatches] == [MismatchKind.BALANCE_DRIFT]


@scenario
async def test_a_bug_in_the_desk_withdraws_every_order_and_is_what_the_process_reports(expected_errors):
    expected_errors.expect("the desk failed")
    async with open_world() as world:
        with pytest.raises(AssertionError, match="planted"):
            async with world.maker() as maker:
                await resting(world)

                def broken(*_):
                    raise AssertionError("planted")

                maker.desk._handlers = dict.fromkeys(maker.desk._handlers, broken)
                await trio.sleep(60)
        assert world.orders() == []
        assert maker.report.open_orders_at_exit == 0


@scenario
async def test_cancelling_the_block_from_outside_withdraws_every_order():
    async with open_world() as world:
        with trio.move_on_after(5):
            async with world.maker() as maker:
                await trio.sleep_forever()
        assert world.orders() == []
        assert maker.report.open_orders_at_exit == 0


@scenario
async def test_kept_orders_stay_and_are_not_an_error():
    async with open_world() as world:
        async with world.maker(maker_config(keep_orders=True)) as maker:
            await resting(world)
        assert len(world.orders()) == 20
        assert maker.report.open_orders_at_exit == 20
        assert maker.report.exit == 0
        assert maker.report.mismatches == 0


@scenario
async def test_orders_on_their_way_when_they_are_to_be_kept_are_in_the_report():
    async with open_world() as world:
        async with world.maker(maker_config(keep_orders=True)) as maker:
            await eventually(lambda: maker.gateway.in_flight_count)
        assert len(world.orders()) == 20
        assert maker.report.open_orders_at_exit == 20
        assert maker.report.orders_placed == 20
        assert maker.report.requests_used == 20


@scenario
async def test_orders_left_by_an_earlier_run_are_withdrawn_before_the_next_quotes():
    async with open_world() as world:
        async with world.maker(maker_config(keep_orders=True)):
            await resting(world)
        left = {order["cloid"] for order in world.orders()}
        async with world.maker() as maker:
            await eventually(lambda: len(world.orders()) == 20 and not left & {o["cloid"] for o in world.orders()})
        assert_agrees(world, maker)


@scenario
async def test_a_venue_that_refuses_connections_is_told_after_the_start_up_timeout():
    async with open_world() as world:
        world.network.refuse()
        with pytest.raises(VenueUnreachable, match=r"cannot be reached.*trio-mm exchange"):
            async with world.maker(maker_config(startup_timeout_s=10.0)):
                pass
        assert trio.current_time() == 9.0  # The next try would be at the timeout.


@scenario
async def test_a_venue_whose_sockets_never_open_is_told_after_the_start_up_timeout_and_nothing_was_sent():
    async with open_world() as world:

        async def no_sockets(kind):
            if kind.value == "account":
                raise ConnectionRefusedError("connection refused")
            return await world.network.connect(kind)

        world.connect = no_sockets
        with pytest.raises(VenueUnreachable, match="refused"):
            async with world.maker(maker_config(startup_timeout_s=10.0)):
                pass
        assert trio.current_time() == 10.0
        assert world.engine.requests_used(world.account) == 0


@scenario
async def test_mainnet_is_refused_in_one_paragraph():
    async with open_world() as world:
        with pytest.raises(ConfigurationError, match="mainnet is not open yet"):
            async with world.maker(maker_config(network=Network.MAINNET)):
                pass
