"""From the changes that markets want to the batches that may leave now, with a reason for each that may not.

One emitter serves all markets of the account (D2): it spreads one tick's requests fairly over them, spends one
balance and one budget, and hands out the cloids. It forgets what it did not send: the desk asks again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from mmtrio.core.brakes import Brakes
from mmtrio.core.events import (
    BATCH_ITEMS_MAX,
    Batch,
    BatchKind,
    CancelItem,
    ItemOutcome,
    ModifyItem,
    Note,
    PlaceItem,
    Reason,
    ReasonCode,
)
from mmtrio.core.market import Market, MarketKind
from mmtrio.core.order_differ import Difference, ModifyWanted, PlaceWanted
from mmtrio.core.rate_limit import AddressBudget, IpWeight, batch_weight, batches_weight
from mmtrio.core.types import Amount, Cloid, CloidSource, Coin, Instant, Side, SlotKey, Token

EXPIRES_AFTER_S_MIN = 10.0
"""A shorter life would kill orders on a slow day, and each expired one costs five requests (protocol 11.2)."""


def _at_least(minimum: float) -> Callable[[object, attrs.Attribute[Any], float], None]:
    def check(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
        if not value >= minimum:  # `not >=` also refuses NaN.
            raise ValueError(f"{attribute.name} must be at least {minimum:g}, not {value:g}")

    return check


@attrs.frozen
class EmitterParams:
    """The pace of quoting."""

    items_per_tick_max: int = attrs.field(default=100, validator=_at_least(1))
    """Places and modifies that all markets together may send in one tick; cancels are not counted."""
    expires_after_s: float = attrs.field(default=15.0, validator=_at_least(EXPIRES_AFTER_S_MIN))
    """A place or modify that reaches the venue later than this is refused by it."""
    cooldown_s: float = attrs.field(default=30.0, validator=_at_least(0))
    rejects_before_cooldown: int = attrs.field(default=3, validator=_at_least(1))
    post_only_window_s: float = attrs.field(default=60.0, validator=_at_least(0))
    """How long after its last refusal the venue's post-only window is taken to last."""


class LiveOrder(Protocol):
    """What the emitter must know of an order that a modify replaces."""

    @property
    def cloid(self) -> Cloid: ...

    @property
    def price_ticks(self) -> int: ...

    @property
    def remaining_lots(self) -> int: ...


@attrs.frozen
class MarketWanted:
    """One market's wishes. Of a modify whose target is not among `orders`, the whole new order counts as growth."""

    market: Market
    difference: Difference
    orders: Sequence[LiveOrder] = ()


@attrs.frozen
class Plan:
    """What to send, in this order, and why the rest waits. The reasons of the `Difference` are not repeated."""

    batches: tuple[Batch, ...]
    reasons: tuple[Reason, ...]


@attrs.frozen
class _Wish:
    """A place or modify in the queue of its market, with what it needs beyond what is held for it already."""

    change: PlaceWanted | ModifyWanted
    need: Amount


@attrs.define
class _Allowance:
    """What this plan may still spend; counted down as wishes are granted."""

    free: dict[int, int]
    requests: int
    weight: int
    items: int
    modifies: int = 0
    places: int = 0

    def grant(self, wish: _Wish) -> None:
        if isinstance(wish.change, ModifyWanted):
            self.modifies += 1
        else:
            self.places += 1
        self.requests -= 1
        self.items -= 1
        token = wish.need.token.index
        self.free[token] = self.free.get(token, 0) - wish.need.units

    def weight_with(self, wish: _Wish) -> int:
        """IP weight of all that is granted, and this one."""
        is_modify = isinstance(wish.change, ModifyWanted)
        return batches_weight(self.modifies + is_modify) + batches_weight(self.places + (not is_modify))


