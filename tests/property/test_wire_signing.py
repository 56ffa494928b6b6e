"""Whatever is signed, our hash is the official SDK's, and we name the signer it had."""

from __future__ import annotations

from typing import Any

import pytest
from coincurve import PrivateKey
from eth_account.messages import encode_typed_data
from hyperliquid.utils.signing import action_hash as sdk_action_hash
from hyperliquid.utils.signing import construct_phantom_agent, l1_payload
from hypothesis import given, settings
from hypothesis import strategies as st

from mmtrio.core.events import Batch, BatchKind, CancelItem, ModifyItem, PlaceItem, TimeInForce
from mmtrio.core.types import Cloid, Coin, Side, SlotKey
from mmtrio.wire.actions import action_of
from mmtrio.wire.signing import Signature, action_hash, keccak, l1_digest, recover
from tests.support.builders import market, purr_market
from tests.support.signing_vectors import ADDRESS, KEY

_KEY = PrivateKey(bytes.fromhex(KEY[2:]))
_MARKETS = {Coin("@107"): market(), Coin("PURR/USDC"): purr_market()}

_CLOIDS = st.integers(min_value=0, max_value=(1 << 128) - 1).map(lambda number: Cloid(f"0x{number:032x}"))
_COINS = st.sampled_from(sorted(_MARKETS))
_POSITIVE = st.integers(min_value=1, max_value=10**15)


@st.composite
def _places(draw: st.DrawFn) -> PlaceItem:
    coin, side = draw(_COINS), draw(st.sampled_from(Side))
    return PlaceItem(
        cloid=draw(_CLOIDS),
        slot=SlotKey("hip2", coin, side, 0),
        coin=coin,
        side=side,
        price_ticks=draw(_POSITIVE),
        size_lots=draw(_POSITIVE),
        time_in_force=draw(st.sampled_from(TimeInForce)),
    )


@st.composite
def _batches(draw: st.DrawFn) -> Batch:
    kind = draw(st.sampled_from(BatchKind))
    items: dict[BatchKind, st.SearchStrategy[Any]] = {
        BatchKind.PLACE: _places(),
        BatchKind.MODIFY: st.builds(ModifyItem, _CLOIDS, _places()),
        BatchKind.CANCEL: st.builds(CancelItem, _CLOIDS, _COINS),
    }
    return Batch(1, kind, tuple(draw(st.lists(items[kind], min_size=1, max_size=20))), None)


_JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(1 << 63), max_value=(1 << 64) - 1)
    | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=40), inner, max_size=20),
    max_leaves=20,
)
_ACTIONS = _batches().map(lambda batch: action_of(batch, _MARKETS)) | st.dictionaries(
    st.text(max_size=10), _JSON_VALUES, max_size=5
)
_NONCES = st.integers(min_value=0, max_value=(1 << 64) - 1)
_VAULTS = st.none() | st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex())
_EXPIRIES = st.none() | _NONCES


@settings(max_examples=200)
@given(action=_ACTIONS, nonce=_NONCES, vault=_VAULTS, expires_after_ms=_EXPIRIES)
def test_every_action_hashes_as_the_sdk_hashes_it(
    action: dict[str, Any], nonce: int, vault: str | None, expires_after_ms: int | None
) -> None:
    assert action_hash(action, nonce, vault, expires_after_ms) == sdk_action_hash(
        action, vault, nonce, expires_after_ms
    )


@settings(max_examples=40)
@given(connection_id=st.binary(min_size=32, max_size=32), is_mainnet=st.booleans())
def test_every_digest_is_the_sdks_and_its_signer_is_recovered(connection_id: bytes, is_mainnet: bool) -> None:
    payload = l1_payload(construct_phantom_agent(connection_id, is_mainnet))
    typed = encode_typed_data(full_message=payload)
    digest = l1_digest(connection_id, is_mainnet)
    assert digest == keccak(b"\x19\x01" + typed.header + typed.body)

    raw = _KEY.sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big")
    assert recover(digest, r, s, raw[64] + 27) == ADDRESS


@given(
    digest=st.binary(min_size=0, max_size=40),
    r=st.integers() | st.integers(min_value=1, max_value=(1 << 256) - 1),
    s=st.integers() | st.integers(min_value=1, max_value=(1 << 256) - 1),
    v=st.sampled_from([26, 27, 28, 29, -1]),
)
def test_any_numbers_recover_an_address_or_are_a_value_error(digest: bytes, r: int, s: int, v: int) -> None:
    try:
        address = recover(digest, r, s, v)
    except ValueError:
        return
    assert len(address) == 42


@given(
    r=st.integers(min_value=0, max_value=(1 << 256) - 1), s=st.integers(min_value=0, max_value=(1 << 256) - 1)
)
def test_a_signature_travels_unchanged_padded_or_not(r: int, s: int) -> None:
    signature = Signature(r, s, 27)
    assert Signature.from_json(signature.to_json()) == signature
    assert Signature.from_json({"r": hex(r), "s": hex(s), "v": 27}) == signature


@given(value=_JSON_VALUES)
def test_any_value_is_a_signature_or_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):
        Signature.from_json(value)
