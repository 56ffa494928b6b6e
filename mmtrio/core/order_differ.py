"""What is wanted against what is there: the smallest change that makes the venue agree.

Orders are matched by slot, so an order is moved by one modify and never by a cancel and a place, and a bid never
becomes an ask. A slot with an order whose state is not certain is left alone until it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import attrs

from mmtrio.core.events import Reason, ReasonCode
from mmtrio.core.market import Market
from mmtrio.core.strategy import DesiredOrder, Quotes
from mmtrio.core.types import Cloid, SlotKey

_PPM_PER_BPS = 100
_PPM_PER_PERCENT = 10_000


class DiffableOrder(Protocol):
    """What the differ needs to know of an order of ours that may be on the venue."""

    @property
    def cloid(self) -> Cloid: ...

    @property
    def slot(self) -> SlotKey: ...

    @property
    def price_ticks(self) -> int: ...

    @property
    def remaining_lots(self) -> int: ...

    @property
    def is_busy(self) -> bool:
        """A request about it is in flight."""

    @property
    def is_unknown(self) -> bool:
        """Nobody knows whether it rests."""


def _not_negative(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"{attribute.name} is {value}; it is a number, 0 or more")


@attrs.frozen
class DifferParams:
    """How far an order may be from what is wanted and still be left alone.

    Nothing changes while every order lies in the dead zone. Once one does not, each order beyond its tolerance is
    corrected.
    """

    dead_zone_bps: float = attrs.field(default=5.0, validator=_not_negative)
    price_tolerance_bps: float = attrs.field(default=1.0, validator=_not_negative)
    size_tolerance_pct: float = attrs.field(default=1.0, validator=_not_negative)


@attrs.frozen
class PlaceWanted:
    slot: SlotKey
    price_ticks: int
    size_lots: int


@attrs.frozen
class ModifyWanted:
    """Replace the order `target` on its slot; the side stays."""

    target: Cloid
    slot: SlotKey
    price_ticks: int
    size_lots: int


@attrs.frozen
class CancelWanted:
    cloid: Cloid
    slot: SlotKey
    cause: str


@attrs.frozen
class Difference:
    """Changes wanted, each kind sorted by side and slot. `reasons`: the strategy's own, then the differ's."""

    cancels: tuple[CancelWanted, ...] = ()
    modifies: tuple[ModifyWanted, ...] = ()
    places: tuple[PlaceWanted, ...] = ()
    reasons: tuple[Reason, ...] = ()


@attrs.frozen
class _Tolerance:
    """Tolerances as integers, so that ticks and lots are compared exactly."""

    price_ppm: int
    size_ppm: int

    def accepts(self, order: DiffableOrder, wanted: DesiredOrder) -> bool:
        price_off = abs(order.price_ticks - wanted.price_ticks) * 1_000_000
        size_off = abs(order.remaining_lots - wanted.size_lots) * 1_000_000
        return (
            price_off <= self.price_ppm * wanted.price_ticks and size_off <= self.size_ppm * wanted.size_lots
        )


@attrs.frozen
class _Slot:
    """One slot: what is wanted there and what is there, by cloid."""

    key: SlotKey
    wanted: DesiredOrder | None
    orders: tuple[DiffableOrder, ...]

    @property
    def is_settled(self) -> bool:
        """Every order's state is certain. One that is filled and waits for its fills cannot be changed either."""
        return not any(
            order.is_busy or order.is_unknown or order.remaining_lots <= 0 for order in self.orders
        )

    def is_doubtful(self, tolerance: _Tolerance) -> bool:
        """Left alone although it is not, or may not be, as wanted."""
        return not self.is_settled and (
            any(order.is_unknown for order in self.orders) or not self.agrees(tolerance)
        )

    def agrees(self, tolerance: _Tolerance) -> bool:
        """Exactly the wanted order is there, or nothing is and nothing should be."""
        if self.wanted is None or len(self.orders) != 1:
            return self.wanted is None and not self.orders
        return tolerance.accepts(self.orders[0], self.wanted)

    def keeper(self, tolerance: _Tolerance) -> DiffableOrder:
        """Of several orders on the slot, the one to keep: the lowest cloid that is right, else the lowest."""
        assert self.wanted is not None, self.key
        right = (order for order in self.orders if tolerance.accepts(order, self.wanted))
        return next(right, self.orders[0])