@attrs.define
class BatchEmitter:
    """Makes batches. Same calls, same batches: nothing here depends on the order of a set or on chance."""

    params: EmitterParams
    cloids: CloidSource
    ticks: int = attrs.field(default=0, init=False)
    _batch_id: int = attrs.field(default=0, init=False)
    _items_left: int = attrs.field(init=False)
    _brakes: Brakes = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._items_left = self.params.items_per_tick_max
        self._brakes = Brakes(
            cooldown_s=self.params.cooldown_s,
            rejects_before_cooldown=self.params.rejects_before_cooldown,
            post_only_window_s=self.params.post_only_window_s,
        )

    def next_tick(self) -> None:
        """A tick began: its items may be spent, slots of refused post-only orders try again."""
        self.ticks += 1
        self._items_left = self.params.items_per_tick_max
        self._brakes.next_tick()

    def in_post_only_window(self, at: Instant) -> bool:
        """True for a while after the venue said that it takes nothing but post-only orders. Ours all are."""
        return self._brakes.in_post_only_window(at)

    def on_outcomes(
        self, batch: Batch, outcomes: Sequence[ItemOutcome], at: Instant, markets: Mapping[Coin, Market]
    ) -> tuple[Note, ...]:
        """Learn from what became of a batch: cooldowns, slots that wait, pauses. Returns remarks on what begins."""
        return self._brakes.on_outcomes(batch, outcomes, at, markets)

    # Planning

    def plan(
        self,
        wanted: Sequence[MarketWanted],
        *,
        free: Mapping[int, int],
        address: AddressBudget,
        ip: IpWeight,
        at: Instant,
    ) -> Plan:
        """Batches to send now: cancels, then modifies, then places; both budgets are charged for them.

        `free` is, by token index, the balance less the worst case of all that is out. Cancels and shrinking
        modifies add nothing to it before the venue confirms them (D7).
        """
        cancels = [
            (CancelItem(cancel.cloid, each.market.coin), cancel.slot)
            for each in wanted
            for cancel in each.difference.cancels
        ]
        batches, reasons = self._cancel(cancels, address, ip, at)
        allowance = _Allowance(
            free=dict(free),
            requests=address.places_allowed(at),
            weight=ip.available(at),
            items=self._items_left,
        )
        modifies: list[ModifyItem] = []
        places: list[PlaceItem] = []
        for market, wish in self._in_turn(wanted, allowance, address, ip, at, reasons):
            place = self._place_item(market, wish.change)
            if isinstance(wish.change, ModifyWanted):
                modifies.append(ModifyItem(wish.change.target, place))
            else:
                places.append(place)
        self._items_left = allowance.items
        batches += self._batches(BatchKind.MODIFY, modifies, address, ip, at)
        batches += self._batches(BatchKind.PLACE, places, address, ip, at)
        return Plan(tuple(batches), tuple(reasons))

    def cancel_batches(
        self, items: Sequence[CancelItem], at: Instant, address: AddressBudget, ip: IpWeight
    ) -> tuple[Batch, ...]:
        """The batches of `cancel_plan`: what the budgets do not let through now is to be asked for again."""
        return self.cancel_plan(items, at, address, ip).batches

    def cancel_plan(
        self, items: Sequence[CancelItem], at: Instant, address: AddressBudget, ip: IpWeight
    ) -> Plan:
        """Cancel these orders, for whatever reason. Waits for no cooldown, no cap and no reserve."""
        batches, reasons = self._cancel([(item, None) for item in items], address, ip, at)
        return Plan(tuple(batches), tuple(reasons))

    def _cancel(
        self,
        cancels: Sequence[tuple[CancelItem, SlotKey | None]],
        address: AddressBudget,
        ip: IpWeight,
        at: Instant,
    ) -> tuple[list[Batch], list[Reason]]:
        requests, weight = address.cancels_allowed(at), ip.available_to_cancels(at)
        granted: list[CancelItem] = []
        reasons: list[Reason] = []
        for item, slot in cancels:
            if len(granted) >= requests:
                code = ReasonCode.BUDGET_RESERVE
                detail = (
                    f"{item.cloid} waits: {address.used} requests used of {address.cancel_cap} for cancels"
                )
            elif batches_weight(len(granted) + 1) > weight:
                code = ReasonCode.IP_WEIGHT
                detail = f"{item.cloid} waits: {_weight_text(ip, at)}"
            else:
                granted.append(item)
                continue
            side, number = (slot.side, slot.slot) if slot is not None else (None, None)
            reasons.append(Reason(code, item.coin, side, number, f"cancel of {detail}"))
        return self._batches(BatchKind.CANCEL, granted, address, ip, at), reasons

    def _in_turn(
        self,
        wanted: Sequence[MarketWanted],
        allowance: _Allowance,
        address: AddressBudget,
        ip: IpWeight,
        at: Instant,
        reasons: list[Reason],
    ) -> Iterable[tuple[Market, _Wish]]:
        """Grant one wish of each market in turn until none is left; who begins moves on with every tick.

        Within a market modifies come first. A wish that must wait does not cost its market the turn.
        """
        start = self.ticks % len(wanted) if wanted else 0
        queues = [(each.market, deque(_wishes(each))) for each in (*wanted[start:], *wanted[:start])]
        while any(queue for _, queue in queues):
            for market, queue in queues:
                while queue:
                    wish = queue.popleft()
                    reason = self._obstacle(market, wish, allowance, address, ip, at)
                    if reason is None:
                        allowance.grant(wish)
                        yield market, wish
                        break
                    reasons.append(reason)

    def _obstacle(
        self,
        market: Market,
        wish: _Wish,
        allowance: _Allowance,
        address: AddressBudget,
        ip: IpWeight,
        at: Instant,
    ) -> Reason | None:
        """The first gate that is shut for this wish; None where all are open."""
        slot = wish.change.slot
        braked = self._brakes.blocking(slot, at)
        if braked is not None:
            return braked
        token = wish.need.token
        free_units = allowance.free.get(token.index, 0)
        if wish.need.units > max(0, free_units):
            code = ReasonCode.BALANCE_COMMITTED
            detail = f"needs {_text(token, wish.need.units)} {token.name}, {_text(token, free_units)} is free"
        elif allowance.requests <= 0:
            code = ReasonCode.BUDGET_RESERVE
            detail = _budget_text(address, at)
        elif allowance.weight_with(wish) > allowance.weight:
            code = ReasonCode.IP_WEIGHT
            detail = _weight_text(ip, at)
        elif allowance.items <= 0:
            code = ReasonCode.PER_TICK_CAP
            detail = f"{self.params.items_per_tick_max} items were sent in this tick"
        else:
            return None
        return Reason(code, market.coin, slot.side, slot.slot, detail)

    def _place_item(self, market: Market, change: PlaceWanted | ModifyWanted) -> PlaceItem:
        return PlaceItem(
            cloid=self.cloids.next(),
            slot=change.slot,
            coin=market.coin,
            side=change.slot.side,
            price_ticks=change.price_ticks,
            size_lots=change.size_lots,
        )  # ALO by default: all that rests is post-only.

    def _batches(
        self,
        kind: BatchKind,
        items: Sequence[PlaceItem | ModifyItem | CancelItem],
        address: AddressBudget,
        ip: IpWeight,
        at: Instant,
    ) -> list[Batch]:
        """Cut `items` into signed actions, and charge for them."""
        is_cancel = kind is BatchKind.CANCEL
        batches: list[Batch] = []
        for start in range(0, len(items), BATCH_ITEMS_MAX):
            chunk = tuple(items[start : start + BATCH_ITEMS_MAX])
            self._batch_id += 1
            batches.append(
                Batch(
                    id=self._batch_id,
                    kind=kind,
                    items=chunk,
                    expires_after_s=None if is_cancel else self.params.expires_after_s,
                )
            )
            address.charge(len(chunk), is_cancel, at)
            ip.charge(batch_weight(len(chunk)), at)
        return batches


