"""Running one admitted action inside a block: orders, cancels, modifies, and the reply to each element.

Elements run in array order, so what an earlier one holds a later one cannot use (protocol 12.2).
"""

from __future__ import annotations

from typing import Any

import attrs

from mmtrio.core.types import Address
from mmtrio.exchange.actions import Action, CancelAction, ModifyAction, NoopAction, OrderAction, OrderRequest
from mmtrio.exchange.floor import Placement, TradingFloor
from mmtrio.exchange.matching import Order
from mmtrio.exchange.refusals import (
    CANNOT_MODIFY,
    MISSING_ORDER,
    PlaceIntent,
    before_placing,
    lasting_refusal,
    passing_refusal,
)

Json = dict[str, Any]

LANE_RESTING, LANE_CANCELS, LANE_TAKING = 1, 2, 3


def lane(action: Action) -> int:
    """Which class of the block an action runs in (protocol 12.3): one GTC or IOC sends a whole batch to the last."""
    match action:
        case CancelAction():
            return LANE_CANCELS
        case OrderAction():
            takes = any(request.tif != "Alo" for request in action.orders)
        case ModifyAction():  # Without always_place a GTC becomes ALO, so only IOC could take.
            resting = ("Alo",) if action.is_always_place else ("Alo", "Gtc")
            takes = any(request.tif not in resting for _, request in action.modifies)
        case NoopAction():
            takes = False
    return LANE_TAKING if takes else LANE_RESTING


def whole_error(text: str) -> Json:
    """The reply that refuses a whole request, with HTTP status 200."""
    return {"status": "err", "response": text}


def payload_error(action: Action, text: str) -> Json:
    """The reply to a batch that was refused before its elements were looked at: one status for all of them. A single
    modify has no statuses (protocol 6.3)."""
    if isinstance(action, ModifyAction) and not action.is_batch:
        return whole_error(text)
    return _statuses("order", [{"error": text}])


def execute(floor: TradingFloor, user: Address, action: Action) -> Json:
    """Runs an action and returns the venue's reply."""
    match action:
        case OrderAction():
            return _statuses("order", [_place_status(floor, user, request) for request in action.orders])
        case CancelAction():
            return _statuses("cancel", [_cancel_status(floor, user, *target) for target in action.targets])
        case ModifyAction() if action.is_batch:
            return _statuses(
                "order", [_modify_status(floor, user, action, *pair) for pair in action.modifies]
            )
        case ModifyAction():
            status = _modify_status(floor, user, action, *action.modifies[0])
            return whole_error(status["error"]) if "error" in status else _default()
        case NoopAction():
            return _default()


def _statuses(kind: str, statuses: list[Any]) -> Json:
    return {"status": "ok", "response": {"type": kind, "data": {"statuses": statuses}}}


def _default() -> Json:
    return {"status": "ok", "response": {"type": "default"}}


def _place_status(floor: TradingFloor, user: Address, request: OrderRequest) -> Json:
    intent = before_placing(request, floor)
    if isinstance(intent, str):
        return {"error": intent}
    return _placement_status(floor, _place(floor, user, intent))


def _place(floor: TradingFloor, user: Address, intent: PlaceIntent) -> Placement:
    order = floor.new_order(
        user, intent.market, intent.side, intent.price_ticks, intent.size_lots, intent.tif, intent.cloid
    )
    refusal = lasting_refusal(intent, floor.params) or passing_refusal(order, floor)
    if refusal is not None:
        return floor.reject(order, refusal.status, refusal.text)
    return floor.place(order)


def _placement_status(floor: TradingFloor, placement: Placement) -> Json:
    if placement.error is not None:
        return {"error": placement.error}
    order, market = placement.order, floor.markets[placement.order.coin]
    cloid = {} if order.cloid is None else {"cloid": order.cloid}
    if placement.rests and (not placement.filled_lots or floor.params.partial_gtc_reply == "resting"):
        return {"resting": {"oid": order.oid, **cloid}}
    average = market.average_price_text(placement.notional_e8, placement.filled_lots)
    total = market.size_text(placement.filled_lots)
    return {"filled": {"totalSz": total, "avgPx": average, "oid": order.oid, **cloid}}


def _cancel_status(floor: TradingFloor, user: Address, asset: int, target: int | str) -> Json | str:
    order = floor.ledger.accounts[user].find_order(target)
    if order is None or floor.markets[order.coin].asset != asset:
        return {"error": f"{MISSING_ORDER} asset={asset}"}
    floor.withdraw(order)
    floor.tell(order, "canceled")
    return "success"


def _modify_status(
    floor: TradingFloor, user: Address, action: ModifyAction, target: int | str, request: OrderRequest
) -> Json:
    """Cancel and place in one: the new order has a new oid and stands at the end of its queue.

    What breaks a lasting rule leaves the old order alone. After that the old one is gone, also where the book or the
    balance then refuses the new one. The stream tells of the new order first, as the venue usually does.
    """
    old = floor.ledger.accounts[user].find_order(target)
    if old is None and not action.is_always_place:
        return {"error": CANNOT_MODIFY}
    intent = _modify_intent(floor, old, action.is_always_place, request)
    if isinstance(intent, str):
        return {"error": intent}
    if old is None or lasting_refusal(intent, floor.params) is not None:
        return _placement_status(floor, _place(floor, user, intent))
    floor.withdraw(old)
    placement = _place(floor, user, intent)
    floor.tell(old, "canceled")
    return _placement_status(floor, placement)


def _modify_intent(
    floor: TradingFloor, old: Order | None, is_always_place: bool, request: OrderRequest
) -> PlaceIntent | str:
    intent = before_placing(request, floor)
    if isinstance(intent, str):
        return intent
    if old is not None and (old.coin, old.side) != (intent.market.coin, intent.side):
        # That the venue refuses this is known, its words are not.
        return f"Order modify cannot change asset or side. asset={request.asset}"
    if is_always_place:
        return intent
    if intent.tif == "Ioc":
        return f"Order modify must be post only. asset={request.asset}"
    return attrs.evolve(intent, tif="Alo")
