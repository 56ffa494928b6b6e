"""A desk, a naive venue, and everything that can happen between them: what properties of the desk are driven with.

Every answer of the desk is checked as it is given, and compared with that of a twin whose wall clock steps and whose
quoters compare everything with everything.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from mmtrio.core.account_desk import AccountDesk
from mmtrio.core.events import (
    AccountRead,
    Batch,
    BatchDone,
    BatchNotSent,
    BatchUnknown,
    CancelItem,
    Decision,
    Event,
    FillSource,
    Heard,
    Heartbeat,
    Mismatch,
    ModifyItem,
    Paused,
    PlaceItem,
    QueryOrder,
    ReadAccount,
    ReadFailed,
    ReasonCode,
    RestartSession,
    SessionEnded,
    SessionLive,
    SessionName,
    SessionOpened,
    SubmitBatch,
    Tick,
)
from mmtrio.core.order_differ import Difference, difference
from mmtrio.core.order_state import Order, OrderState
from mmtrio.core.quoter import Quoter
from mmtrio.core.types import Amount, Cloid, Instant, Side
from tests.support import builders, desks
from tests.support.builders import HYPE, PURR, USDC
from tests.support.naive_account import NaiveAccount, VenueOrder

SESSION = SessionName.ACCOUNT
HEARTBEAT_S = 0.5
TICK_S = 3.0
SILENCE_MAX_S = 8.0
LANDS_WITHIN_S = 30.0
"""What takes longer than this to the venue is not on its way any more."""
ANSWERED_WITHIN_S = 20.0
"""Reads have deadlines: an older answer is not taken for one."""
MARKETS = (builders.market(), builders.purr_market())
TOKENS = (USDC, HYPE, PURR)
OWNED = {USDC: "900", HYPE: "3.2", PURR: "31"}


@attrs.define
class Reading:
    """A reading of the account on its way."""

    command: ReadAccount
    due_s: float
    events: tuple[Event, ...] | None = None
    """The answers, once it has been asked for."""


class ForgetfulQuoter(Quoter):
    """Compares everything with everything each time, and so must find what one that remembers finds."""

    def difference(self, orders: OrderState, base: Amount, quote: Amount, at: Instant) -> Difference:
        remembered = super().difference(orders, base, quote, at)
        if self.suspended is not None:
            return remembered
        return difference(self.quotes, orders.live(self.coin), self.strategy.name, self.market, self.differ)


class DeskWorld:
    """Two markets with HIP-2 ladders that share one pool of quote, at a venue where nothing happens by itself."""

    def __init__(self) -> None:
        super().__init__()  # It is mixed into a state machine.
        self.now_s = 0.0
        self.wall_step_ms = 0
        self.session = 0
        self.is_open = self.is_live = self.is_silent = False
        self.is_caught_up = self.has_stood_still = False
        self.live_since_s = self.heard_s = 0.0
        self.is_paused = self.is_stopping = False
        self.must_restart = False
        self.ticks_due_s = 0.0
        self.requests: list[tuple[Batch, float]] = []  # On their way to the venue.
        self.replies: list[BatchDone] = []
        self.unanswered: dict[int, None] = {}
        self.remaining_when_replaced: dict[Cloid, int] = {}
        self.raced_tokens: dict[int, None] = {}
        self.is_sound = False
        self.readings: list[Reading] = []
        self.queries: list[tuple[Cloid, float]] = []

    def start(self, requests_used: int, *, has_left_over: bool) -> None:
        balances = {token.index: builders.units(token, text) for token, text in OWNED.items()}
        self.venue = NaiveAccount.of(MARKETS, balances, requests_used)
        self.desk, self.twin = self.new_desk(Quoter), self.new_desk(ForgetfulQuoter)
        if has_left_over:
            cloid = attrs.evolve(self.desk.orders.cloids, run_ms=1).next()
            item = builders.place_item(cloid, price_ticks=20_000_000, size_lots=60)
            self.venue.put(VenueOrder(item, oid=7), -60.0)
        self.open_session()
        self.acknowledge()

    def new_desk(self, quoter: type[Quoter]) -> AccountDesk:
        strategies = [
            desks.hip2(MARKETS[0], levels=6),
            desks.hip2(MARKETS[1], levels=5, size="10", start="3"),
        ]
        return desks.bench(markets=MARKETS, strategies=strategies, reconcile_every=4, quoter=quoter).desk

    # Telling the desk, and checking what it answers

    @property
    def at(self) -> Instant:
        return builders.instant(self.now_s)

    def tell(self, event: Event) -> Decision:
        self.is_sound = False
        decision = self.desk.handle(event, self.at)
        assert self.twin.handle(self.with_stepped_wall(event), self.stepped(self.at)) == decision, event
        self.check(decision)
        self.is_sound = True
        for command in decision.commands:
            match command:
                case SubmitBatch(batch):
                    self.requests.append((batch, self.now_s))
                    self.unanswered[batch.id] = None
                case ReadAccount():
                    self.readings.append(Reading(command, self.now_s + command.after_s))
                case QueryOrder(cloid):
                    self.queries.append((cloid, self.now_s))
                case RestartSession():
                    self.must_restart = True
        return decision

    def stepped(self, at: Instant) -> Instant:
        return attrs.evolve(at, wall_ms=at.wall_ms + self.wall_step_ms)

    def with_stepped_wall(self, event: Event) -> Event:
        requested_at = getattr(event, "requested_at", None)
        return event if requested_at is None else attrs.evolve(event, requested_at=self.stepped(requested_at))

    def hear(self, *events: Event) -> None:
        """Frames of the account session."""
        self.heard_s = self.now_s
        for event in events:
            self.tell(Heard(SESSION, type(event).__name__))
            self.tell(event)

    def check(self, decision: Decision) -> None:
        for item in items_of(decision):
            if not isinstance(item, CancelItem):
                assert self.may_quote, decision
                self.check_affordable(item)
        for note in decision.notes:
            assert not isinstance(note, Mismatch), note  # Everything that goes wrong here has an explanation.
        for reason in decision.reasons:
            if reason.code in (ReasonCode.BUDGET_RESERVE, ReasonCode.IP_WEIGHT):
                assert not reason.detail.startswith("cancel"), reason
            assert reason.code is not ReasonCode.MARKET_SUSPENDED, reason

    @property
    def may_quote(self) -> bool:
        """The gates, as plainly as they can be put."""
        return (
            self.is_live
            and self.is_caught_up
            and not self.is_paused
            and not self.is_stopping
            and not self.has_stood_still
            and self.now_s - self.heard_s < SILENCE_MAX_S
        )

    def check_affordable(self, item: PlaceItem | ModifyItem) -> None:
        """With this order on its way, all that may rest is covered by what is owned, in the token that pays for it.

        Of an order and its replacement the larger counts (the venue exchanges one for the other), so one that shrinks
        asks for nothing.
        """
        placed = item.order if isinstance(item, ModifyItem) else item
        if isinstance(item, ModifyItem):
            target = self.desk.orders.get(item.target_cloid)
            assert target is not None
            self.remaining_when_replaced[target.cloid] = target.remaining_lots
            if self.cost(placed, placed.size_lots) <= self.cost(placed, target.remaining_lots, target.price_ticks):
                return
        token = self.token_of(placed)
        committed = 0
        for market in MARKETS:
            if market.base is not None and market.base.index == token:
                committed += market.base_amount(self.desk.orders.committed_base_lots(market.coin)).units
            if market.quote.index == token:
                committed += self.desk.orders.committed_quote(market.coin).units
        assert committed <= self.desk.inventory.total(token), (item, committed)

    def token_of(self, item: PlaceItem) -> int:
        market = self.venue.markets[item.coin]
        assert market.base is not None
        return market.quote.index if item.side is Side.BUY else market.base.index

    def cost(self, item: PlaceItem, size_lots: int, price_ticks: int | None = None) -> int:
        price_ticks = item.price_ticks if price_ticks is None else price_ticks
        return size_lots * (price_ticks if item.side is Side.BUY else 1)

    def live(self) -> Iterator[Order]:
        for market in MARKETS:
            yield from self.desk.orders.live(market.coin)

    # Time

    def let_time_pass(self, seconds: float) -> None:
        """In the steps of the watchdog; the stream flows unless it is stalled."""
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + HEARTBEAT_S)
            if self.is_open and not self.is_silent:
                self.flow()
                self.hear_pong()
            self.tell(Heartbeat())
            if self.now_s >= self.ticks_due_s:
                self.ticks_due_s = self.now_s + TICK_S
                self.tell(Tick())
            self.restart_if_asked()

    def hear_pong(self) -> None:
        self.heard_s = self.now_s
        self.tell(Heard(SESSION, "pong"))

    def flow(self) -> None:
        """Everything the stream holds arrives, where there is a session to bring it."""
        frames, self.venue.stream = self.venue.stream, []
        if self.is_live:
            self.hear(*frames)

    def stand_still(self, seconds: float) -> None:
        """The process does not run, then finds itself awake."""
        self.now_s += seconds
        self.has_stood_still = True
        self.tell(Heartbeat())
        self.restart_if_asked()

    # The session

    def open_session(self) -> None:
        self.session += 1
        self.is_open, self.has_stood_still = True, False
        self.heard_s = self.now_s
        self.tell(SessionOpened(SESSION, self.session))

    def acknowledge(self) -> None:
        """Subscriptions bring a snapshot of all fills and the balances; then the session is live."""
        self.venue.stream.clear()
        self.is_live = True
        self.hear(*[attrs.evolve(fill, source=FillSource.SNAPSHOT) for fill in self.venue.now.fills])
        self.hear(self.venue.balances_frame())
        self.is_caught_up, self.live_since_s = False, self.now_s
        self.tell(SessionLive(SESSION, self.session))

    def lose_session(self, cause: str) -> None:
        self.is_open = self.is_live = self.must_restart = False
        self.venue.stream.clear()
        self.tell(SessionEnded(SESSION, self.session, cause))

    def restart_if_asked(self) -> None:
        if self.must_restart and self.is_open:
            self.lose_session("the desk asked for it")

    # Requests and the owner

    def apply(self, batch: Batch, sent_s: float, *, refuses_post_only: bool = False) -> None:
        if self.now_s - sent_s > LANDS_WITHIN_S:
            if batch.id in self.unanswered:
                self.answer(BatchUnknown(batch.id, "timeout"))
            return
        for item in batch.items:
            if isinstance(item, ModifyItem):
                # Filled further before it was replaced, it leaves less for others than the desk could know.
                target = self.venue.now.orders[item.target_cloid]
                if target.remaining_lots < self.remaining_when_replaced[item.target_cloid]:
                    self.raced_tokens[self.token_of(item.order)] = None
        self.replies.append(self.venue.apply(batch, sent_s, self.now_s, refuses_post_only=refuses_post_only))

    def answer(self, event: BatchDone | BatchUnknown | BatchNotSent) -> None:
        del self.unanswered[event.batch_id]
        self.tell(event)

    def pause_or_resume(self) -> None:
        self.is_paused = not self.is_paused
        decision = self.tell(Paused(self.is_paused))
        if self.is_paused:
            named = {item.cloid for item in items_of(decision) if isinstance(item, CancelItem)}
            assert all(order.cloid in named or order.is_busy for order in self.live()), decision

    # Readings

    @property
    def due_reading(self) -> Reading | None:
        """The first in the queue, where its time has come and it has not been asked for."""
        reading = self.readings[0] if self.readings else None
        if reading is None or reading.events is not None or reading.due_s > self.now_s:
            return None
        return reading

    def ask(self, lags: list[float]) -> None:
        reading = self.due_reading
        assert reading is not None
        purpose, at, seen_s = reading.command.purpose, self.at, [self.now_s - lag_s for lag_s in lags]
        reading.events = (
            self.venue.fills_read(seen_s[0], at, purpose),
            self.venue.open_orders_read(seen_s[1], at, purpose),
            self.venue.balances_read(seen_s[2], at, purpose),
            self.venue.budget_read(seen_s[3], at, purpose),
            AccountRead(purpose, at),
        )

    def deliver_reading(self, *, fails: bool = False) -> None:
        events = self.readings.pop(0).events
        assert events is not None
        last = events[-1]
        assert isinstance(last, AccountRead)
        if fails or self.at.age_s(last.requested_at) > ANSWERED_WITHIN_S:
            self.tell(ReadFailed("account", "502, or no answer in time"))
            return
        for event in events:
            if isinstance(event, AccountRead) and self.is_live:
                is_recent = event.requested_at >= builders.instant(self.live_since_s)
                # What makes the first balances credible is its own story; here it is enough that they are.
                self.is_caught_up = self.is_caught_up or is_recent
            self.tell(event)
            if isinstance(event, AccountRead):
                self.is_caught_up = self.is_caught_up and self.desk.inventory.is_known

    def tell_status(self, cloid: Cloid, requested_s: float, lag_s: float, *, fails: bool = False) -> None:
        if fails or self.now_s - requested_s > ANSWERED_WITHIN_S:
            self.tell(ReadFailed("orderStatus", "502, or no answer in time", cloid))
        else:
            self.tell(self.venue.status_read(cloid, requested_s - lag_s, builders.instant(requested_s)))

    # Everything heals

    def heal(self, seconds: float, *, until_settled: bool = False) -> None:
        """Nothing is lost, everything asked now is answered within a second. What was given up on stays away."""
        end_s = self.now_s + seconds
        while self.now_s < end_s and not (until_settled and self.is_settled):
            if not self.is_open:
                self.open_session()
            if not self.is_live:
                self.acknowledge()
            self.answer_everything()
            self.let_time_pass(min(1.0, end_s - self.now_s))

    def answer_everything(self) -> None:
        for batch, sent_s in [request for request in self.requests if request[0].id in self.unanswered]:
            self.requests.remove((batch, sent_s))
            self.apply(batch, sent_s)
        replies, self.replies = self.replies, []
        for reply in replies:
            if reply.batch_id in self.unanswered:
                self.answer(reply)
        queries, self.queries = self.queries, []
        for cloid, requested_s in queries:
            self.tell_status(cloid, requested_s, 0.5)
        if self.due_reading is not None:
            self.ask([0.5] * 4)
        if self.readings and self.readings[0].events is not None:
            self.deliver_reading()

    @property
    def is_settled(self) -> bool:
        orders = self.desk.orders
        is_quiet = not (self.requests or self.unanswered or self.queries or self.venue.stream)
        is_certain = orders.unknown_count == orders.in_flight_count == 0
        is_agreed = is_quiet and is_certain and self.agrees_with_the_venue
        return is_agreed and self.may_quote and not self.blocking_reasons()

    def blocking_reasons(self) -> list[ReasonCode]:
        """Why something wanted is missing that a healthy venue would let us have."""
        passing = (ReasonCode.COOLDOWN, ReasonCode.POST_ONLY_RETRY, ReasonCode.SLOT_BUSY, ReasonCode.SLOT_UNKNOWN)
        reasons = [reason.code for all_of in self.desk.standing_reasons.values() for reason in all_of]
        return [code for code in reasons if code in passing]

    @property
    def agrees_with_the_venue(self) -> bool:
        """The same orders with the same sizes, the same balances to the last unit."""
        return {order.cloid: order.remaining_lots for order in self.live()} == {
            order.item.cloid: order.remaining_lots for order in self.venue.resting
        } and {token.index: self.desk.inventory.total(token.index) for token in TOKENS} == self.venue.now.balances


def items_of(decision: Decision) -> list[PlaceItem | ModifyItem | CancelItem]:
    return [item for batch in desks.batches(decision) for item in batch.items]
