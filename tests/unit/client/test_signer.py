"""Signatures are the SDK's, the list of what is signed is short, nonces only grow."""

from __future__ import annotations

import json
import random

import msgspec
import pytest
from eth_account import Account
from hyperliquid.utils.signing import sign_l1_action

from mmtrio.client.keys import SecretKey
from mmtrio.client.signer import SIGNED_ACTIONS, ActionNotAllowed, NonceSource, Signer
from mmtrio.wire.signing import action_hash, l1_digest, recover
from tests.support.signing_vectors import ADDRESS, KEY, L1_VECTORS

VAULT = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"


def as_numbers(signature: dict[str, object]) -> tuple[int, int, object]:
    return int(str(signature["r"]), 16), int(str(signature["s"]), 16), signature["v"]


@pytest.mark.parametrize(
    "vector",
    [vector for vector in L1_VECTORS if vector[2]["type"] in SIGNED_ACTIONS],
    ids=lambda vector: vector[0],
)
def test_published_signatures_are_reproduced(vector):
    _, is_mainnet, action, nonce, vault, (r, s, v) = vector
    signer = Signer(SecretKey.from_hex(KEY), is_mainnet)
    envelope = json.loads(signer.envelope(action, nonce, vault))
    assert as_numbers(envelope["signature"]) == (int(r, 16), int(s, 16), v)
    assert signer.address == ADDRESS


def random_action(rng: random.Random) -> dict[str, object]:
    orders = [
        {
            "a": rng.randrange(20_000),
            "b": rng.random() < 0.5,
            "p": str(rng.randrange(1, 10**6)),
            "s": f"{rng.randrange(1, 10**6)}.5",
            "r": False,
            "t": {"limit": {"tif": rng.choice(["Alo", "Ioc", "Gtc"])}},
            "c": f"0x{rng.getrandbits(128):032x}",
        }
        for _ in range(rng.randrange(1, 5))
    ]
    cancels = [{"asset": order["a"], "cloid": order["c"]} for order in orders]
    return rng.choice(
        [
            {"type": "order", "orders": orders, "grouping": "na"},
            {"type": "cancelByCloid", "cancels": cancels},
            {"type": "batchModify", "modifies": [{"oid": order["c"], "order": order} for order in orders]},
            {"type": "noop"},
            {"type": "scheduleCancel", "time": rng.randrange(2**41)},
        ]
    )


@pytest.mark.parametrize("seed", range(20))
def test_every_envelope_carries_the_signature_the_official_sdk_would_make(seed):
    rng = random.Random(seed)
    action, nonce = random_action(rng), rng.randrange(2**41)
    vault, expires_after_ms = rng.choice([None, VAULT]), rng.choice([None, nonce + 15_000])
    is_mainnet = rng.random() < 0.5
    body = Signer(SecretKey.from_hex(KEY), is_mainnet).envelope(action, nonce, vault, expires_after_ms)
    envelope = json.loads(body)
    theirs = sign_l1_action(Account.from_key(KEY), action, vault, nonce, expires_after_ms, is_mainnet)
    assert as_numbers(envelope["signature"]) == as_numbers(theirs)
    assert envelope["action"] == action and list(envelope["action"]) == list(action)
    assert (envelope["nonce"], envelope["vaultAddress"], envelope["expiresAfter"]) == (
        nonce,
        vault,
        expires_after_ms,
    )


def test_the_signer_is_recovered_from_what_was_sent():
    body = Signer(SecretKey.from_hex(KEY), True).envelope({"type": "noop"}, 7)
    envelope = msgspec.json.decode(body)
    digest = l1_digest(action_hash(envelope["action"], envelope["nonce"], None, None), True)
    assert recover(digest, *as_numbers(envelope["signature"])) == ADDRESS


@pytest.mark.parametrize(
    "kind", ["usdSend", "withdraw3", "spotSend", "sendAsset", "approveAgent", "vaultTransfer", "", None, 7]
)
def test_whatever_moves_funds_or_rights_is_not_signed(kind):
    with pytest.raises(ActionNotAllowed):
        Signer(SecretKey.from_hex(KEY), True).envelope({"type": kind}, 1)


def test_nonces_follow_venue_time_and_never_repeat_or_fall():
    source = NonceSource()
    assert [source.next(ms) for ms in (1000, 1000, 1000, 500, 2000, -5)] == [
        1000,
        1001,
        1002,
        1003,
        2000,
        2001,
    ]
    assert NonceSource(last=5000).next(1000) == 5001
