"""The dicts in which this exchange tells of orders, fills, trades and balances (protocol 3, 5.3, 5.4, 13)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmtrio.core.types import Coin, Side
from mmtrio.exchange.market_rules import SPOT_DECIMALS, SpotMarket, SpotToken
from mmtrio.exchange.matching import Order
from mmtrio.exchange.records import BalanceRows, FillRow, OrderRow
from mmtrio.wire.decimals import venue_text

Json = dict[str, Any]
Markets = Mapping[Coin, SpotMarket]


def basic_order(row: OrderRow, markets: Markets) -> Json:
    """As in `openOrders` and inside `orderUpdates`: no tif; a cloid only where there is one."""
    order = row.order
    market = markets[order.coin]
    result: Json = {
        "coin": order.coin,
        "side": order.side.value,
        "limitPx": market.price_text(order.price_ticks),
        "sz": market.size_text(row.remaining_lots),
        "oid": order.oid,
        "timestamp": order.placed_ms,
        "origSz": market.size_text(order.original_lots),
    }
    if order.cloid is not None:
        result["cloid"] = order.cloid
    return result


def frontend_order(row: OrderRow, markets: Markets) -> Json:
    """As in `frontendOpenOrders`, `orderStatus` and `historicalOrders`."""
    result = basic_order(row, markets)
    cloid = result.pop("cloid", None)
    return result | {
        "triggerCondition": "N/A",
        "isTrigger": False,
        "triggerPx": "0.0",
        "children": [],
        "isPositionTpsl": False,
        "reduceOnly": False,
        "orderType": "Limit",
        "tif": row.order.tif,
        "cloid": cloid,
    }


def order_update(row: OrderRow, markets: Markets) -> Json:
    """One element of an `orderUpdates` frame: the status stands beside the order."""
    return {"order": basic_order(row, markets), "status": row.status, "statusTimestamp": row.status_ms}


def order_with_status(row: OrderRow, markets: Markets) -> Json:
    """One element of `historicalOrders`, and the heart of an `orderStatus` answer."""
    return {"order": frontend_order(row, markets), "status": row.status, "statusTimestamp": row.status_ms}


def fill(row: FillRow) -> Json:
    """As in `userFills`. The fee of a buy is in base, that of a sell in quote."""
    market, order = row.market, row.order
    is_buy = order.side is Side.BUY
    fee_token = market.base if is_buy else market.quote
    result: Json = {
        "coin": market.coin,
        "px": market.price_text(row.price_ticks),
        "sz": market.size_text(row.size_lots),
        "side": order.side.value,
        "time": row.time_ms,
        "startPosition": venue_text(row.start_units, market.base.wei_decimals),
        "dir": "Buy" if is_buy else "Sell",
        "closedPnl": venue_text(row.closed_pnl_e8, SPOT_DECIMALS),
        "hash": row.hash,
        "oid": order.oid,
        "crossed": row.is_taker,
        "fee": venue_text(row.fee_units, fee_token.wei_decimals),
        "tid": row.tid,
        "feeToken": fee_token.name,
        "twapId": None,
    }
    if order.cloid is not None:
        result["cloid"] = order.cloid
    return result


def trade(taker_row: FillRow, maker: Order) -> Json:
    """One element of a `trades` frame. `side` is the aggressor's, `users` are buyer and seller."""
    taker, market = taker_row.order, taker_row.market
    users = [taker.user, maker.user] if taker.side is Side.BUY else [maker.user, taker.user]
    return {
        "coin": market.coin,
        "side": taker.side.value,
        "px": market.price_text(taker_row.price_ticks),
        "sz": market.size_text(taker_row.size_lots),
        "time": taker_row.time_ms,
        "hash": taker_row.hash,
        "tid": taker_row.tid,
        "users": users,
    }


def balances(rows: BalanceRows, tokens: Mapping[int, SpotToken]) -> list[Json]:
    """As in `spotClearinghouseState` and `spotState`. Tokens of which nothing is owned are left out."""
    result = []
    for row in rows:
        if not (row.total_units or row.hold_units):
            continue
        token = tokens[row.token_index]
        result.append(
            {
                "coin": token.name,
                "token": token.index,
                "total": venue_text(row.total_units, token.wei_decimals),
                "hold": venue_text(row.hold_units, token.wei_decimals),
                "entryNtl": venue_text(row.entry_e8, SPOT_DECIMALS),
            }
        )
    return result
