"""All that enters a desk and all that leaves it.

Events are facts, named as such; commands are requests. Each is a frozen attrs class that cannot be built wrong, and
each encodes to one JSON line and back (`event_log.py`), so that a run can be recorded, replayed and compared.

Nothing here knows the venue's wire: prices are ticks, sizes lots, balances units; `wire/translation.py` makes the
events, `wire/actions.py` spells the commands.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from mmtrio.core.types import Address, Cloid, Coin, Instant, Side, SlotKey

SCHEMA_VERSION = 1


def _positive(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value <= 0:
        raise ValueError(f"{type(instance).__name__}.{attribute.name} must be positive, not {value}")


def _not_negative(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise ValueError(f"{type(instance).__name__}.{attribute.name} must not be negative, not {value}")


class SessionName(enum.Enum):
    """The two WebSocket connections of a running maker. One unknown coin closes a whole socket, so they are two."""

    ACCOUNT = "account"
    MARKET = "market"


# ---------------------------------------------------------------------------------------------------------------
# Events: the passing of time and the state of connections


@attrs.frozen
class Tick:
    """`interval_s` has passed."""


@attrs.frozen
class Heartbeat:
    """The watchdog looks: deadlines are checked between ticks. Carries no news."""


@attrs.frozen
class SessionOpened:
    """A socket is up; its subscriptions are not acknowledged yet."""

    session: SessionName
    number: int
    """Counts the connections of this session since start, from 1."""


@attrs.frozen
class SessionLive:
    """Every subscription of the session has been acknowledged."""

    session: SessionName
    number: int


@attrs.frozen
class SessionEnded:
    session: SessionName
    number: int
    cause: str


@attrs.frozen
class Heard:
    """A frame arrived on a session. Comes before the events that the frame holds."""

    session: SessionName
    feed: str
    """The frame's channel, with its coin where it has one: `pong`, `orderUpdates`, `l2Book:@107`."""


@attrs.frozen
class Undecodable:
    """Bytes from the venue that made no sense. Counted and shown; never raises."""

    session: SessionName | None
    what: str
    excerpt: str


@attrs.frozen
class Paused:
    """The owner asked not to quote (`is_paused`), or to quote again."""

    is_paused: bool


@attrs.frozen
class Stopping:
    """Shutdown began: no place or modify leaves any more."""

    cause: str


# ---------------------------------------------------------------------------------------------------------------
# Events: the account


@attrs.frozen
class FillKey:
    """What makes a fill that fill (D6). `whole_row` is set only where the venue gives no tid (dust conversion)."""

    account: Address
    coin: Coin
    time_ms: int
    tid: int
    oid: int
    whole_row: str = ""


class FillSource(enum.Enum):
    STREAM = "stream"
    SNAPSHOT = "snapshot"  # the frame the venue sends on subscribing, `isSnapshot: true`
    CATCH_UP = "catch-up"  # read over REST after a (re)connect
    RECONCILE = "reconcile"  # read over REST while the stream was live: the stream should have had it


@attrs.frozen
class Fill:
    """One of our account's fills. The only thing that moves inventory (D6)."""

    key: FillKey
    coin: Coin
    side: Side
    price_ticks: int = attrs.field(validator=_positive)
    size_lots: int = attrs.field(validator=_positive)
    oid: int
    cloid: Cloid | None
    time_ms: int
    fee_token: int
    """Index of the token the fee was taken in: base on a spot buy, quote on a sell."""
    fee_units: int
    """In 10^-weiDecimals of that token; positive is paid, negative a rebate."""
    is_taker: bool
    source: FillSource = FillSource.STREAM


@attrs.frozen
class OrderUpdated:
    """A line of `orderUpdates`. `status` is the venue's word, known to us or not."""

    coin: Coin
    side: Side
    price_ticks: int
    size_lots: int = attrs.field(validator=_not_negative)
    """Remaining size."""
    original_lots: int = attrs.field(validator=_not_negative)
    oid: int
    cloid: Cloid | None
    status: str
    status_ms: int
    placed_ms: int


