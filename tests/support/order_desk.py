"""A small desk around `OrderState` for tests: it names orders by short words and keeps what was said."""

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
    ItemOutcome,
    Mismatch,
    ModifyItem,
    OrderEnded,
    OrderStatusRead,
    OutcomeKind,
    ReadPurpose,
    Refusal,
    RestingOrder,
)
from mmtrio.core.order_state import Changes, Order, OrderState
from mmtrio.core.types import Cloid, CloidSource, Side
from tests.support import builders

MARKET = builders.market()
COIN = MARKET.coin


@attrs.define
class OrderDesk:
    """Time is a number of seconds; every method is one event at `now_s`."""

    cloids: CloidSource = attrs.field(factory=lambda: CloidSource("0a0b0c0d", 1))
    now_s: float = 0.0
    state: OrderState = attrs.field(init=False)
    seen: list[Changes] = attrs.field(factory=list, init=False)
    _batches: int = attrs.field(default=0, init=False)

    def __attrs_post_init__(self) -> None:
        self.state = OrderState(self.cloids, [MARKET])

    @property
    def at(self) -> builders.Instant:
        return builders.instant(self.now_s)

    def order(self, cloid: Cloid) -> Order:
        order = self.state.get(cloid)
        assert order is not None, cloid
        return order

    def ended(self) -> list[OrderEnded]:
        return [note for changes in self.seen for note in changes.notes if isinstance(note, OrderEnded)]

    def mismatches(self) -> list[Mismatch]:
        return [note for changes in self.seen for note in changes.notes if isinstance(note, Mismatch)]

    def committed_lots(self, side: Side = Side.BUY) -> int:
        if side is Side.SELL:
            return self.state.committed_base_lots(COIN)
        return self.state.committed_quote(COIN).units // MARKET.quote_amount(35_000_000, 1).units

    def take(self, changes: Changes) -> Changes:
        self.seen.append(changes)
        return changes

    # Requests: each returns the id of its batch

    def send_place(self, *, side: Side = Side.BUY, size_lots: int = 100, level: int = 0) -> tuple[int, Cloid]:
        cloid = self.cloids.next()
        item = builders.place_item(cloid, side=side, size_lots=size_lots, level=level)
        return self._register(BatchKind.PLACE, item), cloid

    def send_modify(self, target: Cloid, *, size_lots: int = 100, side: Side = Side.BUY) -> tuple[int, Cloid]:
        cloid = self.cloids.next()
        item = ModifyItem(target, builders.place_item(cloid, side=side, size_lots=size_lots))
        return self._register(BatchKind.MODIFY, item), cloid

    def send_cancel(self, *targets: Cloid) -> int:
        return self._register(BatchKind.CANCEL, *[CancelItem(target, COIN) for target in targets])

    def _register(self, kind: BatchKind, *items: object) -> int:
        self._batches += 1
        expires_after_s = None if kind is BatchKind.CANCEL else 15.0
        self.state.register(Batch(self._batches, kind, items, expires_after_s), self.at)  # type: ignore[arg-type]
        return self._batches

    # Outcomes

    def done(self, batch_id: int, *outcomes: ItemOutcome) -> Changes:
        return self.take(self.state.on_batch_done(BatchDone(batch_id, outcomes, 0.1), self.at))

    def unknown(self, batch_id: int) -> Changes:
        return self.take(self.state.on_batch_unknown(BatchUnknown(batch_id, "timeout"), self.at))

    def not_sent(self, batch_id: int) -> Changes:
        return self.take(self.state.on_batch_not_sent(BatchNotSent(batch_id, "refused"), self.at))

    def acked(self, batch_id: int, cloid: Cloid, oid: int) -> Changes:
        return self.done(batch_id, ItemOutcome(cloid, OutcomeKind.RESTING, oid=oid))

    def refused(self, batch_id: int, cloid: Cloid, refusal: Refusal) -> Changes:
        return self.done(batch_id, ItemOutcome(cloid, OutcomeKind.REFUSED, refusal=refusal))

    def cancelled(self, batch_id: int, cloid: Cloid) -> Changes:
        return self.done(batch_id, ItemOutcome(cloid, OutcomeKind.CANCELLED))

    def resting(self, oid: int = 1, *, side: Side = Side.BUY, size_lots: int = 100, level: int = 0) -> Cloid:
        """Place an order and have it acknowledged."""
        batch_id, cloid = self.send_place(side=side, size_lots=size_lots, level=level)
        self.acked(batch_id, cloid, oid)
        return cloid

    # The stream, REST and time

    def update(self, cloid: Cloid | None, status: str = "open", **fields: object) -> Changes:
        fields = {"original_lots": 100, **fields}
        event = builders.order_updated(status, cloid=cloid, **fields)  # type: ignore[arg-type]
        return self.take(self.state.on_order_update(event, self.at))

    def fill(self, cloid: Cloid | None, size_lots: int, **fields: object) -> Changes:
        event = builders.fill(cloid=cloid, size_lots=size_lots, **fields)  # type: ignore[arg-type]
        return self.take(self.state.on_fill(event, self.at))

    def open_orders(
        self,
        rows: Iterable[RestingOrder] = (),
        purpose: ReadPurpose = ReadPurpose.RECONCILE,
        *,
        requested_s: float | None = None,
    ) -> Changes:
        at = builders.instant(self.now_s if requested_s is None else requested_s)
        read = builders.open_orders_read(rows, at=at, purpose=purpose)
        return self.take(self.state.on_open_orders(read, self.at))

    def status(
        self,
        cloid: Cloid,
        status: str | None,
        size_lots: int | None = None,
        *,
        oid: int | None = None,
        requested_s: float | None = None,
    ) -> Changes:
        at = builders.instant(self.now_s if requested_s is None else requested_s)
        read = OrderStatusRead(cloid, status, oid, size_lots, None if status is None else builders.START_MS, at)
        return self.take(self.state.on_order_status(read, self.at))

    def tick(self, now_s: float | None = None) -> Changes:
        if now_s is not None:
            self.now_s = now_s
        return self.take(self.state.on_tick(self.at))
