"""Every order we may have on the venue, by cloid: what was asked for, what the venue said, what is certain.

An order is registered before its request leaves and lives until its end is proven. Nothing here believes a single
witness: a reply, the stream and REST arrive in any order, late, twice or never (protocol 3.2, 12.2; R 2 A and B).

A modify makes a second order with a cloid of its own; `canceled` of the first and `open` of the second then cannot be
confused, in whatever order they come. The slot is what the two have in common.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from mmtrio.core.events import (
    Batch,
    BatchDone,
    BatchKind,
    BatchNotSent,
    BatchUnknown,
    CancelItem,
    Fill,
    ItemOutcome,
    Mismatch,
    ModifyItem,
    OpenOrdersRead,
    OrderStatusRead,
    OrderUpdated,
    OutcomeKind,
    PlaceItem,
    Refusal,
)
from mmtrio.core.fill_ledger import FILLS_KEPT, FillLedger, FillVerdict
from mmtrio.core.market import Market
from mmtrio.core.order import Order, OrderPhase
from mmtrio.core.order_changes import Changes, ChangesDraft
from mmtrio.core.order_evidence import OrderEvidence
from mmtrio.core.order_registry import CANCELED_UNCONFIRMED, FILLED, OrderRegistry, OrderTimes
from mmtrio.core.order_tally import OrderTally
from mmtrio.core.status_words import StatusMeaning, meaning_of
from mmtrio.core.types import Amount, Cloid, CloidSource, Coin, Instant, SlotKey

__all__ = ["Changes", "Order", "OrderPhase", "OrderState", "OrderTimes"]

NO_EFFECT = frozenset(
    {
        Refusal.BUDGET,
        Refusal.TOO_MANY_REQUESTS,
        Refusal.EXPIRED,
        Refusal.NONCE_TOO_LOW,
        Refusal.UNKNOWN_SIGNER,
        Refusal.OVER_WEIGHT,
        Refusal.INVALID_PRICE,
        Refusal.INVALID_SIZE,
        Refusal.PRICE_TOO_FAR,
        Refusal.MIN_NOTIONAL,
    }
)
"""Refused before anything was touched: the target of such a modify rests as before. After any other refusal it may have
been cancelled already, or be filled (protocol 6.3)."""


@attrs.define
class _SentBatch:
    """A batch without a final answer."""

    batch: Batch
    since: Instant
    is_unknown: bool = False


class OrderState:
    """All orders of one account that are ours.

    Args:
        cloids: tells our cloids from foreign ones.
        markets: those traded; an order on another coin cannot be registered.

    The events' handlers answer with `Changes`: what to note, to ask, to cancel and to requote.
    """

    def __init__(
        self,
        cloids: CloidSource,
        markets: Iterable[Market],
        *,
        rest_lag_s: float = 2.0,
        fill_wait_s: float = 2.0,
        terminal_grace_s: float = 60.0,
        expiry_margin_s: float = 2.0,
        query_interval_s: float = 2.0,
        queries_max: int = 60,
        fills_kept: int = FILLS_KEPT,
    ) -> None:
        times = OrderTimes(
            rest_lag_s=rest_lag_s,
            fill_wait_s=fill_wait_s,
            terminal_grace_s=terminal_grace_s,
            expiry_margin_s=expiry_margin_s,
            query_interval_s=query_interval_s,
            queries_max=queries_max,
        )
        self.cloids = cloids
        self.mismatches = 0
        self._registry = OrderRegistry(markets, times, fills_kept)
        self._evidence = OrderEvidence(cloids, self._registry)
        self._batches: dict[int, _SentBatch] = {}

    # What is asked about the whole

    @property
    def ledger(self) -> FillLedger:
        """The desk-wide memory of fills."""
        return self._registry.ledger

    def get(self, cloid: Cloid) -> Order | None:
        """The order, live or ended within the grace."""
        return self._registry.get(cloid)

    def live(self, coin: Coin) -> tuple[Order, ...]:
        """Orders of a market that may rest, may land or are owed fills, oldest first."""
        return self._registry.live(coin)

    def by_slot(self, slot: SlotKey) -> tuple[Order, ...]:
        """Live orders of a slot: one, or two while one replaces the other."""
        return self._registry.by_slot(slot)

    def take_changed(self, coin: Coin) -> tuple[SlotKey, ...]:
        """Slots of a market where an order came, changed or went since this was last asked. For one reader."""
        return self._registry.take_changed(coin)

    def is_unseen(self, cloid: Cloid) -> bool:
        """It is live and `orderUpdates` has not spoken of it yet: an accepted order must appear there (D10)."""
        order = self._registry.get(cloid)
        return order is not None and order.is_live and not order.is_on_stream

    def cloids_that_may_live(self) -> tuple[Cloid, ...]:
        """Everything that may be in the venue's book now or later, by our knowledge; sorted."""
        return tuple(sorted(order.cloid for order in self._registry.all_live() if order.may_rest))

    @property
    def live_count(self) -> int:
        return self._registry.tally.live_count

    @property
    def unknown_count(self) -> int:
        return self._registry.tally.unknown_count

    @property
    def in_flight_count(self) -> int:
        """Orders with a request unanswered, or with fills or a final size owed."""
        return self._registry.tally.in_flight_count

    def committed_base_lots(self, coin: Coin) -> int:
        """What asks tie up, worst case."""
        return self._registry.tally.base_lots(coin)

    def committed_quote(self, coin: Coin) -> Amount:
        """What bids tie up, worst case."""
        return self._registry.tally.quote(coin)

    @property
    def placed(self) -> int:
        """Orders the venue accepted that replaced nothing."""
        return self._registry.placed

    @property
    def modified(self) -> int:
        return self._registry.modified

    @property
    def cancelled(self) -> int:
        """Orders that ended by a cancel of ours."""
        return self._registry.cancelled

    def recounted_tally(self) -> OrderTally:
        """All totals counted anew. Equal to those kept, or there is a bug."""
        return self._registry.recounted_tally()

    # Before the send

    def register(self, batch: Batch, at: Instant) -> None:
        """Know every order of a batch before the batch can leave, and mark what it changes."""
        assert batch.id not in self._batches, batch.id
        self._batches[batch.id] = _SentBatch(batch, at)
        for item in batch.items:
            if isinstance(item, PlaceItem):
                self._add(item, batch, at, replaces=None)
            elif isinstance(item, ModifyItem):
                self._register_modify(item, batch, at)
            else:
                self._mark_cancel(item, batch)

    def _add(self, item: PlaceItem, batch: Batch, at: Instant, *, replaces: Cloid | None) -> None:
        order = Order(
            slot=item.slot,
            cloid=item.cloid,
            coin=item.coin,
            side=item.side,
            price_ticks=item.price_ticks,
            original_lots=item.size_lots,
            sent_at=at,
            expires_at=self._expiry(batch, at),
            replaces=replaces,
        )
        self._registry.add(order)
        self._registry.refresh(order)

    def _expiry(self, batch: Batch, at: Instant) -> Instant | None:
        """Its expiry counts from the moment of sending, which may be a little later than now."""
        if batch.expires_after_s is None:
            return None
        return at.plus_s(self._registry.times.send_wait_max_s + batch.expires_after_s)

    def _register_modify(self, item: ModifyItem, batch: Batch, at: Instant) -> None:
        target = self._registry.get(item.target_cloid)
        assert target is not None, item
        assert target.phase is OrderPhase.RESTING, target
        assert not target.is_busy, target
        earlier = self._registry.get(target.replaced_by) if target.replaced_by is not None else None
        assert earlier is None or not earlier.is_live, earlier
        assert target.side is item.order.side, item
        assert target.coin == item.order.coin, item
        self._add(item.order, batch, at, replaces=target.cloid)
        target.pending = "modify"
        target.pending_batch_id = batch.id
        target.replaced_by = item.order.cloid
        self._registry.refresh(target)

    def _mark_cancel(self, item: CancelItem, batch: Batch) -> None:
        order = self._registry.get(item.cloid)
        if order is None or not order.may_rest:
            return  # An orphan, or one that ended meanwhile: cancelling it again does no harm.
        order.pending = "cancel"
        order.pending_batch_id = batch.id
        order.is_cancel_requested = True
        self._registry.refresh(order)

    # What became of a batch

    def on_batch_done(self, event: BatchDone, at: Instant) -> Changes:
        """The venue answered. An item it left out of its answer has an unknown outcome."""
        draft = ChangesDraft()
        batch = self._take_batch(event.batch_id, draft)
        if batch is not None:
            outcomes = {outcome.cloid: outcome for outcome in event.outcomes}
            for item in batch.items:
                cloid = _cloid_of(item)
                outcome = outcomes.get(cloid, ItemOutcome(cloid, OutcomeKind.UNKNOWN))
                self._on_outcome(item, batch, outcome, at, draft)
        return self._finish(draft)

    def on_batch_unknown(self, event: BatchUnknown, at: Instant) -> Changes:
        """Nobody knows what became of it (D3). An answer may still follow, so the batch is kept a while."""
        draft = ChangesDraft()
        sent = self._batches.get(event.batch_id)
        if sent is None or sent.is_unknown:
            draft.remark(f"batch {event.batch_id} has no outcome to wait for", is_warning=True)
        else:
            sent.is_unknown = True
            sent.since = at
            for item in sent.batch.items:
                self._on_unknown(item, sent.batch, at, draft)
        return self._finish(draft)

    def on_batch_not_sent(self, event: BatchNotSent, at: Instant) -> Changes:
        """It never left, so nothing of it exists and everything is as before."""
        draft = ChangesDraft()
        batch = self._take_batch(event.batch_id, draft)
        if batch is not None:
            for item in batch.items:
                if not isinstance(item, CancelItem):
                    self._on_not_placed(_cloid_of(item), "not sent", at, draft)
                target = self._target(item)
                if target is not None:
                    self._unmark(target, batch, draft)
        return self._finish(draft)

    def _take_batch(self, batch_id: int, draft: ChangesDraft) -> Batch | None:
        sent = self._batches.pop(batch_id, None)
        if sent is None:
            draft.remark(f"batch {batch_id} has no outcome to wait for", is_warning=True)
            return None
        return sent.batch

    def _on_outcome(
        self,
        item: PlaceItem | ModifyItem | CancelItem,
        batch: Batch,
        outcome: ItemOutcome,
        at: Instant,
        draft: ChangesDraft,
    ) -> None:
        if outcome.kind is OutcomeKind.REFUSED and outcome.refusal is not Refusal.DUPLICATE_NONCE:
            self._on_refused(item, batch, outcome, at, draft)
        elif batch.kind is BatchKind.CANCEL and outcome.kind is OutcomeKind.CANCELLED:
            self._on_cancelled(item, at, draft)
        elif batch.kind is not BatchKind.CANCEL and outcome.kind in (OutcomeKind.RESTING, OutcomeKind.FILLED):
            self._on_accepted(outcome, at, draft)
        else:  # A duplicate nonce proves that an earlier copy arrived, and nothing about its outcome.
            self._on_unknown(item, batch, at, draft)

    def _on_accepted(self, outcome: ItemOutcome, at: Instant, draft: ChangesDraft) -> None:
        order = self._registry.get(outcome.cloid)
        if order is None:
            return
        order.is_answered = True
        self._registry.learn_oid(order, outcome.oid, at, draft)
        if order.phase is OrderPhase.ENDED and not order.is_end_proven:
            self._registry.revive(order, at, draft)
        if outcome.kind is OutcomeKind.RESTING:
            self._registry.confirm(order, at, draft)
            return
        if not order.is_live:
            return
        self._registry.prove_existence(order, at, draft)
        self._registry.promise(order, outcome.filled_lots, at, draft)
        if outcome.filled_lots >= order.original_lots:
            self._registry.settle(order, FILLED, at, draft)  # Reserved until the fills come (D6).
        else:
            self._registry.doubt(order, at, draft, is_change=False)  # The rest may rest, or be cancelled.

    def _on_cancelled(self, item: PlaceItem | ModifyItem | CancelItem, at: Instant, draft: ChangesDraft) -> None:
        order = self._registry.get(_cloid_of(item))
        if order is None or not order.is_live:
            return
        self._registry.prove_existence(order, at, draft)
        self._registry.settle(order, CANCELED_UNCONFIRMED, at, draft)

    def _on_refused(
        self,
        item: PlaceItem | ModifyItem | CancelItem,
        batch: Batch,
        outcome: ItemOutcome,
        at: Instant,
        draft: ChangesDraft,
    ) -> None:
        """A refused order was not placed. Whether what it was about still rests is another matter."""
        refusal = outcome.refusal if outcome.refusal is not None else Refusal.OTHER
        if not isinstance(item, CancelItem):
            self._on_not_placed(_cloid_of(item), f"refused: {refusal.value}", at, draft)
        target = self._target(item)
        if target is None:
            return
        self._unmark(target, batch, draft)
        if isinstance(item, ModifyItem):
            is_doubtful = refusal not in NO_EFFECT
        else:
            is_doubtful = refusal is Refusal.MISSING_ORDER
        if is_doubtful and target.phase is not OrderPhase.PENDING:  # Pending: the cancel came before the order.
            self._registry.doubt(target, at, draft, is_change=True)

    def _on_not_placed(self, cloid: Cloid, status: str, at: Instant, draft: ChangesDraft) -> None:
        order = self._registry.get(cloid)
        if order is None or not order.may_rest:
            return
        order.is_answered = True
        if order.is_known_to_venue:
            draft.remark(f"order {cloid} exists, and its request was {status!r}", is_warning=True)
            self._registry.doubt(order, at, draft, is_change=False)
        else:
            self._registry.end(order, status, at, draft, is_proven=False)

    def _on_unknown(
        self, item: PlaceItem | ModifyItem | CancelItem, batch: Batch, at: Instant, draft: ChangesDraft
    ) -> None:
        if not isinstance(item, CancelItem):
            order = self._registry.get(_cloid_of(item))
            if order is not None and order.is_live:
                order.is_answered = True
                if order.phase is not OrderPhase.RESTING:  # The stream may have been faster than the lost reply.
                    self._registry.doubt(order, at, draft, is_change=False)
        target = self._target(item)
        if target is not None:
            self._unmark(target, batch, draft)
            self._registry.doubt(target, at, draft, is_change=True)

    def _target(self, item: PlaceItem | ModifyItem | CancelItem) -> Order | None:
        """The existing order that an item is about."""
        if isinstance(item, PlaceItem):
            return None
        return self._registry.get(item.target_cloid if isinstance(item, ModifyItem) else item.cloid)

    def _unmark(self, order: Order, batch: Batch, draft: ChangesDraft) -> None:
        if order.pending_batch_id == batch.id:
            order.pending = None
            order.pending_batch_id = None
            self._registry.refresh(order, draft)

    # The stream

    def on_order_update(self, event: OrderUpdated, at: Instant) -> Changes:
        """A status from `orderUpdates`: late, early, twice, out of order or unheard of."""
        draft = ChangesDraft()
        order = self._registry.find(event.cloid, event.oid)
        meaning = meaning_of(event.status)
        if order is None:
            self._on_stranger(event, meaning, at, draft)
            return self._finish(draft)
        order.is_on_stream = True
        order.placed_ms = event.placed_ms
        self._registry.learn_oid(order, event.oid, at, draft)
        filled_lots = min(order.original_lots, max(0, event.original_lots - event.size_lots))
        if meaning is StatusMeaning.REJECTED:
            self._registry.state_end(order, event.status, 0, event.status_ms, at, draft)
        elif meaning is StatusMeaning.ENDED:
            self._registry.prove_existence(order, at, draft)
            self._registry.state_end(order, event.status, filled_lots, event.status_ms, at, draft)
        elif meaning is StatusMeaning.LIVE:
            self._on_live_update(order, event, filled_lots, at, draft)
        else:
            draft.remark(f"order {order.cloid} has the unheard-of status {event.status!r}", is_warning=True)
            self._registry.prove_existence(order, at, draft)
            self._registry.doubt(order, at, draft, is_change=True)
        return self._finish(draft)

    def _on_live_update(
        self, order: Order, event: OrderUpdated, filled_lots: int, at: Instant, draft: ChangesDraft
    ) -> None:
        if order.is_over:
            return
        if order.status_ms is not None and event.status_ms < order.status_ms:
            return
        if order.phase is OrderPhase.ENDED:  # Given up for want of any sign, and this is one.
            self._registry.revive(order, at, draft)
        is_repeated = order.status_ms == event.status_ms and order.status == event.status
        order.status = event.status
        order.status_ms = event.status_ms
        if not is_repeated or order.phase is not OrderPhase.RESTING:
            self._registry.confirm(order, at, draft)
        self._registry.promise(order, filled_lots, at, draft)

    def _on_stranger(self, event: OrderUpdated, meaning: StatusMeaning, at: Instant, draft: ChangesDraft) -> None:
        if event.cloid is None or not self.cloids.is_ours(event.cloid) or meaning is not StatusMeaning.LIVE:
            return
        text = f"{event.cloid} oid {event.oid} on {event.coin}"
        if self._evidence.on_orphan_update(event.cloid, text, at, draft):
            draft.adopt_cancel(event.cloid, event.coin)

    def on_fill(self, fill: Fill, at: Instant) -> Changes:
        """Count a fill, once, to inventory (`is_new_fill`) and to its order, each by its own memory.

        A fill whose order cannot be named yet is kept until an ack names its oid; inventory moves at once.
        """
        draft = ChangesDraft()
        order = self._registry.find(fill.cloid, fill.oid)
        verdict = self.ledger.book(fill, order.cloid if order is not None else None)
        draft.is_new_fill = verdict is FillVerdict.NEW
        draft.is_ours = order is not None or self.cloids.is_ours(fill.cloid)
        if order is not None:
            self._registry.learn_oid(order, fill.oid, at, draft)
            self._registry.book(order, fill, at, draft)
        elif verdict is FillVerdict.NEW and fill.cloid is None:
            self._registry.park(fill)
        return self._finish(draft)

    def mark_history(self, fills: Iterable[Fill], *, before_ms: int | None = None) -> None:
        """Take fills as booked before we started. See `FillLedger.mark_history`."""
        self.ledger.mark_history(fills, before_ms=before_ms)

    # REST and time

    def on_open_orders(self, read: OpenOrdersRead, at: Instant) -> Changes:
        draft = ChangesDraft()
        self._evidence.on_open_orders(read, at, draft)
        return self._finish(draft)

    def on_order_status(self, read: OrderStatusRead, at: Instant) -> Changes:
        draft = ChangesDraft()
        self._evidence.on_order_status(read, at, draft)
        return self._finish(draft)

    def on_tick(self, at: Instant) -> Changes:
        """Questions that are due, fills that are owed, graces that have ended."""
        draft = ChangesDraft()
        self._evidence.on_tick(at, draft)
        self._registry.forget(at)
        self._forget_batches(at)
        return self._finish(draft)

    def _forget_batches(self, at: Instant) -> None:
        """An answer after its batch was given up may still come: wait for it as long as for its orders."""
        for sent in tuple(self._batches.values()):
            if sent.is_unknown and at.age_s(sent.since) >= self._registry.times.terminal_grace_s:
                if not any(self._registry.remembers(_cloid_of(item)) for item in sent.batch.items):
                    del self._batches[sent.batch.id]

    def _finish(self, draft: ChangesDraft) -> Changes:
        self.mismatches += sum(isinstance(note, Mismatch) for note in draft.notes)
        return draft.finish()


def _cloid_of(item: PlaceItem | ModifyItem | CancelItem) -> Cloid:
    """The cloid its outcome is told under."""
    return item.order.cloid if isinstance(item, ModifyItem) else item.cloid
