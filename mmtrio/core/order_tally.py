"""What orders tie up per market, kept up to date change by change: a ladder of 1,600 levels costs no more per fill."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from mmtrio.core.market import Market
from mmtrio.core.order import Order, OrderPhase
from mmtrio.core.types import Amount, Cloid, Coin, Side


@attrs.frozen
class Claim:
    """What one order adds to its market's totals."""

    base_lots: int = 0
    quote_units: int = 0
    live: int = 0
    unknown: int = 0
    in_flight: int = 0


NO_CLAIM = Claim()


@attrs.define
class CoinTally:
    base_lots: int = 0
    quote_units: int = 0


@attrs.define
class OrderTally:
    """Totals over all live orders, worst case: what rests, flies, is unknown or is owed counts in full (D7).

    Of an order and a replacement not yet known to exist, the larger counts: the venue exchanges one for the other and
    checks the balance of the pair. Once the replacement is known, both count until the end of the first is proven.
    """

    markets: Mapping[Coin, Market]
    live_count: int = 0
    unknown_count: int = 0
    in_flight_count: int = 0
    _coins: dict[Coin, CoinTally] = attrs.field(factory=dict)
    _claims: dict[Cloid, Claim] = attrs.field(factory=dict)

    def base_lots(self, coin: Coin) -> int:
        tally = self._coins.get(coin)
        return tally.base_lots if tally is not None else 0

    def quote(self, coin: Coin) -> Amount:
        tally = self._coins.get(coin)
        return Amount(self.markets[coin].quote, tally.quote_units if tally is not None else 0)

    def update(self, order: Order, target: Order | None) -> bool:
        """Take a change of `order` into account; `target` is what it replaces. True where its claim changed."""
        before = self._claims.get(order.cloid, NO_CLAIM)
        after = self.claim_of(order, target)
        if after == before:
            return False
        tally = self._coins.setdefault(order.coin, CoinTally())
        tally.base_lots += after.base_lots - before.base_lots
        tally.quote_units += after.quote_units - before.quote_units
        self.live_count += after.live - before.live
        self.unknown_count += after.unknown - before.unknown
        self.in_flight_count += after.in_flight - before.in_flight
        if after == NO_CLAIM:
            del self._claims[order.cloid]
        else:
            self._claims[order.cloid] = after
        assert tally.base_lots >= 0, tally
        assert tally.quote_units >= 0, tally
        return True

    def recounted(self, pairs: Iterable[tuple[Order, Order | None]]) -> OrderTally:
        """The same totals, counted from nothing: what tests and audits compare with."""
        fresh = OrderTally(self.markets)
        for order, target in pairs:
            fresh.update(order, target)
        return fresh

    def claim_of(self, order: Order, target: Order | None) -> Claim:
        if order.phase is OrderPhase.ENDED:
            return NO_CLAIM
        base_lots, quote_units = self._cost(order)
        if target is not None and target.may_rest and not order.is_known_to_venue:
            target_base_lots, target_quote_units = self._cost(target)
            base_lots = max(0, base_lots - target_base_lots)
            quote_units = max(0, quote_units - target_quote_units)
        return Claim(
            base_lots=base_lots,
            quote_units=quote_units,
            live=1,
            unknown=int(order.is_unknown),
            in_flight=int(order.is_busy),
        )

    def _cost(self, order: Order) -> tuple[int, int]:
        if order.side is Side.SELL:
            return order.remaining_lots, 0
        return 0, self.markets[order.coin].quote_amount(order.price_ticks, order.remaining_lots).units
