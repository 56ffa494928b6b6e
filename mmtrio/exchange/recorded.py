"""A real recording drives a market: its books are liquidity from outside, its trades are takers.

What decides whether the recording fills an order that was never in it, in words:

- The newest recorded book, with the newest touch laid over it, stands beside our orders as outside liquidity.
- A recorded trade is an IOC order of its side and size, limited at its own price, against that book as it was just
  before the trade. It takes what is better than its price first, ours included; at its price, whoever was there
  first. An outside level keeps its place in the queue while its size does not grow; what is added later stands
  behind us, and our order does not move up when somebody in front of it cancels.
- Outside liquidity that is recorded beyond the price of our order takes it: nobody leaves a better price standing.
- A trade below the venue's minimum value is added to the others of its time, side and price, and left out where
  they do not reach it together.

The engine keeps these rules (`outside.py`); here books and trades are brought to it in the recorded order.

Trades of one block of the exchange all meet the book before the first of them. So the recording asks for a block of
its own wherever a book follows a trade (`stop_ms`): at speed 20 the 1.4 s of recorded time between two blocks of the
exchange become some of them, each with its own time. One venue millisecond is the finest step.

What this cannot know: how others would have reacted to our orders. And what came and went within one block of the
real venue: one trade in eight of the sample meets nothing, since its maker's order is in no book before it.

When the recording ends, the last book stays, `has_ended` says so, and the market stands still.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from mmtrio.core.types import Address, Coin
from mmtrio.exchange.flow import order_action
from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.exchange.params import MIN_NOTIONAL_QUOTE
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
        """Below the minimum value, even with the others of their time, side and price."""
        self._takers = tuple(account.address for account in world.house)
        self._book = _RecordedBook(self.market)
        self._frames: Iterator[Frame] = frames(Path(folder), recorded.coin)
        self._next: Frame | None = next(self._frames, None)
        self._due: deque[Frame] = deque()
        """Read, and not played yet."""
        self._started_ms: int | None = None

    def stop_ms(self, now_ms: int) -> int:
        """When the next block has to run so that trades up to now meet the book they were made with: the time of the
        first trade that a book follows, or now."""
        if self.has_ended:
            return now_ms
        self._read_until(self._recorded_ms(now_ms))
        for frame, following in pairwise(self._due):
            if isinstance(frame, TradeFrame) and not isinstance(following, TradeFrame):
                return min(self._venue_ms(frame.time), now_ms)
        return now_ms

    def act(self, exchange: Exchange, now_ms: int) -> None:
        """Play what was recorded since the last block."""
        if self.has_ended:
            return
        self.played_ms = self._recorded_ms(now_ms)
        self._read_until(self.played_ms)
        trades: list[TradeFrame] = []
        while self._due and self._due[0].time <= self.played_ms:
            frame = self._due.popleft()
            if not isinstance(frame, TradeFrame):
                self._book.apply(frame)
            elif self._book.has_begun:  # A recorder is first told of trades from before its first book.
                if not trades:
                    self._book.put_into(exchange)
                trades.append(frame)
        if trades:  # Later books wait for the next block: these trades were made in the ones before.
            self._take(exchange, trades, now_ms)
            return
        self._book.put_into(exchange)
        if self._next is None and not self._due:
            self._end()

    def _read_until(self, recorded_ms: int) -> None:
        while self._next is not None and self._next.time <= recorded_ms:
            self._due.append(self._next)
            self._next = next(self._frames, None)

    def _recorded_ms(self, now_ms: int) -> int:
        """The recording's time at a time of the venue. The first one asked about is the recording's start."""
        if self._started_ms is None:
            self._started_ms = now_ms
        return self.recorded.first_ms + int((now_ms - self._started_ms) * self.speed)

    def _venue_ms(self, recorded_ms: int) -> int:
        """The first time of the venue at which so much of the recording is due."""
        assert self._started_ms is not None
        venue_ms = self._started_ms + max(0, int((recorded_ms - self.recorded.first_ms) / self.speed))
        return venue_ms if self._recorded_ms(venue_ms) >= recorded_ms else venue_ms + 1

    def _take(self, exchange: Exchange, trades: list[TradeFrame], now_ms: int) -> None:
        """Send the recorded trades of a block as takers, those of one time, side and price as one."""
        merged: dict[tuple[int, str, Decimal], int] = {}
        for trade in trades:
            key = (trade.time, trade.side, trade.px)
            merged[key] = merged.get(key, 0) + lots_of(self.market, trade.sz)
        for number, ((_, side, price), size_lots) in enumerate(merged.items()):
            price_ticks = ticks_of(self.market, price)
            if price_ticks * size_lots < MIN_NOTIONAL_QUOTE * 10**8:
                self.trades_left_out += 1
                continue
            user = self._takers[number % len(self._takers)]
            order = (self.market, side == "B", price_ticks, size_lots, "Ioc", None)
            exchange.submit_direct(user, order_action([order]), now_ms)
            self.trades_played += 1

    def _end(self) -> None:
        self.has_ended = True
        log.warning(
            "the recording of %s has ended after %.0f s: its last book stays, and nobody trades with it any more",
            self.recorded.coin,
            self.recorded.duration_s,
        )


class _RecordedBook:
    """The newest recorded book with every newer touch over it, and the books the engine was not given yet."""

    def __init__(self, market: SpotMarket) -> None:
        self._market = market
        self._bids: OutsideLevels = []
        self._asks: OutsideLevels = []
        self._waiting: list[tuple[OutsideLevels, OutsideLevels]] = []
        self.has_begun = False
        self.frames_left_out = 0
        """Crossed books, which no venue has."""

    def apply(self, frame: BookFrame | TouchFrame) -> None:
        if isinstance(frame, BookFrame):
            bids, asks = self._side(frame.levels[0], sign=1), self._side(frame.levels[1], sign=-1)
        else:  # A touch says that nothing better exists on its side.
            bids = self._under_touch(self._bids, frame.bid, sign=1)
            asks = self._under_touch(self._asks, frame.ask, sign=-1)
        if bids and asks and bids[0][0] >= asks[0][0]:
            self.frames_left_out += 1
            return
        self._bids, self._asks = bids, asks
        self._waiting.append((bids, asks))
        self.has_begun = True

    def put_into(self, exchange: Exchange) -> None:
        """Give the engine every book since the last time, in order: each may have gone through an order of ours."""
        for bids, asks in self._waiting:
            exchange.set_outside_book(self._market.coin, bids, asks)
        self._waiting.clear()

    def _side(self, levels: Sequence[Level], *, sign: int) -> OutsideLevels:
        """Levels in ticks and lots, best first (`sign` is 1 for bids, -1 for asks); none smaller than a lot."""
        sizes = {ticks_of(self._market, price): lots_of(self._market, size) for price, size in levels}
        sound = [(ticks, lots) for ticks, lots in sizes.items() if ticks > 0 and lots > 0]
        return sorted(sound, key=lambda level: -level[0] * sign)

    def _under_touch(self, levels: OutsideLevels, touch: Level | None, *, sign: int) -> OutsideLevels:
        """One side of the book below its new best level; nothing where there is none."""
        if touch is None:
            return []
        best = self._side([touch], sign=sign)
        best_ticks = ticks_of(self._market, touch[0])
        return best + [level for level in levels if level[0] * sign < best_ticks * sign]


def ticks_of(market: SpotMarket, price: Decimal) -> int:
    """A recorded price in ticks of the market that plays it."""
    return int(price.scaleb(market.price_decimals))


def lots_of(market: SpotMarket, size: Decimal) -> int:
    """A recorded size in lots; what is finer than a lot is cut off."""
    return int(size.scaleb(market.size_decimals))
