"""What a strategy sees and what it answers.

A strategy declares the orders it wants; the engine makes the venue agree. It is called on every tick and fill with a
`View` and answers with `Quotes`; it holds no order ids, sends nothing, and never learns how its wishes are carried
out. Same view, same answer: it reads no clock and rolls no die.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import attrs

from mmtrio.core.events import BookRead, Level, Reason
from mmtrio.core.market import Market
from mmtrio.core.types import Amount, Instant, Side


@attrs.frozen
class DesiredOrder:
    """One order a strategy wants to rest. `slot` names its place in the strategy's picture and is its identity."""

    side: Side
    slot: int
    price_ticks: int
    size_lots: int


@attrs.frozen
class OwnOrder:
    """One of our orders that is, or may be, on the venue, as a strategy sees it."""

    side: Side
    slot: int
    price_ticks: int
    size_lots: int
    """Remaining."""
    is_certain: bool
    """False while its state is unknown or a request about it is in flight."""


@attrs.frozen
class View:
    """Everything a strategy may base its quotes on.

    `base` and `quote` are what is allocated to this market, holds of its own orders included: what the strategy may
    spread over its levels, not what is free at this instant.
    """

    market: Market
    at: Instant
    base: Amount
    quote: Amount
    own_orders: Sequence[OwnOrder] = ()
    bid: Level | None = None
    ask: Level | None = None
    book: BookRead | None = None


@attrs.frozen
class Quotes:
    """The orders a strategy wants now, and why others are missing. At most one order per (side, slot)."""

    orders: tuple[DesiredOrder, ...]
    reasons: tuple[Reason, ...] = ()


@runtime_checkable
class Strategy(Protocol):
    """Plug in a strategy by giving it these three things."""

    @property
    def name(self) -> str:
        """Part of every order's identity; letters, digits and dashes."""

    @property
    def requires_market_data(self) -> bool:
        """True where quoting must stop while the market's feeds are not live."""

    def quote(self, view: View) -> Quotes:
        """The orders wanted now. May raise: the market is suspended, its orders are withdrawn, the others go on."""


@runtime_checkable
class Summarises(Protocol):
    """A strategy that can say in a few words how it stands. It need not."""

    def summary(self, view: View) -> str:
        """`key=value` pairs for a log line."""
