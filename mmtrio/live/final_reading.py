"""The last look at the venue, after the last cancel: a full reconciliation, and the numbers of the report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal

import attrs
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.errors import RequestFailed
from mmtrio.core.events import (
    BalancesRead,
    BudgetRead,
    Fill,
    Heartbeat,
    OpenOrdersRead,
    ReadPurpose,
    SessionName,
)
from mmtrio.core.liveness import Phase
from mmtrio.core.market import Market
from mmtrio.core.types import Coin, Instant, Token
from mmtrio.live.account_reading import AccountReading
from mmtrio.live.maker import MarketMaker
from mmtrio.live.report import MarketReport, QuoteStop, RunReport
from mmtrio.live.tally import FillTally
from mmtrio.wire.decimals import wire_text

log = logging.getLogger("mmtrio.live.final_reading")

_E8 = 8


@attrs.frozen
class VenueFacts:
    """What the venue says about this run, after its last cancel."""

    fills: tuple[Fill, ...]
    orders: OpenOrdersRead
    balances: BalancesRead
    budget: BudgetRead


async def reconcile_finally(maker: MarketMaker, reader: AccountReader) -> None:
    """A last full reconciliation: read again, far enough apart, until no difference waits for its second witness.

    While the account's stream lives, a difference is a mismatch. After it died, what it did not deliver is explained
    by that, and only read up.
    """
    desk = maker.desk
    reading = AccountReading(reader, maker.hub, lambda: maker.started_ms)
    while desk.readings.has_baseline:
        is_stream_live = desk.liveness.phase(SessionName.ACCOUNT) is Phase.LIVE
        try:
            await reading.read(ReadPurpose.FINAL if is_stream_live else ReadPurpose.CATCH_UP)
        except RequestFailed as error:
            log.warning("the last reconciliation failed: %s", error)
            return
        is_settling = desk.orders.live_count > 0 and not maker.config.keep_orders
        if not desk.awaits_second_look and not is_settling:
            return
        await trio.sleep(maker.config.rest_lag_s)
        maker.hub.deliver(Heartbeat())


async def read_facts(maker: MarketMaker, reader: AccountReader) -> VenueFacts | None:
    """Fills of the whole run, resting orders, balances and budget; None where the venue does not answer."""
    try:
        fills = await reader.fills_since(maker.started_ms - 1_000, ReadPurpose.FINAL)
        orders = await reader.open_orders(ReadPurpose.FINAL)
        balances = await reader.balances(ReadPurpose.FINAL)
        budget = await reader.budget(ReadPurpose.FINAL)
    except RequestFailed as error:
        log.warning("the last reading failed, the report holds our own numbers: %s", error)
        return None
    return VenueFacts(fills.fills, orders, balances, budget)


@attrs.frozen
class Ending:
    """How a run ended, before the venue was read a last time."""

    stopped_at: Instant
    seconds: float
    """How long it could quote."""
    is_confirmed: bool | None
    """Was it proven that nothing of ours rests? None where orders were kept on purpose."""
    unconfirmed: tuple[str, ...] = ()
    """Cloids of orders that may still rest."""
    is_desk_broken: bool = False
    """Our own books failed on the way: what they say may be wrong."""


def report_of(maker: MarketMaker, facts: VenueFacts | None, ending: Ending) -> RunReport:
    """Put the numbers of a run together: the venue's, or our own where it did not answer."""
    desk = maker.desk
    tallies = maker.hub.tallies if facts is None else _tallies_of(maker, facts.fills)
    markets = tuple(_market_report(maker, market, tallies[market.coin], facts) for market in maker.markets)
    resting = _resting(maker, facts, ending)
    is_kept = ending.is_confirmed is None
    return RunReport(
        network=maker.config.network.value,
        seconds=round(ending.seconds, 3),
        ticks=desk.ticks,
        fills=sum(market.fills for market in markets),
        volume_quote=_plain(sum((Decimal(market.volume_quote) for market in markets), Decimal(0))),
        orders_placed=desk.orders.placed,
        orders_modified=desk.orders.modified,
        orders_cancelled=desk.orders.cancelled,
        reconnects=sum(desk.liveness.reconnects(name) for name in SessionName),
        reconciliations=desk.readings.count,
        mismatches=len(desk.mismatches),
        open_orders_at_exit=resting,
        pnl_quote=_plain(sum((Decimal(market.pnl_quote) for market in markets), Decimal(0))),
        requests_used=_requests_used(maker, facts),
        quote_stops=_quote_stops(maker, ending.stopped_at),
        markets=markets,
        exit=4 if ending.is_confirmed is False or (resting and not is_kept) else int(ending.is_desk_broken),
        unconfirmed=ending.unconfirmed,
    )


