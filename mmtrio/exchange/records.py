"""What the venue remembers and tells of one account: orders, fills, balances. Bounded; no clock.

The same class serves twice: `live` records follow every event at once (streams, truth), lagged ones a while behind,
as the venue's REST nodes do (protocol 5.3, 17).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

import attrs

from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.exchange.matching import Order


class OrderRow(NamedTuple):
    """An order at one moment. `order.remaining_lots` moves on; this does not."""

    order: Order
    remaining_lots: int
    status: str
    status_ms: int

    @property
    def is_open(self) -> bool:
        return self.status == "open"


class FillRow(NamedTuple):
    """One account's side of an execution."""

    market: SpotMarket
    order: Order
    price_ticks: int
    size_lots: int
    time_ms: int
    is_taker: bool
    start_units: int
    fee_units: int
    closed_pnl_e8: int
    tid: int
    hash: str


class BalanceRow(NamedTuple):
    """One token of an account at one moment."""

    token_index: int
    total_units: int
    hold_units: int
    entry_e8: int


BalanceRows = tuple[BalanceRow, ...]
Record = OrderRow | FillRow | BalanceRows


@attrs.define(eq=False)
class AccountRecords:
    """Open orders, the newest ended ones, the newest fills, balances."""

    ended_max: int
    fills_max: int
    open: dict[int, OrderRow] = attrs.field(factory=dict)
    ended: OrderedDict[int, OrderRow] = attrs.field(factory=OrderedDict)
    fills: deque[FillRow] = attrs.field(init=False)
    balances: BalanceRows = ()
    _oid_by_cloid: dict[str, int] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.fills = deque(maxlen=self.fills_max)

    def apply(self, record: Record) -> None:
        match record:
            case OrderRow():
                self._apply_order(record)
            case FillRow():
                self.fills.append(record)
            case _:
                self.balances = record

    def _apply_order(self, row: OrderRow) -> None:
        order = row.order
        if order.cloid is not None and order.oid >= self._oid_by_cloid.get(order.cloid, 0):
            self._oid_by_cloid[order.cloid] = order.oid
        if row.is_open:
            self.open[order.oid] = row
            return
        self.open.pop(order.oid, None)
        self.ended[order.oid] = row
        while len(self.ended) > self.ended_max:
            self._forget(self.ended.popitem(last=False)[1].order)

    def _forget(self, order: Order) -> None:
        if order.cloid is not None and self._oid_by_cloid.get(order.cloid) == order.oid:
            del self._oid_by_cloid[order.cloid]

    def find(self, target: int | str) -> OrderRow | None:
        """The order with this oid or cloid, unless it ended too many orders ago. Of one cloid, the newest."""
        oid = self._oid_by_cloid.get(target) if isinstance(target, str) else target
        if oid is None:
            return None
        return self.open.get(oid) or self.ended.get(oid)


@attrs.define(eq=False)
class LaggedRecords:
    """Records that take note of everything some time after it happened."""

    records: AccountRecords
    _pending: deque[tuple[int, Record]] = attrs.field(factory=deque)

    def note(self, record: Record, time_ms: int) -> None:
        self._pending.append((time_ms, record))

    def as_of(self, time_ms: int) -> AccountRecords:
        """The records with all that happened up to `time_ms`. Never goes back."""
        while self._pending and self._pending[0][0] <= time_ms:
            self.records.apply(self._pending.popleft()[1])
        return self.records