@attrs.frozen
class RestingOrder:
    """A row of `openOrders`."""

    coin: Coin
    side: Side
    price_ticks: int
    size_lots: int
    original_lots: int
    oid: int
    cloid: Cloid | None
    placed_ms: int


class ReadPurpose(enum.Enum):
    """Why account state was read over REST: what the catch-up explains is no mismatch, what a reconcile finds is."""

    START = "start"
    CATCH_UP = "catch-up"
    RECONCILE = "reconcile"
    CONFIRM = "confirm"
    """A second look, asked for by the desk."""
    FINAL = "final"


@attrs.frozen
class OpenOrdersRead:
    """Every resting order of the account, as a REST node saw them some time at or after `requested_at` - rest lag."""

    orders: tuple[RestingOrder, ...]
    requested_at: Instant
    purpose: ReadPurpose


@attrs.frozen
class TokenBalance:
    token: int
    total_units: int
    hold_units: int


@attrs.frozen
class BalancesRead:
    """All spot balances. A token not listed is at zero. `requested_at` is None for a frame of the stream."""

    balances: tuple[TokenBalance, ...]
    requested_at: Instant | None
    purpose: ReadPurpose | None = None

    @property
    def by_token(self) -> Mapping[int, TokenBalance]:
        return {balance.token: balance for balance in self.balances}


@attrs.frozen
class FillsRead:
    """Fills since a watermark, oldest first, read over REST."""

    fills: tuple[Fill, ...]
    since_ms: int
    requested_at: Instant
    purpose: ReadPurpose


@attrs.frozen
class OrderStatusRead:
    """What `orderStatus` answered about one cloid. `status` None is the venue's `unknownOid`."""

    cloid: Cloid
    status: str | None
    oid: int | None
    size_lots: int | None
    """Remaining size; None with an unknown order."""
    status_ms: int | None
    requested_at: Instant


@attrs.frozen
class BudgetRead:
    """`userRateLimit`: the address budget as the venue counts it."""

    requests_used: int
    requests_cap: int
    requests_surplus: int
    volume_e8: int
    """Traded since inception, in 10^-8 quote."""
    requested_at: Instant
    purpose: ReadPurpose


@attrs.frozen
class AccountRead:
    """A whole reading (orders, fills, balances, budget) has been delivered, by the events before this one."""

    purpose: ReadPurpose
    requested_at: Instant


@attrs.frozen
class ReadFailed:
    """A read did not come back. `cloid` is set where it was an `orderStatus`."""

    what: str
    cause: str
    cloid: Cloid | None = None


# ---------------------------------------------------------------------------------------------------------------
# Events: the market


@attrs.frozen
class Level:
    price_ticks: int = attrs.field(validator=_positive)
    size_lots: int = attrs.field(validator=_not_negative)
    order_count: int = 1


@attrs.frozen
class BookRead:
    """A whole L2 book: best first."""

    coin: Coin
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    time_ms: int


@attrs.frozen
class TouchChanged:
    """The best bid and offer."""

    coin: Coin
    bid: Level | None
    ask: Level | None
    time_ms: int


@attrs.frozen
class PublicTrade:
    coin: Coin
    side: Side
    """The aggressor's."""
    price_ticks: int
    size_lots: int
    time_ms: int
    tid: int


@attrs.frozen
class MidsRead:
    """`allMids` for the markets we trade, in half ticks (bid + ask), so that they are exact."""

    twice_mid_ticks: Mapping[Coin, int]


# ---------------------------------------------------------------------------------------------------------------
# Events: what became of our requests


class Refusal(enum.Enum):
    """Why the venue said no, as far as a decision depends on it. Classified by prefix in `wire/refusals.py`."""

    POST_ONLY_WOULD_MATCH = "post-only would match"
    POST_ONLY_WINDOW = "only post-only orders after an upgrade"
    INSUFFICIENT_BALANCE = "insufficient balance"
    MIN_NOTIONAL = "below the minimum notional"
    INVALID_PRICE = "invalid price"
    INVALID_SIZE = "invalid size"
    PRICE_TOO_FAR = "price too far from the reference"
    TOO_MANY_OPEN_ORDERS = "too many open orders"
    NO_MATCH = "nothing to match"
    MISSING_ORDER = "never placed, already canceled, or filled"
    CANNOT_MODIFY = "cannot modify canceled or filled order"
    BUDGET = "address budget exhausted"
    TOO_MANY_REQUESTS = "429"
    EXPIRED = "expired"
    DUPLICATE_NONCE = "duplicate nonce"
    NONCE_TOO_LOW = "nonce too low"
    UNKNOWN_SIGNER = "unknown signer"
    OVER_WEIGHT = "over 200 elements"
    OTHER = "other"


