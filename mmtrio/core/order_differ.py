"""What is wanted against what is there: the smallest change that makes the venue agree.

Orders are matched by slot, so an order is moved by one modify and never by a cancel and a place, and a bid never
becomes an ask. A slot with an order whose state is not certain is left alone until it is.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

import attrs

from mmtrio.core.events import Reason, ReasonCode
from mmtrio.core.market import Market
from mmtrio.core.strategy import DesiredOrder, Quotes
from mmtrio.core.types import Cloid, Side, SlotKey

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


class OrdersBySlot(Protocol):
    """Where the differ finds what is there."""

    def __call__(self, slot: SlotKey) -> Sequence[DiffableOrder]: ...


class Differ:
    """What one strategy wants and has on one market, kept up slot by slot, so that a change costs what it changes.

    A slot that is as wanted, for certain, is put aside; it comes back when the wish for it or an order on it changes.
    The rest is looked at each time, because what to do about one slot depends on the others (the dead zone).
    """

    def __init__(self, strategy: str, market: Market, params: DifferParams) -> None:
        self._strategy = strategy
        self._coin = market.coin
        self._tolerance = _Tolerance(
            round(params.price_tolerance_bps * _PPM_PER_BPS),
            round(params.size_tolerance_pct * _PPM_PER_PERCENT),
        )
        self._dead_zone = attrs.evolve(
            self._tolerance, price_ppm=round(params.dead_zone_bps * _PPM_PER_BPS)
        )
        self._quotes = Quotes(())
        self._wanted: dict[Side, dict[int, DesiredOrder]] = {Side.BUY: {}, Side.SELL: {}}
        self._wishes_changed: dict[SlotKey, None] = {}
        self._not_as_wanted: dict[SlotKey, _Slot] = {}

    def wanted(self, side: Side) -> Collection[DesiredOrder]:
        """What is wanted on one side, in the strategy's order."""
        return self._wanted[side].values()

    def want(self, quotes: Quotes) -> list[DesiredOrder]:
        """Take in what the strategy wants now. Returns the orders that are not the very same as before.

        Raises:
            ValueError: two orders are wanted on one slot.
        """
        unchanged = quotes.orders == self._quotes.orders  # Fast where they are mostly the very same.
        self._quotes = quotes
        if unchanged:
            return []
        fresh: list[DesiredOrder] = []
        for side, before in self._wanted.items():
            now = {order.slot: order for order in quotes.orders if order.side is side}
            here = [order for level, order in now.items() if before.get(level) is not order]
            for level in (*(order.slot for order in here), *(before.keys() - now.keys())):
                self._wishes_changed[SlotKey(self._strategy, self._coin, side, level)] = None
            self._wanted[side] = now
            fresh += here
        if sum(map(len, self._wanted.values())) != len(quotes.orders):
            raise ValueError(f"two orders wanted on one slot: {_doubled(quotes.orders)}")
        return fresh

    def difference(self, orders_changed: Iterable[SlotKey], orders: OrdersBySlot) -> Difference:
        """The smallest change to what is wanted.

        `orders_changed` are the slots where an order came, changed or went since the last call; those of other
        strategies and markets are ignored. `orders` tells what is on a slot now.
        """
        for key in (*self._wishes_changed, *orders_changed):
            if key.strategy == self._strategy and key.coin == self._coin:
                self._look_at(key, orders)
        self._wishes_changed.clear()
        slots = [slot for _, slot in sorted(self._not_as_wanted.items(), key=_by_side_and_level)]
        reasons = [_unsettled_reason(slot) for slot in slots if slot.is_doubtful(self._tolerance)]
        settled = [slot for slot in slots if slot.is_settled]
        if all(slot.agrees(self._dead_zone) for slot in settled):
            settled = []
        cancels: list[CancelWanted] = []
        modifies: list[ModifyWanted] = []
        places: list[PlaceWanted] = []
        for slot in settled:
            _change(slot, self._tolerance, cancels, modifies, places)
        return Difference(
            tuple(cancels), tuple(modifies), tuple(places), (*self._quotes.reasons, *reasons)
        )

    def _look_at(self, key: SlotKey, orders: OrdersBySlot) -> None:
        present = tuple(sorted(orders(key), key=_cloid))
        slot = _Slot(key, self._wanted[key.side].get(key.slot), present)
        if slot.is_settled and slot.agrees(self._tolerance):
            self._not_as_wanted.pop(key, None)
        else:
            self._not_as_wanted[key] = slot


def difference(
    desired: Quotes,
    orders: Sequence[DiffableOrder],
    strategy: str,
    market: Market,
    params: DifferParams,
) -> Difference:
    """The smallest change from `orders` to `desired`, at one look; whoever looks again keeps a `Differ`.

    Raises:
        ValueError: two orders are wanted on one slot.
    """
    by_slot: dict[SlotKey, list[DiffableOrder]] = {}
    for order in orders:
        by_slot.setdefault(order.slot, []).append(order)
    differ = Differ(strategy, market, params)
    differ.want(desired)
    return differ.difference(by_slot, lambda slot: by_slot.get(slot, ()))


def _doubled(orders: Sequence[DesiredOrder]) -> str:
    seen: dict[tuple[Side, int], DesiredOrder] = {}
    for order in orders:
        first = seen.setdefault((order.side, order.slot), order)
        if first is not order:
            return f"{first} and {order}"
    return "the very same twice"


def _by_side_and_level(item: tuple[SlotKey, _Slot]) -> tuple[str, int]:
    return item[0].side.value, item[0].slot


def _cloid(order: DiffableOrder) -> Cloid:
    return order.cloid


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
