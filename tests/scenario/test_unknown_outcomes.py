"""Requests whose outcome nobody knows, and differences that nobody announced."""

from __future__ import annotations

import pytest
import trio

from mmtrio.core.events import BatchUnknown, Fill, MismatchKind, OrderStatusRead
from mmtrio.core.types import Side
from mmtrio.exchange.faults import HttpReply
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, maker_config, open_world


async def resting(world: World, count: int = 20) -> None:
    await eventually(lambda: len(world.orders()) == count)


def once(action_type: str, answer):
    """A hook that answers the first request of this type by `answer(...)`, and lets all others pass."""
    seen = []

    async def hook(request, *reply):
        if request.action_type == action_type and not seen:
            seen.append(request)
            return await answer(request, *reply)
        return reply[0] if reply else None

    return hook


@pytest.mark.parametrize(
    "instead",
    [
        pytest.param(None, id="reset"),
        pytest.param(HttpReply(502, text="<html>Bad Gateway</html>"), id="502"),
        pytest.param(HttpReply(200, text=""), id="empty body"),
        pytest.param(HttpReply(200, text='{"status":"ok","respon'), id="truncated body"),
        pytest.param(
            HttpReply(200, {"status": "ok", "response": {"type": "order", "data": {"statuses": []}}}), id="short reply"
        ),
    ],
)
@scenario
async def test_a_lost_reply_of_a_place_loses_no_order_and_doubles_none(instead):
    async def lose(request, reply):
        return instead

    async with open_world() as world:
        world.faults.on_reply = once("order", lose)
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep(5)
            assert len(world.orders()) == 20
            assert maker.desk.orders.unknown_count == 0
            world.take(Side.BUY, "3")
            await trio.sleep(10)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)
        assert maker.report.fills == 2


@scenario
async def test_a_place_that_never_arrived_is_placed_again_only_when_it_can_no_longer_land():
    async def lose(request):
        await trio.sleep_forever()

    async with open_world() as world:
        world.faults.on_request = once("order", lose)
        async with world.maker() as maker:
            await eventually(lambda: world.told(BatchUnknown))
            ((_, unknown_s),) = world.told(BatchUnknown)
            await resting(world)
            again_s = trio.current_time()
            expires_s = unknown_s - 5.0 + 15.0  # The request timed out after 5 s; it was valid for 15 s.
            assert expires_s <= again_s <= expires_s + 7.0
            assert {read.status for read, _ in world.told(OrderStatusRead)} == {None}
            await trio.sleep(10)
        assert_agrees(world, maker)


# One request of each kind, lost in each way: what triggers it, and what is sent.
TRIGGERS = {
    "order": [(Side.BUY, "1"), (Side.BUY, "2")],
    "batchModify": [(Side.BUY, "1"), (Side.BUY, "2"), (Side.SELL, "1")],
    "cancelByCloid": [(Side.BUY, "1"), (Side.BUY, "2"), (Side.SELL, "1"), (Side.SELL, "3")],
}


async def provoke(world: World, action_type: str) -> None:
    """Trade until the maker sends an action of this type."""
    *earlier, last = TRIGGERS[action_type]
    for side, size in earlier:
        world.take(side, size)
        await trio.sleep(4)
    world.take(*last)


def one_order_each(world: World) -> bool:
    """Twenty orders, no two of them on one level."""
    places = [(order["side"], order["limitPx"]) for order in world.orders()]
    return len(places) == len(set(places)) == 20


@pytest.mark.parametrize("action_type", TRIGGERS)
@scenario
async def test_a_reply_that_is_lost_after_the_venue_did_it_loses_no_order_and_doubles_none(action_type):
    lost_s = []

    async def lose(request, reply):
        lost_s.append(trio.current_time())

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.faults.on_reply = once(action_type, lose)
            await provoke(world, action_type)
            await eventually(lambda: lost_s)
            await eventually(lambda: maker.desk.orders.unknown_count == 0 and one_order_each(world), within_s=10)
            await trio.sleep(5)
            assert one_order_each(world)
        assert_agrees(world, maker)


@pytest.mark.parametrize("action_type", TRIGGERS)
@scenario
async def test_a_request_that_never_arrives_is_not_repeated_before_it_can_land_no_more(action_type):
    lost_s, again_s = [], []

    async def hook(request):
        if request.action_type == action_type:
            (again_s if lost_s else lost_s).append(trio.current_time())
            if not again_s:
                await trio.sleep_forever()

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.faults.on_request = hook
            await provoke(world, action_type)
            await eventually(lambda: lost_s)
            await eventually(lambda: world.told(BatchUnknown))
            assert world.told(BatchUnknown)[0][1] == pytest.approx(lost_s[0] + 5.0)
            await eventually(lambda: maker.desk.orders.unknown_count == 0 and one_order_each(world), within_s=60)
            if action_type == "order":
                assert again_s[0] >= lost_s[0] + 15.0
            await trio.sleep(5)
            assert one_order_each(world)
        assert_agrees(world, maker)


