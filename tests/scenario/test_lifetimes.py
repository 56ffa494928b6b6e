"""Who waits, who dies, and what the owner of the block sees: cancelled, crashed, raised, and all of it at once."""

from __future__ import annotations

import pytest
import trio

from mmtrio.core.events import AccountRead, BatchUnknown, SessionEnded, SessionName, Tick
from mmtrio.core.types import Side
from mmtrio.exchange.faults import HttpReply
from mmtrio.live.errors import VenueUnreachable
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


def hang_places(world: World) -> list[float]:
    """From now on a place never reaches the venue, and is never answered. Returns when each was sent."""
    sent_s: list[float] = []

    async def hang(request):
        if request.action_type in ("order", "batchModify"):
            sent_s.append(trio.current_time())
            await trio.sleep_forever()

    world.faults.on_request = hang
    return sent_s


@scenario
async def test_cancelled_from_outside_with_a_place_on_its_way_it_waits_until_that_cannot_land_and_proves_it():
    async with open_world() as world:
        with trio.CancelScope() as outside:
            async with world.maker() as maker:
                await resting(world)
                sent_s = hang_places(world)
                world.take(Side.BUY, "2")
                await eventually(lambda: sent_s)
                outside.cancel()
                await trio.sleep_forever()
        assert len(world.told(BatchUnknown)) == 1
        assert_agrees(world, maker)
        # It could land for 15 s; then the venue must deny it twice.
        assert sent_s[0] + 15 < trio.current_time() < sent_s[0] + 30


@scenario
async def test_a_crashed_task_is_what_the_owner_sees_and_requests_on_their_way_are_followed_to_their_end():
    async with open_world() as world:
        with pytest.raises(ZeroDivisionError):
            async with world.maker() as maker:
                await resting(world)
                sent_s = hang_places(world)
                world.take(Side.BUY, "2")
                await eventually(lambda: sent_s)

                async def crash(_kind):
                    raise ZeroDivisionError

                maker.feeds[1].connect = crash
                world.links("market")[0].cut()
                await trio.sleep_forever()
        assert len(world.told(BatchUnknown)) == 1
        assert_agrees(world, maker)


class Mishap(Exception):
    """What the owner of the block does wrong."""


@scenario
async def test_what_the_block_raises_is_raised_as_it_is_after_every_order_is_withdrawn():
    async with open_world() as world:
        with pytest.raises(Mishap, match="my own"):
            async with world.maker() as maker:
                await resting(world)
                raise Mishap("my own")
        assert_agrees(world, maker)


@scenario
async def test_where_a_task_crashes_and_the_block_raises_both_are_in_one_group():
    async with open_world() as world:
        with pytest.RaisesGroup(Mishap, ZeroDivisionError) as caught:
            async with world.maker() as maker:
                await resting(world)

                async def crash(_kind):
                    raise ZeroDivisionError

                maker.feeds[1].connect = crash
                world.links("market")[0].cut()
                try:
                    await trio.sleep_forever()
                finally:
                    raise Mishap
        assert caught.type is ExceptionGroup
        assert_agrees(world, maker)


@scenario
async def test_a_crash_during_clean_up_does_not_end_it():
    async with open_world() as world:
        with pytest.raises(ZeroDivisionError):
            async with world.maker() as maker:
                await resting(world)

                async def crash(_kind):
                    raise ZeroDivisionError

                async def cut_in_the_middle(request):
                    if request.action_type == "cancelByCloid":
                        maker.feeds[1].connect = crash
                        world.links("market")[0].cut()
                        await trio.sleep(3)

                world.faults.on_request = cut_in_the_middle
        assert_agrees(world, maker)


@scenario
async def test_being_cancelled_during_clean_up_does_not_cut_it_short():
    async with open_world() as world:
        with trio.move_on_after(6) as outside:
            async with world.maker() as maker:
                await resting(world)
                await trio.sleep_until(5)

                async def slow(request):
                    await trio.sleep(2)

                world.faults.on_request = slow
        assert outside.cancelled_caught or trio.current_time() > 6
        assert_agrees(world, maker)


@scenario
async def test_the_first_cause_to_stop_stays_however_often_it_is_asked():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            maker.request_stop("SIGTERM")
            maker.request_stop("SIGINT")
            await maker.wait_stopped()
            await maker.wait_stopped()
            assert maker.stop_cause == "SIGTERM"
        assert_agrees(world, maker)


# Starting


