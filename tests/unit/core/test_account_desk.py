"""The desk as a whole: events in, decisions out."""

from __future__ import annotations

import attrs
import pytest

from mmtrio.core.events import (
    AccountRead,
    BatchKind,
    BatchNotSent,
    BatchUnknown,
    CancelItem,
    FillBooked,
    FillSource,
    Heard,
    Heartbeat,
    Mismatch,
    MismatchKind,
    Paused,
    PlaceItem,
    QueryOrder,
    QuotingResumed,
    QuotingStopped,
    ReadFailed,
    ReadPurpose,
    ReasonCode,
    RestartSession,
    SessionEnded,
    SessionLive,
    SessionName,
    SessionOpened,
    Stopping,
    Tick,
)
from mmtrio.core.strategy import Quotes, View
from mmtrio.core.types import Coin, Side
from tests.support.builders import USDC, fill, market, order_updated, resting_order, spot_token
from tests.support.desks import batches, bench, hip2, readings, rich


def placed(decision) -> list[PlaceItem]:
    return [item for batch in batches(decision, BatchKind.PLACE) for item in batch.items]


def started():
    """A desk whose first orders have been accepted."""
    on_bench = bench()
    first = on_bench.start(rich())
    on_bench.accept(first)
    for item in placed(first):
        on_bench.tell(
            order_updated(
                cloid=item.cloid, oid=on_bench.desk.orders.get(item.cloid).oid, side=item.side,
                price_ticks=item.price_ticks, size_lots=item.size_lots,
            )
        )
    return on_bench, placed(first)


def test_nothing_is_sent_before_the_account_has_been_read():
    on_bench = bench()
    decision = on_bench.tell(SessionOpened(SessionName.ACCOUNT, 1), Tick())
    assert not batches(decision)
    assert [reason.code for reason in decision.reasons] == [ReasonCode.STARTING]


def test_the_acknowledged_account_session_asks_for_a_reading():
    on_bench = bench()
    decision = on_bench.tell(SessionOpened(SessionName.ACCOUNT, 1), SessionLive(SessionName.ACCOUNT, 1))
    assert [reading.purpose for reading in readings(decision)] == [ReadPurpose.START]


def test_the_first_reading_leads_to_quotes_on_both_sides_of_the_cursor():
    on_bench = bench()
    orders = placed(on_bench.start(rich("10", "10000")))
    asks = [order for order in orders if order.side is Side.SELL]
    bids = [order for order in orders if order.side is Side.BUY]
    assert [order.slot.slot for order in asks] == list(range(10, 20))  # ten full tranches on top of the ladder
    assert sorted(order.slot.slot for order in bids) == list(range(10))
    assert max(bid.price_ticks for bid in bids) < min(ask.price_ticks for ask in asks)


def test_balances_without_a_second_witness_are_read_again_before_quoting():
    on_bench = bench()
    on_bench.tell(SessionOpened(SessionName.ACCOUNT, 1), SessionLive(SessionName.ACCOUNT, 1))
    first = on_bench.read(rich(), ReadPurpose.START)
    assert not batches(first)
    assert [(again.purpose, again.after_s) for again in readings(first)] == [(ReadPurpose.START, 2.0)]
    on_bench.now_s = 2.0
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
    assert placed(on_bench.read(rich(), ReadPurpose.START))


def test_orders_of_an_earlier_run_are_cancelled_before_the_first_quote():
    on_bench = bench()
    cloids = attrs.evolve(on_bench.desk.orders.cloids, run_ms=1)
    left = resting_order(cloids.next(), oid=7)
    on_bench.tell(
        SessionOpened(SessionName.ACCOUNT, 1),
        attrs.evolve(rich(), requested_at=None),
        SessionLive(SessionName.ACCOUNT, 1),
    )
    decision = on_bench.read(rich(), ReadPurpose.START, orders=[left])
    assert [batch.items for batch in batches(decision)] == [(CancelItem(left.cloid, left.coin),)]
    assert [again.after_s for again in readings(decision)] == [2.0]
    on_bench.accept(decision)
    on_bench.now_s = 2.0
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
    assert placed(on_bench.read(rich(), ReadPurpose.START))


def test_a_fill_requotes_at_once_and_flips_its_level():
    on_bench, orders = started()
    best_ask = min((order for order in orders if order.side is Side.SELL), key=lambda order: order.price_ticks)
    decision = on_bench.tell(
        fill(Side.SELL, cloid=best_ask.cloid, price_ticks=best_ask.price_ticks, size_lots=best_ask.size_lots)
    )
    assert any(isinstance(note, FillBooked) and note.is_ours for note in decision.notes)
    assert [(order.side, order.slot.slot) for order in placed(decision)] == [(Side.BUY, best_ask.slot.slot)]


