"""Some virtual minutes with everything going wrong at random, drawn from one seed; then healing, and a comparison.

Which kinds of fault there are, and how often, is itself drawn from the seed: some runs are rude, some nearly quiet.
"""

from __future__ import annotations

from decimal import Decimal
from random import Random

import attrs
import trio

from mmtrio.core.events import BatchUnknown, Fill, SessionEnded
from mmtrio.core.types import Side
from mmtrio.exchange.faults import HttpReply, HttpRequest
from mmtrio.live.app import MarketMaker
from tests.support.worlds import World, maker_config, open_world

LEVELS = 20
HEALING_S = 90.0
PATH_FAULTS = ("cut account", "cut all", "close all", "stall all", "stall account", "refuse")
REQUEST_FAULTS = ("lost before", "lost after", "502 after", "429", "slow", "html after")


@attrs.frozen
class Outcome:
    """What happened, and every way in which the two ends disagree at the end."""

    disagreements: tuple[str, ...]
    fills: int
    unknown_batches: int
    reconnects: int


class RandomFaults:
    """Faults of requests at the venue's door. Healed when `is_over`."""

    def __init__(self, rng: Random) -> None:
        self.is_over = False
        self._rng = rng
        self._rates = {kind: rng.choice((0, 0.01, 0.05, 0.2)) if rng.random() < 0.6 else 0 for kind in REQUEST_FAULTS}

    def _draw(self, request: HttpRequest, *kinds: str) -> str | None:
        """At most one of these faults. Reads are hit less often than actions: they are many more."""
        if self.is_over or (request.path == "/info" and self._rng.random() > 0.3):
            return None
        point = self._rng.random()
        for kind in kinds:
            point -= self._rates[kind]
            if point < 0:
                return kind
        return None

    async def on_request(self, request: HttpRequest) -> HttpReply | None:
        match self._draw(request, "lost before", "429", "slow"):
            case "lost before":
                await trio.sleep(self._rng.uniform(0, 20))
                return HttpReply(502, text="Bad Gateway")
            case "429":
                return HttpReply(429)
            case "slow":
                await trio.sleep(self._rng.uniform(0, 9))
        return None

    async def on_reply(self, request: HttpRequest, reply: HttpReply) -> HttpReply | None:
        match self._draw(request, "lost after", "502 after", "html after"):
            case "lost after":
                return None
            case "502 after":
                return HttpReply(502, text="Bad Gateway")
            case "html after":
                return HttpReply(200, text="<html>")
        return reply


async def live_through(seed: int, *, minutes: float = 5) -> Outcome:
    """Trade through the bad minutes of this seed, heal, stop, and compare.

    Raises:
        AssertionError: two live orders of ours stood on one level at some moment.
    """
    rng = Random(f"{seed}:faults")
    takers = Random(f"{seed}:takers")
    async with open_world(seed=seed) as world:
        faults = RandomFaults(rng)
        async with world.maker(maker_config(), seed=seed) as maker, trio.open_nursery() as nursery:
            world.faults.on_request, world.faults.on_reply = faults.on_request, faults.on_reply
            nursery.start_soon(_break_the_path, world, rng, minutes * 60 - 30)
            nursery.start_soon(_watch_levels, world)
            while trio.current_time() < minutes * 60:
                await trio.sleep(takers.uniform(1, 8))
                world.take(takers.choice((Side.BUY, Side.SELL)), takers.choice(("0.5", "1", "2", "3", "5")))
            faults.is_over = True
            world.network.refuse(False)
            world.network.resume_all()
            await trio.sleep(HEALING_S)
            disagreements = [] if len(world.orders()) == LEVELS else [f"{len(world.orders())} orders after healing"]
            nursery.cancel_scope.cancel()
        disagreements += _disagreements(world, maker)
        return Outcome(
            tuple(disagreements), len(world.told(Fill)), len(world.told(BatchUnknown)), len(world.told(SessionEnded))
        )


async def _break_the_path(world: World, rng: Random, until_s: float) -> None:
    kinds = [kind for kind in PATH_FAULTS if rng.random() < 0.5] or ["cut account"]
    while trio.current_time() < until_s:
        await trio.sleep(rng.uniform(5, 60))
        match rng.choice(kinds):
            case "cut account":
                for link in world.links("account"):
                    link.cut()
            case "cut all":
                world.network.cut_all()
            case "close all":
                world.network.close_all()
            case "stall all":
                world.network.stall_all()
                await trio.sleep(rng.uniform(1, 25))
                world.network.resume_all()
            case "stall account":
                links = world.links("account")
                for link in links:
                    link.stall()
                await trio.sleep(rng.uniform(1, 25))
                for link in links:
                    link.resume()
            case "refuse":
                world.network.refuse()
                world.network.cut_all()
                await trio.sleep(rng.uniform(1, 30))
                world.network.refuse(False)


async def _watch_levels(world: World) -> None:
    """After every block: at most one live order of ours on a level."""
    while True:
        await trio.sleep(world.engine.params.block_ms / 1000)
        levels: dict[tuple[str, str], str] = {}
        for order in world.orders():
            level = (order["side"], order["limitPx"])
            assert level not in levels, f"two orders on {level}: {levels[level]} and {order['cloid']}"
            levels[level] = order["cloid"]


def _disagreements(world: World, maker: MarketMaker) -> list[str]:
    report = maker.report
    assert report is not None
    found = []
    if report.exit != 0:
        found.append(f"exit {report.exit}")
    if world.orders():
        found.append(f"{len(world.orders())} orders rest at the end")
    if maker.desk.mismatches:
        found.append(f"mismatches {maker.desk.mismatches}")
    fills = len(world.engine.fills(world.account))
    if report.fills != fills:
        found.append(f"{report.fills} fills reported, the venue has {fills}")
    for balance in world.engine.balances(world.account):
        token = maker.catalog.tokens[balance["token"]]
        if token.name in ("USDC", "HYPE"):
            ours = Decimal(maker.desk.inventory.total(token.index)).scaleb(-token.wei_decimals)
            if ours != Decimal(balance["total"]):
                found.append(f"{ours} {token.name} here, {balance['total']} at the venue")
    return found
