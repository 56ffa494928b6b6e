"""An account at a venue too simple to be wrong: orders rest, trade and end, balances follow, requests are counted.

It keeps every past state, so that a REST node which lags can be asked what it sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from mmtrio.core.events import (
    BalancesRead,
    Batch,
    BatchDone,
    BudgetRead,
    CancelItem,
    Event,
    Fill,
    FillSource,
    FillsRead,
    ItemOutcome,
    ModifyItem,
    OpenOrdersRead,
    OrderStatusRead,
    OutcomeKind,
    PlaceItem,
    ReadPurpose,
    Refusal,
    TokenBalance,
)
from mmtrio.core.market import Market
from mmtrio.core.types import Amount, Cloid, Coin, Instant, Side
from tests.support import builders

FEE_PPM = 400
REQUESTS_CAP = 10_000


@attrs.frozen
class VenueOrder:
    item: PlaceItem
    oid: int
    status: str = "open"
    filled_lots: int = 0

    @property
    def remaining_lots(self) -> int:
        return self.item.size_lots - self.filled_lots

    @property
    def stated_lots(self) -> int:
        return 0 if self.status == "filled" else self.remaining_lots


@attrs.frozen
class AccountState:
    """Everything the venue knows at one moment. `since_s` is when it came to be."""

    since_s: float
    orders: Mapping[Cloid, VenueOrder]
    balances: Mapping[int, int]
    fills: tuple[Fill, ...]
    requests_used: int


@attrs.define
class NaiveAccount:
    """One account. `stream` holds what its subscriptions would bring, oldest first, until somebody takes it."""

    markets: Mapping[Coin, Market]
    now: AccountState
    past: list[AccountState] = attrs.field(factory=list)
    stream: list[Event] = attrs.field(factory=list)
    short_of_balance: list[PlaceItem] = attrs.field(factory=list)
    """Orders refused because the account could not pay for them."""
    _oid: int = 100

    @classmethod
    def of(cls, markets: Iterable[Market], balances: Mapping[int, int], requests_used: int) -> NaiveAccount:
        state = AccountState(-1e9, {}, dict(balances), (), requests_used)
        return cls({market.coin: market for market in markets}, state, [state])

    @property
    def resting(self) -> list[VenueOrder]:
        return [order for order in self.now.orders.values() if order.status == "open"]

    # What happens there

    def apply(self, batch: Batch, sent_s: float, now_s: float, *, refuses_post_only: bool = False) -> BatchDone:
        """A signed request arrives. One that is too late is refused, and costs five times."""
        if batch.expires_after_s is not None and now_s > sent_s + batch.expires_after_s:
            self._set(now_s, requests_used=self.now.requests_used + 5 * len(batch.items))
            outcomes = [_refused(item, Refusal.EXPIRED) for item in batch.items]
        else:
            self._set(now_s, requests_used=self.now.requests_used + len(batch.items))
            outcomes = [self._apply_item(item, now_s, refuses_post_only) for item in batch.items]
        return BatchDone(batch.id, tuple(outcomes), 0.1)

    def trade(self, cloid: Cloid, size_lots: int, now_s: float, *, names_cloid: bool = True) -> None:
        """Somebody takes from a resting order of ours."""
        order = self.now.orders[cloid]
        item, market = order.item, self.markets[order.item.coin]
        size_lots = min(size_lots, order.remaining_lots)
        base = market.base_amount(size_lots)
        if item.side is Side.BUY:
            cost = market.quote_amount(item.price_ticks, size_lots)
            fee = Amount(base.token, base.units * FEE_PPM // 1_000_000)
            moves = {base.token.index: base.units - fee.units, cost.token.index: -cost.units}
        else:
            proceeds = market.quote_received(item.price_ticks, size_lots)
            fee = Amount(proceeds.token, proceeds.units * FEE_PPM // 1_000_000)
            moves = {base.token.index: -base.units, proceeds.token.index: proceeds.units - fee.units}
        fill = builders.fill(
            item.side,
            price_ticks=item.price_ticks,
            size_lots=size_lots,
            coin=item.coin,
            tid=(len(self.now.fills) * 7919 + 13) % 1009,  # Like a hash: unique enough, and never growing.
            oid=order.oid,
            cloid=cloid if names_cloid else None,
            time_ms=venue_ms(now_s),
            fee_token=fee.token.index,
            fee_units=fee.units,
        )
        balances = {token: units + moves.get(token, 0) for token, units in self.now.balances.items()}
        self._set(now_s, balances=balances, fills=(*self.now.fills, fill))
        status = "filled" if size_lots == order.remaining_lots else "open"
        self.stream.append(fill)
        self.put(attrs.evolve(order, filled_lots=order.filled_lots + size_lots, status=status), now_s)
        self.stream.append(self.balances_frame())

    def put(self, order: VenueOrder, now_s: float) -> None:
        """The order is now so; the stream says so."""
        self._set(now_s, orders={**self.now.orders, order.item.cloid: order})
        item = order.item
        self.stream.append(
            builders.order_updated(
                order.status,
                cloid=item.cloid,
                oid=order.oid,
                side=item.side,
                price_ticks=item.price_ticks,
                size_lots=order.stated_lots,
                original_lots=item.size_lots,
                coin=item.coin,
                status_ms=venue_ms(now_s),
            )
        )

    def _apply_item(
        self, item: PlaceItem | ModifyItem | CancelItem, now_s: float, refuses_post_only: bool
    ) -> ItemOutcome:
        if isinstance(item, CancelItem):
            is_done = self._end(item.cloid, now_s)
            return ItemOutcome(item.cloid, OutcomeKind.CANCELLED) if is_done else _refused(item, Refusal.MISSING_ORDER)
        if isinstance(item, ModifyItem) and not self._end(item.target_cloid, now_s):
            return _refused(item, Refusal.CANNOT_MODIFY)
        placed = item.order if isinstance(item, ModifyItem) else item
        if refuses_post_only:
            return _refused(item, Refusal.POST_ONLY_WOULD_MATCH)
        token, cost = self._hold(placed, placed.size_lots)
        if cost > self.available(token):
            self.short_of_balance.append(placed)
            return _refused(item, Refusal.INSUFFICIENT_BALANCE)
        self._oid += 1
        self.put(VenueOrder(placed, self._oid), now_s)
        return ItemOutcome(placed.cloid, OutcomeKind.RESTING, oid=self._oid)

    def _end(self, cloid: Cloid, now_s: float) -> bool:
        order = self.now.orders.get(cloid)
        if order is None or order.status != "open":
            return False
        self.put(attrs.evolve(order, status="canceled"), now_s)
        return True

    def available(self, token: int) -> int:
        """Units that no resting order holds."""
        holds = (self._hold(order.item, order.remaining_lots) for order in self.resting)
        return self.now.balances[token] - sum(units for held, units in holds if held == token)

    def _hold(self, item: PlaceItem, size_lots: int) -> tuple[int, int]:
        market = self.markets[item.coin]
        if item.side is Side.SELL:
            amount = market.base_amount(size_lots)
        else:
            amount = market.quote_amount(item.price_ticks, size_lots)
        return amount.token.index, amount.units

    def _set(self, now_s: float, **changes: object) -> None:
        self.now = attrs.evolve(self.now, since_s=now_s, **changes)  # type: ignore[arg-type]
        self.past.append(self.now)

    # What is read there

    def seen_at(self, seconds: float) -> AccountState:
        return next(state for state in reversed(self.past) if state.since_s <= seconds)

    def fills_read(self, seen_s: float, requested_at: Instant, purpose: ReadPurpose) -> FillsRead:
        is_catch_up = purpose in (ReadPurpose.START, ReadPurpose.CATCH_UP)
        source = FillSource.CATCH_UP if is_catch_up else FillSource.RECONCILE
        fills = tuple(attrs.evolve(fill, source=source) for fill in self.seen_at(seen_s).fills)
        return FillsRead(fills, 0, requested_at, purpose)

    def open_orders_read(self, seen_s: float, requested_at: Instant, purpose: ReadPurpose) -> OpenOrdersRead:
        rows = [
            builders.resting_order(
                order.item.cloid,
                oid=order.oid,
                side=order.item.side,
                price_ticks=order.item.price_ticks,
                size_lots=order.remaining_lots,
                original_lots=order.item.size_lots,
                coin=order.item.coin,
            )
            for order in self.seen_at(seen_s).orders.values()
            if order.status == "open"
        ]
        return builders.open_orders_read(rows, at=requested_at, purpose=purpose)

    def balances_read(self, seen_s: float, requested_at: Instant, purpose: ReadPurpose) -> BalancesRead:
        return BalancesRead(_rows(self.seen_at(seen_s).balances), requested_at, purpose)

    def balances_frame(self) -> BalancesRead:
        return BalancesRead(_rows(self.now.balances), None)

    def budget_read(self, seen_s: float, requested_at: Instant, purpose: ReadPurpose) -> BudgetRead:
        state = self.seen_at(seen_s)
        value_e8 = sum(
            self.markets[fill.coin].value_e8(fill.price_ticks, fill.size_lots) for fill in state.fills
        )
        cap = REQUESTS_CAP + value_e8 // 10**8
        return BudgetRead(state.requests_used, cap, 0, value_e8, requested_at, purpose)

    def status_read(self, cloid: Cloid, seen_s: float, requested_at: Instant) -> OrderStatusRead:
        state = self.seen_at(seen_s)
        order = state.orders.get(cloid)
        if order is None:
            return OrderStatusRead(cloid, None, None, None, None, requested_at)
        return OrderStatusRead(
            cloid, order.status, order.oid, order.stated_lots, venue_ms(state.since_s), requested_at
        )


def venue_ms(now_s: float) -> int:
    return builders.START_MS + round(now_s * 1000)


def _rows(balances: Mapping[int, int]) -> tuple[TokenBalance, ...]:
    return tuple(TokenBalance(token, units, 0) for token, units in sorted(balances.items()))


def _refused(item: PlaceItem | ModifyItem | CancelItem, refusal: Refusal) -> ItemOutcome:
    cloid = item.order.cloid if isinstance(item, ModifyItem) else item.cloid
    return ItemOutcome(cloid, OutcomeKind.REFUSED, refusal=refusal)
