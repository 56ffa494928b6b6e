"""What the venue says, as classes. Attributes are spelled as the venue spells its keys (`limitPx`, `isSnapshot`).

One class per WebSocket channel (`...Frame`), told apart by its tag, and the rows that frames and REST replies share.
They hold what a maker reads; all other keys are skipped, so new ones are welcome. Prices and sizes are decimal text
here and become integers in `translation.py`.

These are msgspec Structs and not attrs classes, which they otherwise behave like (frozen, compared by value): msgspec
fills attrs classes at half the speed, and every byte from the venue passes here. Source: protocol 2 to 5 and 13.
"""

from __future__ import annotations

from typing import Any

import msgspec

Subscription = dict[str, Any]
"""A subscription object as sent, or as the venue echoes it (defaults filled in, unknown keys dropped)."""


class _Row(msgspec.Struct, frozen=True, gc=False):
    """Base of what frames are made of. Not tracked by the garbage collector: JSON has no cycles."""


class _Frame(msgspec.Struct, frozen=True, gc=False, tag_field="channel"):
    """Base of every frame of a known channel."""


# ---------------------------------------------------------------------------------------------------------------
# Rows


class WireLevel(_Row, frozen=True):
    px: str
    sz: str
    n: int = 1
    """Orders at this price; recordings and old servers leave it out."""


class WireBook(_Row, frozen=True):
    coin: str
    time: int
    levels: tuple[list[WireLevel], list[WireLevel]]
    """Bids best first, asks best first."""


class WireBbo(_Row, frozen=True):
    coin: str
    time: int
    bbo: tuple[WireLevel | None, WireLevel | None]


class WireTrade(_Row, frozen=True):
    coin: str
    side: str
    """The aggressor's."""
    px: str
    sz: str
    time: int
    tid: int = 0


class WireMids(_Row, frozen=True):
    mids: dict[str, str]
    dex: str | None = None


class WireFill(_Row, frozen=True):
    """A row of `userFills`, in the venue's order of keys: decoding is fastest so.

    `startPosition` to `hash` serve only to tell apart fills that have no tid.
    """

    coin: str
    px: str
    sz: str
    side: str
    time: int
    startPosition: str = ""
    dir: str = ""
    closedPnl: str = ""
    hash: str = ""
    oid: int = 0
    crossed: bool = True
    fee: str = "0.0"
    tid: int = 0
    """Zero for dust conversions; missing in rows from 2023."""
    feeToken: str | None = None
    twapId: int | None = None
    cloid: str | None = None
    builderFee: str | None = None


class WireFills(_Row, frozen=True):
    user: str
    fills: list[WireFill]
    isSnapshot: bool | None = None
    """True, false, or left out: anything but true means streaming."""


class NonUserCancel(_Row, frozen=True):
    coin: str
    oid: int


class WireUserEvent(_Row, frozen=True):
    """One of several kinds; those not named here decode to neither."""

    fills: list[WireFill] | None = None
    nonUserCancel: list[NonUserCancel] | None = None


class WireOrder(_Row, frozen=True):
    """An order as `orderUpdates`, `openOrders`, `frontendOpenOrders` and `orderStatus` describe it."""

    coin: str
    side: str
    limitPx: str
    sz: str
    """Remaining."""
    oid: int
    timestamp: int
    """When it was placed."""
    origSz: str | None = None
    cloid: str | None = None


class WireOrderUpdate(_Row, frozen=True):
    """The status stands beside the order; also the `order` of a reply to `orderStatus`."""

    order: WireOrder
    status: str
    statusTimestamp: int


class WireBalance(_Row, frozen=True):
    coin: str
    total: str
    hold: str = "0.0"
    token: int | None = None
    """Missing for outcome tokens."""


class WireBalances(_Row, frozen=True):
    """`spotClearinghouseState`, and the inside of `spotState`."""

    balances: list[WireBalance]


class WireSpotState(_Row, frozen=True):
    user: str
    spotState: WireBalances


class WireOpenOrders(_Row, frozen=True):
    user: str
    orders: list[WireOrder]
    dex: str = ""


class WireClearinghouseState(_Row, frozen=True):
    """Perp account state, kept as parsed: part of it changes with the account's mode."""

    user: str
    clearinghouseState: dict[str, Any]
    dex: str = ""


class WireRateLimit(_Row, frozen=True):
    """The reply to `userRateLimit`."""

    cumVlm: str
    nRequestsUsed: int
    nRequestsCap: int
    nRequestsSurplus: int = 0
    """Missing in replies from before 2026."""


