"""The whole system in one virtual minute: exchange, network and market maker in one Trio loop, real bytes between.

A scenario opens a world, starts the maker in it, does something to it, and compares the two ends.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from functools import partial
from random import Random

import attrs
import pytest
import trio

from mmtrio.core.events import (
    BatchKind,
    Decision,
    Event,
    Heard,
    ModifyItem,
    PlaceItem,
    QuotingResumed,
    QuotingStopped,
    SessionName,
    SubmitBatch,
)
from mmtrio.core.strategies.hip2 import Hip2Params
from mmtrio.core.types import Address, Coin, Instant, Side
from mmtrio.exchange.engine import Engine
from mmtrio.exchange.faults import Faults
from mmtrio.exchange.feeds import FeedParams
from mmtrio.exchange.local_venue import LocalVenue, Participant, VenueParams
from mmtrio.exchange.memory_streams import Link, MemoryNetwork, open_memory_network
from mmtrio.exchange.params import EngineParams
from mmtrio.exchange.serve import serve_connection
from mmtrio.exchange.world import default_world
from mmtrio.live.app import MarketMaker, open_market_maker
from mmtrio.live.clocks import Clock
from mmtrio.live.config import MakerConfig, MarketConfig, Network
from mmtrio.live.hub import Observer

EPOCH_MS = 1_790_000_000_000
COIN = Coin("@107")
SELDOM = FeedParams(fast_book_interval_s=2.7, all_mids_interval_s=27.0)
"""A fifth of the venue's own cadence."""


def maker_config(**changes: object) -> MakerConfig:
    """Ten levels each side of 34.95 on HYPE/USDC: 35 * 1.003^i, two HYPE each."""
    market = MarketConfig(
        coin="HYPE/USDC",
        hip2=Hip2Params(start_px=Decimal("33.9"), n_orders=20, order_sz=Decimal(2)),
        allocated_token=Decimal(20),
        allocated_usdc=Decimal(2000),
    )
    config = MakerConfig(Network.LOCAL, "http://127.0.0.1:3001", (market,))
    return attrs.evolve(config, **changes)


@attrs.define
class ScriptedFaults(Faults):
    """Faults by hand: set a hook, and it is asked about every request, reply, ack and frame."""

    on_request: Callable[[object], object] | None = None
    on_reply: Callable[[object, object], object] | None = None
    drops_ack: Callable[[object], bool] | None = None
    drops_frame: Callable[[object], bool] | None = None

    async def before_request(self, request):
        return await self.on_request(request) if self.on_request else None

    async def before_reply(self, request, reply):
        return await self.on_reply(request, reply) if self.on_reply else reply

    def passes_ack(self, topic) -> bool:
        return not (self.drops_ack and self.drops_ack(topic))

    def passes_frame(self, topic) -> bool:
        return not (self.drops_frame and self.drops_frame(topic))


@attrs.define(eq=False)
class World:
    """An exchange on a network in memory, and the hands to trade and meddle there."""

    venue: LocalVenue
    network: MemoryNetwork
    faults: ScriptedFaults
    clock: Clock
    connect: Callable[[object], object] | None = None
    """How the maker connects, where not simply through the network."""
    events: list[tuple[object, Instant]] = attrs.field(factory=list)
    """Everything the last maker's desk saw and decided."""
    requests_before: int = 0
    """Of the address budget, when the last maker started."""
    _told: dict[type, list[tuple[object, float]]] = attrs.field(factory=dict, init=False)

    @property
    def engine(self) -> Engine:
        return self.venue.engine

    @property
    def account(self) -> Address:
        return self.engine.world.traders[0].address

    @property
    def taker(self) -> Address:
        return self.engine.world.house[0].address

    @asynccontextmanager
    async def maker(
        self, config: MakerConfig | None = None, *, seed: int = 7, observers: Sequence[Observer] = ()
    ) -> AsyncIterator[MarketMaker]:
        """A market maker in this world. `assert_agrees` compares the two ends after it."""
        self.events.clear()
        self._told.clear()
        self.requests_before = self.engine.requests_used(self.account)
        async with open_market_maker(
            config or maker_config(),
            connect=self.connect or self.network.connect,
            clock=self.clock,
            rng=Random(seed),
            observers=[self._note, *observers],
        ) as maker:
            yield maker

    # Trading

    def orders(self, side: Side | None = None) -> list[dict]:
        """The maker's resting orders as the engine has them now, best first."""
        rows = [row for row in self.engine.open_orders(self.account) if side is None or row["side"] == side.value]
        return sorted(rows, key=lambda row: Decimal(row["limitPx"]), reverse=side is Side.BUY)

    def take(self, side: Side, size: str, price: str | None = None) -> None:
        """Somebody buys or sells at market, in the next block."""
        price = price or ("45" if side is Side.BUY else "25")
        order = {"a": 10107, "b": side is Side.BUY, "p": price, "s": size, "r": False, "t": {"limit": {"tif": "Ioc"}}}
        action = {"type": "order", "orders": [order], "grouping": "na"}
        self.engine.submit_direct(self.taker, action, self.venue.now_ms())

    # Looking

    def links(self, kind: str) -> list[Link]:
        return [link for link in self.network.links if link.kind is not None and link.kind.value == kind]

    def told(self, kind: type[Event]) -> list[tuple[Event, float]]:
        """The events of one kind, with the seconds since the world began."""
        return list(self._told.get(kind, ()))

    def _note(self, told: object, at: Instant) -> None:
        self.events.append((told, at))
        self._told.setdefault(type(told), []).append((told, at.mono_ns / 1e9))


