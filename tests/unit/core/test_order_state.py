"""Orders through replies and the stream: acks, fills, modifies and cancels in any order."""

from __future__ import annotations

import pytest

from mmtrio.core.events import FillKey, ItemOutcome, MismatchKind, OutcomeKind, Refusal, Remark
from mmtrio.core.order_state import OrderPhase, OrderState
from mmtrio.core.types import Cloid, Side
from tests.support import builders
from tests.support.order_desk import COIN, MARKET, OrderDesk


@pytest.fixture
def desk() -> OrderDesk:
    return OrderDesk()


# Placing


def test_an_order_is_pending_and_counted_before_it_is_sent(desk: OrderDesk) -> None:
    _, cloid = desk.send_place()
    assert desk.order(cloid).phase is OrderPhase.PENDING
    assert desk.order(cloid).is_busy
    assert desk.committed_lots() == 100
    assert (desk.state.live_count, desk.state.in_flight_count) == (1, 1)
    assert desk.state.cloids_that_may_live() == (cloid,)


def test_an_ack_makes_it_rest(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    changes = desk.acked(batch_id, cloid, 5)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    assert desk.order(cloid).oid == 5
    assert changes.touched == (COIN,)
    assert desk.state.placed == 1
    assert desk.state.in_flight_count == 0


def test_a_refused_order_ends_and_frees_its_capacity(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.refused(batch_id, cloid, Refusal.POST_ONLY_WOULD_MATCH)
    assert [note.status for note in desk.ended()] == ["refused: post-only would match"]
    assert desk.committed_lots() == 0
    assert desk.state.placed == 0


def test_a_batch_that_was_not_sent_leaves_nothing_behind(desk: OrderDesk) -> None:
    resting = desk.resting()
    place, cloid = desk.send_place(level=1)
    desk.not_sent(place)
    assert not desk.order(cloid).is_live
    desk.not_sent(desk.send_cancel(resting))
    modify, replacement = desk.send_modify(resting)
    desk.not_sent(modify)
    assert not desk.order(replacement).is_live
    assert desk.order(resting).phase is OrderPhase.RESTING
    assert not desk.order(resting).is_busy
    assert desk.committed_lots() == 100


def test_items_missing_from_a_short_reply_are_unknown_and_not_refused(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    changes = desk.done(batch_id)
    assert desk.order(cloid).phase is OrderPhase.UNKNOWN
    assert changes.queries == (cloid,)
    assert desk.committed_lots() == 100


def test_a_duplicate_nonce_is_not_a_no(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    changes = desk.refused(batch_id, cloid, Refusal.DUPLICATE_NONCE)
    assert desk.order(cloid).is_unknown
    assert changes.queries == (cloid,)


def test_an_outcome_for_no_batch_is_remarked_and_changes_nothing(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.acked(batch_id, cloid, 5)
    changes = desk.refused(batch_id, cloid, Refusal.OTHER)
    assert isinstance(changes.notes[0], Remark)
    assert desk.order(cloid).phase is OrderPhase.RESTING


def test_the_stream_may_be_faster_than_the_ack(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    assert desk.state.is_unseen(cloid)
    desk.update(cloid, oid=5)
    assert not desk.state.is_unseen(cloid)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    desk.unknown(batch_id)  # The reply is lost, and nobody minds.
    assert desk.order(cloid).phase is OrderPhase.RESTING
    assert desk.state.unknown_count == 0


def test_a_refusal_of_an_order_that_fills_is_not_believed(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.fill(cloid, 40)
    changes = desk.refused(batch_id, cloid, Refusal.OTHER)
    assert desk.order(cloid).is_unknown
    assert changes.queries == (cloid,)
    assert desk.committed_lots() == 60


def test_an_order_that_fills_after_its_refusal_lives_again_and_ends_once(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.refused(batch_id, cloid, Refusal.OTHER)
    changes = desk.fill(cloid, 40)
    assert changes.is_new_fill
    assert changes.is_ours
    assert desk.order(cloid).is_unknown
    assert desk.committed_lots() == 60
    desk.fill(cloid, 60, tid=2)
    assert not desk.order(cloid).is_live
    assert len(desk.ended()) == 1


# Fills


def test_a_partial_fill_leaves_the_rest(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    changes = desk.fill(cloid, 30, oid=5)
    assert (changes.is_new_fill, changes.is_ours, changes.touched) == (True, True, (COIN,))
    assert desk.order(cloid).remaining_lots == 70
    assert desk.committed_lots() == 70


def test_replayed_fills_change_nothing(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.fill(cloid, 30, oid=5)
    changes = desk.fill(cloid, 30, oid=5)
    assert (changes.is_new_fill, changes.is_ours, changes.touched) == (False, True, ())
    assert desk.order(cloid).filled_lots == 30


def test_a_fill_before_the_ack_is_booked_to_the_pending_order(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.fill(cloid, 30, oid=5)
    assert desk.order(cloid).phase is OrderPhase.PENDING
    desk.acked(batch_id, cloid, 5)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    assert desk.committed_lots() == 70


def test_an_ack_after_the_full_fill_does_not_resurrect(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.fill(cloid, 100, oid=5)
    desk.acked(batch_id, cloid, 5)
    desk.update(cloid, "open", oid=5)
    assert desk.order(cloid).phase is OrderPhase.ENDED
    assert desk.committed_lots() == 0
    assert [note.status for note in desk.ended()] == ["filled"]


def test_a_fill_that_names_no_cloid_waits_for_the_ack_that_names_its_oid(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    changes = desk.fill(None, 30, oid=5)
    assert (changes.is_new_fill, changes.is_ours) == (True, False)
    assert desk.order(cloid).filled_lots == 0
    desk.acked(batch_id, cloid, 5)
    assert desk.order(cloid).filled_lots == 30
    assert not desk.fill(None, 30, oid=5).is_new_fill
    assert desk.order(cloid).filled_lots == 30


def test_a_fill_without_a_cloid_finds_its_order_by_oid(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    assert desk.fill(None, 30, oid=5).is_ours
    assert desk.order(cloid).filled_lots == 30


def test_a_fill_of_a_stranger_moves_inventory_alone(desk: OrderDesk) -> None:
    desk.resting(5)
    changes = desk.fill(builders.cloid(9), 30, oid=6)
    assert (changes.is_new_fill, changes.is_ours, changes.touched) == (True, False, ())


def test_fills_after_the_end_are_counted_to_the_order_within_the_grace(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.update(cloid, "canceled", oid=5, size_lots=100)
    changes = desk.fill(cloid, 30, oid=5)
    assert (changes.is_new_fill, changes.is_ours) == (True, True)
    assert desk.order(cloid).filled_lots == 30
    assert not desk.order(cloid).is_live


def test_more_fills_than_size_are_remarked_and_the_remaining_size_never_negative(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.fill(cloid, 90, oid=5)
    changes = desk.fill(cloid, 20, oid=5, tid=2)
    assert desk.order(cloid).remaining_lots == 0
    assert any(isinstance(note, Remark) and note.is_warning for note in changes.notes)


def test_a_fill_on_the_wrong_side_moves_inventory_and_not_the_order(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    assert desk.fill(cloid, 30, oid=5, side=Side.SELL).is_new_fill
    assert desk.order(cloid).filled_lots == 0


# Filled, by word alone


def test_a_filled_reply_reserves_until_the_fill_comes(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.done(batch_id, ItemOutcome(cloid, OutcomeKind.FILLED, oid=5, filled_lots=100))
    assert desk.order(cloid).is_live
    assert desk.committed_lots() == 100
    assert desk.state.cloids_that_may_live() == ()
    assert (desk.state.unknown_count, desk.state.in_flight_count) == (0, 1)
    desk.fill(cloid, 100, oid=5)
    assert desk.committed_lots() == 0


def test_fills_that_a_reply_promised_are_asked_for_after_two_seconds_and_ever_more_slowly(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.done(batch_id, ItemOutcome(cloid, OutcomeKind.FILLED, oid=5, filled_lots=100))
    asked_s = [seconds / 2 for seconds in range(60) if desk.tick(seconds / 2).read_fills]
    assert asked_s == [2.0, 6.0, 14.0]


def test_fills_that_never_come_release_the_order_in_the_end_as_a_mismatch(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.update(cloid, "canceled", oid=5, size_lots=40)
    for seconds in range(1, 400):
        desk.tick(seconds)
        if not desk.order(cloid).is_live:
            break
    assert desk.committed_lots() == 0
    assert [note.kind for note in desk.mismatches()] == [MismatchKind.SIZE_DIFFERS]
    assert len(desk.ended()) == 1


def test_a_partly_filled_reply_says_nothing_about_the_rest(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    changes = desk.done(batch_id, ItemOutcome(cloid, OutcomeKind.FILLED, oid=5, filled_lots=60))
    assert desk.order(cloid).is_unknown
    assert changes.queries == (cloid,)


# Cancelling


def test_a_cancelled_reply_frees_nothing_until_the_size_is_known(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.cancelled(desk.send_cancel(cloid), cloid)
    assert desk.order(cloid).is_live
    assert desk.order(cloid).status == "canceled, size unconfirmed"
    assert desk.committed_lots() == 100
    desk.update(cloid, "canceled", oid=5, size_lots=100)
    assert desk.committed_lots() == 0
    assert [note.status for note in desk.ended()] == ["canceled"]
    assert desk.state.cancelled == 1


def test_a_cancel_that_crossed_a_fill_frees_nothing_until_the_fill_is_here(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.cancelled(desk.send_cancel(cloid), cloid)
    desk.update(cloid, "canceled", oid=5, size_lots=40)
    assert desk.order(cloid).is_live
    assert desk.committed_lots() == 100
    desk.fill(cloid, 60, oid=5)
    assert desk.committed_lots() == 0
    assert [(note.status, note.filled_lots) for note in desk.ended()] == [("canceled", 60)]


def test_the_size_after_a_cancelled_reply_is_asked_for(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.cancelled(desk.send_cancel(cloid), cloid)
    assert desk.tick(1.5).queries == ()
    assert desk.tick(2.0).queries == (cloid,)
    desk.status(cloid, "canceled", 100, oid=5)
    assert not desk.order(cloid).is_live


def test_a_late_open_after_a_cancelled_reply_changes_nothing(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.cancelled(desk.send_cancel(cloid), cloid)
    desk.acked(batch_id, cloid, 5)
    desk.update(cloid, "open", oid=5)
    assert desk.order(cloid).status == "canceled, size unconfirmed"
    assert desk.state.cloids_that_may_live() == ()


@pytest.mark.parametrize("refusal", [Refusal.BUDGET, Refusal.TOO_MANY_REQUESTS, Refusal.OTHER])
def test_a_refused_cancel_leaves_the_order_as_it_was(desk: OrderDesk, refusal: Refusal) -> None:
    cloid = desk.resting(5)
    changes = desk.refused(desk.send_cancel(cloid), cloid, refusal)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    assert not desk.order(cloid).is_busy
    assert changes.queries == ()


def test_a_missing_order_is_asked_about_and_not_ended(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    changes = desk.refused(desk.send_cancel(cloid), cloid, Refusal.MISSING_ORDER)
    assert desk.order(cloid).is_unknown
    assert changes.queries == (cloid,)
    assert desk.committed_lots() == 100
    desk.status(cloid, "filled", 0, oid=5)
    assert desk.committed_lots() == 100  # The venue's word moves nothing: the fills must come.
    desk.fill(cloid, 100, oid=5)
    assert desk.committed_lots() == 0


def test_a_cancel_that_overtook_its_order_leaves_it_pending(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.refused(desk.send_cancel(cloid), cloid, Refusal.MISSING_ORDER)
    assert desk.order(cloid).phase is OrderPhase.PENDING
    desk.acked(batch_id, cloid, 5)
    assert desk.order(cloid).phase is OrderPhase.RESTING


def test_the_answer_to_an_earlier_cancel_does_not_clear_the_mark_of_a_later_one(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    first, second = desk.send_cancel(cloid), desk.send_cancel(cloid)
    desk.refused(first, cloid, Refusal.BUDGET)
    assert desk.order(cloid).pending == "cancel"
    desk.refused(second, cloid, Refusal.BUDGET)
    assert desk.order(cloid).pending is None


# Modifying


def modified(desk: OrderDesk, size_lots: int = 100) -> tuple[Cloid, int, Cloid]:
    old = desk.resting(5)
    batch_id, new = desk.send_modify(old, size_lots=size_lots)
    return old, batch_id, new


@pytest.mark.parametrize(("size_lots", "committed"), [(70, 100), (100, 100), (150, 150)])
def test_of_a_modify_in_flight_the_larger_order_counts(desk: OrderDesk, size_lots: int, committed: int) -> None:
    modified(desk, size_lots)
    assert desk.committed_lots() == committed


STEPS = ["reply", "open new", "canceled old"]


@pytest.mark.parametrize(
    "order", [(a, b, c) for a in STEPS for b in STEPS for c in STEPS if len({a, b, c}) == 3], ids=" then ".join
)
def test_a_modify_ends_the_same_in_every_order_of_its_news(desk: OrderDesk, order: tuple[str, ...]) -> None:
    old, batch_id, new = modified(desk, 150)
    for step in order:
        if step == "reply":
            desk.acked(batch_id, new, 6)
        elif step == "open new":
            desk.update(new, oid=6, size_lots=150, original_lots=150)
        else:
            desk.update(old, "canceled", oid=5, size_lots=100)
        assert desk.committed_lots() >= 150
    assert desk.order(new).phase is OrderPhase.RESTING
    assert [(note.cloid, note.status) for note in desk.ended()] == [(old, "modified")]
    assert desk.committed_lots() == 150
    assert (desk.state.placed, desk.state.modified, desk.state.cancelled) == (1, 1, 0)
    assert desk.state.by_slot(desk.order(new).slot) == (desk.order(new),)


def test_after_a_modify_the_old_order_counts_until_its_fills_are_known(desk: OrderDesk) -> None:
    old, batch_id, new = modified(desk)
    desk.acked(batch_id, new, 6)
    assert desk.order(old).status == "modified, size unconfirmed"
    assert desk.committed_lots() == 200
    desk.update(old, "canceled", oid=5, size_lots=60)
    assert desk.committed_lots() == 200
    desk.fill(old, 40, oid=5)
    assert desk.committed_lots() == 100


@pytest.mark.parametrize("refusal", [Refusal.CANNOT_MODIFY, Refusal.MISSING_ORDER, Refusal.POST_ONLY_WOULD_MATCH])
def test_a_refused_modify_ends_the_new_order_and_asks_about_the_old(desk: OrderDesk, refusal: Refusal) -> None:
    old, batch_id, new = modified(desk)
    changes = desk.refused(batch_id, new, refusal)
    assert not desk.order(new).is_live
    assert desk.order(old).is_unknown
    assert changes.queries == (old,)
    assert desk.committed_lots() == 100


def test_a_modify_refused_as_a_whole_leaves_the_old_order_resting(desk: OrderDesk) -> None:
    old, batch_id, new = modified(desk)
    desk.refused(batch_id, new, Refusal.BUDGET)
    assert not desk.order(new).is_live
    assert desk.order(old).phase is OrderPhase.RESTING
    desk.update(old, "canceled", oid=5, size_lots=100)
    assert desk.ended()[-1].status == "canceled"  # And not modified.


def test_a_modify_of_unknown_outcome_keeps_both_and_asks_about_both(desk: OrderDesk) -> None:
    old, batch_id, new = modified(desk, 150)
    changes = desk.unknown(batch_id)
    assert set(changes.queries) == {old, new}
    assert desk.state.unknown_count == 2
    assert desk.committed_lots() == 150


def test_a_fill_on_the_old_and_the_new_order_before_the_reply_are_told_apart(desk: OrderDesk) -> None:
    old, batch_id, new = modified(desk)
    desk.fill(new, 10, oid=6, tid=1)
    desk.fill(old, 20, oid=5, tid=2)
    desk.acked(batch_id, new, 6)
    assert (desk.order(old).filled_lots, desk.order(new).filled_lots) == (20, 10)


def test_the_bot_may_not_modify_what_is_in_flux_or_across_sides(desk: OrderDesk) -> None:
    old, _, new = modified(desk)
    for target, side in [(old, Side.BUY), (new, Side.BUY)]:
        with pytest.raises(AssertionError):
            desk.send_modify(target, side=side)
    with pytest.raises(AssertionError):
        desk.send_modify(desk.resting(9, level=1), side=Side.SELL)


# Statuses


@pytest.mark.parametrize("status", ["marginCanceled", "scheduledCancel", "selfTradeCanceled", "solarFlareCanceled"])
def test_every_terminal_status_ends_an_order(desk: OrderDesk, status: str) -> None:
    cloid = desk.resting(5)
    desk.update(cloid, status, oid=5, size_lots=100)
    assert [note.status for note in desk.ended()] == [status]


def test_a_rejection_on_the_stream_ends_the_order_before_the_reply(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.update(cloid, "badAloPxRejected", oid=5, size_lots=0)
    assert not desk.order(cloid).is_live
    desk.refused(batch_id, cloid, Refusal.POST_ONLY_WOULD_MATCH)
    assert len(desk.ended()) == 1
    assert desk.state.placed == 0


def test_an_unheard_of_status_is_asked_about_loudly(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    changes = desk.update(cloid, "frozen", oid=5)
    assert desk.order(cloid).is_unknown
    assert changes.queries == (cloid,)
    assert [note.is_warning for note in changes.notes if isinstance(note, Remark)] == [True]


def test_a_filled_status_waits_for_the_fills(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.update(cloid, "filled", oid=5, size_lots=0)
    assert desk.committed_lots() == 100
    desk.fill(cloid, 100, oid=5)
    assert [note.status for note in desk.ended()] == ["filled"]


def test_of_two_terminal_statuses_the_later_holds_in_either_order() -> None:
    words = [("canceled", 40, 1), ("selfTradeCanceled", 30, 2)]
    for statuses in (words, words[::-1]):
        desk = OrderDesk()
        cloid = desk.resting(5)
        for status, size_lots, ms in statuses:
            desk.update(cloid, status, oid=5, size_lots=size_lots, status_ms=builders.START_MS + ms)
        assert desk.order(cloid).status == "selfTradeCanceled"
        assert desk.order(cloid).stated_filled_lots == 70


def test_an_oid_is_given_once(desk: OrderDesk) -> None:
    first = desk.resting(5)
    batch_id, second = desk.send_place(level=1)
    changes = desk.acked(batch_id, second, 5)
    assert desk.order(second).oid is None
    assert isinstance(changes.notes[0], Remark)
    desk.fill(None, 30, oid=5)
    assert desk.order(first).filled_lots == 30


# Memory and totals


def test_ended_orders_are_forgotten_after_the_grace(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.fill(cloid, 100, oid=5)
    desk.tick(59.0)
    assert desk.state.get(cloid) is not None
    desk.tick(61.0)
    assert desk.state.get(cloid) is None
    assert not desk.fill(cloid, 100, oid=5).is_new_fill  # The ledger does not forget with it.


def test_fills_of_a_live_order_outlast_any_number_of_others(desk: OrderDesk) -> None:
    desk.state = OrderState(desk.cloids, [MARKET], fills_kept=4)
    batch_id, cloid = desk.send_place()
    desk.fill(None, 30, oid=5, tid=777)
    desk.acked(batch_id, cloid, 5)
    for number in range(100):
        desk.fill(builders.cloid(9), 1, oid=6, tid=number, time_ms=builders.START_MS + number)
    assert len(desk.state.ledger) < 10
    assert not desk.fill(cloid, 30, oid=5, tid=777).is_new_fill
    assert desk.order(cloid).filled_lots == 30


def test_totals_of_both_sides_are_kept_apart(desk: OrderDesk) -> None:
    desk.resting(5)
    ask = desk.resting(6, side=Side.SELL, size_lots=80)
    assert (desk.committed_lots(Side.BUY), desk.committed_lots(Side.SELL)) == (100, 80)
    desk.fill(ask, 30, oid=6, side=Side.SELL)
    assert (desk.committed_lots(Side.BUY), desk.committed_lots(Side.SELL)) == (100, 50)


def test_live_orders_come_oldest_first(desk: OrderDesk) -> None:
    cloids = [desk.resting(number, level=-number) for number in range(1, 6)]
    assert [order.cloid for order in desk.state.live(COIN)] == cloids


def test_one_tid_on_two_orders_is_two_fills(desk: OrderDesk) -> None:
    bid, ask = desk.resting(5), desk.resting(6, side=Side.SELL)
    assert desk.fill(bid, 30, oid=5, tid=1).is_new_fill
    assert desk.fill(ask, 30, oid=6, tid=1, side=Side.SELL).is_new_fill
    assert isinstance(next(iter(desk.order(ask).fill_keys)), FillKey)