class OutcomeKind(enum.Enum):
    RESTING = "resting"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@attrs.frozen
class ItemOutcome:
    """What became of one item of a batch. `cloid`: of the order placed or cancelled; of a modify, the new one."""

    cloid: Cloid
    kind: OutcomeKind
    oid: int | None = None
    filled_lots: int = 0
    refusal: Refusal | None = None
    text: str = ""
    """The venue's own words."""


@attrs.frozen
class BatchDone:
    """The venue answered: one outcome per item, in the order of the items."""

    batch_id: int
    outcomes: tuple[ItemOutcome, ...]
    took_s: float


@attrs.frozen
class BatchUnknown:
    """A timeout, a reset, a 5xx or a senseless reply: nobody knows (D3). Never "no"."""

    batch_id: int
    cause: str


@attrs.frozen
class BatchNotSent:
    """Not one byte of it left the process, so it certainly was not applied."""

    batch_id: int
    cause: str


Event = (
    Tick
    | Heartbeat
    | SessionOpened
    | SessionLive
    | SessionEnded
    | Heard
    | Undecodable
    | Paused
    | Stopping
    | Fill
    | OrderUpdated
    | OpenOrdersRead
    | BalancesRead
    | FillsRead
    | OrderStatusRead
    | BudgetRead
    | AccountRead
    | ReadFailed
    | BookRead
    | TouchChanged
    | PublicTrade
    | MidsRead
    | BatchDone
    | BatchUnknown
    | BatchNotSent
)


# ---------------------------------------------------------------------------------------------------------------
# Commands: what the desk asks the world to do


class TimeInForce(enum.Enum):
    ALO = "Alo"
    IOC = "Ioc"
    GTC = "Gtc"


@attrs.frozen
class PlaceItem:
    cloid: Cloid
    slot: SlotKey
    coin: Coin
    side: Side
    price_ticks: int = attrs.field(validator=_positive)
    size_lots: int = attrs.field(validator=_positive)
    time_in_force: TimeInForce = TimeInForce.ALO


@attrs.frozen
class ModifyItem:
    """Replace the order `target_cloid` by `order`, which has a cloid of its own: each incarnation has one identity."""

    target_cloid: Cloid
    order: PlaceItem


@attrs.frozen
class CancelItem:
    cloid: Cloid
    coin: Coin


class BatchKind(enum.Enum):
    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"


BATCH_ITEMS_MAX = 200
"""A signed action may weigh no more (protocol 6.2)."""


@attrs.frozen
class Batch:
    """One signed request: items of one kind."""

    id: int
    kind: BatchKind
    items: tuple[PlaceItem | ModifyItem | CancelItem, ...] = attrs.field()
    expires_after_s: float | None
    """From the moment of sending, in venue time; None lets it live for ever (cancels)."""

    @items.validator
    def _items_fit(self, _attribute: object, items: tuple[object, ...]) -> None:
        wanted = {BatchKind.PLACE: PlaceItem, BatchKind.MODIFY: ModifyItem, BatchKind.CANCEL: CancelItem}[self.kind]
        if not 1 <= len(items) <= BATCH_ITEMS_MAX:
            raise ValueError(f"a batch has 1 to {BATCH_ITEMS_MAX} items, not {len(items)}")
        if not all(isinstance(item, wanted) for item in items):
            raise ValueError(f"a {self.kind.value} batch holds {wanted.__name__} alone")


@attrs.frozen
class SubmitBatch:
    batch: Batch


@attrs.frozen
class QueryOrder:
    """Ask `orderStatus` for this cloid."""

    cloid: Cloid


