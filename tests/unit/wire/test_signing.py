"""What we hash and recover is what the official SDK hashes and recovers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account.messages import encode_typed_data
from hyperliquid.utils.signing import user_signed_payload

from mmtrio.wire.signing import (
    USER_SIGNED_KINDS,
    Signature,
    action_hash,
    address_of,
    keccak,
    l1_digest,
    recover,
    user_signed_digest,
)
from tests.support.signing_vectors import (
    ADDRESS,
    CONNECTION_ID_OF_FIRST,
    KEY,
    L1_VECTORS,
    USER_SIGNED_VECTORS,
)

_FIXTURE = Path(__file__).parents[4] / "shared/fixtures/signing/signing-vectors.json"
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def _sign(digest: bytes) -> Signature:
    raw = PrivateKey(bytes.fromhex(KEY[2:])).sign_recoverable(digest, hasher=None)
    return Signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64] + 27)


def _numbers(r: str, s: str, v: int) -> Signature:
    return Signature(int(r, 16), int(s, 16), v)


@pytest.mark.parametrize(("name", "is_mainnet", "action", "nonce", "vault", "rsv"), L1_VECTORS)
def test_l1_signatures_equal_the_sdks(
    name: str,
    is_mainnet: bool,
    action: dict[str, Any],
    nonce: int,
    vault: str | None,
    rsv: tuple[str, str, int],
) -> None:
    digest = l1_digest(action_hash(action, nonce, vault, None), is_mainnet)
    assert _sign(digest) == _numbers(*rsv)
    expected = _numbers(*rsv)
    assert recover(digest, expected.r, expected.s, expected.v) == ADDRESS


def test_the_connection_id_of_a_real_order_is_the_published_one() -> None:
    order = {"a": 4, "b": True, "p": "1670.1", "s": "0.0147", "r": False, "t": {"limit": {"tif": "Ioc"}}}
    action = {"type": "order", "orders": [order], "grouping": "na"}
    assert action_hash(action, 1677777606040, None, None) == bytes.fromhex(CONNECTION_ID_OF_FIRST[2:])


@pytest.mark.parametrize(("name", "kind", "action", "rsv"), USER_SIGNED_VECTORS)
def test_user_signed_signatures_equal_the_sdks(
    name: str, kind: str, action: dict[str, Any], rsv: tuple[str, str, int]
) -> None:
    spelling = USER_SIGNED_KINDS[kind]
    digest = user_signed_digest(spelling.primary_type, spelling.fields, action)
    assert _sign(digest) == _numbers(*rsv)


@pytest.mark.skipif(not _FIXTURE.exists(), reason="the shared fixtures are not beside this repository")
def test_every_shared_vector_is_reproduced() -> None:
    vectors = json.loads(_FIXTURE.read_text())
    for vector in vectors["l1_official"] + vectors["l1_derived"]:
        digested = action_hash(
            vector["action"], vector["nonce"], vector["vaultAddress"], vector["expiresAfter"]
        )
        expected_id = vector.get("connectionId") or vector["derived_connectionId"]
        assert "0x" + digested.hex() == expected_id, vector["name"]
        for network in ("mainnet", "testnet"):
            digest = l1_digest(digested, network == "mainnet")
            keys = [key for key in vector if "signature" in key and network in key]
            assert keys, vector["name"]
            for key in keys:
                assert _sign(digest) == _numbers(**vector[key]), (vector["name"], key)
            digest_key = next(key for key in vector if "eip712_digest" in key and network in key)
            assert "0x" + digest.hex() == vector[digest_key], vector["name"]


_SAMPLE_ACTIONS: list[tuple[str, dict[str, Any]]] = [
    ("usdSend", {"destination": "0x" + "5e" * 20, "amount": "1", "time": 1687816341423}),
    ("withdraw3", {"destination": "0x" + "5e" * 20, "amount": "1.5", "time": 1}),
    (
        "spotSend",
        {
            "destination": "0x" + "0f" * 20,
            "token": "PURR:0x" + "c1" * 16,
            "amount": "100",
            "time": 1700000000000,
        },
    ),
    ("usdClassTransfer", {"amount": "10", "toPerp": True, "nonce": 1700000000001}),
    ("usdClassTransfer", {"amount": "10 subaccount:0x" + "ab" * 20, "toPerp": False, "nonce": 2}),
    (
        "sendAsset",
        {
            "destination": "0x" + "01" * 20,
            "sourceDex": "",
            "destinationDex": "spot",
            "token": "USDC:0x" + "6d" * 16,
            "amount": "1",
            "fromSubAccount": "",
            "nonce": 3,
        },
    ),
    ("approveAgent", {"agentAddress": "0x" + "aA" * 20, "agentName": "bot één", "nonce": 4}),
    ("approveAgent", {"agentAddress": "0x" + "aa" * 20, "agentName": "", "nonce": 5}),
    ("approveBuilderFee", {"maxFeeRate": "0.001%", "builder": "0x" + "8c" * 20, "nonce": (1 << 64) - 1}),
]


@pytest.mark.parametrize(("kind", "fields"), _SAMPLE_ACTIONS)
@pytest.mark.parametrize("chain", [("Mainnet", "0xa4b1"), ("Testnet", "0x66eee")])
def test_user_signed_digests_equal_those_of_eth_account(
    kind: str, fields: dict[str, Any], chain: tuple[str, str]
) -> None:
    action = {"type": kind, "hyperliquidChain": chain[0], "signatureChainId": chain[1], **fields}
    spelling = USER_SIGNED_KINDS[kind]
    types = [{"name": name, "type": kind_of_field} for name, kind_of_field in spelling.fields]
    typed = encode_typed_data(full_message=user_signed_payload(spelling.primary_type, types, action))
    expected = keccak(b"\x19\x01" + typed.header + typed.body)
    assert user_signed_digest(spelling.primary_type, spelling.fields, action) == expected


def test_an_unnamed_agent_was_signed_with_an_empty_name() -> None:
    action = {
        "hyperliquidChain": "Testnet",
        "signatureChainId": "0x66eee",
        "agentAddress": "0x" + "aa" * 20,
        "nonce": 5,
    }
    kind = USER_SIGNED_KINDS["approveAgent"]
    named = user_signed_digest(kind.primary_type, kind.fields, {**action, "agentName": ""})
    assert user_signed_digest(kind.primary_type, kind.fields, action) == named


@pytest.mark.parametrize(
    "broken",
    [
        {"amount": None},
        {"amount": 1},
        {"time": "1687816341423"},
        {"time": -1},
        {"time": 1 << 64},
        {"time": True},
        {"signatureChainId": None},
        {"signatureChainId": "chain"},
        {"signatureChainId": "-0x1"},
        {"destination": None},
    ],
)
def test_a_user_signed_action_with_a_broken_field_is_refused(broken: dict[str, Any]) -> None:
    _, kind, action, _ = USER_SIGNED_VECTORS[0]
    spelling = USER_SIGNED_KINDS[kind]
    with pytest.raises(ValueError):
        user_signed_digest(spelling.primary_type, spelling.fields, {**action, **broken})


def test_the_order_of_keys_changes_the_hash() -> None:
    straight, swapped = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert action_hash(straight, 1, None, None) != action_hash(swapped, 1, None, None)


def test_vault_and_expiry_are_part_of_the_hash() -> None:
    vault = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
    hashes = {
        action_hash({"type": "noop"}, 1, vault_or_none, expiry)
        for vault_or_none in (None, vault)
        for expiry in (None, 1)
    }
    assert len(hashes) == 4


def test_capitals_in_a_vault_do_not_change_the_hash() -> None:
    vault = "0x1719884eb866cb12b2287399b15f7db5e7d775ea"
    shouted = "0x" + vault[2:].upper()
    assert action_hash({}, 1, vault, None) == action_hash({}, 1, shouted, None)


@pytest.mark.parametrize(
    ("action", "nonce", "vault", "expires_after_ms"),
    [
        ({"type": "order", "x": 1 << 64}, 0, None, None),
        ({"x": "\ud800"}, 0, None, None),
        ({}, -1, None, None),
        ({}, 1 << 64, None, None),
        ({}, "1", None, None),
        ({}, 0, "0x12", None),
        ({}, 0, "0x" + "zz" * 20, None),
        ({}, 0, "0x" + "ab " * 13 + "a", None),
        ({}, 0, 7, None),
        ({}, 0, None, -1),
    ],
)
def test_what_cannot_be_hashed_is_a_value_error(
    action: dict[str, Any], nonce: Any, vault: Any, expires_after_ms: Any
) -> None:
    with pytest.raises(ValueError):
        action_hash(action, nonce, vault, expires_after_ms)


@pytest.mark.parametrize(
    ("r", "s", "v"),
    [
        (0, 1, 27),
        (1, 0, 27),
        (_CURVE_ORDER, 1, 27),
        (1, _CURVE_ORDER, 28),
        (-1, 1, 27),
        (1 << 300, 1, 27),
        (5, 1, 27),  # No point of the curve has x = 5.
        (1, 1, 26),
        (1, 1, 29),
        (1, 1, 0),
    ],
)
def test_numbers_that_are_no_signature_recover_nobody(r: int, s: int, v: int) -> None:
    with pytest.raises(ValueError):
        recover(keccak(b"text"), r, s, v)


def test_a_digest_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        recover(b"short", 1, 1, 27)


def test_the_address_of_the_published_key_is_the_published_one() -> None:
    public_key = PrivateKey(bytes.fromhex(KEY[2:])).public_key.format(compressed=False)
    assert address_of(public_key) == ADDRESS
    assert address_of(public_key[1:]) == ADDRESS


@pytest.mark.parametrize("raw", [b"", b"\x02" + bytes(32), b"\x05" + bytes(64), bytes(63)])
def test_bytes_that_are_no_public_key_have_no_address(raw: bytes) -> None:
    with pytest.raises(ValueError):
        address_of(raw)


def test_unpadded_hex_reads_as_the_same_signature() -> None:
    padded = {"r": "0x0" + "5" * 63, "s": "0x" + "7" * 64, "v": 28}
    unpadded = {"r": "0x" + "5" * 63, "s": "0x" + "7" * 64, "v": 28}
    assert Signature.from_json(unpadded) == Signature.from_json(padded)
    assert Signature.from_json(unpadded).to_json() == padded


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"r": 1, "s": 2, "v": 27},
        {"r": "1", "s": "2", "v": 27},
        {"r": "0x", "s": "0x2", "v": 27},
        {"r": "0x1", "s": "0x2", "v": "27"},
        {"r": "0x1", "s": "0x" + "2" * 65, "v": 27},
        {"r": "0x1_1", "s": "0x2", "v": 27},
    ],
)
def test_a_malformed_signature_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):
        Signature.from_json(value)