def test_a_small_fill_of_the_best_bid_leaves_it_resting_with_what_remains():
    on_bench, orders = started()
    best_bid = max((order for order in orders if order.side is Side.BUY), key=lambda order: order.price_ticks)
    decision = on_bench.tell(
        fill(Side.BUY, cloid=best_bid.cloid, price_ticks=best_bid.price_ticks, size_lots=10)
    )
    assert any(isinstance(note, FillBooked) for note in decision.notes)
    assert not batches(decision)
    assert not batches(on_bench.tell(Tick()))
    assert on_bench.desk.orders.get(best_bid.cloid).remaining_lots == best_bid.size_lots - 10


def test_a_replayed_fill_changes_nothing():
    on_bench, orders = started()
    ask = next(order for order in orders if order.side is Side.SELL)
    oid = on_bench.desk.orders.get(ask.cloid).oid
    sold = fill(Side.SELL, cloid=ask.cloid, oid=oid, price_ticks=ask.price_ticks, size_lots=50)
    on_bench.tell(sold)
    total = on_bench.desk.inventory.total(USDC.index)
    for source in FillSource:
        again = on_bench.tell(attrs.evolve(sold, source=source))
        assert not again.commands and not again.notes
    assert on_bench.desk.inventory.total(USDC.index) == total


def test_no_quote_after_eight_seconds_of_silence_and_all_withdrawn_after_fifteen():
    on_bench, orders = started()
    for step in range(16):
        on_bench.now_s = step / 2
        assert not on_bench.tell(Heartbeat()).notes
    on_bench.now_s = 8.0
    stopped = on_bench.tell(Heartbeat())
    assert [note.reason.code for note in stopped.notes if isinstance(note, QuotingStopped)] == [
        ReasonCode.ACCOUNT_SESSION_SILENT
    ]
    for step in range(17, 30):
        on_bench.now_s = step / 2
        assert not batches(on_bench.tell(Heartbeat()))
    on_bench.now_s = 15.0
    pulled = on_bench.tell(Heartbeat())
    assert {item.cloid for batch in batches(pulled) for item in batch.items} == {order.cloid for order in orders}


def test_a_lost_session_stops_quoting_and_its_successor_reads_before_it_resumes():
    on_bench, _ = started()
    on_bench.now_s = 1.0
    lost = on_bench.tell(SessionEnded(SessionName.ACCOUNT, 1, "reset"))
    assert any(isinstance(note, QuotingStopped) for note in lost.notes)
    on_bench.now_s = 2.0
    back = on_bench.tell(SessionOpened(SessionName.ACCOUNT, 2), SessionLive(SessionName.ACCOUNT, 2))
    assert [reading.purpose for reading in readings(back)] == [ReadPurpose.CATCH_UP]
    assert not any(isinstance(note, QuotingResumed) for note in on_bench.tell(Tick()).notes)
    resumed = on_bench.tell(AccountRead(ReadPurpose.CATCH_UP, on_bench.at))
    assert [note.stopped_s for note in resumed.notes if isinstance(note, QuotingResumed)] == [1.0]


def test_a_reading_requested_before_the_session_was_live_does_not_end_the_catch_up():
    on_bench, _ = started()
    before = on_bench.at
    on_bench.now_s = 3.0
    on_bench.tell(
        SessionEnded(SessionName.ACCOUNT, 1, "reset"),
        SessionOpened(SessionName.ACCOUNT, 2),
        SessionLive(SessionName.ACCOUNT, 2),
    )
    on_bench.tell(AccountRead(ReadPurpose.RECONCILE, before))
    assert not on_bench.desk.has_caught_up


def test_a_failed_reading_is_repeated_with_a_growing_pause_while_it_is_needed():
    on_bench = bench()
    on_bench.tell(SessionOpened(SessionName.ACCOUNT, 1), SessionLive(SessionName.ACCOUNT, 1))
    pauses = [readings(on_bench.tell(ReadFailed("account", "502")))[0].after_s for _ in range(7)]
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]


