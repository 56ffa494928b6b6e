"""Who waits, who dies, and what the owner of the block sees: cancelled, crashed, raised, and all of it at once."""

from __future__ import annotations

import pytest
import trio

from mmtrio.core.events import BatchUnknown
from mmtrio.core.types import Side
from tests.support.determinism import scenario
from tests.support.worlds import World, assert_agrees, eventually, open_world


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
