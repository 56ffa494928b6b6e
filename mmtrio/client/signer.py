"""The one holder of a signing key: signs an allow-list of trading actions, and hands out nonces.

Transfers, withdrawals and approvals are not on the list: whatever goes wrong above, this process moves no funds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import attrs
import msgspec

from mmtrio.client.keys import SecretKey
from mmtrio.core.types import Address
from mmtrio.wire.signing import action_hash, l1_digest

SIGNED_ACTIONS = frozenset(
    {
        "order",
        "batchModify",
        "modify",
        "cancel",
        "cancelByCloid",
        "noop",
        "scheduleCancel",
        "updateLeverage",
    }
)

_encode_json = msgspec.json.Encoder().encode


class ActionNotAllowed(ValueError):
    """This process does not sign actions of that type."""


class Signer:
    """Signs L1 actions of SIGNED_ACTIONS for one network. Does not show its key in any form."""

    __slots__ = ("address", "is_mainnet", "_sign")

    def __init__(self, key: SecretKey, is_mainnet: bool) -> None:
        self.address: Address = key.address
        """The address of the key: the account's own, or its agent's."""
        self.is_mainnet = is_mainnet
        self._sign: Callable[[bytes], bytes] = key.signing_function()

    def envelope(
        self,
        action: Mapping[str, Any],
        nonce: int,
        vault: str | None = None,
        expires_after_ms: int | None = None,
    ) -> bytes:
        """The body of a POST to /exchange: the action, signed.

        `vault` is the vault or subaccount acted for, in lower case; `expires_after_ms` is in venue time.

        Raises:
            ActionNotAllowed: not a type on the list.
            ValueError: the action cannot be hashed.
        """
        if action.get("type") not in SIGNED_ACTIONS:
            raise ActionNotAllowed(f"actions of type {action.get('type')!r} are not signed by this process")
        connection_id = action_hash(action, nonce, vault, expires_after_ms)
        signature = self._sign(l1_digest(connection_id, self.is_mainnet))
        return _encode_json(
            {
                "action": action,
                "nonce": nonce,
                "signature": {
                    "r": "0x" + signature[:32].hex(),
                    "s": "0x" + signature[32:64].hex(),
                    "v": 27 + signature[64],
                },
                "vaultAddress": vault,
                "expiresAfter": expires_after_ms,
            }
        )

    def __repr__(self) -> str:
        return f"<signer {self.address} for {'mainnet' if self.is_mainnet else 'a test network'}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signer is neither copied nor pickled")


@attrs.define
class NonceSource:
    """Nonces of one key: unique and ascending, near venue time (protocol 9).

    The venue keeps the 100 highest per key and takes only what lies between two days before and one day after its
    own clock, so venue time goes in, not ours (D1). One source per key; a key is used by one process.
    """

    last: int = 0
    """The highest one used; after a restart, the high-water mark of the run before."""

    def next(self, venue_ms: int) -> int:
        self.last = max(self.last + 1, venue_ms)
        return self.last
