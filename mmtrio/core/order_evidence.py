"""What REST reads and the passing of time prove about orders: absence is a hint, and so is presence (D4).

A REST node may be `rest_lag_s` behind the stream, and two nodes may disagree. So nothing here is concluded from one
answer, and nothing from an answer to a question older than what we know.
"""

from __future__ import annotations

import attrs

from mmtrio.core.events import (
    Mismatch,
    MismatchKind,
    OpenOrdersRead,
    OrderStatusRead,
    ReadPurpose,
    RestingOrder,
)
from mmtrio.core.order import Order, OrderPhase, SizeDoubt
from mmtrio.core.order_changes import ChangesDraft
from mmtrio.core.order_registry import OrderRegistry, OrderTimes
from mmtrio.core.status_words import StatusMeaning, meaning_of
from mmtrio.core.types import Cloid, CloidSource, Instant

EXPLAINED_PURPOSES = (ReadPurpose.START, ReadPurpose.CATCH_UP)
"""What such a read finds happened while nobody was listening: no mismatch."""

FOREIGN_TOLD_MAX = 10_000
"""So many foreign orders are remembered as told; then the oldest are told again."""

GONE = "gone"
NEVER_ARRIVED = "never arrived"


@attrs.define
class OrderEvidence:
    """Judges what is read about orders. Constructed by `OrderState`, which hands it the same registry."""

    cloids: CloidSource
    registry: OrderRegistry
    _orphans: dict[Cloid, Instant] = attrs.field(factory=dict)  # Told of, and when last seen.
    _sighted: dict[Cloid, Order] = attrs.field(factory=dict)  # Over by our knowledge, and seen alive once.
    _foreign_told: dict[int, None] = attrs.field(factory=dict)

    @property
    def _times(self) -> OrderTimes:
        return self.registry.times

    # A snapshot of open orders

    def on_open_orders(self, read: OpenOrdersRead, at: Instant, draft: ChangesDraft) -> None:
        live_before = tuple(self.registry.all_live())
        present: dict[Cloid, None] = {}
        for row in sorted(read.orders, key=lambda row: row.oid):
            order = self.registry.find(row.cloid, row.oid)
            if order is not None:
                present[order.cloid] = None
                self._on_present(order, row, read, at, draft)
            elif row.cloid is not None and self.cloids.is_ours(row.cloid):
                self._on_orphan(row.cloid, row, read, at, draft)
            else:
                self._on_foreign(row, draft)
        for order in live_before:
            if order.cloid not in present:
                self._on_absent(order, read, at, draft)
        for order in tuple(self._sighted.values()):
            if order.cloid not in present:
                order.doubts.alive_at = None
                del self._sighted[order.cloid]
        grace_s = self._times.terminal_grace_s
        self._orphans = {cloid: seen for cloid, seen in self._orphans.items() if at.age_s(seen) < grace_s}

    def on_orphan_update(self, cloid: Cloid, row_text: str, at: Instant, draft: ChangesDraft) -> bool:
        """The stream speaks of a live order of this instance that we do not have. True the first time."""
        if cloid in self._orphans:
            return False
        self._orphans[cloid] = at
        draft.remark(f"an order of ours that we do not know is live: {row_text}", is_warning=True)
        return True

    def _on_orphan(
        self, cloid: Cloid, row: RestingOrder, read: OpenOrdersRead, at: Instant, draft: ChangesDraft
    ) -> None:
        draft.adopt_cancel(cloid, row.coin)
        is_told = cloid in self._orphans
        self._orphans[cloid] = at
        if is_told:
            return
        text = f"{cloid} oid {row.oid} {row.side.name} {row.size_lots} lots on {row.coin}"
        if read.purpose in EXPLAINED_PURPOSES:
            draft.remark(f"an order of an earlier run rests: {text}")
        else:
            draft.mismatch(MismatchKind.ORDER_UNKNOWN_TO_US, text, row.coin)

    def _on_foreign(self, row: RestingOrder, draft: ChangesDraft) -> None:
        if row.oid in self._foreign_told:
            return
        self._foreign_told[row.oid] = None
        if len(self._foreign_told) > FOREIGN_TOLD_MAX:
            del self._foreign_told[next(iter(self._foreign_told))]
        draft.remark(f"foreign order {row.oid} on {row.coin} ({row.cloid or 'no cloid'}): left alone")

    def _on_present(
        self, order: Order, row: RestingOrder, read: OpenOrdersRead, at: Instant, draft: ChangesDraft
    ) -> None:
        self.registry.learn_oid(order, row.oid, at, draft)
        if order.is_over or not order.is_live:
            self._on_sighted(order, read.requested_at, read.purpose, at, draft)
            return
        self.registry.confirm(order, at, draft, requested_at=read.requested_at)
        self._compare_size(order, row, read, at, draft)

    def _on_sighted(
        self, order: Order, requested_at: Instant, purpose: ReadPurpose | None, at: Instant, draft: ChangesDraft
    ) -> None:
        """An order that we know as over is seen alive. Believed when seen twice, and long enough after its end."""
        over_at = order.ended_at if order.ended_at is not None else order.settling_since
        assert over_at is not None, order
        doubts = order.doubts
        if requested_at.age_s(over_at) < self._times.rest_lag_s:
            return
        if doubts.alive_at is None:
            doubts.alive_at = requested_at
            self._sighted[order.cloid] = order
            draft.read_fills = True
        elif requested_at.age_s(doubts.alive_at) >= self._times.rest_lag_s:
            text = f"{order.cloid} rests although it ended as {order.status!r}"
            if purpose is None or purpose in EXPLAINED_PURPOSES:
                draft.remark(text, is_warning=True)
            else:
                draft.mismatch(MismatchKind.ORDER_UNKNOWN_TO_US, text, order.coin)
            self._sighted.pop(order.cloid, None)
            if self.registry.remembers(order.cloid):
                self.registry.revive(order, at, draft)

    def _compare_size(
        self, order: Order, row: RestingOrder, read: OpenOrdersRead, at: Instant, draft: ChangesDraft
    ) -> None:
        doubt = order.size_doubt
        if not order.is_live or row.size_lots == order.remaining_lots:
            order.size_doubt = None
            return
        if order.filled_at is not None and read.requested_at.age_s(order.filled_at) < self._times.rest_lag_s:
            return  # The last fill explains it.
        if row.size_lots < order.remaining_lots:
            self.registry.promise(order, order.original_lots - row.size_lots, at, draft)
        is_same = doubt is not None and (doubt.venue_lots, doubt.filled_lots) == (row.size_lots, order.filled_lots)
        if doubt is None or not is_same:
            order.size_doubt = SizeDoubt(read.requested_at, row.size_lots, order.filled_lots)
            return
        if read.requested_at.age_s(doubt.requested_at) < self._times.rest_lag_s or doubt.is_told:
            return
        doubt.is_told = True
        draft.read_fills = True
        self.registry.ask(order, at, draft)
        text = f"{order.cloid}: {row.size_lots} lots rest at the venue, {order.remaining_lots} here"
        if read.purpose in EXPLAINED_PURPOSES:
            draft.remark(text, is_warning=True)
        else:
            draft.mismatch(MismatchKind.SIZE_DIFFERS, text, order.coin)

    def _on_absent(self, order: Order, read: OpenOrdersRead, at: Instant, draft: ChangesDraft) -> None:
        """Two snapshots without it make it suspect; then the venue is asked by name."""
        if not order.may_rest or not order.is_known_to_venue or order.is_busy:
            return
        seen_at = order.confirmed_at if order.confirmed_at is not None else order.sent_at
        if read.requested_at.age_s(seen_at) <= self._times.rest_lag_s:
            return
        doubts = order.doubts
        if doubts.absent_at is None:
            doubts.absent_at = read.requested_at
            doubts.looked_at = at
            doubts.is_explained = (
                read.purpose in EXPLAINED_PURPOSES
                or order.is_unknown
                or order.is_cancel_requested  # A cancel of unknown outcome has no expiry: it may land at any time.
            )
            self.registry.refresh(order, draft)
        elif not doubts.is_absent and read.requested_at.age_s(doubts.absent_at) >= self._times.rest_lag_s:
            doubts.is_absent = True
            doubts.is_explained = doubts.is_explained or read.purpose in EXPLAINED_PURPOSES
            draft.read_fills = True  # It may have filled: its fills come before any verdict.
            if order.is_unknown:
                self.judge(order, at, draft)
            else:
                self.registry.doubt(order, at, draft, is_change=False)

    # An answer about one order

    def on_order_status(self, read: OrderStatusRead, at: Instant, draft: ChangesDraft) -> None:
        order = self.registry.get(read.cloid)
        if order is None:
            return
        self.registry.learn_oid(order, read.oid, at, draft)
        meaning = meaning_of(read.status) if read.status is not None else StatusMeaning.UNHEARD
        if meaning is StatusMeaning.UNHEARD:
            if read.status is not None:
                draft.remark(f"order {order.cloid} has the unheard-of status {read.status!r}", is_warning=True)
            self._on_denied(order, read, at, draft)
        elif meaning is StatusMeaning.LIVE:
            self._on_said_open(order, read, at, draft)
        else:
            self._on_said_over(order, read, meaning, at, draft)

    def _on_said_open(self, order: Order, read: OrderStatusRead, at: Instant, draft: ChangesDraft) -> None:
        if order.is_over or not order.is_live:
            self._on_sighted(order, read.requested_at, None, at, draft)
            return
        self.registry.confirm(order, at, draft, requested_at=read.requested_at)
        if read.size_lots is not None and order.is_live and read.size_lots < order.remaining_lots:
            self.registry.promise(order, order.original_lots - read.size_lots, at, draft)

    def _on_said_over(
        self, order: Order, read: OrderStatusRead, meaning: StatusMeaning, at: Instant, draft: ChangesDraft
    ) -> None:
        assert read.status is not None, read
        if order.may_rest and order.doubts.is_absent and not order.doubts.is_explained:
            self._gone(order, f"it ended as {read.status!r} and no update came", draft)
        if meaning is StatusMeaning.REJECTED:
            self.registry.state_end(order, read.status, 0, read.status_ms, at, draft)
            return
        self.registry.prove_existence(order, at, draft)
        if read.size_lots is None:
            self.registry.settle(order, read.status, at, draft)
        else:
            filled_lots = max(0, order.original_lots - read.size_lots)
            self.registry.state_end(order, read.status, filled_lots, read.status_ms, at, draft)

    def _on_denied(self, order: Order, read: OrderStatusRead, at: Instant, draft: ChangesDraft) -> None:
        """The venue does not know it, or has no word for it that we understand. Proves something only when repeated,
        and only when the question came late enough."""
        doubts = order.doubts
        if not order.is_live or not self._is_late_enough(order, read.requested_at):
            return
        if doubts.denied_at is None:
            doubts.denied_at = read.requested_at
        elif read.requested_at.age_s(doubts.denied_at) >= self._times.rest_lag_s:
            doubts.is_denied = True
            self.judge(order, at, draft)

    def _is_late_enough(self, order: Order, requested_at: Instant) -> bool:
        """Could an order that exists, or may still land, escape a question asked then?"""
        if order.is_settling:
            assert order.settling_since is not None, order
            return requested_at.age_s(order.settling_since) >= self._times.rest_lag_s
        if order.is_known_to_venue:
            seen_at = order.confirmed_at if order.confirmed_at is not None else order.sent_at
            return requested_at.age_s(seen_at) >= self._times.rest_lag_s
        if not order.is_answered or order.expires_at is None:
            return False  # Its request may be under way for ever.
        return requested_at.age_s(order.expires_at) >= self._times.expiry_margin_s

    def judge(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        """End an order that the venue has denied twice, if nothing else speaks for it."""
        if not order.doubts.is_denied:
            return
        if order.is_settling:
            if order.owed is None:  # The venue forgot the size; reads have had their chance to bring fills.
                self.registry.end(order, "canceled", at, draft, is_proven=True)
        elif not order.is_known_to_venue:
            self.registry.end(order, NEVER_ARRIVED, at, draft, is_proven=False)
        elif order.doubts.is_absent:
            if not order.doubts.is_explained:
                self._gone(order, "neither its status nor the open orders know it", draft)
            self.registry.end(order, GONE, at, draft, is_proven=False)

    def _gone(self, order: Order, why: str, draft: ChangesDraft) -> None:
        text = f"{order.cloid} oid {order.oid} {order.side.name} on {order.coin}: {why}"
        draft.notes.append(Mismatch(MismatchKind.ORDER_GONE, text, order.coin))

    # Time

    def on_tick(self, at: Instant, draft: ChangesDraft) -> None:
        uneasy = self.registry.uneasy()
        for order in uneasy:
            if order.owed is not None:
                self._on_owed(order, at, draft)
            self._look_if_due(order, at, draft)
        for order in sorted(uneasy, key=_last_asked_ns):  # Whoever was asked about longest ago comes first.
            if order.phase is OrderPhase.UNKNOWN:
                self._ask_if_due(order, at, draft)

    def _ask_if_due(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        if order.settling_since is not None:
            if order.stated_filled_lots is not None or at.age_s(order.settling_since) < self._times.fill_wait_s:
                return
        asked_at = order.doubts.asked_at
        proves_something = self._is_late_enough(order, at) or order.is_known_to_venue
        interval_s = self._times.query_interval_s if proves_something else self._times.patient_query_interval_s
        if asked_at is None or at.age_s(asked_at) >= interval_s:
            self.registry.ask(order, at, draft)
            if order.is_settling:
                draft.read_fills = draft.read_fills or asked_at is None

    def _look_if_due(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        """An absence, or a denial, wants another look at the open orders."""
        doubts = order.doubts
        if not order.may_rest or doubts.is_absent or order.is_busy or not order.is_known_to_venue:
            return
        if doubts.absent_at is None and doubts.denied_at is None:
            return
        if doubts.looked_at is None or at.age_s(doubts.looked_at) >= self._times.rest_lag_s:
            doubts.looked_at = at
            draft.read_fills = True

    def _on_owed(self, order: Order, at: Instant, draft: ChangesDraft) -> None:
        """Ask for fills the venue spoke of: soon, then ever more slowly, at last no more."""
        owed = order.owed
        assert owed is not None, order
        wait_s = min(self._times.fill_wait_s * 2.0**owed.asked_count, self._times.fill_wait_s_max)
        if at.age_s(owed.asked_at or owed.since) < wait_s:
            return
        if owed.asked_count < self._times.fill_asks_max:
            owed.asked_at = at
            owed.asked_count += 1
            draft.read_fills = True
            return
        text = f"{order.cloid}: {order.expected_lots} lots filled by the venue's word, {order.filled_lots} by its fills"
        draft.mismatch(MismatchKind.SIZE_DIFFERS, text, order.coin)
        order.owed = None
        order.disbelieved_lots = order.promised_lots
        order.promised_lots = order.filled_lots
        if order.is_settling:
            self.registry.end(order, order.status, at, draft, is_proven=True)
        else:
            self.registry.refresh(order, draft)


def _last_asked_ns(order: Order) -> int:
    asked_at = order.doubts.asked_at
    return asked_at.mono_ns if asked_at is not None else -1
