"""The order book of one market: price-time priority, exact integers. No balances, no clock.

Levels live in a list of prices kept sorted with the best price last, so the touch costs nothing and a new level one
bisection. Inside a level orders stand in arrival order and leave from any place in constant time.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator

import attrs

from mmtrio.core.types import Address, Coin, Side


@attrs.define(eq=False, slots=True)
class Order:
    """One order at the venue. Identity is the oid; only `remaining_lots` ever changes."""

    oid: int
    user: Address
    coin: Coin
    side: Side
    price_ticks: int
    original_lots: int
    remaining_lots: int
    tif: str
    cloid: str | None
    placed_ms: int


@attrs.frozen
class Execution:
    """A resting order gave `size_lots` at its own price."""

    maker: Order
    size_lots: int


@attrs.define(slots=True, eq=False)
class Level:
    """All orders at one price, oldest first."""

    size_lots: int = 0
    orders: OrderedDict[int, Order] = attrs.field(factory=OrderedDict)


class BookSide:
    """One side of a book. Keys are prices so signed that the best is the largest."""

    def __init__(self, side: Side) -> None:
        self._sign = 1 if side is Side.BUY else -1
        self._keys: list[int] = []
        self._levels: dict[int, Level] = {}

    def best_ticks(self) -> int | None:
        return self._keys[-1] * self._sign if self._keys else None

    def best_order(self) -> Order | None:
        """The order next to be hit: the oldest at the best price."""
        if not self._keys:
            return None
        return next(iter(self._levels[self._keys[-1]].orders.values()))

    def add(self, order: Order) -> None:
        key = order.price_ticks * self._sign
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = Level()
            self._keys.insert(bisect_left(self._keys, key), key)
        level.orders[order.oid] = order
        level.size_lots += order.remaining_lots

    def remove(self, order: Order) -> None:
        key = order.price_ticks * self._sign
        level = self._levels[key]
        del level.orders[order.oid]
        level.size_lots -= order.remaining_lots
        if not level.orders:
            del self._levels[key]
            del self._keys[bisect_left(self._keys, key)]

    def reduce(self, order: Order, size_lots: int) -> None:
        """Takes size off an order, which keeps its place; off the book where nothing remains."""
        assert 0 < size_lots <= order.remaining_lots, (order, size_lots)
        if size_lots == order.remaining_lots:
            self.remove(order)
            order.remaining_lots = 0
            return
        order.remaining_lots -= size_lots
        self._levels[order.price_ticks * self._sign].size_lots -= size_lots

    def level(self, price_ticks: int) -> Level | None:
        return self._levels.get(price_ticks * self._sign)

    def depth(self, n_levels: int) -> list[tuple[int, int, int]]:
        """(price_ticks, size_lots, number of orders), best first."""
        rows = []
        for key in self._keys[: -n_levels - 1 : -1]:
            level = self._levels[key]
            rows.append((key * self._sign, level.size_lots, len(level.orders)))
        return rows

    def __iter__(self) -> Iterator[Order]:
        """All orders, best price first, oldest first inside a price."""
        for key in reversed(self._keys):
            yield from self._levels[key].orders.values()

    def crosses(self, limit_ticks: int) -> bool:
        """Would an order of the other side, limited to this price, match? A price equal to the best does."""
        return bool(self._keys) and self._keys[-1] >= limit_ticks * self._sign


class OrderBook:
    """Both sides of one market."""

    def __init__(self, coin: Coin) -> None:
        self.coin = coin
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)

    def side(self, side: Side) -> BookSide:
        return self.bids if side is Side.BUY else self.asks

    def opposite(self, side: Side) -> BookSide:
        return self.asks if side is Side.BUY else self.bids

    def would_match(self, side: Side, price_ticks: int) -> bool:
        """True where an order so priced would take something at once, an own order included."""
        return self.opposite(side).crosses(price_ticks)

    def take(self, taker: Order) -> tuple[list[Execution], list[Order]]:
        """Matches `taker` against the other side as far as its price allows; reduces its `remaining_lots`.

        Own orders met on the way leave the book (second result) and nothing trades with them.
        """
        executions: list[Execution] = []
        self_traded: list[Order] = []
        makers = self.opposite(taker.side)
        while taker.remaining_lots and makers.crosses(taker.price_ticks):
            maker = makers.best_order()
            assert maker is not None
            if maker.user == taker.user:
                makers.remove(maker)
                self_traded.append(maker)
                continue
            size_lots = min(taker.remaining_lots, maker.remaining_lots)
            makers.reduce(maker, size_lots)
            taker.remaining_lots -= size_lots
            executions.append(Execution(maker, size_lots))
        return executions, self_traded

    def rest(self, order: Order) -> None:
        """Adds what remains of an order that no longer crosses."""
        assert order.remaining_lots > 0, order
        assert not self.would_match(order.side, order.price_ticks), order
        self.side(order.side).add(order)

    def cancel(self, order: Order) -> None:
        self.side(order.side).remove(order)
