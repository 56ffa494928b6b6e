"""The whole desk against a naive venue: whatever is refused, lost, late, filled or cut, it never risks more than there
is, and in the end both have the same orders and balances. What each answer is checked for is in `DeskWorld.check`."""

from __future__ import annotations

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from mmtrio.core.events import BatchNotSent, BatchUnknown, FillSource, Stopping
from mmtrio.core.types import Cloid, Side
from tests.support.desk_world import MARKETS, TICK_S, DeskWorld

HEALED_WITHIN_S = 180
ANY = st.integers(0, 1_000)
"""Chooses one of whatever there is, modulo its number."""
TROUBLES = ("stall", "stall", "standstill", "wall", "pause", "lost", "lost", "reopened")
LAGS = st.lists(st.floats(0, 1.9), min_size=4, max_size=4)


class DeskMachine(DeskWorld, RuleBasedStateMachine):
    @initialize(
        requests_used=st.sampled_from([0, 0, 0, 9_700, 9_790, 9_990, 10_400]),
        has_left_over=st.booleans(),
        is_calm=st.sampled_from([True, True, True, False]),
    )
    def begin(self, requests_used: int, has_left_over: bool, is_calm: bool) -> None:
        self.start(requests_used, has_left_over=has_left_over)
        if is_calm:
            self.heal(20.0)

    @rule(seconds=st.sampled_from([0.1, 0.6, 2.1, 4.0, 9.0]))
    def time_passes_and_nothing_is_answered(self, seconds: float) -> None:
        self.let_time_pass(seconds)

    @rule(seconds=st.sampled_from([0.5, 3.0, 10.0]))
    def all_is_well_for_a_while(self, seconds: float) -> None:
        self.heal(seconds)

    @rule(trouble=st.sampled_from(TROUBLES), size=ANY)
    def trouble_comes(self, trouble: str, size: int) -> None:
        """One rule, so that not every second step is a catastrophe."""
        match trouble:
            case "stall" if self.is_open:
                self.is_silent = True
                self.let_time_pass((1.0, 5.0, 20.0)[size % 3])
                self.is_silent = False
            case "standstill":
                self.stand_still((8.5, 40.0)[size % 2])
            case "wall":
                self.wall_step_ms += (-120_000, 120_000)[size % 2]
            case "pause":
                self.pause_or_resume()
            case "lost" if self.is_open:
                self.lose_session("reset")
            case "reopened" if not self.is_open:
                self.open_session()
            case "reopened" if not self.is_live:
                self.acknowledge()

    @precondition(lambda self: self.venue.resting)
    @rule(which=ANY, part_pct=st.sampled_from([1, 10, 50, 100]), names_cloid=st.booleans())
    def somebody_trades(self, which: int, part_pct: int, names_cloid: bool) -> None:
        order = self.venue.resting[which % len(self.venue.resting)]
        ours = self.desk.orders.get(order.item.cloid)
        is_told_by_oid = ours is not None and ours.oid is not None
        size_lots = max(1, order.remaining_lots * part_pct // 100)
        self.venue.trade(
            order.item.cloid, size_lots, self.now_s, names_cloid=names_cloid or not is_told_by_oid
        )

    @precondition(lambda self: self.is_live and self.venue.now.fills)
    @rule(which=ANY, source=st.sampled_from([FillSource.STREAM, FillSource.SNAPSHOT]))
    def an_old_fill_comes_again(self, which: int, source: FillSource) -> None:
        self.flow()
        fills = self.venue.now.fills
        before = self.desk.fills_booked
        self.hear(attrs.evolve(fills[which % len(fills)], source=source))
        assert self.desk.fills_booked == before

    # Requests

    @precondition(lambda self: self.requests)
    @rule(which=ANY, refuses_post_only=st.sampled_from([False, False, False, True]))
    def venue_applies_a_request(self, which: int, refuses_post_only: bool) -> None:
        self.apply(*self.requests.pop(which % len(self.requests)), refuses_post_only=refuses_post_only)

    @precondition(lambda self: self.replies)
    @rule(which=ANY, is_lost=st.sampled_from([False, False, True]))
    def reply_arrives_or_is_lost(self, which: int, is_lost: bool) -> None:
        reply = self.replies.pop(which % len(self.replies))
        if reply.batch_id in self.unanswered:
            self.answer(BatchUnknown(reply.batch_id, "reset") if is_lost else reply)

    @precondition(lambda self: self.unanswered)
    @rule(which=ANY, fate=st.sampled_from(["late", "late", "lost", "not sent"]))
    def a_request_has_no_answer(self, which: int, fate: str) -> None:
        """Nobody waits for it any more: it may still arrive, never arrives, or certainly never left."""
        batch_id = list(self.unanswered)[which % len(self.unanswered)]
        is_on_its_way = any(batch.id == batch_id for batch, _ in self.requests)
        if fate != "late":
            self.requests = [(batch, sent_s) for batch, sent_s in self.requests if batch.id != batch_id]
        if fate == "not sent" and is_on_its_way:
            self.answer(BatchNotSent(batch_id, "refused"))
        else:
            self.answer(BatchUnknown(batch_id, "timeout"))

    # Readings

    @precondition(lambda self: self.due_reading is not None)
    @rule(lags=LAGS)
    def a_reading_is_asked_for(self, lags: list[float]) -> None:
        self.ask(lags)

    @precondition(lambda self: self.readings and self.readings[0].events is not None)
    @rule(fails=st.sampled_from([False, False, True]))
    def reading_arrives_or_fails(self, fails: bool) -> None:
        self.deliver_reading(fails=fails)

    @precondition(lambda self: self.queries)
    @rule(which=ANY, lag_s=st.floats(0, 1.9), fails=st.booleans())
    def status_answer_arrives_or_fails(self, which: int, lag_s: float, fails: bool) -> None:
        cloid, requested_s = self.queries.pop(which % len(self.queries))
        self.tell_status(cloid, requested_s, lag_s, fails=fails)

    # What must hold at every moment

    @invariant()
    def the_venue_is_never_asked_for_more_than_there_is(self) -> None:
        assert not [item for item in self.venue.short_of_balance if self.token_of(item) not in self.raced_tokens]

    @invariant()
    def a_slot_has_one_order_that_is_certain(self) -> None:
        certain: dict[object, Cloid] = {}
        for order in self.live():
            if not order.is_busy and not order.is_unknown and order.replaced_by is None:
                assert order.slot not in certain, (order, certain[order.slot])
                certain[order.slot] = order.cloid

    @invariant()
    def what_rests_is_known_and_counted(self) -> None:
        committed = {market.coin: 0 for market in MARKETS}
        for order in self.venue.resting:
            if self.desk.orders.cloids.is_this_run(order.item.cloid):
                known = self.desk.orders.get(order.item.cloid)
                assert known is not None and known.is_live, order
                if order.item.side is Side.SELL:
                    committed[order.item.coin] += order.remaining_lots
        for coin, lots in committed.items():
            assert lots <= self.desk.orders.committed_base_lots(coin)

    # The end: everything heals, and both sides agree

    def teardown(self) -> None:
        if not self.is_sound:
            return
        if self.is_paused:
            self.pause_or_resume()
        self.heal(2 * TICK_S)
        for batch, sent_s in self.requests:
            self.apply(batch, sent_s)  # What nobody waits for any more arrives at last.
        self.requests.clear()
        self.heal(HEALED_WITHIN_S, until_settled=True)
        assert self.is_settled, ([*self.live()], self.desk.standing_reasons, self.readings, self.unanswered)
        self.check_ladder()
        self.is_stopping = True
        self.tell(Stopping("the end"))
        self.let_time_pass(TICK_S)

    def check_ladder(self) -> None:
        """With requests to spare, all that is wanted rests."""
        if self.desk.address.places_allowed() < 30:
            return
        for quoter in self.desk.quoters:
            wanted = {(order.side, order.slot): order.price_ticks for order in quoter.quotes.orders}
            resting = {
                (order.slot.side, order.slot.slot): order.price_ticks
                for order in self.desk.orders.live(quoter.coin)
            }
            assert resting == wanted, self.desk.standing_reasons


TestDesk = DeskMachine.TestCase
TestDesk.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)


@pytest.mark.long
def test_the_same_for_long() -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        DeskMachine, settings=settings(max_examples=300, stateful_step_count=60, deadline=None)
    )
