"""A market maker between its first quote and its last cancel: what its owner sees of it, and its parts."""

from __future__ import annotations

import logging

import attrs
import trio

from mmtrio.client.connect import Connect, VenueAddress
from mmtrio.client.signer import Signer
from mmtrio.core.account_desk import AccountDesk
from mmtrio.core.events import SessionName
from mmtrio.core.market import Market
from mmtrio.live.account_reading import AccountReading
from mmtrio.live.config import MakerConfig
from mmtrio.live.errors import VenueUnreachable
from mmtrio.live.gateway import Gateway
from mmtrio.live.hub import Hub
from mmtrio.live.report import RunReport
from mmtrio.live.startup import Trader
from mmtrio.live.ws_state import FeedSession
from mmtrio.wire.markets import MarketCatalog

log = logging.getLogger("mmtrio.live.maker")


@attrs.define(eq=False)
class MarketMaker:
    """A market maker between its first quote and its last cancel."""

    config: MakerConfig
    trader: Trader
    venue: VenueAddress
    markets: tuple[Market, ...]
    catalog: MarketCatalog
    hub: Hub
    gateway: Gateway
    reading: AccountReading
    feeds: tuple[FeedSession, ...]
    connect: Connect
    signer: Signer
    started_ms: int
    """Venue time at start."""
    live_at_s: float | None = attrs.field(default=None, init=False)
    """When it could first quote, on Trio's clock."""
    stop_cause: str | None = attrs.field(default=None, init=False)
    report: RunReport | None = attrs.field(default=None, init=False)
    """Complete after the block."""
    _stop: trio.Event = attrs.field(factory=trio.Event, init=False)

    @property
    def desk(self) -> AccountDesk:
        """The trading state, for looking at."""
        return self.hub.desk

    def request_stop(self, cause: str) -> None:
        """Ask the owner of the block to leave it. The first cause stays. Never blocks; a signal task may call it."""
        if self.stop_cause is None:
            self.stop_cause = cause
            log.info("stop requested: %s", cause)
        self._stop.set()

    async def wait_stopped(self) -> None:
        """Wait until somebody has asked to stop."""
        await self._stop.wait()

    async def wait_live(self, deadline_s: float) -> None:
        """Wait until the account session is live and caught up.

        Raises:
            VenueUnreachable: it was not by `deadline_s`, on Trio's clock; the text holds the last cause.
        """
        with trio.move_on_at(deadline_s):
            await self.hub.is_live.wait()
            self.live_at_s = trio.current_time()
            return
        causes = "; ".join(f"{feed.name.value} session: {feed.last_cause}" for feed in self.feeds if feed.last_cause)
        raise VenueUnreachable(
            f"{self.venue.url} did not let us start within {self.config.startup_timeout_s:.0f} s "
            f"({causes or 'no session ended, but no reading of the account could be believed'}). "
            f"Raise --startup-timeout if the venue is slow."
        )

    def restart_session(self, session: SessionName, cause: str) -> None:
        for feed in self.feeds:
            if feed.name is session:
                feed.restart(cause)
