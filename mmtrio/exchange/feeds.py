"""What the venue pushes: the first frames of a subscription, what a block changed, and what is re-sent by the clock.

No I/O: a block and the topics somebody listens to in, frames out. Each frame is encoded once, however many listen.
Shapes and cadences: protocol 2 and 3.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import msgspec

from mmtrio.core.types import Coin
from mmtrio.exchange.client_frames import Topic
from mmtrio.exchange.engine import Block, Engine

Json = dict[str, Any]

RECENT_TRADES_MS = 20_000
"""How far back the first frame of `trades` reaches."""
_BOOK_LEVELS = 20
_FAST_BOOK_LEVELS = 5


@attrs.frozen
class FeedParams:
    """How often states are re-sent, changed or not."""

    book_interval_s: float = 5.4
    fast_book_interval_s: float = 0.54
    all_mids_interval_s: float = 5.0
    context_interval_s: float = 1.0


def frame_of(channel: str, data: object = msgspec.UNSET) -> str:
    """One frame as text. Without data it has the channel alone, as a pong does."""
    message = {"channel": channel} if data is msgspec.UNSET else {"channel": channel, "data": data}
    return msgspec.json.encode(message).decode()


class Feeds:
    """Turns the engine's blocks and books into frames."""

    def __init__(self, engine: Engine, params: FeedParams | None = None) -> None:
        self._engine = engine
        params = params or FeedParams()
        # One clock per cadence for all coins: frames pushed together share one `time`.
        self._book_clock = _PushClock(params.book_interval_s)
        self._fast_book_clock = _PushClock(params.fast_book_interval_s)
        self._mids_clock = _PushClock(params.all_mids_interval_s)
        self._context_clock = _PushClock(params.context_interval_s)
        self._recent_trades: dict[str, deque[Json]] = {}
        self._last_bbo: dict[Topic, list[Json | None]] = {}

    # A subscription begins

    def first_frames(self, topic: Topic, now_ms: int) -> list[str]:
        """What follows the ack of a new subscription: the state, or history, or nothing.

        A state is dated by the block that made it: the next block may be run for a moment before now.
        """
        block_ms = self._engine.time_ms
        match topic.type:
            case "orderUpdates" | "userEvents" | "notification":
                return []  # No snapshot: what happened before is to be asked for over HTTP.
            case "userFills":
                rows = self._truth("userFills", topic, now_ms)  # Newest first, at most 2000.
                return [frame_of("userFills", {"isSnapshot": True, "user": topic.user, "fills": rows})]
            case "trades":
                recent = self._trades_since(_coin(topic), now_ms - RECENT_TRADES_MS)
                return [frame_of("trades", recent)] if recent else []
            case "bbo":
                bbo = self._last_bbo[topic] = self._bbo(topic)
                return [self._bbo_frame(topic, bbo, block_ms)]
        return [self._state_frame(topic, block_ms)]

    # A block has run

    def frames_after(self, block: Block, topics: Sequence[Topic]) -> Iterator[tuple[Topic, str]]:
        """Everything this block makes known, and what is due to be re-sent, to those who listen."""
        for row in block.trades:
            self._recent_trades.setdefault(row["coin"], deque(maxlen=500)).append(row)
        is_due = self._due_types(block.time_ms)
        if not topics or not (is_due or block.touched_books or block.order_updates or block.balances_changed):
            return
        changes = _Changes(block)
        for topic in topics:
            frame = self._changed_frame(topic, block, changes)
            if frame is not None:
                yield topic, frame
            elif is_due.get((topic.type, topic.is_fast)):
                yield topic, self._state_frame(topic, block.time_ms)

    def _changed_frame(self, topic: Topic, block: Block, changes: _Changes) -> str | None:
        """What a block itself has changed about a topic; None where nothing."""
        match topic.type:
            case "orderUpdates":
                updates = changes.order_updates.get(topic.user)
                return frame_of("orderUpdates", updates) if updates else None
            case "userFills":
                fills = changes.fills.get(topic.user)
                return frame_of("userFills", {"user": topic.user, "fills": fills}) if fills else None
            case "userEvents":
                fills = changes.fills.get(topic.user)
                return frame_of("user", {"fills": fills}) if fills else None
            case "trades":
                trades = changes.trades.get(topic.coin)
                return frame_of("trades", trades) if trades else None
            case "bbo" if topic.coin in changes.books:
                bbo = self._bbo(topic)
                if bbo == self._last_bbo.get(topic):
                    return None
                self._last_bbo[topic] = bbo
                return self._bbo_frame(topic, bbo, block.time_ms)
            case "openOrders" if topic.user in changes.order_updates:
                return self._state_frame(topic, block.time_ms)
            case "spotState" if topic.user in changes.balances:
                return self._state_frame(topic, block.time_ms)
        return None

    def _due_types(self, now_ms: int) -> dict[tuple[str, bool], bool]:
        """The states to re-send at this block, as (type, is_fast)."""
        due: dict[tuple[str, bool], bool] = {}
        if self._book_clock.strikes(now_ms):
            due["l2Book", False] = True
        if self._fast_book_clock.strikes(now_ms):
            due["l2Book", True] = True
        if self._mids_clock.strikes(now_ms):
            due["allMids", False] = True
        if self._context_clock.strikes(now_ms):
            due["activeAssetCtx", False] = True
            due["webData2", False] = True
        return due

    # States

    def _state_frame(self, topic: Topic, now_ms: int) -> str:
        makers: dict[str, Callable[[Topic, int], str]] = {
            "l2Book": self._book_frame,
            "allMids": self._mids_frame,
            "activeAssetCtx": self._context_frame,
            "openOrders": self._open_orders_frame,
            "spotState": self._spot_state_frame,
            "clearinghouseState": self._clearinghouse_frame,
            "webData2": self._web_data_frame,
        }
        return makers[topic.type](topic, now_ms)

    def _book_frame(self, topic: Topic, now_ms: int) -> str:
        depth = _FAST_BOOK_LEVELS if topic.is_fast else _BOOK_LEVELS
        levels = self._engine.book_levels(_coin(topic), depth, topic.figures, topic.mantissa)
        data: Json = {"coin": topic.coin, "time": now_ms, "levels": levels}
        if topic.is_fast:
            data["fast"] = True
        return frame_of("l2Book", data)

    def _mids_frame(self, topic: Topic, now_ms: int) -> str:
        return frame_of("allMids", {"mids": self._engine.info({"type": "allMids"}, now_ms)})

    def _context_frame(self, topic: Topic, now_ms: int) -> str:
        """One request, two channels: spot contexts have their own."""
        spot: Any = self._engine.info({"type": "spotMetaAndAssetCtxs"}, now_ms)
        for context in spot[1]:
            if context["coin"] == topic.coin:
                return frame_of("activeSpotAssetCtx", {"coin": topic.coin, "ctx": context})
        perps: Any = self._engine.info({"type": "metaAndAssetCtxs"}, now_ms)
        names = [entry["name"] for entry in perps[0]["universe"]]
        context = perps[1][names.index(topic.coin)]
        return frame_of("activeAssetCtx", {"coin": topic.coin, "ctx": context})

    def _open_orders_frame(self, topic: Topic, now_ms: int) -> str:
        orders = self._truth("frontendOpenOrders", topic, now_ms)
        return frame_of("openOrders", {"dex": "", "user": topic.user, "orders": orders})

    def _spot_state_frame(self, topic: Topic, now_ms: int) -> str:
        state = self._truth("spotClearinghouseState", topic, now_ms)
        return frame_of("spotState", {"user": topic.user, "spotState": state})

    def _clearinghouse_frame(self, topic: Topic, now_ms: int) -> str:
        state = self._truth("clearinghouseState", topic, now_ms)
        return frame_of("clearinghouseState", {"dex": "", "user": topic.user, "clearinghouseState": state})

    def _web_data_frame(self, topic: Topic, now_ms: int) -> str:
        """For clients from before the venue retired it: the parts they read."""
        data = {
            "user": topic.user,
            "clearinghouseState": self._truth("clearinghouseState", topic, now_ms),
            "openOrders": self._truth("frontendOpenOrders", topic, now_ms),
            "spotState": self._truth("spotClearinghouseState", topic, now_ms),
            "serverTime": now_ms,
        }
        return frame_of("webData2", data)

    def _truth(self, request_type: str, topic: Topic, now_ms: int) -> Any:
        """What /info would say of the topic's account if it did not lag: streams do not."""
        return self._engine.info({"type": request_type, "user": topic.user}, now_ms, lag_ms=0)

    def _bbo(self, topic: Topic) -> list[Json | None]:
        return [side[0] if side else None for side in self._engine.book_levels(_coin(topic), 1)]

    def _bbo_frame(self, topic: Topic, bbo: list[Json | None], now_ms: int) -> str:
        return frame_of("bbo", {"coin": topic.coin, "time": now_ms, "bbo": bbo})

    def _trades_since(self, coin: Coin, since_ms: int) -> list[Json]:
        return [row for row in self._recent_trades.get(coin, ()) if row["time"] >= since_ms]


class _Changes:
    """A block's news by whom and what they concern."""

    def __init__(self, block: Block) -> None:
        self.order_updates = _grouped(block.order_updates)
        self.fills = _grouped(block.fills)
        self.trades = _grouped((row["coin"], row) for row in block.trades)
        self.books = frozenset(block.touched_books)
        self.balances = frozenset(block.balances_changed)


@attrs.define
class _PushClock:
    """Strikes every interval, at the first block that is due. Blocks it missed are not made up for."""

    interval_s: float
    _due_ms: float | None = None

    def strikes(self, now_ms: int) -> bool:
        if self._due_ms is None:
            self._due_ms = now_ms + self.interval_s * 1000
            return False
        if now_ms < self._due_ms:
            return False
        self._due_ms += self.interval_s * 1000
        if self._due_ms <= now_ms:
            self._due_ms = now_ms + self.interval_s * 1000
        return True


def _grouped(pairs: Any) -> dict[Any, list[Json]]:
    groups: dict[Any, list[Json]] = {}
    for key, row in pairs:
        groups.setdefault(key, []).append(row)
    return groups


def _coin(topic: Topic) -> Coin:
    assert topic.coin is not None, topic
    return Coin(topic.coin)
