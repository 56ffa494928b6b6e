"""One order of ours, and what is known and what is doubted about it."""

from __future__ import annotations

import enum
from typing import Literal

import attrs

from mmtrio.core.events import FillKey
from mmtrio.core.types import Cloid, Coin, Instant, Side, SlotKey


class OrderPhase(enum.Enum):
    PENDING = "pending"
    """Sent, unanswered."""
    RESTING = "resting"
    UNKNOWN = "unknown"
    """It may rest, may still land or may be over; nobody knows (D3). Or it is over and fills are owed (settling)."""
    ENDED = "ended"


@attrs.define
class Doubts:
    """Why an order's state is uncertain, and the hints collected so far. Forgotten as soon as it is confirmed."""

    since: Instant | None = None
    """When its state became unknown."""
    is_change: bool = False
    """It certainly rested; unknown is what a cancel or a modify did to it."""
    asked_at: Instant | None = None
    """When `orderStatus` was last asked for."""
    denied_at: Instant | None = None
    """Request time of the first `orderStatus` that did not know it."""
    is_denied: bool = False
    """Two such answers, far enough apart."""
    absent_at: Instant | None = None
    """Request time of the first snapshot of open orders without it."""
    is_absent: bool = False
    """Two such snapshots, far enough apart."""
    is_explained: bool = False
    """An outage, a catch-up or a request of ours accounts for the absence: no mismatch."""
    looked_at: Instant | None = None
    """When a second look at the open orders was last asked for."""
    alive_at: Instant | None = None
    """Request time of the first sight of an order that we know as over."""


@attrs.define
class OwedFills:
    """Fills the venue has spoken of and not delivered (D6)."""

    since: Instant
    asked_at: Instant | None = None
    asked_count: int = 0


@attrs.define
class SizeDoubt:
    """The venue's remaining size differs from ours, as first seen."""

    requested_at: Instant
    venue_lots: int
    filled_lots: int
    is_told: bool = False


@attrs.define(eq=False)
class Order:
    """One incarnation on the venue: one cloid. The slot is the lasting identity; a modify makes a second order.

    Only `OrderRegistry` changes it; everyone else reads.
    """

    slot: SlotKey
    cloid: Cloid
    coin: Coin
    side: Side
    price_ticks: int
    original_lots: int
    sent_at: Instant
    expires_at: Instant | None = None
    """After it a request of unknown outcome cannot land any more; None: it can for ever."""
    replaces: Cloid | None = None
    replaced_by: Cloid | None = None

    phase: OrderPhase = OrderPhase.PENDING
    filled_lots: int = 0
    filled_at: Instant | None = None
    """When a fill was last counted to it."""
    oid: int | None = None
    status: str = ""
    """The venue's last word, or ours where it gave none."""
    status_ms: int | None = None
    """Venue time of that word."""
    pending: Literal["cancel", "modify"] | None = None
    """A request about this order is in flight."""
    pending_batch_id: int | None = None
    is_answered: bool = False
    """The request that places it has an outcome, be it unknown."""
    is_known_to_venue: bool = False
    """Proven to have existed there: an ack, an update, a fill, a snapshot."""
    is_on_stream: bool = False
    """`orderUpdates` has spoken of it."""
    is_cancel_requested: bool = False
    confirmed_at: Instant | None = None
    """When the venue last told us that it rests."""
    placed_ms: int | None = None

    settling_since: Instant | None = None
    """The venue has said that it is over; fills are owed, or the size at its end is."""
    stated_filled_lots: int | None = None
    """How much of it was filled when it ended, as the venue states it with a terminal status (D7)."""
    promised_lots: int = 0
    """How much of it is filled by any other word of the venue: a `filled` reply, a smaller resting size."""
    disbelieved_lots: int = 0
    """Promises up to here were asked after in vain."""
    ended_at: Instant | None = None
    is_end_proven: bool = False
    """Ended by fills or by the venue's terminal status, and not only for want of any sign of it."""
    is_end_noted: bool = False

    doubts: Doubts = attrs.field(factory=Doubts, repr=False)
    owed: OwedFills | None = attrs.field(default=None, repr=False)
    size_doubt: SizeDoubt | None = attrs.field(default=None, repr=False)
    fill_keys: dict[FillKey, None] = attrs.field(factory=dict, repr=False)

    @property
    def remaining_lots(self) -> int:
        """What may still fill. Never negative, whatever the venue delivers."""
        return max(0, self.original_lots - self.filled_lots)

    @property
    def is_live(self) -> bool:
        """It may rest, may still land, or fills of it are owed: it counts against balances and holds its slot."""
        return self.phase is not OrderPhase.ENDED

    @property
    def is_settling(self) -> bool:
        return self.settling_since is not None

    @property
    def may_rest(self) -> bool:
        """It may be in the venue's book now or later."""
        return self.is_live and not self.is_settling

    @property
    def is_busy(self) -> bool:
        """A request about it is in flight, or its last fills are: leave its slot alone."""
        return self.phase is OrderPhase.PENDING or self.pending is not None or self.is_settling

    @property
    def is_unknown(self) -> bool:
        return self.phase is OrderPhase.UNKNOWN and not self.is_settling

    @property
    def expected_lots(self) -> int:
        """How much of it is filled by the venue's word; more than `filled_lots` while fills are owed."""
        if self.stated_filled_lots is not None:
            return self.stated_filled_lots
        return min(self.promised_lots, self.original_lots)

    @property
    def is_over(self) -> bool:
        """The venue has said that it does not rest any more. A late `open` says nothing against it."""
        return self.is_settling or (self.phase is OrderPhase.ENDED and self.is_end_proven)
