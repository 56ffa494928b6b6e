"""What is signed, and who signed it: hashes, digests and recovery for every kind of action.

No key comes here: `client/signer.py` signs the digests of this module, the local exchange recovers signers from
them. Source: protocol 8; equal to the official SDK's on all its vectors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs
import msgspec
from coincurve import PublicKey
from sha3 import keccak_256

from mmtrio.core.types import Address

FieldTypes = Sequence[tuple[str, str]]
"""(name, EIP-712 type) of each signed field, in order."""

_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HEX_256 = re.compile("0x[0-9a-fA-F]{1,64}")
_encode_msgpack = msgspec.msgpack.Encoder().encode


def keccak(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (not SHA3-256, whose padding differs)."""
    digest: bytes = keccak_256(data).digest()
    return digest


# ---------------------------------------------------------------------------------------------------------------
# L1 actions: orders, cancels, everything an agent may sign


def action_hash(
    action: Mapping[str, Any], nonce: int, vault: str | None, expires_after_ms: int | None
) -> bytes:
    """The connection id of an L1 action: keccak over its MessagePack bytes, nonce, vault and expiry.

    The order of keys in `action` counts, at every depth. The expiry's marker is 0x00, like that of "no vault", and
    nothing at all is appended without one: odd, and what the venue does.

    Raises:
        ValueError: the action holds what MessagePack cannot (an integer beyond 64 bits, ...), the nonce or expiry
            is not an unsigned 64-bit integer, or the vault is not an address.
    """
    try:
        packed = _encode_msgpack(action)
        preimage = packed + nonce.to_bytes(8, "big")
        preimage += b"\x00" if vault is None else b"\x01" + _address_bytes(vault)
        if expires_after_ms is not None:
            preimage += b"\x00" + expires_after_ms.to_bytes(8, "big")
    except (OverflowError, TypeError, RecursionError, AttributeError) as error:
        raise ValueError(f"the action cannot be hashed: {error}") from error
    return keccak(preimage)


def l1_digest(connection_id: bytes, is_mainnet: bool) -> bytes:
    """The EIP-712 digest to sign for an L1 action: a "phantom agent" whose source names the network."""
    source = _SOURCE_MAINNET if is_mainnet else _SOURCE_TESTNET
    return keccak(_L1_PREFIX + keccak(_AGENT_TYPE_HASH + source + connection_id))


# ---------------------------------------------------------------------------------------------------------------
# User-signed actions: transfers, approvals; the account's own key only


@attrs.frozen
class UserSignedKind:
    """How one kind of user-signed action is spelled as EIP-712 typed data."""

    primary_type: str
    fields: FieldTypes
    nonce_field: str
    """Which field repeats the envelope's nonce."""


def _user_signed_kind(name: str, nonce_field: str, *fields: tuple[str, str]) -> UserSignedKind:
    all_fields = (("hyperliquidChain", "string"), *fields, (nonce_field, "uint64"))
    return UserSignedKind(f"HyperliquidTransaction:{name}", all_fields, nonce_field)


_DESTINATION_AND_AMOUNT = (("destination", "string"), ("amount", "string"))

USER_SIGNED_KINDS: Mapping[str, UserSignedKind] = MappingProxyType(
    {
        "usdSend": _user_signed_kind("UsdSend", "time", *_DESTINATION_AND_AMOUNT),
        "withdraw3": _user_signed_kind("Withdraw", "time", *_DESTINATION_AND_AMOUNT),
        "spotSend": _user_signed_kind(
            "SpotSend", "time", ("destination", "string"), ("token", "string"), ("amount", "string")
        ),
        "usdClassTransfer": _user_signed_kind(
            "UsdClassTransfer", "nonce", ("amount", "string"), ("toPerp", "bool")
        ),
        "sendAsset": _user_signed_kind(
            "SendAsset",
            "nonce",
            ("destination", "string"),
            ("sourceDex", "string"),
            ("destinationDex", "string"),
            ("token", "string"),
            ("amount", "string"),
            ("fromSubAccount", "string"),
        ),
        "approveAgent": _user_signed_kind(
            "ApproveAgent", "nonce", ("agentAddress", "address"), ("agentName", "string")
        ),
        "approveBuilderFee": _user_signed_kind(
            "ApproveBuilderFee", "nonce", ("maxFeeRate", "string"), ("builder", "address")
        ),
    }
)
"""By the `type` of the action. Source: protocol 8.2."""