@pytest.mark.parametrize("action_type", TRIGGERS)
@scenario
async def test_a_request_that_arrives_long_after_we_gave_it_up_is_found_and_kept_or_undone(action_type):
    async def delay(request):
        await trio.sleep(12)

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.faults.on_request = once(action_type, delay)
            await provoke(world, action_type)
            await eventually(lambda: world.told(BatchUnknown))
            await eventually(lambda: maker.desk.orders.unknown_count == 0 and one_order_each(world), within_s=60)
            world.take(Side.BUY, "2")
            world.take(Side.SELL, "2")
            await trio.sleep(10)
            assert one_order_each(world)
        assert_agrees(world, maker)


@scenario
async def test_a_request_that_arrives_after_its_expiry_is_refused_by_the_venue():
    statuses = []

    async def delay(request):
        await trio.sleep(16)

    async def see(request, reply):
        if request.action_type == "order":
            statuses.append(reply.body)
        return reply

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            await trio.sleep(1)
            world.faults.on_request = once("order", delay)
            world.faults.on_reply = see
            await provoke(world, "order")
            await eventually(lambda: statuses, within_s=30)
            assert "expired" in str(statuses[0]).lower()
            await eventually(lambda: one_order_each(world), within_s=60)
            await trio.sleep(5)
        assert_agrees(world, maker)


@scenario
async def test_a_fill_that_comes_before_the_reply_is_booked_once():
    async def slow(request, reply):
        await trio.sleep(2)
        return reply

    async with open_world() as world:
        world.faults.on_reply = once("order", slow)
        async with world.maker() as maker:
            await resting(world)
            world.take(Side.SELL, "3")
            await eventually(lambda: world.told(Fill))
            assert maker.desk.orders.in_flight_count > 0
            await trio.sleep(10)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)
        assert maker.report.fills == 2


@scenario
async def test_a_429_on_every_second_action_drops_no_order():
    count = 0

    async def refuse(request):
        nonlocal count
        if request.path == "/exchange":
            count += 1
            if count % 2:
                return HttpReply(429)
        return None

    async with open_world() as world:
        async with world.maker() as maker:
            await resting(world)
            world.faults.on_request = refuse
            for turn in range(10):
                world.take(Side.BUY if turn % 2 else Side.SELL, "2")
                await trio.sleep(1)
            world.faults.on_request = None
            await trio.sleep(40)
            assert len(world.orders()) == 20
        assert_agrees(world, maker)


# Planted differences: what the venue did without telling anybody


@scenario
async def test_an_order_that_vanished_silently_is_a_mismatch_and_its_slot_is_filled_again():
    async with open_world() as world:
        async with world.maker(maker_config(reconcile_every=4)) as maker:
            await resting(world)
            gone = world.orders(Side.SELL)[5]
            world.engine.remove_order_silently(gone["oid"])
            await eventually(
                lambda: gone["limitPx"] in [order["limitPx"] for order in world.orders(Side.SELL)], within_s=60
            )
            await trio.sleep(5)
        assert_agrees(world, maker, mismatches=1)
        assert [note.kind for note in maker.desk.mismatches] == [MismatchKind.ORDER_GONE]


@scenario
async def test_a_fill_that_was_never_announced_is_a_mismatch_and_is_booked():
    async with open_world() as world:
        async with world.maker(maker_config(reconcile_every=4)) as maker:
            await resting(world)
            world.engine.add_fill_silently(world.account, "@107", Side.BUY, "34.5", "1")
            await eventually(lambda: maker.desk.mismatches, within_s=60)
            await trio.sleep(20)
        assert [note.kind for note in maker.desk.mismatches] == [MismatchKind.FILL_NOT_STREAMED]
        assert maker.report.open_orders_at_exit == 0


@scenario
async def test_a_balance_that_moved_by_itself_is_a_mismatch_and_becomes_the_truth():
    async with open_world() as world:
        async with world.maker(maker_config(reconcile_every=4)) as maker:
            await resting(world)
            world.engine.move_balance_silently(world.account, 0, -5_000 * 10**8)
            await eventually(lambda: maker.desk.mismatches, within_s=60)
            await trio.sleep(5)
        assert_agrees(world, maker, mismatches=1)
        assert [note.kind for note in maker.desk.mismatches] == [MismatchKind.BALANCE_DRIFT]


@scenario
async def test_an_order_that_somebody_placed_by_hand_is_never_touched():
    async with open_world() as world:
        async with world.maker(maker_config(reconcile_every=4)) as maker:
            await resting(world)
            order = {"a": 10107, "b": True, "p": "30", "s": "1", "r": False, "t": {"limit": {"tif": "Gtc"}}}
            action = {"type": "order", "orders": [order], "grouping": "na"}
            world.engine.submit_direct(world.account, action, world.venue.now_ms())
            await trio.sleep(40)
        assert [order["limitPx"] for order in world.orders()] == ["30.0"]
        assert maker.report.exit == 0
        assert maker.report.mismatches == 0
