"""Orders through REST reads and time: absence is a hint, presence too, silence proves nothing for a while."""

from __future__ import annotations

import pytest

from mmtrio.core.events import MismatchKind, ReadPurpose, Remark
from mmtrio.core.order_state import OrderPhase
from tests.support import builders
from tests.support.builders import resting_order
from tests.support.order_desk import COIN, OrderDesk

LISTENING = [ReadPurpose.RECONCILE, ReadPurpose.CONFIRM, ReadPurpose.FINAL]
CATCHING_UP = [ReadPurpose.START, ReadPurpose.CATCH_UP]


@pytest.fixture
def desk() -> OrderDesk:
    return OrderDesk()


# Requests of unknown outcome


def test_a_lost_reply_leaves_the_order_unknown_counted_and_asked_about(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    changes = desk.unknown(batch_id)
    assert changes.queries == (cloid,)
    assert (desk.state.unknown_count, desk.committed_lots()) == (1, 100)
    assert desk.state.cloids_that_may_live() == (cloid,)


def test_an_unknown_order_that_is_found_rests(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.unknown(batch_id)
    desk.status(cloid, "open", 100, oid=5)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    assert desk.order(cloid).oid == 5


def test_an_unknown_order_in_the_open_orders_rests(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.unknown(batch_id)
    desk.open_orders([resting_order(cloid, oid=5)])
    assert desk.order(cloid).phase is OrderPhase.RESTING


def test_not_found_proves_nothing_while_the_request_may_land(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.now_s = 5.0
    desk.unknown(batch_id)  # It left at 2 s at the latest, expires 15 s later, and clocks are 2 s apart at most.
    for seconds in (6.0, 10.0, 16.0, 18.9):
        desk.now_s = seconds
        desk.status(cloid, None)
    assert desk.order(cloid).is_live
    desk.now_s = 19.0
    desk.status(cloid, None)
    assert desk.order(cloid).is_live  # Once is not enough.
    desk.now_s = 20.9
    desk.status(cloid, None)
    assert desk.order(cloid).is_live  # Nor twice in a breath.
    desk.now_s = 21.0
    desk.status(cloid, None)
    assert [note.status for note in desk.ended()] == ["never arrived"]
    assert desk.committed_lots() == 0
    assert desk.mismatches() == []


def test_not_found_is_judged_by_when_it_was_asked_and_not_answered(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.unknown(batch_id)
    desk.now_s = 60.0
    for requested_s in (10.0, 14.0, 18.9):
        desk.status(cloid, None, requested_s=requested_s)
    assert desk.order(cloid).is_live


def test_an_order_that_has_filled_never_counts_as_never_arrived(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.unknown(batch_id)
    desk.fill(cloid, 30, oid=5)
    for seconds in (30.0, 33.0, 36.0):
        desk.now_s = seconds
        desk.status(cloid, None)
    assert desk.order(cloid).is_live


def test_a_zombie_that_shows_up_after_all_lives_again(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.unknown(batch_id)
    for seconds in (19.0, 21.0):
        desk.now_s = seconds
        desk.status(cloid, None)
    assert not desk.order(cloid).is_live
    desk.update(cloid, "open", oid=5)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    assert desk.committed_lots() == 100
    desk.update(cloid, "canceled", oid=5, size_lots=100, status_ms=builders.START_MS + 1)
    assert len(desk.ended()) == 1


def test_a_late_answer_after_the_timeout_is_taken(desk: OrderDesk) -> None:
    batch_id, cloid = desk.send_place()
    desk.unknown(batch_id)
    desk.acked(batch_id, cloid, 5)
    assert desk.order(cloid).phase is OrderPhase.RESTING


def test_a_cancel_of_unknown_outcome_is_settled_by_a_question_asked_late_enough(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.now_s = 10.0
    desk.unknown(desk.send_cancel(cloid))
    assert desk.order(cloid).is_unknown
    desk.now_s = 11.0
    desk.status(cloid, "open", 100, oid=5)  # The node may not have seen the cancel yet.
    desk.open_orders([resting_order(cloid, oid=5)])
    desk.update(cloid, "open", oid=5)  # Nor need this be younger than the cancel.
    assert desk.order(cloid).is_unknown
    desk.now_s = 12.0
    desk.status(cloid, "open", 100, oid=5)
    assert desk.order(cloid).phase is OrderPhase.RESTING


def test_a_modify_of_unknown_outcome_that_happened_is_recognised_by_the_new_order(desk: OrderDesk) -> None:
    old = desk.resting(5)
    batch_id, new = desk.send_modify(old)
    desk.unknown(batch_id)
    desk.status(new, "open", 100, oid=6)
    assert desk.order(new).phase is OrderPhase.RESTING
    assert desk.state.cloids_that_may_live() == (new,)
    desk.status(old, "canceled", 100, oid=5)
    assert [(note.cloid, note.status) for note in desk.ended()] == [(old, "modified")]


def test_a_modify_of_unknown_outcome_that_never_happened_leaves_the_old_order(desk: OrderDesk) -> None:
    old = desk.resting(5)
    batch_id, new = desk.send_modify(old)
    desk.unknown(batch_id)
    for seconds in (19.0, 21.0):
        desk.now_s = seconds
        desk.status(new, None)
        desk.status(old, "open", 100, oid=5)
    assert desk.order(old).phase is OrderPhase.RESTING
    assert [note.cloid for note in desk.ended()] == [new]
    assert desk.committed_lots() == 100
    desk.send_modify(old)


def asked_between(desk: OrderDesk, from_s: float, to_s: float) -> list[float]:
    halves = range(round(from_s * 2), round(to_s * 2) + 1)
    return [half / 2 for half in halves if desk.tick(half / 2).queries]


def test_an_order_that_may_have_changed_is_asked_about_every_two_seconds(desk: OrderDesk) -> None:
    desk.unknown(desk.send_cancel(desk.resting(5)))
    assert asked_between(desk, 0.5, 6.5) == [2.0, 4.0, 6.0]


def test_an_order_that_may_still_land_is_asked_about_seldom_until_the_answer_proves_something(desk: OrderDesk) -> None:
    batch_id, _ = desk.send_place()
    desk.unknown(batch_id)
    assert asked_between(desk, 0.5, 24.0) == [8.0, 16.0, 19.0, 21.0, 23.0]


def test_many_unknown_orders_are_asked_about_in_turn(desk: OrderDesk) -> None:
    sent = [desk.send_place(level=level) for level in range(150)]
    asked = [cloid for batch_id, _ in sent for cloid in desk.unknown(batch_id).queries]
    assert len(asked) == 60
    for seconds in (10.0, 20.0):
        desk.now_s = seconds
        asked.extend(desk.tick().queries)
    assert set(asked) == {cloid for _, cloid in sent}


# Open orders: ours


def test_a_snapshot_older_than_the_order_says_nothing_about_it(desk: OrderDesk) -> None:
    desk.now_s = 10.0
    cloid = desk.resting(5)
    for requested_s in (5.0, 8.0, 11.0, 12.0):
        desk.open_orders([], requested_s=requested_s)
    assert desk.order(cloid).doubts.absent_at is None


def test_an_order_in_flight_is_neither_orphan_nor_ghost(desk: OrderDesk) -> None:
    _, absent = desk.send_place()
    batch_id, present = desk.send_place(level=1)
    for seconds in (10.0, 20.0, 30.0):
        desk.now_s = seconds
        changes = desk.open_orders([resting_order(present, oid=5)])
        assert changes.adopt_cancels == ()
    assert desk.order(absent).phase is OrderPhase.PENDING
    desk.acked(batch_id, present, 5)
    assert desk.order(present).phase is OrderPhase.RESTING
    assert desk.mismatches() == []


def absent_twice(desk: OrderDesk, purpose: ReadPurpose = ReadPurpose.RECONCILE) -> builders.Cloid:
    cloid = desk.resting(5)
    desk.now_s = 10.0
    assert desk.open_orders([], purpose).queries == ()
    desk.now_s = 11.9
    assert desk.open_orders([], purpose).queries == ()
    assert desk.tick(12.0).read_fills  # A second look is asked for.
    changes = desk.open_orders([], purpose)
    assert changes.queries == (cloid,)
    assert changes.read_fills
    assert desk.mismatches() == []
    return cloid


@pytest.mark.parametrize("purpose", LISTENING)
def test_an_order_that_ended_without_a_word_is_a_mismatch(desk: OrderDesk, purpose: ReadPurpose) -> None:
    cloid = absent_twice(desk, purpose)
    desk.status(cloid, "canceled", 100, oid=5)
    assert [note.kind for note in desk.mismatches()] == [MismatchKind.ORDER_GONE]
    assert [note.status for note in desk.ended()] == ["canceled"]
    assert desk.state.mismatches == 1


@pytest.mark.parametrize("purpose", CATCHING_UP)
def test_an_order_that_ended_while_nobody_listened_is_none(desk: OrderDesk, purpose: ReadPurpose) -> None:
    cloid = absent_twice(desk, purpose)
    desk.status(cloid, "canceled", 100, oid=5)
    assert desk.mismatches() == []
    assert not desk.order(cloid).is_live


def test_a_cancel_that_landed_long_after_it_was_given_up_explains_the_absence(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.unknown(desk.send_cancel(cloid))
    desk.now_s = 3.0
    desk.status(cloid, "open", 100, oid=5)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    for seconds in (10.0, 12.1):  # It lands, and the update is lost.
        desk.now_s = seconds
        desk.open_orders([])
    desk.status(cloid, "canceled", 100, oid=5)
    assert [note.status for note in desk.ended()] == ["canceled"]
    assert desk.mismatches() == []


def test_an_update_that_comes_after_all_explains_the_absence(desk: OrderDesk) -> None:
    cloid = absent_twice(desk)
    desk.update(cloid, "canceled", oid=5, size_lots=100)
    assert desk.mismatches() == []


def test_an_absent_order_whose_status_says_open_rests(desk: OrderDesk) -> None:
    cloid = absent_twice(desk)
    desk.status(cloid, "open", 100, oid=5)
    assert desk.order(cloid).phase is OrderPhase.RESTING
    assert desk.mismatches() == []


def test_presence_between_two_absences_starts_over(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    for seconds, rows in [(10.0, []), (13.0, [resting_order(cloid, oid=5)]), (16.0, [])]:
        desk.now_s = seconds
        assert desk.open_orders(rows).queries == ()
    assert desk.order(cloid).phase is OrderPhase.RESTING


def test_a_ghost_is_removed_when_neither_status_nor_snapshots_know_it(desk: OrderDesk) -> None:
    cloid = absent_twice(desk)
    desk.status(cloid, None)
    assert desk.order(cloid).is_live
    desk.now_s = 14.0
    desk.status(cloid, None)
    assert [note.status for note in desk.ended()] == ["gone"]
    assert [note.kind for note in desk.mismatches()] == [MismatchKind.ORDER_GONE]
    assert desk.committed_lots() == 0


def test_an_order_with_a_request_in_flight_is_not_suspected(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.now_s = 10.0
    batch_id = desk.send_cancel(cloid)
    desk.open_orders([])
    desk.now_s = 13.0
    desk.open_orders([])
    desk.cancelled(batch_id, cloid)
    desk.update(cloid, "canceled", oid=5, size_lots=100)
    assert desk.mismatches() == []


def test_a_smaller_size_at_the_venue_asks_for_fills_and_counts_only_if_it_stays(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    row = resting_order(cloid, oid=5, size_lots=60, original_lots=100)
    desk.now_s = 10.0
    desk.open_orders([row])
    assert desk.mismatches() == []
    assert desk.tick(12.0).read_fills
    assert desk.open_orders([row]).queries == (cloid,)
    assert [note.kind for note in desk.mismatches()] == [MismatchKind.SIZE_DIFFERS]
    desk.now_s = 14.0
    desk.open_orders([row])
    assert len(desk.mismatches()) == 1


def test_a_fill_between_two_snapshots_explains_the_size(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.now_s = 10.0
    desk.open_orders([resting_order(cloid, oid=5, size_lots=60, original_lots=100)])
    desk.fill(cloid, 40, oid=5)
    desk.now_s = 11.0
    desk.open_orders([resting_order(cloid, oid=5, size_lots=100)])  # A node behind the stream.
    desk.now_s = 13.5
    desk.open_orders([resting_order(cloid, oid=5, size_lots=60, original_lots=100)])
    assert desk.mismatches() == []


def test_a_dead_order_in_a_lagging_snapshot_stays_dead(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.now_s = 10.0
    desk.update(cloid, "canceled", oid=5, size_lots=100)
    for seconds in (10.5, 11.9, 12.6):  # Only the last was asked for late enough to count, as a first sight.
        desk.now_s = seconds
        changes = desk.open_orders([resting_order(cloid, oid=5)])
        assert changes.adopt_cancels == ()
    assert not desk.order(cloid).is_live
    assert desk.mismatches() == []


def test_a_dead_order_seen_alive_twice_is_alive(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.update(cloid, "canceled", oid=5, size_lots=100)
    row = resting_order(cloid, oid=5)
    desk.now_s = 10.0
    desk.open_orders([row])
    assert not desk.order(cloid).is_live
    desk.now_s = 12.0
    changes = desk.open_orders([row])
    assert changes.queries == (cloid,)
    assert desk.order(cloid).is_live
    assert [note.kind for note in desk.mismatches()] == [MismatchKind.ORDER_UNKNOWN_TO_US]


def test_a_dead_order_seen_alive_in_two_reads_with_an_absence_between_stays_dead(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.update(cloid, "canceled", oid=5, size_lots=100)
    for seconds, rows in [(10.0, [resting_order(cloid, oid=5)]), (13.0, []), (16.0, [resting_order(cloid, oid=5)])]:
        desk.now_s = seconds
        desk.open_orders(rows)
    assert not desk.order(cloid).is_live


def test_a_replaced_order_seen_alive_twice_counts_beside_its_replacement(desk: OrderDesk) -> None:
    old = desk.resting(5)
    batch_id, new = desk.send_modify(old)
    desk.acked(batch_id, new, 6)
    desk.update(old, "canceled", oid=5, size_lots=100)
    assert desk.committed_lots() == 100
    for seconds in (10.0, 12.0):
        desk.now_s = seconds
        desk.open_orders([resting_order(old, oid=5), resting_order(new, oid=6)])
    assert desk.committed_lots() == 200


# Open orders: not of this state


@pytest.mark.parametrize("purpose", CATCHING_UP)
def test_an_order_of_an_earlier_run_is_cancelled(desk: OrderDesk, purpose: ReadPurpose) -> None:
    earlier = builders.Cloid("0x7470" + "0a0b0c0d" + "0000000000" + "0000000007")
    changes = desk.open_orders([resting_order(earlier, oid=5)], purpose)
    assert [item.cloid for item in changes.adopt_cancels] == [earlier]
    assert desk.mismatches() == []


def test_an_order_of_ours_that_appears_from_nowhere_is_one_mismatch_and_cancelled_each_time(desk: OrderDesk) -> None:
    stranger = builders.Cloid("0x7470" + "0a0b0c0d" + "0000000000" + "0000000007")
    for seconds in (10.0, 13.0):
        desk.now_s = seconds
        changes = desk.open_orders([resting_order(stranger, oid=5)])
        assert [item.cloid for item in changes.adopt_cancels] == [stranger]
    assert [note.kind for note in desk.mismatches()] == [MismatchKind.ORDER_UNKNOWN_TO_US]


def test_an_order_of_ours_that_the_stream_shows_from_nowhere_is_cancelled(desk: OrderDesk) -> None:
    stranger = builders.Cloid("0x7470" + "0a0b0c0d" + "0000000000" + "0000000007")
    assert [item.cloid for item in desk.update(stranger, "open", oid=5).adopt_cancels] == [stranger]
    assert desk.update(stranger, "open", oid=5).adopt_cancels == ()
    assert desk.update(stranger, "canceled", oid=5).adopt_cancels == ()


def test_foreign_orders_are_told_once_and_left_alone(desk: OrderDesk) -> None:
    rows = [
        resting_order(None, oid=5),
        resting_order(builders.cloid(9), oid=6),
        resting_order(builders.Cloid("0x7470" + "ffffffff" + "0" * 20), oid=7),
    ]
    changes = desk.open_orders(rows)
    assert changes.adopt_cancels == ()
    assert len([note for note in changes.notes if isinstance(note, Remark)]) == 3
    assert desk.open_orders(rows).notes == ()
    assert desk.state.live(COIN) == ()


def test_a_stranger_s_status_is_ignored(desk: OrderDesk) -> None:
    assert desk.status(builders.cloid(9), "open", 100).notes == ()


# Time


def test_a_tick_over_resting_orders_asks_nothing(desk: OrderDesk) -> None:
    for number in range(1, 50):
        desk.resting(number, level=number)
    changes = desk.tick(100.0)
    assert (changes.queries, changes.read_fills, changes.notes) == ((), False, ())


def test_a_cancelled_order_whose_status_the_venue_forgot_ends_after_its_fills_had_their_chance(desk: OrderDesk) -> None:
    cloid = desk.resting(5)
    desk.cancelled(desk.send_cancel(cloid), cloid)
    assert desk.tick(2.0).read_fills
    for seconds in (3.0, 5.0):
        desk.now_s = seconds
        desk.status(cloid, None)
    assert [note.status for note in desk.ended()] == ["canceled"]
    assert desk.committed_lots() == 0
