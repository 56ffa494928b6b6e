"""Messages and replies -> events: the venue's names, texts and rows become ours.

Frames never raise here: a row that makes no sense becomes an `Undecodable` event of its own, and the other rows of
its frame stand. Replies over REST do raise, because half an account is not a reading of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import attrs
import msgspec

from mmtrio.core import events as facts
from mmtrio.core.events import (
    BalancesRead,
    Batch,
    BookRead,
    BudgetRead,
    Event,
    Fill,
    FillSource,
    FillsRead,
    ItemOutcome,
    MidsRead,
    OpenOrdersRead,
    OrderStatusRead,
    ReadPurpose,
    SessionName,
    TokenBalance,
    TouchChanged,
)
from mmtrio.core.market import Market
from mmtrio.core.types import Address, Cloid, Coin, Instant
from mmtrio.wire.codec import excerpt_of
from mmtrio.wire.decimals import scaled, scaled_truncated
from mmtrio.wire.markets import MarketCatalog
from mmtrio.wire.messages import (
    AllMidsFrame,
    BboFrame,
    GreetingFrame,
    InvalidSubscription,
    L2BookFrame,
    Message,
    OrderUpdatesFrame,
    OtherError,
    OtherFrame,
    RequestNotParsed,
    SpotStateFrame,
    TooManyPosts,
    TooManyUsers,
    TradesFrame,
    UndecodableFrame,
    UserEventsFrame,
    UserFillsFrame,
    WireBalance,
    WireBalances,
    WireFill,
    WireOrder,
    WireOrderStatus,
    WireRateLimit,
)
from mmtrio.wire.outcomes import batch_result
from mmtrio.wire.rows import (
    Undecodable,
    UnknownMarket,
    cloid_of,
    fill_of,
    level_of,
    market_of,
    order_update_of,
    resting_order_of,
    trade_of,
)

__all__ = ["Translator", "Undecodable", "batch_result", "feed_of"]

_T = TypeVar("_T")
_Row = TypeVar("_Row")

_SOURCE_BY_PURPOSE = {
    ReadPurpose.START: FillSource.CATCH_UP,
    ReadPurpose.CATCH_UP: FillSource.CATCH_UP,
    ReadPurpose.RECONCILE: FillSource.RECONCILE,
    ReadPurpose.CONFIRM: FillSource.RECONCILE,
    ReadPurpose.FINAL: FillSource.RECONCILE,
}


def feed_of(message: Message) -> str:
    """The name of the feed a message came on: its channel, and its coin where it has one (`l2Book:@107`)."""
    match message:
        case L2BookFrame() | BboFrame():
            return f"{_channel(message)}:{message.data.coin}"
        case TradesFrame() if message.data:
            return f"trades:{message.data[0].coin}"
        case OtherFrame():
            return message.channel
        case UndecodableFrame():
            return message.channel or "undecodable"
        case GreetingFrame():
            return "greeting"
        case _:
            return _channel(message)


@attrs.define
class Translator:
    """Translates for one account, by one reading of the metadata."""

    catalog: MarketCatalog
    account: Address
    mids_of: Sequence[Coin] | None = None
    """The coins whose mids are wanted; every market's by default, which makes long events."""
    skipped_rows: int = attrs.field(default=0, init=False)
    """Rows of replies about tokens or markets that the metadata does not have, such as outcome tokens."""

    def feed_of(self, message: Message) -> str:
        return feed_of(message)

    # -----------------------------------------------------------------------------------------------------------
    # Frames

    def events(self, message: Message, session: SessionName) -> list[Event]:
        """What a message says, in its order. None for acknowledgements, pongs and replies to posts. Never raises."""
        feed = feed_of(message)
        match message:
            case L2BookFrame():
                return self._each(self._book, [message], feed, session)
            case BboFrame():
                return self._each(self._touch, [message], feed, session)
            case TradesFrame():
                return self._each(lambda row: trade_of(row, self.catalog), message.data, feed, session)
            case AllMidsFrame():
                return [self._mids(message)]
            case OrderUpdatesFrame():
                return self._each(lambda row: order_update_of(row, self.catalog), message.data, feed, session)
            case UserFillsFrame():
                source = FillSource.SNAPSHOT if message.data.isSnapshot is True else FillSource.STREAM
                return self._own(message.data.user, feed, session) or self._fills(
                    message.data.fills, source, feed, session
                )
            case UserEventsFrame():
                return self._fills(message.data.fills or [], FillSource.STREAM, feed, session)
            case SpotStateFrame():
                return self._own(message.data.user, feed, session) or self._each(
                    self._streamed_balances, [message.data.spotState], feed, session
                )
            case OtherFrame():
                return [facts.Undecodable(session, "unknown channel", message.channel)]
            case UndecodableFrame():
                return [facts.Undecodable(session, f"{feed}: {message.cause}", message.excerpt)]
            case InvalidSubscription() | RequestNotParsed() | TooManyUsers() | TooManyPosts() | OtherError():
                return [facts.Undecodable(session, "error from the venue", excerpt_of(message))]
        return []

    def _each(
        self, translate: Callable[[_Row], Event], rows: Iterable[_Row], feed: str, session: SessionName
    ) -> list[Event]:
        """One event per row: its translation, or that it has none."""
        translated: list[Event] = []
        for row in rows:
            try:
                translated.append(translate(row))
            except ValueError as error:
                translated.append(facts.Undecodable(session, f"{feed}: {excerpt_of(error)}", excerpt_of(row)))
        return translated

    def _own(self, user: str, feed: str, session: SessionName) -> list[Event]:
        """A complaint about a frame of somebody else's account; nothing to say about one of ours."""
        if user.lower() == self.account:
            return []
        return [facts.Undecodable(session, f"{feed}: of another account", excerpt_of(user))]

    def _fills(
        self, rows: Iterable[WireFill], source: FillSource, feed: str, session: SessionName
    ) -> list[Event]:
        return self._each(lambda row: self._fill(row, source), rows, feed, session)

    def _fill(self, row: WireFill, source: FillSource) -> Fill:
        return fill_of(row, self.catalog, self.account, source)

    def _book(self, message: L2BookFrame) -> BookRead:
        market = market_of(message.data.coin, self.catalog)
        bids, asks = message.data.levels
        return BookRead(
            coin=market.coin,
            bids=tuple(level_of(level, market) for level in bids),
            asks=tuple(level_of(level, market) for level in asks),
            time_ms=message.data.time,
        )

    def _touch(self, message: BboFrame) -> TouchChanged:
        market = market_of(message.data.coin, self.catalog)
        bid, ask = message.data.bbo
        return TouchChanged(
            coin=market.coin,
            bid=None if bid is None else level_of(bid, market),
            ask=None if ask is None else level_of(ask, market),
            time_ms=message.data.time,
        )

    def _mids(self, message: AllMidsFrame) -> MidsRead:
        """Leaves out the coins whose mid is no multiple of half a tick: theirs is not a mid of two prices."""
        mids = message.data.mids
        twice_mid_ticks: dict[Coin, int] = {}
        for coin in self.mids_of if self.mids_of is not None else map(Coin, mids):
            market, text = self.catalog.by_coin.get(coin), mids.get(coin)
            if market is not None and text is not None and (ticks := _twice_mid_ticks(text, market)):
                twice_mid_ticks[coin] = ticks
        return MidsRead(twice_mid_ticks)

    def _streamed_balances(self, state: WireBalances) -> BalancesRead:
        return BalancesRead(self._balances(state), requested_at=None)

    # -----------------------------------------------------------------------------------------------------------
    # Replies over REST. `requested_at` is when the request left: what the reply shows is no older, but for the lag
    # of the venue's own reading side.

    def open_orders_read(self, rows: Any, requested_at: Instant, purpose: ReadPurpose) -> OpenOrdersRead:
        """The reply to `openOrders` or `frontendOpenOrders`. Raises Undecodable."""
        orders = self._each_known(
            lambda row: resting_order_of(row, self.catalog), _converted(rows, list[WireOrder], "openOrders")
        )
        return OpenOrdersRead(
            tuple(sorted(orders, key=lambda order: order.oid)), requested_at=requested_at, purpose=purpose
        )

    def fills_read(self, rows: Any, since_ms: int, requested_at: Instant, purpose: ReadPurpose) -> FillsRead:
        """The reply to `userFills` or `userFillsByTime`: oldest first, each fill once. Raises Undecodable."""
        source = _SOURCE_BY_PURPOSE[purpose]
        fills = self._each_known(
            lambda row: self._fill(row, source), _converted(rows, list[WireFill], "userFills")
        )
        unique = {fill.key: fill for fill in fills}
        oldest_first = sorted(
            unique.values(), key=lambda fill: (fill.time_ms, fill.coin, fill.key.tid, fill.oid)
        )
        return FillsRead(tuple(oldest_first), since_ms, requested_at, purpose)

    def balances_read(self, reply: Any, requested_at: Instant, purpose: ReadPurpose) -> BalancesRead:
        """The reply to `spotClearinghouseState`. Raises Undecodable."""
        state = _converted(reply, WireBalances, "spotClearinghouseState")
        try:
            return BalancesRead(self._balances(state), requested_at, purpose)
        except ValueError as error:
            raise Undecodable(f"spotClearinghouseState: {error}") from error

    def budget_read(self, reply: Any, requested_at: Instant, purpose: ReadPurpose) -> BudgetRead:
        """The reply to `userRateLimit`. Raises Undecodable."""
        limit = _converted(reply, WireRateLimit, "userRateLimit")
        try:
            volume_e8 = scaled_truncated(limit.cumVlm, 8)
        except ValueError as error:
            raise Undecodable(f"userRateLimit: {error}") from error
        return BudgetRead(
            requests_used=limit.nRequestsUsed,
            requests_cap=limit.nRequestsCap,
            requests_surplus=limit.nRequestsSurplus,
            volume_e8=volume_e8,
            requested_at=requested_at,
            purpose=purpose,
        )

    def order_status_read(self, cloid: Cloid, reply: Any, requested_at: Instant) -> OrderStatusRead:
        """The reply to `orderStatus` about `cloid`. Raises Undecodable, also where it is about another order."""
        answer = _converted(reply, WireOrderStatus, "orderStatus")
        if answer.status == "unknownOid":
            return OrderStatusRead(cloid, None, None, None, None, requested_at)
        if answer.status != "order" or answer.order is None:
            raise Undecodable(f"orderStatus: {excerpt_of(reply)}")
        row = answer.order
        if row.order.cloid is not None and cloid_of(row.order.cloid) != cloid:
            raise Undecodable(
                f"orderStatus: asked about {cloid}, answered about {excerpt_of(row.order.cloid)}"
            )
        try:
            update = order_update_of(row, self.catalog)
        except ValueError as error:
            raise Undecodable(f"orderStatus: {error}") from error
        return OrderStatusRead(
            cloid, update.status, update.oid, update.size_lots, update.status_ms, requested_at
        )

    def batch_result(self, batch: Batch, reply: Any) -> tuple[ItemOutcome, ...]:
        """What became of each item of a batch. Raises Undecodable: see `outcomes.batch_result`."""
        return batch_result(batch, reply, self.catalog.by_coin)

    def _each_known(self, translate: Callable[[_Row], _T], rows: Sequence[_Row]) -> list[_T]:
        """All rows or none, but for those of markets that we do not know: they cannot be ours."""
        translated: list[_T] = []
        for row in rows:
            try:
                translated.append(translate(row))
            except UnknownMarket:
                self.skipped_rows += 1
            except ValueError as error:
                raise Undecodable(f"{error}, in {excerpt_of(row)}") from error
        return translated

    def _balances(self, state: WireBalances) -> tuple[TokenBalance, ...]:
        balances = [balance for row in state.balances if (balance := self._balance(row)) is not None]
        return tuple(sorted(balances, key=lambda balance: balance.token))

    def _balance(self, row: WireBalance) -> TokenBalance | None:
        """None for tokens that we do not know: outcome tokens, and tokens listed since the metadata was read."""
        token = None if row.token is None else self.catalog.tokens.get(row.token)
        if token is None:
            self.skipped_rows += 1
            return None
        return TokenBalance(
            token=token.index,
            total_units=scaled(row.total, token.wei_decimals),
            hold_units=scaled(row.hold, token.wei_decimals),
        )


def _channel(message: Message) -> str:
    tag = type(message).__struct_config__.tag
    return tag if isinstance(tag, str) else "error"


def _twice_mid_ticks(text: str, market: Market) -> int | None:
    """A mid in half ticks; None where it is no positive whole number of them."""
    try:
        tenths_of_ticks = scaled(text, market.price_decimals + 1)
    except ValueError:
        return None
    twice_ticks, remainder = divmod(tenths_of_ticks, 5)
    return twice_ticks if remainder == 0 and twice_ticks > 0 else None


def _converted(reply: Any, kind: type[_T], what: str) -> _T:
    try:
        return msgspec.convert(reply, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Undecodable(f"{what}: {error}") from error
