"""A small venue's metadata and its frames, as text: samples of protocol 3, 5 and 13 for tests of the wire."""

from __future__ import annotations

import json
from typing import Any

from mmtrio.wire.markets import MarketCatalog, build_catalog

USER = "0x" + "a1" * 20
CLOID = "0x000000000000000000000000000000a1"

SPOT_META: dict[str, Any] = {
    "tokens": [
        {"index": 0, "name": "USDC", "szDecimals": 8, "weiDecimals": 8},
        {"index": 1, "name": "PURR", "szDecimals": 0, "weiDecimals": 5},
        {"index": 150, "name": "HYPE", "szDecimals": 2, "weiDecimals": 8},
        {"index": 300, "name": "HYPE", "szDecimals": 0, "weiDecimals": 6},
        {"index": 301, "name": "TWIN", "szDecimals": 0, "weiDecimals": 6},
        {"index": 302, "name": "TWIN", "szDecimals": 0, "weiDecimals": 6},
        {"index": 360, "name": "USDH", "szDecimals": 2, "weiDecimals": 8},
    ],
    "universe": [
        {"index": 0, "name": "PURR/USDC", "tokens": [1, 0]},
        {"index": 107, "name": "@107", "tokens": [150, 0]},
    ],
}
META: dict[str, Any] = {
    "universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40}],
    "collateralToken": 0,
}


def catalog() -> MarketCatalog:
    return build_catalog(SPOT_META, {"": META}, [None])


def level(price: str, size: str, orders: int = 1) -> dict[str, Any]:
    return {"px": price, "sz": size, "n": orders}


def fill_row(**changes: Any) -> dict[str, Any]:
    return {
        "coin": "@107",
        "px": "34.895",
        "sz": "0.5",
        "side": "B",
        "time": 1764840678849,
        "startPosition": "0.01388282",
        "dir": "Buy",
        "closedPnl": "0.0",
        "hash": "0x" + "ab" * 32,
        "oid": 257770947487,
        "crossed": False,
        "fee": "0.00031499",
        "tid": 1045359869404765,
        "feeToken": "HYPE",
        "twapId": None,
        "cloid": CLOID,
    } | changes


def order_row(**changes: Any) -> dict[str, Any]:
    return {
        "coin": "@107",
        "side": "B",
        "limitPx": "30.0",
        "sz": "0.49",
        "oid": 257770947487,
        "timestamp": 1764843090519,
        "origSz": "0.5",
        "cloid": CLOID,
    } | changes


def update_row(status: str = "open", **changes: Any) -> dict[str, Any]:
    return {"order": order_row(**changes), "status": status, "statusTimestamp": 1764843090999}


def frame(channel: str, data: Any) -> str:
    return json.dumps({"channel": channel, "data": data}, separators=(",", ":"))


def frames() -> dict[str, str]:
    """One good frame of every channel we read."""
    book = {
        "coin": "@107",
        "time": 1764842873555,
        "levels": [[level("34.967", "2.85", 2), level("34.9", "10.0")], [level("34.969", "1473.06", 3)]],
    }
    trade = {
        "coin": "@107",
        "side": "A",
        "px": "34.967",
        "sz": "0.36",
        "time": 1764842873000,
        "hash": "0x" + "00" * 32,
        "tid": 77,
        "users": [USER, "0x" + "b2" * 20],
    }
    balances = [
        {"coin": "USDC", "token": 0, "total": "14.625485", "hold": "3.5", "entryNtl": "0.0"},
        {"coin": "+10", "token": 100000010, "total": "25", "hold": "0", "entryNtl": "12.5"},
    ]
    echo = {"type": "l2Book", "coin": "@107", "nSigFigs": None, "mantissa": None, "fast": False}
    return {
        "l2Book": frame("l2Book", book),
        "bbo": frame("bbo", {"coin": "@107", "time": 5, "bbo": [level("34.967", "2.85"), None]}),
        "trades": frame("trades", [trade, {**trade, "tid": 78, "side": "B"}]),
        "allMids": frame("allMids", {"mids": {"BTC": "84143.5", "@107": "34.9685", "#12090": "0.448"}}),
        "orderUpdates": frame("orderUpdates", [update_row(), update_row("filled", sz="0.0", oid=9)]),
        "userFills": frame("userFills", {"isSnapshot": True, "user": USER, "fills": [fill_row()]}),
        "user": frame("user", {"fills": [fill_row()]}),
        "spotState": frame("spotState", {"user": USER, "spotState": {"balances": balances}}),
        "clearinghouseState": frame(
            "clearinghouseState", {"dex": "", "user": USER, "clearinghouseState": {"withdrawable": "1.0"}}
        ),
        "openOrders": frame("openOrders", {"dex": "", "user": USER, "orders": [order_row()]}),
        "post": frame("post", {"id": 256, "response": {"type": "action", "payload": {"status": "ok"}}}),
        "pong": '{"channel":"pong"}',
        "subscriptionResponse": frame("subscriptionResponse", {"method": "subscribe", "subscription": echo}),
        "error": frame("error", f"Already subscribed: {json.dumps(echo)}"),
    }
