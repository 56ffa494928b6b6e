"""One market under the desk: its strategy, what the market's feeds say, and whether it quotes or why not."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import overload

import attrs

from mmtrio.core.events import (
    BookRead,
    Level,
    QuotingResumed,
    QuotingStopped,
    Reason,
    ReasonCode,
    TouchChanged,
)
from mmtrio.core.market import Market
from mmtrio.core.order_differ import CancelWanted, Differ, Difference, DifferParams
from mmtrio.core.order_state import Order, OrderState
from mmtrio.core.strategy import OwnOrder, Quotes, Strategy, Summarises, View
from mmtrio.core.types import Amount, Coin, Instant, Side

_price_ticks = attrgetter("price_ticks")

DESIRED_ORDERS_MAX = 2_000
"""More than the venue lets one account rest; a strategy that asks for more has lost its way."""


@attrs.define
class Quoter:
    """Turns one strategy's wishes into the smallest change of one market's orders. No I/O, no clock."""

    market: Market
    strategy: Strategy
    differ: DifferParams = attrs.field(factory=DifferParams)
    requires_market_data: bool | None = None
    """None takes the strategy's own word."""

    bid: Level | None = attrs.field(default=None, init=False)
    ask: Level | None = attrs.field(default=None, init=False)
    book: BookRead | None = attrs.field(default=None, init=False)
    suspended: Reason | None = attrs.field(default=None, init=False)
    quotes: Quotes = attrs.field(default=Quotes(()), init=False)
    """What the strategy last asked for."""
    _stopped: tuple[Reason, Instant] | None = attrs.field(default=None, init=False)
    _has_quoted: bool = attrs.field(default=False, init=False)
    _differ: Differ = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._differ = Differ(self.strategy.name, self.market, self.differ)

    @property
    def coin(self) -> Coin:
        return self.market.coin

    @property
    def needs_market_data(self) -> bool:
        if self.requires_market_data is None:
            return self.strategy.requires_market_data
        return self.requires_market_data

    # What the market's feeds say

    def on_touch(self, touch: TouchChanged) -> None:
        self.bid, self.ask = touch.bid, touch.ask

    def on_book(self, book: BookRead) -> None:
        self.book = book
        self.bid = book.bids[0] if book.bids else None
        self.ask = book.asks[0] if book.asks else None

    @property
    def twice_mid_ticks(self) -> int | None:
        """Best bid plus best offer; None while one side is empty or unheard."""
        if self.bid is None or self.ask is None:
            return None
        return self.bid.price_ticks + self.ask.price_ticks

    # What the strategy wants

    def difference(self, orders: OrderState, base: Amount, quote: Amount, at: Instant) -> Difference:
        """The smallest change that makes the market's orders agree with the strategy.

        A strategy that raises or answers nonsense suspends its market: its orders are withdrawn, and
        `suspended` says why.
        """
        live = orders.live(self.coin)
        if self.suspended is None:
            try:
                self.quotes = self.strategy.quote(self._view(live, base, quote, at))
                self._check(self.quotes)
            except Exception as error:  # Plugged-in code: whatever it raises is its market's trouble alone.
                self.suspend(f"strategy {self.strategy.name!r} failed: {type(error).__name__}: {error}")
        if self.suspended is not None:
            return self.withdrawal(live, self.suspended)
        return self._differ.difference(orders.take_changed(self.coin), orders.by_slot)

    def summary(self, orders: OrderState, base: Amount, quote: Amount, at: Instant) -> str:
        """How the strategy stands, for a log line; empty where it has nothing to say, or is suspended."""
        if self.suspended is not None or not isinstance(self.strategy, Summarises):
            return ""
        return self.strategy.summary(self._view(orders.live(self.coin), base, quote, at))

    def _view(self, live: Sequence[Order], base: Amount, quote: Amount, at: Instant) -> View:
        return View(
            market=self.market,
            at=at,
            base=base,
            quote=quote,
            own_orders=_OwnOrders(live),
            bid=self.bid,
            ask=self.ask,
            book=self.book,
        )

    def suspend(self, cause: str) -> None:
        """Stop quoting this market until the process is restarted."""
        self.suspended = Reason(ReasonCode.MARKET_SUSPENDED, self.coin, detail=cause)
        self.quotes = Quotes(())

    @staticmethod
    def withdrawal(orders: Sequence[Order], reason: Reason) -> Difference:
        """Cancel whatever may rest."""
        cancels = tuple(
            CancelWanted(order.cloid, order.slot, reason.code.value) for order in orders if not order.is_busy
        )
        return Difference(cancels=cancels, modifies=(), places=(), reasons=(reason,))

    def _check(self, quotes: Quotes) -> None:
        """Orders that were wanted before have been looked at before."""
        if len(quotes.orders) > DESIRED_ORDERS_MAX:
            raise ValueError(f"{len(quotes.orders)} orders wanted, at most {DESIRED_ORDERS_MAX} make sense")
        fresh = self._differ.want(quotes)
        for order in fresh:
            if order.size_lots <= 0 or not self.market.is_valid_price(order.price_ticks):
                raise ValueError(f"no such order: {order}")
        if fresh:
            best_bid = max(map(_price_ticks, self._differ.wanted(Side.BUY)), default=0)
            best_ask = min(map(_price_ticks, self._differ.wanted(Side.SELL)), default=best_bid + 1)
            if best_bid >= best_ask:
                raise ValueError(f"bids up to {best_bid} ticks cross asks from {best_ask} ticks")

    # Quoting or not

    def note_gate(self, reason: Reason | None, silence_s: float, at: Instant) -> QuotingStopped | QuotingResumed | None:
        """Remember whether the market may quote now; a note where that has changed since it first did."""
        if reason is None:
            stopped, self._stopped = self._stopped, None
            self._has_quoted = True
            return QuotingResumed(self.coin, at.age_s(stopped[1])) if stopped else None
        if not self._has_quoted or self._stopped is not None:
            return None
        self._stopped = (reason, at)
        return QuotingStopped(self.coin, reason, silence_s)


class _OwnOrders(Sequence[OwnOrder]):
    """Our orders as a strategy sees them, made when it looks: most never do."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self._orders = orders

    @overload
    def __getitem__(self, index: int) -> OwnOrder: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[OwnOrder, ...]: ...

    def __getitem__(self, index: int | slice) -> OwnOrder | tuple[OwnOrder, ...]:
        if isinstance(index, slice):
            return tuple(_as_seen(order) for order in self._orders[index])
        return _as_seen(self._orders[index])

    def __len__(self) -> int:
        return len(self._orders)


def _as_seen(order: Order) -> OwnOrder:
    return OwnOrder(
        side=order.side,
        slot=order.slot.slot,
        price_ticks=order.price_ticks,
        size_lots=order.remaining_lots,
        is_certain=not (order.is_busy or order.is_unknown),
    )
