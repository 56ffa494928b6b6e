"""The first whole path: quote, be filled, quote again, stop clean. Bot and exchange on one virtual clock."""

from __future__ import annotations

import trio

from mmtrio.core.events import Fill
from mmtrio.core.types import Side
from tests.support.determinism import scenario
from tests.support.worlds import assert_agrees, eventually, open_world


@scenario
async def test_orders_are_placed_filled_replaced_and_cancelled():
    async with open_world() as world:
        async with world.maker() as maker:
            await eventually(lambda: len(world.orders()) == 20)
            best_ask = world.orders(Side.SELL)[0]
            world.take(Side.BUY, best_ask["sz"])
            await eventually(lambda: world.told(Fill))
            await eventually(lambda: best_ask["limitPx"] in [bid["limitPx"] for bid in world.orders(Side.BUY)])
            await trio.sleep(10)
        assert_agrees(world, maker)
        assert maker.report.fills == 1
        assert maker.report.reconciliations == 1  # The last one, which every run ends with.
