"""Differences planted behind a market maker's back, to see whether it finds them. Quantities are still conserved."""

from __future__ import annotations

from mmtrio.core.types import Address, Coin, Side
from mmtrio.exchange.floor import TradingFloor
from mmtrio.exchange.world import OUTSIDE_ACCOUNT
from mmtrio.wire.decimals import scaled


class Tampering:
    """Changes the venue's truth and tells no stream. REST shows it after its usual lag."""

    def __init__(self, floor: TradingFloor) -> None:
        self._floor = floor

    def remove_order(self, oid: int) -> None:
        order = next((order for order in self._floor.resting() if order.oid == oid), None)
        if order is None:
            raise ValueError(f"no order {oid} is resting")
        self._floor.remove_silently(order)

    def add_fill(self, user: Address, coin: Coin, side: Side, price: str, size: str) -> None:
        floor = self._floor
        market = floor.markets[coin]
        price_ticks, size_lots = market.ticks_of(scaled(price, 8)), market.lots_of(scaled(size, 8))
        if price_ticks is None or not size_lots:
            raise ValueError(f"{coin} has no price {price} with size {size}")
        taker = floor.new_order(user, market, side, price_ticks, size_lots, "Ioc", None)
        maker = floor.new_order(OUTSIDE_ACCOUNT, market, side.opposite, price_ticks, size_lots, "Gtc", None)
        floor.execute_silently(taker, maker)

    def move_balance(self, user: Address, token_index: int, units: int) -> None:
        self._floor.ledger.move(OUTSIDE_ACCOUNT, user, token_index, units)
        self._floor.record_balances(user)
