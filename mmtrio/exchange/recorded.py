"""A real recording drives a market: its books are liquidity from outside, its trades are takers.

What decides whether a recorded trade fills our order, in words:

- Before a recorded trade is played, the book it met is put beside ours as outside liquidity: the newest recorded
  book, and the newest touch on top of it.
- The trade is an IOC order of its side and size, limited at its own price. So it takes what is better than its
  price first, ours included; at its price, whoever was there first. An outside level keeps its place in the queue
  while its size does not grow; size that comes later stands behind us.
- Outside liquidity that moves through our price takes our order: nobody leaves a better price standing.
- Recorded trades below the venue's minimum value are added to the next one of that side, price and time, and
  left out where there is none.

What this cannot know: how others would have reacted to our orders.

One lump of recorded time is played per block. Of several books between two trades of one block, the last before the
first trade counts. When the recording ends, the last book stays, `has_ended` says so, and the market stands still.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from mmtrio.core.types import Address, Coin
from mmtrio.exchange.flow import order_action
from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.exchange.recording_files import (
    BookFrame,
    Frame,
    Level,
    RecordedCoin,
    RecordingError,
    TouchFrame,
    TradeFrame,
    describe,
    frames,
    pick_widest_spread,
)
from mmtrio.exchange.world import World

__all__ = ["RecordedMarket", "RecordingError", "describe", "pick_widest_spread", "with_recorded_market"]

log = logging.getLogger(__name__)

_MIN_NOTIONAL_E8 = 10 * 10**8

OutsideLevels = list[tuple[int, int]]


class Exchange(Protocol):
    """What a recorded market needs of the engine."""

    def set_outside_book(
        self, coin: Coin, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]
    ) -> None:
        """Replace the outside liquidity of a market: (price_ticks, size_lots), best first."""

    def submit_direct(self, user: Address, action: dict[str, Any], now_ms: int) -> Any: ...


def with_recorded_market(world: World, recorded: RecordedCoin) -> World:
    """A world in which the recorded coin is a spot market against USDC, at its first recorded price."""
    return world.with_spot_market(
        recorded.coin, size_decimals=recorded.size_decimals, reference_px=recorded.first_px
    )


class RecordedMarket:
    """Plays a recording into a market of the engine. A participant of the local exchange."""

    def __init__(
        self, folder: Path | str, recorded: RecordedCoin, world: World, *, speed: float = 1.0
    ) -> None:
        """
        Raises:
            ValueError: a speed that is not positive, or a world without the market or without house accounts.
        """
        if not speed > 0:
            raise ValueError(f"the speed of a recording must be positive, not {speed}")
        if not world.house:
            raise ValueError("a recorded market needs a house account in the world: the recorded takers'")
        self.recorded = recorded
        self.market: SpotMarket = world.market(f"{recorded.coin}/USDC")
        self.speed = speed
        self.has_ended = False
        """True once everything recorded has been played: the last book stays."""
        self.played_ms = recorded.first_ms
        """How far the recording has been played, in its own time."""
        self.trades_played = 0
        self.trades_left_out = 0
        self._takers = tuple(account.address for account in world.house)
        self._book = _RecordedBook(self.market)
        self._frames: Iterator[Frame] = frames(Path(folder), recorded.coin)
        self._next: Frame | None = next(self._frames, None)
        self._started_ms: int | None = None

    def act(self, exchange: Exchange, now_ms: int) -> None:
        """Play what was recorded since the last block."""
        if self.has_ended:
            return
        if self._started_ms is None:
            self._started_ms = now_ms
        self.played_ms = self.recorded.first_ms + int((now_ms - self._started_ms) * self.speed)
        trades: list[TradeFrame] = []
        while self._next is not None and self._next.time <= self.played_ms:
            if not isinstance(self._next, TradeFrame):
                self._book.apply(self._next)
            elif self._book.has_begun:  # A recorder is first told of trades from before its first book.
                if not trades:
                    self._book.put_into(exchange)
                trades.append(self._next)
            self._next = next(self._frames, None)
        if trades:
            self._take(exchange, trades, now_ms)
        else:
            self._book.put_into(exchange)
        if self._next is None:
            self._end(exchange)

    def _take(self, exchange: Exchange, trades: list[TradeFrame], now_ms: int) -> None:
        """Send the recorded trades of a block as takers, those of one time, side and price as one."""
        merged: dict[tuple[int, str, Decimal], int] = {}
        for trade in trades:
            key = (trade.time, trade.side, trade.px)
            merged[key] = merged.get(key, 0) + lots_of(self.market, trade.sz)
        for number, ((_, side, price), size_lots) in enumerate(merged.items()):
            price_ticks = ticks_of(self.market, price)
            if price_ticks * size_lots < _MIN_NOTIONAL_E8:
                self.trades_left_out += 1
                continue
            user = self._takers[number % len(self._takers)]
            order = (self.market, side == "B", price_ticks, size_lots, "Ioc", None)
            exchange.submit_direct(user, order_action([order]), now_ms)
            self.trades_played += 1

    def _end(self, exchange: Exchange) -> None:
        self.has_ended = True
        self._book.put_into(exchange)
        log.warning(
            "the recording of %s has ended after %.0f s: its last book stays, and nobody trades with it any more",
            self.recorded.coin,
            self.recorded.duration_s,
        )


class _RecordedBook:
    """The newest recorded book, with every newer touch laid over it."""

    def __init__(self, market: SpotMarket) -> None:
        self._market = market
        self._bids: OutsideLevels = []
        self._asks: OutsideLevels = []
        self._is_changed = False
        self.has_begun = False

    def apply(self, frame: BookFrame | TouchFrame) -> None:
        self.has_begun = self._is_changed = True
        if isinstance(frame, BookFrame):
            self._bids = [self._level(level) for level in frame.levels[0]]
            self._asks = [self._level(level) for level in frame.levels[1]]
            return
        bid = None if frame.bid is None else self._level(frame.bid)
        ask = None if frame.ask is None else self._level(frame.ask)
        # A touch says that nothing better exists on its side.
        self._bids = _with_touch(self._bids, bid, sign=1)
        self._asks = _with_touch(self._asks, ask, sign=-1)

    def put_into(self, exchange: Exchange) -> None:
        """Give the engine the book, where it has changed since."""
        if self._is_changed:
            self._is_changed = False
            exchange.set_outside_book(self._market.coin, self._bids, self._asks)

    def _level(self, level: Level) -> tuple[int, int]:
        return ticks_of(self._market, level[0]), lots_of(self._market, level[1])


def _with_touch(levels: OutsideLevels, best: tuple[int, int] | None, *, sign: int) -> OutsideLevels:
    """One side of a book below its new best level. `sign` is 1 for bids, -1 for asks."""
    if best is None:
        return []
    worse = [level for level in levels if level[0] * sign < best[0] * sign]
    return [best, *worse]


def ticks_of(market: SpotMarket, price: Decimal) -> int:
    """A recorded price in ticks of the market that plays it."""
    return int(price.scaleb(market.price_decimals))


def lots_of(market: SpotMarket, size: Decimal) -> int:
    """A recorded size in lots; what is finer than a lot is cut off."""
    return int(size.scaleb(market.size_decimals))
