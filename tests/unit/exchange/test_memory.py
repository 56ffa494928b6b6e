"""What a venue that runs for days keeps: bounded, whatever was traded."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from mmtrio.exchange.client_frames import topic_of
from mmtrio.exchange.feeds import Feeds
from mmtrio.exchange.params import EngineParams
from mmtrio.exchange.world import default_world
from tests.support.exchange_actions import ALICE, BOB, Venue, buy, cloid_of, place, sell

STATM = Path("/proc/self/statm")
FILLS_PER_BLOCK = 50


def trade(venue: Venue, feeds: Feeds, n_fills: int) -> None:
    """ALICE and BOB trade, each selling as much as buying; every order has a cloid, some rest and are cancelled."""
    topics = [topic_of({"type": kind, "user": ALICE}, None) for kind in ("orderUpdates", "userFills")]
    topics += [topic_of({"type": kind, "coin": "@107"}, None) for kind in ("trades", "bbo", "l2Book")]
    for _ in range(n_fills // FILLS_PER_BLOCK):
        first = venue.now_ms * 100
        maker, taker = (ALICE, BOB) if venue.now_ms // 70 % 2 else (BOB, ALICE)
        cloids = [cloid_of(first + n) for n in range(2 * FILLS_PER_BLOCK)]
        sells = [sell("35", "1", "Alo", cloid=cloid) for cloid in cloids[:FILLS_PER_BLOCK]]
        buys = [buy("35", "1", "Ioc", cloid=cloid) for cloid in cloids[FILLS_PER_BLOCK:]]
        venue.engine.submit_direct(maker, place(*sells), venue.now_ms)
        venue.engine.submit_direct(taker, place(*buys), venue.now_ms)
        venue.now_ms += 70
        block = venue.engine.run_block(venue.now_ms)
        assert len(block.trades) == FILLS_PER_BLOCK
        for _ in feeds.frames_after(block, topics):
            pass


def test_only_the_newest_orders_fills_and_trades_are_kept() -> None:
    params = EngineParams(ended_orders_max=100, fills_max=150, trades_max=60)
    venue = Venue(default_world(2), params)
    trade(venue, Feeds(venue.engine), 1000)
    floor = venue.engine._floor
    notes_a_block = 3 * FILLS_PER_BLOCK + 1
    assert len(floor.lagged[ALICE]._pending) <= notes_a_block * 8, (
        "half a second of notes, though nobody asks"
    )
    for records in (floor.records[ALICE], floor.lagged[ALICE].as_of(venue.now_ms)):
        kept = (records.open, records.ended, records.fills, records._oid_by_cloid)
        assert [len(each) for each in kept] == [0, 100, 150, 100]
    account = floor.ledger.accounts[ALICE]
    assert not account.orders and not account._oids_by_cloid
    assert len(floor.trades["@107"]) == 60


@pytest.mark.long
@pytest.mark.skipif(not STATM.exists(), reason="this system does not say how much memory a process has")
def test_two_hundred_thousand_fills_take_no_memory() -> None:
    venue = Venue(default_world(2))
    feeds = Feeds(venue.engine)
    trade(venue, feeds, 20_000)  # Until everything that is bounded is full.
    before_bytes = _resident_bytes()
    trade(venue, feeds, 200_000)
    assert _resident_bytes() - before_bytes < 5_000_000


def _resident_bytes() -> int:
    gc.collect()
    return int(STATM.read_text().split()[1]) * 4096
