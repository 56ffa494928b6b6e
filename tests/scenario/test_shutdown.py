"""Stopping, whatever the venue does: nothing rests, or the exit code says so."""

from __future__ import annotations

import pytest
import trio

from mmtrio.core.types import Side
from mmtrio.exchange.faults import HttpReply
from mmtrio.live.config import Network
from mmtrio.live.errors import ConfigurationError, VenueUnreachable
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


@scenario
async def test_the_first_cancel_leaves_within_200_ms_and_a_healthy_stop_is_proven_within_five_seconds():
    cancels_s = []

    async def note(request):
        if request.action_type == "cancelByCloid":
            cancels_s.append(trio.current_time())
        return None

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep(5)
            world.faults.on_request = note
            stopped_s = trio.current_time()
        assert cancels_s[0] - stopped_s <= 0.2
        assert trio.current_time() - stopped_s <= 5.0
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
        assert_agrees(world, maker)
        assert trio.current_time() >= landed[0] + 9


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


@scenario
async def test_a_venue_that_answers_429_for_ten_seconds_is_cleaned_up_when_it_listens_again():
    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            until_s = trio.current_time() + 10

            async def refuse(request):
                return HttpReply(429) if trio.current_time() < until_s else None

            world.faults.on_request = refuse
        assert_agrees(world, maker)


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
        assert 9.0 <= trio.current_time() <= 10.0


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
        assert world.engine.requests_used(world.account) == 0


@scenario
async def test_mainnet_is_refused_in_one_paragraph():
    async with open_world() as world:
        with pytest.raises(ConfigurationError, match="mainnet is not open yet"):
            async with world.maker(maker_config(network=Network.MAINNET)):
                pass
