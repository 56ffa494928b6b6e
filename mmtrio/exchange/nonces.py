"""Which nonces a signer may still use: the hundred highest are kept, and a window around the block time.

Source: protocol 9. One set per signing key: an agent has its own.
"""

from __future__ import annotations

from bisect import bisect_left

KEPT_MAX = 100
DAY_MS = 86_400_000
PAST_MAX_MS = 2 * DAY_MS
FUTURE_MAX_MS = DAY_MS


class NonceSet:
    """The nonces of one signer, in ascending order."""

    def __init__(self) -> None:
        self._kept: list[int] = []

    def refusal(self, nonce: int, block_ms: int) -> str | None:
        """The venue's text where it would not take this nonce, or None."""
        low_ms, high_ms = block_ms - PAST_MAX_MS, block_ms + FUTURE_MAX_MS
        if self._is_used(nonce):
            return f"Invalid nonce: duplicate nonce {nonce}"
        if len(self._kept) >= KEPT_MAX and nonce < self._kept[0]:
            return f"Invalid nonce: nonce too low {nonce} < {self._kept[0]}"
        if nonce <= low_ms:
            return f"Invalid nonce: nonce too low {nonce} < {low_ms}"
        if nonce >= high_ms:
            return f"Invalid nonce: nonce too high {nonce} > {high_ms}"  # The text for this side was never recorded.
        return None

    def use(self, nonce: int) -> None:
        """Burns a nonce that was not refused."""
        self._kept.insert(bisect_left(self._kept, nonce), nonce)
        if len(self._kept) > KEPT_MAX:
            del self._kept[0]

    def _is_used(self, nonce: int) -> bool:
        position = bisect_left(self._kept, nonce)
        return position < len(self._kept) and self._kept[position] == nonce
