"""Which of the venue's answers is about which of our subscriptions, and which feeds must be probed.

The venue echoes a subscription normalised: defaults filled in, keys it does not know dropped (protocol 2). So answers
are matched by what both sides say, and a default the venue invents tomorrow changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Subscription = Mapping[str, Any]
"""What goes into `{"method":"subscribe","subscription":…}`: `{"type":"l2Book","coin":"@107"}`."""

CADENCE_FEEDS = frozenset(
    {"l2Book", "allMids", "activeAssetCtx", "spotState", "clearinghouseState", "webData2"}
)
"""Feeds that show by themselves whether they live; every other may be silent for hours and is probed (D10)."""

_IDENTITY_KEYS = ("type", "coin", "user", "dex", "interval")


def name_of(subscription: Subscription) -> str:
    """For people: `l2Book:@107`, `orderUpdates`."""
    coin = subscription.get("coin")
    return f"{subscription.get('type')}:{coin}" if coin else str(subscription.get("type"))


def matches(ours: Subscription, echo: Subscription) -> bool:
    """True where the echo names our feed and contradicts none of our settings."""
    for key, value in ours.items():
        if key in echo:
            if not _is_same(value, echo[key]):
                return False
        elif key in _IDENTITY_KEYS and value:
            return False
    return True


def is_quoted(subscription: Subscription, request_text: str) -> bool:
    """True where a request of ours that the venue repeats was the one for this subscription."""
    try:
        request = msgspec.json.decode(request_text)
    except (ValueError, RecursionError):
        return False
    inner = request.get("subscription") if isinstance(request, dict) else None
    return isinstance(inner, dict) and matches(subscription, inner)


def _is_same(ours: object, theirs: object) -> bool:
    if isinstance(ours, str) and isinstance(theirs, str) and ours.startswith("0x"):
        return ours.lower() == theirs.lower()  # Addresses; in names of coins, case counts.
    return ours == theirs
