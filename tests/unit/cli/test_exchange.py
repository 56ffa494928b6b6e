"""What `trio-mm exchange` says about itself and about the requests it gets."""

from __future__ import annotations

from typing import Any

import msgspec

from mmtrio.cli.exchange import describe_action
from mmtrio.client.keys import development_account
from mmtrio.client.signer import Signer
from mmtrio.exchange.market_rules import SpotMarket
from mmtrio.exchange.world import default_world

MARKETS: dict[int, SpotMarket] = {market.asset: market for market in default_world(1).markets}
ORDER = {"a": 10107, "b": True, "p": "34.9", "s": "1", "r": False, "t": {"limit": {"tif": "Alo"}}}


def signed(action: dict[str, Any], **more: Any) -> Any:
    signer = Signer(development_account(0).key, is_mainnet=False)
    return msgspec.json.decode(signer.envelope(action, 1_700_000_000_000, **more))


def test_a_request_is_one_line_with_kind_coin_count_account_and_expiry() -> None:
    body = signed(
        {"type": "order", "orders": [ORDER, ORDER | {"a": 10000}], "grouping": "na"},
        expires_after_ms=1_700_000_015_000,
    )

    assert describe_action(body, MARKETS) == (
        "kind=order coins=@107,PURR/USDC items=2 account=0xf39f…2266 nonce=1700000000000 expires_ms=1700000015000"
    )


def test_cancels_and_modifies_name_their_coin_too() -> None:
    cloid = "0x" + "00" * 16
    cancel = signed({"type": "cancelByCloid", "cancels": [{"asset": 10107, "cloid": cloid}]})
    modify = signed({"type": "batchModify", "modifies": [{"oid": cloid, "order": ORDER}]})

    assert describe_action(cancel, MARKETS).startswith(
        "kind=cancelByCloid coins=@107 items=1 account=0xf39f…2266"
    )
    assert describe_action(modify, MARKETS).startswith(
        "kind=batchModify coins=@107 items=1 account=0xf39f…2266"
    )


def test_nonsense_is_a_line_as_well() -> None:
    for body in (
        None,
        [],
        {},
        {"action": 3},
        {"action": {"type": "order", "orders": [3, {"a": []}, {"order": 1}]}},
    ):
        assert describe_action(body, MARKETS).startswith("kind=")


def test_a_request_without_expiry_says_so() -> None:
    cancel = signed({"type": "cancel", "cancels": [{"a": 10107, "o": 7}]})

    assert describe_action(cancel, MARKETS).endswith("expires_ms=-")
    assert describe_action(cancel | {"expiresAfter": None}, MARKETS).endswith("expires_ms=-")
