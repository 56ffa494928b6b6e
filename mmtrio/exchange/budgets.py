"""The address budget: how many actions an account may send for what it has traded. And the weights of the IP budget.

Source: protocol 11. A batch of n costs n. Refusals cost nothing, except an expired action: five times its price.
"""

from __future__ import annotations

import attrs

from mmtrio.wire.decimals import venue_text, wire_text

START_BUDGET = 10_000
CANCEL_EXTRA = 100_000
DRIP_MS = 10_000
EXPIRED_FACTOR = 5


@attrs.define
class RequestBudget:
    """One account's use. What it may use depends on its volume, which the caller knows."""

    used: int = 0
    _admitted_ms: int | None = None
    """When the last action was admitted that was not a cancel below its ceiling: the drip counts from here."""

    def refusal(self, volume_e8: int, *, is_cancel: bool, now_ms: int) -> str | None:
        """The venue's text where an action would be one too many, or None."""
        limit = request_cap(volume_e8)
        if is_cancel:
            limit = cancel_cap(limit)
        if self.used < limit or self._drip_is_due(now_ms):
            return None
        volume_text = wire_text(volume_e8 // 1_000_000, 2)
        return (
            f"Too many cumulative requests sent ({self.used} > {limit - 1}) for cumulative volume traded "
            f"${volume_text}. Place taker orders to free up 1 request per USDC traded."
        )

    def charge(self, n_requests: int, volume_e8: int, *, is_cancel: bool, now_ms: int) -> None:
        """Books an admitted action."""
        limit = request_cap(volume_e8)
        if not is_cancel or self.used >= cancel_cap(limit):
            self._admitted_ms = now_ms
        self.used += n_requests

    def charge_expired(self, n_requests: int) -> None:
        """Books an action that came after its `expiresAfter`."""
        self.used += EXPIRED_FACTOR * n_requests

    def charge_late(self, n_requests: int) -> None:
        """Books what is still missing where an action expired between its acceptance and its block."""
        self.used += (EXPIRED_FACTOR - 1) * n_requests

    def _drip_is_due(self, now_ms: int) -> bool:
        return self._admitted_ms is None or now_ms - self._admitted_ms >= DRIP_MS

    def report(self, volume_e8: int) -> dict[str, object]:
        """The answer to `userRateLimit`."""
        return {
            "cumVlm": venue_text(volume_e8, 8),
            "nRequestsUsed": self.used,
            "nRequestsCap": request_cap(volume_e8),
            "nRequestsSurplus": 0,
        }


def request_cap(volume_e8: int) -> int:
    """All actions but cancels: 10,000 and one per dollar ever traded."""
    return START_BUDGET + volume_e8 // 10**8


def cancel_cap(cap: int) -> int:
    """The ceiling of cancels over the normal one."""
    return min(cap + CANCEL_EXTRA, 2 * cap)


_LIGHT_INFO = (
    "l2Book",
    "allMids",
    "clearinghouseState",
    "orderStatus",
    "spotClearinghouseState",
    "exchangeStatus",
)
_ROW_INFO = ("recentTrades", "historicalOrders", "userFills", "userFillsByTime")


def info_weight(request_type: object, n_rows: int = 0) -> int:
    """IP weight of an /info request; some answers cost one more per twenty rows."""
    if request_type == "userRole":
        return 60
    if request_type in _LIGHT_INFO:
        return 2
    return 20 + (n_rows // 20 if request_type in _ROW_INFO else 0)


def action_weight(n_elements: int) -> int:
    """IP weight of an /exchange request with so many orders, cancels or modifies."""
    return 1 + n_elements // 40
