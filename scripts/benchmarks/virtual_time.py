"""The whole system on a virtual clock, quiet: exchange, network in memory and market maker in one Trio loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from random import Random

import trio
import trio.testing

from benchmarks.figures import Figure
from mmtrio.core.strategies.hip2 import Hip2Params
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.local_venue import LocalVenue
from mmtrio.exchange.memory_streams import open_memory_network
from mmtrio.exchange.serve import serve_connection
from mmtrio.exchange.world import default_world
from mmtrio.live.app import open_market_maker
from mmtrio.live.clocks import Clock
from mmtrio.live.config import MakerConfig, MarketConfig, Network

EPOCH_MS = 1_790_000_000_000
VIRTUAL_S = 600.0
CONFIG = MakerConfig(
    Network.LOCAL,
    "http://127.0.0.1:3001",
    (
        MarketConfig(
            coin="HYPE/USDC",
            hip2=Hip2Params(start_px=Decimal("33.9"), n_orders=20, order_sz=Decimal(2)),
            allocated_token=Decimal(20),
            allocated_usdc=Decimal(2000),
        ),
    ),
)


def measure() -> Iterator[Figure]:
    logging.disable(logging.WARNING)
    try:
        cpu_s = trio.run(_run, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        logging.disable(logging.NOTSET)
    yield Figure("virtual hours per CPU second", VIRTUAL_S / 3600 / cpu_s, "h/s")
    yield Figure("virtual seconds per CPU second", VIRTUAL_S / cpu_s, "s/s")


async def _run() -> float:
    """CPU seconds for ten virtual minutes, after the ladder has been placed."""
    engine = Engine(default_world(1), start_ms=EPOCH_MS)
    venue = LocalVenue(engine, epoch_ms=EPOCH_MS)
    async with trio.open_nursery() as nursery:
        await nursery.start(venue.run)
        async with open_memory_network(partial(serve_connection, venue=venue)) as network:
            async with open_market_maker(
                CONFIG, connect=network.connect, clock=Clock(epoch_ms=EPOCH_MS), rng=Random(7)
            ):
                await trio.sleep(10)
                started_s = time.process_time()
                await trio.sleep(VIRTUAL_S)
                cpu_s = time.process_time() - started_s
        nursery.cancel_scope.cancel()
    return cpu_s
