"""What a run came to: the object that `trio-mm run --json` prints."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class QuoteStop:
    """One stretch of time in which a market did not quote after it had begun to."""

    coin: str
    reason: str
    silence_s: float
    """How long the account's feeds had been silent when it stopped."""
    stopped_s: float
    """How long it lasted, or had lasted when the run ended."""


@attrs.frozen
class MarketReport:
    """One market at the end. Numbers of the venue, read after the last cancel; decimals as text."""

    coin: str
    name: str
    asset: int
    base: str
    """Balance of the base token."""
    quote: str
    fills: int
    """Fills of this run's orders, as the venue lists them."""
    buys: int
    sells: int
    volume_quote: str
    fees_quote: str
    """Fees paid, those in base valued at the mid."""
    pnl_quote: str
    """Change of quote plus change of base at the last mid: what trading made, not what holding did."""
    mid: str | None


@attrs.frozen
class RunReport:
    """A whole run."""

    network: str
    seconds: float
    ticks: int
    fills: int
    volume_quote: str
    orders_placed: int
    orders_modified: int
    orders_cancelled: int
    reconnects: int
    reconciliations: int
    mismatches: int
    open_orders_at_exit: int | None
    """Orders of this instance resting at the venue after the last cancel; None where it could not be read."""
    pnl_quote: str
    requests_used: int
    """Of the address budget, by this run."""
    quote_stops: tuple[QuoteStop, ...]
    markets: tuple[MarketReport, ...]
    exit: int
    """0 fine, 1 anything else, 2 configuration, 3 venue, 4 clean-up unconfirmed."""
    unconfirmed: tuple[str, ...] = ()
    """Cloids of orders that may still rest."""

    def as_json(self) -> dict[str, Any]:
        """Plain values, in the order of the fields."""
        return attrs.asdict(self)
