"""All orders of ours that are remembered, under every name they go by, and the steps from one phase to the next.

Which event leads to which step is decided in `order_state.py` and `order_evidence.py`; here it is carried out, so that
indexes, totals, notes and counters can never disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from mmtrio.core.events import Fill, OrderEnded
from mmtrio.core.fill_ledger import FillLedger
from mmtrio.core.market import Market
from mmtrio.core.order import Doubts, Order, OrderPhase, OwedFills
from mmtrio.core.order_changes import ChangesDraft
from mmtrio.core.order_tally import OrderTally
from mmtrio.core.types import Cloid, Coin, Instant, SlotKey

FILLED = "filled"
CANCELED_UNCONFIRMED = "canceled, size unconfirmed"
MODIFIED_UNCONFIRMED = "modified, size unconfirmed"


@attrs.frozen
class OrderTimes:
    """How long evidence takes, and how patient we are."""

    rest_lag_s: float = 2.0
    """A REST answer may be this much older than its request."""
    fill_wait_s: float = 2.0
    """A fill the venue spoke of is asked for after this long."""
    terminal_grace_s: float = 60.0
    """An order that ended is remembered this long."""
    expiry_margin_s: float = 2.0
    """Beyond its expiry, a request cannot land any more."""
    query_interval_s: float = 2.0
    """Between two `orderStatus` about one order."""
    patient_query_interval_s: float = 8.0
    """The same while a request may still land: "not found" proves nothing then, and the stream tells if it does."""
    queries_max: int = 60
    """`orderStatus` asked for per `query_window_s`: a lost batch of 200 must not eat the IP weight (2 each)."""
    query_window_s: float = 10.0
    send_wait_max_s: float = 2.0
    """A place or modify leaves this soon after it was registered, or never."""
    fill_wait_s_max: float = 30.0
    """Asking for a missing fill slows down to this."""
    fill_asks_max: int = 8
    """After so many reads without it, a fill the venue spoke of does not exist."""


class OrderRegistry:
    """Every remembered order by cloid, oid, slot and coin. Constructed by `OrderState`."""

    def __init__(self, markets: Iterable[Market], times: OrderTimes, fills_kept: int) -> None:
        self.times = times
        self.ledger = FillLedger(self.remembers, fills_kept)
        self.tally = OrderTally({market.coin: market for market in markets})
        self.placed = 0
        self.modified = 0
        self.cancelled = 0
        self._by_cloid: dict[Cloid, Order] = {}
        self._by_oid: dict[int, Order] = {}
        self._live_by_coin: dict[Coin, dict[Cloid, Order]] = {}
        self._live_by_slot: dict[SlotKey, dict[Cloid, Order]] = {}
        self._changed: dict[Coin, dict[SlotKey, None]] = {}
        self._uneasy: dict[Cloid, Order] = {}  # Live orders for which time alone may make something due.
        self._ended: dict[Cloid, Order] = {}  # In the order of their ending.
        self._parked: dict[int, list[Fill]] = {}  # Fills without a cloid, by an oid nobody has claimed yet.
        self._asked_since: Instant | None = None
        self._asked_count = 0

    # Looking

    def get(self, cloid: Cloid) -> Order | None:
        return self._by_cloid.get(cloid)

    def find(self, cloid: Cloid | None, oid: int | None) -> Order | None:
        """By cloid, which is identity; by oid where the venue leaves the cloid out."""
        if cloid is not None and cloid in self._by_cloid:
            return self._by_cloid[cloid]
        return self._by_oid.get(oid) if oid is not None else None

    def remembers(self, cloid: Cloid) -> bool:
        return cloid in self._by_cloid

    def live(self, coin: Coin) -> tuple[Order, ...]:
        return tuple(self._live_by_coin.get(coin, {}).values())

    def all_live(self) -> Iterator[Order]:
        for orders in self._live_by_coin.values():
            yield from orders.values()

    def by_slot(self, slot: SlotKey) -> tuple[Order, ...]:
        return tuple(self._live_by_slot.get(slot, {}).values())

    def take_changed(self, coin: Coin) -> tuple[SlotKey, ...]:
        return tuple(self._changed.pop(coin, ()))

    def uneasy(self) -> tuple[Order, ...]:
        return tuple(self._uneasy.values())

    def target_of(self, order: Order) -> Order | None:
        return self._by_cloid.get(order.replaces) if order.replaces is not None else None

    # Steps

    def add(self, order: Order) -> None:
        assert order.cloid not in self._by_cloid, order
        assert order.coin in self.tally.markets, order
        self._by_cloid[order.cloid] = order
        self._enter_live(order)

    def learn_oid(self, order: Order, oid: int | None, at: Instant, draft: ChangesDraft) -> None:
        """An oid is an attribute of an order; fills that came under it before we knew are booked to it now."""
        if oid is None or order.oid == oid:
            return
        holder = self._by_oid.get(oid)
        if order.oid is not None or holder is not None:
            taken = f"by {holder.cloid}" if holder is not None else f"since it has {order.oid}"
            draft.remark(f"order {order.cloid}: oid {oid} cannot be its own, taken {taken}", is_warning=True)
            return
        order.oid = oid
        self._by_oid[oid] = order
        for fill in self._parked.pop(oid, ()):
            self.book(order, fill, at, draft)

    def prove_existence(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        """The venue has, or had, this order; so what it replaces does not rest any more."""
        if order.is_known_to_venue:
            return
        order.is_known_to_venue = True
        target = self.target_of(order)
        if order.replaces is None:
            self.placed += 1
        else:
            self.modified += 1
        if target is not None:
            self.settle(target, MODIFIED_UNCONFIRMED, at, draft)
        self.refresh(order, draft)

    def confirm(self, order: Order, at: Instant, draft: ChangesDraft, *, requested_at: Instant | None = None) -> None:
        """The venue says that it rests. `requested_at` where that was asked for, None where it came by itself.

        What a cancel or modify of unknown outcome did is told only by an answer to a later question: an ack or an
        update may be older than the change.
        """
        if order.is_over or not order.is_live:
            return
        self.prove_existence(order, at, draft)
        doubts = order.doubts
        if doubts.is_change and doubts.since is not None:
            if requested_at is None or requested_at.age_s(doubts.since) < self.times.rest_lag_s:
                if order.phase is OrderPhase.PENDING:
                    order.phase = OrderPhase.UNKNOWN
                self.refresh(order, draft)
                return
        order.phase = OrderPhase.RESTING
        order.confirmed_at = at
        order.doubts = Doubts()
        self.refresh(order, draft)

    def doubt(self, order: Order, at: Instant, draft: ChangesDraft, *, is_change: bool) -> None:
        """Nobody knows what became of it, or of a request about it. It stays live, and is asked about."""
        if order.is_over or not order.is_live:
            return
        order.doubts.since = at
        order.doubts.is_change = order.doubts.is_change or is_change
        order.doubts.denied_at = None
        order.doubts.is_denied = False
        if order.phase is not OrderPhase.PENDING or order.is_answered or order.is_known_to_venue:
            # Otherwise its own answer is still to come.
            order.phase = OrderPhase.UNKNOWN
            self.ask(order, at, draft)
        self.refresh(order, draft)

    def ask(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        """Ask the venue about it by name, or leave that to a later tick if many questions were asked just now."""
        if self._asked_since is None or at.age_s(self._asked_since) >= self.times.query_window_s:
            self._asked_since = at
            self._asked_count = 0
        if self._asked_count < self.times.queries_max:
            self._asked_count += 1
            order.doubts.asked_at = at
            draft.query(order.cloid)

    def promise(self, order: Order, filled_lots: int, at: Instant, draft: ChangesDraft) -> None:
        """The venue speaks of so much being filled; the fills themselves must come (D6)."""
        if filled_lots <= order.disbelieved_lots:
            return
        order.promised_lots = max(order.promised_lots, min(filled_lots, order.original_lots))
        self._owe(order, at)
        self.refresh(order, draft)

    def settle(self, order: Order, status: str, at: Instant, draft: ChangesDraft) -> None:
        """The venue says that it is over, but not how much of it was filled: it stays counted (D7)."""
        if not order.may_rest:
            return
        self._settle(order, status, at)
        self.refresh(order, draft)

    def state_end(
        self, order: Order, status: str, filled_lots: int, status_ms: int | None, at: Instant, draft: ChangesDraft
    ) -> None:
        """The venue's terminal word, with the size at the end. Of several, the last by venue time holds."""
        is_later = order.stated_filled_lots is None or (status_ms or 0, filled_lots) > (
            order.status_ms or 0,
            order.stated_filled_lots,
        )
        if order.phase is OrderPhase.ENDED:
            order.is_end_proven = True  # Whatever we had concluded, now the venue has said it.
            return
        if not is_later:
            return
        order.stated_filled_lots = filled_lots
        order.status_ms = status_ms
        self._settle(order, status, at)
        self._owe(order, at)
        self._finish_if_whole(order, at, draft)
        self.refresh(order, draft)

    def book(self, order: Order, fill: Fill, at: Instant, draft: ChangesDraft) -> None:
        """Count a fill to its order, once: the second level of dedupe."""
        if fill.key in order.fill_keys:
            return
        if fill.coin != order.coin or fill.side is not order.side:
            draft.remark(f"fill {fill.key} names order {order.cloid} of another market or side", is_warning=True)
            return
        order.fill_keys[fill.key] = None
        self.ledger.assign(fill.key, order.cloid)
        order.filled_lots += fill.size_lots
        order.filled_at = at
        if order.filled_lots > order.original_lots:
            draft.remark(
                f"order {order.cloid}: filled {order.filled_lots} lots of {order.original_lots}", is_warning=True
            )
        if order.phase is OrderPhase.ENDED:
            self._book_after_end(order, at, draft)
            return
        self.prove_existence(order, at, draft)
        if order.filled_lots >= order.expected_lots:
            order.owed = None
        self._finish_if_whole(order, at, draft)
        self.refresh(order, draft)

    def end(self, order: Order, status: str, at: Instant, draft: ChangesDraft, *, is_proven: bool) -> None:
        """The one way to the end: out of all live indexes, one note, remembered for the grace."""
        assert order.is_live, order
        if status == "canceled" and order.replaced_by is not None:
            status = "modified"
        order.phase = OrderPhase.ENDED
        order.status = status
        order.ended_at = at
        order.is_end_proven = is_proven
        order.pending = None
        order.pending_batch_id = None
        order.settling_since = None
        order.owed = None
        self._leave_live(order)
        self._ended[order.cloid] = order
        target = self.target_of(order)
        if target is not None and not order.is_known_to_venue and target.replaced_by == order.cloid:
            target.replaced_by = None
        if not order.is_end_noted:
            self._note_end(order, at, draft)
        self.refresh(order, draft)

    def revive(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        """It was taken for over, and there are signs of it: live again, state unknown."""
        if order.phase is OrderPhase.ENDED:
            del self._ended[order.cloid]
            self._enter_live(order)
        order.phase = OrderPhase.UNKNOWN
        order.settling_since = None
        order.stated_filled_lots = None
        order.is_end_proven = False
        order.ended_at = None
        order.doubts = Doubts()
        self._owe(order, at)
        self.prove_existence(order, at, draft)
        self.doubt(order, at, draft, is_change=False)

    def park(self, fill: Fill) -> None:
        """Keep a fill that came without a cloid for the order that will turn out to have this oid."""
        if any(order.oid is None for order in self.live(fill.coin)):
            self._parked.setdefault(fill.oid, []).append(fill)

    def forget(self, at: Instant) -> None:
        """Drop what ended longer ago than the grace, and parked fills that nobody is left to claim."""
        while self._ended:
            order = next(iter(self._ended.values()))
            assert order.ended_at is not None, order
            if at.age_s(order.ended_at) < self.times.terminal_grace_s:
                break
            del self._ended[order.cloid]
            del self._by_cloid[order.cloid]
            if order.oid is not None:
                del self._by_oid[order.oid]
        if self._parked and all(order.oid is not None for order in self.all_live()):
            self._parked.clear()

    def refresh(self, order: Order, draft: ChangesDraft | None = None) -> None:
        """Bring the totals up to date after a change of this order. Called by every step."""
        self._changed.setdefault(order.coin, {})[order.slot] = None
        changed = self.tally.update(order, self.target_of(order))
        if order.replaced_by is not None:
            replacement = self._by_cloid.get(order.replaced_by)
            if replacement is not None:
                changed = self.tally.update(replacement, order) or changed
        if changed and draft is not None:
            draft.touch(order.coin)
        is_uneasy = order.is_live and (
            order.phase is OrderPhase.UNKNOWN or order.owed is not None or order.doubts.absent_at is not None
        )
        if is_uneasy:
            self._uneasy[order.cloid] = order
        else:
            self._uneasy.pop(order.cloid, None)

    def recounted_tally(self) -> OrderTally:
        return self.tally.recounted((order, self.target_of(order)) for order in self.all_live())

    # Parts of steps

    def _enter_live(self, order: Order) -> None:
        self._live_by_coin.setdefault(order.coin, {})[order.cloid] = order
        self._live_by_slot.setdefault(order.slot, {})[order.cloid] = order

    def _leave_live(self, order: Order) -> None:
        del self._live_by_coin[order.coin][order.cloid]
        slot_orders = self._live_by_slot[order.slot]
        del slot_orders[order.cloid]
        if not slot_orders:
            del self._live_by_slot[order.slot]

    def _settle(self, order: Order, status: str, at: Instant) -> None:
        order.phase = OrderPhase.UNKNOWN
        if order.settling_since is None:
            order.settling_since = at
        order.status = status
        order.pending = None
        order.pending_batch_id = None
        order.doubts = Doubts()

    def _owe(self, order: Order, at: Instant) -> None:
        if order.filled_lots >= order.expected_lots:
            order.owed = None
        elif order.owed is None:
            order.owed = OwedFills(since=at)

    def _finish_if_whole(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        """End it where filled plus remaining is the original size, and not before (D7)."""
        if order.filled_lots >= order.original_lots:
            self.end(order, FILLED, at, draft, is_proven=True)
        elif order.stated_filled_lots is not None and order.filled_lots >= order.stated_filled_lots:
            self.end(order, order.status, at, draft, is_proven=True)

    def _book_after_end(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        if order.is_end_proven:
            draft.remark(f"order {order.cloid}: a fill came after it ended as {order.status}", is_warning=True)
        elif order.remaining_lots > 0:
            draft.remark(f"order {order.cloid} lives: filled after {order.status!r}", is_warning=True)
            self.revive(order, at, draft)
        else:
            order.is_end_proven = True

    def _note_end(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        order.is_end_noted = True
        if order.is_cancel_requested and order.status == "canceled":
            self.cancelled += 1
        draft.notes.append(
            OrderEnded(
                cloid=order.cloid,
                oid=order.oid,
                slot=order.slot,
                coin=order.coin,
                side=order.side,
                price_ticks=order.price_ticks,
                original_lots=order.original_lots,
                filled_lots=order.filled_lots,
                status=order.status,
                lived_s=at.age_s(order.sent_at),
            )
        )
