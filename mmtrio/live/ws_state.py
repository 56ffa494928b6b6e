"""The tasks that keep the desk informed: feed sessions, tick, reconcile, heartbeat watchdog.

A session is a cancel scope of its own: when it drops, goes silent or is refused it is torn down, and the next one
subscribes from the declared set, is read up over REST, and only then quoting resumes (D9).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import attrs
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.connect import Connect, ConnectionKind, VenueAddress
from mmtrio.client.errors import RequestFailed, SessionLost
from mmtrio.client.session import Session, SessionParams, Subscription, run_session
from mmtrio.core.events import (
    AccountRead,
    FillsRead,
    Heard,
    Heartbeat,
    QueryOrder,
    ReadAccount,
    ReadFailed,
    ReadPurpose,
    SessionEnded,
    SessionLive,
    SessionName,
    SessionOpened,
    Tick,
)
from mmtrio.core.types import Address, Coin
from mmtrio.live.hub import Hub
from mmtrio.live.supervision import Backoff, ConnectBudget, keep_session
from mmtrio.wire.messages import Message
from mmtrio.wire.translation import Translator

log = logging.getLogger("mmtrio.live.ws_state")

HEARTBEAT_S = 0.5
FILLS_OVERLAP_MS = 60_000
"""Fills are read from this long before the newest one known: rows may arrive out of order, and dedupe is free."""

ORDER_QUERIES_AT_ONCE = 4
READING_WEIGHT = 82
"""A whole reading of the account: fills, orders and budget at 20, balances at 2, and some rows of fills."""
KINDS = {SessionName.ACCOUNT: ConnectionKind.ACCOUNT, SessionName.MARKET: ConnectionKind.MARKET}


def account_subscriptions(address: Address, *, has_perps: bool) -> tuple[Subscription, ...]:
    """What the account session declares (D15). `orderUpdates` names no user, so one socket serves one account."""
    kinds = ["orderUpdates", "userFills", "spotState"] + (["clearinghouseState"] if has_perps else [])
    return tuple({"type": kind, "user": address} for kind in kinds)


def market_subscriptions(coins: Sequence[Coin]) -> tuple[Subscription, ...]:
    """What the market session declares (D15). Coins must come from the metadata: an unknown one closes the socket."""
    per_coin: list[Subscription] = []
    for coin in coins:
        per_coin += [
            {"type": "l2Book", "coin": coin, "fast": True},
            {"type": "bbo", "coin": coin},
            {"type": "trades", "coin": coin},
        ]
    return (*per_coin, {"type": "allMids"})


@attrs.define(eq=False)
class FeedSession:
    """One of the two sessions, over all its connections."""

    name: SessionName
    subscriptions: tuple[Subscription, ...]
    connect: Connect
    venue: VenueAddress
    translator: Translator
    hub: Hub
    params: SessionParams = attrs.field(factory=SessionParams)
    number: int = attrs.field(default=0, init=False)
    current: Session | None = attrs.field(default=None, init=False)
    last_cause: str = attrs.field(default="", init=False)

    async def keep(self, rng: Random, budget: ConnectBudget) -> None:
        """Connection after connection, until cancelled."""
        await keep_session(self._run, on_lost=self._on_lost, backoff=Backoff(rng), budget=budget)

    def restart(self, cause: str) -> None:
        """End the present connection; the next one follows."""
        if self.current is not None:
            self.current.end(cause)

    async def _run(self) -> None:
        self.number += 1
        await run_session(
            self.connect,
            KINDS[self.name],
            self.venue,
            self.subscriptions,
            params=self.params,
            on_open=self._on_open,
            on_frame=self._on_frame,
            on_live=lambda: self.hub.deliver(SessionLive(self.name, self.number)),
        )

    def _on_open(self, session: Session) -> None:
        self.current = session
        self.hub.deliver(SessionOpened(self.name, self.number))

    def _on_frame(self, message: Message) -> None:
        self.hub.deliver(Heard(self.name, self.translator.feed_of(message)))
        for event in self.translator.events(message, self.name):
            self.hub.deliver(event)

    def _on_lost(self, lost: SessionLost) -> None:
        self.current = None
        self.last_cause = lost.cause
        self.hub.deliver(SessionEnded(self.name, self.number, lost.cause))


async def tick_forever(hub: Hub, interval_s: float) -> None:
    """A Tick every `interval_s`. One that is late is followed by the next at once; none is skipped silently."""
    due_s = trio.current_time()
    while True:
        hub.deliver(Tick())
        due_s += interval_s
        late_s = trio.current_time() - due_s
        if late_s > 0:
            log.warning("slow tick: the next was due %.2f s ago (interval_s=%.2f) and follows", late_s, interval_s)
            due_s = trio.current_time()
        await trio.sleep_until(due_s)


async def watch_heartbeat(hub: Hub) -> None:
    """Deadlines are looked at twice a second, whatever the tick interval; a stall of the process is told."""
    while True:
        began_s = trio.current_time()
        await trio.sleep(HEARTBEAT_S)
        stalled_s = trio.current_time() - began_s - HEARTBEAT_S
        if stalled_s > 1.0:
            log.warning("the event loop stood still for %.1f s", stalled_s)
        hub.deliver(Heartbeat())


@attrs.define(eq=False)
class AccountReading:
    """Carries out the desk's wishes to read the account over REST. Whole readings one after another."""

    reader: AccountReader
    hub: Hub
    started_ms: Callable[[], int]
    """Venue time before which fills are of no interest on the first reading."""

    async def run(self) -> None:
        """Serve read requests until cancelled."""
        readings_out, readings_in = trio.open_memory_channel[ReadAccount](1_000)
        limiter = trio.CapacityLimiter(ORDER_QUERIES_AT_ONCE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read_accounts, readings_in, name="reconcile")
            async for request in self.hub.read_requests:
                if isinstance(request, QueryOrder):
                    nursery.start_soon(self._query, request, limiter, name="reconcile/order")
                else:
                    readings_out.send_nowait(request)

    async def _read_accounts(self, requests: trio.MemoryReceiveChannel[ReadAccount]) -> None:
        async for request in requests:
            await trio.sleep(request.after_s)
            await self._wait_weight(request)
            log.debug("reading the account: %s (%s)", request.purpose.value, request.cause)
            try:
                await self.read(request.purpose)
            except RequestFailed as error:
                self.hub.deliver(ReadFailed("account", str(error)))

    async def _wait_weight(self, request: ReadAccount) -> None:
        """Hold a reading back while the IP weight is used up: a refused one would help nobody."""
        while (available := self.hub.desk.ip.available(self.hub.clock.now())) < READING_WEIGHT:
            wait_s = max(0.1, self.hub.desk.ip.wait_s(self.hub.clock.now()))
            log.warning("a reading waits %.1f s: %d of the IP weight is left (%s)", wait_s, available, request.cause)
            await trio.sleep(wait_s)

    async def read(self, purpose: ReadPurpose) -> None:
        """One whole reading, part by part, each delivered as it comes.

        Raises:
            RequestFailed: a part did not come back, or made no sense.
        """
        requested_at = self.hub.clock.now()
        since_ms = max(0, (self.hub.desk.newest_fill_ms or self.started_ms()) - FILLS_OVERLAP_MS)
        fills: FillsRead = await self.reader.fills_since(since_ms, purpose)
        self.hub.deliver(fills)
        self.hub.deliver(await self.reader.open_orders(purpose))
        self.hub.deliver(await self.reader.balances(purpose))
        self.hub.deliver(await self.reader.budget(purpose))
        self.hub.deliver(AccountRead(purpose, requested_at))

    async def _query(self, request: QueryOrder, limiter: trio.CapacityLimiter) -> None:
        async with limiter:
            try:
                self.hub.deliver(await self.reader.order_status(request.cloid))
            except RequestFailed as error:
                self.hub.deliver(ReadFailed("orderStatus", str(error), request.cloid))


def start_feeds(nursery: trio.Nursery, feeds: Sequence[FeedSession], rng: Random) -> None:
    """Start every session; they share one budget of new connections."""
    budget = ConnectBudget()
    for feed in feeds:
        nursery.start_soon(partial(feed.keep, Random(rng.random()), budget), name=f"keep_session: {feed.name.value}")
