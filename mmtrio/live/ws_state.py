"""The tasks that keep the desk informed: feed sessions, tick, heartbeat watchdog.

A session is a cancel scope of its own: when it drops, goes silent or is refused it is torn down, and the next one
subscribes from the declared set, is read up over REST, and only then quoting resumes (D9).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from random import Random

import attrs
import trio

from mmtrio.client.connect import Connect, ConnectionKind, VenueAddress
from mmtrio.client.errors import SessionLost
from mmtrio.client.session import Session, SessionParams, Subscription, run_session
from mmtrio.core.events import (
    Heard,
    Heartbeat,
    SessionEnded,
    SessionLive,
    SessionName,
    SessionOpened,
    Tick,
)
from mmtrio.core.types import Address, Coin
from mmtrio.live.hub import Hub
from mmtrio.live.repeats import Repeats, with_left_out
from mmtrio.live.supervision import Backoff, ConnectBudget, keep_session
from mmtrio.wire.messages import Message
from mmtrio.wire.translation import Translator

log = logging.getLogger("mmtrio.live.ws_state")

HEARTBEAT_S = 0.5
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
    repeats = Repeats()
    while True:
        hub.deliver(Tick())
        due_s += interval_s
        late_s = trio.current_time() - due_s
        if late_s > 0:
            text = f"slow tick: the next was due {late_s:.2f} s ago (interval_s={interval_s:.2f}) and follows"
            _warn(repeats, text, hub)
            due_s = trio.current_time()
        await trio.sleep_until(due_s)


def _warn(repeats: Repeats, text: str, hub: Hub) -> None:
    """A line that a slow machine would write all day long."""
    left_out = repeats.admit("", hub.clock.now())
    log.log(logging.DEBUG if left_out is None else logging.WARNING, "%s", with_left_out(text, left_out or 0))


async def watch_heartbeat(hub: Hub) -> None:
    """Deadlines are looked at twice a second, whatever the tick interval; a stall of the process is told."""
    repeats = Repeats()
    while True:
        began_s = trio.current_time()
        await trio.sleep(HEARTBEAT_S)
        stalled_s = trio.current_time() - began_s - HEARTBEAT_S
        if stalled_s > 1.0:
            _warn(repeats, f"the event loop stood still for {stalled_s:.1f} s", hub)
        hub.deliver(Heartbeat())


def start_feeds(nursery: trio.Nursery, feeds: Sequence[FeedSession], rng: Random) -> None:
    """Start every session; they share one budget of new connections."""
    budget = ConnectBudget()
    for feed in feeds:
        nursery.start_soon(partial(feed.keep, Random(rng.random()), budget), name=f"keep_session: {feed.name.value}")