def user_signed_digest(primary_type: str, fields: FieldTypes, action: Mapping[str, Any]) -> bytes:
    """The EIP-712 digest to sign for a user-signed action.

    The chain id of the domain is the action's own `signatureChainId`. An `agentName` that the JSON leaves out was
    signed as the empty string (protocol 8.2); any other field must be there.

    Raises:
        ValueError: a field is missing or not of its type.
    """
    signature = ",".join(f"{kind} {name}" for name, kind in fields)
    encoded = keccak(f"{primary_type}({signature})".encode())
    for name, kind in fields:
        value = action.get(name, "" if name == "agentName" else None)
        encoded += _encode_field(name, kind, value)
    return keccak(b"\x19\x01" + _user_signed_domain(action) + keccak(encoded))


def _user_signed_domain(action: Mapping[str, Any]) -> bytes:
    chain_id_text = action.get("signatureChainId")
    if not isinstance(chain_id_text, str):
        raise ValueError("signatureChainId must be a hex number in text")
    return _domain_hash("HyperliquidSignTransaction", int(chain_id_text, 16))


def _encode_field(name: str, kind: str, value: object) -> bytes:
    match kind, value:
        case "string", str():
            return keccak(value.encode())
        case "bool", bool():
            return int(value).to_bytes(32, "big")
        case "uint64", int() if not isinstance(value, bool) and 0 <= value < 1 << 64:
            return value.to_bytes(32, "big")
        case "address", str():
            return bytes(12) + _address_bytes(value)
    raise ValueError(f"{name} must be of type {kind}, not {value!r}")


# ---------------------------------------------------------------------------------------------------------------
# Who signed


@attrs.frozen
class Signature:
    """An ECDSA signature as it travels: r and s as numbers, since the SDK's hex is not zero padded."""

    r: int
    s: int
    v: int

    @classmethod
    def from_json(cls, value: object) -> Signature:
        """Reads `{"r": "0x..", "s": "0x..", "v": 27}`.

        Raises:
            ValueError: it is anything else.
        """
        match value:
            case {"r": str(r), "s": str(s), "v": int(v)} if _HEX_256.fullmatch(r) and _HEX_256.fullmatch(s):
                return cls(int(r, 16), int(s, 16), v)
        raise ValueError("a signature is an object of r and s in hex and v as a number")

    def to_json(self) -> dict[str, str | int]:
        """The form the venue and every SDK take, zero padded."""
        return {"r": f"0x{self.r:064x}", "s": f"0x{self.s:064x}", "v": self.v}


def recover(digest: bytes, r: int, s: int, v: int) -> Address:
    """The address whose key signed `digest`. A wrong digest gives a wrong address, not an error.

    Raises:
        ValueError: these numbers are not a signature over 32 bytes.
    """
    if len(digest) != 32:
        raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
    if v not in (27, 28) or not 0 < r < _CURVE_ORDER or not 0 < s < _CURVE_ORDER:
        raise ValueError("not an ECDSA signature: r, s or v out of range")
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v - 27])
    try:
        public_key = PublicKey.from_signature_and_message(signature, digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception where r is not on the curve.
        raise ValueError(f"no key can have made this signature: {error}") from error
    return address_of(public_key.format(compressed=False))


def address_of(public_key_bytes: bytes) -> Address:
    """The address of an uncompressed public key (65 bytes with the 0x04 marker, or the 64 after it).

    Raises:
        ValueError: it is neither.
    """
    if len(public_key_bytes) == 65 and public_key_bytes[0] == 4:
        public_key_bytes = public_key_bytes[1:]
    if len(public_key_bytes) != 64:
        raise ValueError(f"not an uncompressed public key: {len(public_key_bytes)} bytes")
    return Address("0x" + keccak(public_key_bytes)[12:].hex())


def _address_bytes(address: str) -> bytes:
    if not isinstance(address, str) or len(address) != 42 or not address.startswith("0x"):
        raise ValueError(f"not an address: {address!r}")
    raw = bytes.fromhex(address[2:])
    if len(raw) != 20:  # fromhex skips blanks.
        raise ValueError(f"not an address: {address!r}")
    return raw


def _domain_hash(name: str, chain_id: int) -> bytes:
    """EIP-712 domain separator, version 1, verifying contract zero."""
    if not 0 <= chain_id < 1 << 256:
        raise ValueError(f"not a chain id: {chain_id}")
    return keccak(
        _DOMAIN_TYPE_HASH + keccak(name.encode()) + keccak(b"1") + chain_id.to_bytes(32, "big") + bytes(32)
    )


_DOMAIN_TYPE_HASH = keccak(
    b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
_AGENT_TYPE_HASH = keccak(b"Agent(string source,bytes32 connectionId)")
_SOURCE_MAINNET = keccak(b"a")
_SOURCE_TESTNET = keccak(b"b")
_L1_PREFIX = b"\x19\x01" + _domain_hash("Exchange", 1337)  # The chain id is 1337 on both networks.