def _wishes(each: MarketWanted) -> list[_Wish]:
    market, held = each.market, {order.cloid: order for order in each.orders}
    wishes = []
    for modify in each.difference.modifies:
        need = _cost(market, modify.slot.side, modify.price_ticks, modify.size_lots)
        order = held.get(modify.target)
        if order is not None:
            need -= _cost(market, modify.slot.side, order.price_ticks, order.remaining_lots)
        # Shrinking frees nothing before the venue confirms it.
        wishes.append(_Wish(modify, max(need, Amount(need.token, 0))))
    for place in each.difference.places:
        wishes.append(_Wish(place, _cost(market, place.slot.side, place.price_ticks, place.size_lots)))
    return wishes


def _cost(market: Market, side: Side, price_ticks: int, size_lots: int) -> Amount:
    """What an order holds: quote for a bid, base for an ask; on a perp, both hold their whole value in quote."""
    if side is Side.SELL and market.kind is MarketKind.SPOT:
        return market.base_amount(size_lots)
    return market.quote_amount(price_ticks, size_lots)


def _text(token: Token, units: int) -> str:
    """For people: exact, without the zeros at the end."""
    sign = "-" if units < 0 else ""
    whole, fraction = divmod(abs(units), 10**token.wei_decimals)
    decimals = f"{fraction:0{token.wei_decimals}d}".rstrip("0") if fraction else ""
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"


def _budget_text(address: AddressBudget, at: Instant) -> str:
    if not address.is_known:
        return "the venue has not said yet how many requests are left"
    text = (
        f"{address.used} of {address.cap} requests used, {address.remaining} left, "
        f"{address.params.address_reserve} of them for cancels"
    )
    drip_at = address.next_drip_at
    if drip_at is not None and drip_at.mono_ns > at.mono_ns:
        text += f"; one more passes in {drip_at.age_s(at):.1f} s"
    return text


def _weight_text(ip: IpWeight, at: Instant) -> str:
    return (
        f"{ip.used(at)} of {ip.params.ip_weight_per_minute} used within 60 s, {ip.params.ip_weight_reserve} kept "
        f"for cancels; the oldest returns in {ip.wait_s(at):.1f} s"
    )
