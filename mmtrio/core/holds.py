"""What of the balances is free: owned, less the worst case of all that rests, flies or is unknown, ours or not."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from mmtrio.core.events import OpenOrdersRead
from mmtrio.core.inventory import Inventory
from mmtrio.core.market import Market, MarketKind
from mmtrio.core.order_state import OrderState
from mmtrio.core.types import Side


@attrs.define
class Holds:
    """Knows what ties balances up: our orders, and those that somebody placed by hand."""

    markets: Sequence[Market]
    """Those we trade."""
    orders: OrderState
    inventory: Inventory
    _foreign: dict[int, int] = attrs.field(factory=dict, init=False)

    def on_open_orders(self, read: OpenOrdersRead) -> None:
        """Count anew what orders that are not ours hold, on whatever market."""
        self._foreign = {}
        for row in read.orders:
            market = self.inventory.market_of(row.coin)
            if market is None or market.kind is MarketKind.PERP or self.orders.cloids.is_ours(row.cloid):
                continue
            if row.side is Side.BUY:
                amount = market.quote_amount(row.price_ticks, row.size_lots)
            else:
                amount = market.base_amount(row.size_lots)
            self._foreign[amount.token.index] = self._foreign.get(amount.token.index, 0) + amount.units

    def free_units(self) -> dict[int, int]:
        """By token, for every token that we trade."""
        free: dict[int, int] = {}
        for market in self.markets:
            if market.base is not None:
                committed = market.base_amount(self.orders.committed_base_lots(market.coin))
                self._commit(free, market.base.index, committed.units)
            self._commit(free, market.quote.index, self.orders.committed_quote(market.coin).units)
        return free

    def _commit(self, free: dict[int, int], token: int, units: int) -> None:
        if token not in free:
            free[token] = self.inventory.total(token) - self._foreign.get(token, 0)
        free[token] -= units
