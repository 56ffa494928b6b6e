"""Balances, holds and fees: every unit that moves when an order rests, fills or ends. No clock, no I/O.

A resting buy holds its remaining size times its price in quote, a resting sell its remaining size in base. Fees go
to one account, so the sum of a token over all accounts never changes. Source: protocol 13.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from mmtrio.core.types import Address, Side
from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.exchange.matching import Order
from mmtrio.exchange.world import FEE_ACCOUNT, World


@attrs.define(slots=True)
class Balance:
    """What an account has of one token, in its units. `hold_units` is part of the total."""

    total_units: int = 0
    hold_units: int = 0
    entry_e8: int = 0
    """What the current balance cost, in 10^-8 dollars; reported as `entryNtl`."""

    @property
    def free_units(self) -> int:
        return self.total_units - self.hold_units


@attrs.define(eq=False)
class Account:
    """Everything the venue counts for one address."""

    address: Address
    is_house: bool
    is_unlimited: bool
    balances: dict[int, Balance] = attrs.field(factory=dict)
    orders: dict[int, Order] = attrs.field(factory=dict)
    """What rests, by oid, oldest first."""
    volume_e8: int = 0
    _oids_by_cloid: dict[str, list[int]] = attrs.field(factory=dict)

    def balance(self, token_index: int) -> Balance:
        balance = self.balances.get(token_index)
        if balance is None:
            balance = self.balances[token_index] = Balance()
        return balance

    def add_order(self, order: Order) -> None:
        self.orders[order.oid] = order
        if order.cloid is not None:
            self._oids_by_cloid.setdefault(order.cloid, []).append(order.oid)

    def remove_order(self, order: Order) -> None:
        del self.orders[order.oid]
        if order.cloid is not None:
            oids = self._oids_by_cloid[order.cloid]
            oids.remove(order.oid)
            if not oids:
                del self._oids_by_cloid[order.cloid]

    def find_order(self, target: int | str) -> Order | None:
        """The resting order with this oid or cloid. Of several with one cloid, the newest: whether the venue
        lets a live cloid be used twice is not established (protocol 19), so this exchange does."""
        if isinstance(target, int):
            return self.orders.get(target)
        oids = self._oids_by_cloid.get(target)
        return self.orders[oids[-1]] if oids else None


@attrs.frozen(slots=True)
class Leg:
    """One side's part of an execution, as its fill reports it."""

    start_units: int
    """The base balance before."""
    fee_units: int
    closed_pnl_e8: int


@attrs.frozen
class FeeRates:
    """Spot fee rates in 10^-6 of the notional. Defaults: the venue's lowest tier."""

    taker_e6: int = 700
    maker_e6: int = 400


class Ledger:
    """All accounts of a world. The only code that changes a balance."""

    def __init__(self, world: World, rates: FeeRates) -> None:
        self.accounts: dict[Address, Account] = {}
        self._rates = rates
        references = {m.base.index: m for m in world.markets}
        for start in world.accounts:
            account = Account(start.address, start.is_house, start.is_unlimited)
            for token_index, units in start.balances.items():
                market = references.get(token_index)
                entry_e8 = units * market.reference_ticks // market.base_units_per_lot if market else 0
                account.balances[token_index] = Balance(units, 0, entry_e8)
            self.accounts[start.address] = account
        if FEE_ACCOUNT not in self.accounts:
            self.accounts[FEE_ACCOUNT] = Account(FEE_ACCOUNT, True, False)

    def total_units(self, token_index: int) -> int:
        """The sum over all accounts: constant, whatever happens."""
        return sum(a.balances[token_index].total_units for a in self._owners(token_index))

    def _owners(self, token_index: int) -> Iterable[Account]:
        return (account for account in self.accounts.values() if token_index in account.balances)

    # Holds

    def can_afford(
        self, account: Account, market: SpotMarket, side: Side, price_ticks: int, lots: int
    ) -> bool:
        token_index, units = _held(market, side, price_ticks, lots)
        return account.is_unlimited or account.balance(token_index).free_units >= units

    def hold(self, order: Order, market: SpotMarket) -> None:
        """Sets aside what the remaining size of a resting order may cost."""
        token_index, units = _held(market, order.side, order.price_ticks, order.remaining_lots)
        self.accounts[order.user].balance(token_index).hold_units += units

    def release(self, order: Order, market: SpotMarket, lots: int) -> None:
        """Gives back the hold of `lots` of a resting order."""
        token_index, units = _held(market, order.side, order.price_ticks, lots)
        self.accounts[order.user].balance(token_index).hold_units -= units

    # Executions

    def settle(self, market: SpotMarket, taker: Order, maker: Order, lots: int) -> tuple[Leg, Leg]:
        """Moves both tokens and both fees of one execution at the maker's price. Returns (taker's leg, maker's)."""
        self.release(maker, market, lots)
        price_ticks = maker.price_ticks
        taker_leg = self._trade(taker, market, price_ticks, lots, self._rates.taker_e6)
        maker_leg = self._trade(maker, market, price_ticks, lots, self._rates.maker_e6)
        return taker_leg, maker_leg

    def _trade(self, order: Order, market: SpotMarket, price_ticks: int, lots: int, rate_e6: int) -> Leg:
        account = self.accounts[order.user]
        base, quote = account.balance(market.base.index), account.balance(market.quote.index)
        fees = self.accounts[FEE_ACCOUNT]
        base_units, notional_e8 = market.base_units(lots), price_ticks * lots
        account.volume_e8 += notional_e8
        start_units = base.total_units
        if order.side is Side.BUY:
            fee_units = market.buyer_fee_units(price_ticks, lots, rate_e6)
            quote.total_units -= notional_e8
            base.total_units += base_units - fee_units
            base.entry_e8 += notional_e8
            fees.balance(market.base.index).total_units += fee_units
            return Leg(start_units, fee_units, 0)
        fee_units = market.seller_fee_units(price_ticks, lots, rate_e6)
        cost_e8 = base.entry_e8 * base_units // start_units if start_units > 0 else 0
        base.total_units -= base_units
        base.entry_e8 -= cost_e8
        quote.total_units += notional_e8 - fee_units
        fees.balance(market.quote.index).total_units += fee_units
        return Leg(start_units, fee_units, notional_e8 - cost_e8)

    def move(self, giver: Address, taker: Address, token_index: int, units: int) -> None:
        """Moves units between two accounts, for no reason the venue would tell."""
        self.accounts[giver].balance(token_index).total_units -= units
        self.accounts[taker].balance(token_index).total_units += units


def _held(market: SpotMarket, side: Side, price_ticks: int, lots: int) -> tuple[int, int]:
    """(token index, units) that an order of this size and price may cost. Fees come out of what is received."""
    if side is Side.BUY:
        return market.quote.index, price_ticks * lots
    return market.base.index, market.base_units(lots)
