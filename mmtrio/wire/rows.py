"""One row of the venue -> one fact of ours: decimal text becomes ticks, lots and units, exactly or not at all."""

from __future__ import annotations

import msgspec

from mmtrio.core.events import Fill, FillKey, FillSource, Level, OrderUpdated, PublicTrade, RestingOrder
from mmtrio.core.market import Market, MarketKind
from mmtrio.core.types import Address, Cloid, Coin, Side, Token
from mmtrio.wire.decimals import scaled, scaled_truncated
from mmtrio.wire.markets import MarketCatalog
from mmtrio.wire.messages import WireFill, WireLevel, WireOrder, WireOrderUpdate, WireTrade


class Undecodable(ValueError):
    """A reply of the venue made no sense as a whole: nothing of it can be believed."""


class UnknownMarket(ValueError):
    """A row about a market that our metadata does not have."""


def market_of(coin: str, catalog: MarketCatalog) -> Market:
    """Raises UnknownMarket."""
    market = catalog.by_coin.get(Coin(coin))
    if market is None:
        raise UnknownMarket(f"no market {coin!r} in the metadata")
    return market


def level_of(row: WireLevel, market: Market) -> Level:
    return Level(scaled(row.px, market.price_decimals), scaled(row.sz, market.size_decimals), row.n)


def trade_of(row: WireTrade, catalog: MarketCatalog) -> PublicTrade:
    market = market_of(row.coin, catalog)
    return PublicTrade(
        coin=market.coin,
        side=Side(row.side),
        price_ticks=scaled(row.px, market.price_decimals),
        size_lots=scaled(row.sz, market.size_decimals),
        time_ms=row.time,
        tid=row.tid,
    )


def order_update_of(row: WireOrderUpdate, catalog: MarketCatalog) -> OrderUpdated:
    order = resting_order_of(row.order, catalog)
    return OrderUpdated(
        coin=order.coin,
        side=order.side,
        price_ticks=order.price_ticks,
        size_lots=order.size_lots,
        original_lots=order.original_lots,
        oid=order.oid,
        cloid=order.cloid,
        status=row.status,
        status_ms=row.statusTimestamp,
        placed_ms=order.placed_ms,
    )


def resting_order_of(row: WireOrder, catalog: MarketCatalog) -> RestingOrder:
    """Rows from 2023 lack the original size; their remaining size stands in for it."""
    market = market_of(row.coin, catalog)
    size_lots = scaled(row.sz, market.size_decimals)
    return RestingOrder(
        coin=market.coin,
        side=Side(row.side),
        price_ticks=scaled(row.limitPx, market.price_decimals),
        size_lots=size_lots,
        original_lots=size_lots if row.origSz is None else scaled(row.origSz, market.size_decimals),
        oid=row.oid,
        cloid=cloid_of(row.cloid),
        placed_ms=row.timestamp,
    )


def fill_of(row: WireFill, catalog: MarketCatalog, account: Address, source: FillSource) -> Fill:
    """One of the account's fills.

    Where the venue gives no tid, the whole row is the key (D6): its values in the order of `WireFill`, so that a
    frame and a REST reply spell it alike.
    """
    market = market_of(row.coin, catalog)
    side = Side(row.side)
    fee_token = _fee_token(row, market, side, catalog)
    whole_row = "" if row.tid else msgspec.json.encode(msgspec.structs.astuple(row)).decode()
    return Fill(
        key=FillKey(account, market.coin, row.time, row.tid, row.oid, whole_row),
        coin=market.coin,
        side=side,
        price_ticks=scaled(row.px, market.price_decimals),
        size_lots=scaled(row.sz, market.size_decimals),
        oid=row.oid,
        cloid=cloid_of(row.cloid),
        time_ms=row.time,
        fee_token=fee_token.index,
        # The venue truncates fees to 8 decimals whatever the token has; what the token cannot hold was not taken.
        fee_units=scaled_truncated(row.fee, fee_token.wei_decimals),
        is_taker=row.crossed,
        source=source,
    )


def cloid_of(text: str | None) -> Cloid | None:
    return Cloid(text.lower()) if text else None


def _fee_token(row: WireFill, market: Market, side: Side, catalog: MarketCatalog) -> Token:
    """Names of tokens are not unique, so the market's own two come first.

    Rows from 2023 do not name it: it follows from the rule of protocol 13.
    """
    if row.feeToken is None:
        takes_base = market.kind is MarketKind.SPOT and side is Side.BUY
        return market.base if takes_base and market.base is not None else market.quote
    own_tokens = (market.quote,) if market.base is None else (market.base, market.quote)
    for token in own_tokens:
        if token.name == row.feeToken:
            return token
    candidates = catalog.tokens_by_name.get(row.feeToken, ())
    if len(candidates) != 1:
        known_as = "several tokens" if candidates else "no token"
        raise ValueError(f"the fee was taken in {row.feeToken!r}, the name of {known_as}")
    return candidates[0]
