from __future__ import annotations

from mmtrio.core.types import Address, Coin, Side
from mmtrio.exchange.matching import Order, OrderBook

COIN = Coin("@107")


class Desk:
    """Hands out orders and remembers the book they belong to."""

    def __init__(self) -> None:
        self.book = OrderBook(COIN)
        self._next_oid = 0

    def order(self, user: str, side: Side, price: int, lots: int) -> Order:
        self._next_oid += 1
        return Order(self._next_oid, Address(user), COIN, side, price, lots, lots, "Gtc", None, 0)

    def rest(self, user: str, side: Side, price: int, lots: int) -> Order:
        order = self.order(user, side, price, lots)
        self.book.rest(order)
        return order


def test_the_better_price_goes_first_and_the_older_order_at_one_price():
    desk = Desk()
    late_best = desk.rest("a", Side.SELL, 101, 5)
    worse = desk.rest("b", Side.SELL, 102, 5)
    later_best = desk.rest("c", Side.SELL, 101, 5)
    taker = desk.order("t", Side.BUY, 102, 12)
    executions, self_traded = desk.book.take(taker)
    assert [(e.maker.oid, e.size_lots) for e in executions] == [
        (late_best.oid, 5), (later_best.oid, 5), (worse.oid, 2)
    ]  # fmt: skip
    assert not self_traded and taker.remaining_lots == 0 and worse.remaining_lots == 3


def test_a_partly_filled_order_keeps_its_place():
    desk = Desk()
    first = desk.rest("a", Side.BUY, 100, 5)
    desk.rest("b", Side.BUY, 100, 5)
    desk.book.take(desk.order("t", Side.SELL, 100, 2))
    assert desk.book.bids.best_order() is first


def test_a_taker_stops_at_its_limit():
    desk = Desk()
    desk.rest("a", Side.SELL, 101, 5)
    desk.rest("a", Side.SELL, 103, 5)
    taker = desk.order("t", Side.BUY, 102, 9)
    desk.book.take(taker)
    assert taker.remaining_lots == 4
    assert desk.book.asks.depth(5) == [(103, 5, 1)]


def test_a_price_equal_to_the_best_crosses():
    desk = Desk()
    desk.rest("a", Side.SELL, 101, 1)
    assert desk.book.would_match(Side.BUY, 101)
    assert not desk.book.would_match(Side.BUY, 100)
    assert not desk.book.would_match(Side.SELL, 101)


def test_an_own_resting_order_leaves_and_the_taker_goes_on():
    desk = Desk()
    own = desk.rest("t", Side.SELL, 101, 3)
    other = desk.rest("b", Side.SELL, 101, 3)
    taker = desk.order("t", Side.BUY, 101, 3)
    executions, self_traded = desk.book.take(taker)
    assert self_traded == [own]
    assert [(e.maker, e.size_lots) for e in executions] == [(other, 3)]
    assert desk.book.asks.depth(5) == []


def test_depth_counts_orders_and_sums_sizes_best_first():
    desk = Desk()
    for price, lots in ((100, 1), (98, 2), (100, 4), (99, 8)):
        desk.rest("a", Side.BUY, price, lots)
    assert desk.book.bids.depth(2) == [(100, 5, 2), (99, 8, 1)]
    assert desk.book.bids.depth(0) == []


def test_an_order_leaves_from_the_middle_of_its_level():
    desk = Desk()
    orders = [desk.rest("a", Side.SELL, 101, 1) for _ in range(3)]
    desk.book.cancel(orders[1])
    assert [order.oid for order in desk.book.asks] == [orders[0].oid, orders[2].oid]
    assert desk.book.asks.depth(1) == [(101, 2, 2)]
