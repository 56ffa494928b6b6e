"""How the local venue behaves where the real one has a number or where its behaviour is not established."""

from __future__ import annotations

from typing import Literal

import attrs

from mmtrio.exchange.accounts import FeeRates

MIN_NOTIONAL_QUOTE = 10
"""The venue takes no order worth less, in quote (protocol 10)."""


@attrs.frozen
class EngineParams:
    """Defaults follow protocol.md; what it calls not established is said so here."""

    block_ms: int = 70
    """Used by whoever runs the blocks; the engine itself takes blocks as they come."""
    rest_lag_ms: int = 500
    """How far /info lags behind the streams in all that concerns one account."""
    fees: FeeRates = attrs.field(factory=FeeRates)
    price_band_pct: int = 80
    """A price further from the reference is refused before the batch is looked at (older texts say 95)."""
    min_notional_quote: int = MIN_NOTIONAL_QUOTE
    open_orders_max: int = 1000
    """Per account, and one more per 5,000,000 dollars it has traded, up to 5000; the house is not counted."""
    ended_orders_max: int = 2000
    """How many ended orders `orderStatus` remembers, by count."""
    fills_max: int = 10_000
    house_records_max: int = 500
    """Fills and ended orders kept of a house participant."""
    trades_max: int = 500
    are_rejections_pushed: bool = False
    """Whether orders refused at placement appear on `orderUpdates`: not established."""
    partial_gtc_reply: Literal["resting", "filled"] = "resting"
    """The reply for a GTC order that fills partly and then rests: not established."""