@scenario
async def test_the_whole_start_has_one_deadline_however_it_is_spent():
    async with open_world() as world:
        plain = world.network.connect

        async def connect(kind):
            if kind.value == "account":
                raise ConnectionRefusedError("connection refused")
            return await plain(kind)

        async def slow(request):
            if isinstance(request.body, dict) and request.body.get("type") == "meta":
                await trio.sleep(4.5)

        world.connect = connect
        world.faults.on_request = slow
        with pytest.raises(VenueUnreachable, match=r"within 10 s .*account session: cannot connect"):
            async with world.maker(maker_config(startup_timeout_s=10.0)):
                pass
        assert trio.current_time() == 10.0


@scenario
async def test_a_venue_that_is_too_busy_for_a_while_delays_the_start_and_does_not_end_it():
    async with open_world() as world:

        async def busy(request):
            return HttpReply(429) if trio.current_time() < 7 else None

        world.faults.on_request = busy
        async with world.maker() as maker:
            assert 7 <= trio.current_time() <= 9
            await resting(world)
        assert_agrees(world, maker)


@scenario
async def test_cancelled_while_it_starts_it_is_gone_at_once_and_has_sent_nothing():
    async with open_world() as world:
        plain = world.network.connect

        async def connect(kind):
            if kind.value == "account":
                await trio.sleep_forever()
            return await plain(kind)

        world.connect = connect
        with trio.move_on_after(3):
            async with world.maker():
                raise AssertionError("it cannot be live")
        assert trio.current_time() == 3.0
        assert world.engine.requests_used(world.account) == 0


@scenario
async def test_a_session_that_breaks_before_it_is_live_is_opened_again_within_the_deadline():
    async with open_world() as world:
        cut_s = []

        def drops_ack(topic):
            if topic.type == "spotState" and len(cut_s) < 2:
                cut_s.append(trio.current_time())
                world.links("account")[-1].cut()
                return True
            return False

        world.faults.drops_ack = drops_ack
        async with world.maker() as maker:
            assert len(cut_s) == 2
            assert [event.session for event, _ in world.told(SessionEnded)] == [SessionName.ACCOUNT] * 2
            await resting(world)
        assert_agrees(world, maker)
        assert maker.report.quote_stops == ()


@scenario
async def test_cancelled_while_it_withdraws_the_orders_of_an_earlier_run_it_finishes_that():
    async with open_world() as world:
        async with world.maker(maker_config(keep_orders=True)):
            await resting(world)
        sent_s = []

        async def note(request):
            if request.action_type == "cancelByCloid" and not sent_s:
                sent_s.append(trio.current_time())
                await trio.sleep_forever()  # The first is lost.

        world.faults.on_request = note
        with trio.CancelScope() as outside:
            async with trio.open_nursery() as nursery:

                async def cancel_soon():
                    await eventually(lambda: sent_s)
                    outside.cancel()

                nursery.start_soon(cancel_soon)
                async with world.maker():
                    raise AssertionError("it cannot be live")
        assert world.orders() == []


# Standing still


def jump(seconds: float) -> None:
    """The process stands still for so long, and everything with it."""
    trio.lowlevel.current_clock().jump(seconds)


@scenario
async def test_a_tick_slower_than_its_interval_is_followed_by_the_next_at_once(caplog):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            live_s = maker.live_at_s
            plain, slow_s = maker.desk.quoters[0].strategy, [4.0, 3.5]

            class Slow:
                name, requires_market_data = plain.name, False

                def quote(self, view):
                    if slow_s:
                        jump(slow_s.pop(0))
                    return plain.quote(view)

            maker.desk.quoters[0].strategy = Slow()
            await trio.sleep_until(40)
            ticks_s = [round(at_s - live_s, 3) for _, at_s in world.told(Tick)]
            # Due at 12: took until 16. The next, at once: until 19.5. The next at once, and so on every 3 s.
            assert ticks_s[:8] == pytest.approx([0, 3, 6, 9, 12, 16, 19.5, 22.5], abs=0.001)
            slow = [record.getMessage() for record in caplog.records if "slow tick" in record.getMessage()]
            assert slow == ["slow tick: the next was due 1.00 s ago (interval_s=3.00) and follows"]
        assert_agrees(world, maker)


@scenario
async def test_after_standing_still_for_a_minute_nothing_is_quoted_before_the_account_was_read_anew(caplog):
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep_until(10)
            world.take(Side.BUY, "2")
            await trio.sleep_until(10.01)  # Before the block: the fill is there when the process comes back.
            jump(60)
            since_s = trio.current_time()
            await eventually(lambda: [at_s for _, at_s in world.told(AccountRead) if at_s > since_s])
            read_s = min(at_s for _, at_s in world.told(AccountRead) if at_s > since_s)
            sent_s = maker.gateway.last_quote_sent_at.mono_ns / 1e9
            assert sent_s < since_s or sent_s >= read_s
            assert any("stood still for 60" in record.getMessage() for record in caplog.records)
            await trio.sleep(10)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)
