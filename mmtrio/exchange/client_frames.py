"""What clients say on a WebSocket, understood: text in, requests out. No I/O, no state.

Subscriptions are normalised here as the venue normalises them in its acks: defaults filled in, unknown keys dropped
(protocol 2 and 3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import msgspec

from mmtrio.exchange.actions import UnreadableBody, read_address

_COIN_TYPES = ("l2Book", "bbo", "trades", "activeAssetCtx")
_DEX_TYPES = ("openOrders", "clearinghouseState")
_USER_TYPES = (
    "orderUpdates",
    "userEvents",
    "userFills",
    "spotState",
    "notification",
    "webData2",
    *_DEX_TYPES,
)
_NOT_SERVED = (
    "candle",
    "assetCtxs",
    "spotAssetCtxs",
    "allDexsAssetCtxs",
    "fastAssetCtxs",
    "userFundings",
    "userNonFundingLedgerUpdates",
    "userHistoricalOrders",
    "webData3",
    "activeAssetData",
    "allDexsClearinghouseState",
    "twapStates",
    "userTwapSliceFills",
    "userTwapHistory",
    "outcomeMetaUpdates",
)
"""Feeds the venue has and this exchange does not: refused in words."""
_BOOK_FIGURES = (None, 2, 3, 4, 5)
_BOOK_MANTISSAS = (None, 2, 5)


@attrs.frozen
class Topic:
    """One normalised subscription: what a frame is about. Equal subscriptions are equal topics."""

    text: str
    """The subscription as compact JSON: what the venue quotes in its error texts."""
    type: str = attrs.field(eq=False)
    coin: str | None = attrs.field(default=None, eq=False)
    user: str | None = attrs.field(default=None, eq=False)
    is_fast: bool = attrs.field(default=False, eq=False)
    figures: int | None = attrs.field(default=None, eq=False)
    mantissa: int | None = attrs.field(default=None, eq=False)

    @property
    def subscription(self) -> dict[str, Any]:
        """The subscription as the venue echoes it."""
        decoded: dict[str, Any] = msgspec.json.decode(self.text)
        return decoded


@attrs.frozen
class Ping:
    """`{"method": "ping"}`."""


@attrs.frozen
class Subscribe:
    topic: Topic


@attrs.frozen
class Unsubscribe:
    topic: Topic


@attrs.frozen
class Post:
    """A request that would else go over HTTP (protocol 4). `kind` is `info` or `action`."""

    id: int
    kind: str
    payload: Any


@attrs.frozen
class Refused:
    """A frame answered on the `error` channel; the socket stays open."""

    text: str


@attrs.frozen
class Hangup:
    """A frame the venue answers by dropping the socket, about 100 ms later and without a word."""

    reason: str


ClientRequest = Ping | Subscribe | Unsubscribe | Post | Refused | Hangup


class _Unparsable(Exception):
    """The frame is no valid request at all."""


class _Unserved(Exception):
    """Well-formed, but refused. Its only argument is the subscription as JSON."""


class _Unknown(Exception):
    """Names a coin the venue does not know, or a book it does not make."""


IsListed = Callable[[str], bool]


def understand(frame: str | bytes, is_listed: IsListed) -> ClientRequest:
    """What a client's frame asks for. `is_listed` knows the wire names of all markets, case and all."""
    text = frame if isinstance(frame, str) else frame.decode("utf-8", "replace")
    try:
        request = _object(_decoded(text))
        match request.get("method"):
            case "ping":
                return Ping()
            case "subscribe":
                return Subscribe(topic_of(_object(request.get("subscription")), is_listed))
            case "unsubscribe":
                return Unsubscribe(topic_of(_object(request.get("subscription")), None))
            case "post":
                return _post(request)
        raise _Unparsable
    except _Unparsable:
        return Refused(f"Error parsing JSON into valid websocket request: {text}")
    except _Unserved as unserved:
        return Refused(f"Invalid subscription {unserved.args[0]}")
    except _Unknown as unknown:
        return Hangup(str(unknown))


def topic_of(subscription: dict[str, Any], is_listed: IsListed | None) -> Topic:
    """The normalised subscription. Without `is_listed` any coin and any book will do, as in an unsubscribe."""
    kind = subscription.get("type")
    if kind == "l2Book":
        return _book_topic(subscription, is_listed)
    if kind in _COIN_TYPES:
        coin = _coin(subscription, is_listed)
        return _topic({"type": kind, "coin": coin}, coin=coin)
    if kind in _USER_TYPES:
        return _user_topic(kind, subscription)
    if kind == "allMids":
        dex = _optional(subscription, "dex", str, "")
        if dex:
            raise _Unserved(_compact({"type": kind, "dex": dex}))
        return _topic({"type": kind})
    if kind in _NOT_SERVED:
        raise _Unserved(_compact(subscription))
    raise _Unparsable


def _book_topic(subscription: dict[str, Any], is_listed: IsListed | None) -> Topic:
    coin = _coin(subscription, is_listed)
    figures = _optional(subscription, "nSigFigs", int, None)
    mantissa = _optional(subscription, "mantissa", int, None)
    is_fast = _optional(subscription, "fast", bool, False)
    if is_listed is not None:
        if figures not in _BOOK_FIGURES:
            raise _Unknown(f"nSigFigs {figures}")
        if mantissa not in _BOOK_MANTISSAS or (mantissa is not None and figures != 5):
            raise _Unknown(f"mantissa {mantissa} with nSigFigs {figures}")
    normalised = {"type": "l2Book", "coin": coin, "nSigFigs": figures, "mantissa": mantissa, "fast": is_fast}
    return _topic(normalised, coin=coin, is_fast=is_fast, figures=figures, mantissa=mantissa)


def _user_topic(kind: str, subscription: dict[str, Any]) -> Topic:
    try:
        user = read_address(subscription.get("user"))
    except UnreadableBody:
        raise _Unparsable from None
    normalised: dict[str, Any] = {"type": kind, "user": user}
    if kind == "userFills":
        # Fills are never merged here; the echo says what was asked for.
        normalised["aggregateByTime"] = _optional(subscription, "aggregateByTime", bool, False)
    elif kind == "spotState":
        normalised["ignorePortfolioMargin"] = _optional(subscription, "ignorePortfolioMargin", bool, False)
    elif kind in _DEX_TYPES:
        normalised["dex"] = _optional(subscription, "dex", str, "")
        if normalised["dex"]:
            raise _Unserved(_compact(normalised))
    return _topic(normalised, user=user)


def _post(request: dict[str, Any]) -> Post:
    request_id, inner = request.get("id"), _object(request.get("request"))
    kind = inner.get("type")
    is_id = isinstance(request_id, int) and not isinstance(request_id, bool) and request_id >= 0
    if not is_id or kind not in ("info", "action") or "payload" not in inner:
        raise _Unparsable
    assert isinstance(request_id, int)
    return Post(request_id, kind, inner["payload"])


def _topic(normalised: dict[str, Any], **facts: Any) -> Topic:
    return Topic(_compact(normalised), normalised["type"], **facts)


def _coin(subscription: dict[str, Any], is_listed: IsListed | None) -> str:
    coin = subscription.get("coin")
    if not isinstance(coin, str):
        raise _Unparsable
    if is_listed is not None and not is_listed(coin):
        raise _Unknown(f"coin {coin}")
    return coin


def _optional(subscription: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = subscription.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise _Unparsable
    return value


def _decoded(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise _Unparsable from None


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Unparsable
    return value


def _compact(value: object) -> str:
    return msgspec.json.encode(value).decode()