@attrs.frozen
class ReadAccount:
    """Read orders, fills, balances and budget over REST, not before `after_s` from now."""

    purpose: ReadPurpose
    cause: str
    after_s: float = 0.0


@attrs.frozen
class RestartSession:
    """End this connection: its feeds cannot be believed any more (D10)."""

    session: SessionName
    cause: str


Command = SubmitBatch | QueryOrder | ReadAccount | RestartSession


# ---------------------------------------------------------------------------------------------------------------
# Reasons and notes: why something is not done, and what is worth a line in the log


class ReasonCode(enum.Enum):
    """Every gate there is (D14). The value is what people and the JSON report read."""

    STARTING = "starting"
    ACCOUNT_SESSION_DOWN = "account session down"
    ACCOUNT_SESSION_SILENT = "account session silent"
    MARKET_SESSION_DOWN = "market session down"
    MARKET_SESSION_SILENT = "market session silent"
    MARKET_DATA_MISSING = "market data missing"
    CATCHING_UP = "catching up"
    PAUSED = "paused"
    STOPPING = "stopping"
    BALANCES_UNKNOWN = "balances unknown"
    BUDGET_RESERVE = "address budget at its reserve"
    IP_WEIGHT = "IP weight used up"
    PER_TICK_CAP = "per-tick cap"
    COOLDOWN = "side cooling down"
    POST_ONLY_RETRY = "post-only refused, waits for the next tick"
    POST_ONLY_WINDOW = "post-only window"
    BALANCE_COMMITTED = "balance committed to other orders"
    SLOT_BUSY = "slot has a request in flight"
    SLOT_UNKNOWN = "slot has an order of unknown state"
    BELOW_MIN_NOTIONAL = "below the minimum notional"
    OUTSIDE_WINDOW = "outside the active levels"
    GRID_EXHAUSTED = "inventory beyond the grid"
    BALANCE_TOO_SMALL = "balance too small"
    UNRESOLVED = "too many unknown orders"
    MARKET_SUSPENDED = "market suspended"


@attrs.frozen
class Reason:
    """Why something wanted is not there, with its numbers."""

    code: ReasonCode
    coin: Coin | None = None
    side: Side | None = None
    slot: int | None = None
    detail: str = ""


@attrs.frozen
class OrderEnded:
    """An order of ours reached a terminal state: one log line each."""

    cloid: Cloid
    oid: int | None
    slot: SlotKey
    coin: Coin
    side: Side
    price_ticks: int
    original_lots: int
    filled_lots: int
    status: str
    lived_s: float


@attrs.frozen
class FillBooked:
    """A fill moved inventory. `is_ours` is False for one on an order that is not the bot's."""

    fill: Fill
    is_ours: bool


class MismatchKind(enum.Enum):
    ORDER_GONE = "an order of ours is gone from the venue"
    ORDER_UNKNOWN_TO_US = "the venue has an order of ours that we do not know"
    FILL_NOT_STREAMED = "a fill that no feed delivered"
    BALANCE_DRIFT = "a balance moved without a fill"
    BUDGET_DRIFT = "the venue counts another number of requests"
    SIZE_DIFFERS = "the venue has another remaining size"


@attrs.frozen
class Mismatch:
    """A difference that a reconciliation found and catch-up does not explain. Healed, and counted."""

    kind: MismatchKind
    detail: str
    coin: Coin | None = None


@attrs.frozen
class QuotingStopped:
    coin: Coin
    reason: Reason
    silence_s: float


@attrs.frozen
class QuotingResumed:
    coin: Coin
    stopped_s: float


@attrs.frozen
class Remark:
    """Anything else worth a line: a foreign order, an unheard-of status, a re-based allocation."""

    text: str
    is_warning: bool = False
    topic: str = ""
    """What repeats itself under one topic is told once and then counted, so that an outage fills no disk."""


Note = OrderEnded | FillBooked | Mismatch | QuotingStopped | QuotingResumed | Remark


@attrs.frozen
class Decision:
    """What a desk answers to an event."""

    commands: tuple[Command, ...] = ()
    reasons: tuple[Reason, ...] = ()
    notes: tuple[Note, ...] = ()


NOTHING = Decision()
