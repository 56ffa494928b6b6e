"""The reply to a batch -> what became of each of its items.

`status: ok` does not mean success: every item has a status of its own. What a reply does not say about an item is
UNKNOWN and never "no". Source: protocol 7 and 16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmtrio.core.events import (
    Batch,
    BatchKind,
    CancelItem,
    ItemOutcome,
    ModifyItem,
    OutcomeKind,
    PlaceItem,
    Refusal,
)
from mmtrio.core.market import Market
from mmtrio.core.types import Cloid, Coin
from mmtrio.wire.codec import excerpt_of
from mmtrio.wire.decimals import scaled
from mmtrio.wire.refusals import classify
from mmtrio.wire.rows import Undecodable, cloid_of

_WAITING = ("waitingForFill", "waitingForTrigger")
"""Accepted, and given no oid yet."""

Item = PlaceItem | ModifyItem | CancelItem


def batch_result(batch: Batch, reply: Any, markets: Mapping[Coin, Market]) -> tuple[ItemOutcome, ...]:
    """One outcome per item of `batch`, in their order.

    One error for many items speaks of all of them: the venue checks what it can before it looks at items. Fewer
    statuses than items leave the rest UNKNOWN; more of them leave all UNKNOWN, as nobody can say which is whose.

    Args:
        batch: what was sent.
        reply: the parsed body over REST, or the payload of an action's reply over the WebSocket.
        markets: by wire name; must hold every market of the batch.

    Raises:
        Undecodable: the reply has none of the venue's shapes.
    """
    match reply:
        case {"status": "err", "response": response}:
            text = response if isinstance(response, str) else excerpt_of(response)
            return tuple(_refused(_cloid(item), text) for item in batch.items)
        case {"status": "ok", "response": {"type": "default"}}:
            return tuple(_accepted_without_details(batch.kind, _cloid(item)) for item in batch.items)
        case {"status": "ok", "response": {"data": {"statuses": [*statuses]}}}:
            return _from_statuses(batch, statuses, markets)
    raise Undecodable(f"a reply to a batch of a shape unknown to us: {excerpt_of(reply)}")


def _from_statuses(
    batch: Batch, statuses: Sequence[Any], markets: Mapping[Coin, Market]
) -> tuple[ItemOutcome, ...]:
    items = batch.items
    if len(statuses) > len(items):
        text = f"{len(statuses)} statuses for {len(items)} items"
        return tuple(_unknown(_cloid(item), text) for item in items)
    if len(statuses) == 1 and _is_error(statuses[0]):
        statuses = [statuses[0]] * len(items)
    outcomes = [_outcome(item, status, markets) for item, status in zip(items, statuses, strict=False)]
    missing = items[len(statuses) :]
    return (*outcomes, *(_unknown(_cloid(item), "the reply says nothing about it") for item in missing))


def _outcome(item: Item, status: Any, markets: Mapping[Coin, Market]) -> ItemOutcome:
    cloid = _cloid(item)
    match status:
        case {"error": str(text)}:
            return _refused(cloid, text)
        case "success" if isinstance(item, CancelItem):
            return ItemOutcome(cloid, OutcomeKind.CANCELLED)
        case {"resting": {"oid": int(oid)} as details} if _is_about(item, details):
            return ItemOutcome(cloid, OutcomeKind.RESTING, oid=oid)
        case {"filled": {"oid": int(oid), "totalSz": str(size)} as details} if _is_about(item, details):
            return _filled(item, cloid, oid, size, markets)
        case str() if status in _WAITING and not isinstance(item, CancelItem):
            return ItemOutcome(cloid, OutcomeKind.RESTING, text=status)
    return _unknown(cloid, excerpt_of(status))


def _filled(item: Item, cloid: Cloid, oid: int, size: str, markets: Mapping[Coin, Market]) -> ItemOutcome:
    order = item.order if isinstance(item, ModifyItem) else item
    try:
        filled_lots = scaled(size, markets[order.coin].size_decimals)
    except ValueError as error:
        return _unknown(cloid, str(error))
    if filled_lots <= 0:
        return _unknown(cloid, f"filled {size}")
    return ItemOutcome(cloid, OutcomeKind.FILLED, oid=oid, filled_lots=filled_lots)


def _is_about(item: Item, details: Mapping[str, Any]) -> bool:
    """False for a cancel, and where the venue echoes another order's cloid."""
    echo = details.get("cloid")
    if isinstance(item, CancelItem) or not isinstance(echo, str | None):
        return False
    return echo is None or cloid_of(echo) == _cloid(item)


def _is_error(status: Any) -> bool:
    return isinstance(status, dict) and isinstance(status.get("error"), str)


def _accepted_without_details(kind: BatchKind, cloid: Cloid) -> ItemOutcome:
    """A modify may be answered by a bare "default"; its new oid then comes from `orderUpdates`."""
    if kind is BatchKind.MODIFY:
        return ItemOutcome(cloid, OutcomeKind.RESTING, text="default")
    return _unknown(cloid, "default")


def _refused(cloid: Cloid, text: str) -> ItemOutcome:
    refusal: Refusal = classify(text)
    return ItemOutcome(cloid, OutcomeKind.REFUSED, refusal=refusal, text=text)


def _unknown(cloid: Cloid, text: str) -> ItemOutcome:
    return ItemOutcome(cloid, OutcomeKind.UNKNOWN, text=text)


def _cloid(item: Item) -> Cloid:
    """Of the order placed or cancelled; of a modify, the new one."""
    return item.order.cloid if isinstance(item, ModifyItem) else item.cloid
