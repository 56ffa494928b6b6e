"""From orders to the signed body of a request, and the official SDK's way as installed.

eth_account signs with coincurve where that is installed, and here it is: this is the SDK at its best.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from eth_account import Account
from hyperliquid.utils.signing import order_request_to_order_wire, order_wires_to_order_action, sign_l1_action
from hyperliquid.utils.types import Cloid as SdkCloid

from benchmarks.figures import Figure, against, side_by_side
from benchmarks.markets import HYPE_USDC
from mmtrio.client.keys import development_account
from mmtrio.client.signer import Signer
from mmtrio.core.events import Batch, BatchKind, PlaceItem
from mmtrio.core.types import CloidSource, Side, SlotKey
from mmtrio.wire.actions import action_of
from mmtrio.wire.decimals import wire_text

NONCE = 1_790_000_000_000
PRICE_TICKS = 35_000_000


def measure() -> Iterator[Figure]:
    yield from against("one order", side_by_side(_ways(1), rounds=40, calls=25))
    yield from against("a batch of 40", side_by_side(_ways(40), rounds=30, calls=5))


def _ways(order_count: int) -> dict[str, object]:
    cloids = CloidSource("0a0b0c0d", NONCE)
    items = tuple(
        PlaceItem(
            cloid=cloids.next(),
            slot=SlotKey("hip2", HYPE_USDC.coin, Side.BUY, slot),
            coin=HYPE_USDC.coin,
            side=Side.BUY,
            price_ticks=PRICE_TICKS + 1_000 * slot,
            size_lots=200,
        )
        for slot in range(order_count)
    )
    batch = Batch(1, BatchKind.PLACE, items, 15.0)
    account = development_account(0)
    signer = Signer(account.key, is_mainnet=False)
    markets = {HYPE_USDC.coin: HYPE_USDC}
    wallet = Account.from_key(account.private_key)
    requests = [
        {
            "coin": HYPE_USDC.coin,
            "is_buy": True,
            "sz": float(wire_text(item.size_lots, HYPE_USDC.size_decimals)),
            "limit_px": float(wire_text(item.price_ticks, HYPE_USDC.price_decimals)),
            "order_type": {"limit": {"tif": "Alo"}},
            "reduce_only": False,
            "cloid": SdkCloid.from_str(item.cloid),
        }
        for item in items
    ]

    def ours() -> bytes:
        return signer.envelope(action_of(batch, markets), NONCE, expires_after_ms=NONCE + 15_000)

    def sdk() -> bytes:
        wires = [order_request_to_order_wire(request, HYPE_USDC.asset) for request in requests]
        action = order_wires_to_order_action(wires)
        signature = sign_l1_action(wallet, action, None, NONCE, NONCE + 15_000, False)
        body = {
            "action": action,
            "nonce": NONCE,
            "signature": signature,
            "vaultAddress": None,
            "expiresAfter": NONCE + 15_000,
        }
        return json.dumps(body).encode()

    assert _numbers(ours()) == _numbers(sdk())
    return {"trio-mm": ours, "official SDK": sdk}


def _numbers(body: bytes) -> dict[str, object]:
    """The body with its signature as numbers: the SDK leaves out their leading zeros."""
    read = json.loads(body)
    signature = read["signature"]
    return read | {"signature": [int(signature["r"], 16), int(signature["s"], 16), signature["v"]]}
