"""Commands -> the actions that are signed and sent.

The venue hashes an action with its keys in the order of its own structs, so the order here is part of the meaning:
other orders recover another signer. Numbers are the shortest decimal text for the same reason. Source: protocol 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmtrio.core.events import Batch, BatchKind, CancelItem, ModifyItem, PlaceItem
from mmtrio.core.market import Market
from mmtrio.core.types import Coin, Side
from mmtrio.wire.decimals import wire_text

Action = dict[str, Any]


def action_of(batch: Batch, markets: Mapping[Coin, Market]) -> Action:
    """The action of one batch: `order`, `batchModify` (its targets named by cloid) or `cancelByCloid`.

    Args:
        batch: what to do.
        markets: by wire name; must hold every market of the batch.
    """
    match batch.kind:
        case BatchKind.PLACE:
            orders = [
                order_params(item, markets[item.coin]) for item in batch.items if isinstance(item, PlaceItem)
            ]
            return {"type": "order", "orders": orders, "grouping": "na"}
        case BatchKind.MODIFY:
            modifies = [_modify_params(item, markets) for item in batch.items if isinstance(item, ModifyItem)]
            return {"type": "batchModify", "modifies": modifies}
        case BatchKind.CANCEL:
            cancels = [_cancel_params(item, markets) for item in batch.items if isinstance(item, CancelItem)]
            return {"type": "cancelByCloid", "cancels": cancels}


def order_params(item: PlaceItem, market: Market) -> dict[str, Any]:
    """One order, keys in hash order: asset, is-buy, price, size, reduce-only, type, cloid."""
    return {
        "a": market.asset,
        "b": item.side is Side.BUY,
        "p": wire_text(item.price_ticks, market.price_decimals),
        "s": wire_text(item.size_lots, market.size_decimals),
        "r": False,
        "t": {"limit": {"tif": item.time_in_force.value}},
        "c": item.cloid,
    }


def noop_action() -> Action:
    """Does nothing but use up its nonce, so that a request of the same nonce still in flight can never execute."""
    return {"type": "noop"}


def _modify_params(item: ModifyItem, markets: Mapping[Coin, Market]) -> dict[str, Any]:
    return {"oid": item.target_cloid, "order": order_params(item.order, markets[item.order.coin])}


def _cancel_params(item: CancelItem, markets: Mapping[Coin, Market]) -> dict[str, Any]:
    return {"asset": markets[item.coin].asset, "cloid": item.cloid}