class WireOrderStatus(_Row, frozen=True):
    """The reply to `orderStatus`: `order`, or `unknownOid` without one."""

    status: str
    order: WireOrderUpdate | None = None


class WireAck(_Row, frozen=True):
    method: str
    subscription: Subscription


class WirePostResponse(_Row, frozen=True):
    type: str
    """`info`, `action` or `error`."""
    payload: Any
    """Of an action: the REST body. Of an error: its text."""


class WirePost(_Row, frozen=True):
    id: int
    response: WirePostResponse


# ---------------------------------------------------------------------------------------------------------------
# Frames, by channel


class SubscriptionResponseFrame(_Frame, frozen=True, tag="subscriptionResponse"):
    """An acknowledgement. `codec.is_echo_of` tells of what."""

    data: WireAck


class PongFrame(_Frame, frozen=True, tag="pong"):
    """The answer to our ping."""


class L2BookFrame(_Frame, frozen=True, tag="l2Book"):
    data: WireBook


class BboFrame(_Frame, frozen=True, tag="bbo"):
    data: WireBbo


class TradesFrame(_Frame, frozen=True, tag="trades"):
    data: list[WireTrade]


class AllMidsFrame(_Frame, frozen=True, tag="allMids"):
    data: WireMids


class OrderUpdatesFrame(_Frame, frozen=True, tag="orderUpdates"):
    """Does not say whose orders these are: one user per socket."""

    data: list[WireOrderUpdate]


class UserFillsFrame(_Frame, frozen=True, tag="userFills"):
    data: WireFills


class UserEventsFrame(_Frame, frozen=True, tag="user"):
    """Subscribed as `userEvents`, sent as `user`."""

    data: WireUserEvent


class SpotStateFrame(_Frame, frozen=True, tag="spotState"):
    data: WireSpotState


class ClearinghouseStateFrame(_Frame, frozen=True, tag="clearinghouseState"):
    data: WireClearinghouseState


class OpenOrdersFrame(_Frame, frozen=True, tag="openOrders"):
    data: WireOpenOrders


class PostFrame(_Frame, frozen=True, tag="post"):
    data: WirePost


class ErrorTextFrame(_Frame, frozen=True, tag="error"):
    """As it travels. `decode_frame` hands out one of the typed errors below instead."""

    data: str


# ---------------------------------------------------------------------------------------------------------------
# The error channel, by what its text means (protocol 2)


class AlreadySubscribed(_Row, frozen=True):
    """The feed is known to the venue: what a probe wants to hear."""

    subscription: Subscription


class AlreadyUnsubscribed(_Row, frozen=True):
    subscription: Subscription


class InvalidSubscription(_Row, frozen=True):
    subscription: Subscription


class RequestNotParsed(_Row, frozen=True):
    request: str
    """Our own words, as the venue repeats them."""


class TooManyUsers(_Row, frozen=True):
    """The limit of users watched from one IP. Names no request, so the subscribe it refuses just never succeeds."""

    text: str


class TooManyPosts(_Row, frozen=True):
    id: int
    """Of the post refused."""
    text: str


class OtherError(_Row, frozen=True):
    text: str


ErrorFrame = (
    AlreadySubscribed
    | AlreadyUnsubscribed
    | InvalidSubscription
    | RequestNotParsed
    | TooManyUsers
    | TooManyPosts
    | OtherError
)


# ---------------------------------------------------------------------------------------------------------------
# The rest


class GreetingFrame(_Row, frozen=True):
    """The plain text with which older servers greet."""

    text: str


class OtherFrame(_Row, frozen=True):
    """A frame of a channel we do not know."""

    channel: str


class UndecodableFrame(_Row, frozen=True):
    """Text that is no frame, or a frame of a known channel whose data is broken."""

    excerpt: str
    """Its first characters, at most 200."""
    cause: str
    channel: str = ""


Frame = (
    SubscriptionResponseFrame
    | PongFrame
    | L2BookFrame
    | BboFrame
    | TradesFrame
    | AllMidsFrame
    | OrderUpdatesFrame
    | UserFillsFrame
    | UserEventsFrame
    | SpotStateFrame
    | ClearinghouseStateFrame
    | OpenOrdersFrame
    | PostFrame
)

Message = Frame | ErrorFrame | GreetingFrame | OtherFrame | UndecodableFrame
