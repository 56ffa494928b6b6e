"""A running market maker, wired top to bottom in one place.

`open_market_maker` is the public entry: the command line uses it, the tests use it, and so can you:

    async with open_market_maker(config) as maker:
        await trio.sleep(60)
    print(maker.report)

Inside the block the maker quotes; leaving it, by any cause, withdraws every order and proves it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from random import Random

import attrs
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.connect import Connect, VenueAddress, open_tcp
from mmtrio.client.rest import RestClient, open_rest
from mmtrio.client.session import SessionParams
from mmtrio.client.signer import NonceSource, Signer
from mmtrio.core.events import SessionName
from mmtrio.core.rate_limit import info_weight
from mmtrio.live.account_reading import AccountReading
from mmtrio.live.clocks import Clock, open_randomness
from mmtrio.live.config import MakerConfig, Network
from mmtrio.live.gateway import Gateway
from mmtrio.live.hub import Hub, Observer
from mmtrio.live.instance_lock import instance_lock
from mmtrio.live.maker import MarketMaker
from mmtrio.live.narration import Narrator
from mmtrio.live.shutdown import shut_down
from mmtrio.live.startup import (
    Trader,
    build_desk,
    check_agent,
    quoter_of,
    reach,
    read_catalog,
    resolve_markets,
    trader_of,
    venue_of,
)
from mmtrio.live.utilisation import tell_utilisation
from mmtrio.live.venue_time import VenueTime
from mmtrio.live.ws_state import (
    FeedSession,
    account_subscriptions,
    market_subscriptions,
    start_feeds,
    tick_forever,
    watch_heartbeat,
)
from mmtrio.wire.translation import Translator

STARTUP_WEIGHT = sum(map(info_weight, ("spotMeta", "meta", "perpDexs", "exchangeStatus", "userRole")))
"""IP weight of what is read before there is a desk to count it."""


@asynccontextmanager
async def open_market_maker(
    config: MakerConfig,
    *,
    connect: Connect | None = None,
    clock: Clock | None = None,
    rng: Random | None = None,
    observers: Sequence[Observer] = (),
) -> AsyncIterator[MarketMaker]:
    """Start a market maker; entered once it is live, left when every order is proven gone.

    `connect`, `clock` and `rng` are the seams: by default the real network, the system's clocks and randomness.
    `observers` see every event and every decision.

    Raises:
        ConfigurationError: the configuration cannot work; nothing was sent.
        VenueUnreachable: the venue refused us or could not be reached before the first quote.
    """
    clock = clock or Clock()
    rng = rng or open_randomness(None)
    venue = venue_of(config)
    trader = trader_of(config.account, config.network)
    connect = connect or open_tcp(venue)
    deadline_s = trio.current_time() + config.startup_timeout_s
    try:
        async with open_rest(connect, venue, timeout_s=config.request_timeout_s) as rest:
            if config.network is not Network.LOCAL:  # Whose agent it is decides which account is locked.
                master = await check_agent(rest, trader, config.account, deadline_s)
                trader = attrs.evolve(trader, account=master)
            with instance_lock(
                config.lock_folder,
                network=config.network.value,
                venue=venue.host_header,
                account=trader.account,
                instance=config.account.instance,
            ):
                maker = await _prepare(config, venue, trader, connect, rest, clock, observers, deadline_s)
                async with _running(maker, rng, deadline_s):
                    yield maker
    except BaseExceptionGroup as group:
        _raise_only_member(group)
        raise


def _raise_only_member(group: BaseExceptionGroup[BaseException]) -> None:
    """A group of one is that one: whoever catches VenueUnreachable need not know that there are nurseries."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if not isinstance(error, BaseExceptionGroup):
        raise error from None


async def _prepare(
    config: MakerConfig,
    venue: VenueAddress,
    trader: Trader,
    connect: Connect,
    rest: RestClient,
    clock: Clock,
    observers: Sequence[Observer],
    deadline_s: float,
) -> MarketMaker:
    """Everything before the first session: metadata, markets, strategies, the desk."""
    catalog = await read_catalog(rest, deadline_s)
    markets = resolve_markets(config, catalog)
    quoters = [quoter_of(wanted, market) for wanted, market in zip(config.markets, markets, strict=True)]
    at = clock.now()
    venue_time = await _read_venue_time(rest, clock, deadline_s)
    desk = build_desk(config, trader.account, markets, quoters, at, known_markets=catalog.markets)
    desk.ip.charge(STARTUP_WEIGHT, at)
    by_coin = {market.coin: market for market in markets}
    hub = Hub(desk, clock, venue_time, Narrator(by_coin, catalog.tokens), observers)
    signer = Signer(trader.key, is_mainnet=config.network is Network.MAINNET)
    translator = Translator(catalog, trader.account, mids_of=[market.coin for market in markets])
    reader = AccountReader(
        rest,
        trader.account,
        translator,
        now=clock.now,
        on_weight=lambda weight: desk.ip.charge(weight, clock.now()),
    )
    gateway = Gateway(rest, signer, NonceSource(), venue_time, clock, by_coin, translator, hub.deliver)
    hub.gateway = gateway
    subscriptions = {
        SessionName.ACCOUNT: account_subscriptions(trader.account, has_perps=False),
        SessionName.MARKET: market_subscriptions([market.coin for market in markets]),
    }
    params = SessionParams(
        silence_max_s=config.liveness.silence_max_s, probe_interval_s=config.liveness.probe_interval_s
    )
    feeds = tuple(
        FeedSession(name, subscriptions[name], connect, venue, translator, hub, params) for name in SessionName
    )
    started_ms = venue_time.now_ms(at)
    maker = MarketMaker(
        config=config,
        trader=trader,
        venue=venue,
        markets=markets,
        catalog=catalog,
        hub=hub,
        gateway=gateway,
        reading=AccountReading(reader, hub, lambda: started_ms),
        feeds=feeds,
        connect=connect,
        signer=signer,
        started_ms=started_ms,
    )
    hub.restart_session = maker.restart_session
    return maker


async def _read_venue_time(rest: RestClient, clock: Clock, deadline_s: float) -> VenueTime:
    """A first idea of the venue's clock, so that a wrong clock here shifts no nonce, expiry or watermark."""
    venue_time = VenueTime()
    status = await reach(rest, {"type": "exchangeStatus"}, deadline_s)
    if isinstance(status, dict) and isinstance(status.get("time"), int):
        venue_time.observe(status["time"], clock.now())
    return venue_time


@asynccontextmanager
async def _running(maker: MarketMaker, rng: Random, deadline_s: float) -> AsyncIterator[None]:
    """All tasks of a running maker, inside the order guard.

    The feeds go on during clean-up, so the desk sees its own orders end; where they died, clean-up asks over REST.
    """
    config = maker.config
    async with trio.open_nursery() as nursery:
        try:
            nursery.start_soon(maker.gateway.run, name="gateway")
            nursery.start_soon(maker.reading.run, name="account reading")
            nursery.start_soon(watch_heartbeat, maker.hub, name="watchdog")
            start_feeds(nursery, maker.feeds, rng)
            await maker.wait_live(deadline_s)
            nursery.start_soon(tick_forever, maker.hub, config.interval_s, name="tick")
            nursery.start_soon(partial(tell_utilisation, maker.hub), name="utilisation")
            yield
        finally:
            with trio.CancelScope(shield=True):
                maker.report = await shut_down(maker)
            nursery.cancel_scope.cancel()
