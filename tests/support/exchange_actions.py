"""Talking to an engine in tests: actions as clients write them, signed by the official SDK's own code."""

from __future__ import annotations

from typing import Any

from eth_account import Account
from hyperliquid.utils.signing import sign_l1_action

from mmtrio.core.types import Address
from mmtrio.exchange.development_accounts import DEVELOPMENT_ACCOUNTS
from mmtrio.exchange.engine import Block, Engine, EngineParams, Immediate
from mmtrio.exchange.world import World, default_world

Json = dict[str, Any]

START_MS = 1_764_842_873_000
HYPE = 10107
PURR = 10000
ALICE, BOB, CAROL = (account.address for account in DEVELOPMENT_ACCOUNTS[:3])


def cloid_of(number: int) -> str:
    return f"0x{number:032x}"


def order(
    is_buy: bool,
    price: str,
    size: str,
    tif: str = "Gtc",
    *,
    asset: int = HYPE,
    cloid: str | None = None,
    reduce_only: bool = False,
) -> Json:
    row: Json = {
        "a": asset,
        "b": is_buy,
        "p": price,
        "s": size,
        "r": reduce_only,
        "t": {"limit": {"tif": tif}},
    }
    if cloid is not None:
        row["c"] = cloid
    return row


def buy(price: str, size: str, tif: str = "Gtc", **more: Any) -> Json:
    return order(True, price, size, tif, **more)


def sell(price: str, size: str, tif: str = "Gtc", **more: Any) -> Json:
    return order(False, price, size, tif, **more)


def place(*orders: Json) -> Json:
    return {"type": "order", "orders": list(orders), "grouping": "na"}


def cancel(*oids: int, asset: int = HYPE) -> Json:
    return {"type": "cancel", "cancels": [{"a": asset, "o": oid} for oid in oids]}


def cancel_by_cloid(*cloids: str, asset: int = HYPE) -> Json:
    return {"type": "cancelByCloid", "cancels": [{"asset": asset, "cloid": cloid} for cloid in cloids]}


def batch_modify(*pairs: tuple[int | str, Json], always: bool = False) -> Json:
    action: Json = {
        "type": "batchModify",
        "modifies": [{"oid": target, "order": row} for target, row in pairs],
    }
    return action | {"a": True} if always else action


def modify(target: int | str, row: Json) -> Json:
    return {"type": "modify", "oid": target, "order": row}


def signed(
    action: Json,
    nonce: int,
    *,
    account: int = 0,
    expires_after_ms: int | None = None,
    vault: str | None = None,
    is_mainnet: bool = False,
) -> Json:
    """A whole /exchange body, signed as the official SDK signs."""
    wallet = Account.from_key(DEVELOPMENT_ACCOUNTS[account].private_key)
    signature = sign_l1_action(wallet, action, vault, nonce, expires_after_ms, is_mainnet)
    return {
        "action": action,
        "nonce": nonce,
        "signature": signature,
        "vaultAddress": vault,
        "expiresAfter": expires_after_ms,
    }


class Venue:
    """An engine with a clock that moves one block at a time."""

    def __init__(self, world: World | None = None, params: EngineParams | None = None) -> None:
        self.engine = Engine(world or default_world(3), seed=1, params=params, start_ms=START_MS)
        self.now_ms = START_MS
        self.last: Block | None = None

    def block(self) -> Block:
        self.now_ms += self.engine.params.block_ms
        self.last = self.engine.run_block(self.now_ms)
        self.engine.check_invariants()
        return self.last

    def act(self, user: Address, action: Json) -> Json:
        """The reply to one action in a block of its own."""
        ticket = self.engine.submit_direct(user, action, self.now_ms)
        return dict(self.block().replies)[ticket]

    def statuses(self, user: Address, action: Json) -> list[Any]:
        reply = self.act(user, action)
        return reply["response"]["data"]["statuses"]

    def place(self, user: Address, *orders: Json) -> list[Any]:
        return self.statuses(user, place(*orders))

    def oid(self, user: Address, row: Json) -> int:
        """The oid of an order that rests."""
        return self.place(user, row)[0]["resting"]["oid"]

    def refused(self, body: Json) -> Immediate:
        outcome = self.engine.submit(body, self.now_ms)
        assert isinstance(outcome, Immediate), outcome
        return outcome

    def accepted(self, body: Json) -> Json:
        """The reply to a signed body in a block of its own."""
        outcome = self.engine.submit(body, self.now_ms)
        assert not isinstance(outcome, Immediate), outcome
        return dict(self.block().replies)[outcome]

    def info(
        self, request_type: str, user: Address | None = None, *, lag_ms: int | None = 0, **more: Any
    ) -> Any:
        request = {"type": request_type, **more} | ({"user": user} if user else {})
        return self.engine.info(request, self.now_ms, lag_ms=lag_ms)

    def told(self, user: Address) -> list[tuple[int, str, str]]:
        """(oid, status, remaining size) of one user's order updates in the last block."""
        assert self.last is not None
        return [
            (update["order"]["oid"], update["status"], update["order"]["sz"])
            for address, update in self.last.order_updates
            if address == user
        ]
