"""The last look at the venue, after the last cancel: a full reconciliation, and the numbers of the report."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs
import trio

from mmtrio.client.account import AccountReader
from mmtrio.client.errors import RequestFailed
from mmtrio.core.events import BalancesRead, Fill, Heartbeat, OpenOrdersRead, ReadPurpose, SessionName
from mmtrio.core.market import Market
from mmtrio.core.types import Amount, Side, Token
from mmtrio.live.report import MarketReport, QuoteStop, RunReport
from mmtrio.live.ws_state import AccountReading
from mmtrio.wire.decimals import wire_text

if TYPE_CHECKING:
    from mmtrio.live.app import MarketMaker

log = logging.getLogger("mmtrio.live.final_reading")

READS_MAX = 3
_E8 = 8


@attrs.frozen
class VenueFacts:
    """What the venue says about this run, after its last cancel."""

    fills: tuple[Fill, ...]
    orders: OpenOrdersRead
    balances: BalancesRead


async def reconcile_finally(maker: MarketMaker, reader: AccountReader) -> None:
    """A last full reconciliation: read again, far enough apart, until no difference waits for its second witness.

    Only while the account's stream lives: what a dead one did not deliver is no mismatch.
    """
    desk = maker.desk
    reading = AccountReading(reader, maker.hub, lambda: maker.started_ms)
    for _ in range(READS_MAX):
        if not desk.has_caught_up or desk.liveness.silence_s(SessionName.ACCOUNT, maker.hub.clock.now()) > 5.0:
            return
        try:
            await reading.read(ReadPurpose.FINAL)
        except RequestFailed as error:
            log.warning("the last reconciliation failed: %s", error)
            return
        if not desk.awaits_second_look:
            return
        await trio.sleep(maker.config.rest_lag_s)
        maker.hub.deliver(Heartbeat())


async def read_facts(maker: MarketMaker, reader: AccountReader) -> VenueFacts | None:
    """Fills of the whole run, resting orders and balances; None where the venue does not answer."""
    try:
        fills = await reader.fills_since(maker.started_ms - 1_000, ReadPurpose.FINAL)
        orders = await reader.open_orders(ReadPurpose.FINAL)
        balances = await reader.balances(ReadPurpose.FINAL)
    except RequestFailed as error:
        log.warning("the last reading failed, the report holds our own numbers: %s", error)
        return None
    return VenueFacts(fills.fills, orders, balances)


def report_of(
    maker: MarketMaker,
    facts: VenueFacts | None,
    is_unconfirmed: bool,
    unconfirmed: Sequence[str],
    seconds: float,
) -> RunReport:
    """Put the numbers of a run together. `seconds` is how long it could quote."""
    desk = maker.desk
    fills = facts.fills if facts is not None else ()
    markets = tuple(_market_report(maker, market, _own(maker, fills, market), facts) for market in maker.markets)
    resting = None
    if facts is not None:
        resting = sum(desk.orders.cloids.is_ours(order.cloid) for order in facts.orders.orders)
    kept = maker.config.keep_orders
    return RunReport(
        network=maker.config.network.value,
        seconds=round(seconds, 3),
        ticks=desk.ticks,
        fills=sum(market.fills for market in markets) if facts is not None else desk.fills_booked,
        volume_quote=_plain(sum((Decimal(market.volume_quote) for market in markets), Decimal(0))),
        orders_placed=desk.orders.placed,
        orders_modified=desk.orders.modified,
        orders_cancelled=desk.orders.cancelled,
        reconnects=sum(desk.liveness.reconnects(name) for name in SessionName),
        reconciliations=desk.readings.count,
        mismatches=len(desk.mismatches),
        open_orders_at_exit=resting,
        pnl_quote=_plain(sum((Decimal(market.pnl_quote) for market in markets), Decimal(0))),
        requests_used=max(0, desk.address.used - (desk.requests_used_at_start or 0)),
        quote_stops=_quote_stops(maker),
        markets=markets,
        exit=4 if is_unconfirmed or (resting and not kept) else 0,
        unconfirmed=tuple(unconfirmed),
    )


def _own(maker: MarketMaker, fills: Sequence[Fill], market: Market) -> list[Fill]:
    cloids = maker.desk.orders.cloids
    return [fill for fill in fills if fill.coin == market.coin and cloids.is_this_run(fill.cloid)]


def _quote_stops(maker: MarketMaker) -> tuple[QuoteStop, ...]:
    now = maker.hub.clock.now()
    names = {market.coin: market.name for market in maker.markets}
    return tuple(
        QuoteStop(
            coin=names[stop.note.coin],
            reason=stop.note.reason.code.value,
            silence_s=round(stop.note.silence_s, 3),
            stopped_s=round(stop.lasted_s if stop.lasted_s is not None else now.age_s(stop.at), 3),
        )
        for stop in maker.hub.stops
        if stop.note.reason.code.value != "stopping"
    )


def _market_report(maker: MarketMaker, market: Market, fills: Sequence[Fill], facts: VenueFacts | None) -> MarketReport:
    assert market.base is not None, market
    quoter = next(quoter for quoter in maker.desk.quoters if quoter.coin == market.coin)
    mid = _mid(market, quoter.twice_mid_ticks, fills)
    base_change, quote_change, base_fees, quote_fees = _changes(market, fills)
    base_size = Decimal(base_change).scaleb(-market.base.wei_decimals)
    quote_size = Decimal(quote_change).scaleb(-market.quote.wei_decimals)
    fees = Decimal(quote_fees).scaleb(-market.quote.wei_decimals)
    if mid is not None:
        fees += Decimal(base_fees).scaleb(-market.base.wei_decimals) * mid
    volume_e8 = sum(market.value_e8(fill.price_ticks, fill.size_lots) for fill in fills)
    base, quote = (_total(maker, facts, token) for token in (market.base, market.quote))
    return MarketReport(
        coin=market.coin,
        name=market.name,
        asset=market.asset,
        base=wire_text(base, market.base.wei_decimals),
        quote=wire_text(quote, market.quote.wei_decimals),
        fills=len(fills),
        buys=sum(fill.side is Side.BUY for fill in fills),
        sells=sum(fill.side is Side.SELL for fill in fills),
        volume_quote=wire_text(volume_e8, _E8),
        fees_quote=_plain(fees),
        pnl_quote=_plain(quote_size + (base_size * mid if mid is not None else 0)),
        mid=None if mid is None else _plain(mid),
    )


def _total(maker: MarketMaker, facts: VenueFacts | None, token: Token) -> int:
    if facts is None:
        return maker.desk.inventory.total(token.index)
    balance = facts.balances.by_token.get(token.index)
    return 0 if balance is None else balance.total_units


def _changes(market: Market, fills: Sequence[Fill]) -> tuple[int, int, int, int]:
    """What the fills did, in units: base, quote, and the fees in each, fees already within the first two."""
    assert market.base is not None, market
    base = quote = base_fees = quote_fees = 0
    for fill in fills:
        bought = market.base_amount(fill.size_lots)
        paid: Amount = market.quote_amount(fill.price_ticks, fill.size_lots)
        base += fill.side.sign * bought.units
        quote -= fill.side.sign * paid.units
        if fill.fee_token == market.base.index:
            base -= fill.fee_units
            base_fees += fill.fee_units
        elif fill.fee_token == market.quote.index:
            quote -= fill.fee_units
            quote_fees += fill.fee_units
    return base, quote, base_fees, quote_fees


def _mid(market: Market, twice_mid_ticks: int | None, fills: Sequence[Fill]) -> Decimal | None:
    """The last mid; where there is none, the last price we traded at."""
    if twice_mid_ticks is not None:
        return market.price(twice_mid_ticks) / 2
    return market.price(fills[-1].price_ticks) if fills else None


def _plain(value: Decimal) -> str:
    """Up to 8 decimals, no exponent, no trailing zeros."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


