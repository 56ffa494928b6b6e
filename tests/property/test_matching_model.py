"""The order book against a slow and obvious one: a list that is sorted again for every fill."""

from __future__ import annotations

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.types import Address, Coin, Side
from mmtrio.exchange.matching import Order, OrderBook

COIN = Coin("@107")


@attrs.define
class SlowOrder:
    oid: int
    user: str
    side: Side
    price: int
    lots: int


@attrs.define
class SlowBook:
    """Price-time priority, spelled out."""

    orders: list[SlowOrder] = attrs.field(factory=list)

    def candidates(self, side: Side, price: int) -> list[SlowOrder]:
        """Who an order of this side and price would meet, in the order of meeting."""
        if side is Side.BUY:
            crossing = [o for o in self.orders if o.side is Side.SELL and o.price <= price]
            return sorted(crossing, key=lambda o: (o.price, o.oid))
        crossing = [o for o in self.orders if o.side is Side.BUY and o.price >= price]
        return sorted(crossing, key=lambda o: (-o.price, o.oid))

    def take(self, taker: SlowOrder) -> tuple[list[tuple[int, int]], list[int]]:
        executions, self_traded = [], []
        for maker in self.candidates(taker.side, taker.price):
            if not taker.lots:
                break
            if maker.user == taker.user:
                self_traded.append(maker.oid)
                self.orders.remove(maker)
                continue
            lots = min(maker.lots, taker.lots)
            maker.lots -= lots
            taker.lots -= lots
            executions.append((maker.oid, lots))
            if not maker.lots:
                self.orders.remove(maker)
        return executions, self_traded

    def depth(self, side: Side) -> list[tuple[int, int, int]]:
        prices = sorted({o.price for o in self.orders if o.side is side}, reverse=side is Side.BUY)
        levels = [[o for o in self.orders if (o.side, o.price) == (side, price)] for price in prices]
        return [(level[0].price, sum(o.lots for o in level), len(level)) for level in levels]


places = st.tuples(
    st.just("place"),
    st.sampled_from("abc"),
    st.sampled_from(Side),
    st.integers(95, 105),
    st.integers(1, 9),
    st.sampled_from(["Gtc", "Ioc", "Alo"]),
)
cancels = st.tuples(st.just("cancel"), st.integers(0, 60))
shrinks = st.tuples(st.just("shrink"), st.integers(0, 60))


def place_in_both(book: OrderBook, model: SlowBook, live: dict[int, Order], oid: int, step: tuple) -> None:
    _, user, side, price, lots, tif = step
    order = Order(oid, Address(user), COIN, side, price, lots, lots, tif, None, 0)
    slow = SlowOrder(oid, user, side, price, lots)
    blocked = bool(model.candidates(side, price))
    assert book.would_match(side, price) is blocked
    if tif == "Alo":
        if blocked:
            return
    else:
        executions, self_traded = book.take(order)
        expected = model.take(slow)
        assert ([(e.maker.oid, e.size_lots) for e in executions], [o.oid for o in self_traded]) == expected
        assert order.remaining_lots == slow.lots
    if tif != "Ioc" and order.remaining_lots:
        book.rest(order)
        model.orders.append(slow)
        live[oid] = order


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(places, places, places, cancels, shrinks), max_size=60))
def test_the_book_does_what_the_slow_model_does(steps):
    book, model, live = OrderBook(COIN), SlowBook(), {}
    for oid, step in enumerate(steps, 1):
        resting = {o.oid: o for o in model.orders}
        if step[0] == "place":
            place_in_both(book, model, live, oid, step)
        elif step[1] in resting:
            slow, order = resting[step[1]], live[step[1]]
            if step[0] == "cancel":
                book.cancel(order)
                model.orders.remove(slow)
            else:
                book.side(order.side).reduce(order, 1)
                slow.lots -= 1
                if not slow.lots:
                    model.orders.remove(slow)
        assert book.bids.depth(99) == model.depth(Side.BUY)
        assert book.asks.depth(99) == model.depth(Side.SELL)
        assert [o.oid for o in book.asks] == [o.oid for o in model.candidates(Side.BUY, 10**9)]
        assert [o.oid for o in book.bids] == [o.oid for o in model.candidates(Side.SELL, 0)]
