"""`OrderState` against a naive venue, with every message late, lost, doubled and out of order."""

from __future__ import annotations

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mmtrio.core.events import (
    Batch,
    BatchDone,
    BatchKind,
    BatchUnknown,
    CancelItem,
    Event,
    Fill,
    ItemOutcome,
    ModifyItem,
    OpenOrdersRead,
    OrderEnded,
    OrderStatusRead,
    OrderUpdated,
    OutcomeKind,
    PlaceItem,
    ReadPurpose,
    Refusal,
)
from mmtrio.core.order_state import Changes, Order, OrderPhase, OrderState
from mmtrio.core.types import Cloid, CloidSource, Side
from tests.support import builders

REST_LAG_S = 2.0
EXPIRES_AFTER_S = 15.0
PRICE_TICKS = 35_000_000
MARKET = builders.market()
SIDES = st.sampled_from([Side.BUY, Side.SELL])
SIZES = st.integers(1, 5)
ANY = st.integers(0, 1_000)
"""Chooses one of whatever there is, modulo its number."""


@attrs.frozen
class VenueOrder:
    item: PlaceItem
    oid: int
    status: str = "open"
    filled_lots: int = 0

    @property
    def remaining_lots(self) -> int:
        return self.item.size_lots - self.filled_lots

    @property
    def stated_lots(self) -> int:
        return 0 if self.status == "filled" else self.remaining_lots


@attrs.define
class NaiveVenue:
    """Orders that rest, fill and end; remembers every past state, for those who ask a node that lags."""

    orders: dict[Cloid, VenueOrder] = attrs.field(factory=dict)
    fills: list[Fill] = attrs.field(factory=list)
    past: list[tuple[float, dict[Cloid, VenueOrder]]] = attrs.field(factory=lambda: [(-1e9, {})])
    updates: list[OrderUpdated] = attrs.field(factory=list)
    _oid: int = 100
    _status_ms: int = builders.START_MS

    def place(self, item: PlaceItem, now_s: float) -> ItemOutcome:
        self._oid += 1
        self._set(VenueOrder(item, self._oid), now_s)
        return ItemOutcome(item.cloid, OutcomeKind.RESTING, oid=self._oid)

    def refuse(self, item: PlaceItem, *, tells_stream: bool) -> ItemOutcome:
        self._oid += 1
        if tells_stream:
            self.updates.append(self._update(VenueOrder(item, self._oid, "badAloPxRejected")))
        return ItemOutcome(item.cloid, OutcomeKind.REFUSED, refusal=Refusal.POST_ONLY_WOULD_MATCH)

    def cancel(self, cloid: Cloid, now_s: float) -> bool:
        order = self.orders.get(cloid)
        if order is None or order.status != "open":
            return False
        self._set(attrs.evolve(order, status="canceled"), now_s)
        return True

    def trade(self, cloid: Cloid, size_lots: int, now_s: float, *, names_cloid: bool) -> None:
        order = self.orders[cloid]
        size_lots = min(size_lots, order.remaining_lots)
        filled_lots = order.filled_lots + size_lots
        status = "filled" if filled_lots == order.item.size_lots else "open"
        self._set(attrs.evolve(order, filled_lots=filled_lots, status=status), now_s)
        fill = builders.fill(
            order.item.side,
            size_lots=size_lots,
            tid=(len(self.fills) * 7919 + 13) % 1009,  # Like a hash: unique enough, and never growing.
            oid=order.oid,
            cloid=cloid if names_cloid else None,
            time_ms=builders.START_MS + round(now_s * 1000),
        )
        self.fills.append(fill)

    def seen_at(self, seconds: float) -> dict[Cloid, VenueOrder]:
        return next(orders for time_s, orders in reversed(self.past) if time_s <= seconds)

    def _set(self, order: VenueOrder, now_s: float) -> None:
        self.orders = {**self.orders, order.item.cloid: order}
        self.past.append((now_s, self.orders))
        self.updates.append(self._update(order))

    def _update(self, order: VenueOrder) -> OrderUpdated:
        self._status_ms += 1
        return builders.order_updated(
            order.status,
            cloid=order.item.cloid,
            oid=order.oid,
            side=order.item.side,
            size_lots=order.stated_lots,
            original_lots=order.item.size_lots,
            status_ms=self._status_ms,
        )


class OrderStateMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.cloids = CloidSource("0a0b0c0d", 1)
        self.state = OrderState(self.cloids, [MARKET], terminal_grace_s=1e6, queries_max=1_000)
        self.venue = NaiveVenue()
        self.now_s = 0.0
        self.batches = 0
        self.requests: list[tuple[Batch, float]] = []  # On their way to the venue.
        self.unanswered: dict[int, None] = {}
        self.replies: list[BatchDone] = []
        self.fills_left: list[Fill] = []
        self.fills_streamed = 0
        self.queries: list[tuple[Cloid, float]] = []
        self.reads: list[OpenOrdersRead] = []
        self.delivered: list[Event] = []
        self.ended: dict[Cloid, int] = {}
        self.new_fill_count = 0

    # The bot's side

    def tell(self, event: Event) -> Changes:
        at = builders.instant(self.now_s)
        match event:
            case BatchDone():
                changes = self.state.on_batch_done(event, at)
                self.unanswered.pop(event.batch_id, None)
            case BatchUnknown():
                changes = self.state.on_batch_unknown(event, at)
                self.unanswered.pop(event.batch_id, None)
            case OrderUpdated():
                changes = self.state.on_order_update(event, at)
            case Fill():
                changes = self.state.on_fill(event, at)
                self.new_fill_count += changes.is_new_fill
            case OpenOrdersRead():
                changes = self.state.on_open_orders(event, at)
            case OrderStatusRead():
                changes = self.state.on_order_status(event, at)
            case _:
                raise AssertionError(event)
        self.delivered.append(event)
        self.take(changes)
        return changes

    def take(self, changes: Changes) -> None:
        assert not changes.adopt_cancels, changes
        for note in changes.notes:
            if isinstance(note, OrderEnded):
                self.ended[note.cloid] = self.ended.get(note.cloid, 0) + 1
                venue_order = self.venue.orders.get(note.cloid)
                assert note.filled_lots == (venue_order.filled_lots if venue_order else 0), note
        self.queries.extend((cloid, self.now_s) for cloid in changes.queries)

    def submit(self, kind: BatchKind, *items: PlaceItem | ModifyItem | CancelItem) -> None:
        self.batches += 1
        expires_after_s = None if kind is BatchKind.CANCEL else EXPIRES_AFTER_S
        batch = Batch(self.batches, kind, items, expires_after_s)
        self.state.register(batch, builders.instant(self.now_s))
        self.requests.append((batch, self.now_s))
        self.unanswered[batch.id] = None

    def new_item(self, side: Side, size_lots: int) -> PlaceItem:
        return builders.place_item(
            self.cloids.next(), side=side, price_ticks=PRICE_TICKS, size_lots=size_lots, level=self.batches
        )

    def live(self) -> tuple[Order, ...]:
        return self.state.live(MARKET.coin)

    def modifiable(self) -> list[Order]:
        return [
            order
            for order in self.live()
            if order.phase is OrderPhase.RESTING
            and not order.is_busy
            and not any(other.replaces == order.cloid for other in self.live())
        ]

    @precondition(lambda self: len(self.live()) < 6)
    @rule(side=SIDES, sizes=st.lists(SIZES, min_size=1, max_size=2))
    def place(self, side: Side, sizes: list[int]) -> None:
        self.submit(BatchKind.PLACE, *[self.new_item(side, size) for size in sizes])

    @precondition(lambda self: len(self.live()) < 6)
    @rule(side=SIDES, size_lots=SIZES)
    def an_order_comes_to_rest(self, side: Side, size_lots: int) -> None:
        """All goes well for once, so that later rules find something to disturb."""
        self.submit(BatchKind.PLACE, self.new_item(side, size_lots))
        self.venue_applies(len(self.requests) - 1)
        self.tell(self.replies.pop())

    @precondition(lambda self: self.modifiable())
    @rule(which=ANY, size_lots=SIZES, arrives_at_once=st.booleans())
    def modify(self, which: int, size_lots: int, arrives_at_once: bool) -> None:
        targets = self.modifiable()
        target = targets[which % len(targets)]
        self.submit(BatchKind.MODIFY, ModifyItem(target.cloid, self.new_item(target.side, size_lots)))
        if arrives_at_once:
            self.venue_applies(len(self.requests) - 1)

    @precondition(lambda self: self.live())
    @rule(which=ANY, arrives_at_once=st.booleans())
    def cancel(self, which: int, arrives_at_once: bool) -> None:
        order = self.live()[which % len(self.live())]
        self.submit(BatchKind.CANCEL, CancelItem(order.cloid, order.coin))
        if arrives_at_once:
            self.venue_applies(len(self.requests) - 1)

    # The venue's side

    @precondition(lambda self: self.requests)
    @rule(which=ANY, is_refused=st.sampled_from([False] * 5 + [True]), tells_stream=st.booleans())
    def venue_applies_a_request(self, which: int, is_refused: bool, tells_stream: bool) -> None:
        self.venue_applies(which % len(self.requests), is_refused=is_refused, tells_stream=tells_stream)

    def venue_applies(self, index: int, *, is_refused: bool = False, tells_stream: bool = False) -> None:
        batch, sent_s = self.requests.pop(index)
        if batch.expires_after_s is not None and self.now_s > sent_s + batch.expires_after_s:
            outcomes = tuple(
                ItemOutcome(placed_cloid(item), OutcomeKind.REFUSED, refusal=Refusal.EXPIRED) for item in batch.items
            )
        else:
            outcomes = tuple(self.applied(item, is_refused, tells_stream) for item in batch.items)
        self.replies.append(BatchDone(batch.id, outcomes, 0.1))

    def applied(
        self, item: PlaceItem | ModifyItem | CancelItem, is_refused: bool, tells_stream: bool
    ) -> ItemOutcome:
        match item:
            case PlaceItem():
                if is_refused:
                    return self.venue.refuse(item, tells_stream=tells_stream)
                return self.venue.place(item, self.now_s)
            case CancelItem():
                if self.venue.cancel(item.cloid, self.now_s):
                    return ItemOutcome(item.cloid, OutcomeKind.CANCELLED)
                return ItemOutcome(item.cloid, OutcomeKind.REFUSED, refusal=Refusal.MISSING_ORDER)
            case ModifyItem():
                if is_refused and tells_stream:  # Refused before the target was touched.
                    return self.venue.refuse(item.order, tells_stream=True)
                if not self.venue.cancel(item.target_cloid, self.now_s):
                    return ItemOutcome(item.order.cloid, OutcomeKind.REFUSED, refusal=Refusal.CANNOT_MODIFY)
                if is_refused:
                    return self.venue.refuse(item.order, tells_stream=False)
                return self.venue.place(item.order, self.now_s)

    @precondition(lambda self: self.requests)
    @rule(which=ANY)
    def network_loses_a_request(self, which: int) -> None:
        batch, _ = self.requests.pop(which % len(self.requests))
        if batch.id in self.unanswered:
            self.tell(BatchUnknown(batch.id, "timeout"))

    @precondition(lambda self: self.unanswered)
    @rule(which=ANY)
    def the_gateway_times_out(self, which: int) -> None:
        """Before the venue applied it, or after; the answer may still come."""
        batch_id = list(self.unanswered)[which % len(self.unanswered)]
        self.tell(BatchUnknown(batch_id, "timeout"))

    @precondition(lambda self: self.replies)
    @rule(which=ANY, is_lost=st.booleans())
    def reply_arrives_or_is_lost(self, which: int, is_lost: bool) -> None:
        reply = self.replies.pop(which % len(self.replies))
        if not is_lost:
            self.tell(reply)
        elif reply.batch_id in self.unanswered:
            self.tell(BatchUnknown(reply.batch_id, "reset"))

    @precondition(lambda self: any(order.status == "open" for order in self.venue.orders.values()))
    @rule(which=ANY, size_lots=SIZES, names_cloid=st.booleans())
    def somebody_trades(self, which: int, size_lots: int, names_cloid: bool) -> None:
        resting = [cloid for cloid, order in self.venue.orders.items() if order.status == "open"]
        self.venue.trade(resting[which % len(resting)], size_lots, self.now_s, names_cloid=names_cloid)
        self.fills_left.append(self.venue.fills[-1])

    @precondition(lambda self: self.fills_left)
    @rule(which=ANY, comes_again=st.booleans())
    def fill_arrives(self, which: int, comes_again: bool) -> None:
        index = which % len(self.fills_left)
        self.tell(self.fills_left[index] if comes_again else self.fills_left.pop(index))

    @precondition(lambda self: self.venue.updates)
    @rule(which=ANY, fate=st.sampled_from(["arrives", "arrives", "arrives and comes again", "lost"]))
    def update_arrives_or_is_lost(self, which: int, fate: str) -> None:
        index = which % len(self.venue.updates)
        update = self.venue.updates[index]
        if fate != "arrives and comes again":
            del self.venue.updates[index]
        if fate != "lost":
            self.tell(update)

    # REST and time

    @rule(seconds=st.sampled_from([0.01, 0.4, 2.0, 2.5, 18.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds
        self.take(self.state.on_tick(builders.instant(self.now_s)))

    @precondition(lambda self: self.queries)
    @rule(which=ANY, lag_s=st.floats(0, REST_LAG_S), fails=st.booleans())
    def status_answer_arrives_or_fails(self, which: int, lag_s: float, fails: bool) -> None:
        cloid, requested_s = self.queries.pop(which % len(self.queries))
        if not fails:
            self.tell(self.status_read(cloid, requested_s, requested_s - lag_s))

    def status_read(self, cloid: Cloid, requested_s: float, seen_s: float) -> OrderStatusRead:
        order = self.venue.seen_at(seen_s).get(cloid)
        if order is None:
            return OrderStatusRead(cloid, None, None, None, None, builders.instant(requested_s))
        return OrderStatusRead(
            cloid, order.status, order.oid, order.stated_lots, builders.START_MS, builders.instant(requested_s)
        )

    @rule(lag_s=st.floats(0, REST_LAG_S), purpose=st.sampled_from(ReadPurpose))
    def open_orders_are_asked_for(self, lag_s: float, purpose: ReadPurpose) -> None:
        self.reads.append(self.open_orders_read(self.now_s - lag_s, purpose))

    def open_orders_read(self, seen_s: float, purpose: ReadPurpose) -> OpenOrdersRead:
        rows = [
            builders.resting_order(
                order.item.cloid,
                oid=order.oid,
                side=order.item.side,
                size_lots=order.remaining_lots,
                original_lots=order.item.size_lots,
            )
            for order in self.venue.seen_at(seen_s).values()
            if order.status == "open"
        ]
        return builders.open_orders_read(rows, at=builders.instant(self.now_s), purpose=purpose)

    @precondition(lambda self: self.reads)
    @rule(which=ANY)
    def open_orders_arrive(self, which: int) -> None:
        self.tell(self.reads.pop(which % len(self.reads)))

    @rule()
    def all_fills_are_read(self) -> None:
        for fill in self.venue.fills:
            self.tell(fill)

    # What must hold at every moment

    @invariant()
    def whatever_rests_at_the_venue_is_live_here(self) -> None:
        for cloid, venue_order in self.venue.orders.items():
            order = self.state.get(cloid)
            assert order is not None, cloid
            if venue_order.status == "open":
                assert order.is_live, order
            assert order.filled_lots <= venue_order.filled_lots, order

    @invariant()
    def more_is_committed_than_rests(self) -> None:
        resting = [order for order in self.venue.orders.values() if order.status == "open"]
        asked_lots = sum(order.remaining_lots for order in resting if order.item.side is Side.SELL)
        bid_lots = sum(order.remaining_lots for order in resting if order.item.side is Side.BUY)
        assert self.state.committed_base_lots(MARKET.coin) >= asked_lots
        committed = self.state.committed_quote(MARKET.coin)
        assert committed.units >= MARKET.quote_amount(PRICE_TICKS, bid_lots).units

    @invariant()
    def totals_equal_a_recount(self) -> None:
        recount = self.state.recounted_tally()
        assert recount.base_lots(MARKET.coin) == self.state.committed_base_lots(MARKET.coin)
        assert recount.quote(MARKET.coin) == self.state.committed_quote(MARKET.coin)
        assert recount.live_count == self.state.live_count == len(self.live())
        assert recount.unknown_count == self.state.unknown_count
        assert recount.in_flight_count == self.state.in_flight_count

    @invariant()
    def no_order_ends_twice(self) -> None:
        assert all(count == 1 for count in self.ended.values()), self.ended

    # The end: the network heals, and everybody agrees

    def teardown(self) -> None:
        self.requests.clear()
        for batch_id in tuple(self.unanswered):
            self.tell(BatchUnknown(batch_id, "the end"))
        self.all_fills_are_read()
        for _ in range(60):
            self.now_s += 2.5
            self.take(self.state.on_tick(builders.instant(self.now_s)))
            queries, self.queries = self.queries, []
            for cloid, requested_s in queries:
                self.tell(self.status_read(cloid, requested_s, self.now_s))
            self.tell(self.open_orders_read(self.now_s, ReadPurpose.RECONCILE))
            if self.state.unknown_count == self.state.in_flight_count == 0:
                break
        self.check_agreement()
        self.check_replay()

    def check_agreement(self) -> None:
        assert self.state.unknown_count == 0, self.live()
        assert self.state.in_flight_count == 0, self.live()
        resting = {cloid for cloid, order in self.venue.orders.items() if order.status == "open"}
        assert {order.cloid for order in self.live()} == resting
        assert self.new_fill_count == len(self.venue.fills)
        for cloid, venue_order in self.venue.orders.items():
            order = self.state.get(cloid)
            assert order is not None, cloid
            assert order.filled_lots == venue_order.filled_lots, order
            assert (cloid in self.ended) == (venue_order.status != "open"), order

    def check_replay(self) -> None:
        before = self.fingerprint()
        for event in tuple(self.delivered):
            changes = self.tell(event)
            assert not changes.is_new_fill, event
            assert not changes.touched, (event, changes)
        assert self.fingerprint() == before

    def fingerprint(self) -> list[tuple[object, ...]]:
        orders = [self.state.get(cloid) for cloid in sorted(self.venue.orders)]
        return [(o.cloid, o.phase, o.status, o.filled_lots, o.oid, o.pending) for o in orders if o is not None]


def placed_cloid(item: PlaceItem | ModifyItem | CancelItem) -> Cloid:
    return item.order.cloid if isinstance(item, ModifyItem) else item.cloid


TestOrderStateMachine = OrderStateMachine.TestCase
TestOrderStateMachine.settings = settings(max_examples=250, stateful_step_count=50, deadline=None)


@pytest.mark.long
def test_the_same_for_long() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        OrderStateMachine, settings=settings(max_examples=600, stateful_step_count=80, deadline=None)
    )