def difference(
    desired: Quotes,
    orders: Sequence[DiffableOrder],
    strategy: str,
    market: Market,
    params: DifferParams,
) -> Difference:
    """The smallest change from `orders` to `desired`. Orders of other strategies or markets are ignored.

    Raises:
        ValueError: two orders are wanted on one slot.
    """
    tolerance = _Tolerance(
        round(params.price_tolerance_bps * _PPM_PER_BPS), round(params.size_tolerance_pct * _PPM_PER_PERCENT)
    )
    dead_zone = attrs.evolve(tolerance, price_ppm=round(params.dead_zone_bps * _PPM_PER_BPS))
    slots = _slots(desired, orders, strategy, market)
    settled = [slot for slot in slots if slot.is_settled]
    reasons = [_unsettled_reason(slot) for slot in slots if slot.is_doubtful(tolerance)]
    if all(slot.agrees(dead_zone) for slot in settled):
        settled = []
    cancels: list[CancelWanted] = []
    modifies: list[ModifyWanted] = []
    places: list[PlaceWanted] = []
    for slot in settled:
        _change(slot, tolerance, cancels, modifies, places)
    return Difference(tuple(cancels), tuple(modifies), tuple(places), (*desired.reasons, *reasons))


def _slots(desired: Quotes, orders: Sequence[DiffableOrder], strategy: str, market: Market) -> list[_Slot]:
    """Every slot that is wanted or taken, sorted by side and slot."""
    wanted: dict[SlotKey, DesiredOrder] = {}
    for order in desired.orders:
        key = SlotKey(strategy, market.coin, order.side, order.slot)
        if key in wanted:
            raise ValueError(f"two orders wanted on one slot: {wanted[key]} and {order}")
        wanted[key] = order
    present: dict[SlotKey, list[DiffableOrder]] = {}
    for current in orders:
        if current.slot.strategy == strategy and current.slot.coin == market.coin:
            present.setdefault(current.slot, []).append(current)
    return [
        _Slot(key, wanted.get(key), tuple(sorted(present.get(key, ()), key=lambda order: order.cloid)))
        for key in sorted({**wanted, **present}, key=lambda key: (key.side.value, key.slot))
    ]


def _change(
    slot: _Slot,
    tolerance: _Tolerance,
    cancels: list[CancelWanted],
    modifies: list[ModifyWanted],
    places: list[PlaceWanted],
) -> None:
    """Add what makes one settled slot right."""
    wanted = slot.wanted
    if wanted is None:
        cancels.extend(CancelWanted(order.cloid, slot.key, "not wanted any more") for order in slot.orders)
        return
    if not slot.orders:
        places.append(PlaceWanted(slot.key, wanted.price_ticks, wanted.size_lots))
        return
    keeper = slot.keeper(tolerance)
    cancels.extend(
        CancelWanted(order.cloid, slot.key, f"surplus on its slot, {keeper.cloid} stays")
        for order in slot.orders
        if order.cloid != keeper.cloid
    )
    if not tolerance.accepts(keeper, wanted):
        modifies.append(ModifyWanted(keeper.cloid, slot.key, wanted.price_ticks, wanted.size_lots))


def _unsettled_reason(slot: _Slot) -> Reason:
    unknown = [order.cloid for order in slot.orders if order.is_unknown]
    if unknown:
        code, cloids = ReasonCode.SLOT_UNKNOWN, unknown
    else:
        code, cloids = ReasonCode.SLOT_BUSY, [order.cloid for order in slot.orders]
    return Reason(code, slot.key.coin, slot.key.side, slot.key.slot, ", ".join(cloids))