def test_an_order_of_unknown_outcome_keeps_its_slot_and_is_asked_about():
    on_bench = bench()
    first = on_bench.start(rich())
    (batch,) = batches(first)
    unknown = on_bench.tell(BatchUnknown(batch.id, "timeout"))
    on_bench.now_s = 3.0
    later = on_bench.tell(Heard(SessionName.ACCOUNT, "pong"), Tick())
    assert not placed(unknown) and not placed(later)
    asked = {command.cloid for command in (*unknown.commands, *later.commands) if isinstance(command, QueryOrder)}
    assert asked == {item.cloid for item in batch.items}


def test_a_batch_that_never_left_is_tried_again_on_the_next_tick_and_not_before():
    on_bench = bench()
    (batch,) = batches(on_bench.start(rich()))
    assert not batches(on_bench.tell(BatchNotSent(batch.id, "refused")))
    again = placed(on_bench.tell(Tick()))
    assert {order.slot for order in again} == {item.slot for item in batch.items}
    assert not {order.cloid for order in again} & {item.cloid for item in batch.items}


def test_an_accepted_order_that_the_stream_never_shows_ends_the_account_session():
    on_bench = bench()
    on_bench.accept(on_bench.start(rich()))
    on_bench.now_s = 4.9
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
    assert not on_bench.tell(Heartbeat()).commands
    on_bench.now_s = 5.0
    restarts = [command for command in on_bench.tell(Heartbeat()).commands if isinstance(command, RestartSession)]
    assert [restart.session for restart in restarts] == [SessionName.ACCOUNT]


def test_a_fill_that_only_a_reconciliation_finds_is_booked_and_counted_as_a_mismatch():
    on_bench, orders = started()
    ask = next(order for order in orders if order.side is Side.SELL)
    found = fill(Side.SELL, cloid=ask.cloid, price_ticks=ask.price_ticks, size_lots=50, source=FillSource.RECONCILE)
    booked = on_bench.tell(found)
    assert any(isinstance(note, FillBooked) for note in booked.notes)
    on_bench.now_s = 4.9
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
    assert not on_bench.tell(Heartbeat()).notes
    on_bench.now_s = 5.0
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
    late = on_bench.tell(Heartbeat())
    assert [note.kind for note in late.notes if isinstance(note, Mismatch)] == [MismatchKind.FILL_NOT_STREAMED]


def test_a_fill_that_the_stream_brings_soon_after_the_reconciliation_is_no_mismatch():
    on_bench, orders = started()
    ask = next(order for order in orders if order.side is Side.SELL)
    found = fill(Side.SELL, cloid=ask.cloid, price_ticks=ask.price_ticks, size_lots=50, source=FillSource.RECONCILE)
    on_bench.tell(found, attrs.evolve(found, source=FillSource.STREAM))
    on_bench.now_s = 3.0
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"))
    assert not any(isinstance(note, Mismatch) for note in on_bench.tell(Heartbeat()).notes)


def test_reconciles_every_so_many_ticks():
    on_bench = bench(reconcile_every=3)
    on_bench.accept(on_bench.start(rich()))
    asked = [[reading.purpose for reading in readings(on_bench.tell(Tick()))] for _ in range(4)]
    assert asked == [[], [], [ReadPurpose.RECONCILE], []]


def test_pausing_withdraws_every_order_and_resuming_places_them_again():
    on_bench, orders = started()
    paused = on_bench.tell(Paused(True))
    assert {item.cloid for batch in batches(paused, BatchKind.CANCEL) for item in batch.items} == {
        order.cloid for order in orders
    }
    assert not batches(on_bench.tell(Tick()), BatchKind.PLACE)


def test_after_stopping_no_place_or_modify_is_decided():
    on_bench, orders = started()
    on_bench.tell(Stopping("SIGINT"))
    ask = next(order for order in orders if order.side is Side.SELL)
    after = on_bench.tell(fill(Side.SELL, cloid=ask.cloid, price_ticks=ask.price_ticks, size_lots=50), Tick())
    assert not batches(after)


def test_a_standstill_of_the_process_restarts_the_sessions_before_anything_is_quoted():
    on_bench, orders = started()
    on_bench.now_s = 60.0
    ask = next(order for order in orders if order.side is Side.SELL)
    woken = on_bench.tell(fill(Side.SELL, cloid=ask.cloid, price_ticks=ask.price_ticks, size_lots=100))
    assert not placed(woken)
    assert RestartSession in {type(command) for command in woken.commands}


