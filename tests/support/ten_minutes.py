"""Ten virtual minutes of the whole system, told as one hash: `python -m tests.support.ten_minutes SEED`.

Three reconnects of different kinds, and some dozens of fills on both sides. The same seed must give the same hash in
any process, whatever its hash seed.
"""

from __future__ import annotations

import json
import sys
from random import Random

import trio

from mmtrio.core.event_log import EventHash
from mmtrio.core.events import Fill, SessionEnded
from mmtrio.core.types import Side
from tests.support.determinism import run_seeded
from tests.support.worlds import open_world


async def tell_story(seed: int) -> dict[str, object]:
    """Run the ten minutes and say what happened."""
    event_hash = EventHash()
    rng = Random(f"{seed}:takers")
    async with open_world(seed=seed) as world:
        async with world.maker(seed=seed, observers=[event_hash.update]) as maker, trio.open_nursery() as nursery:
            nursery.start_soon(_lose_connections, world)
            while trio.current_time() < 600:
                await trio.sleep(rng.uniform(4, 12))
                world.take(rng.choice((Side.BUY, Side.SELL)), str(rng.choice((1, 2, 3))))
        agrees = (
            maker.report.exit == 0
            and maker.report.mismatches == 0
            and maker.report.fills == len(world.engine.fills(world.account))
            and not world.orders()
        )
        return {
            "hash": event_hash.hexdigest(),
            "events": event_hash.count,
            "fills": len(world.told(Fill)),
            "reconnects": len(world.told(SessionEnded)),
            "agrees": agrees,
        }


async def _lose_connections(world) -> None:
    await trio.sleep_until(100)
    for link in world.links("account"):
        link.cut()
    await trio.sleep_until(250)
    for link in world.network.links:
        link.stall()
    await trio.sleep_until(400)
    world.network.refuse()
    world.network.close_all()
    await trio.sleep_until(420)
    world.network.refuse(False)


if __name__ == "__main__":
    print(json.dumps(run_seeded(int(sys.argv[1]), tell_story, int(sys.argv[1]))))
