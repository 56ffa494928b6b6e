from __future__ import annotations

from mmtrio.exchange.actions import read_action
from mmtrio.exchange.execution import lane
from tests.support.exchange_actions import (
    ALICE,
    BOB,
    CAROL,
    START_MS,
    Venue,
    batch_modify,
    buy,
    cancel,
    modify,
    place,
    sell,
    signed,
)


def submit(venue: Venue, user: str, action: dict) -> int:
    return venue.engine.submit_direct(user, action, venue.now_ms)


def test_nothing_happens_before_the_block():
    venue = Venue()
    submit(venue, ALICE, place(buy("34", "1")))
    assert venue.engine.open_orders(ALICE) == [] and venue.engine.best("@107") == (None, None)
    block = venue.block()
    assert (block.height, block.time_ms) == (1, START_MS + 70)
    assert venue.engine.best("@107") == (34_000_000, None)


def test_a_cancel_beats_a_taker_of_the_same_block_that_came_first():
    venue = Venue()
    oid = venue.oid(ALICE, sell("35", "1", "Alo"))
    taker = submit(venue, BOB, place(buy("35", "1", "Ioc")))
    cancelling = submit(venue, ALICE, cancel(oid))
    replies = dict(venue.block().replies)
    assert replies[cancelling]["response"]["data"]["statuses"] == ["success"]
    assert "immediately match" in replies[taker]["response"]["data"]["statuses"][0]["error"]


def test_a_post_only_order_is_in_the_book_before_a_taker_that_came_first():
    venue = Venue()
    submit(venue, BOB, place(buy("35", "1", "Ioc")))
    submit(venue, ALICE, place(sell("35", "1", "Alo")))
    assert [user for user, _ in venue.block().fills] == [BOB, ALICE]


def test_one_taking_order_sends_its_whole_batch_to_the_last_lane():
    venue = Venue()
    venue.oid(CAROL, sell("35", "1", "Alo"))
    submit(venue, ALICE, place(sell("35", "1", "Alo"), sell("36", "1", "Ioc")))
    submit(venue, BOB, place(sell("35", "1", "Alo")))
    venue.block()
    submit(venue, CAROL, place(buy("35", "1", "Ioc")))
    venue.block()
    assert venue.told(BOB)[0][1] == "filled" and venue.told(ALICE) == []


def test_a_lane_is_worked_through_in_order_of_arrival_and_replies_come_in_it():
    venue = Venue()
    tickets = [submit(venue, user, place(sell("35", "1", "Alo"))) for user in (CAROL, ALICE, BOB)]
    block = venue.block()
    assert [ticket for ticket, _ in block.replies] == tickets
    assert [user for user, _ in block.order_updates] == [CAROL, ALICE, BOB]


def test_a_modify_runs_in_the_lane_of_the_order_it_places():
    lanes = [
        (place(buy("34", "1", "Alo")), 1),
        ({"type": "noop"}, 1),
        (modify(5, buy("34", "1", "Gtc")), 1),
        (batch_modify((5, buy("34", "1", "Gtc")), always=True), 3),
        (batch_modify((5, buy("34", "1", "Ioc"))), 3),
        (place(buy("34", "1", "Alo"), buy("34", "1", "Gtc")), 3),
        (cancel(5), 2),
    ]
    assert [lane(read_action(action)) for action, _ in lanes] == [expected for _, expected in lanes]


def test_all_events_of_a_block_share_one_time():
    venue = Venue()
    venue.oid(ALICE, sell("35", "1"))
    submit(venue, BOB, place(buy("35", "0.5", "Ioc")))
    submit(venue, CAROL, place(buy("34", "1")))
    block = venue.block()
    stamps = {update["statusTimestamp"] for _, update in block.order_updates}
    stamps |= {fill["time"] for _, fill in block.fills} | {trade["time"] for trade in block.trades}
    assert stamps == {block.time_ms}


def test_what_came_after_the_moment_of_a_block_waits_for_the_next():
    venue = Venue()
    early = submit(venue, ALICE, place(sell("35", "1", "Alo")))
    venue.now_ms += 50
    late = venue.engine.submit(signed(place(buy("35", "1", "Ioc")), START_MS, account=1), venue.now_ms)
    block = venue.engine.run_block(START_MS + 49)
    assert [ticket for ticket, _ in block.replies] == [early] and block.trades == ()
    block = venue.engine.run_block(START_MS + 50)
    assert [ticket for ticket, _ in block.replies] == [late] and len(block.trades) == 1


def test_a_clock_that_goes_back_keeps_nobody_waiting():
    venue = Venue()
    venue.engine.run_block(START_MS + 1000)
    ticket = venue.engine.submit_direct(ALICE, place(sell("35", "1", "Alo")), START_MS - 120_000)
    assert [ticket for ticket, _ in venue.engine.run_block(START_MS - 119_000).replies] == [ticket]


def test_venue_time_never_goes_back_nor_stands_still():
    venue = Venue()
    first = venue.engine.run_block(START_MS + 100)
    second = venue.engine.run_block(START_MS - 120_000)
    assert second.time_ms == first.time_ms + 1


def test_equal_calls_give_equal_blocks():
    def story() -> list:
        venue = Venue()
        venue.oid(ALICE, sell("35", "3"))
        return [
            venue.place(BOB, buy("35", "1", "Ioc")),
            venue.last,
            venue.place(BOB, buy("35", "1")),
            venue.last,
        ]

    assert story() == story()


def test_a_quiet_block_says_nothing():
    venue = Venue()
    block = venue.block()
    assert block.replies == block.order_updates == block.fills == block.trades == ()
    assert block.touched_books == block.balances_changed == ()