@asynccontextmanager
async def open_world(
    *,
    seed: int = 1,
    participants: tuple[Participant, ...] = (),
    engine_params: EngineParams | None = None,
    venue_params: VenueParams | None = None,
    wall_ahead_ms: int = 0,
) -> AsyncIterator[World]:
    """A quiet exchange unless participants are given. `wall_ahead_ms` sets the maker's clock wrong.

    Books come seldom unless `venue_params` say otherwise: most stories are not about them, and all would take longer.
    """
    venue_params = venue_params or VenueParams(feeds=SELDOM)
    engine = Engine(default_world(2), seed=seed, params=engine_params, start_ms=EPOCH_MS)
    faults = ScriptedFaults()
    venue = LocalVenue(engine, participants, epoch_ms=EPOCH_MS, params=venue_params, faults=faults)
    async with trio.open_nursery() as nursery:
        await nursery.start(venue.run)
        async with open_memory_network(partial(serve_connection, venue=venue)) as network:
            clock = Clock(epoch_ms=EPOCH_MS - round(trio.current_time() * 1e3) + wall_ahead_ms)
            yield World(venue, network, faults, clock)
        nursery.cancel_scope.cancel()


async def eventually(condition: Callable[[], object], *, within_s: float = 60.0) -> None:
    """Wait, in virtual time, until the condition holds. Looks every 20 ms."""
    with trio.fail_after(within_s):
        while not condition():
            await trio.sleep(0.02)


def assert_agrees(world: World, maker: MarketMaker, *, mismatches: int = 0) -> None:
    """After the end: nothing rests, and what the report and the desk say is what the venue knows."""
    report = maker.report
    assert report is not None
    assert report.exit == 0, report
    assert report.open_orders_at_exit == 0
    assert world.orders() == []
    assert report.mismatches == mismatches, maker.desk.mismatches
    rows = [fill for fill in world.engine.fills(world.account) if fill.get("cloid")]
    assert report.fills == len(rows)
    assert Decimal(report.volume_quote) == sum(Decimal(row["px"]) * Decimal(row["sz"]) for row in rows)
    balances = {balance["token"]: Decimal(balance["total"]) for balance in world.engine.balances(world.account)}
    for market, told in zip(maker.markets, report.markets, strict=True):
        own = [row for row in rows if row["coin"] == market.coin]
        assert (told.buys, told.sells) == (_sides(own, "B"), _sides(own, "A"))
        for token, total in ((market.base, told.base), (market.quote, told.quote)):
            assert Decimal(total) == balances.get(token.index, 0)
            assert Decimal(maker.desk.inventory.total(token.index)).scaleb(-token.wei_decimals) == Decimal(total)
        assert Decimal(told.pnl_quote) == pytest.approx(_pnl(own, told.mid), abs=Decimal("2e-8"))
        assert Decimal(told.fees_quote) == pytest.approx(_fees(own, told.mid), abs=Decimal("2e-8"))
    assert report.requests_used == world.engine.requests_used(world.account) - world.requests_before
    assert_never_quoted_blindly(world)


def assert_never_quoted_blindly(world: World) -> None:
    """No place or modify was decided while its market stood stopped, nor after 8 s without a word of the account."""
    stopped: set[Coin] = set()
    heard_s: float | None = None
    for told, at in world.events:
        at_s = at.mono_ns / 1e9
        if isinstance(told, Heard) and told.session is SessionName.ACCOUNT:
            heard_s = at_s
        if not isinstance(told, Decision):
            continue
        for note in told.notes:
            if isinstance(note, QuotingStopped):
                stopped.add(note.coin)
            elif isinstance(note, QuotingResumed):
                stopped.discard(note.coin)
        coins = {order.coin for order in quotes_in(told)}
        assert not coins & stopped, f"quoted {coins & stopped} at {at_s} while stopped"
        if coins:
            assert heard_s is not None and at_s - heard_s < 8.0, f"quoted at {at_s}, heard last at {heard_s}"


def quotes_in(decision: Decision) -> list[PlaceItem]:
    """The orders that a decision places, or moves to."""
    items = [
        item
        for command in decision.commands
        if isinstance(command, SubmitBatch) and command.batch.kind is not BatchKind.CANCEL
        for item in command.batch.items
    ]
    return [item.order if isinstance(item, ModifyItem) else item for item in items]


def _sides(rows: Sequence[dict], side: str) -> int:
    return sum(row["side"] == side for row in rows)


def _pnl(rows: Sequence[dict], mid: str | None) -> Decimal:
    """Change of quote and base, the latter at the mid, fees paid."""
    base = quote = Decimal(0)
    for row in rows:
        sign = 1 if row["side"] == "B" else -1
        base += sign * Decimal(row["sz"])
        quote -= sign * Decimal(row["sz"]) * Decimal(row["px"])
    return quote + base * Decimal(mid or 0) - _fees(rows, mid)


def _fees(rows: Sequence[dict], mid: str | None) -> Decimal:
    """In quote: what was paid in base counts at the mid."""
    fees = Decimal(0)
    for row in rows:
        fees += Decimal(row["fee"]) * (1 if row["feeToken"] == "USDC" else Decimal(mid or 0))
    return fees


@contextmanager
def silence(link: Link) -> Iterator[None]:
    """Hold every byte of a link for as long as the block lasts."""
    link.stall()
    try:
        yield
    finally:
        link.resume()


