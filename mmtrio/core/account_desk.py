"""The one owner of the trading state: every event goes in, every decision comes out.

The desk is the account (D2): what the venue counts per account (orders by cloid, balances, budgets) has one owner
here, and markets are quoters under it. `handle` is synchronous and has no `await` in it, so nothing changes between
two of its lines; replay, properties and simulation call exactly this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from mmtrio.core.batch_emitter import BatchEmitter, MarketWanted
from mmtrio.core.decision_draft import DecisionDraft
from mmtrio.core.events import (
    AccountRead,
    BalancesRead,
    Batch,
    BatchDone,
    BatchNotSent,
    BatchUnknown,
    BookRead,
    BudgetRead,
    CancelItem,
    Decision,
    Event,
    Fill,
    FillBooked,
    FillsRead,
    Heard,
    Heartbeat,
    MidsRead,
    Mismatch,
    OpenOrdersRead,
    OrderStatusRead,
    OrderUpdated,
    OutcomeKind,
    Paused,
    PublicTrade,
    QueryOrder,
    QuotingResumed,
    ReadFailed,
    ReadPurpose,
    Reason,
    ReasonCode,
    RestartSession,
    SessionEnded,
    SessionLive,
    SessionName,
    SessionOpened,
    Stopping,
    SubmitBatch,
    Tick,
    TouchChanged,
    Undecodable,
)
from mmtrio.core.holds import Holds
from mmtrio.core.inventory import Inventory
from mmtrio.core.liveness import Liveness, Phase
from mmtrio.core.nonsense import Nonsense
from mmtrio.core.order_differ import Difference
from mmtrio.core.order_state import Changes, Order, OrderState
from mmtrio.core.quoter import Quoter
from mmtrio.core.rate_limit import AddressBudget, IpWeight
from mmtrio.core.readings import Readings
from mmtrio.core.stream_witness import StreamWitness
from mmtrio.core.types import Coin, Instant
from mmtrio.core.watch import Watch

_WITHDRAWN = (ReasonCode.PAUSED, ReasonCode.MARKET_SUSPENDED)
"""Gates that take the orders away which rest already."""
_MARKET_GATES = (ReasonCode.MARKET_SESSION_DOWN, ReasonCode.MARKET_SESSION_SILENT, ReasonCode.MARKET_DATA_MISSING)


@attrs.define
class AccountDesk:
    """Decides for one account. Wire it with `handle`; everything else is for looking at."""

    quoters: Sequence[Quoter]
    orders: OrderState
    inventory: Inventory
    emitter: BatchEmitter
    address: AddressBudget
    ip: IpWeight
    liveness: Liveness
    readings: Readings = attrs.field(factory=Readings)
    witness: StreamWitness = attrs.field(factory=StreamWitness)
    reconcile_every: int = 20
    """Ticks between two reconciliations."""
    stall_max_s: float = 8.0
    """The watchdog speaks twice a second; a longer pause means that the process stood still (SIGSTOP, suspend)."""

    is_paused: bool = attrs.field(default=False, init=False)
    is_stopping: bool = attrs.field(default=False, init=False)
    ticks: int = attrs.field(default=0, init=False)
    fills_booked: int = attrs.field(default=0, init=False)
    volume_e8: int = attrs.field(default=0, init=False)
    requests_used_at_start: int | None = attrs.field(default=None, init=False)
    mismatches: list[Mismatch] = attrs.field(factory=list, init=False)
    nonsense: Nonsense = attrs.field(factory=Nonsense, init=False)
    fills_read_until_ms: int = attrs.field(default=0, init=False)
    """Venue time of the newest fill that REST has shown: up to it none is missing, and the next reading of fills
    starts a little before. The stream's newest says nothing of the kind: there may be a gap before it."""
    standing_reasons: dict[Coin, tuple[Reason, ...]] = attrs.field(factory=dict, init=False)
    """For each market, why something wanted is not there, as of its last requote."""
    _batches: dict[int, Batch] = attrs.field(factory=dict, init=False)
    _holds: Holds = attrs.field(init=False, repr=False)
    _watch: Watch = attrs.field(init=False, repr=False)
    orders_at_venue: int = attrs.field(default=0, init=False)
    """Resting orders of the account, ours or not, when last read."""
    _last_at: Instant | None = attrs.field(default=None, init=False)
    _start_is_clean: bool = attrs.field(default=False, init=False)
    _handlers: dict[type, Callable[[Any, Instant, DecisionDraft], None]] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        self._watch = Watch(
            self.quoters, self.orders, self.inventory, self.liveness, self.readings, self.witness
        )
        self._holds = Holds([quoter.market for quoter in self.quoters], self.orders, self.inventory)
        self._handlers = {
            Tick: self._on_tick,
            Heartbeat: self._on_heartbeat,
            Heard: self._on_heard,
            SessionOpened: self._on_session_opened,
            SessionLive: self._on_session_live,
            SessionEnded: self._on_session_ended,
            Undecodable: self._on_undecodable,
            Paused: self._on_paused,
            Stopping: self._on_stopping,
            Fill: self._on_fill,
            OrderUpdated: self._on_order_updated,
            OpenOrdersRead: self._on_open_orders,
            BalancesRead: self._on_balances,
            FillsRead: self._on_fills_read,
            OrderStatusRead: self._on_order_status,
            BudgetRead: self._on_budget,
            AccountRead: self._on_account_read,
            ReadFailed: self._on_read_failed,
            BookRead: self._on_book,
            TouchChanged: self._on_touch,
            PublicTrade: self._on_nothing,
            MidsRead: self._on_nothing,
            BatchDone: self._on_batch_done,
            BatchUnknown: self._on_batch_unknown,
            BatchNotSent: self._on_batch_not_sent,
        }

    @property
    def awaits_second_look(self) -> bool:
        """A difference was seen once, and a verdict needs another reading or a little time."""
        return self.inventory.wants_confirmation or self.witness.is_owed

    def summary(self, quoter: Quoter, at: Instant) -> str:
        """How a market's strategy stands, in its own words."""
        base, quote = self.inventory.allocated(quoter.coin)
        return quoter.summary(self.orders, base, quote, at)

    @property
    def has_caught_up(self) -> bool:
        """The balances are known and nothing is being caught up with."""
        return self.readings.has_baseline and not self.readings.is_catching_up

    def handle(self, event: Event, at: Instant) -> Decision:
        """Take one fact in; answer with what to do about it, and why not more.

        Never raises for what the world did; a failed assertion is a bug of ours and ends the process.
        """
        out = DecisionDraft()
        handler = self._handlers.get(type(event))
        assert handler is not None, f"unknown event: {event!r}"
        self._check_stall(at, out)
        handler(event, at, out)
        if out.due:
            self._requote([quoter for quoter in self.quoters if quoter.coin in out.due], at, out)
        self.mismatches.extend(note for note in out.notes if isinstance(note, Mismatch))
        return out.finish()

    # The passing of time

    def _check_stall(self, at: Instant, out: DecisionDraft) -> None:
        """After a standstill nothing we know is current: both sessions start over before anything is quoted."""
        last_at, self._last_at = self._last_at, at
        if last_at is None or at.age_s(last_at) <= self.stall_max_s:
            return
        cause = f"this process stood still for {at.age_s(last_at):.1f} s"
        out.remark(cause, is_warning=True)
        for session in SessionName:
            if self.liveness.phase(session) is not Phase.DOWN:
                self.liveness.on_ended(session, at)
                out.commands.append(RestartSession(session, cause))

    def _on_tick(self, _: Tick, at: Instant, out: DecisionDraft) -> None:
        self.ticks += 1
        self.emitter.next_tick()
        self._on_heartbeat(Heartbeat(), at, out)
        if self.ticks % self.reconcile_every == 0 and not self.is_stopping:
            cause = f"every {self.reconcile_every} ticks"
            out.commands.extend(self.readings.reconcile(cause, self._watch.judging(ReadPurpose.RECONCILE)))
        self._all_due(out)

    def _on_heartbeat(self, _: Heartbeat, at: Instant, out: DecisionDraft) -> None:
        self._apply(self.orders.on_tick(at), at, out)
        self._watch.check_stream(at, out)
        self._watch.confirm_balances(at, out)
        self._send_cancels(self._watch.to_withdraw(at), at, out)
        for quoter in self.quoters:
            if self._note_gate(quoter, self._gate(quoter, at), at, out):
                out.due.add(quoter.coin)
        self._watch.check_books(at, out)

    def _send_cancels(self, items: Iterable[CancelItem], at: Instant, out: DecisionDraft) -> None:
        wanted = tuple(items)
        if wanted:
            self._submit(self.emitter.cancel_batches(wanted, at, self.address, self.ip), at, out)

    # Sessions

    def _on_heard(self, event: Heard, at: Instant, out: DecisionDraft) -> None:
        self.liveness.heard(event.session, event.feed, at)

    def _on_session_opened(self, event: SessionOpened, at: Instant, out: DecisionDraft) -> None:
        self.liveness.on_opened(event.session, at)

    def _on_session_live(self, event: SessionLive, at: Instant, out: DecisionDraft) -> None:
        self.liveness.on_live(event.session, at)
        if event.session is SessionName.ACCOUNT:
            self.witness.on_stream_live(at)
            out.commands.extend(self.readings.require(at, f"account session {event.number} is live"))
        else:
            self.liveness.on_caught_up(event.session, at)  # Market feeds carry whole states: nothing to catch up.

    def _on_session_ended(self, event: SessionEnded, at: Instant, out: DecisionDraft) -> None:
        self.liveness.on_ended(event.session, at)
        name = f"{event.session.value} session"
        topic = f"{name}: {event.cause}"
        out.remark(f"{name} {event.number} ended: {event.cause}", is_warning=True, topic=topic)
        if event.session is SessionName.ACCOUNT:
            self.readings.on_stream_lost()
            self.witness.forget()
        self._all_due(out)  # Closes the gates, and says so.

    def _on_undecodable(self, event: Undecodable, at: Instant, out: DecisionDraft) -> None:
        out.notes.append(self.nonsense.note(event))

    def _on_paused(self, event: Paused, at: Instant, out: DecisionDraft) -> None:
        self.is_paused = event.is_paused
        self._all_due(out)

    def _on_stopping(self, event: Stopping, at: Instant, out: DecisionDraft) -> None:
        self.is_stopping = True
        out.remark(f"stopping: {event.cause}")
        self._all_due(out)

    # The account's stream

    def _on_fill(self, fill: Fill, at: Instant, out: DecisionDraft) -> None:
        if not self.readings.has_baseline:
            self.orders.mark_history((fill,))  # The balances to be read already contain it.
            return
        changes = self.orders.on_fill(fill, at)
        is_stream_live = self.liveness.phase(SessionName.ACCOUNT) is Phase.LIVE
        self.witness.on_fill(fill, changes.is_new_fill, is_stream_live, at)
        if changes.is_new_fill:
            self.inventory.book_fill(fill)
            self._count_volume(fill)
            if changes.is_ours:
                self.fills_booked += 1
            out.notes.append(FillBooked(fill, changes.is_ours))
            out.due.add(fill.coin)  # A fill makes a requote due at once.
        self._apply(changes, at, out)

    def _count_volume(self, fill: Fill) -> None:
        market = next((quoter.market for quoter in self.quoters if quoter.coin == fill.coin), None)
        if market is not None:
            value_e8 = market.value_e8(fill.price_ticks, fill.size_lots)
            self.volume_e8 += value_e8
            self.address.credit_volume(value_e8)

    def _on_order_updated(self, event: OrderUpdated, at: Instant, out: DecisionDraft) -> None:
        self.witness.on_updated(event.cloid)
        self._apply(self.orders.on_order_update(event, at), at, out)

    # Readings over REST

    def _on_open_orders(self, read: OpenOrdersRead, at: Instant, out: DecisionDraft) -> None:
        changes = self.orders.on_open_orders(read, at)
        self._start_is_clean = not changes.adopt_cancels
        self.orders_at_venue = len(read.orders)
        self._holds.on_open_orders(read)
        self._apply(changes, at, out)

    def _on_balances(self, read: BalancesRead, at: Instant, out: DecisionDraft) -> None:
        self.readings.on_balances(read)
        if not self.inventory.is_known:
            return
        notes = self.inventory.observe(read, at, is_quiet=self._watch.is_quiet)
        out.notes.extend(notes)
        if any(isinstance(note, Mismatch) for note in notes):
            self._all_due(out)

    def _on_fills_read(self, read: FillsRead, at: Instant, out: DecisionDraft) -> None:
        for fill in read.fills:
            self._on_fill(fill, at, out)
            self.fills_read_until_ms = max(self.fills_read_until_ms, fill.time_ms)

    def _on_order_status(self, read: OrderStatusRead, at: Instant, out: DecisionDraft) -> None:
        self._apply(self.orders.on_order_status(read, at), at, out)

    def _on_budget(self, read: BudgetRead, at: Instant, out: DecisionDraft) -> None:
        if self.requests_used_at_start is None:
            self.requests_used_at_start = read.requests_used
        in_flight = sum(len(batch.items) for batch in self._batches.values())
        out.notes.extend(self.address.observe(read, in_flight + self.orders.unknown_count, at))

    def _on_account_read(self, read: AccountRead, at: Instant, out: DecisionDraft) -> None:
        ends_catch_up = self.readings.on_done(read.purpose, read.requested_at, at)
        if not ends_catch_up:
            return
        is_start = not self.readings.has_baseline
        if is_start and not self._take_baseline(at, out):
            return
        self.readings.on_caught_up()
        self.liveness.on_caught_up(SessionName.ACCOUNT, at)
        if not is_start:  # REST lags: what happened just before the stream was live may show only now.
            out.commands.extend(self.readings.look_again())
        self._all_due(out)

    def _take_baseline(self, at: Instant, out: DecisionDraft) -> bool:
        """Accept the balances as the start of all accounting, if nothing can be moving them."""
        balances = self.readings.baseline()
        if not self._start_is_clean:
            out.commands.extend(self.readings.again("orders of an earlier run still rest"))
            return False
        if balances is None:
            out.commands.extend(self.readings.again("the balances have no second witness yet"))
            return False
        out.notes.extend(self.inventory.rebase(balances, at))
        self.readings.on_baseline()
        return True

    def _on_read_failed(self, event: ReadFailed, at: Instant, out: DecisionDraft) -> None:
        if event.cloid is None:  # An order that stays unknown is asked about again, without a line each time.
            text = f"reading the {event.what} failed: {event.cause}"
            out.remark(text, is_warning=True, topic=text)
            out.commands.extend(self.readings.on_failed(event.cause))

    # The market's feeds

    def _on_book(self, book: BookRead, at: Instant, out: DecisionDraft) -> None:
        for quoter in self.quoters:
            if quoter.coin == book.coin:
                quoter.on_book(book)

    def _on_touch(self, touch: TouchChanged, at: Instant, out: DecisionDraft) -> None:
        for quoter in self.quoters:
            if quoter.coin == touch.coin:
                quoter.on_touch(touch)

    def _on_nothing(self, event: object, at: Instant, out: DecisionDraft) -> None:
        """Recorded, not acted upon."""

    # What became of our requests

    def _on_batch_done(self, event: BatchDone, at: Instant, out: DecisionDraft) -> None:
        batch = self._batches.pop(event.batch_id)
        changes = self.orders.on_batch_done(event, at)
        self.address.settle(event.outcomes, at)
        markets = {quoter.coin: quoter.market for quoter in self.quoters}
        out.notes.extend(self.emitter.on_outcomes(batch, event.outcomes, at, markets))
        sent_at = at.plus_s(-event.took_s)
        for outcome in event.outcomes:
            if outcome.kind is OutcomeKind.RESTING and self.orders.is_unseen(outcome.cloid):
                self.witness.on_accepted(outcome.cloid, sent_at, at)
        self._apply(changes, at, out)

    def _on_batch_unknown(self, event: BatchUnknown, at: Instant, out: DecisionDraft) -> None:
        self.address.doubt(len(self._batches.pop(event.batch_id).items), at)
        topic = f"outcome unknown: {event.cause}"
        out.remark(f"batch {event.batch_id}: {topic}", is_warning=True, topic=topic)
        self._apply(self.orders.on_batch_unknown(event, at), at, out)

    def _on_batch_not_sent(self, event: BatchNotSent, at: Instant, out: DecisionDraft) -> None:
        self.address.refund(len(self._batches.pop(event.batch_id).items))
        topic = f"was not sent: {event.cause}"
        out.remark(f"batch {event.batch_id} {topic}", is_warning=True, topic=topic)
        self._apply(self.orders.on_batch_not_sent(event, at), at, out, requote=False)  # The next tick tries again.

    # Deciding

    def _apply(self, changes: Changes, at: Instant, out: DecisionDraft, *, requote: bool = True) -> None:
        """Carry out what a change of the orders asks for."""
        out.notes.extend(changes.notes)
        out.commands.extend(QueryOrder(cloid) for cloid in changes.queries)
        self._send_cancels(changes.adopt_cancels, at, out)
        if changes.read_fills:
            out.commands.extend(self.readings.reconcile("a fill is owed", self._watch.judging(ReadPurpose.CONFIRM)))
        if requote:
            out.due.update(changes.touched)

    def _all_due(self, out: DecisionDraft) -> None:
        out.due.update(quoter.coin for quoter in self.quoters)

    def _gate(self, quoter: Quoter, at: Instant) -> Reason | None:
        """Why this market may not quote now; None where it may."""
        if self.is_stopping:
            return Reason(ReasonCode.STOPPING, quoter.coin)
        if self.is_paused:
            return Reason(ReasonCode.PAUSED, quoter.coin)
        blocked = self.liveness.blocking_reason(quoter.coin, quoter.needs_market_data, at)
        if blocked is not None:
            return blocked
        if not self.inventory.is_known:
            return Reason(ReasonCode.BALANCES_UNKNOWN, quoter.coin)
        return quoter.suspended

    def _note_gate(self, quoter: Quoter, reason: Reason | None, at: Instant, out: DecisionDraft) -> bool:
        """Note where quoting stops and resumes. True where it has just resumed."""
        is_market = reason is not None and reason.code in _MARKET_GATES
        silence_s = self.liveness.silence_s(SessionName.MARKET if is_market else SessionName.ACCOUNT, at)
        note = quoter.note_gate(reason, silence_s, at)
        if note is not None:
            out.notes.append(note)
        return isinstance(note, QuotingResumed)

    def _requote(self, quoters: Sequence[Quoter], at: Instant, out: DecisionDraft) -> None:
        wanted: list[MarketWanted] = []
        for quoter in quoters:
            reason = self._gate(quoter, at)
            self._note_gate(quoter, reason, at, out)
            if reason is None:
                difference = self._difference(quoter, at)
                if quoter.suspended is not None:  # Only just: its strategy has failed.
                    self._note_gate(quoter, quoter.suspended, at, out)
            elif reason.code in _WITHDRAWN:
                difference = quoter.withdrawal(self.orders.live(quoter.coin), reason)
            else:
                difference = Difference((), (), (), (reason,))
            self.standing_reasons[quoter.coin] = difference.reasons
            out.reasons.extend(difference.reasons)
            if difference.cancels or difference.modifies or difference.places:
                wanted.append(MarketWanted(quoter.market, difference, self._to_be_modified(difference)))
        if wanted:
            plan = self.emitter.plan(wanted, free=self._holds.free_units(), address=self.address, ip=self.ip, at=at)
            self._hold_reasons(plan.reasons)
            out.reasons.extend(plan.reasons)
            self._submit(plan.batches, at, out)

    def _difference(self, quoter: Quoter, at: Instant) -> Difference:
        base, quote = self.inventory.allocated(quoter.coin)
        return quoter.difference(self.orders, base, quote, at)

    def _to_be_modified(self, difference: Difference) -> list[Order]:
        targets = (self.orders.get(modify.target) for modify in difference.modifies)
        return [order for order in targets if order is not None]

    def _hold_reasons(self, reasons: Iterable[Reason]) -> None:
        for reason in reasons:
            coins = [reason.coin] if reason.coin is not None else [quoter.coin for quoter in self.quoters]
            for coin in coins:
                self.standing_reasons[coin] = (*self.standing_reasons.get(coin, ()), reason)

    def _submit(self, batches: Iterable[Batch], at: Instant, out: DecisionDraft) -> None:
        """Register every order as pending before its batch can leave."""
        for batch in batches:
            self.orders.register(batch, at)
            self._batches[batch.id] = batch
            out.commands.append(SubmitBatch(batch))