def _requests_used(maker: MarketMaker, facts: VenueFacts | None) -> int:
    """By the venue's count, which knows what became of requests that got lost."""
    desk = maker.desk
    used = desk.address.used if facts is None else facts.budget.requests_used
    return max(0, used - (desk.requests_used_at_start or 0))


def _resting(maker: MarketMaker, facts: VenueFacts | None, ending: Ending) -> int | None:
    """Orders of this instance at the venue. Where the last reading failed, the proof of clean-up stands."""
    if facts is not None:
        return sum(maker.desk.orders.cloids.is_ours(order.cloid) for order in facts.orders.orders)
    return 0 if ending.is_confirmed else None


def _tallies_of(maker: MarketMaker, fills: Sequence[Fill]) -> dict[Coin, FillTally]:
    tallies = {market.coin: FillTally(market) for market in maker.markets}
    for fill in fills:
        if fill.coin in tallies and maker.desk.orders.cloids.is_this_run(fill.cloid):
            tallies[fill.coin].add(fill)
    return tallies


def _quote_stops(maker: MarketMaker, stopped_at: Instant) -> tuple[QuoteStop, ...]:
    """A stop that was still open lasted until the run was told to stop."""
    names = {market.coin: market.name for market in maker.markets}
    return tuple(
        QuoteStop(
            coin=names[stop.note.coin],
            reason=stop.note.reason.code.value,
            silence_s=round(stop.note.silence_s, 3),
            stopped_s=round(stop.lasted_s if stop.lasted_s is not None else stopped_at.age_s(stop.at), 3),
        )
        for stop in maker.hub.stops
    )


def _market_report(maker: MarketMaker, market: Market, tally: FillTally, facts: VenueFacts | None) -> MarketReport:
    assert market.base is not None, market
    quoter = next(quoter for quoter in maker.desk.quoters if quoter.coin == market.coin)
    mid = _mid(market, quoter.twice_mid_ticks, tally.last_price_ticks)
    base, quote = (_total(maker, facts, token) for token in (market.base, market.quote))
    return MarketReport(
        coin=market.coin,
        name=market.name,
        asset=market.asset,
        base=wire_text(base, market.base.wei_decimals),
        quote=wire_text(quote, market.quote.wei_decimals),
        fills=tally.fills,
        buys=tally.buys,
        sells=tally.fills - tally.buys,
        volume_quote=wire_text(tally.volume_e8, _E8),
        fees_quote=_plain(tally.fees_at(mid)),
        pnl_quote=_plain(tally.pnl_at(mid)),
        mid=None if mid is None else _plain(mid),
    )


def _total(maker: MarketMaker, facts: VenueFacts | None, token: Token) -> int:
    if facts is None:
        return maker.desk.inventory.total(token.index)
    balance = facts.balances.by_token.get(token.index)
    return 0 if balance is None else balance.total_units


def _mid(market: Market, twice_mid_ticks: int | None, last_price_ticks: int | None) -> Decimal | None:
    """The last mid; where there is none, the last price we traded at."""
    if twice_mid_ticks is not None:
        return market.price(twice_mid_ticks) / 2
    return None if last_price_ticks is None else market.price(last_price_ticks)


def _plain(value: Decimal) -> str:
    """Up to 8 decimals, no exponent, no trailing zeros."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
