"""A recorded market's book as outside liquidity among the orders of everybody else.

The rules, by which a recording fills an order that was never in it:

- The recorded levels are orders of one account that may owe. A level that persists keeps its orders and so its
  place in the queue. Where it grew, the growth is a new order behind everybody at that price; where it shrank, its
  newest orders shrink first, so that an order of ours moves up only by trades, never by cancels we cannot place.
- A recorded level priced through a resting order first trades with it, as a taker at the resting order's price, up
  to its size: in the real market it could not have passed it. What remains rests.
- What traders took from a recorded level, either way, stays taken as long as the recording goes on showing that
  level: a book printed again is not new liquidity. House participants (the recorded takers among them) are not
  counted, since the next book of the recording already knows of their trades.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from mmtrio.core.types import Coin, Side
from mmtrio.exchange.floor import TradingFloor
from mmtrio.exchange.matching import Order
from mmtrio.exchange.world import OUTSIDE_ACCOUNT

OutsideLevels = Sequence[tuple[int, int]]
"""(price_ticks, size_lots), best first."""

_Key = tuple[Side, int]


class OutsideLiquidity:
    """Keeps the outside account's orders equal to the newest recorded books."""

    def __init__(self, floor: TradingFloor) -> None:
        self._floor = floor
        self._orders: dict[Coin, dict[_Key, list[Order]]] = {}

    def replace(self, coin: Coin, bids: OutsideLevels, asks: OutsideLevels) -> None:
        """Makes the outside account's orders in one market those of a recorded book."""
        wanted = self._not_yet_taken(coin, _sizes(bids, asks))
        standing = self._standing(coin)
        for key in list(standing):
            self._reduce_to(standing[key], wanted.get(key, 0))
            if not standing[key]:
                del standing[key]
        for key, lots in wanted.items():
            missing = lots - sum(order.remaining_lots for order in standing.get(key, ()))
            if missing > 0:
                self._add(standing, coin, key, missing)
        if bids and asks:
            self._floor.reference_ticks[coin] = (bids[0][0] + asks[0][0]) // 2

    def _standing(self, coin: Coin) -> dict[_Key, list[Order]]:
        """Our orders in a market that still rest, by level, oldest first."""
        standing = {
            key: [order for order in orders if order.remaining_lots]
            for key, orders in self._orders.get(coin, {}).items()
        }
        self._orders[coin] = standing
        return standing

    def _not_yet_taken(self, coin: Coin, sizes: dict[_Key, int]) -> dict[_Key, int]:
        """The recorded sizes less what traders have had of them; forgets levels that are no longer shown."""
        taken = self._floor.outside_taken
        for key in [key for key in taken if key[0] == coin]:
            side, price_ticks = key[1:]
            taken[key] = min(taken[key], sizes.get((side, price_ticks), 0))
            if not taken[key]:
                del taken[key]
        return {
            (side, price_ticks): lots - taken.get((coin, side, price_ticks), 0)
            for (side, price_ticks), lots in sizes.items()
        }

    def _reduce_to(self, orders: list[Order], lots: int) -> None:
        """Takes size off the newest orders of a level until `lots` remain."""
        excess = sum(order.remaining_lots for order in orders) - lots
        while excess > 0:
            newest = orders[-1]
            if newest.remaining_lots > excess:
                self._floor.shrink(newest, excess)
                return
            excess -= newest.remaining_lots
            self._floor.withdraw(newest)
            self._floor.tell(newest, "canceled")
            orders.pop()

    def _add(self, standing: dict[_Key, list[Order]], coin: Coin, key: _Key, lots: int) -> None:
        side, price_ticks = key
        market = self._floor.markets[coin]
        order = self._floor.new_order(OUTSIDE_ACCOUNT, market, side, price_ticks, lots, "Gtc", None)
        self._floor.place(order)
        if order.remaining_lots:
            standing.setdefault(key, []).append(order)


def check_outside_book(bids: OutsideLevels, asks: OutsideLevels) -> None:
    """Raises ValueError where this is no book: unsorted, crossed, or with an empty level."""
    for side, levels in (("bids", bids), ("asks", asks)):
        prices = [price if side == "asks" else -price for price, _ in levels]
        if any(later <= earlier for earlier, later in pairwise(prices)):
            raise ValueError(f"the outside {side} are not sorted best first")
        if any(price <= 0 or lots <= 0 for price, lots in levels):
            raise ValueError(f"the outside {side} have a level without price or size")
    if bids and asks and bids[0][0] >= asks[0][0]:
        raise ValueError(f"the outside book is crossed: {bids[0][0]} >= {asks[0][0]}")


def _sizes(bids: OutsideLevels, asks: OutsideLevels) -> dict[_Key, int]:
    sizes: dict[_Key, int] = {(Side.BUY, price): lots for price, lots in bids}
    sizes.update({(Side.SELL, price): lots for price, lots in asks})
    return sizes
