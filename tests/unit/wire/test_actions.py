"""Batches are spelled with their keys in the order the venue hashes."""

from __future__ import annotations

import json

import pytest

from mmtrio.core.events import Batch, BatchKind, CancelItem, ModifyItem, PlaceItem, TimeInForce
from mmtrio.core.types import Coin, Side
from mmtrio.wire.actions import action_of, noop_action, order_params
from tests.support.builders import cloid, market, place_item, purr_market

_HYPE = market()
_MARKETS = {_HYPE.coin: _HYPE, Coin("PURR/USDC"): purr_market()}


def _batch(kind: BatchKind, *items: PlaceItem | ModifyItem | CancelItem) -> Batch:
    return Batch(id=1, kind=kind, items=items, expires_after_s=15.0)


def test_places_become_post_only_orders_in_hash_order() -> None:
    bid = place_item(cloid(0xA1), price_ticks=34_900_000, size_lots=200)
    ask = place_item(cloid(0xA2), side=Side.SELL, price_ticks=35_000_000, size_lots=1)
    action = action_of(_batch(BatchKind.PLACE, bid, ask), _MARKETS)
    assert json.dumps(action, separators=(",", ":")) == (
        '{"type":"order","orders":['
        '{"a":10107,"b":true,"p":"34.9","s":"2","r":false,"t":{"limit":{"tif":"Alo"}},'
        '"c":"0x000000000000000000000000000000a1"},'
        '{"a":10107,"b":false,"p":"35","s":"0.01","r":false,"t":{"limit":{"tif":"Alo"}},'
        '"c":"0x000000000000000000000000000000a2"}'
        '],"grouping":"na"}'
    )


def test_modifies_name_their_target_by_cloid_and_give_the_new_order_its_own() -> None:
    new = place_item(cloid(2), coin="PURR/USDC", price_ticks=14_000_000, size_lots=100)
    action = action_of(_batch(BatchKind.MODIFY, ModifyItem(target_cloid=cloid(1), order=new)), _MARKETS)
    assert json.dumps(action, separators=(",", ":")) == (
        '{"type":"batchModify","modifies":[{"oid":"0x00000000000000000000000000000001","order":'
        '{"a":10000,"b":true,"p":"0.14","s":"100","r":false,"t":{"limit":{"tif":"Alo"}},'
        '"c":"0x00000000000000000000000000000002"}}]}'
    )


def test_cancels_use_the_long_keys_and_keep_their_order() -> None:
    items = (CancelItem(cloid(3), Coin("@107")), CancelItem(cloid(1), Coin("PURR/USDC")))
    action = action_of(_batch(BatchKind.CANCEL, *items), _MARKETS)
    assert json.dumps(action, separators=(",", ":")) == (
        '{"type":"cancelByCloid","cancels":['
        '{"asset":10107,"cloid":"0x00000000000000000000000000000003"},'
        '{"asset":10000,"cloid":"0x00000000000000000000000000000001"}]}'
    )


def test_a_noop_says_only_that() -> None:
    assert noop_action() == {"type": "noop"}


@pytest.mark.parametrize("time_in_force", TimeInForce)
def test_the_time_in_force_travels_in_the_venues_spelling(time_in_force: TimeInForce) -> None:
    item = place_item(cloid(1))
    item = PlaceItem(
        item.cloid, item.slot, item.coin, item.side, item.price_ticks, item.size_lots, time_in_force
    )
    assert order_params(item, _HYPE)["t"] == {"limit": {"tif": time_in_force.value}}