def test_a_strategy_that_raises_suspends_its_market_alone_and_has_its_orders_withdrawn():
    class Moody:
        name = "moody"
        requires_market_data = False
        is_angry = False

        def quote(self, view: View) -> Quotes:
            if self.is_angry:
                raise RuntimeError("no more")
            return hip2(view.market).quote(view)

    moody = Moody()
    hype = market()
    purr = market("PURR/USDC", size_decimals=0, base=spot_token("PURR", 1, 0, 8), asset=10000)
    on_bench = bench(markets=[hype, purr], strategies=[moody, hip2(purr, size="1")])
    first = on_bench.start(rich())
    on_bench.accept(first)
    mine = {order.cloid for order in placed(first) if order.coin == hype.coin}
    moody.is_angry = True
    decision = on_bench.tell(Tick())
    assert {item.cloid for batch in batches(decision, BatchKind.CANCEL) for item in batch.items} == mine
    (stopped,) = (note for note in decision.notes if isinstance(note, QuotingStopped))
    assert (stopped.coin, stopped.reason.code) == (hype.coin, ReasonCode.MARKET_SUSPENDED)
    assert "RuntimeError: no more" in stopped.reason.detail
    assert not any(isinstance(note, QuotingStopped) for note in on_bench.tell(Tick()).notes)
    reasons = on_bench.desk.standing_reasons
    assert [reason.code for reason in reasons[hype.coin]] == [ReasonCode.MARKET_SUSPENDED]
    assert ReasonCode.MARKET_SUSPENDED not in [reason.code for reason in reasons[purr.coin]]


@pytest.mark.parametrize("wall_step_ms", [-120_000, 120_000])
def test_a_step_of_the_wall_clock_changes_no_decision(wall_step_ms):
    def story(step_ms: int) -> list:
        on_bench = bench(reconcile_every=2)
        told = [on_bench.accept(on_bench.start(rich()))]
        desk = on_bench.desk
        for second in range(1, 40):
            on_bench.now_s = float(second)
            at = attrs.evolve(on_bench.at, wall_ms=on_bench.at.wall_ms + (step_ms if second > 5 else 0))
            for event in (Heard(SessionName.ACCOUNT, "pong"), Tick(), Heartbeat()):
                told.append(desk.handle(event, at))
            if second % 7 == 0:
                ask = next(order for order in desk.orders.live(Coin("@107")) if order.side is Side.SELL)
                told.append(
                    desk.handle(
                        fill(Side.SELL, cloid=ask.cloid, price_ticks=ask.price_ticks, size_lots=10, tid=second), at
                    )
                )
        return told

    assert story(wall_step_ms) == story(0)


def test_two_markets_bidding_from_one_pool_of_quote_never_commit_more_than_there_is():
    hype = market()
    purr = market("PURR/USDC", size_decimals=0, base=spot_token("PURR", 1, 0, 8), asset=10000)
    on_bench = bench(markets=[hype, purr], strategies=[hip2(hype, size="10"), hip2(purr, size="10")])
    on_bench.start(rich(hype="0", usdc="1000"))
    orders = on_bench.desk.orders
    committed = sum(orders.committed_quote(coin).units for coin in (hype.coin, purr.coin))
    assert 0 < committed <= on_bench.desk.inventory.total(USDC.index)


def test_a_fill_that_a_silent_stream_owes_is_no_mismatch_but_the_silence_of_a_dead_one():
    on_bench, orders = started()
    ask = next(order for order in orders if order.side is Side.SELL)
    on_bench.tell(
        fill(Side.SELL, cloid=ask.cloid, price_ticks=ask.price_ticks, size_lots=50, source=FillSource.RECONCILE)
    )
    for second in range(1, 8):
        on_bench.now_s = float(second)
        assert not any(isinstance(note, Mismatch) for note in on_bench.tell(Heartbeat()).notes)
    on_bench.tell(SessionEnded(SessionName.ACCOUNT, 1, "no pong"), Heartbeat())
    assert not on_bench.desk.mismatches


def test_a_fill_read_over_rest_while_the_stream_is_down_is_no_mismatch():
    on_bench, orders = started()
    ask = next(order for order in orders if order.side is Side.SELL)
    on_bench.tell(
        SessionEnded(SessionName.ACCOUNT, 1, "reset"),
        fill(Side.SELL, cloid=ask.cloid, price_ticks=ask.price_ticks, size_lots=50, source=FillSource.RECONCILE),
        SessionOpened(SessionName.ACCOUNT, 2),
    )
    on_bench.now_s = 3.0
    on_bench.tell(Heard(SessionName.ACCOUNT, "pong"), Heartbeat())
    assert not on_bench.desk.mismatches
